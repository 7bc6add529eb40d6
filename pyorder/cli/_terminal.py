"""What is shown on the terminal: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from pyorder.progress import Report, resolve_progress
from pyorder.runs.folder import plain


@contextmanager
def show_progress(task: str) -> Iterator[Report | None]:
    """Show how a call gets on, as ``progress=True`` does, under the command's own name for it."""
    try:
        with resolve_progress(True, task) as report:
            yield report
    except KeyboardInterrupt as stop:  # typer lets it through without the notes that say what was kept
        raise typer.Abort from stop


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
