"""Greedy construction: the order is built slot by slot, each time with the step that does best there.

    L  steps    r  steps left    m  completions of a prefix    u  steps left, in random sequence

With j slots filled, every one of the r = L - j steps left is tried at slot j. What comes after it is random: m
completions each, all in one profiling run, and the step with the lowest mean loss over its completions stays.
The completions of all steps follow the same m random patterns: the pattern's places are filled with u without
the step in question, whose place in u the last of u takes. So the pools of two steps differ as little as they
can, and no order occurs twice. A decision is never taken back; where a step is easy only late, greedy cannot know
it. Constraints leave fewer steps to try at a slot, and bend the completions; those that become the same count
once. Constructions from other random numbers are its only remedy, and their orders meet in one last run.

Source: the greedy (nearest-neighbour) construction of routing and scheduling, with the roll-outs of Bertsekas,
Tsitsiklis, Wu, "Rollout algorithms for combinatorial optimization", J. Heuristics 3 (1997), as its estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyorder._checks import check_integer
from pyorder.orders.posets import Poset
from pyorder.search._pools import Orders, bend, count_up_to, distinct, draw_orders
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy
from pyorder.streams import seed_from


@dataclass(frozen=True)
class Greedy(Strategy):
    """Fill slot by slot; each continuation is judged by the mean loss of its random completions.

    Attributes
    ----------
    completions : m, how many random completions each continuation has, at most (r - 1)!
    constructions : how many orders are built; those that the budget allows meet in a last run

    Examples
    --------
    >>> Greedy(completions=4).pools(Poset(5))
    [20, 16, 6, 2]
    >>> Greedy(completions=4, constructions=2).pools(Poset(4))
    [16, 6, 2, 16, 6, 2, 2]
    """

    name: ClassVar[str] = "greedy"
    completions: int = 16
    constructions: int = 1

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("completions", "constructions"):
            check_integer(getattr(self, option), option, 1)

    def pools(self, constraints: Poset) -> list[int]:
        """A run for every slot but the last, in every construction; then one of their orders."""
        lefts = range(constraints.length, 1, -1)
        once = [left * count_up_to(Poset(left - 1), self.completions) for left in lefts] or [1]
        last = [count_up_to(constraints, self.constructions)] if self.constructions > 1 else []
        return once * self.constructions + last

    def search(self, laboratory: Laboratory) -> Orders:
        """Build the orders and compare them."""
        once = self.pools(laboratory.constraints)[: max(1, laboratory.length - 1)]
        built: list[Orders] = []
        for number in range(self.constructions):
            # One whole construction and the last run have to fit, or what is there is compared.
            if number and not laboratory.affords(*once, count_up_to(laboratory.constraints, number + 1)):
                laboratory.curtail()
                break
            built.append(self.construct(laboratory, f"construction {number + 1}, " if number else ""))
        if len(built) == 1 and laboratory.history:
            return built[0]
        return laboratory.profile(distinct(np.stack(built)), "all constructions").best

    def construct(self, laboratory: Laboratory, label: str) -> Orders:
        """Build one order."""
        length, rng = laboratory.length, laboratory.rng
        closure = laboratory.constraints.closure
        # A prefix, and behind it the steps left.
        order: Orders = draw_orders(Poset(length), 1, seed_from(rng))[0]
        for slot in range(max(1, length - 1)):
            prefix, left = order[:slot], rng.permutation(order[slot:])
            free = ~closure[np.ix_(left, left)].any(0)
            left, tries = np.concatenate([left[free], left[~free]]), int(free.sum())
            if tries == 1 < length:
                order = np.concatenate([prefix, left])
                continue
            patterns = draw_orders(Poset(max(1, len(left) - 1)), self.completions, seed_from(rng))
            pool = continuations(prefix, left, tries, patterns[:, : len(left) - 1])
            pool = distinct(bend(laboratory.constraints, pool))
            profile = laboratory.profile(pool, f"{label}slot {slot + 1} of {length}")
            losses = np.where(np.isnan(profile.loss), np.inf, profile.loss)
            means = np.array([losses[pool[:, slot] == step].mean() for step in left[:tries]])
            # Of equal means the first counts, and the steps that are tried are in random sequence.
            best = int(means.argmin())
            order = np.concatenate([prefix, left[best : best + 1], np.delete(left, best)])
        return order


def continuations(prefix: Orders, left: Orders, tries: int, patterns: Orders) -> Orders:
    """The first steps of ``left`` (r,) behind ``prefix``, each with the rest in all ``patterns`` (m, r - 1).

    As many of them as ``tries``: (tries m, L).

    Examples
    --------
    >>> continuations(np.array([3]), np.array([2, 0, 1]), 3, np.array([[0, 1]]))
    array([[3, 2, 1, 0],
           [3, 0, 2, 1],
           [3, 1, 2, 0]])
    """
    pool = []
    for place, step in enumerate(left[:tries]):
        rest = left[:-1].copy()
        rest[place : place + 1] = left[-1]
        pool += [np.concatenate([prefix, [step], rest[pattern]]) for pattern in patterns]
    return np.array(pool)
