"""Dotted names: which key of an object each leads to, and the members of an object that is written as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pyorder.errors import InputError

__all__ = ["arranged", "arranged_text", "by_key", "text_keys"]


def by_key(names: Sequence[str], keys: Collection[str], argument: str, inside: str = "") -> dict[str, list[str]]:
    """The keys that names lead to, in the sequence of their first name, each with the names inside of it.

    A key that is named itself has none. ``inside`` is the path to the object, for messages.

    Examples
    --------
    >>> by_key(["say.odd", "ask", "say.sum"], ["ask", "say"], "order")
    {'say': ['odd', 'sum'], 'ask': []}
    """
    found: dict[str, list[str]] = {}
    for name in names:
        places = [place for place, letter in enumerate(name) if letter == "."]
        key = next((head for place in (len(name), *reversed(places)) if (head := name[:place]) in keys), None)
        if key is None:
            there = ", ".join(inside + key for key in keys) or "none"
            raise InputError(f"{argument}: there is no {inside + name!r}; there are {there}")
        rest = name[len(key) + 1 :]
        if key in found and not (rest and found[key]):
            raise InputError(f"{argument}: {inside + key!r} is asked for, and a part of it too")
        found.setdefault(key, []).extend([rest] if rest else [])
    return found


def arranged(record: Mapping[str, Any], names: Sequence[str], inside: str = "") -> dict[str, Any]:
    """A record with the keys that are named in the sequence of their names, behind all others.

    Examples
    --------
    >>> arranged({"answer": {"unit": "m", "value": 3}, "plan": "x"}, ["plan", "answer.value", "answer.unit"])
    {'plan': 'x', 'answer': {'value': 3, 'unit': 'm'}}
    """
    parts = by_key(names, record, "batch", inside)
    made = {key: value for key, value in record.items() if key not in parts}
    for key, within in parts.items():
        value = record[key]
        if within and not isinstance(value, Mapping):
            raise InputError(f"batch: there is no {f'{inside}{key}.{within[0]}'!r}: {inside + key!r} is no object")
        made[key] = arranged(value, within, f"{inside}{key}.") if within else value
    return made


class Member(NamedTuple):
    """Where a key begins, where its value does, and where that ends."""

    begin: int
    value: int
    end: int


def text_keys(text: str) -> list[str]:
    """The keys of a JSON object that is given as text; InputError for anything else.

    Examples
    --------
    >>> text_keys('{"b": 1, "a": [2]}')
    ['b', 'a']
    """
    return list(_members(text))


def arranged_text(text: str, names: Sequence[str], inside: str = "") -> str:
    """A JSON object as text, arranged as `arranged` does: members change places, everything else stays as it is.

    Examples
    --------
    >>> arranged_text('{"b": 1.50,  "a": {"d": [2],"c": 3}}', ["a.c", "a.d", "b"])
    '{"a": {"c": 3,"d": [2]},  "b": 1.50}'
    """
    members = _members(text)
    parts = by_key(names, members, "batch", inside)
    pieces = [text[member.begin : member.end] for key, member in members.items() if key not in parts]
    for key, within in parts.items():
        member = members[key]
        value = text[member.value : member.end]
        if within and not value.startswith("{"):
            raise InputError(f"batch: there is no {f'{inside}{key}.{within[0]}'!r}: {inside + key!r} is no object")
        told = arranged_text(value, within, f"{inside}{key}.") if within else value
        pieces.append(text[member.begin : member.value] + told)
    places = list(members.values())
    ends = [0, *(member.end for member in places)]
    begins = [*(member.begin for member in places), len(text)]
    between = [text[end:begin] for end, begin in zip(ends, begins, strict=True)]
    return between[0] + "".join(piece + gap for piece, gap in zip(pieces, between[1:], strict=True))


_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def _members(text: str) -> dict[str, Member]:
    """The members of the one object in a text, by key."""
    try:
        members, end = _object(text, _past(text, 0))
        if end != len(text):
            raise ValueError
    except (ValueError, RecursionError) as error:  # of JSON too
        if isinstance(error, InputError):
            raise
        raise InputError(f"batch: expected a JSON object as text, got {text!r:.80}") from None
    return members


def _object(text: str, place: int) -> tuple[dict[str, Member], int]:
    """Members of the object that begins at a place, and the place of what comes behind it."""
    members: dict[str, Member] = {}
    place = _past(text, _mark(text, place, "{"))
    while text[place : place + 1] != "}" or members:
        begin = place
        key, place = _DECODER.raw_decode(text, begin)
        if not isinstance(key, str):
            raise ValueError
        if key in members:
            raise InputError(f"batch: the key {key!r} is there twice")
        value = _past(text, _mark(text, _past(text, place), ":"))
        _, end = _DECODER.raw_decode(text, value)
        members[key] = Member(begin, value, end)
        place = _past(text, end)
        if text[place : place + 1] == "}":
            break
        place = _past(text, _mark(text, place, ","))
    return members, _past(text, _mark(text, place, "}"))


def _mark(text: str, place: int, mark: str) -> int:
    if text[place : place + 1] != mark:
        raise ValueError
    return place + 1


def _past(text: str, place: int) -> int:
    """The place of the first character that is no blank."""
    blanks = _BLANKS.match(text, place)
    assert blanks is not None
    return blanks.end()
