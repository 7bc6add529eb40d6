"""One call in several processes beside the same in one: whether it finds the same, and in what time.

`python benchmarks/processes.py [N]`, of N processes, two if it is not said: `discover` and `profile`, square,
L = 40. Every process has a thread of its own. Both are run twice, in turn; seconds are of the call, without
imports. Rows go to docs/results/processes.jsonl, finished cells are skipped; `python benchmarks/processes.py
table` prints what is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from study import read_rows, run_cells

LENGTH, ORDERS, TURNS = 40, 720, 2
TOLERANCE = 1e-3  # nats a step, of every loss that ranks an order
CALLS = ("profile", "discover")


def work(name: str, folder: Path) -> None:
    """Make a call in this process, which may be one of several, and keep what the first of them finds."""
    import pyorder
    from pyorder.world import World

    splits = pyorder.make_task("square", length=LENGTH).splits(train=20_000, validation=200, test=1, seed=0)
    with World.launched("cpu") as world:
        common: dict[str, Any] = {
            "validation": splits.validation,
            "precision": "float32",
            "seed": 0,
            "device": world,
        }
        start = time.perf_counter()
        if name == "profile":
            pool = pyorder.permutations.sample(LENGTH, ORDERS, seed=0, distinct=True)
            profiles = [pyorder.profile(splits.train, pool, steps=100, **common)]
            found = {"order": profiles[0].best}
        else:
            short = pyorder.search.Precedence(rounds=3, samples=256, candidates=8, racers=0)
            search = pyorder.discover(splits.train, strategy=short, steps=50, **common)
            profiles = [stage.profile for stage in search.history]
            found = {"order": search.order, "edges": search.graph.edges}
        found["seconds"] = time.perf_counter() - start
        found |= {f"loss {number}": one.loss for number, one in enumerate(profiles)}
        if world.writes:
            np.savez(folder / "found.npz", **found)


def run(name: str, processes: int) -> dict[str, Any]:
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, *launcher, __file__, "work", name, folder]
        subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=sys.stderr)
        with np.load(Path(folder) / "found.npz") as found:
            return dict(found)


def edges_apart(one: dict[str, Any], several: dict[str, Any]) -> int:
    """How many dependencies only one of them has found; none where nothing looks for them."""
    edges = [{tuple(edge) for edge in found.get("edges", np.empty((0, 2))).tolist()} for found in (one, several)]
    return len(edges[0] ^ edges[1])


def measure(call: str, processes: int) -> dict[str, Any]:
    pairs = [(run(call, 1), run(call, processes)) for _ in range(TURNS)]
    losses = [key for key in pairs[0][0] if key.startswith("loss")]
    apart = max(float(np.abs(one[key] - several[key]).max()) for one, several in pairs for key in losses)
    same = all(np.array_equal(one["order"], several["order"]) for one, several in pairs)
    assert same, "another order"
    assert apart <= TOLERANCE, f"losses lie {apart} nats apart"
    seconds = [[float(found["seconds"]) for found in pair] for pair in pairs]
    return {
        "same_order": same,
        "edges_apart": [edges_apart(*pair) for pair in pairs],
        "losses_apart": apart,
        "seconds_one": [pair[0] for pair in seconds],
        "seconds_several": [pair[1] for pair in seconds],
        "ratio": [pair[0] / pair[1] for pair in seconds],
        "load": os.getloadavg()[0],
    }


def cells(processes: int) -> list[dict[str, Any]]:
    return [{"call": name, "processes": processes} for name in CALLS]


def table() -> None:
    heads = ["call", "processes", "order", "losses apart, nats a step", "s, one", "s, several", "ratio"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in read_rows("processes", [cell for processes in range(2, 65) for cell in cells(processes)]):
        seconds = [" ".join(f"{value:.0f}" for value in row[f"seconds_{which}"]) for which in ("one", "several")]
        ratio = " ".join(f"{value:.2f}" for value in row["ratio"])
        same = "the same" if row["same_order"] else "another"
        facts = [row["call"], str(row["processes"]), same, f"{row['losses_apart']:.1g}", *seconds, ratio]
        print(f"| {' | '.join(facts)} |")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["work", name, folder]:
            work(name, Path(folder))
        case ["table"]:
            table()
        case words:
            run_cells("processes", cells(int(*words) if words else 2), measure)
