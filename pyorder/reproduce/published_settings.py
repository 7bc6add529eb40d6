"""The rows of table 2 that two cores can pay for at the published settings: eight and nine steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pyorder.reproduce import _base as base
from pyorder.reproduce.table2 import TOGETHER, Table2


@dataclass(frozen=True)
class PublishedSettings(Table2):
    """The published search with the published model, learning rate, rows and depth, for one pass and for two.

    Only the final training, whose success the paper does not report for these, is that of two cores.
    """

    name: ClassVar[str] = "published-settings"
    title: ClassVar[str] = "The published search at the published settings"
    claim: ClassVar[str] = "with the published settings the search ends in the forward order at 8 and 9 steps"
    claimed: ClassVar[str] = "3 of 4 tasks and lengths"


LAPTOP = PublishedSettings(
    replace(base.PAPER, test=2_000, fit_model="base", fit_steps=1_500),
    readings=(replace(TOGETHER, name="800 steps", steps=800), replace(TOGETHER, name="1,600 steps", steps=1_600)),
    depth=None,
    limit=5_040,
    longest=9,
)
PAPER = replace(LAPTOP, sizes=base.PAPER)
