"""Guides whose examples are run."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
NEEDS = re.compile(r"^<!-- needs (.+?) -->$(.+?)^<!-- -->$", re.DOTALL | re.MULTILINE)


def without_what_is_missing(text):
    """A guide without the parts that say that they need a package which is not installed."""

    def kept(part):
        return part[0] if all(map(find_spec, part[1].split())) else "\n" * part[0].count("\n")

    return NEEDS.sub(kept, text)


@pytest.mark.parametrize("name", ["data.md", "interrupting.md", "training_loop.md"])
def test_examples(name):
    text = without_what_is_missing((DOCS / name).read_text())
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, str(DOCS / name), 0)
    result = doctest.DocTestRunner().run(test, clear_globs=False)  # which torch.compile holds on to
    assert result.failed == 0
    assert result.attempted > 10
