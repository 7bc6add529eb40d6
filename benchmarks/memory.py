"""Claims about memory: no stage takes more than 4 bytes a byte of the data, and 3,000,000 rows fit in 1 GB.

`python benchmarks/memory.py`; it exits with 1 where a claim does not hold. The rows are of 20 inputs and 20 steps
of one byte each. Every stage runs in a process of its own, once for each of two numbers of rows; what its peak of
resident memory rises over what was there before, the caller's own data included, is noted. Bytes a row are the
difference of the rises over the difference of the rows, so that constants drop out; a thousand rows go first,
because what is imported on first use would hide what the rows take. The C library is told to give back at once
what is freed (MALLOC_MMAP_THRESHOLD_), or the figures would depend on what it keeps. The whole run is under no
such orders, and its peak is that of the process, torch and all.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from study import RESULTS
from timing import machine

COLUMNS, VALUES, DECLARED = 20, 100, 120  # values that occur, and those that are declared: more, for `compact`
SIZES = (300_000, 900_000)
WHOLE = 3_000_000
MOST_A_ROW, MOST = 4 * 2 * COLUMNS, 10**9


def arrays(rows, kind=np.int8, seed=1):
    """Inputs and targets that only a file, or nothing else, holds: read-only."""
    rng = np.random.default_rng(seed)
    both = [rng.integers(0, VALUES, (rows, COLUMNS), np.int8).astype(kind, copy=False) for _ in range(2)]
    for array in both:
        array.flags.writeable = False
    return both


def dataset(rows, seed=1):
    from pyorder import Dataset

    return Dataset(*arrays(rows, seed=seed), vocabulary=range(DECLARED))


def tokens(rows):
    import torch

    from pyorder.data.tokens import Tokens

    return Tokens.of(dataset(rows), "train", torch.device("cpu"))


def small():
    """A model and the numbers of a run that take no time and little memory."""
    from dataclasses import replace

    from pyorder.training.presets import PRESETS

    nano = PRESETS["nano"]
    architecture = replace(nano.architecture, layers=1, heads=2, width=16, feed_forward=32)
    return architecture, replace(nano.recipe, steps=10, batch_size=64)


def from_arrays(rows, folder):
    from pyorder import Dataset

    inputs, targets = (array.copy() for array in arrays(rows, np.int64))
    return lambda: Dataset(inputs, targets)


def from_npz(rows, folder):
    from pyorder import Dataset

    inputs, targets = arrays(rows, np.int64)
    np.savez(folder / "data.npz", inputs=inputs, targets=targets)
    return lambda: Dataset.load_npz(folder / "data.npz")


def from_safetensors(rows, folder):
    from pyorder import Dataset

    Dataset(*arrays(rows)).save(folder / "data.safetensors")
    return lambda: Dataset.open(folder / "data.safetensors").vocabulary


def encoding(rows, folder):
    import torch

    from pyorder import Dataset
    from pyorder.data.tokens import Tokens

    data = Dataset(*arrays(rows))
    return lambda: Tokens.of(data, "train", torch.device("cpu"))


def splitting(rows, folder):
    data = dataset(rows)
    return lambda: data.split(seed=0)


def shared(rows, folder):
    from pyorder.cli._inputs import shared_inputs

    train, other = dataset(rows), dataset(rows, seed=2)
    return lambda: shared_inputs(train, other)


def exploring(rows, folder):
    from pyorder.dependencies.explorer import Explorer
    from pyorder.models.learner import AnyOrderLearner
    from pyorder.orders.permutations import sample

    given, (architecture, recipe) = tokens(rows), small()

    def explore():
        explorer = Explorer(given, learner=AnyOrderLearner(architecture), recipe=recipe, evidence_rows=256, seed=0)
        explorer.train(sample(COLUMNS, recipe.steps * recipe.batch_size, seed=0))
        explorer.antithetic(256)

    return explore


def profiling(rows, folder):
    from pyorder import profile
    from pyorder.orders.permutations import sample

    train, held, (architecture, recipe) = dataset(rows), dataset(256, seed=2), small()
    orders = sample(COLUMNS, 8, seed=0)
    return lambda: profile(train, orders, validation=held, model=architecture, recipe=recipe, device="cpu")


def fitting(rows, folder):
    from pyorder import fit

    train, test, (architecture, recipe) = dataset(rows), dataset(256, seed=2), small()
    return lambda: fit(train, range(COLUMNS), test=test, model=architecture, recipe=recipe, device="cpu")


def testing(rows, folder):
    from pyorder import fit

    train, test, (architecture, recipe) = dataset(256), dataset(rows, seed=2), small()
    return lambda: fit(train, range(COLUMNS), test=test, model=architecture, recipe=recipe, device="cpu")


STAGES = {
    "Dataset of int64 arrays": (from_arrays, SIZES),
    "Dataset.load_npz, int64": (from_npz, SIZES),
    "Dataset.open and its vocabulary": (from_safetensors, SIZES),
    "vocabulary and Tokens": (encoding, SIZES),
    "Dataset.split": (splitting, SIZES),
    "check of shared inputs": (shared, SIZES),
    "exploring": (exploring, SIZES),
    "loss profiling": (profiling, SIZES),
    "final training": (fitting, SIZES),
    "its test": (testing, (40_000, 100_000)),  # test rows, and they take time
}


def whole(rows, folder):
    """Open a file, split it, explore the training rows and fit them, with a small model and few steps."""
    from pyorder import Dataset

    def run():
        import torch

        from pyorder import fit
        from pyorder.data.tokens import Tokens
        from pyorder.dependencies.explorer import Explorer
        from pyorder.models.learner import AnyOrderLearner
        from pyorder.orders.permutations import sample

        architecture, recipe = small()
        train, _, test = Dataset.open(folder / "data.safetensors").split(seed=0)
        test = test.select(range(256))
        explorer = Explorer(
            Tokens.of(train, "train", torch.device("cpu")),
            learner=AnyOrderLearner(architecture),
            recipe=recipe,
            evidence_rows=256,
            seed=0,
        )
        explorer.train(sample(COLUMNS, recipe.steps * recipe.batch_size, seed=0))
        explorer.antithetic(256)
        del explorer
        fit(train, range(COLUMNS), test=test, model=architecture, recipe=recipe, device="cpu")

    return run


def resident(name):
    """Bytes of this process, now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def rise(stage, rows, folder):
    """Bytes that the peak of a stage is above what there was before it."""
    prepare, _ = STAGES[stage]
    prepare(1_000, Path(folder))()  # what is imported and set up on first use takes hundreds of megabytes
    run = prepare(rows, Path(folder))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    result = run()
    after = resident("VmHWM")
    del result
    return after - before


