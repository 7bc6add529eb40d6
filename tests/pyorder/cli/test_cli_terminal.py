import doctest
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
