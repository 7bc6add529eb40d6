"""What long calls tell: nothing, to a function, or on standard error."""

import io
import subprocess
import sys

import numpy as np
import pytest

import pyorder
from pyorder import progress
from pyorder.progress import Progress, ProgressBar, ProgressLines
from pyorder.search import Random, discover_shuffled

CHEAP = {"model": "nano", "steps": 3, "device": "cpu", "precision": "float32"}
SEARCH = CHEAP | {"strategy": Random(6, 6)}
CALLS = {
    "profile": lambda data, **given: pyorder.profile(
        data.train, [range(5)], validation=data.validation, **CHEAP | given
    ),
    "search": lambda data, **given: pyorder.discover(data.train, validation=data.validation, **SEARCH | given),
    "shuffled search": lambda data, **given: discover_shuffled(
        data.train, validation=data.validation, **SEARCH | given
    ),
    "training": lambda data, **given: pyorder.fit(data.train, range(5), test=data.test, **CHEAP | given),
}
each = pytest.mark.parametrize("name", CALLS)


def test_docstring_examples(doctests):
    doctests(progress)


@each
@pytest.mark.parametrize("quiet", [None, False])
def test_nothing_is_shown_unasked(name, quiet, square5, capsys):
    CALLS[name](square5, progress=quiet)
    assert capsys.readouterr() == ("", "")


@each
def test_true_shows_lines_on_standard_error_that_is_no_terminal(name, square5, capsys):
    CALLS[name](square5, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert all(line.startswith(f"{name.split()[-1]}: ") for line in err.splitlines())
    assert "%" in err


@each
def test_true_shows_a_bar_on_a_terminal_and_clears_it(name, square5, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stdout, stderr = sys.stdout, sys.stderr
    CALLS[name](square5, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{name.split()[-1]}: " in err
    assert err.endswith("\x1b[2K")  # the last line is erased
    assert (sys.stdout, sys.stderr) == (stdout, stderr)


def test_a_bar_is_cleared_when_the_call_fails(square5, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(RuntimeError, match="training diverged"):
        CALLS["profile"](square5, progress=True, steps=20, learning_rate=1e30)
    assert capsys.readouterr().err.endswith("\x1b[2K")


@each
def test_a_function_is_called_and_nothing_printed(name, square5, capsys):
    told = []
    CALLS[name](square5, progress=told.append)
    assert all(isinstance(report, Progress) for report in told)
    assert len(told) >= 3
    assert capsys.readouterr() == ("", "")


@each
@pytest.mark.parametrize("wrong", ["yes", 1, 0, np.True_, []])
def test_anything_else_is_refused_before_any_work(name, wrong, square5, tmp_path, monkeypatch):
    def work(*arguments, **options):
        raise AssertionError("work was begun")

    monkeypatch.setattr("pyorder.models.decoder.Decoder.forward", work)
    run_dir = {} if name == "profile" else {"run_dir": tmp_path / "run"}
    with pytest.raises(
        TypeError, match="^progress: expected True, False, None or a function, .* given$"
    ) as refused:
        CALLS[name](square5, progress=wrong, **run_dir)
    assert type(wrong).__name__ in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_rich_is_not_imported_unasked(tmp_path):
    code = "import sys, pyorder, pyorder.search, pyorder.training; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_plain_progress_is_a_line_a_stage_or_ten_seconds_and_never_more_than_one_a_second():
    lines, now = [], [0.0]
    report = ProgressLines("search", lines.append, clock=lambda: now[0])
    for tenth in range(1000):
        now[0] = tenth / 10
        report(Progress("pool 1" if tenth < 350 else "pool 2", tenth / 1000, now[0], candidates=tenth))
    assert len(lines) == 4 + 7
    assert lines[1] == "search: pool 1: 10%, 100 candidates, 1:30 min left"
    assert lines[4].startswith("search: pool 2: 35%")
    lines.clear()
    for tenth in range(1000, 1100):
        now[0] = tenth / 10
        report(Progress(f"stage {tenth}", 0.5, now[0]))
    assert len(lines) == 10


def test_the_bar_shows_stage_candidates_loss_and_time_left():
    from rich.console import Console

    bar = ProgressBar("search")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(bar.render())
    bar(Progress("global 1 of 4: training", 0.25, 60.0, candidates=1234, best_loss=1.5))
    console.print(bar.render())
    text = console.export_text()
    assert "search: getting ready" in text
    assert "global 1 of 4: training" in text
    assert "25%, 1,234 candidates, best loss 1.5000, 3:00 min left" in text
