"""What the studies share: a row of JSON a finished cell, appended at once; finished cells are skipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def run_cells(
    name: str, cells: list[dict[str, Any]], measure: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure the cells that docs/results/NAME.jsonl lacks; return the rows of all, in the cells' sequence."""
    path = RESULTS / f"{name}.jsonl"
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = []
    for cell in cells:
        row = next((row for row in rows if all(row.get(key) == value for key, value in cell.items())), None)
        if row is None:
            row = {**cell, **measure(**cell), **machine()}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        found.append(row)
    return found
