import doctest
import itertools
import threading

import networkx as nx
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyorder.orders import linear_ordering
from pyorder.orders.linear_ordering import solve, solve_exact, value


def uniform(length, rng):
    return rng.random((length, length))


def signed_integers(length, rng):
    return rng.integers(-9, 10, (length, length))


def sparse(length, rng):
    return rng.random((length, length)) * (rng.random((length, length)) < 0.15)


def precedence(noise):
    """Make matrices of a hidden order: a pair that it puts first earns 1, on top of noise."""

    def make(length, rng):
        slots = rng.permutation(length)
        return (slots[:, None] < slots) + noise * rng.normal(size=(length, length))

    return make


FAMILIES = {
    "uniform": uniform,
    "signed integers": signed_integers,
    "sparse": sparse,
    "precedence, noise 0.1": precedence(0.1),
    "precedence, noise 1": precedence(1.0),
    "precedence, noise 5": precedence(5.0),
}


def instances(length, count, seed=0):
    rng = np.random.default_rng(seed)
    return [make(length, rng) for make in FAMILIES.values() for _ in range(count)]


def python_value(weights, order):
    return sum(weights[p][i] for p, i in itertools.combinations(order, 2))


def is_solution(found, weights):
    assert found.order.dtype == np.int64
    assert sorted(found.order.tolist()) == list(range(len(weights)))
    assert type(found.value) is float
    rows = np.asarray(weights).tolist()
    assert found.value == pytest.approx(python_value(rows, found.order.tolist()), rel=1e-12, abs=1e-12)


def test_docstring_examples():
    results = doctest.testmod(linear_ordering)
    assert results.attempted >= 3
    assert results.failed == 0


# Values


@given(st.integers(1, 9), st.integers(0, 1000))
def test_value_is_the_sum_over_pairs(length, seed):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(length, length))
    orders = rng.permuted(np.tile(np.arange(length), (5, 1)), axis=1)
    values = value(weights, orders)
    assert values.dtype == np.float64
    expected = [python_value(weights.tolist(), order) for order in orders.tolist()]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


def test_value_of_long_orders():
    rng = np.random.default_rng(0)
    weights = rng.integers(-9, 10, (300, 300))
    orders = np.stack([rng.permutation(300) for _ in range(3)])
    expected = [np.triu(weights[np.ix_(order, order)], 1).sum() for order in orders]
    assert value(weights, orders).tolist() == expected


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.float32, np.float64, ">f8", torch.tensor, list])
def test_weights_of_any_type(kind):
    rows = [[0, 3, 0], [1, 0, 2], [1, 0, 0]]
    weights = np.array(rows, kind) if isinstance(kind, type | str) and kind is not list else kind(rows)
    assert value(weights, [[0, 1, 2], [2, 1, 0]]).tolist() == [5, 2]
    for found in (solve(weights), solve_exact(weights), solve(np.asarray(weights)[::-1, ::-1])):
        assert found.value == 5


def test_the_diagonal_is_ignored():
    weights = uniform(6, np.random.default_rng(0))
    marked = weights.copy()
    np.fill_diagonal(marked, [np.nan, np.inf, -np.inf, 1e300, 5, -5])
    given_in = marked.copy()
    assert solve(marked).value == solve(weights).value
    assert solve_exact(marked).value == solve_exact(weights).value
    assert value(marked, [range(6)]).tolist() == value(weights, [range(6)]).tolist()
    np.testing.assert_array_equal(marked, given_in)


# Exact solutions


@pytest.mark.parametrize("length", range(1, 8))
def test_exact_is_the_best_of_all_orders(length):
    orders = list(itertools.permutations(range(length)))
    for weights in instances(length, 2 if length == 7 else 4, seed=length):
        found = solve_exact(weights)
        is_solution(found, weights)
        best = max(python_value(weights.tolist(), order) for order in orders)
        assert found.value == pytest.approx(best, rel=1e-12, abs=1e-12)


