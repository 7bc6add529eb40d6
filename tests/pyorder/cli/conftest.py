import json
import time

import numpy as np
import pytest
import safetensors.numpy

import pyorder.search  # noqa: F401, so that what is timed below is no import
from pyorder.cli import main


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def told(run):
    """Run a command line with --json and give back its one object."""

    def told(*words):
        code, out, err = run(*words, "--json")
        assert code == 0, err
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)

    return told


@pytest.fixture
def refused(run, tmp_path):
    """Run a command line that must be refused, at once, in one line and with nothing written; the line's text."""

    def refused(*words):
        before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
        began = time.process_time()  # what it did, however busy the machine is
        code, out, err = run(*words)
        assert time.process_time() - began < 5
        assert code == 2, err
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("pyorder: error: ")
        assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return err.removeprefix("pyorder: error: ").strip()

    return refused


@pytest.fixture
def own_data(tmp_path):
    """Files of one's own data: 50 rows of 3 inputs and 3 running sums."""

    def write(name="mine.npz", rows=50, **replaced):
        inputs = np.random.default_rng(0).integers(0, 5, (rows, 3))
        arrays = {"inputs": inputs, "targets": inputs.cumsum(1) % 5} | replaced
        if name.endswith(".npz"):
            np.savez(tmp_path / name, **arrays)
        else:
            safetensors.numpy.save_file(arrays, tmp_path / name)
        return tmp_path / name

    return write
