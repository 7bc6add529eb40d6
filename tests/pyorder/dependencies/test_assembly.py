"""Edges that evidence speaks for, beside constraints and beside each other."""

import numpy as np

from pyorder.dependencies import assembly
from pyorder.dependencies.assembly import dependencies
from pyorder.dependencies.statistics import FirstLook, Support
from pyorder.orders.posets import Poset


def found(graph, *pairs, benefit=(), step_loss=1.0):
    """The pairs of the dependencies, and which are reversible; step losses are of 2 nats of entropy."""
    look = FirstLook(np.zeros((3, 3)), np.full((3, 3), 0.01), np.full(3, step_loss), 100, 1.0)
    for pair, value in dict(benefit).items():
        look.benefit[pair] = value
    supports = [[Support(*pair, 1.0, 0.1, 9.0) for pair in pairs if pair[1] == step] for step in range(3)]
    told = dependencies(graph, supports, look, np.zeros(3, bool), np.full(3, 2.0), error_rate=0.01)
    return [(one.before, one.after) for one in told], [one.reversible for one in told]


def test_docstring_examples(doctests):
    doctests(assembly)


def test_a_dependency_that_constraints_imply_is_one():
    assert found(Poset(3, [[0, 1], [1, 2]]), (0, 2))[0] == [(0, 2)]
    assert found(Poset(3, [[0, 1], [1, 2]]), (0, 1), (0, 2), (1, 2))[0] == [(0, 1), (1, 2)]


def test_what_the_graph_has_no_room_for_is_none():
    assert found(Poset(3, [[0, 1]]), (0, 1), (1, 0), (1, 2))[0] == [(0, 1)]


def test_an_edge_is_reversible_where_the_other_direction_would_do_as_well():
    ways = {(0, 1): 1.0, (1, 0): 1.0, (1, 2): 1.0, (2, 1): 0.5}
    graph = Poset(3, [[0, 1], [1, 2]])
    assert found(graph, (0, 1), (1, 2), benefit=ways) == ([(0, 1), (1, 2)], [True, False])
    # Learned in any order by now, neither is worth anything, which says nothing of when it was not.
    assert found(graph, (0, 1), (1, 2), step_loss=0.01) == ([(0, 1), (1, 2)], [False, False])
