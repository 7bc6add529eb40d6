"""What a reader may conclude from a search: one word, and the sentence behind it."""

from __future__ import annotations

from enum import StrEnum

from pyorder.dependencies.graph import Exploration

# Sorts of the graph gain at most this share of the loss that random orders have: then any order will do.
INDIFFERENT_SHARE = 0.02


class Verdict(StrEnum):
    """What a search found out about the order of the steps.

    Examples
    --------
    >>> Verdict.INDEPENDENT.sentence
    'Given the input no step is worth anything to another: any order will do.'
    >>> Verdict("found") is Verdict.FOUND
    True
    """

    FOUND = "found"
    INDIFFERENT = "indifferent"
    OPEN = "open"
    FEW_ROWS = "few rows"
    UNRESOLVED = "unresolved"
    INDEPENDENT = "independent"
    ROW_DEPENDENT = "row dependent"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        return SENTENCES[self]


SENTENCES = {
    Verdict.FOUND: "An order that is learned more easily than others was found.",
    Verdict.INDIFFERENT: "Orders do not differ by more than chance: keep the one that you have.",
    Verdict.OPEN: "An order was found, and something about it is still open.",
    Verdict.FEW_ROWS: (
        "There are too few rows to tell which order is learned more easily: no reason to leave the one you have."
    ),
    Verdict.UNRESOLVED: (
        "No order that was tried makes these steps learnable: random and too difficult look the same here."
    ),
    Verdict.INDEPENDENT: "Given the input no step is worth anything to another: any order will do.",
    Verdict.ROW_DEPENDENT: "No one order fits all rows: which step helps which differs from row to row.",
}


def judge(exploration: Exploration) -> Verdict:
    """Judge what an exploration found; see `Verdict`."""
    if exploration.memorised:
        return Verdict.FEW_ROWS
    if exploration.opposed:
        return Verdict.ROW_DEPENDENT
    if exploration.unresolved:
        return Verdict.UNRESOLVED
    gain, error = exploration.order_gain
    little = INDIFFERENT_SHARE * float(exploration.uniform_loss.sum())
    alike = exploration.dependencies and abs(gain) + 2 * error < little
    # Where steps tell each other as much in any order edges come and go, and no graph is at rest. A lost step that
    # nothing helps may need several together; one that is helped a little is told a little in any order.
    unhelped = set(exploration.unmoved) - set(exploration.helped)
    if alike and (exploration.settled or (exploration.exhausted and not unhelped)):
        return Verdict.INDIFFERENT
    if not exploration.settled or exploration.unmoved or exploration.contradicted:
        return Verdict.OPEN
    if exploration.dependencies:
        return Verdict.FOUND
    # Where rows are few an interval is wide: then nothing is known of that pair, which is not to say that it is 0.
    if exploration.wide:
        return Verdict.FEW_ROWS if exploration.scarce else Verdict.OPEN
    return Verdict.OPEN if exploration.last_percent else Verdict.INDEPENDENT
