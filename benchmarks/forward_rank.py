"""The published check of the criterion: one forward order among 127 random ones.

`python benchmarks/forward_rank.py`: square, cubic and relu at L = 20, ten seeds each, the nano preset. Target
columns are shuffled by the seed, and the forward order stands at a random place of the pool. About 15 s a cell on
two cores; rows go to docs/results/forward_rank.jsonl, finished ones are skipped.
"""

from __future__ import annotations

import numpy as np
from study import run_cells

import pyorder

LENGTH, RANDOM = 20, 127


def measure(task: str, seed: int) -> dict[str, object]:
    splits = pyorder.make_task(task, length=LENGTH).splits(train=100_000, validation=1_000, test=1_000, seed=seed)
    rng = np.random.default_rng(seed)
    shuffle = rng.permutation(LENGTH)
    forward = np.argsort(shuffle)  # the forward order, in the shuffled columns
    others = pyorder.permutations.sample(LENGTH, RANDOM, seed=seed, distinct=True)
    orders = rng.permutation(np.concatenate([forward[None], others]))
    profile = pyorder.profile(
        splits.train.reorder(shuffle),
        orders,
        validation=splits.validation.reorder(shuffle),
        model="nano",
        seed=seed,
    )
    place = int(np.flatnonzero((orders == forward).all(1))[0])
    runner_up = np.delete(profile.loss, place).argmin()
    runner_up += runner_up >= place
    return {
        "rank": int((profile.loss < profile.loss[place]).sum()) + 1,
        "forward_loss": round(float(profile.loss[place]), 5),
        "best_other_loss": round(float(profile.loss[runner_up]), 5),
        "mean_loss": round(float(profile.loss.mean()), 5),
        "precision": profile.settings["precision"],
        "seconds": round(profile.seconds, 1),
    }


def main() -> None:
    cells = [{"task": task, "seed": seed} for task in ("square", "cubic", "relu") for seed in range(10)]
    rows = run_cells("forward_rank", cells, measure)
    print("\n| task | seeds | forward first | ranks | median seconds |\n|---|---|---|---|---|")
    for task in ("square", "cubic", "relu"):
        ranks = [row["rank"] for row in rows if row["task"] == task]
        seconds = np.median([row["seconds"] for row in rows if row["task"] == task])
        print(f"| {task} | {len(ranks)} | {ranks.count(1)} | {', '.join(map(str, ranks))} | {seconds:.0f} |")
    print(f"\nFirst in {sum(row['rank'] == 1 for row in rows)} of {len(rows)}.")


if __name__ == "__main__":
    main()
