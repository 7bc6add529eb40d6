"""Dependency graphs: which steps have to be emitted before which.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
L                              number of steps; 1 to 65,535
E                              number of edges
edge       (before, after)     the step ``before`` must be emitted before the step ``after``
closure    (L, L) bool         ``closure[p, i]``: the edges together ask for p before i
sort       (L,) int64          an order that satisfies every edge: a topological sort
orders     (T, L) integers     one order a row; ``order[j]`` is the canonical step emitted at slot j
=========  ==================  =====================================================================

Orders are checked as in pyorder.permutations.
"""

from __future__ import annotations

import math
import reprlib
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from pyorder import _core
from pyorder._checks import MAX_SEED, check_integer, check_limit, check_rows, integer_array
from pyorder.orders.permutations import MAX_LENGTH, check_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Poset"]

DOWNSETS = 1_000_000  # sets of steps that counting keeps, unless told otherwise
MOST_COUNTED = 2**63 - 1  # that a bounded count can be asked for


class Poset:
    """A directed acyclic graph on the steps 0..L-1, whose transitive closure is kept up to date.

    It is a plain value: it can be copied and pickled, and is equal to a graph with the same steps and the same
    edges. Arrays that it gives out are copies. Threads may share it.

    Parameters
    ----------
    length : L
    edges : (E, 2) integers, rows (before, after); one that is there already is passed over

    Raises
    ------
    ValueError
        For an edge that names no step, or that closes a cycle with those before it; the cycle is named.

    Examples
    --------
    >>> poset = Poset(4, [[0, 1], [1, 2], [0, 2]])
    >>> poset
    Poset(4, [[0, 1], [0, 2], [1, 2]])
    >>> poset.reduction
    array([[0, 1],
           [1, 2]])
    >>> poset.is_sort([[3, 0, 1, 2], [1, 0, 2, 3]])
    array([ True, False])
    >>> Poset(4, [[0, 1], [1, 2], [2, 0]])
    Traceback (most recent call last):
    ValueError: edges: 2 -> 0 closes the cycle 0 -> 1 -> 2 -> 0
    """

    __slots__ = ("_graph",)
    __hash__ = None  # type: ignore[assignment]  # edges come and go

    def __init__(self, length: SupportsIndex, edges: ArrayLike = ()) -> None:
        length = check_integer(length, "length", 1, MAX_LENGTH)
        if isinstance(edges, list | tuple) and not edges:  # NumPy takes these for floats
            edges = np.empty((0, 2), dtype=np.int64)
        self._graph = _core.poset.Poset(length, integer_array(edges, "edges"))

    @property
    def length(self) -> int:
        """The number of steps, L."""
        return self._graph.length

    @property
    def edges(self) -> NDArray[np.int64]:
        """The edges as added, sorted: (E, 2)."""
        return self._graph.edges()

    @property
    def reduction(self) -> NDArray[np.int64]:
        """The edges that do not follow from the others, sorted: the transitive reduction, (E', 2)."""
        return self._graph.reduction()

    @property
    def closure(self) -> NDArray[np.bool_]:
        """The transitive closure (L, L): ``closure[p, i]`` says that p precedes i."""
        return self._graph.closure()

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Steps that can be emitted at once, in ascending order: level k waits for chains of k edges at most.

        There are as many levels as steps in the longest chain, and no partition into fewer keeps the edges.

        Examples
        --------
        >>> Poset(5, [[3, 0], [3, 1], [1, 4]]).levels
        ((2, 3), (0, 1), (4,))
        """
        edges = self.edges
        waits_for = np.bincount(edges[:, 1], minlength=self.length).tolist()
        followers: list[list[int]] = [[] for _ in range(self.length)]
        for before, after in edges.tolist():
            followers[before].append(after)
        levels = []
        level = [step for step, count in enumerate(waits_for) if not count]
        while level:
            levels.append(tuple(level))
            behind = [after for step in level for after in followers[step]]
            for after in behind:
                waits_for[after] -= 1
            level = sorted({after for after in behind if not waits_for[after]})
        return tuple(levels)

    def precedes(self, before: SupportsIndex, after: SupportsIndex) -> bool:
        """Return whether the edges, taken together, ask for ``before`` to be emitted before ``after``.

        Examples
        --------
        >>> poset = Poset(3, [[0, 1], [1, 2]])
        >>> poset.precedes(0, 2), poset.precedes(2, 0)
        (True, False)
        """
        return self._graph.precedes(self._step(before, "before"), self._step(after, "after"))

    def add(self, before: SupportsIndex, after: SupportsIndex) -> bool:
        """Add an edge; return False, with nothing changed, when it would close a cycle.

        An edge that is there already stays, and a step never precedes itself. Takes O(L² / 64) operations.

        Examples
        --------
        >>> poset = Poset(3, [[0, 1], [1, 2]])
        >>> poset.add(0, 2), poset.add(2, 0)
        (True, False)
        """
        return self._graph.add(self._step(before, "before"), self._step(after, "after"))

    def remove(self, before: SupportsIndex, after: SupportsIndex) -> None:
        """Withdraw an edge that was added; what follows from the others still holds.

        Raises
        ------
        ValueError
            When there is no such edge.

        Examples
        --------
        >>> poset = Poset(3, [[0, 1], [1, 2], [0, 2]])
        >>> poset.remove(0, 2)
        >>> poset.precedes(0, 2)
        True
        """
        before, after = self._step(before, "before"), self._step(after, "after")
        if not self._graph.remove(before, after):
            raise ValueError(f"before, after: {before} -> {after} is not an edge of this poset")

    def sample_sorts(self, count: SupportsIndex, *, seed: SupportsIndex) -> NDArray[np.int64]:
        """Return random topological sorts (count, L), row i depending on the seed and i only.

        Slot by slot, a step is drawn uniformly among those that no step still to come precedes. Every sort can
        occur, but not all are equally likely: of ``0 -> 1`` beside a lone 2, the sort 2, 0, 1 has probability
        1/2, the other two 1/4 each. Labels play no part in the probabilities. ``uniform_sorts`` has them
        equal. The random numbers are those of Philox4x64-10 (Salmon et al., 2011).

        Raises
        ------
        ValueError
            For more orders than fit in memory.

        Examples
        --------
        >>> sorts = Poset(3, [[0, 1]]).sample_sorts(1000, seed=0)
        >>> np.unique(sorts, axis=0)
        array([[0, 1, 2],
               [0, 2, 1],
               [2, 0, 1]])
        """
        count = check_integer(count, "count", 0)
        seed = check_integer(seed, "seed", 0, MAX_SEED)
        check_rows(count, self.length, "count")
        return self._graph.sample_sorts(count, seed)

    def count_sorts(self, *, limit: SupportsIndex = DOWNSETS) -> int:
        """Return the exact number of topological sorts.

        Counts the ways to every set of steps that may have been emitted so far, in each connected part of the
        graph on its own. There can be 2 to the power of L such sets: ``limit`` is how many are kept, as far as
        half of the memory holds them. Each takes at most 80 bytes at L = 40, and 600 at 300.

        Raises
        ------
        ValueError
            When there are more sets than ``limit``; ``estimate_sorts`` then says about how many sorts there are.

        Examples
        --------
        >>> Poset(5, [[0, 1], [1, 2], [3, 4]]).count_sorts()
        10
        """
        parts = self._graph.count_sorts(check_limit(limit, self._downset_bytes()))
        total = math.factorial(self.length)
        for size, sorts in parts:
            total = total // math.factorial(size) * int.from_bytes(sorts, "little")
        return total

    def count_sorts_up_to(self, most: SupportsIndex) -> int:
        """Return the exact number of topological sorts, or ``most`` where there are as many or more.

        However large the graph, this stops as soon as there are ``most`` ways to emit the first few steps, each
        of which can be completed: at worst it goes through ``most`` sets of steps for every slot. What separate
        parts of the graph and steps without edges add is known at once. ``most`` goes up to 2**63 - 1.

        Examples
        --------
        >>> Poset(3, [[0, 1]]).count_sorts_up_to(7), Poset(60, [[0, 1]]).count_sorts_up_to(7)
        (3, 7)
        """
        return self._graph.count_sorts_up_to(check_integer(most, "most", 0, MOST_COUNTED))

    def estimate_sorts(self, samples: SupportsIndex = 10_000, *, seed: SupportsIndex) -> tuple[float, float]:
        """Return an estimate of the natural logarithm of the number of topological sorts, and its standard error.

        The mean of one over the probability of the rows of ``sample_sorts`` is an unbiased estimate of the number
        (Knuth, "Estimating the efficiency of backtrack programs", 1975). On large graphs few rows make up most of
        it: trust neither figure where the error is not far below 1.

        Examples
        --------
        >>> log_count, error = Poset(3, [[0, 1]]).estimate_sorts(seed=0)
        >>> abs(log_count - math.log(3)) < 4 * error < 0.1
        True
        """
        samples, seed = check_integer(samples, "samples", 2), check_integer(seed, "seed", 0, MAX_SEED)
        check_rows(samples, self.length, "samples")
        logs = self._graph.sort_weights(samples, seed)
        weights = np.exp(logs - logs.max())
        error = weights.std(ddof=1) / math.sqrt(samples) / weights.mean()
        return float(logs.max() + math.log(weights.mean())), float(error)

    def sorts(self, *, limit: SupportsIndex = 1_000_000) -> NDArray[np.int64]:
        """Return all topological sorts in lexicographic sequence, (T, L).

        Raises
        ------
        ValueError
            When there are more than ``limit``, or than half of the memory holds.

        Examples
        --------
        >>> Poset(3, [[2, 0]]).sorts()
        array([[1, 2, 0],
               [2, 0, 1],
               [2, 1, 0]])
        """
        return self._graph.every_sort(check_limit(limit, 16 * self.length))

    def sorts_near(
        self, sort: ArrayLike, distance: SupportsIndex, *, limit: SupportsIndex = 1_000_000
    ) -> NDArray[np.int64]:
        """Return the sorts that emit at most ``distance`` pairs of steps in another sequence than ``sort`` does.

        (T, L), ``sort`` itself first and then by distance (Kendall's).

        Raises
        ------
        ValueError
            When ``sort`` is none, or when there are more than ``limit``, or than half of the memory holds.

        Examples
        --------
        >>> Poset(3, [[0, 1]]).sorts_near([2, 0, 1], 1)
        array([[2, 0, 1],
               [0, 2, 1]])
        """
        sort = check_order(sort, self.length, name="sort")
        if not self.is_sort(sort[None])[0]:
            raise ValueError(f"sort: {sort.tolist()} is no topological sort of this poset")
        farthest = self.length * (self.length - 1) // 2
        distance = min(check_integer(distance, "distance", 0), farthest)
        return self._graph.near_sorts(sort, distance, check_limit(limit, 16 * self.length + 32))

    def uniform_sorts(
        self, count: SupportsIndex, *, seed: SupportsIndex, limit: SupportsIndex = DOWNSETS
    ) -> NDArray[np.int64]:
        """Return random topological sorts (count, L), all equally likely, row i depending on the seed and i only.

        Needs the same sets of steps as ``count_sorts``.

        Raises
        ------
        ValueError
            When there are more sets than ``limit``; ``walk_sorts`` then comes close to uniform.

        Examples
        --------
        >>> sorts = Poset(3, [[0, 1]]).uniform_sorts(30_000, seed=0)
        >>> np.unique(sorts, axis=0, return_counts=True)[1] // 1000
        array([ 9, 10, 10])
        """
        count, seed = check_integer(count, "count", 0), check_integer(seed, "seed", 0, MAX_SEED)
        check_rows(count, self.length, "count")
        return self._graph.uniform_sorts(count, seed, check_limit(limit, self._downset_bytes()))

    def walk_sorts(
        self, count: SupportsIndex, *, seed: SupportsIndex, error: float = 0.01, moves: SupportsIndex | None = None
    ) -> NDArray[np.int64]:
        """Return nearly uniform random topological sorts (count, L) of any graph, by a Markov chain each.

        Two neighbours are exchanged where no edge holds them (Bubley and Dyer, "Faster random generation of
        linear extensions", 1999). After the default number of ``moves``, (L^3 - L) / 6 times ln(L^2 / (4 error)),
        the distribution of a row is proven to be within ``error`` of uniform in total variation, from any start.
        Fewer moves rest on the hope that the chain forgets its start sooner than the proof says.

        Examples
        --------
        >>> Poset(40, [[0, 1]]).walk_sorts(2, seed=0).shape
        (2, 40)
        """
        count, seed = check_integer(count, "count", 0), check_integer(seed, "seed", 0, MAX_SEED)
        check_rows(count, self.length, "count")
        if not 0 < error < 1:
            raise ValueError(f"error: expected a number between 0 and 1, got {error!r}")
        if moves is None:
            scale = (self.length**3 - self.length) // 6
            moves = math.ceil(scale * max(0.0, math.log(self.length**2 / (4 * error))))
        return self._graph.walked_sorts(count, seed, check_integer(moves, "moves", 0, MAX_SEED))

    def satisfied(self, orders: ArrayLike) -> NDArray[np.float64]:
        """Return the share of the edges that each of the orders (T, L) satisfies, 1 when there are none: (T,).

        Examples
        --------
        >>> Poset(3, [[0, 1], [1, 2]]).satisfied([[0, 1, 2], [0, 2, 1], [2, 1, 0]])
        array([1. , 0.5, 0. ])
        """
        return self._graph.satisfied(integer_array(orders, "orders"))

    def is_sort(self, orders: ArrayLike) -> NDArray[np.bool_]:
        """Return which of the orders (T, L) satisfy every edge: (T,).

        Examples
        --------
        >>> Poset(3, [[0, 1], [1, 2]]).is_sort([[0, 1, 2], [0, 2, 1], [2, 1, 0]])
        array([ True, False, False])
        """
        sorts: NDArray[np.bool_] = self.satisfied(orders) == 1
        return sorts

    def renamed(self, steps: ArrayLike) -> Poset:
        """Return the graph with step s called ``steps[s]``.

        Examples
        --------
        >>> Poset(3, [[0, 1]]).renamed([2, 0, 1])
        Poset(3, [[2, 0]])
        """
        return Poset(self.length, check_order(steps, self.length, name="steps")[self.edges])

    def copy(self) -> Poset:
        """Return an independent copy.

        Examples
        --------
        >>> poset = Poset(2)
        >>> other = poset.copy()
        >>> other.add(0, 1), other == poset
        (True, False)
        """
        copy = object.__new__(type(self))
        copy._graph = self._graph.copy()
        return copy

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Poset):
            return NotImplemented
        return self.length == other.length and np.array_equal(self.edges, other.edges)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.length, self.edges)

    def __repr__(self) -> str:
        return f"Poset({self.length}, {reprlib.repr(self.edges.tolist())})"

    def _downset_bytes(self) -> int:
        """What a set of steps takes: its bits, those of the ways to it, and their place in a table; both grow."""
        bits = self.length + math.lgamma(self.length + 1) / math.log(2)
        return math.ceil(2 * bits / 8) + 32

    def _step(self, step: SupportsIndex, name: str) -> int:
        return check_integer(step, name, 0, self.length - 1)
