"""What strategies make their pools of: random orders, random neighbours, no order twice.

Everything acts on slots: relabelling the steps of the given orders relabels what comes out.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pyorder import moves
from pyorder.permutations import sample

Orders = npt.NDArray[np.int64]

MOST_NUMBERS = 2**23  # that a neighbourhood may take in memory, about


def at_most(count: int, length: int) -> int:
    """``count``, or L! where there are fewer orders.

    Examples
    --------
    >>> at_most(100, 4), at_most(100, 40)
    (24, 100)
    """
    return min(count, math.factorial(min(length, 20)))


def random_orders(length: int, count: int, rng: np.random.Generator) -> Orders:
    """Draw distinct orders uniformly at random, as many as there are at most."""
    return sample(length, at_most(count, length), seed=seed_from(rng), distinct=True)


def seed_from(rng: np.random.Generator) -> int:
    """Draw a seed."""
    return int(rng.integers(2**62))


def distinct(orders: Orders) -> Orders:
    """Drop repeated rows, keeping the first of each and their sequence.

    Examples
    --------
    >>> distinct(np.array([[1, 0], [0, 1], [1, 0]]))
    array([[1, 0],
           [0, 1]])
    """
    _, first = np.unique(orders, axis=0, return_index=True)
    return orders[np.sort(first)]


class Neighbours:
    """Draws random neighbours of orders of one length: swaps, insertions and block moves, in equal shares.

    Moved blocks are as long as memory allows: any length up to 60 steps, 8 slots at 100.

    Examples
    --------
    >>> Neighbours(3, np.random.default_rng(0)).draw(np.array([2, 0, 1]), 9).shape
    (5, 3)
    """

    def __init__(self, length: int, rng: np.random.Generator) -> None:
        slots = np.arange(length)
        longest = max(1, min(length - 1, MOST_NUMBERS // length**3))
        self.rng = rng
        self.kinds = [moves.swaps(slots), moves.insertions(slots), moves.block_moves(slots, longest)]

    def draw(self, order: Orders, count: int) -> Orders:
        """Up to ``count`` distinct neighbours of ``order`` (L,), in random sequence; fewer where there are few.

        An order of one step is its own neighbour.
        """
        if len(order) == 1:
            return order[None]
        # Twice as many as wanted: the kinds overlap, and what was drawn twice is dropped.
        drawn = [self.kinds[kind] for kind in self.rng.integers(len(self.kinds), size=2 * count)]
        return distinct(np.array([order[rows[self.rng.integers(len(rows))]] for rows in drawn]))[:count]
