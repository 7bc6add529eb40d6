import doctest
import os
import subprocess
import sys

import pytest

import pyorder
import pyorder.cli
from pyorder.cli import _inputs, _results, _streams, _tables, _terminal


@pytest.mark.parametrize("module", [pyorder.cli, _inputs, _results, _streams, _tables, _terminal])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_help_comes_without_torch(tmp_path):
    code = "import sys; from pyorder.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("tasks", "generate", "profile", "discover", "train", "report"):
        assert command in done.stdout


@pytest.mark.parametrize(("given", "wanted"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_they_are_told_otherwise(given, wanted):
    """As the OpenMP library of torch says when it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = "import os; from pyorder.cli import main; main(['reproduce']); print(os.environ.get('OMP_WAIT_POLICY'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment | given | {"OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert f"OMP_WAIT_POLICY = '{wanted}'" in done.stderr
    assert done.stdout.splitlines()[-1] == str(given.get("OMP_WAIT_POLICY"))  # and the program has its own again


def test_after_a_plus_minus_stands_half_of_a_95_percent_interval(capsys):
    edge = {"before": 0, "after": 1, "benefit": 1.0, "standard_error": 0.1, "confidence": 1.0, "reversible": False}
    _results.print_exploration({"dependencies": [edge], "settled": True, "seconds": 1.0, "remarks": []})
    candidate = {"order": [0, 1], "loss": 2.0, "standard_error": 0.1, "seed_spread": None}
    _results.print_candidates([{**candidate, "standard_error": None}, candidate], top=2)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "before", "1", "1.000", "0.196", "1.0000"] in printed
    assert ["2", "2.0000", "0.1960", "0,1"] in printed
