"""Orders: permutations of the steps, row by row.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
L                              number of slots, and of steps; 1 to 65,535
T                              number of orders
order      (L,) integers       ``order[j]`` is the canonical step emitted at slot j
orders     (T, L) integers     one order a row
rank       uint64              place of an order among all L! in lexicographic sequence, from 0; L <= 20
=========  ==================  =====================================================================

Orders are taken from arrays and tensors of any integer type and from lists, and returned as int64. A float or
bool is a TypeError; a wrong shape or a row that is no permutation is a ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from pyorder import _core
from pyorder._checks import MAX_SEED, check_integer, check_rows, integer_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "adjacency",
    "check_order",
    "check_orders",
    "compose",
    "invert",
    "kendall_tau",
    "lexicographic",
    "lexicographic_chunks",
    "rank",
    "sample",
    "unrank",
]

MAX_LENGTH: int = _core.permutation.max_length


def check_orders(orders: ArrayLike, length: int | None = None, name: str = "orders") -> NDArray[np.int64]:
    """Return orders as a C-contiguous int64 array (T, L), or say what is wrong with them.

    Nothing is copied when they are that already. ``length`` is the L to insist on; ``name`` begins the
    messages.

    Raises
    ------
    TypeError
        For values that are no integers.
    ValueError
        For a wrong shape, or a row that is not a permutation of 0..L-1.

    Examples
    --------
    >>> check_orders([[2, 0, 1], [0, 1, 2]])
    array([[2, 0, 1],
           [0, 1, 2]])
    >>> check_orders([[2, 0, 1], [0, 1, 1]])
    Traceback (most recent call last):
    ValueError: orders: row 1 is not a permutation of 0..2
    """
    return _checked(orders, length, name, dimensions=2)


def check_order(order: ArrayLike, length: int | None = None, name: str = "order") -> NDArray[np.int64]:
    """Return one order as a C-contiguous int64 array (L,), or say what is wrong with it, like check_orders.

    Examples
    --------
    >>> check_order([2, 0, 1], length=4)
    Traceback (most recent call last):
    ValueError: order: expected shape (4,), got (3,)
    """
    return _checked(order, length, name, dimensions=1)


def _checked(orders: ArrayLike, length: int | None, name: str, dimensions: int) -> NDArray[np.int64]:
    array = integer_array(orders, name)
    if array.ndim != dimensions or (length is not None and array.shape[-1] != length):
        slots = "L" if length is None else length
        expected = f"({slots},)" if dimensions == 1 else f"(T, {slots})"
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
    _core.permutation.check_orders(array, name)
    return np.ascontiguousarray(array, dtype=np.int64)


def lexicographic(
    length: SupportsIndex, *, start: SupportsIndex = 0, count: SupportsIndex | None = None
) -> NDArray[np.int64]:
    """Return the orders (count, length) of the lexicographic ranks from start on, by default to the last.

    Raises
    ------
    OverflowError
        Above 20 slots, where ranks pass 64 bits.
    ValueError
        For ranks beyond the last, or more orders than fit in memory; see lexicographic_chunks.

    Examples
    --------
    >>> lexicographic(3, start=2, count=3)
    array([[1, 0, 2],
           [1, 2, 0],
           [2, 0, 1]])
    """
    length = check_integer(length, "length", 1, MAX_LENGTH)
    total = _core.permutation.factorial(length)
    start = check_integer(start, "start", 0, total)
    name = "length" if count is None else "count"
    count = total - start if count is None else check_integer(count, "count", 0, total - start)
    check_rows(count, length, name)
    orders = np.empty((count, length), dtype=np.int64)
    _core.permutation.lexicographic(orders, start)
    return orders


def lexicographic_chunks(
    length: SupportsIndex,
    *,
    chunk_size: SupportsIndex = 65536,
    start: SupportsIndex = 0,
    stop: SupportsIndex | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Go through the orders of lexicographic ranks start .. stop - 1 in chunks (at most chunk_size, length).

    One chunk is held at a time, and any rank can be the first: so work can be shared out and resumed.

    Raises
    ------
    OverflowError
        Above 20 slots, where ranks pass 64 bits.
    ValueError
        Unless 0 <= start <= stop <= length! and chunk_size >= 1.

    Examples
    --------
    >>> [len(orders) for orders in lexicographic_chunks(5, chunk_size=50)]
    [50, 50, 20]
    """
    length = check_integer(length, "length", 1, MAX_LENGTH)
    total = _core.permutation.factorial(length)
    start = check_integer(start, "start", 0, total)
    stop = total if stop is None else check_integer(stop, "stop", start, total)
    size = check_integer(chunk_size, "chunk_size", 1)
    ranks = range(start, stop, size)
    return (lexicographic(length, start=first, count=min(size, stop - first)) for first in ranks)


