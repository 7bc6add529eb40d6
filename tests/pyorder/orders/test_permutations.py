import doctest
import itertools
import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyorder.orders import permutations

INTEGER_TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">i4", ">u8"]


def all_orders(length):
    return np.array(list(itertools.permutations(range(length))))


def random_orders(length, count, seed=0):
    return np.random.default_rng(seed).permuted(np.tile(np.arange(length), (count, 1)), axis=1)


def is_orders(array, count, length):
    return (
        array.dtype == np.int64
        and array.shape == (count, length)
        and (np.sort(array, axis=1) == np.arange(length)).all()
    )


def test_docstring_examples():
    results = doctest.testmod(permutations)
    assert results.attempted > 10
    assert results.failed == 0


# Enumeration and ranks


@pytest.mark.parametrize("length", range(1, 9))
def test_lexicographic_is_the_sequence_of_itertools(length):
    orders = permutations.lexicographic(length)
    assert orders.dtype == np.int64
    np.testing.assert_array_equal(orders, all_orders(length))


@given(st.integers(1, 7), st.data())
def test_lexicographic_from_any_rank(length, data):
    total = math.factorial(length)
    start = data.draw(st.integers(0, total))
    count = data.draw(st.integers(0, total - start))
    orders = permutations.lexicographic(length, start=start, count=count)
    assert orders.shape == (count, length)
    np.testing.assert_array_equal(orders, all_orders(length)[start : start + count])


