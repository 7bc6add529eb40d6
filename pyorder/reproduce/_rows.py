"""The record of a study: one JSON line a finished cell, appended at once, and never changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyorder.reproduce._base import Cell, Row, Study
from pyorder.runs.folder import plain


class RowFile:
    """The finished cells of one study at one scale.

    Parameters
    ----------
    path : of the file, which is made with the first row; its folder must exist
    study : rows of other settings are passed over
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        self.study = study

    def read(self) -> list[Row]:
        """Rows of the study's own cells, in the cells' sequence.

        A last line that was cut off in the middle of being written is passed over.

        Raises
        ------
        ValueError
            If a line is not a row.
        """
        found: dict[str, Row] = {}
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
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
        """Add a row, in one write; what is left of a line that was cut off goes.

        Another process may add rows of its own meanwhile: one at a time holds the file's lock.
        """
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(plain(row), allow_nan=False).encode() + b"\n")
            file.flush()


def key(cell: Cell) -> str:
    """A cell as text, whatever the sequence of its factors."""
    return json.dumps(cell, sort_keys=True)
