"""Counting, listing and drawing topological sorts, against brute force and published numbers."""

import itertools
import math
import time

import numpy as np
import pytest
import scipy.stats

from pyorder import _checks
from pyorder.orders.posets import Poset

EVERY_ORDER = {n: np.array(list(itertools.permutations(range(n)))) for n in range(1, 8)}


def brute_force(length, edges):
    """All orders that satisfy every edge, in lexicographic sequence."""
    orders = EVERY_ORDER[length]
    slots = np.argsort(orders, axis=1)
    keep = np.ones(len(orders), bool)
    for before, after in edges:
        keep &= slots[:, before] < slots[:, after]
    return orders[keep]


def canonical(closure):
    """The least closure matrix of a poset over the labellings that sort its steps by what no label changes."""
    below, above = closure.sum(0), closure.sum(1)
    kind = [
        (below[i], above[i], tuple(sorted(below[closure[i]])), tuple(sorted(above[closure[:, i]])))
        for i in range(len(closure))
    ]
    groups = [[i for i in range(len(closure)) if kind[i] == k] for k in sorted(set(kind))]
    labellings = itertools.product(*(itertools.permutations(group) for group in groups))
    rows = np.array([list(itertools.chain(*labelling)) for labelling in labellings])
    codes = np.packbits(closure[rows[:, :, None], rows[:, None, :]].reshape(len(rows), -1), axis=1)
    return min(map(bytes, codes))


def all_posets(most):
    """Transitive closures of all unlabelled posets of 1 to ``most`` steps: each gains a step above a downset."""
    posets = [np.zeros((1, 1), bool)]
    yield from posets
    for size in range(1, most):
        found = {}
        for closure in posets:
            for members in itertools.product((False, True), repeat=size):
                chosen = np.array(members)
                if not (closure[:, chosen].any(1) & ~chosen).any():
                    larger = np.zeros((size + 1, size + 1), bool)
                    larger[:size, :size], larger[:size, size] = closure, chosen
                    found.setdefault(canonical(larger), larger)
        posets = list(found.values())
        yield from posets


def test_all_posets_up_to_seven_steps():
    rng = np.random.default_rng(0)
    met = dict.fromkeys(range(1, 8), 0)
    for closure in all_posets(7):
        length = len(closure)
        label = rng.permutation(length)
        edges = label[np.argwhere(closure)]
        truth = brute_force(length, edges)
        poset = Poset(length, edges)
        np.testing.assert_array_equal(poset.sorts(), truth)
        assert poset.count_sorts() == len(truth)
        for most in {1, 2, 7, len(truth) - 1, len(truth), len(truth) + 1, 2**63 - 1}:
            assert poset.count_sorts_up_to(most) == min(most, len(truth))
        met[length] += 1
    assert list(met.values()) == [1, 2, 5, 16, 63, 318, 2045]


def boolean_lattice(dimension):
    size = 2**dimension
    return Poset(size, [(a, a | 1 << bit) for a in range(size) for bit in range(dimension) if not a >> bit & 1])


def grid(width, height):
    across = [(y * width + x, y * width + x + 1) for y in range(height) for x in range(width - 1)]
    down = [(y * width + x, (y + 1) * width + x) for y in range(height - 1) for x in range(width)]
    return Poset(width * height, across + down)


@pytest.mark.parametrize(
    ("dimension", "count"), [(1, 1), (2, 2), (3, 48), (4, 1_680_384), (5, 14_807_804_035_657_359_360)]
)
def test_boolean_lattices(dimension, count):
    assert boolean_lattice(dimension).count_sorts() == count


def test_grids_have_catalan_numbers_and_the_hook_length_formula():
    for width in (1, 2, 5, 12, 40):
        assert grid(width, 2).count_sorts() == math.comb(2 * width, width) // (width + 1)
    hooks = math.prod((8 - x) + (6 - y) - 1 for x in range(8) for y in range(6))
    assert grid(8, 6).count_sorts() == math.factorial(48) // hooks


def test_parts_that_have_nothing_to_do_with_each_other_are_counted_apart():
    chains = [(10 * chain + i, 10 * chain + i + 1) for chain in range(10) for i in range(9)]
    assert Poset(100, chains).count_sorts(limit=200) == math.factorial(100) // math.factorial(10) ** 10
    assert Poset(300).count_sorts() == math.factorial(300)


