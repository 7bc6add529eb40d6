"""Claims about data: generation is fast and scales, and files cost no more than their bytes.

Run as ``python benchmarks/data.py``. Answers are checked first. What is compared is timed alternately in one
run, because the machine's speed drifts; each row is a ratio or a time with its 20, 50 and 80 % quantiles.
"""

import datetime
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import safetensors.numpy as official

from pyorder.dataset import Dataset
from pyorder.tasks import make_task

ROWS, LENGTH, REPEATS = 100_000, 100, 15


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(name, values, unit):
    low, middle, high = np.quantile(values, [0.2, 0.5, 0.8])
    print(f"{name:<58} {low:8.3f} {middle:8.3f} {high:8.3f}  {unit}")


def check_answers(task, data, folder):
    x = data.inputs.astype(np.int64)
    y = x[:, 0]
    for step in range(1, LENGTH):
        y = np.maximum(x[:, step] + y, 0)
        assert np.array_equal(y, data.targets[:, step])
    again = task.generate(ROWS, seed=1, threads=2)
    assert np.array_equal(again.inputs, data.inputs)
    data.save(folder / "check")
    for theirs in (Dataset.open(folder / "check"), Dataset(**official.load_file(folder / "check"))):
        assert np.array_equal(theirs.inputs, data.inputs)
        assert np.array_equal(theirs.targets, data.targets)


def write_plainly(path, chunks):
    with open(path, "wb", buffering=0) as file:
        for chunk in chunks:
            file.write(chunk)
        os.fsync(file.fileno())


def main():
    task = make_task("relu", length=LENGTH)
    data = task.generate(ROWS, seed=1, threads=1)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        check_answers(task, data, folder)
        print(
            f"{datetime.date.today()}  {os.cpu_count()} x {processor()}, pyorder {version('pyorder')}, "
            f"numpy {np.__version__}, Python {platform.python_version()}"
        )
        print(f"{'quantiles of ' + str(REPEATS) + ' repeats':<58} {'20 %':>8} {'50 %':>8} {'80 %':>8}")

        stored = Dataset.open(folder / "check")  # in the smallest type, as on disk
        chunks = [stored.inputs.copy(), stored.targets.copy()]
        mebibytes = sum(chunk.nbytes for chunk in chunks) / 2**20
        times = {key: [] for key in ("one", "two", "save", "plain", "open", "read")}
        for _ in range(REPEATS):
            times["one"].append(seconds(lambda: task.generate(ROWS, seed=1, threads=1)))
            times["two"].append(seconds(lambda: task.generate(ROWS, seed=1, threads=2)))
            times["plain"].append(seconds(lambda: write_plainly(folder / "plain", chunks)))
            times["save"].append(seconds(lambda: data.save(folder / "saved")))
            times["open"].append(seconds(lambda: Dataset.open(folder / "saved")))
            times["read"].append(seconds(lambda: (folder / "plain").read_bytes()))
    times = {key: np.array(values) for key, values in times.items()}
    row(
        f"generate {ROWS:,} rows of relu, L = {LENGTH}, 1 thread",
        times["one"],
        "s (claim: < 0.1 on two cores)",
    )
    row("the same, 2 threads", times["two"], "s (claim: < 0.1 on two cores)")
    row("1 thread / 2 threads", times["one"] / times["two"], "x")
    row(f"save them, {mebibytes:.0f} MiB on disk", times["save"], "s")
    row("save / plain write and fsync of as many bytes", times["save"] / times["plain"], "x (claim: < 2)")
    row("open, memory-mapped", times["open"] * 1000, "ms")
    row("open / plain read of as many bytes", times["open"] / times["read"], "x")


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(": ")[1].strip() for line in file if line.startswith("model name")), "CPU")


if __name__ == "__main__":
    main()
