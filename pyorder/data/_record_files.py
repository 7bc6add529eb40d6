"""Records from wherever they lie: a JSONL file, or anything that yields mappings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyorder._disk import open_regular
from pyorder.errors import InputError

__all__ = ["read_jsonl", "read_records"]

_MARK = b"\xef\xbb\xbf"  # that some programs put before UTF-8


def read_records(rows: Any) -> list[Mapping[str, Any]]:
    """Read records from a path that ends in .jsonl, or from an object that yields mappings.

    Raises
    ------
    OSError
        When a file cannot be opened.
    TypeError, InputError
        For anything else, no record, and a line that is no object.

    Examples
    --------
    >>> read_records(iter([{"a": 1}]))
    [{'a': 1}]
    >>> read_records([{"a": 1}, 2])
    Traceback (most recent call last):
    TypeError: rows: expected a mapping from keys to values, got int in row 1
    """
    if isinstance(rows, str | os.PathLike):
        return read_jsonl(Path(rows))
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        kind = type(rows).__name__
        raise TypeError(f"rows: expected a path, or an iterable of mappings from keys to values, got {kind}")
    records = list(rows)
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            kind = type(record).__name__
            raise TypeError(f"rows: expected a mapping from keys to values, got {kind} in row {number}")
    if not records:
        raise InputError("rows: expected at least one, got none")
    return records


def read_jsonl(path: Path) -> list[Mapping[str, Any]]:
    """Read a file with a JSON object on every line; lines of blanks are passed over."""
    if path.suffix != ".jsonl":
        raise InputError(f"{str(path)!r} ends in {path.suffix or 'nothing'!r}; .jsonl is needed")
    records: list[Mapping[str, Any]] = []
    with open_regular(path) as file:
        for number, line in enumerate(file, start=1):
            content = line.removeprefix(_MARK) if number == 1 else line
            if content.isspace() or not content:
                continue
            try:
                record = json.loads(content.decode(), object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:  # of JSON, and of Unicode
                said = getattr(error, "msg", None) or " ".join(str(error).split())
                where = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                raise InputError(f"{str(path)!r}: line {number}{where}: cannot be read: {said}") from None
            if not isinstance(record, dict):
                kind = type(record).__name__
                raise InputError(f"{str(path)!r}: line {number}: expected an object, got {_JSON.get(kind, kind)}")
            records.append(record)
    if not records:
        raise InputError(f"{str(path)!r}: expected at least one line with an object, got none")
    return records


_JSON = {"list": "a list", "str": "text", "int": "a number", "float": "a number", "bool": "a truth value"}
_JSON |= {"NoneType": "null"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"the key {twice!r} is there twice")
    return made
