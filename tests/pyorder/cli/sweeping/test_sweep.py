"""Sweeps as they are run: cells in processes of their own, killed, interrupted, failing, on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

import pyorder
from pyorder.cli.sweeping import sweep as sweeps
from pyorder.cli.sweeping.plan import read_cells
from pyorder.errors import InputError
from pyorder.runs.claim import has_ended

SECONDS = 400  # that a busy machine may take for what takes a few
COMMAND = [sys.executable, "-P", "-m", "pyorder"]
FEW = {
    "train_rows": 300,
    "validation_rows": 20,
    "test_rows": 20,
    "steps": 1,
    "device": "cpu",
    "precision": "float32",
}
TINY = FEW | {"fit": False, "option": ["candidates=4"]}
PLAN = """
tasks = ["square"]
lengths = [3]
strategies = [{name = "random", candidates = 4}]
seeds = [0, 1, 2]
[options]
train-rows = 300
validation-rows = 20
test-rows = 20
steps = 1
fit = false
device = "cpu"
precision = "float32"
"""


def test_docstring_examples(doctests):
    doctests(sweeps)


def wait_until(condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def start(folder, *words):
    """A sweep in a process group of its own, as a terminal or a queue has it."""
    return subprocess.Popen(
        [*COMMAND, "sweep", "sweep.toml", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_sweep_that_is_killed_goes_on_and_runs_nothing_twice(run, told, tmp_path):
    (tmp_path / "sweep.toml").write_text(PLAN)
    cells = read_cells(tmp_path / "sweep.toml")
    results = [tmp_path / "sweep" / cell.name / "result.json" for cell in cells]
    process = start(tmp_path, "--jobs", "2")
    wait_until(lambda: any(has_ended(path.parent) for path in results))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    logs = {path: path.parent.with_name(f"{path.parent.name}.log") for path in results}
    finished = {path: path.stat().st_mtime_ns for path in results if has_ended(path.parent)}
    said = {path: logs[path].read_text() for path in finished}
    assert 1 <= len(finished) < 3

    found = told("sweep", "sweep.toml", "--jobs", "2", "--table", "table.csv")["cells"]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert {path: logs[path].read_text() for path in finished} == said
    assert [record["cell"] for record in found] == [cell.name for cell in cells]

    for record, cell in zip(found, cells, strict=True):  # each alone, by the command itself
        alone = json.loads(run("discover", "--json", *cell.words)[1])
        assert record["order"] == alone["order"]
        assert record["verdict"] == alone["verdict"]
        search = json.loads((tmp_path / "sweep" / cell.name / "result.json").read_text())["search"]
        assert search["stages"][0]["best_loss"] == alone["search"]["stages"][0]["best_loss"]

    began = time.process_time()
    assert told("sweep", "sweep.toml") == {"cells": found}
    assert time.process_time() - began < 2
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("number", "code", "everybody"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)]
)
def test_an_interrupt_lets_cells_save_and_locks_nobody_out(run, tmp_path, number, code, everybody):
    """Of a terminal, which interrupts the cells too, and of a queue, which tells the first process alone."""
    long = PLAN.replace("steps = 1", "steps = 1000000").replace("[0, 1, 2]", "[0]").replace("[3]", "[4]")
    (tmp_path / "sweep.toml").write_text(long)
    (cell,) = read_cells(tmp_path / "sweep.toml")
    log = tmp_path / "sweep" / f"{cell.name}.log"
    with start(tmp_path) as process:
        wait_until(lambda: log.exists() and "training" in log.read_text())
        refused, _, said = run("sweep", "sweep.toml")
        (os.killpg if everybody else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=SECONDS)
    assert (refused, said) == (2, f"pyorder: error: folder: process {process.pid} is at work in 'sweep'\n")
    assert (process.returncode, out) == (code, "")
    last = "pyorder: interrupted; 0 of 1 cells have finished; the same call goes on in sweep"
    assert err.splitlines()[-1] == last
    assert log.read_text().splitlines()[-1].startswith("pyorder: interrupted")
    with pytest.raises(ProcessLookupError):  # nobody is left of the group
        os.killpg(process.pid, 0)


def test_a_cell_that_fails_is_told_beside_the_others_and_tried_again(run, own_data, tmp_path):
    own_data("good.npz")
    own_data("mine.npz", targets=[[0, 1, 2]])  # fewer targets than inputs
    plan = PLAN.replace('tasks = ["square"]', 'data = ["good.npz", "mine.npz"]').replace("lengths = [3]", "")
    (tmp_path / "sweep.toml").write_text(plan.replace("train-rows = 300", "").replace("[0, 1, 2]", "[0]"))
    code, out, err = run("sweep", "sweep.toml", "--jobs", "2")
    cells = read_cells(tmp_path / "sweep.toml")
    good, bad = out.splitlines()[2:]
    assert code == 1
    assert good.startswith(f"| {cells[0].name} | ")
    assert "failed" not in good
    assert bad.startswith(f"| {cells[1].name} | - | failed: --data: ")
    *lines, last = err.splitlines()
    assert lines[0] == "sweep: 0 of 2 cells, 0 finished before"
    assert any(f", {cells[0].name} has finished" in line for line in lines[1:])
    assert any(f", {cells[1].name} failed: --data: " in line for line in lines[1:])
    assert last.startswith("pyorder: 1 of 2 cells failed; the same command tries them again")

    own_data("mine.npz")
    heard = []
    table = pyorder.sweep(cells, folder="sweep", progress=heard.append)
    assert table.unfinished == []
    assert [told.stage for told in heard] == [
        "0 of 1 cells, 1 finished before",
        f"1 of 1 cells, {cells[1].name} has finished",
    ]
    assert [told.share for told in heard] == [0, 1]


def test_jobs_of_an_array_run_a_cell_each_and_the_sweep_gathers_them(run, told, tmp_path):
    (tmp_path / "sweep.toml").write_text(PLAN)
    (only,) = told("sweep", "sweep.toml", "--cell", "2")["cells"]
    assert (only["seed"], only["error"]) == (2, None)
    (tmp_path / "sweep.toml").write_text(PLAN.replace("[0, 1, 2]", "[2]"))
    assert told("sweep", "sweep.toml")["cells"] == [only]
    code, out, err = run("sweep", "sweep.toml", "--cell", "0", "--table", "table.md")
    assert (code, err) == (0, "")
    assert (tmp_path / "table.md").read_text() == out
    assert out.count("\n") == 3


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, backend):
    monkeypatch.setitem(sys.modules, {"dask": "distributed", "ray": "ray"}[backend], None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"^backend: .{backend}. is not installed: pip install 'pyorder\["
    ):
        pyorder.sweep([pyorder.Cell("square", length=3)], folder=tmp_path / "sweep", backend=backend)
    assert not (tmp_path / "sweep").exists()


def test_another_run_is_not_taken_for_a_sweep(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "asked.json").write_text('{"kind": "fit"}')
    with pytest.raises(InputError, match=r"^folder: the run in .* was asked for with another kind, 'fit' and not"):
        pyorder.sweep([pyorder.Cell("square", length=3)], folder=tmp_path / "run")


ON_A_CLUSTER = """
import sys
from distributed import Client, LocalCluster
import pyorder

if __name__ == "__main__":
    few = {few!r}
    cells = [pyorder.Cell("square", length=3, strategy="random", options=few)]
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster):
        table = pyorder.sweep(cells, folder="sweep", backend="dask")
    assert table.unfinished == [], table.records
    assert "distributed" in sys.modules
"""


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs distributed")
def test_a_cluster_of_dask_runs_the_cells_in_its_workers(tmp_path):
    (tmp_path / "run.py").write_text(ON_A_CLUSTER.format(few=TINY))
    done = subprocess.run(
        [sys.executable, "-P", "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "sweep").glob("square-3-random-*/result.json"))) == 1
