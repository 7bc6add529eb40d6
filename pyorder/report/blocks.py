"""What a page is made of: sections of texts, tables and figures, as plain values that a template lays out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pyorder.report.charts import Chart, Intervals
from pyorder.report.diagrams import Graph, Matrix
from pyorder.report.wording import UNKNOWN


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Notes:
    """Sentences that stand one below the other."""

    kind: ClassVar[str] = "notes"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names, and what there is to say about each."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under ``columns``; those whose name begins with > are aligned right.

    Examples
    --------
    >>> Table(("order", ">loss", ">spread"), (("2,0,1", "1.5", "-"), ("0,1,2", "2.5", "-"))).known.columns
    ('order', '>loss')
    """

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def known(self) -> Table:
        """The same without the columns in which nothing but dashes stands."""
        kept = [k for k in range(len(self.columns)) if any(row[k] != UNKNOWN for row in self.rows)]
        return Table(tuple(self.columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in self.rows))


@dataclass(frozen=True)
class Figure:
    """A drawing: its heading, what is drawn, and what a reader should know of it."""

    kind: ClassVar[str] = "figure"
    title: str
    shown: Chart | Intervals | Matrix | Graph
    caption: str


@dataclass(frozen=True)
class Folded:
    """Blocks that open at a click, under a line that says what they are."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: tuple[Block, ...]


Block = Text | Notes | Facts | Table | Figure | Folded


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, the anchor that leads to it, and its blocks."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """What a page shows of a run.

    Attributes
    ----------
    title : what the data was
    kind : of run, in words
    date : when it was run
    verdict, tone : one word, None where nothing was judged; whether it is "good", "open", "bad" or "plain" news
    sentence : what may be concluded
    order : the order, as names
    sections : in sequence
    """

    title: str
    kind: str
    date: str
    verdict: str | None
    tone: str
    sentence: str
    order: tuple[str, ...]
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """All blocks, also those inside of others."""
        waiting = [block for section in reversed(self.sections) for block in reversed(section.blocks)]
        while waiting:
            block = waiting.pop()
            yield block
            if isinstance(block, Folded):
                waiting.extend(reversed(block.blocks))
