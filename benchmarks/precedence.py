"""Precedence-guided discovery from a random start: which dependencies it finds, how surely and how fast.

`python benchmarks/precedence.py STUDY ...` with the studies below; every cell is a whole `pyorder.discover` with
the strategy's defaults, on data whose target columns were shuffled, mapped back at the end. Rows go to
docs/results/precedence_0_2.jsonl, finished cells are skipped. `python benchmarks/precedence.py table STUDY ...`
prints the tables of the rows that are there, and `python benchmarks/precedence.py plot` draws how time grows, with
the exponent fitted to it, as docs/results/precedence_growth.png. A first word 0.1, as in `... 0.1 table 13`, means
the rows of version 0.1, docs/results/precedence.jsonl.

*Solved*: every dependency p -> i of the task has p before i; where y_p is computable from the input alone (step 0)
there is none. *Recall*: share of the dependencies that follow from the graph that was found. *Precision*: share of
the edges found that follow from the recurrence.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from random_graphs import RandomGraph
from study import RESULTS, chosen, read_rows, run_cells

import pyorder
from pyorder.models.any_order import AnyOrderDecoder
from pyorder.orders.posets import Poset
from pyorder.training.presets import EXPLORER

CHAINS = ("relu", "square", "cubic", "sine", "triangle", "mlp")


def cells(tasks: tuple[str, ...], length: int, seeds: int, **parameters: int) -> list[dict[str, Any]]:
    return [
        {"task": task, "length": length, "seed": seed, **parameters} for task in tasks for seed in range(seeds)
    ]


STUDIES = {
    "13": cells(CHAINS, 13, 5),
    "40": cells(CHAINS[:2], 40, 5) + cells(CHAINS[2:], 40, 2),
    "100": cells(CHAINS[:2], 100, 2),
    "200": cells(CHAINS[:2], 200, 1),
    "graph": cells(("graph",), 20, 10),
    "index": cells(("index",), 13, 5, d=2) + cells(("index",), 13, 1, d=4) + cells(("index",), 13, 1, d=8),
    "prod": cells(("prod",), 10, 1) + cells(("prod",), 12, 1),
    "growth": [cell for length in (10, 20, 40, 80, 160) for cell in cells(("square",), length, 1)],
}


class Problem:
    """Data of a cell, as the task has it, and what is true of it."""

    def __init__(self, task: str, length: int, seed: int, **parameters: int) -> None:
        if task == "graph":
            graph = RandomGraph(length, seed)
            parts = [graph.draw(rows, seed=3 * seed + i) for i, rows in enumerate((100_000, 1_000, 10_000))]
            self.splits = pyorder.Splits(*(pyorder.Dataset(*part) for part in parts))
            self.dependencies, self.edges = graph.dependencies, graph.edges
        else:
            made = pyorder.make_task(task, length=length, **parameters)
            self.splits = made.splits(seed=seed)
            self.dependencies = list(made.dependencies or ())
            reach = parameters.get("d", 1)
            self.edges = [(p, i) for i in range(length) for p in range(max(0, i - reach), i)]


def measure(task: str, length: int, seed: int, **parameters: int) -> dict[str, object]:
    problem = Problem(task, length, seed, **parameters)
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    reference = reference_seconds()
    found = pyorder.discover(
        problem.splits.train.reorder(shuffle),
        validation=problem.splits.validation.reorder(shuffle),
        strategy="precedence",
        seed=seed,
    ).renamed(shuffle)
    exploration = found.exploration
    assert exploration is not None
    row: dict[str, object] = {
        "shuffle": shuffle.tolist(),
        "order": found.order.tolist(),
        "graph_seconds": exploration.seconds,
        "seconds": found.seconds,
        "reference_seconds": reference,
        "threads": torch.get_num_threads(),
        "training_steps": exploration.rounds[-1].training_steps,
        "settled": exploration.settled,
        "converged": found.converged,
        "graph_loss": exploration.graph_loss.tolist(),
        "entropy": exploration.entropy.tolist(),
        "remarks": list(exploration.remarks),
        "edges": [[edge.before, edge.after, edge.benefit, edge.confidence] for edge in exploration.dependencies],
    }
    if problem.dependencies:
        graph = Poset(length, [(edge.before, edge.after) for edge in exploration.dependencies])
        truth = Poset(length, problem.edges)
        true = [truth.precedes(edge.before, edge.after) for edge in exploration.dependencies]
        row["satisfied"] = pyorder.satisfied_dependencies(found.order, problem.dependencies)
        row["recall"] = float(np.mean([graph.precedes(*pair) for pair in problem.dependencies]))
        row["precision"] = float(np.mean(true)) if true else None
    return row


def reference_seconds() -> float:
    """Seconds of a fixed piece of the same kind of work, since machines differ: 50 training steps at L = 13."""
    generator = torch.Generator().manual_seed(0)
    model = AnyOrderDecoder(EXPLORER.architecture, vocabulary_size=19, input_length=13, columns=13)
    inputs, emitted = torch.randint(19, (2, 128, 13), generator=generator)
    order = torch.rand((128, 13), generator=generator).argsort(1)
    started = time.perf_counter()
    for _ in range(50):
        model(inputs, emitted, order).float().log_softmax(-1).mean().backward()
    return time.perf_counter() - started


def table(source: str, names: list[str]) -> None:
    """Print a line for every task and length: solved, medians and ranges, and every failure."""
    wanted = [cell for name in names for cell in STUDIES[name]]
    rows = read_rows(source, [cell for place, cell in enumerate(wanted) if cell not in wanted[:place]])
    print("| task | solved | recall | precision | to the graph | to the answer | multiples | training steps |")
    print("|---|---|---|---|---|---|---|---|")
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        name = f"{row['task']} L = {row['length']}" + (f", d = {row['d']}" if "d" in row else "")
        groups.setdefault(name, []).append(row)
    for name, group in groups.items():
        judged = [row for row in group if "satisfied" in row]
        solved = f"{sum(row['satisfied'] == 1 for row in judged)} of {len(judged)}" if judged else "-"
        recall = f"{100 * np.mean([row['recall'] for row in judged]):.1f} %" if judged else "-"
        kept = [row["precision"] for row in judged if row["precision"] is not None]
        precision = f"{100 * np.mean(kept):.1f} %" if kept else "-"
        spent = " | ".join(spread([row[key] for row in group]) for key in ("graph_seconds", "seconds"))
        multiples = spread([row["graph_seconds"] / row["reference_seconds"] for row in group], 1)
        steps = spread([row["training_steps"] for row in group])
        print(f"| {name} | {solved} | {recall} | {precision} | {spent} | {multiples} | {steps} |")
    print(f"\nreference workload: {spread([row['reference_seconds'] for row in rows], 2)} s")
    for row in rows:
        if row.get("satisfied", 1) < 1:
            print(
                f"not solved: {row['task']} L = {row['length']} seed {row['seed']}: "
                f"{100 * row['satisfied']:.1f} % satisfied, {' '.join(map(str, row['order']))}. {row['remarks']}"
            )


def spread(values: list[float], digits: int = 0) -> str:
    low, middle, high = np.quantile(values, (0, 0.5, 1))
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def plot(source: str) -> None:
    """Draw the times of the study of growth over the number of steps, and the power law through them."""
    from matplotlib.figure import Figure

    rows = read_rows(source, STUDIES["growth"])
    lengths = np.array([row["length"] for row in rows])
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for key, marker, name in (("graph_seconds", "o", "to the graph"), ("seconds", "s", "to the answer")):
        seconds = np.array([row[key] for row in rows])
        exponent, scale = np.polyfit(np.log(lengths), np.log(seconds), 1)
        (points,) = axes.loglog(lengths, seconds, marker, label=f"{name}: L to the power of {exponent:.2f}")
        axes.loglog(lengths, np.exp(scale) * lengths**exponent, "--", color=points.get_color(), linewidth=1)
        print(f"{name}: exponent {exponent:.2f}, {', '.join(f'{spent:.0f} s' for spent in seconds)}")
    axes.set(title=f"{rows[0]['task']}, seed {rows[0]['seed']}", xlabel="steps L", ylabel="seconds")
    axes.set_xticks(lengths, map(str, lengths))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(RESULTS / "precedence_growth.png", dpi=120)


def main() -> None:
    names, source = sys.argv[1:], "precedence_0_2"
    if names[:1] == ["0.1"]:
        names, source = names[1:], "precedence"
    if names == ["plot"]:
        plot(source)
    elif names[:1] == ["table"]:
        table(source, chosen(names[1:], STUDIES) or list(STUDIES))
    else:
        for name in chosen(names, STUDIES) or STUDIES:
            run_cells(source, STUDIES[name], measure)
        table(source, names or list(STUDIES))


if __name__ == "__main__":
    main()
