"""The process that measures: reads a request a line, does it on its device, and answers with a row a line.

A request is {"function": ..., "settings": {...}}, a row what the function returns, or {"failed": the last lines of
the error}, with {"restart": true} after a fault that leaves the device of no use to this process. What anyone
prints goes to the standard error.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
import traceback
import xml.etree.ElementTree as ElementTree
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from signal import SIGINT
from typing import Any

import gpt2
import torch
from device import Gpu, copy_bandwidth, matrix_rate, take
from timing import alternate, machine

import kernels
import pyorder
from pyorder.profiling import Profiler
from pyorder.search import Hierarchical, discover_shuffled, make_strategy

CHECKOUT = Path(__file__).resolve().parents[1]
FIRST_FAILURES, ERROR_LINES = 30, 8


def ceilings(device: Gpu) -> dict[str, Any]:
    """What every other number is held against."""
    rates = copy_bandwidth(device), matrix_rate(device)
    return {"copy_terabytes": rates[0] / 1e12, "matrix_teraflops": rates[1] / 1e12}


def tests(device: Gpu, *, arguments: list[str], limit: float) -> dict[str, Any]:
    """Run tests of the installed package in a process of their own; failures are kept in full in a file here."""
    report = Path("tests.xml").resolve()
    report.unlink(missing_ok=True)
    # -P: or the checkout's folder, which has no compiled part, would be imported.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "--tb=long", f"--junitxml={report}", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    stopped = False
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        stopped = True
        process.send_signal(SIGINT)  # pytest then reports what it has
        try:
            said, _ = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    if not report.exists():
        raise RuntimeError("pytest left no report:\n" + "\n".join(said.splitlines()[-ERROR_LINES:]))
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    failures = [
        f"{case.get('classname')}::{case.get('name')}\n{problem.text}"
        for case in suite.iter("testcase")
        for problem in case
        if problem.tag in ("failure", "error")
    ]
    report.unlink()
    name = "-".join(word.replace("/", "_") for word in arguments if not word.startswith("-"))
    kept = Path(f"gpu-failures-{name}.txt")
    kept.write_text(f"{len(failures)} failed\n\n" + f"\n\n{'=' * 100}\n".join(failures[:FIRST_FAILURES]) + "\n")
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return {
        "failures": counts["failures"] + counts["errors"],
        "passed": counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"],
        "skipped": counts["skipped"],
        "stopped_at_its_limit": stopped,
        "kept": kept.name,
    }


def training_step(device: Gpu, **settings: Any) -> dict[str, Any]:
    return {**gpt2.training(device.type, **settings), "peak_bytes": device.peak_bytes()}


def evaluation(device: Gpu, **settings: Any) -> dict[str, Any]:
    return {**gpt2.evaluation(device.type, **settings), "peak_bytes": device.peak_bytes()}


def kernel(
    device: Gpu, *, case: str, rows: int, length: int, values: int, dtype: str, repeats: int
) -> dict[str, Any]:
    size = kernels.Size(rows, length, values, dtype)
    row = kernels.measure_size(device, case, size, copy_bandwidth(device), repeats)
    by_side = {f"{key}_by_side": row.pop(key) for key in ("graph_us", "eager_us", "of_copy")}
    return {
        "graph_us": by_side["graph_us_by_side"]["pyorder"],
        "of_copy": by_side["of_copy_by_side"]["pyorder"],
        **row,
        **by_side,
        "liger": "Liger" in by_side["eager_us_by_side"],
    }


def discovery(
    device: Gpu,
    *,
    task: str,
    length: int,
    options: dict[str, Any],
    train: int,
    validation: int,
    steps: int | None,
    batch_size: int | None,
    seed: int = 0,
) -> dict[str, Any]:
    """Run a whole search, defaults, the columns shuffled in secret."""
    strategy = make_strategy("precedence" if options else "auto", length, **options)
    found, told = _search(
        device, task, length, train, validation, seed, strategy=strategy, steps=steps, batch_size=batch_size
    )
    explored = {}
    if found.exploration is not None:
        explored = {
            "explored_s": found.exploration.seconds,
            "rounds": len(found.exploration.rounds),
            "course": [
                [round(one.graph_loss, 4), one.dependencies, one.gained, one.withdrawn, round(one.seconds, 2)]
                for one in found.exploration.rounds
            ],
            "runs_s": [round(stage.profile.seconds, 3) for stage in found.history],
        }
    return {**told, "right": told["satisfied"] == 1, "converged": found.converged, **explored}


def published_search(
    device: Gpu,
    *,
    task: str,
    length: int,
    depth: int,
    train: int,
    validation: int,
    steps: int | None,
    batch_size: int | None,
) -> dict[str, Any]:
    strategy = Hierarchical(depth=depth, direction=False, inside="each", between="rotations")
    found, told = _search(
        device, task, length, train, validation, seed=0,
        strategy=strategy, model="small", steps=steps, batch_size=batch_size,
    )  # fmt: skip
    return {**told, "profiling_runs": found.runs, "rows_scored": found.cost.rows_scored}


def _search(device: Gpu, task: str, length: int, train: int, validation: int, seed: int, **arguments: Any) -> Any:
    """A search on a task's data, and what is told of any."""
    made = pyorder.make_task(task, length=length)
    splits = made.splits(train=train, validation=validation, test=1, seed=seed)
    found = discover_shuffled(
        splits.train, validation=splits.validation, device=device.type, seed=seed, **arguments
    )
    return found, {
        "taken_s": found.seconds,
        "satisfied": pyorder.satisfied_dependencies(found.order, made.dependencies),
        "training_steps": found.cost.training_steps,
        "order": found.order.tolist(),
        "peak_bytes": device.peak_bytes(),
    }


