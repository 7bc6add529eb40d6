"""What is shown on the terminal: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import typer

from pyorder.cli._streams import Terminal
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.folder import plain

NOTHING_KEPT = "nothing new was kept"
TERMINAL: ContextVar[Terminal | None] = ContextVar("TERMINAL", default=None)
# What a terminal obeys, or shows in another place: all control characters but tab and new line.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@contextmanager
def show_progress(task: str, out: Path | None) -> Iterator[Report]:
    """Show how a call gets on, as ``progress=True`` does, under the command's own name for it.

    Where one fails, or is interrupted, the error says whether the same command goes on from what ``out`` keeps.
    """
    from pyorder.runs.claim import keeps_something

    terminal = TERMINAL.get()
    try:
        with resolve_progress(True, task) as report:

            def shown(progress: Progress) -> None:
                if terminal is not None:
                    terminal.working = True
                if report is not None:
                    report(progress)

            yield shown
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        if out is not None and keeps_something(out):
            if interrupted or (terminal is not None and terminal.working):  # else it was refused
                error.add_note(f"the same command, with --out {out}, goes on from there")
        elif interrupted and not hasattr(error, "__notes__"):
            error.add_note(NOTHING_KEPT)
        if interrupted:  # which typer lets through without the notes
            raise typer.Abort from error
        raise


def say(text: str = "", end: str = "\n") -> None:
    r"""Print a result on standard output; what a terminal would obey, such as a name of somebody's data, is spelt.

    Examples
    --------
    >>> say("a\x1b[2J, b")
    a\x1b[2J, b
    """
    print(spelt(text), end=end, flush=True)


def tell(text: str) -> None:
    """Print on standard error, as `say` does."""
    print(spelt(text), file=sys.stderr, flush=True)


def spelt(text: str) -> str:
    """Text with escapes in place of what a terminal would obey."""
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


def warn(text: str) -> None:
    """Say on standard error what is allowed but hardly meant."""
    tell(f"pyorder: warning: {text}")


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    say(json.dumps(plain(result), allow_nan=False))


def print_facts(facts: dict[str, str]) -> None:
    """Print names and what there is to say about each, aligned."""
    width = max(map(len, facts))
    for name, fact in facts.items():
        say(f"{name:{width}}  {fact}")


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
        say("  ".join(cells).rstrip())


def order_text(steps: Sequence[int] | Sequence[str]) -> str:
    """Write steps, by number or by name, as --order takes an order.

    Examples
    --------
    >>> order_text([2, 0, 1]), order_text(["sum", "a, b"])
    ('2,0,1', '["sum", "a, b"]')
    """
    words = [str(step) for step in steps]
    commas = any("," in word for word in words)
    return json.dumps(words, ensure_ascii=False) if commas else ",".join(words)


def percent(share: float | None) -> str:
    """Write a share as a percentage; a dash where it is not known.

    Examples
    --------
    >>> percent(0.99874), percent(None)
    ('99.87 %', '-')
    """
    return "-" if share is None else f"{100 * share:.2f} %"
