import copy
import doctest
import itertools
import pickle
import threading
from collections import Counter
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyorder.orders import posets
from pyorder.orders.posets import Poset


def as_edges(array):
    assert array.dtype == np.int64
    assert array.ndim == 2
    assert array.shape[1] == 2
    return list(map(tuple, array.tolist()))


def as_graph(length, edges):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(length))
    graph.add_edges_from(edges)
    return graph


def agrees(poset, graph):
    """Compare everything that can be read off the poset with networkx."""
    closure = nx.to_numpy_array(nx.transitive_closure(graph), nodelist=range(poset.length)).astype(bool)
    assert poset.closure.dtype == bool
    np.testing.assert_array_equal(poset.closure, closure)
    assert as_edges(poset.edges) == sorted(graph.edges)
    assert as_edges(poset.reduction) == sorted(nx.transitive_reduction(graph).edges)


def random_edges(length, count, seed=0):
    """Edges of a random acyclic graph whose labels say nothing about the direction."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(length)
    pairs = [(hidden[a], hidden[b]) for a in range(length) for b in range(a + 1, length)]
    return rng.permutation(pairs)[:count]


lengths_and_pairs = st.integers(1, 9).flatmap(
    lambda length: st.tuples(
        st.just(length),
        st.lists(st.tuples(st.integers(0, length - 1), st.integers(0, length - 1)), max_size=30),
    )
)


def test_docstring_examples():
    results = doctest.testmod(posets)
    assert results.attempted > 10
    assert results.failed == 0


# The graph


@settings(deadline=None)
@given(lengths_and_pairs, st.data())
def test_edges_come_and_go_as_in_networkx(instance, data):
    length, pairs = instance
    poset = Poset(length)
    graph = as_graph(length, [])
    for before, after in pairs:
        graph.add_edge(before, after)
        acyclic = nx.is_directed_acyclic_graph(graph)
        if not acyclic:
            graph.remove_edge(before, after)
        assert poset.add(before, after) is acyclic
        agrees(poset, graph)
    assert poset == Poset(length, list(graph.edges))
    for before, after in data.draw(st.permutations(list(graph.edges))):
        poset.remove(before, after)
        graph.remove_edge(before, after)
        agrees(poset, graph)
    assert poset == Poset(length)


@pytest.mark.parametrize(("length", "count"), [(63, 100), (64, 300), (65, 2000), (130, 400)])
def test_graphs_of_several_words(length, count):
    edges = random_edges(length, count)
    poset = Poset(length, edges)
    graph = as_graph(length, edges.tolist())
    agrees(poset, graph)
    for before, after in edges[: count // 2].tolist():
        poset.remove(before, after)
        graph.remove_edge(before, after)
    agrees(poset, graph)
    closure = poset.closure
    for before, after in np.random.default_rng(1).integers(0, length, (50, 2)):
        assert poset.precedes(before, after) is bool(closure[before, after])


@pytest.mark.parametrize(
    "edges", [np.array([[0, 2], [1, 2]], "uint8"), torch.tensor([[0, 2], [1, 2]]), [(0, 2), (1, 2)]]
)
def test_edges_of_any_integer_type(edges):
    assert as_edges(Poset(3, edges).edges) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("edges", [(), [], np.empty((0, 2), dtype=int)])
def test_no_edges(edges):
    poset = Poset(3, edges)
    assert as_edges(poset.edges) == as_edges(poset.reduction) == []
    assert not poset.closure.any()
    assert poset.satisfied([[0, 1, 2], [2, 1, 0]]).tolist() == [1, 1]
    assert poset.is_sort([[2, 1, 0]]).tolist() == [True]


def test_a_refused_edge_changes_nothing():
    poset = Poset(6, [[5, 2], [2, 3]])
    before = poset.copy()
    assert not poset.add(3, 5)
    assert not poset.add(4, 4)
    assert poset == before
    np.testing.assert_array_equal(poset.closure, before.closure)


def test_it_is_a_plain_value():
    poset = Poset(4, [[2, 0], [0, 1]])
    for other in (poset.copy(), copy.copy(poset), copy.deepcopy(poset), pickle.loads(pickle.dumps(poset))):
        assert other == poset
        assert other.add(3, 1)
        assert other != poset
    assert poset != Poset(5, [[2, 0], [0, 1]])
    assert poset != "Poset"
    assert eval(repr(poset)) == poset
    assert repr(Poset(9, random_edges(9, 30))).endswith(", ...])")
    with pytest.raises(TypeError, match="unhashable"):
        hash(poset)
    poset.edges[:] = 0
    poset.closure[:] = True
    assert poset == Poset(4, [[2, 0], [0, 1]])
    assert not poset.precedes(1, 2)


# Sorts


def exact_probabilities(graph):
    """How likely each sort is, when every slot takes any of the available steps with equal chance."""
    if not graph:
        return {(): Fraction(1)}
    available = [step for step in graph if graph.in_degree(step) == 0]
    found = {}
    for step in available:
        rest = graph.copy()
        rest.remove_node(step)
        for sort, probability in exact_probabilities(rest).items():
            found[step, *sort] = probability / len(available)
    return found


@pytest.mark.parametrize(
    ("length", "edges"),
    [
        (4, []),
        (3, [(0, 1)]),
        (3, [(1, 0)]),
        (5, [(4, 0), (4, 1), (3, 1), (1, 2)]),
        (5, [(0, 1), (1, 2), (0, 2), (3, 4)]),
    ],
)
def test_sorts_are_drawn_step_by_step(length, edges):
    exact = exact_probabilities(as_graph(length, edges))
    assert set(exact) == set(map(tuple, nx.all_topological_sorts(as_graph(length, edges))))
    sorts = Poset(length, edges).sample_sorts(20_000, seed=3)
    assert sorts.dtype == np.int64
    seen = Counter(map(tuple, sorts.tolist()))
    assert set(seen) == set(exact)
    observed = [seen[sort] for sort in exact]
    expected = [float(exact[sort]) * len(sorts) for sort in exact]
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


@given(lengths_and_pairs, st.integers(0, 2**64 - 1))
def test_every_sample_is_a_sort(instance, seed):
    length, pairs = instance
    poset = Poset(length)
    for before, after in pairs:
        poset.add(before, after)
    sorts = poset.sample_sorts(20, seed=seed)
    assert (np.sort(sorts, axis=1) == np.arange(length)).all()
    for sort in sorts.tolist():
        assert all(sort.index(before) < sort.index(after) for before, after in poset.edges)


@pytest.mark.parametrize("length", [64, 300])
def test_long_sorts(length):
    edges = random_edges(length, 3 * length)
    sorts = Poset(length, edges).sample_sorts(50, seed=0)
    slots = np.argsort(sorts, axis=1)
    assert (np.sort(sorts, axis=1) == np.arange(length)).all()
    assert (slots[:, edges[:, 0]] < slots[:, edges[:, 1]]).all()
    assert len(np.unique(sorts, axis=0)) == 50


def equally_likely(counts):
    """Test counts of (slot, step) over random orders; each order fills a row and a column, hence (n - 1) / n."""
    size = len(counts)
    expected = counts.sum() / size**2
    statistic = ((counts - expected) ** 2 / expected).sum() * (size - 1) / size
    return scipy.stats.chi2.sf(statistic, (size - 1) ** 2) > 1e-3


def test_labels_play_no_part():
    """Steps that are alike but for their labels take every slot equally often."""
    sorts = Poset(12, [(step, 11) for step in range(11)]).sample_sorts(30_000, seed=1)
    assert (sorts[:, 11] == 11).all()
    counts = np.stack([np.bincount(sorts[:, slot], minlength=11) for slot in range(11)])
    assert equally_likely(counts)


def test_a_row_depends_on_the_seed_and_its_number_only():
    poset = Poset(20, random_edges(20, 25))
    sorts = poset.sample_sorts(1000, seed=7)
    np.testing.assert_array_equal(poset.sample_sorts(10, seed=7), sorts[:10])
    assert not (poset.sample_sorts(10, seed=8) == sorts[:10]).all(axis=1).any()
    assert poset.sample_sorts(0, seed=7).shape == (0, 20)


# Orders against the graph


@given(lengths_and_pairs)
def test_satisfied_counts_edges(instance):
    length, pairs = instance
    poset = Poset(length)
    for before, after in pairs:
        poset.add(before, after)
    orders = np.array(list(itertools.islice(itertools.permutations(range(length)), 50)))
    edges = as_edges(poset.edges)
    counts = [sum(order.index(p) < order.index(i) for p, i in edges) for order in orders.tolist()]
    shares = poset.satisfied(orders)
    assert shares.dtype == np.float64
    assert shares.tolist() == [count / len(edges) if edges else 1 for count in counts]
    assert poset.is_sort(orders).tolist() == [count == len(edges) for count in counts]


def test_is_sort_knows_all_sorts():
    edges = [(4, 0), (4, 1), (3, 1), (1, 2)]
    sorts = set(map(tuple, nx.all_topological_sorts(as_graph(5, edges))))
    orders = list(itertools.permutations(range(5)))
    assert Poset(5, edges).is_sort(orders).tolist() == [order in sorts for order in orders]


def test_orders_of_two_bytes():
    edges = random_edges(300, 500)
    order = np.random.default_rng(0).permutation(300)
    slots = np.argsort(order)
    expected = (slots[edges[:, 0]] < slots[edges[:, 1]]).mean()
    assert Poset(300, edges).satisfied([order]).tolist() == [expected]


# What is refused


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([[5, 2], [2, 3], [3, 5]], "3 -> 5 closes the cycle 5 -> 2 -> 3 -> 5"),
        ([[1, 0], [0, 1]], "0 -> 1 closes the cycle 1 -> 0 -> 1"),
        ([[4, 4]], "4 -> 4 closes the cycle 4 -> 4"),
        ([[0, 1], [1, 2], [2, 3], [0, 3], [3, 0]], "3 -> 0 closes the cycle 0 -> 3 -> 0"),  # the shortest
    ],
)
def test_a_cycle_is_named(edges, cycle):
    with pytest.raises(ValueError, match=f"^edges: {cycle}$"):
        Poset(6, edges)


@settings(deadline=None)
@given(lengths_and_pairs)
def test_a_named_cycle_is_one(instance):
    length, pairs = instance
    if nx.is_directed_acyclic_graph(as_graph(length, pairs)):
        Poset(length, pairs)
        return
    with pytest.raises(ValueError, match="closes the cycle") as caught:
        Poset(length, pairs)
    steps = list(map(int, str(caught.value).split(" cycle ")[1].split(" -> ")))
    assert steps[0] == steps[-1]
    assert len(set(steps)) == len(steps) - 1
    assert set(itertools.pairwise(steps)) <= set(pairs)


def test_construction_refuses():
    for edge, text in (([0, 3], "0 -> 3"), ([-1, 0], "-1 -> 0")):
        with pytest.raises(ValueError, match=rf"^edges: {text} is not between steps 0\.\.2$"):
            Poset(3, [[0, 1], edge])
    with pytest.raises(ValueError, match=r"^edges: expected shape \(E, 2\), got \(3,\)$"):
        Poset(3, [0, 1, 2])
    with pytest.raises(ValueError, match=r"^edges: expected shape \(E, 2\), got \(1, 3\)$"):
        Poset(3, [[0, 1, 2]])
    with pytest.raises(TypeError, match=r"^edges: expected integers, got float64"):
        Poset(3, [[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"^length: expected an integer from 1 to 65535, got 0$"):
        Poset(0)


def test_methods_refuse():
    poset = Poset(3, [[0, 1]])
    for method in (poset.add, poset.remove, poset.precedes):
        with pytest.raises(ValueError, match=r"^before: expected an integer from 0 to 2, got 3$"):
            method(3, 0)
        with pytest.raises(ValueError, match=r"^after: expected an integer from 0 to 2, got -1$"):
            method(0, -1)
        with pytest.raises(TypeError, match=r"^after: expected an integer, got 1\.0$"):
            method(0, 1.0)
    with pytest.raises(ValueError, match=r"^before, after: 1 -> 2 is not an edge of this poset$"):
        poset.remove(1, 2)
    for method in (poset.satisfied, poset.is_sort):
        with pytest.raises(ValueError, match=r"^orders: 4 slots, but the poset has 3 steps$"):
            method([[0, 1, 2, 3]])
        with pytest.raises(ValueError, match=r"^orders: row 1 is not a permutation of 0\.\.2$"):
            method([[0, 1, 2], [0, 1, 1]])
        with pytest.raises(ValueError, match=r"^orders: expected orders of shape \(T, L\), got 1 dimension$"):
            method([0, 1, 2])
    with pytest.raises(ValueError, match=r"^count: .* orders of 3 slots do not fit"):
        poset.sample_sorts(10**15, seed=0)
    with pytest.raises(ValueError, match=r"^seed: expected an integer from 0 to"):
        poset.sample_sorts(1, seed=-1)


# Threads


def test_other_threads_run_meanwhile(lets_others_run):
    poset = Poset(100, random_edges(100, 150))
    assert lets_others_run(lambda: poset.sample_sorts(100_000, seed=0))


def test_threads_may_share_a_poset():
    poset = Poset(40)
    edges = random_edges(40, 400)
    workers = [
        threading.Thread(target=lambda part=part: [poset.add(*edge) for edge in part.tolist()])
        for part in np.array_split(edges, 4)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        assert (np.sort(poset.sample_sorts(50, seed=0), axis=1) == np.arange(40)).all()
    agrees(poset, as_graph(40, edges.tolist()))
