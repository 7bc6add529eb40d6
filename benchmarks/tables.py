"""Tables of data: the order found, and what a row costs in it, beside other orders.

`python benchmarks/tables.py NAME ...` of the tables below, read from CSV files in the folder that PYORDER_TABLES
names (seaborn's penguins, taxis and titanic; draws of the networks asia and alarm), and scikit-learn's digits,
which that package brings along. No column is an input. A cell is a search with the defaults, columns shuffled in
secret, and trainings of `base`, alike but for the order: the one found, the one the table has, its reverse, and
five random ones. Rows go to docs/results/tables.jsonl, finished cells are skipped; `python benchmarks/tables.py
table` prints what is there: *nats* a test row, and how much less the order found costs than each other one on the
same rows, with a 95 % interval over rows.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder.search import discover_shuffled

RANDOM = 5
STEPS = {"penguins": 150, "titanic": 150, "digits": 300, "asia": 500, "taxis": 500, "alarm": 500}
STUDIES = {name: [{"table": name, "seed": seed} for seed in range(3)] for name in STEPS}


def data(name: str) -> pyorder.Dataset:
    if name == "digits":
        from sklearn.datasets import load_digits

        pixels = load_digits().data.astype(np.int64)
        return pyorder.Dataset(None, pixels, names=[f"{place // 8},{place % 8}" for place in range(64)])
    return pyorder.Dataset.from_table(Path(os.environ["PYORDER_TABLES"]) / f"{name}.csv")


def measure(table: str, seed: int) -> dict[str, Any]:
    train, validation, test = data(table).split(seed=seed)
    reference = reference_seconds()
    found = discover_shuffled(train, validation=validation, seed=seed)
    rng = np.random.default_rng([seed, 94])
    given = np.arange(train.target_length)
    orders = {"found": found.order, "given": given, "reverse": given[::-1].copy()}
    orders |= {f"random {n}": rng.permutation(given) for n in range(RANDOM)}
    rows = {
        name: pyorder.fit(train, order, test=test, seed=1000 + seed, steps=STEPS[table]).row_losses.astype(float)
        for name, order in orders.items()
    }
    less = {name: rows[name] - rows["found"] for name in rows if name != "found"}
    return {
        "order": list(found.names),
        "verdict": found.verdict.value,
        "edges": len(found.edges()),
        "training_rows": train.rows,
        "test_rows": test.rows,
        "fit_steps": STEPS[table],
        "nats": {name: float(losses.mean()) for name, losses in rows.items()},
        "less": {
            name: [float(gain.mean()), 1.96 * float(gain.std()) / math.sqrt(len(gain))]
            for name, gain in less.items()
        },
        "remarks": list(found.remarks),
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
        "threads": torch.get_num_threads(),
    }


def table() -> None:
    print("| table | seed | verdict | nats, order found | less than given | reverse | random | multiples |")
    print("|---|---|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in read_rows("tables", cells):
            given, reverse = (
                f"{row['less'][name][0]:.3f} ± {row['less'][name][1]:.3f}" for name in ("given", "reverse")
            )
            random = sorted(row["less"][f"random {n}"][0] for n in range(RANDOM))
            print(
                f"| {row['table']} | {row['seed']} | {row['verdict']} | {row['nats']['found']:.3f} | {given} | "
                f"{reverse} | {random[0]:.3f} to {random[-1]:.3f} | {row['multiples']:.0f} |"
            )


if __name__ == "__main__":
    run_named("tables", STUDIES, measure, table)
