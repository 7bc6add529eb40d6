import doctest
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyorder.orders import moves


def random_order(length, seed=0):
    return np.random.default_rng(seed).permutation(length)


def as_tuples(orders):
    assert orders.dtype == np.int64
    rows = list(map(tuple, orders.tolist()))
    assert len(set(rows)) == len(rows)
    return rows


# Every move of one order at hand, by name.
MOVES = {
    "within_blocks 2": lambda order: moves.within_blocks(order, 2),
    "within_blocks 3": lambda order: moves.within_blocks(order, 3),
    "within_blocks 4, many": lambda order: moves.within_blocks(order, 4, limit=30, seed=5),
    "within_blocks 4, few": lambda order: moves.within_blocks(order, 4, limit=4, seed=5),
    "within_every_block 2": lambda order: moves.within_every_block(order, 2),
    "within_every_block 4, some": lambda order: moves.within_every_block(order, 4, limit=9, seed=5),
    "permuted_blocks, some": lambda order: moves.permuted_blocks(order, 2, limit=5, seed=5),
    "between_blocks 2": lambda order: moves.between_blocks(order, 2),
    "between_blocks 3": lambda order: moves.between_blocks(order, 3),
    "block_rearrangements 3": lambda order: moves.block_rearrangements([order, order[::-1]], 3),
    "swaps": moves.swaps,
    "insertions": moves.insertions,
    "block_moves": moves.block_moves,
    "block_moves 2": lambda order: moves.block_moves(order, 2),
}


def test_docstring_examples():
    results = doctest.testmod(moves)
    assert results.attempted > 7
    assert results.failed == 0


@pytest.mark.parametrize(
    ("name", "length"),
    [
        *itertools.product(MOVES, [4, 7, 13]),
        *((name, 256) for name in MOVES if not name.startswith("block_moves")),
    ],
)
def test_moves_act_on_slots_only(name, length):
    move = MOVES[name]
    order = random_order(length, seed=1)
    rows = move(order)
    assert rows.dtype == np.int64
    assert len({row.tobytes() for row in rows}) == len(rows)
    for seed in range(2, 2 + (length < 256) * 2 + 1):
        relabel = random_order(length, seed)
        np.testing.assert_array_equal(move(relabel[order]), relabel[rows])


@given(st.integers(2, 30), st.integers(0, 99), st.data())
def test_results_are_orders_and_none_occurs_twice(length, seed, data):
    order, size = random_order(length, seed), data.draw(st.integers(2, length))
    for rows in (
        moves.within_blocks(order, size, limit=50, seed=seed),
        moves.within_every_block(order, size, limit=50, seed=seed),
        moves.permuted_blocks(order, size, limit=50, seed=seed),
        moves.between_blocks(order, size),
        moves.swaps(order),
        moves.insertions(order),
        moves.block_moves(order, size - 1),
    ):
        assert rows.dtype == np.int64
        assert (np.sort(rows, axis=1) == np.arange(length)).all()
        assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("length", range(2, 7))
