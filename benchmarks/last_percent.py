"""Where the input nearly tells a step: products and sums in digits, of which the order decides the last percent.

`python benchmarks/last_percent.py STUDY ...`, with the studies below; a cell is a `pyorder.discover` with defaults
on digits that were shuffled in secret, mapped back, and final trainings of `base` with its defaults on the order
found and on the least significant digit first, judged on 10,000 rows. Rows go to docs/results/last_percent.jsonl,
finished cells are skipped; `python benchmarks/last_percent.py table` prints what is there.

- 9x1, 5x1: a number of nine or five digits times one of one digit, 200,000 rows
- sum: the sum of two numbers of six digits, without the carries

What is wanted: within one point of the least significant digit first, in three of three seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder.search import discover_shuffled

ROWS = {"train": 200_000, "validation": 1_000, "test": 10_000}
FACTORS = {"9x1": (9, 1), "5x1": (5, 1), "sum": (6, 6)}  # digits of both numbers
STUDIES = {name: [{"study": name, "seed": seed} for seed in range(3)] for name in FACTORS}


def digits(values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """(N, count) decimal digits of values (N,), the least significant first."""
    return values[:, None] // 10 ** np.arange(count) % 10


def data(study: str, seed: int) -> list[pyorder.Dataset]:
    """Splits of numbers and their product or sum."""
    rng = np.random.default_rng([seed, 96])
    first, second = FACTORS[study]
    a, b = (rng.integers(10**size, size=sum(ROWS.values())) for size in (first, second))
    inputs = np.concatenate([digits(a, first), digits(b, second)], axis=1)
    length = first + (1 if study == "sum" else second)
    targets = digits(a + b if study == "sum" else a * b, length)
    stops = np.cumsum(list(ROWS.values()))
    return [
        pyorder.Dataset(inputs[stop - rows : stop], targets[stop - rows : stop], vocabulary=range(10))
        for stop, rows in zip(stops.tolist(), ROWS.values(), strict=True)
    ]


def measure(study: str, seed: int) -> dict[str, Any]:
    train, validation, test = data(study, seed)
    length = train.target_length
    reference = reference_seconds()
    found = discover_shuffled(train, validation=validation, strategy="precedence", seed=seed)
    assert found.exploration is not None
    success = {
        name: pyorder.fit(train, order, test=test, seed=1000 + seed).success_rate
        for name, order in (("found", found.order), ("least significant first", np.arange(length)))
    }
    return {
        "order": found.order.tolist(),
        "success": success,
        "verdict": found.verdict.value,
        "edges": [[edge.before, edge.after, edge.fine] for edge in found.exploration.dependencies],
        "training_steps": found.exploration.rounds[-1].training_steps,
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
        "threads": torch.get_num_threads(),
    }


def table() -> None:
    print("| study | seed | success, order found | least significant first | order found | multiples |")
    print("|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in read_rows("last_percent", cells):
            found, first = (f"{100 * share:.2f} %" for share in row["success"].values())
            order = " ".join(map(str, row["order"]))
            print(f"| {row['study']} | {row['seed']} | {found} | {first} | {order} | {row['multiples']:.0f} |")


if __name__ == "__main__":
    run_named("last_percent", STUDIES, measure, table)
