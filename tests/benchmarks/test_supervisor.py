import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# A worker that does as it is told, dying included.
WORKER = """
import json, os, subprocess, sys, time
print(json.dumps({"pid": os.getpid()}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request["function"] == "die":
        print("the last thing I said", file=sys.stderr, flush=True)
        os._exit(3)
    if request["function"] == "hang":
        child = subprocess.Popen(["sleep", "60"])
        open(request["settings"]["file"], "w").write(str(child.pid))
        time.sleep(60)
    row = {"pid": os.getpid(), **request["settings"]}
    if request["function"] == "fault":
        row |= {"failed": "an illegal access", "restart": True}
    print(json.dumps(row), flush=True)
"""


@dataclass(eq=False)
class Task:
    function: str
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0
    limit: float = 30.0


@pytest.fixture
def run(benchmark, tmp_path):
    """Supervise tasks for some seconds; rows by place in the plan, what was left, and how long it took."""
    supervisor = benchmark("supervisor")

    def supervise(tasks, seconds=30.0, program=WORKER):
        deadline, rows = time.monotonic() + seconds, []

        def start():
            return supervisor.Worker([sys.executable, "-c", program], dict(os.environ), tmp_path / "log", deadline)

        began = time.monotonic()
        left = supervisor.supervise(
            tasks, start(), start, lambda task, row: rows.append((tasks.index(task), row)), deadline
        )
        return dict(rows), [tasks.index(task) for task in left], time.monotonic() - began

    return supervise


def ends(pid):
    """Whether a process ends soon: the kernel takes a moment after the signal, and nobody may collect it."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(50):
        if not stat.exists() or stat.read_text().rsplit(")")[-1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_one_worker_takes_all(run):
    rows, left, _ = run([Task("add", {"number": number}) for number in range(3)])
    assert [row["number"] for row in rows.values()] == [0, 1, 2]
    assert len({row["pid"] for row in rows.values()}) == 1
    assert left == []
    assert ends(rows[0]["pid"])


def test_a_worker_that_dies_is_recorded_and_another_goes_on(run):
    rows, left, _ = run([Task("add"), Task("die"), Task("add")])
    assert rows[1] == {"failed": "the worker ended with 3\nthe last thing I said"}
    assert rows[0]["pid"] != rows[2]["pid"]
    assert left == []


def test_a_device_that_is_of_no_more_use_gets_a_new_worker(run):
    rows, *_ = run([Task("fault"), Task("add")])
    assert rows[0] == {"failed": "an illegal access", "pid": rows[0]["pid"]}
    assert rows[0]["pid"] != rows[1]["pid"]
    assert "failed" not in rows[1]


def test_a_measurement_that_passes_its_limit_is_killed_with_what_it_started(run, tmp_path):
    rows, left, took = run([Task("hang", {"file": str(tmp_path / "pid")}, limit=1.0), Task("add")])
    assert rows[0]["failed"].startswith("stopped: no answer within 1 s")
    assert "failed" not in rows[1]
    assert left == []
    assert took < 10
    assert ends(int((tmp_path / "pid").read_text()))


def test_the_deadline_kills_and_leaves_no_row(run, tmp_path):
    rows, left, took = run([Task("add"), Task("hang", {"file": str(tmp_path / "pid")}), Task("add")], seconds=2.0)
    assert list(rows) == [0]
    assert left == [1, 2]
    assert took < 4
    assert ends(int((tmp_path / "pid").read_text()))


def test_what_would_not_fit_gives_way_to_what_does(run):
    rows, left, _ = run([Task("add", seconds=100.0), Task("add"), Task("add", seconds=5.0)], seconds=20.0)
    assert list(rows) == [1, 2]
    assert left == [0]


def test_a_worker_that_never_starts_ends_it(run, benchmark):
    with pytest.raises(benchmark("supervisor").WorkerError, match="the worker ended with 1\n.*\n.*no such thing"):
        run([Task("add")], program="raise SystemExit('first\\nno such thing')")
