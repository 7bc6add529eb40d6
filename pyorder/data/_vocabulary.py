"""Vocabularies: the sorted distinct values, (V,) int64, of data; a token is the place of a value."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import integer_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MAX_RANGE = 2**24  # a few bytes of a broken file must not fill the memory


def check(values: ArrayLike) -> NDArray[np.int64]:
    """Return the vocabulary of the given values, or say what is wrong with them."""
    array = integer_array(values, "vocabulary")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"vocabulary: expected shape (V,) with V >= 1, got {array.shape}")
    check_int64(int(array.max()), "vocabulary")
    return distinct(array)


def check_int64(greatest: int, name: str) -> None:
    """Raise ValueError when the greatest value is beyond int64, which vocabularies are kept in."""
    if greatest > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: expected values within int64, got {greatest}")


def distinct(*arrays: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return the vocabulary of all values in the arrays, read-only."""
    values = np.unique(np.concatenate([np.unique(array).astype(np.int64) for array in arrays]))
    values.flags.writeable = False
    return values


def places(
    values: NDArray[np.integer[Any]], vocabulary: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[int, int] | None]:
    """Return the places of values, (N, M), in a vocabulary, and where the first value stands that it lacks."""
    low, high = vocabulary[0], vocabulary[-1]
    if values.size and _is_range(vocabulary) and low <= values.min() and values.max() <= high:
        # The common case, and many times as fast as a search.
        found: NDArray[np.int64] = np.subtract(values, low, dtype=np.int64)
        return found, None
    numbers = values.astype(np.int64, copy=False)
    found = np.minimum(np.searchsorted(vocabulary, numbers), len(vocabulary) - 1)
    missing = np.argwhere(vocabulary[found] != numbers)
    return found, (int(missing[0][0]), int(missing[0][1])) if len(missing) else None


def to_text(vocabulary: NDArray[np.int64]) -> str:
    """Return ``low..high``, or a JSON list when values in between are missing or there are very many."""
    if _is_range(vocabulary) and len(vocabulary) <= _MAX_RANGE:
        return f"{vocabulary[0]}..{vocabulary[-1]}"
    return json.dumps(vocabulary.tolist())


def from_text(text: str) -> NDArray[np.integer[Any]]:
    """Return the values that to_text wrote, or say what is wrong with the text; check() does the rest."""
    limits = re.fullmatch(r"(-?\d{1,19})\.\.(-?\d{1,19})", text)
    if limits:
        low, high = int(limits[1]), int(limits[2])
        if low >= -(2**63) and high < min(2**63, low + _MAX_RANGE):
            return np.arange(high - low + 1, dtype=np.int64) + low
    try:
        return integer_array(json.loads(text), "vocabulary")
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"vocabulary: expected 'low..high' or a JSON list, got {text[:80]!r}") from None


def _is_range(vocabulary: NDArray[np.int64]) -> bool:
    return int(vocabulary[-1]) - int(vocabulary[0]) + 1 == len(vocabulary)
