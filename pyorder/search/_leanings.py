"""Orders that follow a graph: those that a round trains on, and what evidence prefers among its sorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.assembly import assemble, lost_last
from pyorder.dependencies.graph import LOST
from pyorder.dependencies.statistics import Support
from pyorder.orders import linear_ordering
from pyorder.orders.permutations import sample
from pyorder.orders.posets import Poset
from pyorder.search._pools import close_up, sort_along
from pyorder.streams import seed_from

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PARTLY = 0.1  # of its entropy: what a step keeps that the input tells in part; not tuned
UNIFORM_SHARE = 0.35  # of the training orders; chosen as the constants of `pyorder.search._rounds`
STARTS = 400  # times steps, at most, in weighing all evidence: each takes some L^3 comparisons


def training_orders(
    graph: Poset, freed: Poset, late: Sequence[Mask], count: int, rng: np.random.Generator
) -> Orders:
    """Draw the orders of a round: uniformly random ones, sorts, and sorts with some steps behind the others.

    The last are sorts of ``freed``, the graph or less of it; steps that one of the masks ``late`` (L,) names stand
    behind the rest there, those of the last mask at the end.

    Examples
    --------
    >>> graph, rng = Poset(3, [[2, 0]]), np.random.default_rng(0)
    >>> orders = training_orders(graph, graph, [np.zeros(3, bool)], 1000, rng)
    >>> bool(0.75 < graph.is_sort(orders).mean() < 0.9)  # all sorts, and half of the others
    True
    """
    orders = sample(graph.length, count, seed=seed_from(rng))
    if len(graph.edges) or any(steps.any() and not steps.all() for steps in late):
        kind = rng.random(count)
        sorts = kind > UNIFORM_SHARE
        orders[sorts] = graph.sample_sorts(int(sorts.sum()), seed=seed_from(rng))
        behind = kind > (1 + UNIFORM_SHARE) / 2
        for steps in late:
            freed = lost_last(freed, steps, rng)
        orders[behind] = freed.sample_sorts(int(behind.sum()), seed=seed_from(rng))
    return orders


def doubtful(supports: list[list[Support]], left: Floats, before: Mask, *, standing: bool) -> Mask:
    """Steps (L,) that others may only have been read off: no other helps them, and they are learned in part.

    What needs several steps together is learned late, and until then it may be read off a step that follows it,
    which its input tells but for a part.

    Parameters
    ----------
    left : (L,) what each step keeps of its entropy, from 0 to 1
    before : (L,) those that were doubted before, which stay so as long as this is true of them
    standing : whether the graph has stood for a while: only then are more doubted

    Examples
    --------
    >>> supports = [[], [Support(0, 1, 2.0, 0.1, 9.0)], []]
    >>> left, nothing = np.array([0.3, 0.0, 0.3]), np.zeros(3, bool)
    >>> doubtful(supports, left, nothing, standing=True).tolist()
    [True, False, False]
    >>> doubtful(supports, np.array([0.05, 0.0, 0.3]), ~nothing, standing=True).tolist()
    [False, False, True]
    """
    partly = np.array([not found for found in supports]) & (left > PARTLY) & (left <= LOST)
    follow = {one.before for found in supports for one in found}
    return partly & (before | (standing & np.isin(np.arange(len(left)), sorted(follow))))


def set_free(
    constraints: Poset, supports: list[list[Support]], doubted: Mask, lost: Mask, rng: np.random.Generator
) -> tuple[Poset, list[Mask]]:
    """A graph without what rests on doubted steps, and who comes late in it.

    Late are lost steps (L,) and those that stand behind doubted ones alone: there they have all that they may need
    together, and cannot be read off a doubted one, since those come last.

    Examples
    --------
    >>> supports, first = [[], [Support(0, 1, 2.0, 0.1, 9.0)], []], np.array([True, False, False])
    >>> freed, late = set_free(Poset(3), supports, first, np.zeros(3, bool), np.random.default_rng(0))
    >>> freed, [np.flatnonzero(steps).tolist() for steps in late]
    (Poset(3, []), [[0, 1], [0]])
    """
    kept = [[one for one in found if not doubted[one.before]] for found in supports]
    read_off = np.array([bool(found) and not rest for found, rest in zip(supports, kept, strict=True)])
    freed = assemble(constraints, [one for found in kept for one in found], rng)
    return freed, [lost | read_off | doubted, doubted]


def lean(
    graph: Poset,
    benefits: Floats,
    errors: Floats,
    rounds: int,
    *,
    supported: Mask,
    lost: Mask,
    threshold: float,
    rng: np.random.Generator,
) -> Poset:
    """The graph, and what the rounds tell beside dependencies, for the choice among its sorts.

    A step without a predecessor stands after another that it surely lost less behind, over all rounds together,
    than that one behind it: what is learned in any order in the end may have been learned with help. (Of steps
    with predecessors others tell as long as those are missing, descendants too. Errors are averaged, not divided
    by the root of the rounds, whose rows are the same.) And what is still lost stands after what is learned,
    should it need several steps together.

    Parameters
    ----------
    benefits, errors : (L, L), summed over so many ``rounds``
    supported, lost : (L,) steps with predecessors, and steps of which hardly anything is learned
    threshold : z-score that counts

    Examples
    --------
    >>> benefits = np.array([[0.0, 5.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> nothing, rng = np.zeros(3, bool), np.random.default_rng(0)
    >>> lean(Poset(3), benefits, np.full((3, 3), 0.1), 5, supported=nothing, lost=nothing, threshold=4.0, rng=rng)
    Poset(3, [[0, 1]])
    """
    graph = graph.copy()
    lead = (benefits - benefits.T) / rounds
    error = np.hypot(errors, errors.T) / rounds
    sure = (lead > threshold * error) & (benefits > 0)
    sure[:, supported] = False
    found = rng.permutation(np.argwhere(sure))
    for before, after in sorted(found.tolist(), key=lambda pair: -lead[tuple(pair)]):
        graph.add(before, after)
    return lost_last(graph, lost, rng)


def as_matrix(supports: list[list[Support]]) -> Floats:
    """Benefits (L, L) of rows to columns, 0 where nothing speaks for a dependency.

    Examples
    --------
    >>> as_matrix([[Support(1, 0, 2.0, 0.1, 9.0)], []]).tolist()
    [[0.0, 0.0], [2.0, 0.0]]
    """
    matrix = np.zeros((len(supports), len(supports)))
    for one in (one for found in supports for one in found):
        matrix[one.before, one.after] = one.benefit
    return matrix


def weighed(graph: Poset, weights: Floats, worth: Floats | None, seed: int) -> Orders:
    """The sort of a graph that all evidence speaks for, also what is too weak to count as a dependency.

    Among the sorts it earns the largest sum of benefits, averaged over the rounds: a step that has become easy in
    any place may have been learned with another's help. Where the graph has settled, each stands right behind one
    that it is told, or looked up, from, if that can be: a decoder has the last value at hand, and learns one
    operation at several slots sooner than at one.

    Parameters
    ----------
    weights : (L, L), mean benefits of rows to columns
    worth : (L, L) as `close_up` has it, of a graph that has settled

    Examples
    --------
    >>> weighed(Poset(3, [[2, 0]]), np.array([[0.0, 0.0, 9.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]), None, seed=0)
    array([1, 2, 0])
    """
    closure = graph.closure
    if closure.sum() == graph.length * (graph.length - 1) // 2:  # there is one sort
        (order,) = graph.sample_sorts(1, seed=seed)
        return np.asarray(order)
    weights = weights + closure * (np.abs(weights).sum() + 1.0)
    restarts = min(8, max(2, STARTS // graph.length))
    order = sort_along(graph, linear_ordering.solve(weights, restarts=restarts, seed=seed).order)
    return order if worth is None else close_up(graph, order, worth)
