"""What it costs to be able to go on: the time that a search in a run folder takes to keep its state.

`python benchmarks/checkpoints.py` searches square and relu, L = 40, with the defaults in a run folder, and adds up
the seconds in which anything is written into the journal or gathered for it; states of a run in training are kept
every five seconds here, not every minute. Rows go to docs/results/checkpoints.jsonl, finished cells are skipped;
`python benchmarks/checkpoints.py table` prints what is there.

What is wanted: under 3 % of the time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from study import read_rows, run_named

import pyorder
from pyorder.runs.journal import Journal
from pyorder.training.trainer import Trainer

STUDIES = {
    "search": [{"task": task, "length": 40, "seed": seed} for task in ("square", "relu") for seed in range(2)]
}
EVERY = 5.0  # seconds


WATCHED: dict[type, tuple[str, ...]] = {
    Journal: ("record", "save_state", "drop_states", "forget_states"),
    Trainer: ("state",),
}


@contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds of every call of what keeps states, none of which calls another."""
    seconds: list[float] = []

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                seconds.append(time.perf_counter() - began)

        return call

    with ExitStack() as stack:
        stack.enter_context(patch("pyorder.profiling.profile.SAVE_SECONDS", EVERY))
        for owner, names in WATCHED.items():
            for name in names:
                stack.enter_context(patch.object(owner, name, watched(getattr(owner, name))))
        yield seconds


def measure(task: str, length: int, seed: int) -> dict[str, Any]:
    splits = pyorder.make_task(task, length=length).splits(train=100_000, validation=1_000, test=1, seed=seed)
    with tempfile.TemporaryDirectory() as folder, timed() as keeping:
        began = time.perf_counter()
        pyorder.discover(splits.train, validation=splits.validation, seed=seed, run_dir=f"{folder}/run")
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "keeping": sum(keeping),
        "share": sum(keeping) / seconds,
        "calls": len(keeping),
        "threads": torch.get_num_threads(),
    }


def table() -> None:
    print("| task | L | seed | seconds | of them keeping | share |\n|---|---|---|---|---|---|")
    for row in read_rows("checkpoints", STUDIES["search"]):
        print(
            f"| {row['task']} | {row['length']} | {row['seed']} | {row['seconds']:.0f} | {row['keeping']:.2f} | "
            f"{100 * row['share']:.1f} % |"
        )


if __name__ == "__main__":
    run_named("checkpoints", STUDIES, measure, table)