def rank(orders: ArrayLike) -> NDArray[np.uint64]:
    """Return the lexicographic ranks (T,) of orders (T, L).

    Raises
    ------
    OverflowError
        Above 20 slots, where ranks pass 64 bits.

    Examples
    --------
    >>> rank([[0, 1, 2], [2, 1, 0]])
    array([0, 5], dtype=uint64)
    """
    return _core.permutation.rank(integer_array(orders, "orders"))


def unrank(ranks: ArrayLike, length: SupportsIndex) -> NDArray[np.int64]:
    """Return the orders (T, length) of lexicographic ranks (T,).

    Raises
    ------
    OverflowError
        Above 20 slots, where ranks pass 64 bits.
    ValueError
        For a rank outside of 0 .. length! - 1.

    Examples
    --------
    >>> unrank([0, 5], 3)
    array([[0, 1, 2],
           [2, 1, 0]])
    """
    length = check_integer(length, "length", 1, MAX_LENGTH)
    return _core.permutation.unrank(integer_array(ranks, "ranks"), length)


def sample(
    length: SupportsIndex, count: SupportsIndex, *, seed: SupportsIndex, distinct: bool = False
) -> NDArray[np.int64]:
    """Return uniformly random orders (count, length), with ``distinct`` no two of them equal.

    Row i depends on the seed and i only; distinct rows depend on each other, and stand in random sequence.
    The random numbers are those of Philox4x64-10 (Salmon et al., 2011).

    Raises
    ------
    ValueError
        When more distinct orders are asked for than there are, or more orders than fit in memory.

    Examples
    --------
    >>> orders = sample(5, 1000, seed=0)
    >>> bool((sample(5, 10, seed=0) == orders[:10]).all())
    True
    >>> len(set(rank(sample(5, 120, seed=0, distinct=True)).tolist()))
    120
    """
    length = check_integer(length, "length", 1, MAX_LENGTH)
    count = check_integer(count, "count", 0)
    seed = check_integer(seed, "seed", 0, MAX_SEED)
    check_rows(count, length, "count")
    draw = _core.permutation.sample_distinct if distinct else _core.permutation.sample
    return draw(length, count, seed)


def compose(outer: ArrayLike, inner: ArrayLike) -> NDArray[np.int64]:
    """Return ``outer`` taken in the sequence ``inner``: ``result[j] = outer[inner[j]]``.

    Both are (L,) or (T, L); a single order is composed with every row of the other. Reordering targets by
    ``outer`` and the result by ``inner`` is reordering them by the composition:
    ``targets[:, outer][:, inner] == targets[:, compose(outer, inner)]``.

    Examples
    --------
    >>> compose([2, 0, 1], [[0, 1, 2], [1, 2, 0]])
    array([[2, 0, 1],
           [0, 1, 2]])
    """
    return _core.permutation.compose(integer_array(outer, "outer"), integer_array(inner, "inner"))


def invert(orders: ArrayLike) -> NDArray[np.int64]:
    """Return the inverse orders, of the same shape (L,) or (T, L): the slot at which each step is emitted.

    Examples
    --------
    >>> invert([2, 0, 1])
    array([1, 2, 0])
    """
    return _core.permutation.invert(integer_array(orders, "orders"))


def kendall_tau(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return how far two orders agree on which of two steps comes first, from -1 (never) to 1 (always).

    This is Kendall's rank correlation of the slots that the orders give to the steps: the share of
    pairs of steps that both emit in the same sequence, less the share of the others. Both are (L,) or (T, L)
    with L >= 2; a single order is compared with every row of the other. The result is (T,), and () for two
    single orders.

    Examples
    --------
    >>> kendall_tau([0, 1, 2, 3], [[0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0]]).round(3)
    array([ 1.   ,  0.667, -1.   ])
    """
    return _core.permutation.kendall_tau(integer_array(first, "first"), integer_array(second, "second"))


def adjacency(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the share of the L - 1 neighbours in ``first`` that follow each other in ``second`` too.

    They have to be neighbours in the same sequence: the reverse of an order shares none with it. Shapes are
    those of kendall_tau.

    Examples
    --------
    >>> adjacency([0, 1, 2, 3, 4], [[2, 3, 4, 0, 1], [4, 3, 2, 1, 0]])
    array([0.75, 0.  ])
    """
    return _core.permutation.adjacency(integer_array(first, "first"), integer_array(second, "second"))