def test_exact_orders_of_an_acyclic_graph_are_its_sorts():
    rng = np.random.default_rng(3)
    for _ in range(10):
        labels = rng.permutation(9)
        edges = [(labels[a], labels[b]) for a, b in itertools.combinations(range(9), 2) if rng.random() < 0.3]
        weights = np.zeros((9, 9))
        for before, after in edges:
            weights[before, after] = rng.uniform(0.5, 2)
        assert nx.is_directed_acyclic_graph(nx.DiGraph(edges))
        for found in (solve_exact(weights), solve(weights)):
            assert found.value == pytest.approx(weights.sum())
            slots = np.argsort(found.order)
            assert all(slots[before] < slots[after] for before, after in edges)


# The search


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 12, 16])
def test_solutions_are_near_the_optimum(length):
    for weights in instances(length, 3, seed=length):
        found = solve(weights, seed=1)
        is_solution(found, weights)
        best = solve_exact(weights).value
        assert best - 0.005 * abs(best) - 1e-9 <= found.value <= best + 1e-9


@pytest.mark.parametrize("length", [40, 100])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_hidden_order_is_found(length, noise):
    rng = np.random.default_rng(length)
    hidden = rng.permutation(length)
    slots = np.argsort(hidden)
    weights = (slots[:, None] < slots) + noise * rng.uniform(-1, 1, (length, length))  # it stays the best
    np.testing.assert_array_equal(solve(weights, restarts=2).order, hidden)


def test_no_insertion_swap_or_block_move_improves_a_solution():
    length = 11
    for weights in instances(length, 2, seed=5):
        found = solve(weights, restarts=1)
        order = found.order.tolist()
        neighbours = []
        for a, b, c in itertools.combinations(range(length + 1), 3):
            neighbours.append(order[:a] + order[b:c] + order[a:b] + order[c:])
        for a, b in itertools.combinations(range(length), 2):
            swapped = order.copy()
            swapped[a], swapped[b] = order[b], order[a]
            neighbours.append(swapped)
        assert value(weights, neighbours).max() <= found.value + 1e-9


def test_the_seed_decides():
    weights = uniform(60, np.random.default_rng(0))
    first = solve(weights, restarts=2, seed=5)
    again = solve(weights, restarts=2, seed=5)
    assert (first.order == again.order).all()
    assert first.value == again.value
    assert len({tuple(solve(weights, restarts=1, seed=seed).order) for seed in range(5)}) > 1


def test_more_restarts_are_never_worse():
    weights = uniform(60, np.random.default_rng(1))
    values = [solve(weights, restarts=restarts).value for restarts in range(1, 9)]
    assert values == sorted(values)


