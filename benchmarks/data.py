"""Claims about data: generation is fast and scales, files cost no more than their bytes, equal rows are found.

`python benchmarks/data.py`. Answers are checked first. What is compared is timed in turn in one run, because a
machine's speed drifts; times and ratios as [20 %, 50 %, 80 %] quantiles; a ratio above 1 means that pyorder is
faster.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy as official
from timing import alone, alternate, machine, show

from pyorder.data._groups import group_rows
from pyorder.data.dataset import Dataset
from pyorder.data.tasks import make_task

ROWS, LENGTH, REPEATS = 100_000, 100, 15


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


def number_by_dict(rows):
    numbers = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows])


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
        show("100,000 rows of relu, L = 100, one thread", {**alone(generate(task, 1), REPEATS), **machine()})
        show("100,000 rows of relu, L = 100, two threads", {**alone(generate(task, 2), REPEATS), **machine()})
        scaling = alternate(generate(task, 2), generate(task, 1), REPEATS)
        show("two threads against one", {**scaling, **machine()})

        stored = Dataset.open(folder / "check")  # in the smallest type, as on disk
        chunks = [stored.inputs.copy(), stored.targets.copy()]

        def save_and_map():
            data.save(folder / "saved")
            Dataset.open(folder / "saved")

        saved = alternate(save_and_map, lambda: write_plainly(folder / "plain", chunks), REPEATS)
        size = {"mebibytes": round(sum(chunk.nbytes for chunk in chunks) / 2**20, 1)}
        inputs = np.random.default_rng(1).integers(0, 100, (3_000_000, 20)).astype(np.int8)
        few = inputs[:100_000]
        assert np.array_equal(group_rows(few[:, :2].copy()), number_by_dict(few[:, :2]))
        numbered = alternate(lambda: group_rows(few), lambda: number_by_dict(few), REPEATS)
        show("numbering 100,000 inputs of 20 bytes against a dict of them", {**numbered, **machine()})
        show("numbering 3,000,000 of them", {**alone(lambda: group_rows(inputs), REPEATS), **machine()})

        show("saving and mapping against a plain write and fsync", {**size, **saved, **machine()})


def generate(task, threads):
    return lambda: task.generate(ROWS, seed=1, threads=threads)


if __name__ == "__main__":
    main()
