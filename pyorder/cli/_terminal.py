"""What is shown on the terminal: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from pyorder.progress import Progress, Report
from pyorder.runs.folder import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress(task: str) -> Iterator[Report]:
    """Show how a call gets on: a live bar where standard error is a terminal, else a line now and then."""
    from rich.live import Live

    console = Console(stderr=True)
    try:
        if not console.is_terminal:
            yield ProgressLines(task, lambda line: print(line, file=sys.stderr, flush=True))
            return
        bar = ProgressBar(task)
        with Live(console=console, get_renderable=bar.render, refresh_per_second=4, transient=True):
            yield bar
    except KeyboardInterrupt as stop:  # typer lets it through without the notes that say what was kept
        raise typer.Abort from stop


class ProgressLines:
    """Progress as plain lines: one when the stage changes, one every ten seconds, at most one a second."""

    def __init__(
        self, task: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._task, self._write, self._clock = task, write, clock
        self._stage: str | None = None
        self._written = -SECONDS_BETWEEN_LINES

    def __call__(self, progress: Progress) -> None:
        """Take a report, and write a line if one is due."""
        passed = self._clock() - self._written
        if passed >= SECONDS_BETWEEN_LINES or (progress.stage != self._stage and passed >= 1.0):
            self._write(f"{self._task}: {progress.stage}: {progress.share:.0%}{_details(progress)}")
            self._stage, self._written = progress.stage, self._clock()


class ProgressBar:
    """Progress as two lines that are drawn again and again."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._latest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Take a report; it shows at the next drawing."""
        self._latest = progress

    def render(self) -> RenderableType:
        """Draw the latest report."""
        from rich.progress_bar import ProgressBar as Bar

        if self._latest is None:
            return Text(f"{self._task}: getting ready")
        share = f"{self._latest.share:.0%}{_details(self._latest)}"
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Bar(total=1.0, completed=self._latest.share, width=24), Text(share, no_wrap=True, overflow="ellipsis")
        )
        return Group(Text(f"{self._task}: {self._latest.stage}", no_wrap=True, overflow="ellipsis"), line)


def _details(progress: Progress) -> str:
    details = ""
    if progress.candidates:
        details += f", {progress.candidates:,} candidates"
    if progress.best_loss is not None:
        details += f", best loss {progress.best_loss:.4f}"
    if progress.seconds_left is not None:
        details += f", {duration(progress.seconds_left)} left"
    return details


def warn(text: str) -> None:
    """Say on standard error what is allowed but hardly meant."""
    print(f"pyorder: warning: {text}", file=sys.stderr, flush=True)


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(plain(result), allow_nan=False), flush=True)


def print_facts(facts: dict[str, str]) -> None:
    """Print names and what there is to say about each, aligned."""
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact}", flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns whose name begins with > are aligned right, those with dashes only left out.

    Examples
    --------
    >>> print_table(["order", ">loss", ">spread"], [["2,0,1", "1.5", "-"], ["forward", "12.5", "-"]])
    order    loss
    2,0,1     1.5
    forward  12.5
    """
    known = [k for k in range(len(columns)) if any(row[k] != "-" for row in rows)]
    widths = [max(len(columns[k].lstrip(">")), *(len(row[k]) for row in rows)) for k in known]
    for row in [[column.lstrip(">") for column in columns], *rows]:
        cells = [
            f"{row[k]:{'>' if columns[k].startswith('>') else '<'}{width}}"
            for k, width in zip(known, widths, strict=True)
        ]
        print("  ".join(cells).rstrip(), flush=True)


def order_text(order: Sequence[int]) -> str:
    """Write an order as --order takes it.

    Examples
    --------
    >>> order_text([2, 0, 1])
    '2,0,1'
    """
    return ",".join(map(str, order))


def percent(share: float | None) -> str:
    """Write a share as a percentage; a dash where it is not known.

    Examples
    --------
    >>> percent(0.99874), percent(None)
    ('99.87 %', '-')
    """
    return "-" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Write a time.

    Examples
    --------
    >>> duration(9.21), duration(75), duration(3723)
    ('9 s', '1:15 min', '1:02:03 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"