def test_bounded_counts_of_graphs_with_countless_sets_take_no_time():
    graphs = {
        "pairs": Poset(60, [[2 * k, 2 * k + 1] for k in range(30)]),
        "star": Poset(60, [[0, k] for k in range(1, 60)]),
        "fence": Poset(60, [[k, k + 1] if k % 2 else [k + 1, k] for k in range(59)]),
        "no edges": Poset(3000),
        "a late star": Poset(200, [[k, k + 1] for k in range(100)] + [[100, k] for k in range(101, 200)]),
    }
    begin = time.perf_counter()
    for graph in graphs.values():
        for most in (1, 7, 5041):
            assert graph.count_sorts_up_to(most) == most
    assert time.perf_counter() - begin < 0.5  # counting the star's sets takes as long alone, up to the limit
    assert Poset(3000, [[k + 1, k] for k in range(2999)]).count_sorts_up_to(7) == 1


def test_bounded_counts_are_exact_next_to_their_bound():
    ladder = Poset(40, [[k, k + 2] for k in range(38)] + [[0, 1]])  # a connected one of many sorts
    graphs = [grid(4, 5), boolean_lattice(4), Poset(12), Poset(30, [[k, k + 1] for k in range(28)]), ladder]
    for graph in graphs:
        count = graph.count_sorts()
        for most in (1, count - 1, count, count + 1, 2**63 - 1):
            assert graph.count_sorts_up_to(most) == min(most, count)
    assert Poset(5).count_sorts_up_to(0) == 0
    assert Poset(70).count_sorts_up_to(2**63 - 1) == 2**63 - 1
    for most in (-1, 2**63):
        with pytest.raises(ValueError, match=f"^most: expected an integer from 0 to {2**63 - 1}, got {most}$"):
            Poset(5).count_sorts_up_to(most)


def test_labels_do_not_change_the_time():
    """Sets of the last steps differ in the highest bits only, and a table must tell them apart as well."""
    free = 18
    last = Poset(64, [[k, k + 1] for k in range(63 - free)] + [[63 - free, k] for k in range(64 - free, 64)])
    first = last.renamed(np.arange(63, -1, -1))
    seconds = []
    for graph in (last, first):
        begin = time.perf_counter()
        assert graph.count_sorts() == math.factorial(free)
        seconds.append(time.perf_counter() - begin)
    assert seconds[0] < 4 * seconds[1]


def test_a_graph_with_too_many_sets_is_refused():
    star = Poset(31, [(30, i) for i in range(30)])
    for call in (star.count_sorts, lambda: star.uniform_sorts(1, seed=0)):
        with pytest.raises(ValueError, match=r"^limit: there are more than 1000000 sets of steps"):
            call()
    assert Poset(4, [(3, i) for i in range(3)]).count_sorts(limit=8) == 6
    with pytest.raises(ValueError, match=r"^limit: there are more than 7 sets"):
        Poset(4, [(3, i) for i in range(3)]).count_sorts(limit=7)


def test_listing_stops_at_the_limit():
    assert len(Poset(4).sorts(limit=24)) == 24
    with pytest.raises(ValueError, match=r"^limit: there are more than 23 topological sorts$"):
        Poset(4).sorts(limit=23)
    chain = Poset(300, [(i + 1, i) for i in range(299)])
    assert chain.sorts().tolist() == [list(range(299, -1, -1))]


def test_limits_are_what_memory_holds_at_most(monkeypatch):
    monkeypatch.setattr(_checks, "memory", lambda: 2 * 16 * 4 * 23)
    with pytest.raises(ValueError, match=r"^limit: there are more than 23 topological sorts$"):
        Poset(4).sorts()
    with pytest.raises(ValueError, match=r"^limit: there are more than \d+ such sorts$"):
        Poset(4).sorts_near([0, 1, 2, 3], 6)
    with pytest.raises(ValueError, match=r"^limit: there are more than \d+ sets of steps"):
        Poset(8, [(7, i) for i in range(7)]).count_sorts()


def test_numbers_beyond_64_bits_are_as_good_as_none():
    poset = Poset(3, [[0, 1]])
    assert len(poset.sorts(limit=2**70)) == poset.count_sorts(limit=2**70) == 3
    assert len(poset.sorts_near([0, 1, 2], 2**70, limit=2**70)) == 3


N_SHAPE = Poset(6, [[4, 1], [4, 0], [2, 0], [3, 5]])


