"""What a long call tells its caller while it runs, and the bar that shows it to those who ask.

Nothing is printed unless the caller passes ``progress=True``; then standard error shows it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Progress:
    """One report of a running call.

    Attributes
    ----------
    stage : what is being done
    share : share of the call's work that is done, from 0 to 1; an estimate
    seconds : since the call began
    candidates : candidates of a search's finished profiling runs
    best_loss : lowest loss (nats a step) of the last finished profile; losses of two profiles do not compare
    """

    stage: str
    share: float
    seconds: float
    candidates: int = 0
    best_loss: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace so far; None before there is a pace.

        Examples
        --------
        >>> Progress("training", share=0.25, seconds=10.0).seconds_left
        30.0
        """
        return self.seconds * (1 - self.share) / self.share if self.share > 0.01 else None


Report = Callable[[Progress], None]


class Shown(AbstractContextManager["Report | None"]):
    """Where the reports of one call go; what is drawn on a terminal is there inside the ``with`` block.

    Attributes
    ----------
    report : takes the reports; None if nobody wants them
    """

    def __init__(self, report: Report | None, live: Live | None = None) -> None:
        self.report = report
        self._live = live

    def __enter__(self) -> Report | None:
        """Begin to draw."""
        if self._live is not None:
            with suppress(OSError, ValueError):  # a terminal that is gone ends no work
                self._live.start()
        return self.report

    def __exit__(self, *_: object) -> None:
        """Clear what was drawn."""
        if self._live is not None:
            with suppress(OSError, ValueError):
                self._live.stop()


def resolve_progress(progress: Report | bool | None, task: str) -> Shown:
    """Turn an argument ``progress`` into what takes the reports; ``task`` names the call in what is shown.

    None and False show nothing, and a function is called with each `Progress`. True shows on standard error a live
    bar, or a line now and then where that is no terminal.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> with resolve_progress(False, "search") as report:
    ...     report is None
    True
    >>> resolve_progress("yes", "search")
    Traceback (most recent call last):
    TypeError: progress: expected True, False, None or a function, str given
    """
    if progress is None or progress is False:
        return Shown(None)
    if progress is True:
        return _on_standard_error(task)
    if not callable(progress):
        raise TypeError(f"progress: expected True, False, None or a function, {type(progress).__name__} given")
    return Shown(progress)


def _on_standard_error(task: str) -> Shown:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal:
        return Shown(ProgressLines(task, _write_line))
    bar = ProgressBar(task)
    return Shown(bar, Live(console=console, get_renderable=bar.render, refresh_per_second=4, transient=True))


def _write_line(line: str) -> None:
    """Write a line on standard error; where that is closed or full, work goes on without it."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


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
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

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
