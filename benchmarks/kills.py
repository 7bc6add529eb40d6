"""A command that is killed at random moments and asked for again until it ends, beside one that is left alone.

`python benchmarks/kills.py [NAME ...]`, of SIGKILL, SIGTERM and full-disk: twenty runs each of a `pyorder
discover` with final trainings (square, L = 5), killed at up to three moments that are drawn from the time that a
run takes left alone; and five with a disk whose room is drawn from the bytes of such a run, which go on once there
is more. The room is counted as files take their places, and what exceeds it refused as the system would: no file
system of its own is needed. Equal is every number but those of the clock, and every weight. Rows go to
docs/results/kills.jsonl, finished cells are skipped; `python benchmarks/kills.py table` prints what is there.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from study import read_rows, run_named

from pyorder.data.files import read_safetensors

RUNS, KILLS, FULL = 20, 3, "full-disk"
WORDS = [
    *("discover", "square", "--length", "5", "--train-rows", "4000", "--validation-rows", "100"),
    *("--test-rows", "300", "--steps", "150", "--fit-model", "nano", "--fit-steps", "300", "--device", "cpu"),
    *("--precision", "float32", "--json", "--out"),
]
STUDIES = {
    name: [{"signal": name, "number": number} for number in range(runs)]
    for name, runs in (("SIGKILL", RUNS), ("SIGTERM", RUNS), (FULL, 5))
}
COMMAND = "import sys; from pyorder.__main__ import run; sys.exit(run())"
ON_A_SMALL_DISK = """
import os
left, replace = [{room}], os.replace
def counted(source, target):
    left[0] -= os.path.getsize(source)
    if left[0] < 0:
        raise OSError(28, "No space left on device", os.fspath(target))
    replace(source, target)
os.replace = counted
"""


def start(folder: Path, before: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", before + COMMAND, *WORDS, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def kept(folder: Path) -> Iterator[tuple[str, Any]]:
    """All that a run leaves but for pictures and what the clock says."""
    for path in sorted(folder.rglob("*.safetensors")):
        for name, array in read_safetensors(path)[0].items():
            yield f"{path.relative_to(folder)} {name}", array.tolist()
    for path in sorted(folder.rglob("result.json")):
        yield str(path.relative_to(folder)), untimed(json.loads(path.read_text()))


def untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: untimed(item) for name, item in value.items() if name != "seconds"}
    return [untimed(item) for item in value] if isinstance(value, list) else value


@cache
def alone() -> tuple[dict[str, Any], float, int]:
    """What a run leaves that is left alone, its seconds, and its bytes; it writes more on the way."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        out, _ = start(Path(folder, "run")).communicate()
        assert out
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        return dict(kept(Path(folder, "run"))), seconds, size


def measure(number: int, **cell: str) -> dict[str, Any]:
    wanted, seconds, size = alone()
    rng = np.random.default_rng([number, 8])
    moments = rng.uniform(0.1, seconds, size=int(rng.integers(1, KILLS + 1))).tolist()
    codes = []
    if cell["signal"] == FULL:
        return measure_full(rng, wanted, size)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "run")
        for moment in [*moments, None]:
            process = start(folder)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            process.send_signal(getattr(signal, cell["signal"]))
            process.communicate()
            codes.append(process.returncode)
        found = dict(kept(folder))
    return {"moments": moments, "codes": codes, "seconds_alone": seconds} | compared(wanted, found)


def measure_full(rng: np.random.Generator, wanted: dict[str, Any], size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as parent:
        folder, codes = Path(parent, "run"), []
        room = int(rng.uniform(0, size))
        for before in (ON_A_SMALL_DISK.format(room=room), ""):
            process = start(folder, before)
            process.communicate()
            codes.append(process.returncode)
        found = dict(kept(folder))
    return {"room": room, "codes": codes} | compared(wanted, found)


def compared(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    differ = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    return {"equal": not differ, "differ": differ}


def table() -> None:
    print("| what happens | runs | ended early | equal to a run left alone |\n|---|---|---|---|")
    for name, cells in STUDIES.items():
        rows = read_rows("kills", cells)
        kills = sum(code not in (0, None) for row in rows for code in row["codes"])
        print(f"| {name} | {len(rows)} | {kills} | {sum(row['equal'] for row in rows)} of {len(rows)} |")


if __name__ == "__main__":
    run_named("kills", STUDIES, measure, table)
