"""From single dependencies to a graph: what may stand together without a cycle, and what should come late."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.graph import Dependency
from pyorder.dependencies.statistics import EXPLAINED, FirstLook, Support, pairs, z_threshold
from pyorder.orders import linear_ordering
from pyorder.orders.posets import Poset
from pyorder.streams import seed_from


def edge_set(graph: Poset) -> set[tuple[int, int]]:
    """Edges of the transitive reduction."""
    return {(before, after) for before, after in graph.reduction.tolist()}


def assemble(constraints: Poset, supports: list[Support], rng: np.random.Generator) -> Poset:
    """Add edges that may contradict each other to a graph, so that it stays acyclic and the benefit kept is large.

    The strongest edge goes first, and one that would close a cycle is left out. Where that loses benefit, a linear
    ordering of all edges is tried as well; edges of equal benefit come in random sequence.

    Examples
    --------
    >>> edges = [Support(0, 1, 2.0, 0.1, 9.0), Support(1, 2, 1.5, 0.1, 9.0), Support(2, 0, 1.0, 0.1, 9.0)]
    >>> assemble(Poset(3), edges, np.random.default_rng(0))
    Poset(3, [[0, 1], [1, 2]])
    """
    graph = constraints.copy()
    weights = np.zeros((graph.length, graph.length))
    kept = 0.0
    for index in sorted(rng.permutation(len(supports)), key=lambda index: -supports[index].benefit):
        edge = supports[index]
        weights[edge.before, edge.after] = edge.benefit
        kept += edge.benefit if graph.add(edge.before, edge.after) else 0.0
    if kept < weights.sum() * (1 - 1e-9):
        binding = constraints.closure * (weights.sum() + 1.0)
        order = linear_ordering.solve(weights + binding, seed=seed_from(rng)).order
        slots = np.argsort(order)
        ahead = (weights > 0) & (slots[:, None] < slots)
        if weights[ahead].sum() > kept * (1 + 1e-9) and constraints.is_sort(order[None])[0]:
            graph = Poset(graph.length, np.concatenate([constraints.edges, np.argwhere(ahead)]))
    return graph


def dependencies(
    graph: Poset,
    supports: list[list[Support]],
    look: FirstLook,
    fine: npt.NDArray[np.bool_],
    base: npt.NDArray[np.float64],
    *,
    error_rate: float,
) -> tuple[Dependency, ...]:
    """The edges of a graph that evidence speaks for, but for those that follow from others of them.

    An edge that constraints imply as well is one of them. It is *reversible* if the other direction would do as
    well; of a step that is learned in any order by now the look cannot tell.

    Parameters
    ----------
    supports : of each step, what stands before it
    look : at all pairs, which says whether the other direction would do as well
    base : (L,) nats, the entropy of each step
    fine : (L,) steps whose supports matter for the last percent only
    error_rate : in all pairs

    Examples
    --------
    >>> look = FirstLook(np.array([[0.0, 2.0], [0.1, 0.0]]), np.full((2, 2), 0.1), np.ones(2), 100, 1.0)
    >>> (edge,) = dependencies(
    ...     Poset(2, [[0, 1]]), [[], [Support(0, 1, 2.0, 0.1, 9.0)]], look, np.zeros(2, bool), np.full(2, 3.0),
    ...     error_rate=0.01,
    ... )
    >>> edge.before, edge.after, edge.benefit, edge.reversible
    (0, 1, 2.0, False)
    """
    spoken_for = [(one.before, one.after) for group in supports for one in group]
    edges = edge_set(Poset(graph.length, [pair for pair in spoken_for if graph.precedes(*pair)]))
    threshold = z_threshold(error_rate, pairs(graph.length))
    open_still = look.step_loss > EXPLAINED * base
    found = []
    for support in sorted((s for group in supports for s in group), key=lambda s: (s.before, s.after)):
        if (support.before, support.after) in edges:
            there, back = (support.before, support.after), (support.after, support.before)
            gap = look.benefit[there] - look.benefit[back]
            gap_error = float(np.hypot(look.standard_error[there], look.standard_error[back]))
            chance = 1 - NormalDist().cdf(support.z)
            found.append(
                Dependency(
                    before=support.before,
                    after=support.after,
                    benefit=support.benefit,
                    standard_error=support.standard_error,
                    confidence=max(0.0, 1 - pairs(graph.length) * chance),
                    reversible=bool(open_still[support.after] and gap < threshold * gap_error),
                    fine=bool(fine[support.after]),
                )
            )
    return tuple(found)


def lost_last(graph: Poset, lost: npt.NDArray[np.bool_], rng: np.random.Generator) -> Poset:
    """The graph with every step that is lost after those that are not, as far as the graph allows.

    Examples
    --------
    >>> lost = np.array([False, True, False])
    >>> lost_last(Poset(3, [[1, 2]]), lost, np.random.default_rng(0)).edges.tolist()
    [[0, 1], [1, 2]]
    """
    extended = graph.copy()
    for before in rng.permutation(np.flatnonzero(~lost)):
        for after in rng.permutation(np.flatnonzero(lost)):
            extended.add(int(before), int(after))
    return extended