def test_moves_are_all_orders_that_are_as_their_names_say(length):
    """By what a result looks like beside the order, among all orders, not by how it comes about."""
    order = random_order(length, seed=3).tolist()
    everything = list(itertools.permutations(order))

    def changed(row):
        return [slot for slot in range(length) if row[slot] != order[slot]]

    def without(row, step):
        return [other for other in row if other != step]

    def run_moved(row):
        at, end = (changed(row)[0], changed(row)[-1] + 1) if changed(row) else (0, 0)
        turned = [[*order[at + by : end], *order[at : at + by]] for by in range(1, end - at)]
        return list(row[at:end]) in turned

    assert set(as_tuples(moves.swaps(order))) == {row for row in everything if len(changed(row)) == 2}
    assert set(as_tuples(moves.insertions(order))) == {
        row for row in everything if changed(row) and any(without(row, s) == without(order, s) for s in order)
    }
    assert set(as_tuples(moves.block_moves(order))) == {row for row in everything if run_moved(row)}
    for size in range(2, length + 1):
        assert set(as_tuples(moves.within_blocks(order, size))) == {
            row for row in everything if len({slot // size for slot in changed(row)}) < 2
        }


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_results_index_arrays_and_tensors(move):
    targets = np.random.default_rng(0).integers(-9, 10, (3, 6))
    order = move(random_order(6))[-1]
    expected = [[row[step] for step in order.tolist()] for row in targets.tolist()]
    assert targets[:, order].tolist() == expected
    assert torch.from_numpy(targets)[:, torch.from_numpy(order)].tolist() == expected


# Blocks


@given(st.integers(1, 400), st.data())
def test_block_bounds(length, data):
    blocks = data.draw(st.integers(1, length))
    bounds = moves.block_bounds(length, blocks)
    assert bounds.dtype == np.int64
    expected = [0, *np.cumsum([len(part) for part in np.array_split(np.arange(length), blocks)]).tolist()]
    assert bounds.tolist() == expected


@given(st.integers(1, 7), st.integers(0, 4), st.data())
def test_block_rearrangements(length, count, data):
    blocks = data.draw(st.integers(1, min(length, 5)))
    orders = [data.draw(st.permutations(range(length))) for _ in range(count)]
    expected = []
    for order in orders:
        parts = np.array_split(order, blocks)
        expected += [tuple(np.concatenate(sequence).tolist()) for sequence in itertools.permutations(parts)]
    rows = moves.block_rearrangements(np.array(orders, dtype=int).reshape(count, length), blocks)
    assert as_tuples(rows) == list(dict.fromkeys(expected))


def test_block_rearrangements_of_many_orders():
    # Whatever the orders, all rearrangements of single slots are all orders.
    orders = np.array(list(itertools.permutations(range(7))))
    rows = moves.block_rearrangements(orders, 7)
    np.testing.assert_array_equal(rows, orders)


def within_blocks(order, block_size):
    rows = [tuple(order)]
    for begin in range(0, len(order), block_size):
        block = order[begin : begin + block_size]
        rows += [
            (*order[:begin], *(block[slot] for slot in slots), *order[begin + block_size :])
            for slots in itertools.permutations(range(len(block)))
            if slots != tuple(range(len(block)))
        ]
    return rows


@pytest.mark.parametrize(("length", "block_size"), [(n, size) for n in range(2, 8) for size in range(2, n + 1)])
def test_within_and_between_blocks(length, block_size):
    order = random_order(length).tolist()
    expected = within_blocks(order, block_size)
    assert as_tuples(moves.within_blocks(order, block_size)) == expected
    assert as_tuples(moves.within_blocks(order, block_size, limit=len(expected), seed=3)) == expected

    blocks = [order[begin : begin + block_size] for begin in range(0, length, block_size)]
    rotations = [itertools.chain(*blocks[first:], *blocks[:first]) for first in range(len(blocks))]
    assert as_tuples(moves.between_blocks(order, block_size)) == list(map(tuple, rotations))


@pytest.mark.parametrize(("length", "block_size"), [(n, size) for n in range(2, 8) for size in range(2, n + 1)])
def test_the_same_within_every_block_and_all_sequences_of_blocks(length, block_size):
    """Among all orders: the slots of blocks move alike, or blocks stay whole."""
    order = random_order(length).tolist()
    blocks = [tuple(order[begin : begin + block_size]) for begin in range(0, length, block_size)]
    whole = length // block_size * block_size
    everything = list(itertools.permutations(order))  # in lexicographic sequence of slots

    def moves_alike(row):
        from_slot = [order.index(step) - slot // block_size * block_size for slot, step in enumerate(row[:whole])]
        patterns = {tuple(from_slot[at : at + block_size]) for at in range(0, whole, block_size)}
        (pattern, *others) = patterns
        return not others and set(pattern) == set(range(block_size)) and list(row[whole:]) == order[whole:]

    def keeps_blocks(row):
        places = [row.index(block[0]) for block in blocks]
        return all(row[at : at + len(block)] == block for at, block in zip(places, blocks, strict=True))

    alike = as_tuples(moves.within_every_block(order, block_size))
    assert alike == [row for row in everything if moves_alike(row)]
    assert len(alike) == math.factorial(block_size)
    sequences = as_tuples(moves.permuted_blocks(order, block_size))
    assert set(sequences) == {row for row in everything if keeps_blocks(row)}
    assert sequences == [
        tuple(itertools.chain(*(blocks[block] for block in row)))
        for row in itertools.permutations(range(len(blocks)))
    ]
    assert set(as_tuples(moves.between_blocks(order, block_size))) <= set(sequences)
    for move, rows in ((moves.within_every_block, alike), (moves.permuted_blocks, sequences)):
        assert as_tuples(move(order, block_size, limit=len(rows), seed=3)) == rows
        for limit in range(1, min(len(rows), 30)):
            some = as_tuples(move(order, block_size, limit=limit, seed=limit))
            assert len(some) == limit
            assert some[0] == tuple(order)
            assert set(some) <= set(rows)


# Of the six arrangements of three slots or three blocks, five move something.
@pytest.mark.parametrize(("limit", "choices"), [(2, 5), (3, 10), (5, 5)])
@pytest.mark.parametrize(
    "move",
    [lambda **some: moves.within_every_block(range(7), 3, **some),
     lambda **some: moves.permuted_blocks(range(5), 2, **some)],
)  # fmt: skip
def test_limited_arrangements_are_a_uniform_choice(move, limit, choices):
    draws = Counter()
    for seed in range(200 * choices):
        draws[frozenset(map(tuple, move(limit=limit, seed=seed)[1:].tolist()))] += 1
    assert len(draws) == choices
    assert 0.001 < scipy.stats.chisquare(list(draws.values())).pvalue < 0.999


@pytest.mark.parametrize(("length", "block_size"), [(26, 13), (300, 150), (65, 21), (1000, 999)])
def test_limited_rows_of_huge_blocks_move_alike(length, block_size):
    order = random_order(length)
    rows = moves.within_every_block(order, block_size, limit=200, seed=1)
    assert len(as_tuples(rows)) == 200
    whole = length // block_size * block_size
    slots = np.argsort(order)[rows]
    blocks = slots[:, :whole].reshape(200, -1, block_size) % block_size
    assert (blocks == blocks[:, :1]).all()
    assert (slots[:, whole:] == np.arange(whole, length)).all()
    sequences = moves.permuted_blocks(order, 2, limit=200, seed=1)
    assert len(as_tuples(sequences)) == 200
    starts = np.argsort(order)[sequences]
    assert (np.diff(starts, axis=1)[starts[:, :-1] % 2 == 0] == 1).sum() >= 200 * (length // 2 - 1)


@pytest.mark.parametrize(("length", "block_size"), [(6, 2), (7, 3), (6, 5)])
def test_limited_rows_are_among_all(length, block_size):
    order = random_order(length).tolist()
    everything = set(within_blocks(order, block_size))
    for limit in range(1, len(everything)):
        rows = as_tuples(moves.within_blocks(order, block_size, limit=limit, seed=limit))
        assert len(rows) == limit
        assert rows[0] == tuple(order)
        assert set(rows) <= everything


# Seven rows, of which six move slots: five in the block of three, one in that of two.
@pytest.mark.parametrize(("limit", "choices"), [(2, 6), (3, 15), (4, 20), (6, 6)])
def test_limited_rows_are_a_uniform_choice(limit, choices):
    draws = Counter()
    for seed in range(200 * choices):
        rows = moves.within_blocks(range(5), 3, limit=limit, seed=seed)
        draws[frozenset(map(tuple, rows[1:].tolist()))] += 1
    assert len(draws) == choices
    assert 0.001 < scipy.stats.chisquare(list(draws.values())).pvalue < 0.999


@pytest.mark.parametrize(("length", "block_size"), [(100, 50), (300, 150), (30, 21), (1000, 999)])
def test_limited_rows_of_huge_blocks(length, block_size):
    order = random_order(length)
    rows = moves.within_blocks(order, block_size, limit=500, seed=1)
    as_tuples(rows)
    assert len(rows) == 500
    np.testing.assert_array_equal(rows[0], order)
    changed = (rows != order)[1:]
    blocks = -(-length // block_size)
    touched = [changed[:, block * block_size : (block + 1) * block_size].any(axis=1) for block in range(blocks)]
    np.testing.assert_array_equal(np.sum(touched, axis=0), 1)
    if length == 2 * block_size:
        assert 200 < touched[0].sum() < 300
    assert (moves.within_blocks(order, block_size, limit=500, seed=2)[1:] != rows[1:]).any()


# Moves of one step or run


@pytest.mark.parametrize("length", range(1, 8))
def test_swaps(length):
    order = random_order(length).tolist()
    expected = []
    for i, j in itertools.combinations(range(length), 2):
        row = order.copy()
        row[i], row[j] = row[j], row[i]
        expected.append(tuple(row))
    assert as_tuples(moves.swaps(order)) == expected


def moved_runs(order, max_size):
    """All results of taking a run out and putting it in somewhere, the order itself left out."""
    results = set()
    for size in range(1, max_size + 1):
        for begin in range(len(order) - size + 1):
            run, others = order[begin : begin + size], order[:begin] + order[begin + size :]
            results |= {(*others[:at], *run, *others[at:]) for at in range(len(others) + 1)}
    return results - {tuple(order)}


@pytest.mark.parametrize("length", range(1, 9))
def test_insertions_and_block_moves(length):
    order = random_order(length).tolist()
    single = as_tuples(moves.insertions(order))
    assert set(single) == moved_runs(order, 1)
    assert len(single) == (length - 1) ** 2
    for max_size in range(1, length):
        assert set(as_tuples(moves.block_moves(order, max_size))) == moved_runs(order, max_size)
    everything = [
        (*order[:a], *order[b:c], *order[a:b], *order[c:])
        for a, b, c in itertools.combinations(range(length + 1), 3)
    ]
    assert as_tuples(moves.block_moves(order)) == everything


def test_sizes_of_long_neighbourhoods():
    order = random_order(300)
    assert moves.swaps(order).shape == (math.comb(300, 2), 300)
    assert moves.insertions(order).shape == (299**2, 300)
    assert moves.between_blocks(order, 7).shape == (43, 300)
    assert moves.block_moves(random_order(60)).shape == (math.comb(61, 3), 60)


# Random neighbours


def shares(order):
    """The probability of every neighbour: the kinds have equal shares, and each kind's results are uniform."""
    length = len(order)
    pairs, runs = (itertools.combinations(range(length + extra), 2 + extra) for extra in (0, 1))
    kinds = [
        [tuple({i: order[j], j: order[i]}.get(slot, step) for slot, step in enumerate(order)) for i, j in pairs],
        moved_runs(order, 1),
        [(*order[:a], *order[b:c], *order[a:b], *order[c:]) for a, b, c in runs],
    ]
    total = Counter()
    for kind in kinds:
        assert len(set(kind)) == len(kind)
        total.update(dict.fromkeys(kind, 1 / 3 / len(kind)))
    return total


@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7])
def test_random_neighbours_have_equal_shares_of_kinds_and_are_uniform_within(length):
    order = random_order(length, seed=2)
    rows = moves.sample_neighbours(order, 60_000, seed=length)
    assert rows.dtype == np.int64
    found, expected = Counter(map(tuple, rows.tolist())), shares(order.tolist())
    assert set(found) == {tuple(map(int, row)) for row in expected}
    counts = [found[tuple(map(int, row))] for row in expected]
    assert (
        scipy.stats.chisquare(counts, np.array(list(expected.values())) * len(rows)).pvalue > 0.001 or length == 2
    )


@pytest.mark.parametrize("length", [2, 9, 255, 256, 1000])
def test_random_neighbours_act_on_slots_and_depend_on_the_seed_and_row_only(length):
    order, names = random_order(length, seed=1), random_order(length, seed=2)
    rows = moves.sample_neighbours(order, 40, seed=5)
    assert (np.sort(rows, axis=1) == np.arange(length)).all()
    assert (rows != order).any(1).all()
    np.testing.assert_array_equal(moves.sample_neighbours(names[order], 40, seed=5), names[rows])
    np.testing.assert_array_equal(moves.sample_neighbours(order, 7, seed=5), rows[:7])
    assert length == 2 or (moves.sample_neighbours(order, 40, seed=6) != rows).any()


def test_random_neighbours_of_long_orders_move_blocks_of_any_length():
    length = 65_535
    order = np.arange(length)
    rows = moves.sample_neighbours(order, 60, seed=0)
    moved = [np.flatnonzero(row != order) for row in rows]
    runs = [(np.diff(row) != 1).sum() for row in rows]  # one cut more than runs that stayed together
    assert sum(len(slots) == 2 for slots in moved) > 5  # swaps
    assert sum(len(slots) > 2 for slots in moved) > 30
    assert max(runs) <= 4
    shorter = [min(a, len(slots) - a) for row, slots in zip(rows, moved, strict=True)
               if len(slots) > 2 and (a := int(row[slots[0]]) - slots[0])]  # fmt: skip
    assert sum(size > 1000 for size in shorter) > 10


@pytest.mark.parametrize(
    "call",
    [
        lambda: moves.block_moves(range(120)),
        lambda: moves.within_blocks(range(100), 50, limit=30_000),
        lambda: moves.block_rearrangements([range(24)], 9),
        lambda: moves.sample_neighbours(range(1000), 30_000, seed=0),
    ],
)
def test_other_threads_run_meanwhile(call, lets_others_run):
    assert lets_others_run(call)
