"""What it means that two results are equal: the same type, and equal contents, arrays among them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt


class ByContents:
    """A dataclass that holds arrays: equal to another of its type with equal contents, see `same`; not hashable.

    The dataclass itself is declared with ``eq=False``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, eq=False)
    ... class Losses(ByContents):
    ...     of_rows: np.ndarray
    >>> Losses(np.array([1.0, np.nan])) == Losses(np.array([1.0, np.nan]))
    True
    >>> hash(Losses(np.zeros(2)))
    Traceback (most recent call last):
    TypeError: unhashable type: 'Losses'
    """

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    def contents(self) -> dict[str, Any]:
        """What is compared: the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or same(self.contents(), other.contents())


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal: arrays of one shape by their elements, collections by their items; NaN is NaN.

    Numbers are compared by value, whether they are Python's or NumPy's.

    Examples
    --------
    >>> same({"loss": [np.nan, np.arange(3)]}, {"loss": [np.nan, np.arange(3)]})
    True
    >>> same(np.zeros(3), 0.0), same([1], (1,)), same(1, np.int64(1))
    (False, False, True)
    """
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and _same_arrays(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or bool(one != one and other != other)  # NaN alone differs from itself


def _same_arrays(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    floats = all(array.dtype.kind in "fc" for array in (one, other))  # others have no NaN
    return np.array_equal(one, other, equal_nan=floats)
