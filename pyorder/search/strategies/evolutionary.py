"""An evolutionary search, (μ + λ), over orders.

    L  steps    μ  parents    λ  children

Every generation is one profiling run of the μ parents and λ children; the best μ of the run are the next parents.
Losses of two runs do not compare, so a parent keeps its place only by being as good once more, which also takes
away the luck that brought it there. The last parents meet in a run of their own.

A child takes a random half of its slots from one parent, and fills the others with the missing steps in the
sequence of another (position-based crossover: Syswerda, "Schedule optimization using genetic algorithms", in
Davis, Handbook of Genetic Algorithms, 1991): which step comes before which is what it inherits. With a probability
it is then moved to a random neighbour: a swap, an insertion or a block move of `pyorder.moves`.

A library (nevergrad and pymoo were considered) does not fit: their loops carry the fitness of survivors over to
the next generation, which is not possible here, and what would be left of them, operators of a few lines, is less
than a dependency costs to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyorder._checks import check_integer
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Profile
from pyorder.search._pools import Neighbours, Orders, bend, count_up_to, distinct
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy

ATTEMPTS = 10  # at filling a generation with orders that are not in it yet


@dataclass(frozen=True)
class Evolutionary(Strategy):
    """Parents and children compete in one run a generation; the best become parents.

    Attributes
    ----------
    parents : μ
    children : λ
    generations : how many; fewer when the budget ends first
    mutation : probability that a child is moved to a neighbour

    Examples
    --------
    >>> Evolutionary(generations=3).pools(Poset(10))
    [64, 64, 64, 16]
    """

    name: ClassVar[str] = "evolutionary"
    parents: int = 16
    children: int = 48
    generations: int = 40
    mutation: float = 0.75

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option, least in (("parents", 2), ("children", 1), ("generations", 1)):
            check_integer(getattr(self, option), option, least)
        check_share(self.mutation, "mutation")

    def pools(self, constraints: Poset) -> list[int]:
        """One run a generation, and one of the last parents."""
        generation = count_up_to(constraints, self.parents + self.children)
        return [generation] * self.generations + [count_up_to(constraints, self.parents)]

    def search(self, laboratory: Laboratory) -> Orders:
        """Let generations follow each other."""
        size, *_, last = self.pools(laboratory.constraints)
        neighbours = Neighbours(laboratory.constraints, laboratory.rng)
        pool = laboratory.draw(size)
        profile = laboratory.profile(pool, f"generation 1 of {self.generations}")
        for number in range(2, self.generations + 1):
            pool = self.generation(self.survivors(profile), size, neighbours)
            # The last run is kept in reserve: one of few orders tells them apart best.
            if not laboratory.affords(len(pool), last):
                laboratory.curtail()
                break
            profile = laboratory.profile(pool, f"generation {number} of {self.generations}")
        return laboratory.profile(self.survivors(profile), "last parents").best

    def survivors(self, profile: Profile) -> Orders:
        """The next parents, best first."""
        return profile.orders[profile.ranking[: self.parents]]

    def generation(self, parents: Orders, size: int, neighbours: Neighbours) -> Orders:
        """Parents and children, distinct, ``size`` of them unless they are too much alike; in random sequence."""
        rng, pool = neighbours.rng, parents
        for _ in range(ATTEMPTS):
            if len(pool) >= size:
                break
            born = np.array([self.child(parents, neighbours) for _ in range(size - len(pool))])
            pool = distinct(np.concatenate([pool, bend(neighbours.constraints, born)]))
        return rng.permutation(pool)

    def child(self, parents: Orders, neighbours: Neighbours) -> Orders:
        """Cross two parents drawn at random, and perhaps move the child."""
        rng = neighbours.rng
        first, second = parents[rng.permutation(len(parents))[:2]]
        child = crossover(first, second, rng.random(len(first)) < 0.5)
        return neighbours.draw(child, 1)[0] if rng.random() < self.mutation else child


def crossover(first: Orders, second: Orders, kept: np.typing.NDArray[np.bool_]) -> Orders:
    """``first`` at the slots ``kept`` (L,), and the missing steps at the others, in the sequence of ``second``.

    Examples
    --------
    >>> crossover(np.array([0, 1, 2, 3]), np.array([3, 2, 1, 0]), np.array([True, False, True, False]))
    array([0, 3, 2, 1])
    """
    child = first.copy()
    child[~kept] = second[np.isin(second, first[~kept])]
    return child


def check_share(value: object, name: str) -> None:
    """Refuse what is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
