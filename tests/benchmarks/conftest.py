"""The benchmarks are scripts that import their neighbours, and the tests look at them where they are."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
collect_ignore_glob = [] if BENCHMARKS.exists() else ["test_*"]  # a source distribution has none


@pytest.fixture
def benchmark(monkeypatch):
    """Import a script of the benchmarks' folder by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
