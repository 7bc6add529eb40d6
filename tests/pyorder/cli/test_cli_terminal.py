import doctest
import io
import subprocess
import sys

import pytest

import pyorder
import pyorder.cli
from pyorder.cli import _inputs, _results, _terminal
from pyorder.cli._terminal import ProgressBar, ProgressLines
from pyorder.progress import Progress


@pytest.mark.parametrize("module", [pyorder.cli, _inputs, _results, _terminal])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


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


def test_help_comes_without_torch(tmp_path):
    code = "import sys; from pyorder.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("tasks", "generate", "profile", "discover", "train", "report"):
        assert command in done.stdout
