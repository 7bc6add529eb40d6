"""Where rows go when data is split: by distinct input, or by row where inputs cannot tell rows apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from pyorder._checks import MAX_SEED, check_integer
from pyorder.data._groups import group_rows
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["assign_rows", "check_fractions", "comparable", "number_groups"]


def comparable(
    inputs: NDArray[np.integer[Any]], missing: NDArray[np.bool_] | None = None
) -> NDArray[np.integer[Any]]:
    """Return rows that are equal where inputs (N, X) are: a missing value is a value of its own.

    Examples
    --------
    >>> comparable(np.array([[5, 0], [5, 0]]), np.array([[False, True], [False, False]]))
    array([[5, 0, 0, 1],
           [5, 0, 0, 0]])
    """
    if missing is None:
        return inputs
    return np.concatenate([np.where(missing, inputs.dtype.type(0), inputs), missing.astype(inputs.dtype)], axis=1)


def number_groups(groups: ArrayLike) -> NDArray[np.int64]:
    """Number groups (N,), of integers or texts, from 0 on: (N,).

    Examples
    --------
    >>> number_groups(["b", "a", "b"])
    array([1, 0, 1])
    """
    array = np.asarray(groups)
    if array.ndim != 1 or array.dtype.kind not in "iuUS":
        raise InputError(
            f"groups: expected integers or texts of shape (N,), got {array.dtype} of shape {array.shape}"
        )
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def check_fractions(fractions: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return three positive numbers with the sum 1, or say what is wrong with them."""
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise InputError(f"fractions: expected three positive numbers with the sum 1, got {fractions!r}")
    return shares


def assign_rows(
    inputs: NDArray[np.integer[Any]], fractions: tuple[float, float, float], seed: SupportsIndex
) -> tuple[NDArray[np.int64], bool, str | None]:
    """Return the split (N,) that every row is in, whether rows were split one by one, and why if it is a surprise.

    Equal inputs (N, X) stay together, unless X is 0, a split would be empty, or the most frequent input has more
    rows than the smallest split should have.

    Raises
    ------
    InputError
        For other fractions than three positive numbers with the sum 1, or when there are too few rows.

    Examples
    --------
    >>> assign_rows(np.arange(10)[:, None], (0.8, 0.1, 0.1), 0)
    (array([0, 0, 0, 0, 0, 0, 1, 2, 0, 0]), False, None)
    """
    shares = check_fractions(fractions)
    number = check_integer(seed, "seed", 0, MAX_SEED)
    rows = len(inputs)
    one_by_one = np.arange(rows)
    if inputs.shape[1] == 0:
        return _checked(_assign(one_by_one, shares, number), rows, fractions), True, None
    group = group_rows(inputs)
    count = int(group.max()) + 1
    part = _assign(group, shares, number)
    largest = int(np.bincount(group).max())
    if len(np.unique(part)) == 3 and (largest == 1 or largest <= rows * shares.min()):
        return part, False, None
    part = _checked(_assign(one_by_one, shares, number), rows, fractions)
    return (
        part,
        True,
        (
            f"split by row, not by distinct input: there are {rows} rows with {count} distinct inputs, the most "
            f"frequent in {largest} rows, too few for splits of {', '.join(f'{share:g}' for share in shares)}"
        ),
    )


def _assign(group: NDArray[np.int64], shares: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Shuffle the groups, line them up, and cut the line where the shares of rows say."""
    all_sizes = np.bincount(group)
    # Raw random bits, because NumPy promises them to stay the same; its shuffles may change.
    shuffled = np.argsort(np.random.Philox(key=seed).random_raw(len(all_sizes)), kind="stable")
    sizes = all_sizes[shuffled]
    middles = np.cumsum(sizes) - sizes / 2
    part = np.empty(len(all_sizes), dtype=np.int64)
    part[shuffled] = np.searchsorted(len(group) * np.cumsum(shares)[:2], middles)
    result: NDArray[np.int64] = part[group]
    return result


def _checked(part: NDArray[np.int64], rows: int, fractions: tuple[float, float, float]) -> NDArray[np.int64]:
    for number, name in enumerate(("train", "validation", "test")):
        if not (part == number).any():
            enough = math.ceil(round(1 / min(fractions), 6))  # a row for the smallest, and no fewer for the others
            raise InputError(
                f"fractions: the {name} split would be empty; the data has {rows} row{'' if rows == 1 else 's'}, "
                f"and {enough} are enough for {fractions!r}"
            )
    return part