def test_threads_get_the_same_answer():
    weights = uniform(50, np.random.default_rng(2))
    expected = solve(weights).order.tolist()
    found = []
    workers = [threading.Thread(target=lambda: found.append(solve(weights).order.tolist())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 4


@settings(max_examples=20, deadline=None)
@given(st.integers(-300, 290), st.integers(0, 1000))
def test_scale_does_not_matter(exponent, seed):
    """Powers of two, so that scaling is exact."""
    weights = np.random.default_rng(seed).integers(-9, 10, (10, 10)).astype(float)
    found = solve(weights, restarts=1, seed=seed)
    scaled = solve(np.ldexp(weights, 3 * exponent), restarts=1, seed=seed)
    assert scaled.order.tolist() == found.order.tolist()
    assert scaled.value == np.ldexp(found.value, 3 * exponent)


def test_small_weights_count_beside_large_ones():
    weights = np.zeros((6, 6))
    weights[4, 1] = 1e12
    weights[1, 3] = weights[3, 0] = weights[0, 5] = weights[5, 2] = 1
    assert solve(weights).order.tolist() == [4, 1, 3, 0, 5, 2]


# Labels


def equally_likely(counts):
    """Test counts of (slot, step) over random orders; each order fills a row and a column, hence (n - 1) / n."""
    size = len(counts)
    expected = counts.sum() / size**2
    statistic = ((counts - expected) ** 2 / expected).sum() * (size - 1) / size
    return scipy.stats.chi2.sf(statistic, (size - 1) ** 2) > 1e-3


def test_relabelling_does_not_change_how_good_solutions_are():
    rng = np.random.default_rng(7)
    weights = uniform(80, rng)
    labels = rng.permutation(80)
    relabelled = weights[np.ix_(labels, labels)]
    values = [[solve(w, restarts=1, seed=seed).value for seed in range(60)] for w in (weights, relabelled)]
    assert len(set(values[0])) > 10
    assert scipy.stats.ks_2samp(*values).pvalue > 1e-3


def test_labels_that_agree_with_a_good_order_are_no_help():
    noisy = precedence(8.0)(80, np.random.default_rng(1))
    order = solve(noisy).order  # the identity, in the next line
    aligned = noisy[np.ix_(order, order)]
    opposed = aligned[::-1, ::-1]
    values = [[solve(w, restarts=1, seed=seed).value for seed in range(60)] for w in (aligned, opposed)]
    assert scipy.stats.ks_2samp(*values).pvalue > 1e-3


@pytest.mark.parametrize("weights", [np.zeros((6, 6)), np.ones((6, 6))])
def test_equal_orders_are_equally_likely(weights):
    orders = np.stack([solve(weights, restarts=2, seed=seed).order for seed in range(3000)])
    counts = np.stack([np.bincount(orders[:, slot], minlength=6) for slot in range(6)])
    assert equally_likely(counts)


def test_ties_are_broken_without_regard_to_labels():
    """Steps 0 to 4 are alike, and all have to follow step 5."""
    weights = np.zeros((6, 6))
    weights[5, :5] = 1
    orders = np.stack([solve(weights, restarts=1, seed=seed).order for seed in range(3000)])
    assert (orders[:, 0] == 5).all()
    counts = np.stack([np.bincount(orders[:, slot], minlength=6)[:5] for slot in range(1, 6)])
    assert equally_likely(counts)


# What is refused


@pytest.mark.parametrize(
    "call", [solve, solve_exact, lambda weights: value(weights, [[0, 1]])], ids=["solve", "solve_exact", "value"]
)
def test_weights_refused(call):
    for shape in ((3,), (2, 3), (0, 0), (2, 2, 2)):
        text = str(shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(
            ValueError, match=rf"^weights: expected shape \(L, L\), L from 1 to 65535, got {text}$"
        ):
            call(np.ones(shape))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match=rf"^weights: expected finite numbers, got {bad} at row 1, column 0$"):
            call([[0, 1], [bad, 0]])
    with pytest.raises(ValueError, match=r"^weights: the sum of their magnitudes overflows float64$"):
        call([[0, 1e308], [-1e308, 0]])
    for kind in (bool, complex, object, str):
        with pytest.raises(TypeError, match=r"^weights: expected numbers, got .* of shape \(2, 2\)$"):
            call(np.ones((2, 2)).astype(kind))
    with pytest.raises(ValueError, match=r"^weights: expected rows of equal length, got a ragged sequence$"):
        call([[0, 1], [1]])
    with pytest.raises(TypeError, match=r"^weights: expected numbers that NumPy can read: "):
        call(torch.ones(2, 2, requires_grad=True))


def test_other_arguments_refused():
    weights = np.ones((3, 3))
    for restarts in (0, 2**64):
        with pytest.raises(
            ValueError, match=rf"^restarts: expected an integer from 1 to {2**32}, got {restarts}$"
        ):
            solve(weights, restarts=restarts)
    with pytest.raises(TypeError, match=r"^restarts: expected an integer, got 2\.0$"):
        solve(weights, restarts=2.0)
    with pytest.raises(ValueError, match=r"^seed: expected an integer from 0 to"):
        solve(weights, seed=-1)
    with pytest.raises(ValueError, match=r"^weights: solve_exact takes up to 16 steps, got 17; see solve$"):
        solve_exact(np.ones((17, 17)))
    with pytest.raises(ValueError, match=r"^orders: 2 slots, but weights has 3 steps$"):
        value(weights, [[0, 1]])
    with pytest.raises(ValueError, match=r"^orders: row 1 is not a permutation of 0\.\.2$"):
        value(weights, [[0, 1, 2], [0, 1, 1]])
    with pytest.raises(ValueError, match=r"^orders: expected orders of shape \(T, L\), got 1 dimension$"):
        value(weights, [0, 1, 2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: solve(uniform(150, np.random.default_rng(0))),
        lambda: value(np.ones((500, 500)), np.tile(np.arange(500), (1000, 1))),
    ],
    ids=["solve", "value"],
)
def test_other_threads_run_meanwhile(call, lets_others_run):
    assert lets_others_run(call)
