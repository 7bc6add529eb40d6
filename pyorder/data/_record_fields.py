"""Fields of records: which keys there are, objects inside of others too, and what a field holds as text."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pyorder.data.tables import choose, listed
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_json", "as_text", "choose_fields", "find_fields", "flatten", "number_groups", "texts_of"]

Flat: TypeAlias = Mapping[str, Any]


def flatten(record: Mapping[str, Any], number: int) -> Flat:
    """A record with a key for every path through it, whose names have dots between them; objects are kept too.

    Messages call it by its number.

    Examples
    --------
    >>> flatten({"plan": "x", "answer": {"value": 3}}, 0)
    {'plan': 'x', 'answer': {'value': 3}, 'answer.value': 3}
    """
    if all(isinstance(key, str) for key in record) and not any(isinstance(v, Mapping) for v in record.values()):
        return record
    flat: dict[str, Any] = {}

    def walk(inside: Mapping[str, Any], path: str) -> None:
        for key, value in inside.items():
            if not isinstance(key, str):
                raise TypeError(f"rows: expected keys of text, got {key!r} in row {number}")
            name = path + key
            if name in flat:
                raise InputError(f"rows: expected distinct keys, got {name!r} twice in row {number}")
            flat[name] = value
            if isinstance(value, Mapping):
                walk(value, f"{name}.")

    try:
        walk(record, "")
    except RecursionError:
        raise InputError(
            f"rows: expected objects in objects a few levels deep, got more in row {number}"
        ) from None
    return flat


def find_fields(flat: Sequence[Flat]) -> tuple[list[str], list[str]]:
    """All keys of flat records, and those that hold no objects, each in the sequence of their first appearance.

    A key that holds objects in some rows and other values in others counts as one that holds none.

    Examples
    --------
    >>> find_fields([flatten({"a": None, "b": 1}, 0), flatten({"a": {"c": 2}, "b": {"d": 1}}, 1)])
    (['a', 'b', 'a.c', 'b.d'], ['b', 'a.c'])
    """
    seen: dict[str, None] = {}
    objects: set[str] = set()
    others: set[str] = set()
    for record in flat:
        for name, value in record.items():
            if name not in seen:
                seen[name] = None
            if isinstance(value, Mapping):
                if value:
                    objects.add(name)
            elif value is not None:
                others.add(name)
    mixed = tuple(f"{name}." for name in objects & others)
    return list(seen), [
        name for name in seen if (name in others or name not in objects) and not (mixed and name.startswith(mixed))
    ]


def choose_fields(
    flat: Sequence[Flat],
    inputs: Iterable[str] | None,
    targets: Iterable[str] | None,
    ignore: Iterable[str] | None,
    groups: str | None,
    may_lack: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """The names of the inputs and targets; the latter are all other fields, unless named, but those to ignore.

    Those that records may lack are known though no record has them.
    """
    there, fields = find_fields(flat)
    if groups is not None and groups not in there:
        raise InputError(f"groups: there is no key {groups!r}; the keys are {listed(there)}")
    lacking = [name for name in may_lack if name not in there]
    given, wanted = choose([*there, *lacking], inputs, targets, ignore, "key")
    if targets is None:
        taken = [name for name in there if name not in wanted or name == groups]  # inputs, and what is ignored
        inside = tuple(f"{name}." for name in taken)
        wanted = [name for name in fields if name not in taken and not name.startswith(inside)]
    for name in (*given, *wanted):
        for other in (*given, *wanted):
            if name.startswith(f"{other}.") and any(isinstance(record.get(other), Mapping) for record in flat):
                raise InputError(f"{'inputs' if name in given else 'targets'}: {name!r} is a part of {other!r}")
    return given, wanted


def as_text(value: Any) -> str | None:
    """Text as it is, dates as ISO 8601 has them, anything else as compact JSON; None for what is no value.

    Null is none, nor is a number that is not finite. Arrays are lists.

    Raises
    ------
    TypeError, ValueError
        For what JSON cannot hold.

    Examples
    --------
    >>> as_text("a b"), as_text(1.5), as_text(True), as_text({"x": [1, "ü"]}), as_text(float("nan"))
    ('a b', '1.5', 'true', '{"x":[1,"ü"]}', None)
    """
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "tolist"):  # of NumPy, torch and Arrow
        value = value.tolist()
        if isinstance(value, str):
            return value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat()) if value == value else None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=as_json)


def as_json(value: Any) -> Any:
    """What JSON holds, for ``json.dumps`` to ask for: arrays as lists, dates as ISO 8601 has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def texts_of(flat: Sequence[Flat], names: Sequence[str]) -> tuple[dict[str, str], NDArray[np.int64]]:
    """The different texts, each with the first field that has it, and the text (N, F) of every field."""
    texts: dict[str, str] = {}
    place: dict[str, int] = {}
    index = np.empty((len(flat), len(names)), np.int64)
    for column, name in enumerate(names):
        found: list[int] = []
        for row, record in enumerate(flat):
            value = record.get(name)
            text = value if type(value) is str else None if value is None else _text(value, name, row)
            if text is None:
                found.append(-1)
                continue
            number = place.get(text)
            if number is None:
                number = place[text] = len(texts)
                texts[text] = name
            found.append(number)
        index[:, column] = found
    return texts, index


def _text(value: Any, name: str, row: int) -> str | None:
    try:
        return as_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise InputError(f"field {name!r}: expected what JSON holds, got {kind} in row {row}: {error}") from None


def number_groups(flat: Sequence[Flat], name: str) -> NDArray[np.int64]:
    """Numbers of equal values (N,), from 0 on; a missing value is one of its own."""
    known: dict[str | None, int] = {}
    found = [known.setdefault(_text(record.get(name), name, row), len(known)) for row, record in enumerate(flat)]
    return np.array(found, np.int64)
