"""What came out of a sweep, a row a cell."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyorder._disk import read_json, replacing
from pyorder._values import ByContents
from pyorder.cli._terminal import order_text, percent
from pyorder.cli.sweeping.cell import Cell
from pyorder.errors import InputError
from pyorder.reproduce._base import Table
from pyorder.runs.claim import has_ended
from pyorder.runs.folder import reading

KINDS = (".csv", ".parquet", ".md")
_IN_THE_NAME = ("task", "data", "length", "strategy", "seed")
_FOUND = ("order", "names", "verdict", "success_rate", "row_loss", "seconds", "error", "folder")


@dataclass(frozen=True, eq=False)
class SweepTable(ByContents):
    """What came out of a sweep.

    Attributes
    ----------
    records : a flat dict a cell, in the sequence that cells were given in: the name of the ``cell``, all that
        it is, and what came out. ``order`` is a list of ints, ``names`` are the same steps as names;
        ``success_rate``, from 0 to 1, and ``row_loss``, in nats a row, are of final training on the order, if
        there was one; ``seconds`` of the search and all final trainings. One that has not finished has an
        ``error`` instead.

    Examples
    --------
    >>> table = read_table([Cell("relu", length=9)], Path("nowhere"), {})
    >>> [(one["task"], one["length"], one["error"]) for one in table.records]  # pandas.DataFrame(table.records)
    [('relu', 9, 'has not finished')]
    """

    records: list[dict[str, Any]]

    @property
    def unfinished(self) -> list[str]:
        """Names of the cells that have no result."""
        return [record["cell"] for record in self.records if record["error"] is not None]

    def markdown(self) -> str:
        """A table for a document; of options, those that differ."""
        options = [name for name in self.records[0] if name not in ("cell", *_IN_THE_NAME, *_FOUND)]
        differing = [name for name in options if len({repr(record[name]) for record in self.records}) > 1]
        columns = ("cell", *differing, "order", "verdict", ">success", ">row loss", ">seconds")
        return Table("", columns, [_line(record, differing) for record in self.records]).markdown().strip()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the records as .csv or .parquet (which needs pyarrow), or the table as .md.

        Raises
        ------
        InputError
            If the name ends otherwise, or its folder is not there.
        ImportError
            If pyarrow is missing.
        """
        check_table(path)
        with replacing(path) as temporary:
            if Path(path).suffix == ".md":
                temporary.write_text(self.markdown() + "\n", encoding="utf-8")
            elif Path(path).suffix == ".csv":
                _write_csv(self.records, temporary)
            else:
                _write_parquet(self.records, temporary)


def read_table(cells: Sequence[Cell], folder: Path, errors: Mapping[str, str]) -> SweepTable:
    """Read what lies in the cells' folders; ``errors`` say by name why a cell has not finished, if it is known."""
    known = dict.fromkeys(name for cell in cells for name in cell.factors)
    records = []
    for cell in cells:
        place = folder / cell.name
        found = _result(place) if has_ended(place) else {"error": errors.get(cell.name, "has not finished")}
        told = {**dict.fromkeys(known), **cell.factors, **dict.fromkeys(_FOUND), **found}
        records.append({"cell": cell.name, **told, "folder": str(place)})
    return SweepTable(records)


def check_table(path: str | os.PathLike[str]) -> None:
    """Find out before hours of work whether a table can be written there."""
    place = Path(path)
    if place.suffix not in KINDS:
        raise InputError(
            f"table: {os.fspath(path)!r} ends in {place.suffix or 'nothing'!r}, not in {', '.join(KINDS)}"
        )
    if not place.parent.is_dir():
        raise InputError(f"table: there is no folder {str(place.parent)!r}")
    if place.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ImportError("table: .parquet needs pyarrow: pip install 'pyorder[table]'") from None


def _result(folder: Path) -> dict[str, Any]:
    with reading(folder, name="folder"):
        result = read_json(folder / "result.json")
        fit = result["fits"].get("discovered", {})
        told = {name: result[name] for name in ("order", "names", "verdict")}
        told |= {name: fit.get(name) for name in ("success_rate", "row_loss")}
        parts = [result["search"], *result["fits"].values()]
        return {**told, "seconds": sum(part["seconds"] for part in parts)}


def _line(record: dict[str, Any], options: Sequence[str]) -> list[str]:
    error = f"failed: {record['error']}"
    numbers = [
        f"{record[name]:.{digits}f}" if record[name] is not None else "-" for name, digits in _DIGITS.items()
    ]
    told = [
        record["cell"],
        *("-" if record[name] is None else str(record[name]) for name in options),
        "-" if record["order"] is None else order_text(record["names"]),
        error if record["verdict"] is None else record["verdict"],
        percent(record["success_rate"]),
        *numbers,
    ]
    return [text.replace("|", "\\|").replace("\n", " ") for text in told]


_DIGITS = {"row_loss": 3, "seconds": 0}


def _write_csv(records: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        for record in records:
            listed = {name: order_text(record[name]) for name in ("order", "names") if record[name] is not None}
            writer.writerow({**record, **listed})


def _write_parquet(records: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {name: [record[name] for record in records] for name in records[0]}
    for name, values in columns.items():
        if (
            len({type(value) for value in values} - {type(None)}) > 1
        ):  # of an option that is now a number, now a word
            columns[name] = [None if value is None else str(value) for value in values]
    parquet.write_table(pyarrow.table(columns), path)
