"""Tables: from columns of any kind to the integers of a dataset, by a codec for each.

A table is what Apache Arrow can read: a CSV or Parquet file, a pandas or polars frame, an Arrow table. Text and
truth values become categories. So do numbers and dates with few different values; others are cut into bins with as
many rows in each. A missing value stays missing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import check_integer
from pyorder._disk import open_regular
from pyorder._values import ByContents
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._columns import Column, decoded
from pyorder.data._groups import group_rows
from pyorder.data._rows import Rows
from pyorder.data.codecs import Codec
from pyorder.data.field import Field
from pyorder.data.schema import Schema
from pyorder.errors import InputError

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["BINS", "Columns", "choose", "encode", "listed", "other_ending", "read_table", "rows_of_table"]

BINS = 20
LONGEST_LINE = 1_000_000  # of names, in bytes


@dataclass(frozen=True, eq=False)
class Columns(ByContents):
    """Encoded columns: codes (N, M), where they have none, and what each column was.

    ``same`` tells of columns that were left out as they determine another one to one, and are determined by it;
    ``differ`` are those with whole numbers that all differ.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    gaps: NDArray[np.bool_]
    codecs: tuple[Codec, ...]
    same: Mapping[str, str]
    differ: tuple[str, ...]


def rows_of_table(
    table: Any,
    *,
    inputs: Iterable[str] | None,
    targets: Iterable[str] | None,
    ignore: Iterable[str] | None,
    groups: str | None,
    bins: int | Mapping[str, int],
    like: Schema | None,
) -> tuple[Rows, NDArray[np.int64], dict[str, str]]:
    """The rows of a table, the vocabulary of their codes, and what to keep in the metadata.

    See `pyorder.data.dataset.Dataset.from_table`.
    """
    read = read_table(table)
    codecs = None
    if like is not None:
        if any(named is not None for named in (inputs, targets, ignore)):
            raise TypeError(
                "like: columns are those of the other dataset; inputs, targets and ignore cannot be named too"
            )
        fields = (*like.inputs, *like.steps)
        codecs = {field.name: field.codec for field in fields if isinstance(field.codec, Codec)}
        if len(codecs) < len(fields):
            raise InputError("like: expected a dataset of a table")
        inputs, targets = like.input_names, like.names
    if groups is not None and groups not in read.column_names:
        raise InputError(f"groups: there is no column {groups!r}; the columns are {listed(read.column_names)}")
    given, wanted = choose(read.column_names, inputs, targets, ignore)
    if targets is None and groups in wanted:
        wanted.remove(groups)
    if "" in (*given, *wanted):
        number = read.column_names.index("") + 1
        raise InputError(f"table: column {number} has no name; name it, or leave it out with inputs and targets")
    columns = encode(read, [*given, *wanted], bins, codecs)
    named = tuple(Field(name, 1, codec) for name, codec in zip(columns.names, columns.codecs, strict=True))
    count = sum(name in given for name in columns.names)
    if len(named) - count < 2:
        told = ", ".join(columns.names[count:]) or "none"
        for name, other in columns.same.items():
            told += f"; {name!r} is one to one with {other!r} and was left out"
        raise InputError(f"targets: expected at least 2 columns, got {told}")
    gaps = columns.gaps
    if like is not None and gaps.any() and not like.ends:
        raise InputError("table: has missing values, and the other table has none")
    x, y = columns.codes[:, :count].copy(), columns.codes[:, count:].copy()
    ends = bool(gaps.any()) if like is None else like.ends
    rows = Rows(
        x, y, Schema(named[:count], named[count:], ends), (~gaps[:, count:]).astype(np.uint8), gaps[:, :count]
    )
    if groups is not None:
        rows = replace(rows, groups=_numbered(read.column(groups)))
    vocabulary = vocabularies.check(np.arange(max(1, *(len(codec.values) for codec in columns.codecs))))
    metadata = {"same": json.dumps(columns.same)} if columns.same else {}
    if differ := [name for name in columns.differ if name not in given]:
        metadata["all_differ"] = json.dumps(differ)
    return rows.filled(vocabulary), vocabulary, metadata


def _numbered(column: pyarrow.ChunkedArray) -> NDArray[np.int64]:
    """Numbers of equal values (N,), from 0 on; a missing value is one of its own."""
    codes = decoded(column).dictionary_encode(null_encoding="encode").indices
    return np.array(codes.to_numpy(zero_copy_only=False), np.int64)


