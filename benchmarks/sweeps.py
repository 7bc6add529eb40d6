"""A sweep whose whole process group is killed at random moments and asked for again, beside one left alone.

`python benchmarks/sweeps.py [SEED]` sweeps 24 small cells (two tasks, two lengths, two strategies, three seeds),
two at once, kills the sweep with SIGKILL at three moments drawn from the time that the other one took, and lets it
end. Kept, and run once, is a cell that had finished at a kill and whose result and log are as they were then;
equal is the table but for seconds and folders. Rows go to docs/results/sweeps.jsonl, finished cells are skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from study import run_cells

from pyorder.cli.sweeping.plan import read_cells
from pyorder.runs.claim import has_ended

KILLS = 3
PLAN = """
tasks = ["square", "relu"]
lengths = [3, 4]
strategies = [{name = "random", candidates = 6}, {name = "greedy", completions = 2}]
seeds = [1000, 1001, 1002]
[options]
train-rows = 600
validation-rows = 40
test-rows = 60
steps = 5
fit-model = "nano"
fit-steps = 5
device = "cpu"
precision = "float32"
"""
COMMAND = [sys.executable, "-P", "-m", "pyorder", "sweep", "sweep.toml", "--jobs", "2", "--json", "--out"]


def start(parent: Path, name: str) -> subprocess.Popen[str]:
    """Begin a sweep in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, name],
        cwd=parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def table(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What comes out of a sweep that is left to end, but for seconds and folders."""
    out, _ = process.communicate()
    assert process.returncode == 0, process.returncode
    rows = json.loads(out)["cells"]
    return [{name: value for name, value in row.items() if name not in ("seconds", "folder")} for row in rows]


def finished(folder: Path, names: list[str]) -> dict[str, tuple[int, str]]:
    """The cells that have finished: when their results were written, and what their searches have said."""
    return {
        name: ((folder / name / "result.json").stat().st_mtime_ns, (folder / f"{name}.log").read_text())
        for name in names
        if has_ended(folder / name)
    }


def measure(cells: int, kills: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 18])
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        (parent / "sweep.toml").write_text(PLAN)
        names = [cell.name for cell in read_cells(parent / "sweep.toml")]
        assert len(names) == cells
        began = time.perf_counter()
        wanted = table(start(parent, "alone"))
        seconds = time.perf_counter() - began
        moments = sorted(rng.uniform(0, seconds, size=kills).tolist())
        kept, at_kills = {}, []
        for begin, end in zip([0.0, *moments], moments, strict=False):
            process = start(parent, "killed")
            with suppress(subprocess.TimeoutExpired):
                process.wait(end - begin)
            with suppress(ProcessLookupError):  # it may have ended
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            now = finished(parent / "killed", names)
            at_kills.append(len(now))
            kept = {**now, **kept}  # as it was when it was first seen
        found = table(start(parent, "killed"))
        last = finished(parent / "killed", names)
    changed = [cell for cell in kept if kept[cell] != last[cell]]
    return {
        "moments": moments,
        "seconds_alone": seconds,
        "finished_at_kills": at_kills,
        "kept_and_run_once": len(kept) - len(changed),
        "changed": changed,
        "finished": len(last),
        "equal": found == wanted,
        "differ": [row["cell"] for row, other in zip(found, wanted, strict=True) if row != other],
    }


if __name__ == "__main__":
    run_cells(
        "sweeps", [{"cells": 24, "kills": KILLS, "seed": int(word)} for word in sys.argv[1:] or ["0"]], measure
    )
