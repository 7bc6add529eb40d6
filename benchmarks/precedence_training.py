"""Final training on the orders that precedence-guided discovery found, beside the forward order.

`python benchmarks/precedence_training.py [STUDY ...]`: seed 0 of every cell of benchmarks/precedence.py that is
finished, `pyorder.fit` with the preset `base` and 10,000 test rows, the same seed and rows for both orders. *As
good*: the lower end of the 95 % interval of the paired difference lies above minus one point; where forward itself
stays below 95 % that is not decidable. Rows go to docs/results/precedence_training.jsonl.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from precedence import STUDIES, Problem
from study import chosen, read_rows, run_cells

import pyorder


def measure(task: str, length: int, seed: int, **parameters: int) -> dict[str, Any]:
    (row,) = read_rows("precedence", [{"task": task, "length": length, "seed": seed, **parameters}])
    order, forward = np.array(row["order"]), np.arange(length)
    splits = Problem(task, length, seed, **parameters).splits
    fits = {"forward": pyorder.fit(splits.train, forward, test=splits.test, seed=seed)}
    same = np.array_equal(order, forward)
    fits["found"] = fits["forward"] if same else pyorder.fit(splits.train, order, test=splits.test, seed=seed)
    paired = fits["found"].success.astype(float) - fits["forward"].success
    lower = float(paired.mean() - 1.96 * paired.std(ddof=1) / np.sqrt(len(paired)))
    decidable = fits["forward"].success_rate >= 0.95
    return {
        "order": order.tolist(),
        "forward_itself": same,
        **{name: fitted.success_rate for name, fitted in fits.items()},
        "difference_lower_end": lower,
        "as_good": bool(lower > -0.01) if decidable else None,
        "seconds_a_fit": fits["forward"].seconds,
    }


def table(rows: list[dict[str, Any]]) -> None:
    print("| task | found order | forward | as good as forward |\n|---|---|---|---|")
    for row in rows:
        name = f"{row['task']} L = {row['length']}" + (f", d = {row['d']}" if "d" in row else "")
        verdict = {None: "not decidable", True: "yes", False: "no"}[row["as_good"]]
        found = "the forward order itself" if row["forward_itself"] else f"{100 * row['found']:.2f} %"
        print(f"| {name} | {found} | {100 * row['forward']:.2f} % | {verdict} |")


def main() -> None:
    names = chosen(sys.argv[1:], STUDIES) or STUDIES
    cells = [cell for name in names for cell in STUDIES[name] if cell["seed"] == 0]
    table(run_cells("precedence_training", [cell for cell in cells if read_rows("precedence", [cell])], measure))


if __name__ == "__main__":
    main()