def read_table(table: Any) -> pyarrow.Table:
    """Read a table from a path that ends in .csv or .parquet, or from an object of Arrow, pandas or polars.

    Raises
    ------
    ImportError
        Where pyarrow is not installed.
    OSError
        When a file cannot be opened.
    TypeError, InputError
        For anything else, and for files that are no tables or have two columns of one name.
    """
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError:
        raise ImportError("tables need pyarrow, which the extra has: pip install 'pyorder[table]'") from None
    if isinstance(table, str | os.PathLike):
        path = Path(table)
        if path.suffix not in (".csv", ".parquet"):
            raise other_ending(path, ".csv or .parquet")
        if not path.is_dir():  # as tables in several files are
            with open_regular(path) as file:
                if path.suffix == ".csv":
                    _check_commas(file.readline(LONGEST_LINE), path)
        try:
            if path.suffix == ".parquet":
                read = parquet.read_table(path)
            else:
                read = csv.read_csv(path, convert_options=csv.ConvertOptions(strings_can_be_null=True))
                _check_header(read.column_names, path)
            stripped = [name.strip() for name in read.column_names]  # "age, city" names no " city"
            if len(set(stripped)) == len(stripped):
                read = read.rename_columns(stripped)
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{str(path)!r}: {' '.join(str(error).split())}") from None
        except UnicodeDecodeError:  # of names; values in another encoding are bytes to Arrow
            raise InputError(
                f"{str(path)!r}: the names of its columns are not in UTF-8, which is needed"
            ) from None
    elif isinstance(table, pyarrow.Table):
        read = table
    elif hasattr(table, "__arrow_c_stream__"):
        try:
            read = pyarrow.table(table)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:  # a column of mixed objects
            raise InputError(f"table: {' '.join(str(error).split())}") from None
    else:
        raise TypeError(
            f"table: expected a path, an Arrow table, or a frame of pandas or polars, got {type(table).__name__}"
        )
    # What pandas numbers its rows with is no column of the table.
    names = [name for name in read.column_names if not re.fullmatch(r"__index_level_\d+__", name)]
    if names[:1] == [""] and _counts_rows(read.column(0)):
        names = names[1:]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"table: expected distinct names of columns, got {name!r} twice")
    return read.select(names) if len(names) < read.num_columns else read


def other_ending(path: Path, needed: str) -> InputError:
    """What refuses a file by its ending.

    Examples
    --------
    >>> other_ending(Path("mine.tsv"), ".csv")
    InputError("'mine.tsv' ends in '.tsv'; .csv is needed, with commas in place of tabs")
    """
    commas = ", with commas in place of tabs" if path.suffix in (".tsv", ".tab") else ""
    return InputError(f"{str(path)!r} ends in {path.suffix or 'nothing'!r}; {needed} is needed{commas}")


def _check_commas(line: bytes, path: Path) -> None:
    """Refuse a first line that has something else between its names: it would be one column."""
    for separator, called in ((b";", "';'"), (b"\t", "tabs")):
        if separator in line and b"," not in line:
            shown = line.decode(errors="replace").strip()
            raise InputError(
                f"{str(path)!r} looks separated by {called}, and commas are needed, got {shown!r:.80}"
            )