def chi_square(rows, poset):
    """Probability that uniform draws are as far from uniform as these."""
    truth = brute_force(poset.length, poset.edges)
    found, counts = np.unique(rows, axis=0, return_counts=True)
    np.testing.assert_array_equal(found, truth)
    return scipy.stats.chisquare(counts).pvalue


def test_uniform_sorts_are_uniform():
    for seed, poset in enumerate((N_SHAPE, Poset(4), Poset(5, [[3, 1]]))):
        assert chi_square(poset.uniform_sorts(100_000, seed=seed), poset) > 1e-3
    assert chi_square(N_SHAPE.sample_sorts(100_000, seed=0), N_SHAPE) < 1e-6  # the test can tell


def test_the_chain_comes_close_to_uniform():
    assert chi_square(N_SHAPE.walk_sorts(100_000, seed=0, error=1e-4), N_SHAPE) > 1e-3
    np.testing.assert_array_equal(N_SHAPE.walk_sorts(50, seed=0, moves=0), N_SHAPE.sample_sorts(50, seed=0))


def test_random_sorts_of_a_large_graph_agree_with_theory():
    """A chain of 20 beside 40 free steps: its slots are a random subset, whose largest member's mean is known."""
    chain = Poset(60, [(i, i + 1) for i in range(19)])
    mean = 20 * 61 / 21 - 1  # of the last of 20 slots among 60, counted from 0
    for rows in (chain.uniform_sorts(2000, seed=1), chain.walk_sorts(100, seed=1)):
        slots = np.argmax(rows == 19, axis=1)
        assert abs(slots.mean() - mean) < 4 * slots.std() / math.sqrt(len(slots))
        assert chain.is_sort(rows).all()


@pytest.mark.parametrize("method", ["uniform_sorts", "walk_sorts"])
def test_rows_depend_on_the_seed_and_their_number_only(method):
    draw = getattr(N_SHAPE, method)
    rows = draw(20, seed=3)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(draw(7, seed=3), rows[:7])
    assert not np.array_equal(draw(20, seed=4), rows)
    assert draw(0, seed=3).shape == (0, 6)


def test_estimates_are_within_their_errors():
    for seed, poset in enumerate((N_SHAPE, boolean_lattice(4), grid(12, 2), Poset(7))):
        log_count, error = poset.estimate_sorts(20_000, seed=seed)
        assert abs(log_count - math.log(poset.count_sorts())) <= 4 * error + 1e-12
    assert error < 1e-12  # every order of a graph without edges is as likely as any other
    with pytest.raises(ValueError, match="^samples: expected an integer of at least 2"):
        N_SHAPE.estimate_sorts(1, seed=0)


def test_sorts_near_are_those_within_the_distance():
    truth = brute_force(6, N_SHAPE.edges)
    slots = np.argsort(truth, axis=1)
    pairs = list(itertools.combinations(range(6), 2))
    for start in (0, 31, len(truth) - 1):
        sequence = slots[:, [a for a, _ in pairs]] < slots[:, [b for _, b in pairs]]
        distance = (sequence != sequence[start]).sum(1)
        for most in (0, 1, 3, 15):
            near = N_SHAPE.sorts_near(truth[start], most)
            assert near[0].tolist() == truth[start].tolist()
            np.testing.assert_array_equal(np.unique(near, axis=0), truth[distance <= most])
            place = [int(np.flatnonzero((truth == row).all(1))[0]) for row in near]
            assert (np.diff(distance[place]) >= 0).all()


def test_sorts_near_refuses_what_is_no_sort():
    with pytest.raises(ValueError, match=r"^sort: \[0, 1, 2, 3, 4, 5\] is no topological sort"):
        N_SHAPE.sorts_near(np.arange(6), 1)
    with pytest.raises(ValueError, match="^distance: "):
        N_SHAPE.sorts_near(N_SHAPE.sorts()[0], -1)
    with pytest.raises(ValueError, match="^limit: there are more than 3 such sorts"):
        N_SHAPE.sorts_near(N_SHAPE.sorts()[0], 5, limit=3)


@pytest.mark.parametrize("error", [0.0, 1.0, -1.0])
def test_an_error_that_is_no_probability_is_refused(error):
    with pytest.raises(ValueError, match="^error: expected a number between 0 and 1"):
        N_SHAPE.walk_sorts(1, seed=0, error=error)
