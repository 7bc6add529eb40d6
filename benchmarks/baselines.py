"""Every strategy at one budget: L = 8, `nano`, shuffled target columns.

`python benchmarks/baselines.py`: relu and square, seeds 0 to 2; names of tasks, of strategies and seeds as
arguments run only these. The budget is 12,000 training steps, 30 profiling runs of `nano`, and 2,000,000 rows x
orders scored, 30 runs of 66 orders on 1,000 rows. The options below are those with which a strategy spends it as
far as it can: those that rank orders one by one have about 29 runs of at most 64 and a last one. The published
search and precedence come to an end of their own before. A training step of a soft permutation counts as one, and
takes about half as long again. Exhaustive search is left out: 8! orders in one run are not feasible.

Rows go to docs/results/baselines.jsonl, finished ones are skipped.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from precedence import Problem
from study import run_cells

import pyorder
from pyorder.search import Annealing, Evolutionary, Greedy, Hierarchical, Precedence, Random, Soft, Strategy

LENGTH, TASKS, SEEDS = 8, ("relu", "square"), range(3)
BUDGET = {"training_steps": 12_000, "rows_scored": 2_000_000}
STRATEGIES: dict[str, Strategy] = {
    "random": Random(candidates=29 * 64, pool=64, finalists=1),
    "greedy": Greedy(completions=16, constructions=4),
    "evolutionary": Evolutionary(parents=16, children=48, generations=29),
    "annealing": Annealing(chains=16, rounds=29),
    "soft": Soft(restarts=11, steps=1000),
    "hierarchical": Hierarchical(),
    "precedence": Precedence(),
}


def measure(task: str, length: int, strategy: str, seed: int, **budget: int) -> dict[str, Any]:
    problem = Problem(task, length, seed)
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    found = pyorder.discover(
        problem.splits.train.reorder(shuffle),
        validation=problem.splits.validation.reorder(shuffle),
        strategy=STRATEGIES[strategy],
        model="nano",
        seed=seed,
        budget=pyorder.Budget(**budget),
    ).renamed(shuffle)
    return {
        "order": found.order.tolist(),
        "satisfied": pyorder.satisfied_dependencies(found.order, problem.dependencies),
        "reverse_satisfied": pyorder.satisfied_dependencies(found.order[::-1], problem.dependencies),
        "converged": found.converged,
        "runs": found.runs,
        "candidates": found.candidates_profiled,
        "cost": asdict(found.cost),
        "seconds": found.seconds,
        "options": found.options,
        "remarks": list(found.remarks),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    words = sys.argv[1:]
    for word in words:
        if word not in (*TASKS, *STRATEGIES) and not word.isdigit():
            sys.exit(f"{word!r} is none of {', '.join((*TASKS, *STRATEGIES))}, and no seed")
    cells = [
        {"task": task, "length": LENGTH, "strategy": strategy, "seed": seed, **BUDGET}
        for task in [word for word in words if word in TASKS] or TASKS
        for strategy in [word for word in words if word in STRATEGIES] or STRATEGIES
        for seed in [int(word) for word in words if word.isdigit()] or SEEDS
    ]
    rows = run_cells("baselines", cells, measure)
    print("\n| task | strategy | seed | order found | dependencies | runs | training steps | rows scored | time |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['task']} L = {row['length']} | {row['strategy']} | {row['seed']} "
            f"| {' '.join(map(str, row['order']))} | {100 * row['satisfied']:.0f} % | {row['runs']} "
            f"| {row['cost']['training_steps']:,} | {row['cost']['rows_scored']:,} | {row['seconds']:.0f} s |"
        )
    for row in rows:
        for remark in row["remarks"]:
            print(f"- {row['task']} {row['strategy']} {row['seed']}: {remark}")


if __name__ == "__main__":
    main()
