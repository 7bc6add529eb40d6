"""The record of a study: one JSON line a finished cell, appended at once, and never changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyorder.reproduce._base import Cell, Row, Study
from pyorder.runs import plain


class RowFile:
    """The finished cells of one study at one scale.

    Parameters
    ----------
    path : of the file; it and its folder are made with the first row
    study : rows of other settings are passed over
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self.study = study

    def read(self) -> list[Row]:
        """Rows of the study's own cells, in the cells' sequence.

        Raises
        ------
        ValueError
            If a line is not a row.
        """
        found: dict[str, Row] = {}
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                cell, settings = row["cell"], row["settings"]
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{os.fspath(self.path)!r}: line {number} is no row of a study") from None
            if settings == self.study.settings():
                found.setdefault(key(cell), row)
        return [found[key(cell)] for cell in self.study.cells() if key(cell) in found]

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those of the cells that have no row yet."""
        done = {key(row["cell"]) for row in self.read()}
        return [cell for cell in cells if key(cell) not in done]

    def append(self, row: dict[str, Any]) -> None:
        """Add a row, in one write."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(row), allow_nan=False) + "\n")


def key(cell: Cell) -> str:
    """A cell as text, whatever the sequence of its factors."""
    return json.dumps(cell, sort_keys=True)
