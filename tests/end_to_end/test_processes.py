"""`torchrun -m pyorder`: two processes do what one does, and a run that lost one of them goes on later."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pyorder.cli import main
from pyorder.runs.folder import load_run

SECONDS = 60  # that a run, or its end, may take
DATA = "square --length 5 --train-rows 600 --validation-rows 50 --test-rows 20"
HOW = "--strategy precedence --option rounds=3 --option racers=0 --steps 60 --batch-size 33"
SEARCH = f"discover {DATA} {HOW} --no-fit --json".split()


def start(folder, *words):
    """Start a command in two processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "pyorder", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Its exit code, and what it wrote; it is ended with all that it has started if it takes too long."""
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes, and kills those that do not heed it
        process.communicate(timeout=SECONDS)
        raise
    return process.returncode, output, errors


def last_worker(process):
    """The process of rank 1 among those that torchrun has started."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if "RANK=1" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return int(child)
    raise AssertionError("there is none")


def started_second_round(folder):
    process, path = start(folder, *SEARCH, "--out", "run"), folder / "run" / "search" / "journal" / "00008-train"
    limit = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, ended(process)
        assert time.monotonic() < limit, ended(process)
        time.sleep(0.05)
    return process


def lines(errors):
    """What pyorder said of its end, beside torchrun."""
    return [line for line in errors.splitlines() if line.startswith("pyorder:")]


def found(folder):
    run = load_run(folder / "run" / "search")
    return run.result, run.history()


def check_same(one, other):
    (told, history), (again, history_again) = one, other
    assert (again["order"], again["verdict"]) == (told["order"], told["verdict"])
    for before, after in zip(history, history_again, strict=True):
        np.testing.assert_array_equal(after.orders, before.orders)
        np.testing.assert_allclose(after.loss, before.loss, atol=1e-4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    assert main([*SEARCH, "--out", str(folder / "run")]) == 0
    return found(folder)


def test_two_processes_find_what_one_finds(tmp_path, alone):
    code, output, errors = ended(start(tmp_path, *SEARCH, "--out", "run"))
    assert code == 0, errors
    assert json.loads(output)["order"] == alone[0]["order"]
    assert errors.count("search: round 1: training") <= 1  # the other is silent
    check_same(found(tmp_path), alone)


def test_a_process_that_is_killed_ends_the_run_and_one_process_goes_on(tmp_path, alone):
    process = started_second_round(tmp_path)
    os.kill(last_worker(process), signal.SIGKILL)
    code, _, errors = ended(process)
    assert code != 0
    assert len(lines(errors)) == 1
    kept = sorted(path.name for path in (tmp_path / "run" / "search" / "journal").glob("[0-9]*"))
    assert "00008-train" in kept
    assert main([*SEARCH, "--out", str(tmp_path / "run")]) == 0
    check_same(found(tmp_path), alone)


def test_sigterm_saves_what_was_found(tmp_path):
    process = started_second_round(tmp_path)
    process.terminate()
    code, _, errors = ended(process)
    assert code != 0
    (line,) = lines(errors)
    assert line.startswith("pyorder: interrupted; the best order so far: ")
    assert line.endswith("saved in run/search; the same command, with --out run, goes on from there")
    assert not found(tmp_path)[0]["converged"]


def test_bad_input_is_one_line(tmp_path):
    words = ["profile", "square", "--length", "5", "--random", "3", "--batch-size", "1"]
    code, output, errors = ended(start(tmp_path, *words))
    assert code != 0
    assert output == ""
    assert lines(errors) == ["pyorder: error: batch_size: 1 rows a step cannot be shared by 2 processes"]
    assert "exitcode  : 2" in errors  # of the command; torchrun's own is 1
