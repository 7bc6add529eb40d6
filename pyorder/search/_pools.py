"""What strategies make their pools of: orders that the constraints allow, random neighbours, no order twice.

Constraints are a dependency graph whose topological sorts are searched; one without edges allows every order.
Everything acts on slots: relabelling the steps of the given orders and graph relabels what comes out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.orders import moves
from pyorder.orders.permutations import sample
from pyorder.orders.posets import Poset

Orders = npt.NDArray[np.int64]

MOST_NUMBERS = 2**23  # that a neighbourhood may take in memory, about


def count_up_to(constraints: Poset, most: int) -> int:
    """Count the orders that are allowed, as far as ``most``.

    Examples
    --------
    >>> count_up_to(Poset(3, [[0, 1]]), 100), count_up_to(Poset(40), 100)
    (3, 100)
    """
    try:
        return min(constraints.count_sorts(), most)
    except ValueError:  # a million sets of steps and more
        return most


def draw_orders(constraints: Poset, count: int, seed: int) -> Orders:
    """Draw distinct orders that are allowed, in random sequence; all of them where they are not more.

    Uniformly at random, as far as the graph's sets of steps can be counted; a Markov chain comes close beyond.

    Examples
    --------
    >>> draw_orders(Poset(3, [[0, 1]]), 2, seed=0).shape
    (2, 3)
    """
    if not len(constraints.edges):
        return sample(constraints.length, count_up_to(constraints, count), seed=seed, distinct=True)
    rng = np.random.default_rng(seed)
    if count_up_to(constraints, count + 1) <= count:
        return rng.permutation(constraints.sorts())
    drawn = np.empty((0, constraints.length), np.int64)
    while len(drawn) < count:
        try:
            more = constraints.uniform_sorts(count, seed=seed_from(rng))
        except ValueError:  # too many sets of steps
            more = constraints.walk_sorts(count, seed=seed_from(rng))
        drawn = distinct(np.concatenate([drawn, more]))
    return drawn[:count]


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


def sort_along(graph: Poset, order: Orders) -> Orders:
    """The topological sort that emits, of the steps that may come next, always the one that is first in ``order``.

    An order that is a sort already stays as it is.

    Examples
    --------
    >>> sort_along(Poset(4, [[3, 0]]), np.array([0, 1, 3, 2]))
    array([1, 3, 0, 2])
    """
    closure = graph.closure
    waiting, emitted = list(order), []
    while waiting:
        free = next(step for step in waiting if not closure[waiting, step].any())
        waiting.remove(free)
        emitted.append(free)
    return np.array(emitted, np.int64)


def bend(constraints: Poset, orders: Orders) -> Orders:
    """Every one of the orders (T, L) as `sort_along` has it: those that are allowed stay as they are.

    Examples
    --------
    >>> bend(Poset(3, [[2, 0]]), np.array([[1, 2, 0], [0, 1, 2]]))
    array([[1, 2, 0],
           [1, 2, 0]])
    """
    if not len(constraints.edges):
        return orders
    return np.array([sort_along(constraints, order) for order in orders])


class Neighbours:
    """Draws random neighbours of orders: swaps, insertions and block moves, in equal shares.

    What constraints forbid is bent to what they allow. Moved blocks are as long as memory allows: any length up
    to 60 steps, 8 slots at 100.

    Examples
    --------
    >>> Neighbours(Poset(3), np.random.default_rng(0)).draw(np.array([2, 0, 1]), 9).shape
    (5, 3)
    """

    def __init__(self, constraints: Poset, rng: np.random.Generator) -> None:
        length = constraints.length
        slots = np.arange(length)
        self.constraints = constraints
        longest = max(1, min(length - 1, MOST_NUMBERS // length**3))
        self.rng = rng
        self.kinds = [moves.swaps(slots), moves.insertions(slots), moves.block_moves(slots, longest)]

    def draw(self, order: Orders, count: int) -> Orders:
        """Up to ``count`` distinct neighbours of ``order`` (L,), in random sequence; fewer where there are few.

        An order that has none is its own neighbour.
        """
        if len(order) == 1:
            return order[None]
        # Twice as many as wanted: the kinds overlap, and what was drawn twice is dropped.
        drawn = [self.kinds[kind] for kind in self.rng.integers(len(self.kinds), size=2 * count)]
        moved = np.array([order[rows[self.rng.integers(len(rows))]] for rows in drawn])
        bent = distinct(bend(self.constraints, moved))
        others = bent[(bent != order).any(1)]
        return others[:count] if len(others) else order[None]
