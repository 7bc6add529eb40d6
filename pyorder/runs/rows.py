"""The record of a study: one JSON line a finished cell, appended at once, and never changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyorder.runs.folder import plain

Cell = dict[str, Any]
Row = dict[str, Any]


class RowFile:
    """The finished cells of studies: a row is of a cell if it has all the values that the cell has.

    Parameters
    ----------
    path : of the file, which is made with the first row; its folder must exist

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = RowFile(Path(folder, "rows.jsonl"))
    ...     file.append({"seed": 1, "loss": 0.5})
    ...     file.read([{"seed": 0}, {"seed": 1}]), file.missing([{"seed": 0}, {"seed": 1}])
    ([{'seed': 1, 'loss': 0.5}], [{'seed': 0}])
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, cells: Sequence[Cell]) -> list[Row]:
        """The rows of those of the cells that have finished, in the cells' sequence; of several the first.

        A last line that was cut off in the middle of being written is passed over.

        Raises
        ------
        ValueError
            If a line is not a row.
        """
        return [row for row in self._rows_of(cells) if row is not None]

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those of the cells that have no row yet."""
        return [cell for cell, row in zip(cells, self._rows_of(cells), strict=True) if row is None]

    def _rows_of(self, cells: Sequence[Cell]) -> Iterator[Row | None]:
        rows = self._read_all()
        for cell in cells:
            told = plain(cell).items()
            yield next((row for row in rows if all(row.get(key) == value for key, value in told)), None)

    def _read_all(self) -> list[Row]:
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        rows = []
        for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise ValueError(f"{os.fspath(self.path)!r}: line {number} is no row of a study")
            rows.append(row)
        return rows

    def append(self, row: Row) -> None:
        """Add a row, in one write; what is left of a line that was cut off goes.

        Another process may add rows of its own meanwhile: one at a time holds the file's lock.
        """
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(plain(row), allow_nan=False).encode() + b"\n")
            file.flush()
