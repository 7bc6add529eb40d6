"""Whether an order is told from its neighbours in one run, or is first for standing in their middle.

`python benchmarks/centre.py`: square, L = 8, `nano`, sixteen trials, about three minutes on one thread. In each, a
uniformly random order and fifteen random neighbours of it (swaps, insertions, block moves) are profiled together.
By symmetry a neighbour satisfies more dependencies as often as fewer; were the loss fair, the order's rank would
be about uniform from 1 to 16.
"""

from __future__ import annotations

import numpy as np

import pyorder
from pyorder.search._pools import Neighbours

LENGTH, NEIGHBOURS, TRIALS, SEED = 8, 15, 16, 1002


def main() -> None:
    task = pyorder.make_task("square", length=LENGTH)
    splits = task.splits(train=60_000, validation=300, test=1, seed=SEED)
    rng = np.random.default_rng(SEED)
    neighbours = Neighbours(pyorder.posets.Poset(LENGTH), rng)
    assert task.dependencies is not None
    print("| trial | rank of the centre by loss | neighbours that satisfy more dependencies |\n|---|---|---|")
    for trial in range(TRIALS):
        centre = rng.permutation(LENGTH)
        pool = np.concatenate([centre[None], neighbours.draw(centre, NEIGHBOURS)])
        profile = pyorder.profile(splits.train, pool, validation=splits.validation, model="nano", seed=trial)
        rank = int(np.flatnonzero(profile.ranking == 0)[0]) + 1
        satisfied = [pyorder.satisfied_dependencies(order, task.dependencies) for order in pool]
        better = sum(share > satisfied[0] for share in satisfied)
        print(f"| {trial} | {rank} of {len(pool)} | {better} of {len(pool) - 1} |", flush=True)


if __name__ == "__main__":
    main()
