"""Checks of arguments that several nouns share; errors name the argument, what was given, what is allowed."""

from __future__ import annotations

import math
import operator
import os
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_SEED = 2**64 - 1


def check_integer(value: SupportsIndex, name: str, low: int, high: int | None = None) -> int:
    """Return value as an int; ValueError outside of low..high, TypeError when it is no integer."""
    try:
        if isinstance(value, bool):  # an int to Python, a mistake here
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if number < low or (high is not None and number > high):
        allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected an integer {allowed}, got {number}")
    return number


def integer_array(value: ArrayLike, name: str) -> NDArray[np.integer[Any]]:
    """Return an array, tensor or nested lists as an array of their own integer type, if possible uncopied."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of equal length, got a ragged sequence") from error
    except (
        TypeError,
        RuntimeError,
    ) as error:  # tensors with gradients, on devices, of types that NumPy lacks
        raise TypeError(f"{name}: expected integers that NumPy can read: {error}") from error
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got {array.dtype} of shape {array.shape}")
    return array


def check_rows(rows: int, length: int, name: str) -> None:
    """Raise ValueError when so many int64 orders, asked for by an argument, exceed the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if rows * length * 8 > memory:
        number = f"{rows:,}" if rows < 10**15 else f"about 10^{math.log10(rows):.0f}"
        raise ValueError(
            f"{name}: {number} orders of {length} slots do not fit in this machine's memory "
            f"of {memory / 2**30:.0f} GiB"
        )
