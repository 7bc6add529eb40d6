"""Addition as JSONL: two numbers of six digits, and a field of text for each digit of the sum and each carry.

`python benchmarks/addition.py` searches with the defaults, on characters, in files whose keys stand in a random
sequence, and trains `base` for 1,000 steps at a learning rate of 0.003 (with its defaults it is left to chance
whether addition is learned in time) on the order found, on the hand-written one (every digit and then its carry,
from the least significant on), on the file's order, its reverse, and a random one. Rows go to
docs/results/addition.jsonl, finished cells are skipped; `python benchmarks/addition.py table` prints them.

What is wanted: within one point of the hand-written order in four of five searches.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder.search import discover_shuffled

ROWS = {"train": 100_000, "validation": 1_000, "test": 5_000}
DIGITS = 6
BY_HAND = [f"{kind}{place}" for place in range(DIGITS) for kind in "dc"]
STUDIES = {"addition": [{"digits": DIGITS, "seed": seed} for seed in range(1, 6)]}


def write(path: Path, rng: np.random.Generator, rows: int, keys: list[str]) -> None:
    """A record on every line: both numbers, then what follows from them, keys as they are given."""
    with path.open("w") as file:
        for a, b in rng.integers(10**DIGITS, size=(rows, 2)).tolist():
            record = {"a": f"{a:0{DIGITS}}", "b": f"{b:0{DIGITS}}"}
            told: dict[str, str] = {}
            carry = 0
            for place in range(DIGITS):
                total = a // 10**place % 10 + b // 10**place % 10 + carry
                carry = total // 10
                told |= {f"d{place}": str(total % 10), f"c{place}": str(carry)}
            file.write(json.dumps(record | {key: told[key] for key in keys}) + "\n")


def measure(digits: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 95])
    keys = rng.permutation(BY_HAND).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "addition.jsonl"
        write(path, rng, sum(ROWS.values()), keys)
        whole = pyorder.Dataset.from_records(path, inputs=["a", "b"])
    stops = np.cumsum(list(ROWS.values())).tolist()
    train, validation, test = (
        whole.select(range(stop - rows, stop)) for stop, rows in zip(stops, ROWS.values(), strict=True)
    )
    reference = reference_seconds()
    found = discover_shuffled(train, validation=validation, seed=seed)
    orders = {
        "found": found.order,
        "by hand": np.array([train.names.index(name) for name in BY_HAND]),
        "as in the file": np.arange(train.target_length),
        "reverse": np.arange(train.target_length)[::-1].copy(),
        "random": rng.permutation(train.target_length),
    }
    success = {
        name: pyorder.fit(train, order, test=test, seed=1000 + seed, steps=1_000, learning_rate=3e-3).success_rate
        for name, order in orders.items()
    }
    return {
        "order": list(found.names),
        "verdict": found.verdict.value,
        "success": success,
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
        "threads": torch.get_num_threads(),
    }


def table() -> None:
    print("| seed | order found | by hand | as in the file | its reverse | random | multiples | written as |")
    print("|---|---|---|---|---|---|---|---|")
    for row in read_rows("addition", STUDIES["addition"]):
        shares = " | ".join(f"{100 * share:.2f} %" for share in row["success"].values())
        print(f"| {row['seed']} | {shares} | {row['multiples']:.0f} | {' '.join(row['order'])} |")


if __name__ == "__main__":
    run_named("addition", STUDIES, measure, table)
