"""The command line as a user runs it: in processes of its own."""

import json
import os
import signal
import subprocess
import sys

import pytest
from matplotlib.image import imread

import pyorder

COMMAND = [sys.executable, "-m", "pyorder"]
SETTINGS = [
    "--fit-model",
    "nano",
    "--fit-steps",
    "300",
    "--steps",
    "150",
    "--precision",
    "float32",
    "--device",
    "cpu",
]
ROWS = ["--train-rows", "4000", "--validation-rows", "100", "--test-rows", "300"]


def pyorder_command(*words, folder):
    return subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("command")


@pytest.fixture(scope="module")
def discovered(folder):
    words = ["discover", "square", "--length", "5", *ROWS, *SETTINGS, "--json", "--out", "runs/square5"]
    return pyorder_command(*words, folder=folder)


def test_a_discovered_order_is_learned_where_its_reverse_is_not(discovered):
    assert discovered.returncode == 0, discovered.stderr
    result = json.loads(discovered.stdout)
    fits = result["fits"]
    assert fits["discovered"]["dependencies_satisfied"] > fits["reverse"]["dependencies_satisfied"]
    assert fits["discovered"]["success_interval"][0] > fits["reverse"]["success_interval"][1] + 0.3
    assert result["search"]["strategy"] == "precedence"
    assert result["search"]["converged"] is True


def test_progress_goes_to_standard_error_in_plain_lines(discovered):
    lines = discovered.stderr.splitlines()
    assert lines[0].startswith("search: round 1: ")
    assert any(line.startswith("random order: final training: ") for line in lines)
    assert "\x1b" not in discovered.stderr
    assert len(lines) < 60


def test_success_is_that_of_a_fit_on_the_same_order(discovered):
    result = json.loads(discovered.stdout)
    splits = pyorder.make_task("square", length=5).splits(4000, 100, 300, seed=0)
    settings = {"test": splits.test, "model": "nano", "steps": 300, "precision": "float32", "device": "cpu"}
    refit = pyorder.fit(splits.train, result["order"], **settings)
    assert refit.success_rate == result["fits"]["discovered"]["success_rate"]


def test_the_run_is_reported_with_pictures(discovered, folder):
    done = pyorder_command("report", "runs/square5", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    fits = json.loads(discovered.stdout)["fits"]
    for fitted in fits.values():
        told = ", ".join(fitted["called"])
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{told} ")]
        assert f"{100 * fitted['success_rate']:.2f} %" in line
    for picture in ("candidates.png", "order.png", "learning_curves.png"):
        pixels = imread(folder / "runs" / "square5" / picture)
        assert pixels.shape == (600, 900, 4)
        assert len({tuple(pixel) for row in pixels[::5, ::5] for pixel in row}) > 5


def test_the_same_command_again_tells_what_was_found_and_another_is_refused(discovered, folder):
    files = sorted(folder.rglob("*"))
    words = ["discover", "square", "--length", "5", *ROWS, *SETTINGS, "--json", "--out", "runs/square5"]
    again = pyorder_command(*words, folder=folder)
    assert (again.returncode, again.stdout) == (0, discovered.stdout)
    assert "training" not in again.stderr
    done = pyorder_command(*words, "--seed", "1", folder=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pyorder: error: --out: the run in 'runs/square5' was asked for with another seed, 0 ")
    assert sorted(folder.rglob("*")) == files


def test_bad_input_is_one_line_and_debug_adds_the_traceback(folder):
    words = ["train", "square", "--length", "5", *ROWS, "--order", "0,1,2,3,3"]
    done = pyorder_command(*words, folder=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pyorder: error: --order: ")
    done = pyorder_command("--debug", *words, folder=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1] == line


def test_an_interrupt_ends_it_with_one_line_and_nothing_written(folder):
    words = ["discover", "square", "--length", "9", *ROWS, "--steps", "100000", "--device", "cpu", "--out", "late"]
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        first = process.stderr.readline()  # the search has begun
        os.kill(process.pid, signal.SIGINT)
        rest = process.stderr.read().splitlines()
        assert process.stdout.read() == ""
    assert first.startswith("search: round 1: ")
    assert process.returncode == 130
    assert rest[-1] == "pyorder: interrupted; nothing new was kept"
    assert all(line.startswith("search: ") for line in rest[:-1])
    assert not (folder / "late").exists()


def without_times(result):
    """A result without what the clock says."""
    if isinstance(result, dict):
        return {name: without_times(value) for name, value in result.items() if name != "seconds"}
    return [without_times(value) for value in result] if isinstance(result, list) else result


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        (signal.SIGTERM, "search: round 2"),
        (signal.SIGKILL, "reverse order: "),
    ],
)
def test_a_command_that_is_ended_by_a_signal_goes_on_where_it_was(discovered, folder, number, stage):
    words = ["discover", "square", "--length", "5", *ROWS, *SETTINGS, "--json", "--out", f"ended/{number}"]
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        for line in process.stderr:
            if line.startswith(stage):
                os.kill(process.pid, number)
                break
        rest = process.stderr.read()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert rest.splitlines()[-1].startswith("pyorder: interrupted")
    done = pyorder_command(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    assert without_times(json.loads(done.stdout)) == without_times(json.loads(discovered.stdout))
    assert not list((folder / "ended").rglob("journal"))
