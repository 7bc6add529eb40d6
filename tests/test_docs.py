"""Guides whose examples are run."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.mark.parametrize("name", ["data.md"])
def test_examples(name):
    result = doctest.testfile(str(DOCS / name), module_relative=False)
    assert result.failed == 0
    assert result.attempted > 10
