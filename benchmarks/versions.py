"""The same work by two installed versions of pyorder, in turn: profiling, exploration and final training.

`python benchmarks/versions.py OLD NEW [PIECE ...]`, where both are folders made by `pip install --no-deps --target
FOLDER`. A process of each is started once, and both are asked for the same pieces in turn; printed are the seconds
of each and new over old, as 20, 50 and 80 % quantiles. Answers are compared as well: "same bits" says whether
losses and orders are equal to the last bit. Rows are appended to docs/results/versions.jsonl.

Pieces are profiling, exploration and training (all three, if none is named), five times each; and
settled-TASK-LENGTH, the seconds of a whole search to its settled graph, once with each of a few seeds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from timing import machine, quantiles

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "versions.jsonl"
REPEATS = 5
SEEDS = 3

# Runs in either version; every piece is a call of the public face alone.
WORKER = """
import json, sys, time
import torch
torch.set_num_threads(1)
import pyorder
splits = pyorder.make_task("square", length=13).splits(train=60_000, validation=300, test=1000, seed=0)
orders = pyorder.permutations.sample(13, 200, seed=0, distinct=True)
order = orders[0]
strategy = pyorder.search.Precedence(rounds=1, candidates=4)

def profiling():
    result = pyorder.profile(splits.train, orders, validation=splits.validation, steps=100)
    return result.loss.tolist()

def exploration():
    found = pyorder.discover(splits.train, validation=splits.validation, strategy=strategy, steps=1)
    return [found.exploration.benefit.tolist(), found.order.tolist()]

def training():
    fitted = pyorder.fit(splits.train, order, test=splits.test, steps=100)
    return [fitted.loss_curve.tolist(), fitted.success_rate]

def settled(name, length, seed):
    task = pyorder.make_task(name, length=int(length))
    splits = task.splits(train=100_000, validation=1000, test=10, seed=seed)
    found = pyorder.search.discover_shuffled(
        splits.train, validation=splits.validation, steps=1, seed=seed,
        strategy=pyorder.search.Precedence(candidates=4),
    )
    explored, satisfied = found.exploration, pyorder.satisfied_dependencies(found.order, task.dependencies)
    return explored.seconds, [satisfied, explored.settled, explored.rounds[-1].training_steps]

print(json.dumps(pyorder.__version__), flush=True)
for line in sys.stdin:
    piece, *arguments = json.loads(line)
    started = time.perf_counter()
    answer = globals()[piece](*arguments)
    seconds = time.perf_counter() - started
    if piece == "settled":
        seconds, answer = answer
    print(json.dumps([seconds, answer]), flush=True)
"""


class Version:
    """A process that works with the pyorder of one folder."""

    def __init__(self, folder: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(folder).resolve()), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd="/",
        )
        self.version = self.read()

    def read(self):
        """Wait for an answer."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("benchmarks/versions.py: a version ended, see its error above")
        return json.loads(line)

    def work(self, *piece: str | int):
        """Ask for a piece of work, told by its name and arguments: seconds, and what came out."""
        print(json.dumps(piece), file=self.process.stdin, flush=True)
        return self.read()


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit("usage: python benchmarks/versions.py OLD NEW [PIECE ...]")
    old, new = (Version(folder) for folder in sys.argv[1:3])
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    for piece in sys.argv[3:] or ("profiling", "exploration", "training"):
        if piece.startswith("settled-"):
            _, task, length = piece.split("-")
            turns = [("settled", task, int(length), seed) for seed in range(SEEDS if int(length) < 100 else 1)]
            told = [[version.work(*turn) for version in (old, new)] for turn in turns]
        else:
            told = [[version.work(piece) for version in (old, new)] for _ in range(1 + REPEATS)]
        answers = [[turn[side][1] for turn in told] for side in (0, 1)]
        if not piece.startswith("settled-"):
            del told[0]  # the warm-up
        seconds = np.array([[turn[side][0] for side in (0, 1)] for turn in told])
        row = {
            "piece": piece,
            "versions": [old.version, new.version],
            "same_bits": answers[0] == answers[1],
            **({"answers": answers} if piece.startswith("settled-") else {}),
            "old_s": quantiles(seconds[:, 0]),
            "new_s": quantiles(seconds[:, 1]),
            "new_over_old": quantiles(seconds[:, 1] / seconds[:, 0]),
            **machine(),
        }
        print(json.dumps(row), flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
