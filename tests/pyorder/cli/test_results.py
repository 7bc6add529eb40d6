"""What is printed of a search, from what its folder keeps."""

import pytest

from pyorder.cli import _results
from pyorder.cli._results import ending
from pyorder.search.discover import INTERRUPTED, SPENT

QUIET = {"settled": False, "memorised": False, "exhausted": False}
SETTLED = QUIET | {"settled": True}


def test_docstring_examples(doctests):
    doctests(_results)


@pytest.mark.parametrize(
    ("verdict", "remarks", "exploration", "told"),
    [
        ("open", [SPENT], None, "early: the budget was spent"),
        ("open", [SPENT], QUIET, "early: the budget was spent"),
        ("found", [SPENT, "It went well."], SETTLED, "early: the budget was spent"),
        ("few rows", [SPENT], QUIET | {"memorised": True}, "early: the budget was spent"),
        ("open", [INTERRUPTED], None, "early: it was interrupted, or failed"),
        ("found", [INTERRUPTED], SETTLED, "early: it was interrupted, or failed"),
        ("few rows", [], QUIET | {"memorised": True}, "early: rows were learned by heart"),
        ("few rows", [], SETTLED, "by itself, with too few rows to tell"),
        (
            "open",
            [],
            QUIET | {"exhausted": True},
            "early: nothing more was learned, and the graph did not come to rest",
        ),
        ("unresolved", [], QUIET, "early: half of the steps or more were not learned"),
        ("open", [], QUIET, "early: the rounds ended before graph and loss had settled"),
    ],
)
def test_a_search_says_why_it_ended(verdict, remarks, exploration, told):
    search = {"verdict": verdict, "remarks": remarks, "exploration": exploration}
    assert ending({**search, "converged": False}) == told
    assert ending({**search, "converged": True}) == "by itself"