@given(st.integers(1, 6), st.integers(1, 800), st.data())
def test_chunks_join_to_the_whole(length, chunk_size, data):
    total = math.factorial(length)
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total))
    chunks = list(permutations.lexicographic_chunks(length, chunk_size=chunk_size, start=start, stop=stop))
    assert all(len(chunk) == chunk_size for chunk in chunks[:-1])
    assert len(chunks) == -(-(stop - start) // chunk_size)
    joined = np.concatenate([np.empty((0, length), dtype=np.int64), *chunks])
    np.testing.assert_array_equal(joined, all_orders(length)[start:stop])


def test_chunks_start_anywhere_without_the_work_before():
    last = math.factorial(20) - 1
    (chunk,) = permutations.lexicographic_chunks(20, start=last - 1)
    np.testing.assert_array_equal(chunk, [[*range(19, 1, -1), 0, 1], [*range(19, -1, -1)]])
    first = next(permutations.lexicographic_chunks(20))
    assert is_orders(first, 65536, 20)


@pytest.mark.parametrize("length", range(1, 8))
def test_rank_and_unrank_are_the_places_in_the_sequence(length):
    ranks = np.arange(math.factorial(length))
    assert permutations.rank(all_orders(length)).dtype == np.uint64
    np.testing.assert_array_equal(permutations.rank(all_orders(length)), ranks)
    np.testing.assert_array_equal(permutations.unrank(ranks, length), all_orders(length))


def python_rank(order):
    digits = [sum(later < step for later in order[j + 1 :]) for j, step in enumerate(order)]
    return sum(digit * math.factorial(len(order) - 1 - j) for j, digit in enumerate(digits))


@given(st.integers(8, 20), st.data())
def test_ranks_of_long_orders(length, data):
    order = data.draw(st.permutations(range(length)))
    (rank,) = permutations.rank([order]).tolist()
    assert rank == python_rank(order)
    assert permutations.unrank([rank], length).tolist() == [order]


@given(st.integers(1, 20), st.data())
def test_rank_undoes_unrank_and_keeps_the_sequence(length, data):
    ranks = data.draw(st.lists(st.integers(0, math.factorial(length) - 1), max_size=5))
    orders = permutations.unrank(np.array(ranks, np.uint64), length)
    assert is_orders(orders, len(ranks), length)
    assert permutations.rank(orders).tolist() == ranks
    by_rank, by_row = np.argsort(ranks, kind="stable"), sorted(range(len(ranks)), key=lambda i: orders[i].tolist())
    assert by_rank.tolist() == by_row


@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_ranks_of_any_integer_type(dtype):
    np.testing.assert_array_equal(permutations.unrank(np.array([5, 0], dtype=dtype), 3), [[2, 1, 0], [0, 1, 2]])


def test_rank_limits():
    for call in (
        lambda: permutations.lexicographic(21),
        lambda: permutations.lexicographic_chunks(21),
        lambda: permutations.rank(random_orders(21, 2)),
        lambda: permutations.unrank([0], 21),
    ):
        with pytest.raises(OverflowError, match=r"length 21: .* up to 20 slots"):
            call()
    with pytest.raises(ValueError, match=r"^ranks: row 1, 6, is not in 0\.\.5$"):
        permutations.unrank([0, 6], 3)
    with pytest.raises(ValueError, match=r"^ranks: row 0, -1, is not in 0\.\.5$"):
        permutations.unrank([-1], 3)
    with pytest.raises(ValueError, match=r"^ranks: expected shape \(T,\), got 0 dimensions$"):
        permutations.unrank(3, 3)
    with pytest.raises(TypeError, match=r"^ranks: expected integers, got float64"):
        permutations.unrank([0.0], 3)


def test_enumeration_refuses():
    with pytest.raises(ValueError, match=r"^length: expected an integer from 1 to 65535, got 0$"):
        permutations.lexicographic(0)
    with pytest.raises(TypeError, match=r"^length: expected an integer, got 3\.0$"):
        permutations.lexicographic(3.0)
    with pytest.raises(ValueError, match=r"^start: expected an integer from 0 to 6, got 7$"):
        permutations.lexicographic(3, start=7)
    with pytest.raises(ValueError, match=r"^count: expected an integer from 0 to 2, got 3$"):
        permutations.lexicographic(3, start=4, count=3)
    with pytest.raises(ValueError, match=r"^stop: expected an integer from 4 to 6, got 3$"):
        permutations.lexicographic_chunks(3, start=4, stop=3)
    with pytest.raises(ValueError, match=r"^chunk_size: expected an integer of at least 1, got 0$"):
        permutations.lexicographic_chunks(3, chunk_size=0)
    with pytest.raises(ValueError, match=r"^length: about 10\^18 orders of 20 slots do not fit"):
        permutations.lexicographic(20)


# Random orders


@pytest.mark.parametrize("length", [1, 2, 13, 255, 256, 300])
def test_sampled_rows_depend_on_the_seed_and_their_number_only(length):
    orders = permutations.sample(length, 50, seed=7)
    assert is_orders(orders, 50, length)
    np.testing.assert_array_equal(permutations.sample(length, 20, seed=7), orders[:20])
    if length > 2:
        assert (permutations.sample(length, 50, seed=8) != orders).any()


def chi_square(orders, cells):
    """The p-value of the orders being uniform over that many cells."""
    counts = list(Counter(map(tuple, orders)).values())
    return scipy.stats.chisquare(counts + [0] * (cells - len(counts))).pvalue


def test_sample_is_uniform():
    assert 0.001 < chi_square(permutations.sample(4, 24_000, seed=1), 24) < 0.999
    orders = permutations.sample(300, 30_000, seed=2)
    for slot in (0, 150, 299):
        assert 0.001 < scipy.stats.chisquare(np.bincount(orders[:, slot], minlength=300)).pvalue < 0.999


@pytest.mark.parametrize(
    ("length", "count"),
    [(1, 1), (4, 24), (4, 23), (6, 1), (6, 300), (6, 700), (9, 9**5), (13, 5000), (300, 100)],
)
def test_distinct_orders(length, count):
    orders = permutations.sample(length, count, seed=3, distinct=True)
    assert is_orders(orders, count, length)
    assert len(np.unique(orders, axis=0)) == count
    np.testing.assert_array_equal(permutations.sample(length, count, seed=3, distinct=True), orders)


@pytest.mark.parametrize("count", [3, 15, 24])
def test_every_row_of_distinct_orders_is_uniform(count):
    draws = np.stack([permutations.sample(4, count, seed=seed, distinct=True) for seed in range(2400)])
    for row in {0, 1, count - 1}:
        assert 0.001 < chi_square(draws[:, row], 24) < 0.999


def test_all_distinct_orders_come_in_random_sequence():
    ranks = permutations.rank(permutations.sample(8, 40320, seed=4, distinct=True)).astype(float)
    assert abs(scipy.stats.spearmanr(ranks, np.arange(40320)).statistic) < 0.02


def test_sample_refuses():
    with pytest.raises(ValueError, match=r"^count: 3 slots have only 6 different orders, got 7$"):
        permutations.sample(3, 7, seed=0, distinct=True)
    with pytest.raises(ValueError, match=r"^count: expected an integer of at least 0, got -1$"):
        permutations.sample(3, -1, seed=0)
    with pytest.raises(ValueError, match=r"^seed: expected an integer from 0 to 18446744073709551615, got -1$"):
        permutations.sample(3, 1, seed=-1)
    with pytest.raises(ValueError, match=r"^length: expected an integer from 1 to 65535, got 65536$"):
        permutations.sample(65_536, 1, seed=0)
    with pytest.raises(ValueError, match=r"^count: 1,000,000,000,000 orders of 13 slots do not fit"):
        permutations.sample(13, 10**12, seed=0)
    assert permutations.sample(3, 0, seed=0, distinct=True).shape == (0, 3)


# Algebra and distances

LENGTHS = [1, 2, 3, 13, 255, 256, 300]


@given(st.integers(1, 12) | st.sampled_from([255, 256, 300]), st.integers(0, 99))
def test_orders_are_a_group_that_acts_on_targets(length, seed):
    generator = np.random.default_rng(seed)
    one, two, three = (generator.permutation(length) for _ in range(3))
    targets = generator.integers(0, 9, (2, length))
    compose, invert = permutations.compose, permutations.invert
    both = compose(one, two)
    np.testing.assert_array_equal(targets[:, both], targets[:, one][:, two])
    np.testing.assert_array_equal(compose(both, three), compose(one, compose(two, three)))
    np.testing.assert_array_equal(targets[:, one][:, invert(one)], targets)
    np.testing.assert_array_equal(invert(invert(one)), one)
    np.testing.assert_array_equal(invert(both), compose(invert(two), invert(one)))


@pytest.mark.parametrize("length", LENGTHS)
def test_compose_and_invert(length):
    outer, inner = random_orders(length, 20, seed=1), random_orders(length, 20, seed=2)
    targets = np.random.default_rng(0).integers(-9, 10, (5, length))
    both = permutations.compose(outer, inner)
    assert is_orders(both, 20, length)
    for row in range(20):
        np.testing.assert_array_equal(both[row], outer[row][inner[row]])
        np.testing.assert_array_equal(targets[:, outer[row]][:, inner[row]], targets[:, both[row]])
    np.testing.assert_array_equal(permutations.compose(outer[0], inner), outer[0][inner])
    np.testing.assert_array_equal(permutations.compose(outer, inner[:1]), outer[:, inner[0]])
    assert permutations.compose(outer[0], inner[0]).tolist() == both[0].tolist()
    inverse = permutations.invert(outer)
    np.testing.assert_array_equal(inverse, np.argsort(outer, axis=1))
    assert permutations.invert(outer[0]).tolist() == inverse[0].tolist()
    np.testing.assert_array_equal(permutations.compose(outer, inverse), np.tile(np.arange(length), (20, 1)))


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_kendall_tau_is_that_of_scipy(length):
    first, second = random_orders(length, 20, seed=1), random_orders(length, 20, seed=2)
    slots = [np.argsort(orders, axis=1) for orders in (first, second)]
    expected = [scipy.stats.kendalltau(a, b).statistic for a, b in zip(*slots, strict=True)]
    np.testing.assert_allclose(permutations.kendall_tau(first, second), expected, atol=1e-12)
    against_one = permutations.kendall_tau(first[3], second)
    assert against_one.shape == (20,)
    assert against_one[3] == permutations.kendall_tau(first, second)[3]
    assert permutations.kendall_tau(first[0], first[0]).shape == ()
    np.testing.assert_array_equal(permutations.kendall_tau(first, first), 1.0)
    np.testing.assert_array_equal(permutations.kendall_tau(first, first[:, ::-1]), -1.0)


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_adjacency(length):
    first, second = random_orders(length, 20, seed=1), random_orders(length, 20, seed=2)
    second[:10] = np.roll(first[:10], length // 2, axis=1)
    expected = [
        len(set(itertools.pairwise(a)) & set(itertools.pairwise(b))) / (length - 1)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    np.testing.assert_allclose(permutations.adjacency(first, second), expected, atol=1e-12)
    np.testing.assert_array_equal(permutations.adjacency(first, first), 1.0)
    np.testing.assert_array_equal(permutations.adjacency(first, first[:, ::-1]), 0.0)


def test_two_arguments_have_to_fit():
    orders = random_orders(4, 3)
    for function, names in (
        (permutations.compose, ("outer", "inner")),
        (permutations.kendall_tau, ("first", "second")),
        (permutations.adjacency, ("first", "second")),
    ):
        with pytest.raises(ValueError, match=f"^{names[1]}: 5 slots, but {names[0]} has 4$"):
            function(orders, random_orders(5, 3))
        with pytest.raises(ValueError, match=f"^{names[1]}: 2 orders, but {names[0]} has 3$"):
            function(orders, orders[:2])
        with pytest.raises(ValueError, match=f"^{names[1]}: row 2 is not a permutation of 0..3$"):
            function(orders, [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 2]])
        with pytest.raises(ValueError, match=rf"^{names[0]}: expected orders of shape \(L,\) or \(T, L\)"):
            function(orders[None], orders)
        assert len(function(orders[:0], orders[0])) == 0
    for distance in (permutations.kendall_tau, permutations.adjacency):
        with pytest.raises(ValueError, match=r"^first: orders of at least 2 slots can be compared, got 1$"):
            distance([0], [0])


# The checker


@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_check_orders_takes_any_integer_type(dtype):
    orders = random_orders(13, 7).astype(dtype)
    for given_orders in (orders, np.asfortranarray(orders), np.repeat(orders, 2, axis=0)[::2]):
        checked = permutations.check_orders(given_orders)
        assert checked.flags.c_contiguous
        assert is_orders(checked, 7, 13)
        np.testing.assert_array_equal(checked, orders)


def test_check_orders_takes_lists_tensors_and_its_own_results():
    orders = random_orders(5, 3)
    assert permutations.check_orders(orders) is orders
    assert permutations.check_orders(torch.tensor(orders, dtype=torch.uint8)).tolist() == orders.tolist()
    assert permutations.check_orders([tuple(row) for row in orders.tolist()]).tolist() == orders.tolist()
    assert permutations.check_orders(np.empty((0, 5), dtype=np.int8), length=5).shape == (0, 5)
    assert permutations.check_order(range(4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("orders", "error", "message"),
    [
        ([[0.0, 1.0]], TypeError, r"^given: expected integers, got float64 of shape \(1, 2\)$"),
        ([[False, True]], TypeError, r"^given: expected integers, got bool"),
        ([["a", "b"]], TypeError, r"^given: expected integers, got <U1"),
        ([[0, 2**70]], ValueError, r"^given: expected integers of at most 64 bits$"),
        ([[0, None]], TypeError, r"^given: expected integers, got object"),
        (None, TypeError, r"^given: expected integers, got object"),
        ([], TypeError, r"^given: expected integers, got float64 of shape \(0,\)$"),
        ([[0, 1], [0]], ValueError, r"^given: expected rows of equal length, got a ragged sequence$"),
        ([0, 1, 2], ValueError, r"^given: expected shape \(T, 3\), got \(3,\)$"),
        ([[0, 1]], ValueError, r"^given: expected shape \(T, 3\), got \(1, 2\)$"),
        ([[0, 1, 2], [0, 1, 3]], ValueError, r"^given: row 1 is not a permutation of 0\.\.2$"),
        ([[0, 1, -1]], ValueError, r"^given: row 0 is not a permutation of 0\.\.2$"),
        ([[0, 1, 1]], ValueError, r"^given: row 0 is not a permutation of 0\.\.2$"),
        ([[1, 2, 3]], ValueError, r"^given: row 0 is not a permutation of 0\.\.2$"),
        (np.array([[0, 1, 2**64 - 1]], dtype=np.uint64), ValueError, r"^given: row 0 is not"),
        (np.array([[0, 1, 2**32 + 2]]), ValueError, r"^given: row 0 is not a permutation"),
    ],
)
def test_check_orders_refuses(orders, error, message):
    with pytest.raises(error, match=message):
        permutations.check_orders(orders, length=3, name="given")


def test_check_order_refuses():
    with pytest.raises(ValueError, match=r"^order: not a permutation of 0\.\.2$"):
        permutations.check_order([0, 1, 1])
    with pytest.raises(ValueError, match=r"^order: expected shape \(L,\), got \(1, 2\)$"):
        permutations.check_order([[0, 1]])


def test_a_thread_that_writes_meanwhile_does_no_harm():
    """What is checked is what is used: without that, steps out of range write to memory of others."""
    code = """
import sys, threading
import numpy as np
from pyorder.orders.permutations import invert
orders = np.tile(np.arange(256), (4000, 1))
def write():
    while True:
        orders[-1, 5] = 65535
        orders[-1, 5] = 5
sys.setswitchinterval(1e-5)
threading.Thread(target=write, daemon=True).start()
for _ in range(1500):
    try:
        assert (np.sort(invert(orders)[-1]) == np.arange(256)).all()
    except ValueError:
        pass
print("unharmed")
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "unharmed\n", done.stderr


def test_length_limits():
    longest = np.arange(65_535)[::-1]
    assert permutations.check_orders([longest]).shape == (1, 65_535)
    np.testing.assert_array_equal(permutations.invert(longest), longest)
    assert permutations.kendall_tau(longest, np.arange(65_535)) == -1.0
    with pytest.raises(ValueError, match=r"^orders: an order has from 1 to 65535 slots, got 65536$"):
        permutations.check_orders(np.arange(65_536)[None])
    with pytest.raises(ValueError, match=r"^orders: an order has from 1 to 65535 slots, got 0$"):
        permutations.check_orders(np.empty((2, 0), dtype=np.int64))


# Results in use


@pytest.mark.parametrize("length", [5, 300])
def test_results_index_arrays_and_tensors(length):
    targets = np.random.default_rng(0).integers(-9, 10, (4, length))
    for order in (
        permutations.sample(length, 1, seed=0)[0],
        permutations.sample(length, 1, seed=0, distinct=True)[0],
        permutations.invert(np.arange(length, dtype=np.uint16)[::-1]),
        permutations.compose(range(length), range(length - 1, -1, -1)),
        permutations.unrank([119], 5)[0],
    ):
        expected = [[row[step] for step in order.tolist()] for row in targets.tolist()]
        assert targets[:, order].tolist() == expected
        assert torch.from_numpy(targets)[:, torch.from_numpy(order)].tolist() == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: permutations.lexicographic(10),
        lambda: permutations.sample(20, 500_000, seed=0),
        lambda: permutations.sample(10, 300_000, seed=0, distinct=True),
        lambda: permutations.unrank(np.arange(700_000), 16),
        lambda: permutations.kendall_tau(np.arange(30_000), np.tile(np.arange(30_000), (20, 1))),
    ],
)
def test_other_threads_run_meanwhile(call, lets_others_run):
    assert lets_others_run(call)