def _check_header(names: Sequence[str], path: Path) -> None:
    """Refuse a first line of numbers, which would be lost as a row, and name the columns.

    Those from 0 on are what pandas calls columns that have no names.
    """
    named = [name for name in names if name.strip()]
    if named and all(map(_is_number, named)) and named != [str(number) for number in range(len(named))]:
        raise InputError(
            f"{str(path)!r}: the first line of a table has to be the names of its columns, "
            f"got the numbers {', '.join(names):.80}"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _counts_rows(column: pyarrow.ChunkedArray) -> bool:
    """Whether a column is the numbers of the rows, from 0 or 1 on."""
    from pyarrow import types

    if not types.is_integer(column.type) or column.null_count:
        return False
    numbers = column.to_numpy()
    return any(np.array_equal(numbers, np.arange(first, first + len(numbers))) for first in (0, 1))


def choose(
    there: Sequence[str],
    inputs: Iterable[str] | None,
    targets: Iterable[str] | None,
    ignore: Iterable[str] | None = None,
    what: str = "column",
) -> tuple[list[str], list[str]]:
    """The names of the input and target columns; targets are all others, unless named, but those to ignore.

    Messages call a column ``what``.

    Examples
    --------
    >>> choose(["a", "b", "c"], ["b"], None)
    (['b'], ['a', 'c'])
    >>> choose(["a", "b"], ["c"], None)
    Traceback (most recent call last):
    pyorder.errors.InputError: inputs: there is no column 'c'; the columns are a, b
    """
    chosen: dict[str, list[str]] = {}
    for argument, given in (("inputs", inputs), ("targets", targets), ("ignore", ignore)):
        if isinstance(given, str):
            raise TypeError(f"{argument}: expected a list of {what}s, got the text {given!r}")
        chosen[argument] = list(given or ())
        for name in chosen[argument]:
            if name not in there:
                raise InputError(f"{argument}: there is no {what} {name!r}; the {what}s are {listed(there)}")
            if chosen[argument].count(name) > 1:
                raise InputError(f"{argument}: the {what} {name!r} is named twice")
    for name in chosen["ignore"]:
        for argument, called in (("inputs", "an input"), ("targets", "a target")):
            if name in chosen[argument]:
                raise InputError(f"ignore: the {what} {name!r} is {called} already")
    if targets is None:
        chosen["targets"] = [name for name in there if name not in (*chosen["inputs"], *chosen["ignore"])]
    for name in chosen["targets"]:
        if name in chosen["inputs"]:
            raise InputError(f"targets: the {what} {name!r} is an input already")
    return chosen["inputs"], chosen["targets"]


def listed(names: Iterable[str]) -> str:
    """Names with commas between them, in quotes where a name has a comma itself.

    Examples
    --------
    >>> listed(["a,x", "b"])
    "'a,x', b"
    """
    return ", ".join(repr(name) if "," in name else name for name in names)


def encode(
    table: pyarrow.Table, names: Sequence[str], bins: int | Mapping[str, int], like: Mapping[str, Codec] | None
) -> Columns:
    """Encode columns, by codecs of their own or those of another table; columns that say the same are left out.

    Raises
    ------
    TypeError, InputError
        For a column of another kind, text without repetition, bins that are no number, or a value that the other
        table has not.
    """
    most = _bins_of(bins, table.column_names)
    if not table.num_rows:
        raise InputError("table: expected at least one row, got none")
    codes, gaps, codecs, kept, differ, free = [], [], [], [], [], []
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for name in names:
        column = Column(name, table.column(name))
        if like is None and column.free_text:
            free.append(f"{name!r} ({len(column.different):,} different texts in {len(column.present):,} rows)")
            continue
        codec = column.codec(most.get(name, most[""])) if like is None else like[name]
        code = column.codes(codec)
        if like is None and len(codec.values) > 1:
            numbered = group_rows(code[:, None]).tobytes()  # equal for columns that determine each other
            if (other := first.setdefault(numbered, name)) != name:
                same[name] = other
                continue
        kept.append(name)
        codes.append(np.maximum(code, 0))
        gaps.append(code < 0)
        codecs.append(codec)
        if like is None and column.all_differ:
            differ.append(name)
    if free:
        raise InputError(
            f"text that hardly repeats is no category: column {', '.join(free)}; leave such columns out with "
            "ignore, or put what they tell into columns of their own"
        )
    shape = (table.num_rows, 0)
    return Columns(
        tuple(kept),
        np.stack(codes, 1) if codes else np.zeros(shape, np.int64),
        np.stack(gaps, 1) if gaps else np.zeros(shape, np.bool_),
        tuple(codecs),
        same,
        tuple(differ),
    )


def _bins_of(bins: int | Mapping[str, int], there: Sequence[str]) -> dict[str, int]:
    """The most values or bins by column; under "" that of all others."""
    if not isinstance(bins, Mapping):
        return {"": check_integer(bins, "bins", 2)}
    for name in bins:
        if name not in there:
            raise InputError(f"bins: there is no column {name!r}; the columns are {listed(there)}")
    return {"": BINS, **{name: check_integer(count, f"bins of {name!r}", 2) for name, count in bins.items()}}
