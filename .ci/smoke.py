"""Try an installed wheel, whose file is named, on a machine without a compiler: `python -I .ci/smoke.py WHEEL`."""

import doctest
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

import pyorder


def command(*words: str) -> str:
    """What a command of pyorder prints on standard output."""
    return subprocess.run([pyorder_command, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


wheel = Path(sys.argv[1]).name
pyorder_command = Path(sys.executable).with_name("pyorder")
assert not any(map(shutil.which, ("cc", "c++", "gcc", "g++", "clang", "clang++"))), "a compiler is on the path"
assert "manylinux" in wheel, f"{wheel} is for no Linux but this one"
assert wheel.split("-")[1] == pyorder.__version__
assert command("--version") == f"pyorder {pyorder.__version__}\n"
assert set(pyorder.task_names()) <= set(command("tasks").split())

tiny = "--train-rows 600 --validation-rows 40 --strategy random --steps 5 --no-fit --json"  # any order, in seconds
found = json.loads(command("discover", "square", "--length", "4", *tiny.split()))
assert sorted(found["order"]) == [0, 1, 2, 3]
assert found["search"]["training_steps"] > 0

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "rows.safetensors"
    arrays = {"inputs": np.array([[1], [2]]), "targets": np.array([[3, 4], [5, 6]])}
    safetensors.numpy.save_file(arrays, file)
    assert pyorder.Dataset.open(file).targets.tolist() == [[3, 4], [5, 6]]

examples = doctest.testmod(pyorder.permutations)
assert examples.attempted > 0
assert examples.failed == 0
print(f"{wheel}: works on Python {sys.version.split()[0]}")
