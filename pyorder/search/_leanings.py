"""Orders that follow a graph: those that a round trains on, and what evidence prefers among its sorts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.assembly import lost_last
from pyorder.orders import linear_ordering
from pyorder.orders.permutations import sample
from pyorder.orders.posets import Poset
from pyorder.search._pools import close_up, sort_along
from pyorder.streams import seed_from

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

UNIFORM_SHARE = 0.35  # of the training orders; chosen as the constants of `pyorder.search._rounds`
STARTS = 400  # times steps, at most, in weighing all evidence: each takes some L^3 comparisons


def training_orders(graph: Poset, lost: Mask, count: int, rng: np.random.Generator) -> Orders:
    """Draw the orders of a round: uniformly random ones, sorts, and sorts with the steps ``lost`` (L,) late.

    Examples
    --------
    >>> graph, rng = Poset(3, [[2, 0]]), np.random.default_rng(0)
    >>> orders = training_orders(graph, np.zeros(3, bool), 1000, rng)
    >>> bool(0.75 < graph.is_sort(orders).mean() < 0.9)  # all sorts, and half of the others
    True
    """
    orders = sample(graph.length, count, seed=seed_from(rng))
    if len(graph.edges):
        kind = rng.random(count)
        sorts = kind > UNIFORM_SHARE
        orders[sorts] = graph.sample_sorts(int(sorts.sum()), seed=seed_from(rng))
        late = kind > (1 + UNIFORM_SHARE) / 2
        orders[late] = lost_last(graph, lost, rng).sample_sorts(int(late.sum()), seed=seed_from(rng))
    return orders


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


def weighed(graph: Poset, weights: Floats, worth: Floats | None, seed: int) -> Orders:
    """The sort of a graph that all evidence speaks for, also what is too weak to count as a dependency.

    Among the sorts it earns the largest sum of benefits, averaged over the rounds: a step that has become easy in
    any place may have been learned with another's help. Where steps were looked up, each stands right behind one
    that it can be looked up from: a decoder learns one operation at several slots sooner than at one.

    Parameters
    ----------
    weights : (L, L), mean benefits of rows to columns
    worth : (L, L) as `close_up` has it, after look-ups

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
