"""What the studies share: a row of JSON a finished cell, appended at once; finished cells are skipped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def run_cells(
    name: str, cells: list[dict[str, Any]], measure: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure the cells that docs/results/NAME.jsonl lacks; return the rows of all, in the cells' sequence."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if not read_rows(name, [cell]):
            row = {**cell, **measure(**cell), **machine()}
            with (RESULTS / f"{name}.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    return read_rows(name, cells)


def run_named(
    name: str,
    studies: dict[str, list[dict[str, Any]]],
    measure: Callable[..., dict[str, Any]],
    table: Callable[[], None],
) -> None:
    """Do what the command line names: studies, all of them if it names none, and "table"."""
    for word in sys.argv[1:] or studies:
        if word == "table":
            table()
        else:
            run_cells(name, studies[word], measure)


def read_rows(name: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read the rows of the cells that are finished, in the cells' sequence."""
    path = RESULTS / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished = []
    for cell in cells:
        finished += [row for row in rows if all(row.get(key) == value for key, value in cell.items())][:1]
    return finished
