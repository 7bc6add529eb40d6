import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
OPTIONAL = {"liger": "liger_kernel", "transformers": "transformers"}
ABSENT = [name for name, module in OPTIONAL.items() if not find_spec(module)]


def run(*words):
    command = [sys.executable, str(CHECKOUT / "benchmarks" / "gpu.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The folder of a rehearsal of everything, and how it ended."""
    folder = tmp_path_factory.mktemp("rehearsal")
    without = [word for name in ABSENT for word in ("--without", name)]
    return folder, without, run("--rehearse", "--out", str(folder), *without)


def read(folder):
    return [json.loads(line) for line in (folder / "gpu.jsonl").read_text().splitlines()]


def test_every_measurement_is_taken(rehearsed, benchmark):
    folder, without, done = rehearsed
    rows = read(folder)
    failed = {row["measurement"]: row["failed"] for row in rows if "failed" in row}
    assert not failed
    assert done.returncode == 0, done.stderr
    plan = benchmark("gpu_plan")
    wanted = [one for one in plan.rehearsal() if not set(one.needs) & set(without)]
    assert [row["measurement"] for row in rows] == [one.name for one in wanted]
    assert {one.function for one in plan.rehearsal()} == {one.function for one in plan.PLAN}
    for row in rows:
        assert (row["device"], row["rehearsed"], row["predicted"]) == ("cpu", True, None)
        assert row["figure"] in row


def test_the_kernels_are_those_of_triton(rehearsed):
    """In the interpreter a kernel takes many times what plain PyTorch does, so that is what was timed."""
    rows = [row for row in read(rehearsed[0]) if row["settings"].get("case")]
    assert {row["settings"]["case"] for row in rows} >= {"permuted cross-entropy and gradient"}
    for row in rows:
        sides = row["eager_us_by_side"]
        assert sides["pyorder"][1] > 5 * sides["plain"][1]
        assert set(row["graph_us_by_side"]) == set(sides)


def test_the_table_has_every_row(rehearsed):
    folder, _, done = rehearsed
    written = (folder / "gpu.md").read_text()
    assert written in done.stdout
    for row in read(folder):
        assert f"| {row['measurement']} | {row['figure']}, {row['unit']} | - |" in written


def test_what_has_a_row_is_not_measured_again(rehearsed):
    folder, without, _ = rehearsed
    rows = (folder / "gpu.jsonl").read_text().splitlines()
    dropped = [row for row in rows if json.loads(row)["measurement"] != "copy and matrix product"]
    (folder / "gpu.jsonl").write_text("\n".join(dropped) + "\n")
    done = run("--rehearse", "--out", str(folder), *without)
    assert done.returncode == 0, done.stderr
    again = (folder / "gpu.jsonl").read_text().splitlines()
    assert again[:-1] == dropped
    assert json.loads(again[-1])["measurement"] == "copy and matrix product"


def test_a_gpu_is_asked_for(tmp_path):
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("there is one")
    done = run("--out", str(tmp_path), *(word for name in ABSENT for word in ("--without", name)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no GPU is visible: --rehearse runs without one\n"
    assert not (tmp_path / "gpu.jsonl").exists()
