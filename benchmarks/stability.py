"""Which edges return on other rows, and whether labels play a part.

`python benchmarks/stability.py STUDY ...` with the studies below; every cell is a `pyorder.discover` with
`resamples` and the defaults of `precedence`, but for a small last run and no race, which edges do not depend on,
on data whose columns were shuffled. Rows go to docs/results/stability.jsonl, finished cells are skipped, and a
cell that was interrupted goes on in build/stability. `python benchmarks/stability.py table` prints what is there,
and `python benchmarks/stability.py plot` draws docs/results/stability.png from it.

- graphs: ten random graphs of 12 steps, each searched ten times on other rows
- labels: four of them, and two chains, searched ten times with other labels and ten times from other seeds
- short: a chain of five steps, three searches of each kind

*True*: an edge that follows from the recurrence. *Satisfied*: share of the true dependencies that an order has in
their sequence; the best single order is that of the first search or of one on other rows, whichever has the most.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from precedence import Problem
from study import RESULTS, read_rows, run_named

import pyorder
from pyorder.orders.posets import Poset
from pyorder.search import Precedence, Resamples
from pyorder.search.stability import OFTEN, distance

FOLDER = Path(__file__).resolve().parents[1] / "build" / "stability"


def cell(task: str, length: int, seed: int, rows: int, others: int) -> dict[str, Any]:
    return {"task": task, "length": length, "seed": seed, "rows": rows, "others": others}


STUDIES: dict[str, list[dict[str, Any]]] = {
    "graphs": [cell("graph", 12, seed, 10, 0) for seed in range(10)],
    "labels": [cell("graph", 12, seed, 0, 10) for seed in range(4)]
    + [cell(task, 13, 0, 0, 10) for task in ("relu", "square")],
    "short": [cell("square", 5, 0, 3, 3)],
}


def measure(task: str, length: int, seed: int, rows: int, others: int) -> dict[str, Any]:
    problem = Problem(task, length, seed)
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    found = pyorder.discover(
        problem.splits.train.reorder(shuffle),
        validation=problem.splits.validation.reorder(shuffle),
        strategy=Precedence(candidates=4, racers=0),
        seed=seed,
        resamples=Resamples(rows=rows, labels=others, seeds=others),
        progress=True,
        run_dir=FOLDER / f"{task}-{length}-{seed}-{rows}-{others}",
    ).renamed(shuffle)
    stability = found.stability
    assert stability is not None
    truth = Poset(length, problem.edges)
    edges = [
        [int(p), int(i), float(stability.edges[p, i]), truth.precedes(p, i)]
        for p, i in np.argwhere(stability.edges)
    ]
    satisfied = pyorder.satisfied_dependencies
    groups = {"rows": stability.orders, "labels": stability.relabelled, "seeds": stability.reseeded}
    return {
        "order": found.order.tolist(),
        "consensus": stability.consensus.tolist(),
        "orders": {kind: orders.tolist() for kind, orders in groups.items()},
        "edges": edges,
        "consensus_satisfied": satisfied(stability.consensus, problem.dependencies),
        "satisfied": [satisfied(order, problem.dependencies) for order in (found.order, *stability.orders)],
        "distances": {
            kind: distance(np.concatenate([found.order[None], orders])) if len(orders) else None
            for kind, orders in groups.items()
        },
        "seconds": found.seconds + stability.seconds,
    }


def table() -> None:
    rows = [row for study in ("graphs", "labels", "short") for row in read_rows("stability", STUDIES[study])]
    print("| data | edges found often | of them true | found seldom | of them true | consensus | best | time |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        if row["rows"]:
            often, seldom = (
                [edge for edge in row["edges"] if (edge[2] >= OFTEN) is wanted] for wanted in (True, False)
            )
            data = f"{row['task']} L = {row['length']}, seed {row['seed']}"
            print(
                f"| {data} | {len(often)} | {sum(e[3] for e in often)} "
                f"| {len(seldom)} | {sum(e[3] for e in seldom)} | {100 * row['consensus_satisfied']:.1f} % "
                f"| {100 * max(row['satisfied']):.1f} % | {row['seconds']:.0f} s |"
            )
    print("\n| data | other labels, % of pairs | other seeds, % of pairs |\n|---|---|---|")
    for row in rows:
        if row["others"]:
            told = " | ".join(
                f"{100 * mean:.1f} ± {200 * error:.1f}"
                for mean, error in (row["distances"][kind] for kind in ("labels", "seeds"))
            )
            print(f"| {row['task']} L = {row['length']}, seed {row['seed']} | {told} |")


def plot() -> None:
    """Draw how often edges return, true and false ones, and how far orders lie apart."""
    from matplotlib.figure import Figure

    from pyorder.report.plots import COLOURS

    everything = read_rows("stability", [one for cells in STUDIES.values() for one in cells])
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    returned, apart = figure.subplots(1, 2)
    edges = [edge for row in everything if row["rows"] for edge in row["edges"]]
    shares = [[100 * share for _, _, share, true in edges if true is wanted] for wanted in (True, False)]
    returned.hist(shares, bins=np.linspace(-5, 105, 12), color=list(COLOURS[:2]), label=["true", "false"])
    returned.axvline(100 * OFTEN - 5, color="black", linewidth=0.8, linestyle="--")
    returned.set(xlabel="found in so many searches on other rows, %", ylabel="edges", title="Which edges return")
    returned.legend()
    compared = [row for row in everything if row["others"]]
    for place, row in enumerate(compared):
        for offset, kind in ((-0.1, "labels"), (0.1, "seeds")):
            mean, error = row["distances"][kind]
            apart.errorbar(
                place + offset, 100 * mean, 200 * error, fmt="o", color=COLOURS[kind == "seeds"], capsize=3,
                label=f"other {kind}" if not place else None,
            )  # fmt: skip
    apart.set_xticks(range(len(compared)), [f"{row['task']} {row['seed']}" for row in compared])
    apart.set(xlim=(-0.5, len(compared) - 0.5), ylim=(0, None))
    apart.set(ylabel="pairs in another sequence, %", title="Do labels play a part?")
    apart.legend()
    figure.savefig(RESULTS / "stability.png", dpi=100)


if __name__ == "__main__":
    if sys.argv[1:] == ["plot"]:
        plot()
    else:
        run_named("stability", STUDIES, measure, table)
