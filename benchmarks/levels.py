"""Writing whole levels at once, beside writing step by step: what it costs, and how many passes it takes.

`python benchmarks/levels.py STUDY ...` with the studies below; every cell is a whole `pyorder.discover` with
the defaults of `precedence`, but for the last run and the race, which levels do not depend on, on data whose
columns were shuffled; then `pyorder.search.check_levels` of the graph found, on test rows that ranked nothing.
Rows go to docs/results/levels.jsonl, finished cells are skipped. `python benchmarks/levels.py table` prints
what is there, and `python benchmarks/levels.py plot` draws docs/results/levels.png from it.

- graphs: ten random graphs of 20 steps, see benchmarks/random_graphs.py
- chains: every chain at L = 13, two seeds
- coins: pairs of steps that are one coin, in one level of an empty graph: are they named?
- short: a cell of a minute

*Depth*: edges of the longest chain of the true graph. *Points*: success at once minus step by step, in percent of
the same test rows, by one model.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from precedence import CHAINS, Problem
from random_graphs import RandomGraph
from study import RESULTS, read_rows, run_named

import pyorder
from pyorder.orders.posets import Poset
from pyorder.search import Precedence, check_levels

STUDIES: dict[str, list[dict[str, Any]]] = {
    "graphs": [{"task": "graph", "length": 20, "seed": seed} for seed in range(10)],
    "chains": [{"task": task, "length": 13, "seed": seed} for task in CHAINS for seed in range(2)],
    "coins": [{"task": "coins", "length": 6, "seed": seed} for seed in range(5)],
    "short": [{"task": "square", "length": 6, "seed": 0}],
}


def measure(task: str, length: int, seed: int) -> dict[str, Any]:
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    if task == "coins":
        train, test = coins(length, seed, 20_000), coins(length, seed + 10_000, 4_000)
        found, edges = Poset(length), []
    else:
        problem = Problem(task, length, seed)
        train, test, edges = problem.splits.train, problem.splits.test, problem.edges
        searched = pyorder.discover(
            train.reorder(shuffle),
            validation=problem.splits.validation.reorder(shuffle),
            strategy=Precedence(candidates=2, racers=0),
            seed=seed,
        ).renamed(shuffle)
        assert searched.graph is not None
        found = searched.graph
    truth = Poset(length, edges)
    inside = found.renamed(np.argsort(shuffle))
    checked = check_levels(inside, train.reorder(shuffle), test=test.reorder(shuffle), seed=seed)
    return {
        "depth": len(truth.levels) - 1,
        "edges": found.reduction.tolist(),
        "true_levels": truth.levels,
        "levels": [sorted(shuffle[list(level)].tolist()) for level in checked.levels],
        "bound": [
            [int(shuffle[pair.before]), int(shuffle[pair.after]), pair.benefit, pair.standard_error]
            for pair in checked.bound
        ],
        "passes": checked.passes,
        "success": checked.success,
        "success_in_sequence": checked.success_in_sequence,
        "success_difference": checked.success_difference,
        "row_loss": checked.row_loss,
        "row_loss_in_sequence": checked.row_loss_in_sequence,
        "loss_difference": checked.loss_difference,
        "test_rows": checked.test_rows,
        "seconds": checked.seconds,
        "training_steps": checked.settings["steps"],
    }


def coins(length: int, seed: int, rows: int) -> pyorder.Dataset:
    """Steps 2k and 2k + 1 are one coin of six sides, the second relabelled; the input tells nothing of them."""
    rng = np.random.default_rng([seed, 97])
    sides = rng.integers(6, size=(rows, length // 2))
    targets = np.repeat(sides, 2, axis=1)
    targets[:, 1::2] = (5 - targets[:, 1::2]) % 6
    return pyorder.Dataset(rng.integers(6, size=(rows, 3)), targets)


def table() -> None:
    print("| data | depth | passes | at once | step by step | points | nats a row | pairs named | time |")
    print("|---|---|---|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in read_rows("levels", cells):
            points, error = (100 * value for value in row["success_difference"])
            more, of_loss = row["loss_difference"]
            print(
                f"| {row['task']} L = {row['length']}, seed {row['seed']} | {row['depth']} "
                f"| {row['passes']} of {row['length']} | {100 * row['success']:.2f} % "
                f"| {100 * row['success_in_sequence']:.2f} % | {points:+.2f} ± {2 * error:.2f} "
                f"| {more:+.3f} ± {2 * of_loss:.3f} | {len(row['bound'])} | {row['seconds']:.0f} s |"
            )


def plot() -> None:
    """Draw the levels that a true graph has, and passes and success of all finished cells."""
    from matplotlib.figure import Figure

    from pyorder.report import plots

    graph = RandomGraph(20, 1000)  # one that nothing is reported of
    true = Poset(graph.length, graph.edges)
    figure = Figure(figsize=(10, 4), layout="constrained")
    drawn, counted = figure.subplots(1, 2, width_ratios=(3, 2))
    shown = plots.dependency_graph(graph.length, true.reduction, np.ones(len(true.reduction)))
    plots.draw_dependency_graph(shown, drawn)
    drawn.set_title(f"A graph of {graph.length} steps: {len(true.levels)} passes write all of them")
    rows = read_rows("levels", [cell for cells in STUDIES.values() for cell in cells])
    for key, label, colour in (
        ("success_in_sequence", "step by step", plots.COLOURS[0]),
        ("success", "level by level", plots.COLOURS[1]),
    ):
        passes = [row["passes" if key == "success" else "length"] for row in rows]
        counted.scatter(passes, [100 * row[key] for row in rows], s=24, color=colour, label=label)
    for row in rows:
        ends = [row["length"], row["passes"]]
        counted.plot(ends, [100 * row["success_in_sequence"], 100 * row["success"]], color="#bbbbbb", zorder=0)
    counted.set(xlabel="passes of the model to write a row", ylabel="rows right, %", title="What that costs")
    counted.set(xlim=(0, None), ylim=(0, 105))
    counted.legend()
    figure.savefig(RESULTS / "levels.png", dpi=100)


if __name__ == "__main__":
    if sys.argv[1:] == ["plot"]:
        plot()
    else:
        run_named("levels", STUDIES, measure, table)
