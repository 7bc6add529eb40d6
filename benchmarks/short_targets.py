"""Short targets: all orders by loss profiling against the search for the dependency graph.

`python benchmarks/short_targets.py [square|relu|cubic ...]`: L = 3 to 6, three seeds, defaults, as many rows as a
user may have (at most 24,000), target columns shuffled in secret. About ten minutes on one thread: `square
cubic` and `relu` can run side by side. Rows go to docs/results/short_targets.jsonl, finished ones are skipped.
"""

from __future__ import annotations

import sys

import numpy as np
from study import chosen, run_cells

import pyorder
from pyorder.search import discover_shuffled

TASKS, LENGTHS, SEEDS = ("square", "relu", "cubic"), (3, 4, 5, 6), 3
STRATEGIES = ("exhaustive", "precedence")
ROWS = 24_000


def measure(task: str, length: int, seed: int, strategy: str) -> dict[str, object]:
    made = pyorder.make_task(task, length=length)
    assert made.dependencies is not None
    rows = min(ROWS, made.space_size // 2)
    splits = made.splits(train=rows, validation=min(1_000, rows // 8), test=1, seed=seed)
    found = discover_shuffled(splits.train, validation=splits.validation, strategy=strategy, seed=seed)
    reverse = pyorder.satisfied_dependencies(found.order[::-1].copy(), made.dependencies)
    return {
        "order": found.order.tolist(),
        "verdict": found.verdict.value,
        "satisfied": pyorder.satisfied_dependencies(found.order, made.dependencies),
        "reverse_satisfied": reverse,
        "first_run": found.history[0].profile.best.tolist() if found.history else None,
        "training_rows": rows,
        "search_seconds": round(found.seconds, 1),
    }


def main() -> None:
    tasks = chosen(sys.argv[1:], TASKS) or TASKS
    for length in LENGTHS:
        cells = [
            {"task": task, "length": length, "seed": seed, "strategy": strategy}
            for task in tasks
            for seed in range(SEEDS)
            for strategy in STRATEGIES
        ]
        run_cells("short_targets", cells, measure)
    print("\n| steps | task | strategy | solved | dependencies | seconds |\n|---|---|---|---|---|---|")
    for length in LENGTHS:
        for task in tasks:
            for strategy in STRATEGIES:
                cells = [
                    {"task": task, "length": length, "seed": seed, "strategy": strategy} for seed in range(SEEDS)
                ]
                rows = run_cells("short_targets", cells, measure)
                solved = sum(row["satisfied"] == 1 for row in rows)
                shares = " ".join(f"{100 * row['satisfied']:.0f}" for row in rows)
                seconds = np.median([row["search_seconds"] for row in rows])
                print(f"| {length} | {task} | {strategy} | {solved} of {len(rows)} | {shares} % | {seconds:.0f} |")


if __name__ == "__main__":
    main()
