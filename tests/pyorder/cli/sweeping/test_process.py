"""Waiting for the process of a cell, with a shell in place of Python: however it ends, a line says so."""

import os
import signal
import sys
import threading
import time

import pytest

from pyorder.cli.sweeping import process
from pyorder.cli.sweeping.process import run_cell


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a cell whose process is a shell script."""

    def run(script, *, going=None, threads=1):
        shell = tmp_path / "shell"
        shell.write_text(f"#!/bin/sh\n{script}\n")
        shell.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(shell))
        return run_cell(["--", "relu"], tmp_path / "cell", where=tmp_path, threads=threads, going=going)

    return run


def test_a_cell_is_a_command_of_its_own_with_threads_of_its_own(run, tmp_path):
    assert run('echo "$@" $OMP_NUM_THREADS; pwd', threads=3) is None
    words = f"-P -m pyorder.cli.sweeping.process {os.getpid()} discover --out {tmp_path}/cell -- relu 3"
    assert (tmp_path / "cell.log").read_text().splitlines() == [words, str(tmp_path)]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'pyorder: error: an old one'; echo 'pyorder: error: length: 3'; exit 2", "length: 3"),
        ("exit 7", "ended with exit code 7; see {log}"),
        ("kill -9 $$", "ended by SIGKILL; see {log}"),
    ],
)
def test_why_a_cell_failed_is_told_in_a_line(run, tmp_path, script, reason):
    log = tmp_path / "cell.log"
    log.write_text("pyorder: error: of another time\n")
    assert run(script) == reason.format(log=log)
    assert log.read_text().startswith("pyorder: error: of another time\n")


def test_a_log_that_cannot_be_written_is_the_reason(run, tmp_path):
    (tmp_path / "cell.log").mkdir()
    assert run("exit 0") == f"{tmp_path}/cell.log: Is a directory"


def test_a_cell_is_asked_to_end_once_the_sweep_is_over(run, tmp_path):
    going, begun = tmp_path / "going", tmp_path / "begun"
    going.touch()

    def end():
        while not begun.exists():
            time.sleep(0.01)
        going.unlink()

    thread = threading.Thread(target=end)
    thread.start()
    script = f"trap 'echo saved; kill $child; exit 143' TERM; sleep 60 & child=$!; touch {begun}; wait"
    assert run(script, going=going) == f"ended with exit code 143; see {tmp_path}/cell.log"
    thread.join()
    assert (tmp_path / "cell.log").read_text() == "saved\n"
    assert run(f"touch {tmp_path}/again", going=going) == "the sweep was over"
    assert not (tmp_path / "again").exists()


def test_a_process_that_does_not_end_when_asked_is_killed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.2)
    assert run("trap '' TERM; while :; do sleep 0.1; done", going=ends_soon(tmp_path)).startswith(
        "ended by SIGKILL"
    )


def ends_soon(folder):
    going = folder / "going"
    going.touch()
    threading.Timer(0.5, going.unlink).start()
    return going


def test_a_cell_whose_parent_is_gone_ends_itself(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda *told: sent.append(told))
    process._follow(os.getpid())  # which is not the parent
    assert sent == [(os.getpid(), signal.SIGTERM)]
