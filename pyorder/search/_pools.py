"""What strategies make their pools of: orders that the constraints allow, random neighbours, no order twice.

Constraints are a dependency graph whose topological sorts are searched; one without edges allows every order.
Everything acts on slots: relabelling the steps of the given orders and graph relabels what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pyorder.orders import moves
from pyorder.orders.permutations import sample
from pyorder.orders.posets import MOST_COUNTED, Poset
from pyorder.streams import nested, seed_from

Orders = npt.NDArray[np.int64]


def count_up_to(constraints: Poset, most: int) -> int:
    """Count the orders that are allowed, as far as ``most``.

    Examples
    --------
    >>> count_up_to(Poset(3, [[0, 1]]), 100), count_up_to(Poset(40), 100)
    (3, 100)
    """
    counted = constraints.count_sorts_up_to(min(most, MOST_COUNTED))
    return most if counted == MOST_COUNTED else counted


def draw_orders(constraints: Poset, count: int, seed: int) -> Orders:
    """Draw distinct orders that are allowed, in random sequence; all of them where they are not more.

    Uniformly at random, as far as the graph's sets of steps can be counted; a Markov chain comes close beyond.

    Examples
    --------
    >>> draw_orders(Poset(3, [[0, 1]]), 2, seed=0).shape
    (2, 3)
    """
    return next(draw_pools(constraints, [count], seed))


def draw_pools(constraints: Poset, sizes: list[int], seed: int) -> Iterator[Orders]:
    """Draw the orders of several pools as `draw_orders` does, no order twice.

    Orders of a Markov chain, of which one takes seconds at L = 300, are drawn when their pool is asked for.

    Examples
    --------
    >>> [len(pool) for pool in draw_pools(Poset(3, [[0, 1]]), [2, 1], seed=0)]
    [2, 1]
    """
    count, ends = sum(sizes), np.cumsum(sizes)
    if not len(constraints.edges):
        drawn = sample(constraints.length, count_up_to(constraints, count), seed=seed, distinct=True)
        yield from np.split(drawn, ends[:-1])
        return
    rng = nested(seed)
    if count_up_to(constraints, count + 1) <= count:
        yield from np.split(rng.permutation(constraints.sorts()), ends[:-1])
        return
    drawn = np.empty((0, constraints.length), np.int64)
    for size, end in zip(sizes, ends.tolist(), strict=True):
        while len(drawn) < end:
            try:
                more = constraints.uniform_sorts(count, seed=seed_from(rng))
            except ValueError:  # too many sets of steps
                more = constraints.walk_sorts(end - len(drawn), seed=seed_from(rng))
            drawn = distinct(np.concatenate([drawn, more]))
        yield drawn[end - size : end]


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


def close_up(graph: Poset, order: Orders, worth: npt.NDArray[np.float64]) -> Orders:
    """The topological sort whose steps are worth the most to those right behind them, as far as greed finds it.

    From each step that may be first it goes on with the one that the last is worth the most to, and where that is
    nothing with the first in ``order``. ``worth`` (L, L) is of rows to columns, and nowhere below 0.

    Examples
    --------
    >>> close_up(Poset(4), np.array([0, 1, 2, 3]), np.eye(4, k=-2) + np.eye(4, k=3))
    array([2, 0, 3, 1])
    """
    waits, worth = graph.closure[np.ix_(order, order)], worth[np.ix_(order, order)]  # by their places in ``order``
    waits_for = waits.sum(0)
    best, found = -1.0, order
    for first in np.flatnonzero(waits_for == 0).tolist():
        total, emitted, left = 0.0, [first], waits_for.copy()
        left[first] = -1
        while len(emitted) < len(order):
            left -= waits[emitted[-1]]
            last = worth[emitted[-1]]
            step = int(np.where(left == 0, last, -1.0).argmax())
            total += float(last[step])
            left[step] = -1
            emitted.append(step)
        if total > best + 1e-9:  # the same sum in another sequence is no more
            best, found = total, order[emitted]
    return np.asarray(found)


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
    """Draws random neighbours of orders: swaps, insertions and block moves of any length, in equal shares.

    What constraints forbid is bent to what they allow.

    Examples
    --------
    >>> Neighbours(Poset(3), np.random.default_rng(0)).draw(np.array([2, 0, 1]), 9).shape
    (5, 3)
    """

    def __init__(self, constraints: Poset, rng: np.random.Generator) -> None:
        self.constraints = constraints
        self.rng = rng

    def draw(self, order: Orders, count: int) -> Orders:
        """Up to ``count`` distinct neighbours of ``order`` (L,), in random sequence; fewer where there are few.

        An order that has none is its own neighbour.
        """
        if len(order) == 1:
            return order[None]
        # Twice as many as wanted: the kinds overlap, and what was drawn twice is dropped.
        moved = moves.sample_neighbours(order, 2 * count, seed=seed_from(self.rng))
        bent = distinct(bend(self.constraints, moved))
        others: Orders = bent[(bent != order).any(1)]
        if len(others):
            return others[:count]
        # All were bent back: what the constraints leave to the order shows in two steps that follow each other.
        held = self.constraints.closure[order[:-1], order[1:]]
        if held.all():
            return order[None]
        slot = self.rng.choice(np.flatnonzero(~held))
        other = order.copy()
        other[[slot, slot + 1]] = order[[slot + 1, slot]]
        return other[None]
