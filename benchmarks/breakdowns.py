"""How often the exploration's training breaks down, and what AdamW's second beta has to do with it.

`python benchmarks/breakdowns.py LENGTH ...` with the lengths of `STUDIES`, on a GPU where there is one. A cell is
an exploration of relu with its defaults but for that number, on columns that were shuffled in secret, and a last
run of one training step. Rows go to docs/results/breakdowns.jsonl, finished cells are skipped; `table` prints what
is there. *Rises*: rounds that lose more than the best one before them, by so much of the entropy.

Gradients that have been small for long leave AdamW with a small mean of their squares, and it takes a large step
where they grow. The sooner it forgets (0.999: after a thousand steps), the sooner that mean has grown as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder.search import Precedence, discover_shuffled
from pyorder.training.presets import EXPLORER

SECOND = (0.999, 0.99, 0.95)
RISES = (0.02, 0.1, 0.25)
SEEDS = range(1000, 1004)
STUDIES = {
    str(length): [{"length": length, "beta": beta, "seed": seed} for seed in SEEDS for beta in SECOND]
    for length in (40, 100, 200)
}


def measure(length: int, beta: float, seed: int) -> dict[str, Any]:
    made = pyorder.make_task("relu", length=length)
    splits = made.splits(train=100_000, validation=1_000, test=1, seed=seed)
    reference = reference_seconds()
    strategy = Precedence(candidates=2, racers=0, recipe=replace(EXPLORER.recipe, betas=(0.9, beta)))
    found = discover_shuffled(splits.train, validation=splits.validation, strategy=strategy, steps=1, seed=seed)
    assert found.exploration is not None
    rounds = found.exploration.rounds
    return {
        "satisfied": pyorder.satisfied_dependencies(found.order, made.dependencies or ()),
        "verdict": found.verdict.value,
        "rounds": len(rounds),
        "entropy": float(found.exploration.entropy.mean()),
        "losses": [round(one.graph_loss, 4) for one in rounds],
        "withdrawn": [one.withdrawn for one in rounds],
        "seconds": found.exploration.seconds,
        "reference_seconds": reference,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def table() -> None:
    heads = " | ".join(f"rises by {100 * rise:.0f} %" for rise in RISES)
    print(f"| L | second beta | seeds | solved | rounds | last loss | {heads} |")
    print("|---|---|---|---|---|---|" + "---|" * len(RISES))
    for length, cells in STUDIES.items():
        for beta in SECOND:
            rows = [row for row in read_rows("breakdowns", cells) if row["beta"] == beta]
            if not rows:
                continue
            rises = [
                sum(
                    loss > min(row["losses"][:place]) + rise * row["entropy"]
                    for row in rows
                    for place, loss in enumerate(row["losses"])
                    if place
                )
                for rise in RISES
            ]
            solved = sum(row["satisfied"] == 1 for row in rows)
            counts = ", ".join(str(row["rounds"]) for row in rows)
            last = float(np.mean([row["losses"][-1] for row in rows]))
            print(
                f"| {length} | {beta} | {len(rows)} | {solved} | {counts} | {last:.3f} | "
                + " | ".join(map(str, rises)) + " |"
            )  # fmt: skip


if __name__ == "__main__":
    run_named("breakdowns", STUDIES, measure, table)
