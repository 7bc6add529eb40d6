"""Precedence-guided discovery against the searches that rank orders one by one, at L = 10.

`python benchmarks/precedence_versus.py`: relu and square, one seed, `nano` throughout, shuffled target columns.
The others may take 20 times the median time of precedence on that task; an order that breaks a dependency then
counts as "> cap". (All 10! orders in one run are not feasible.) `python benchmarks/precedence_versus.py uncapped`
adds one hierarchical search of relu at L = 13 without a cap. Rows go to docs/results/precedence_versus.jsonl.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from precedence import Problem
from study import run_cells

import pyorder
from pyorder.search import Hierarchical, Precedence, Random, Strategy

LENGTH, TASKS, SEEDS, TIMES = 10, ("relu", "square"), range(1), 20
STRATEGIES: dict[str, Strategy] = {
    "precedence": Precedence(),
    "hierarchical": Hierarchical(inside="each", between="rotations"),
    "random": Random(candidates=100_000),  # more than any cap allows
}


def measure(task: str, length: int, strategy: str, seed: int, cap: int | None) -> dict[str, Any]:
    problem = Problem(task, length, seed)
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    found = pyorder.discover(
        problem.splits.train.reorder(shuffle),
        validation=problem.splits.validation.reorder(shuffle),
        strategy=STRATEGIES[strategy],
        model="nano",
        seed=seed,
        budget=None if cap is None else pyorder.Budget(seconds=cap),
    ).renamed(shuffle)
    return {
        "order": found.order.tolist(),
        "satisfied": pyorder.satisfied_dependencies(found.order, problem.dependencies),
        "seconds": found.seconds,
        "converged": found.converged,
        "threads": torch.get_num_threads(),
    }


def cells(task: str, strategy: str, cap: int | None, length: int = LENGTH) -> list[dict[str, Any]]:
    return [
        {"task": task, "length": length, "strategy": strategy, "seed": seed, "cap": cap}
        for seed in (SEEDS if length == LENGTH else [0])
    ]


def main() -> None:
    rows = []
    for task in TASKS:
        ours = run_cells("precedence_versus", cells(task, "precedence", None), measure)
        cap = round(TIMES * float(np.median([row["seconds"] for row in ours])))
        rows += ours
        for other in ("hierarchical", "random"):
            rows += run_cells("precedence_versus", cells(task, other, cap), measure)
    if "uncapped" in sys.argv[1:]:
        rows += run_cells("precedence_versus", cells("relu", "hierarchical", None, length=13), measure)
    print("| task | strategy | seed | dependencies | time to the answer |\n|---|---|---|---|---|")
    for row in rows:
        solved = row["satisfied"] == 1
        spent = f"{row['seconds']:.0f} s" if solved or row["cap"] is None else f"> {row['cap']} s"
        print(
            f"| {row['task']} L = {row['length']} | {row['strategy']} | {row['seed']} "
            f"| {100 * row['satisfied']:.0f} % | {spent} |"
        )


if __name__ == "__main__":
    main()
