"""Orders that a dependency graph allows, as the strategies draw and bend them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.posets import Poset

Orders = npt.NDArray[np.int64]


def count_up_to(graph: Poset, most: int) -> int:
    """Count the topological sorts of a graph, as far as ``most``.

    Examples
    --------
    >>> count_up_to(Poset(3, [[0, 1]]), 100), count_up_to(Poset(30), 100)
    (3, 100)
    """
    try:
        return min(graph.count_sorts(), most)
    except ValueError:  # a million sets of steps and more
        return most


def draw_sorts(graph: Poset, count: int, rng: np.random.Generator) -> Orders:
    """Draw distinct topological sorts in random sequence, and all of them where they are no more than ``count``.

    Uniformly at random, as far as the graph's sets of steps can be counted; a Markov chain comes close beyond.

    Examples
    --------
    >>> draw_sorts(Poset(3, [[0, 1]]), 2, np.random.default_rng(0)).shape
    (2, 3)
    """
    if count_up_to(graph, count + 1) <= count:
        return rng.permutation(graph.sorts())
    drawn = np.empty((0, graph.length), np.int64)
    while len(drawn) < count:
        seed = int(rng.integers(2**62))
        try:
            more = graph.uniform_sorts(count, seed=seed)
        except ValueError:  # too many sets of steps
            more = graph.walk_sorts(count, seed=seed)
        drawn = distinct(np.concatenate([drawn, more]))
    return drawn[:count]


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


def distinct(orders: Orders) -> Orders:
    """Drop repeated rows, keeping the first of each and their sequence."""
    _, first = np.unique(orders, axis=0, return_index=True)
    return orders[np.sort(first)]