def in_process(*words, **environment):
    command = [sys.executable, __file__, *map(str, words)]
    threads = {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env={**os.environ, **threads, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout.split()[-1])


def keep(row):
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / "memory.jsonl").open("a") as file:
        file.write(json.dumps({**row, **machine()}) + "\n")


def main():
    held = True
    print("stage                             bytes a row  of each byte of the data")
    for stage, (_, sizes) in STAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            rises = [in_process(stage, rows, folder, MALLOC_MMAP_THRESHOLD_="65536") for rows in sizes]
        a_row = round((rises[1] - rises[0]) / (sizes[1] - sizes[0]), 1)
        print(f"{stage:32} {a_row:12.1f} {a_row / (2 * COLUMNS):24.1f}", flush=True)
        keep({"stage": stage, "rows": sizes, "rise_bytes": rises, "bytes_a_row": a_row})
        held = held and a_row <= MOST_A_ROW
    with tempfile.TemporaryDirectory() as folder:
        in_process("save", WHOLE, folder)
        peak = in_process("whole", WHOLE, folder)
    print(f"{WHOLE:,} rows opened, split, explored and fitted: peak of {peak / 1e6:.0f} MB", flush=True)
    keep({"stage": "whole run", "rows": WHOLE, "peak_bytes": peak})
    sys.exit(0 if held and peak < MOST else 1)


def one(stage, rows, folder):
    if stage == "save":
        from_safetensors(rows, Path(folder))
        return 0
    if stage == "whole":
        whole(rows, Path(folder))()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return rise(stage, rows, folder)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(one(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    else:
        main()
