"""What the studies share: a row of JSON a finished cell, appended at once; finished cells are skipped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from timing import machine

from pyorder.runs.rows import RowFile

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def run_cells(
    name: str, cells: list[dict[str, Any]], measure: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure the cells that docs/results/NAME.jsonl lacks; return the rows of all, in the cells' sequence."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = _file(name)
    for cell in cells:
        if file.missing([cell]):  # another process may have measured it meanwhile
            row = {**cell, **measure(**cell), **machine()}
            file.append(row)
            print(json.dumps(row), flush=True)
    return file.read(cells)


def run_named(
    name: str,
    studies: dict[str, list[dict[str, Any]]],
    measure: Callable[..., dict[str, Any]],
    table: Callable[[], None],
) -> None:
    """Do what the command line names: studies, all of them if it names none, and "table"."""
    for word in chosen(sys.argv[1:], [*studies, "table"]) or studies:
        if word == "table":
            table()
        else:
            run_cells(name, studies[word], measure)


def chosen(words: list[str], known: Iterable[str]) -> list[str]:
    """The words of a command line; it ends with 2 and a line where one of them is not known."""
    for word in words:
        if word not in (names := list(known)):
            print(f"{word!r} is none of: {', '.join(names)}", file=sys.stderr)
            raise SystemExit(2)
    return words


def read_rows(name: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read the rows of the cells that are finished, in the cells' sequence."""
    return _file(name).read(cells)


def _file(name: str) -> RowFile:
    return RowFile(RESULTS / f"{name}.jsonl")
