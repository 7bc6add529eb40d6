"""Neighbourhoods of orders: what a search looks at next.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
L                              number of slots; 1 to 65,535
order      (L,) integers       ``order[j]`` is the canonical step emitted at slot j
orders     (T, L) integers     one order a row
block                          a run of neighbouring slots
=========  ==================  =====================================================================

Moves act on slots, never on the steps that stand there: relabelling the steps of an order relabels the steps
of all results, row by row and in the same sequence. No row occurs twice, but in ``sample_neighbours``. Results
are int64; the sequence of rows is fixed by the arguments. Orders are checked as in pyorder.permutations; a
result that would not fit in the machine's memory is a ValueError that says how many rows it has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, SupportsIndex

from pyorder import _core
from pyorder._checks import MAX_SEED, check_integer, check_rows
from pyorder.orders.permutations import MAX_LENGTH, check_order, check_orders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "between_blocks",
    "block_bounds",
    "block_moves",
    "block_rearrangements",
    "insertions",
    "permuted_blocks",
    "sample_neighbours",
    "swaps",
    "within_blocks",
    "within_every_block",
]


def block_bounds(length: SupportsIndex, blocks: SupportsIndex) -> NDArray[np.int64]:
    """Return where near-equal blocks of slots begin, and the length at the end: (blocks + 1,).

    Sizes differ by one at most, the larger blocks come first.

    Examples
    --------
    >>> block_bounds(13, 5)
    array([ 0,  3,  6,  9, 11, 13])
    """
    length = check_integer(length, "length", 1, MAX_LENGTH)
    return _core.moves.block_bounds(length, check_integer(blocks, "blocks", 1, length))


def block_rearrangements(orders: ArrayLike, blocks: SupportsIndex) -> NDArray[np.int64]:
    """Return all rearrangements of the near-equal blocks of every order: at most (T * blocks!, L).

    This is the step of the global stage of the hierarchical search (arXiv 2506.23875), with the blocks of
    block_bounds. Rows stand order by order, in lexicographic sequence of the blocks, an order itself before
    its rearrangements; a row that came before is left out.

    Examples
    --------
    >>> block_rearrangements([[0, 1, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0]], blocks=2)
    array([[0, 1, 2, 3],
           [2, 3, 0, 1],
           [3, 2, 1, 0],
           [1, 0, 3, 2]])
    """
    array = check_orders(orders)
    count, length = array.shape
    blocks = check_integer(blocks, "blocks", 1, length)
    check_rows(count * math.factorial(blocks), length, "blocks")
    return _core.moves.block_rearrangements(array, blocks)


def within_blocks(
    order: ArrayLike,
    block_size: SupportsIndex,
    *,
    limit: SupportsIndex | None = None,
    seed: SupportsIndex = 0,
) -> NDArray[np.int64]:
    """Return the order, then its rearrangements inside one block of block_size slots: (rows, L).

    This is the first step of the local stage of the hierarchical search (arXiv 2506.23875). There are
    L // block_size blocks, and a shorter last one of the slots that remain. Rows stand block by block, in
    lexicographic sequence of slots; m blocks of l slots without a remainder make 1 + m(l! - 1) rows.

    With ``limit``, there are at most so many rows. If that leaves some out, the order itself and a random
    choice of the others remain, in random sequence; all choices are equally likely, and fixed by the seed.

    Examples
    --------
    >>> within_blocks([3, 0, 4, 1, 2], block_size=2)
    array([[3, 0, 4, 1, 2],
           [0, 3, 4, 1, 2],
           [3, 0, 1, 4, 2]])
    >>> within_blocks(range(100), block_size=50, limit=1000).shape
    (1000, 100)
    """
    array = check_order(order)
    length = len(array)
    size = check_integer(block_size, "block_size", 2, length)
    blocks, remainder = divmod(length, size)
    rows = 1 + blocks * (math.factorial(size) - 1) + (math.factorial(remainder) - 1)
    if limit is None:
        check_rows(rows, length, "block_size, without a limit")
        return _core.moves.within_blocks(array, size)
    limit = check_integer(limit, "limit", 1)
    seed = check_integer(seed, "seed", 0, MAX_SEED)
    check_rows(min(limit, rows), length, "limit")
    if rows <= limit:
        return _core.moves.within_blocks(array, size)
    return _core.moves.sample_within_blocks(array, size, limit, seed)


def within_every_block(
    order: ArrayLike,
    block_size: SupportsIndex,
    *,
    limit: SupportsIndex | None = None,
    seed: SupportsIndex = 0,
) -> NDArray[np.int64]:
    """Return the order, then its rearrangements that are the same in every block of block_size slots: (rows, L).

    This is another reading of the first step of the local stage of the hierarchical search (arXiv 2506.23875).
    A shorter last block stays as it is. Rows stand in lexicographic sequence of slots; blocks of l slots make l!.

    With ``limit``, there are at most so many rows, chosen as in `within_blocks`.

    Examples
    --------
    >>> within_every_block([8, 7, 6, 5, 4, 3, 2, 1, 0], block_size=2)
    array([[8, 7, 6, 5, 4, 3, 2, 1, 0],
           [7, 8, 5, 6, 3, 4, 1, 2, 0]])
    >>> within_every_block(range(100), block_size=50, limit=1000).shape
    (1000, 100)
    """
    array = check_order(order)
    size = check_integer(block_size, "block_size", 2, len(array))
    return _core.moves.within_every_block(array, size, *_limited(size, limit, seed, len(array)))


def permuted_blocks(
    order: ArrayLike,
    block_size: SupportsIndex,
    *,
    limit: SupportsIndex | None = None,
    seed: SupportsIndex = 0,
) -> NDArray[np.int64]:
    """Return the order, then all other rearrangements of the sequence of its blocks: (blocks!, L).

    This is another reading of the second step of the local stage of the hierarchical search (arXiv 2506.23875),
    which holds that of `between_blocks`. Blocks have block_size slots, and a shorter last one, if any, takes part.
    Rows stand in lexicographic sequence of the blocks.

    With ``limit``, there are at most so many rows, chosen as in `within_blocks`.

    Examples
    --------
    >>> permuted_blocks([3, 0, 4, 1, 2], block_size=2)
    array([[3, 0, 4, 1, 2],
           [3, 0, 2, 4, 1],
           [4, 1, 3, 0, 2],
           [4, 1, 2, 3, 0],
           [2, 3, 0, 4, 1],
           [2, 4, 1, 3, 0]])
    """
    array = check_order(order)
    size = check_integer(block_size, "block_size", 2, len(array))
    return _core.moves.permuted_blocks(array, size, *_limited(-(-len(array) // size), limit, seed, len(array)))


def between_blocks(order: ArrayLike, block_size: SupportsIndex) -> NDArray[np.int64]:
    """Return the rotations of the sequence of the order's blocks: (blocks, L), the order itself first.

    This is the second step of the local stage of the hierarchical search (arXiv 2506.23875), which leaves
    open which rearrangements of blocks are meant. Blocks have block_size slots, and a shorter last one, if
    any, rotates along. Row r begins with block r.

    Examples
    --------
    >>> between_blocks([3, 0, 4, 1, 2], block_size=2)
    array([[3, 0, 4, 1, 2],
           [4, 1, 2, 3, 0],
           [2, 3, 0, 4, 1]])
    """
    array = check_order(order)
    length = len(array)
    size = check_integer(block_size, "block_size", 2, length)
    check_rows(-(-length // size), length, "block_size")
    return _core.moves.between_blocks(array, size)


def swaps(order: ArrayLike) -> NDArray[np.int64]:
    """Return all exchanges of two slots of the order: (L(L - 1)/2, L), without the order itself.

    Rows stand in lexicographic sequence of the two slots.

    Examples
    --------
    >>> swaps([2, 0, 1])
    array([[0, 2, 1],
           [1, 0, 2],
           [2, 1, 0]])
    """
    array = check_order(order)
    check_rows(math.comb(len(array), 2), len(array), "order")
    return _core.moves.swaps(array)


def insertions(order: ArrayLike) -> NDArray[np.int64]:
    """Return the orders in which one step is taken out and put in at another slot: ((L - 1)^2, L).

    The order itself is not among them. These are the block moves of one slot, in their sequence.

    Examples
    --------
    >>> insertions([2, 0, 1])
    array([[0, 2, 1],
           [0, 1, 2],
           [1, 2, 0],
           [2, 1, 0]])
    """
    return _block_moves(check_order(order), 1)


def block_moves(order: ArrayLike, max_size: SupportsIndex | None = None) -> NDArray[np.int64]:
    """Return the orders in which a run of 1 to max_size slots is taken out and put in elsewhere: (rows, L).

    The order itself is not among them. A block move exchanges two neighbouring runs, [a, b) and [b, c), of
    which the shorter one has at most max_size slots; rows stand in lexicographic sequence of (a, b, c). By
    default all runs are moved, which makes (L + 1)L(L - 1)/6 rows.

    Examples
    --------
    >>> block_moves([2, 0, 1], max_size=2)
    array([[0, 2, 1],
           [0, 1, 2],
           [1, 2, 0],
           [2, 1, 0]])
    """
    array = check_order(order)
    largest = max(len(array) - 1, 1)
    size = largest if max_size is None else check_integer(max_size, "max_size", 1, largest)
    return _block_moves(array, size)


def sample_neighbours(order: ArrayLike, count: SupportsIndex, *, seed: SupportsIndex) -> NDArray[np.int64]:
    """Return random neighbours of the order, (count, L), row i depending on the seed and i only.

    Each is one of its ``swaps``, ``insertions`` or ``block_moves`` (of any length): the kinds have equal shares,
    and the results of a kind are equally likely. A row can occur twice, the order itself cannot. Nothing is
    listed: a row takes O(L) operations. The random numbers are those of Philox4x64-10 (Salmon et al., 2011).

    Raises
    ------
    ValueError
        For an order of one slot, which has no neighbours, or more rows than fit in memory.

    Examples
    --------
    >>> sample_neighbours([1, 0], 2, seed=0)
    array([[0, 1],
           [0, 1]])
    >>> sample_neighbours(range(1000), 5, seed=0).shape
    (5, 1000)
    """
    array = check_order(order)
    if len(array) < 2:
        raise ValueError("order: expected at least 2 slots, got 1, which has no neighbours")
    count, seed = check_integer(count, "count", 0), check_integer(seed, "seed", 0, MAX_SEED)
    check_rows(count, len(array), "count")
    return _core.moves.sample_neighbours(array, count, seed)


def _limited(items: int, limit: SupportsIndex | None, seed: SupportsIndex, length: int) -> tuple[int, int]:
    """The most rows, at most all arrangements of so many items, and the seed."""
    rows, name = math.factorial(items), "block_size, without a limit"
    if limit is not None:
        rows, name = min(rows, check_integer(limit, "limit", 1)), "limit"
    check_rows(rows, length, name)
    return rows, check_integer(seed, "seed", 0, MAX_SEED)


def _block_moves(order: NDArray[np.int64], max_size: int) -> NDArray[np.int64]:
    length = len(order)
    # Two neighbouring runs that fill `slots` slots have slots - 1 pairs of sizes; in at most 2 * max_size of
    # them, one of the runs has at most max_size slots.
    rows = sum((length - slots + 1) * min(slots - 1, 2 * max_size) for slots in range(2, length + 1))
    check_rows(rows, length, "order")
    return _core.moves.block_moves(order, max_size)
