"""From single dependencies to a graph: what may stand together without a cycle, and what should come late."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.statistics import Support
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