def profiling(device: Gpu, *, length: int, orders: int, train: int, validation: int, **numbers: Any) -> Any:
    """A profiler of square at this length, and a pool."""
    splits = pyorder.make_task("square", length=length).splits(train=train, validation=validation, test=1, seed=0)
    profiler = Profiler(splits.train, splits.validation, model="small", device=device.type, **numbers)
    return profiler, pyorder.permutations.sample(length, orders, seed=0, distinct=True)


def profiling_run(device: Gpu, **settings: Any) -> dict[str, Any]:
    profiler, pool = profiling(device, **settings)
    first, second = (profiler.profile(pool, seeds=range(1)).seconds for _ in range(2))
    return {"taken_s": first, "again_s": second, "peak_bytes": device.peak_bytes()}


def costliest_launches(device: Gpu, **settings: Any) -> dict[str, Any]:
    """Look at a profiling run whose graph is captured already."""
    profiler, pool = profiling(device, **settings)
    profiler.profile(pool, seeds=range(1))
    seen = device.launches(lambda: profiler.profile(pool, seeds=range(1)))
    total = sum(taken for _, _, taken in seen)
    return {
        "launches_a_step": sum(count for _, count, _ in seen) / profiler.recipe.steps,  # those of scoring too
        "costliest": [
            {"name": name[:120], "count": count, "us": round(taken, 1), "share": round(taken / total, 3)}
            for name, count, taken in seen[:5]
        ],
    }


def eight_seeds(device: Gpu, *, seeds: int, repeats: int, **settings: Any) -> dict[str, Any]:
    profiler, pool = profiling(device, **settings)
    taken = alternate(
        lambda: profiler.profile(pool, seeds=range(1)), lambda: profiler.profile(pool, seeds=range(seeds)), repeats
    )
    return {
        "ratio": taken["ratio"],
        "one_s": taken["ours_s"],
        "all_s": taken["theirs_s"],
        "peak_bytes": device.peak_bytes(),
    }


def about(device: Gpu) -> dict[str, Any]:
    """The card and the versions, which every row has."""
    found = {}
    for name in ("triton", "transformers", "liger-kernel"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return {
        "device": device.name,
        "cuda": torch.version.cuda,
        **found,
        **machine(),
        "system": platform.platform(),
    }


def without_folders(said: str) -> str:
    """A traceback with the last two parts of every path: rows are read elsewhere."""
    return re.sub(r'File "[^"]*?([^"/]+/[^"/]+)"', r'File "\1"', said)


def usable(device: Gpu) -> bool:
    """Whether the device still answers: after a fault of a kernel it does not in this process."""
    try:
        device.wait()
    except RuntimeError:
        return False
    return True


def answer(device: Gpu, request: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        device.clear()
        row = globals()[request["function"]](device, **request["settings"])
        device.wait()
    except Exception:
        said = without_folders(traceback.format_exc())
        print(said, file=sys.stderr, flush=True)
        row = {"failed": "\n".join(said.splitlines()[-ERROR_LINES:]), "restart": not usable(device)}
    return row | {"seconds": round(time.perf_counter() - started, 3)}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed is no row
    device = take()
    print(json.dumps(about(device)), file=channel, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(device, json.loads(line))), file=channel, flush=True)


if __name__ == "__main__":
    main()
