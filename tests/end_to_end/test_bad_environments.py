"""Streams, signals and settings that fail: work goes on, the order is told, and the exit code says what was."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-P", "-m", "pyorder"]
SEARCH = [
    *("discover", "square", "--length", "4", "--train-rows", "600", "--validation-rows", "40"),
    *("--test-rows", "60", "--strategy", "random", "--option", "candidates=6", "--steps", "3"),
    *("--fit-model", "nano", "--fit-steps", "3", "--device", "cpu", "--precision", "float32", "--out", "run"),
]
TRAIN = ["train", *SEARCH[1:10], "--order", "forward", "--model", "nano", "--steps", "3", "--device", "cpu"]


def command(folder, words, redirected="", **environment):
    """Run a command in a shell that redirects its streams; what comes of it."""
    quoted = " ".join(f"'{word}'" for word in [*COMMAND, *words])
    return subprocess.run(
        ["bash", "-c", f"{quoted} {redirected}; code=${{PIPESTATUS[0]}}; exit $code"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=120,
        env=os.environ | environment,
    )


def finished(folder):
    result = json.loads((folder / "run" / "result.json").read_text())
    return result["complete"] and sorted(result["order"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", "2> >(exit)"])
def test_progress_that_cannot_be_written_is_dropped(tmp_path, redirected):
    done = command(tmp_path, TRAIN, redirected)
    assert done.returncode == 0
    assert "success: share of" in done.stdout
    assert "training: " not in done.stdout  # which is no place for progress


def test_results_that_cannot_be_printed_are_told_and_training_goes_on(tmp_path):
    nowhere = str(Path(__file__) / "nowhere")  # below a file
    done = command(tmp_path, SEARCH, ">/dev/full", MPLBACKEND="nonsense", HOME=nowhere, MPLCONFIGDIR=nowhere)
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert last == "pyorder: error: standard output cannot be written: [Errno 28] No space left on device"
    order = ",".join(map(str, json.loads((tmp_path / "run" / "result.json").read_text())["order"]))
    assert any(line.split() == ["order", order] for line in lines)
    assert any(line.startswith("trained on") for line in lines)
    assert any(line.startswith("pyorder: no more pictures: ") and "nonsense" in line for line in lines)
    assert finished(tmp_path)


@pytest.mark.parametrize(("redirected", "why"), [(">&-", "it is closed"), ("| true", "[Errno 32] Broken pipe")])
def test_results_without_a_reader_are_told_where_work_was_done(tmp_path, redirected, why):
    done = command(tmp_path, TRAIN, redirected)
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert last == f"pyorder: error: standard output cannot be written: {why}"
    assert any(line.startswith("success: share of") for line in lines)


def test_who_reads_the_first_lines_only_is_not_given_the_others(tmp_path):
    done = command(tmp_path, ["tasks"], "| true")
    assert done.returncode == 1
    assert done.stderr == "pyorder: error: standard output cannot be written: [Errno 32] Broken pipe\n"


def test_letters_that_a_terminal_lacks_are_replaced(tmp_path):
    done = command(tmp_path, ["tasks"], PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "y_i = (x_i? + y_{i-1}?) mod 19" in done.stdout


# Ends the process of a command as soon as it imports this, and is called as Python starts.
INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("name", ["pyorder.cli", "typer", "torch"])
def test_an_interrupt_in_the_imports_is_one_line(tmp_path, name):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED.format(name=name))
    done = command(tmp_path, SEARCH, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert done.returncode == 130
    assert done.stderr == "pyorder: interrupted; nothing new was kept\n"
    assert not (tmp_path / "run").exists()


def test_tests_start_commands_that_can_be_interrupted(tmp_path):
    """Also where whoever started the tests ignores interrupts, which a process hands on."""
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
