"""Levels of a graph, and what writing them at once costs."""

import itertools
import math
import time

import numpy as np
import pytest

import pyorder
from pyorder.errors import InputError
from pyorder.orders.posets import Poset
from pyorder.search import check_levels
from pyorder.search.levels import RECIPE, _Writer
from pyorder.world import World


def test_docstring_examples(doctests):
    doctests("pyorder.search.levels")


def test_there_are_as_few_levels_as_any_partition_that_keeps_the_edges_has():
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(5)
        edges = [(order[a], order[b]) for a, b in itertools.combinations(range(5), 2) if rng.random() < 0.3]
        levels = Poset(5, edges).levels
        of_step = {step: number for number, level in enumerate(levels) for step in level}
        assert sorted(of_step) == list(range(5))
        assert all(of_step[before] < of_step[after] for before, after in edges)
        fewest = min(
            max(ranks) + 1
            for ranks in itertools.product(range(5), repeat=5)
            if all(ranks[before] < ranks[after] for before, after in edges)
        )
        assert len(levels) == fewest


def test_levels_of_a_long_chain_take_no_time():
    """With a closure of every level these would be minutes."""
    edges = np.stack([np.arange(3999), np.arange(1, 4000)], axis=1)
    started = time.perf_counter()
    assert Poset(4000, edges).levels == tuple((step,) for step in range(4000))
    assert time.perf_counter() - started < 20


def coins(seed, rows):
    """Step 0 repeats the input, 1 and 2 are one coin, written in two ways; 3 is another coin."""
    rng = np.random.default_rng(seed)
    x, coin, other = rng.integers(4, size=(3, rows))
    targets = np.stack([x, coin % 2, 3 - coin % 2, other % 2], axis=1)
    return pyorder.Dataset(x[:, None], targets, vocabulary=range(4))


def test_two_steps_that_are_one_coin_are_named_and_not_written_at_once():
    checked = check_levels(Poset(4), coins(0, 3000), test=coins(1, 600), steps=80, seed=3)
    assert {(pair.before, pair.after) for pair in checked.bound} == {(1, 2), (2, 1)}
    for pair in checked.bound:
        assert pair.benefit == pytest.approx(math.log(2), abs=0.1)
    assert len(checked.levels) == checked.passes == 2
    assert {0, 3} < set(checked.levels[0])
    assert checked.passes_in_sequence == 4
    assert checked.row_loss == pytest.approx(2 * math.log(2), abs=0.1)  # two coins
    assert abs(checked.loss_difference[0]) < 0.05
    assert checked.success == pytest.approx(0.25, abs=0.08)
    assert abs(checked.success_difference[0]) < 0.01
    told = checked.summary(("copy", "coin", "again", "other"))
    assert {pair["before_name"] for pair in told["bound"]} == {"coin", "again"}
    assert told["names"][1] in (["coin"], ["again"])


def test_of_few_inputs_too_it_is_seen_that_steps_are_one_coin():
    """Ten, of which a fifth would be two: no error could be told."""
    data = [replaced_input(coins(seed, rows), seed) for seed, rows in ((0, 3000), (1, 600))]
    checked = check_levels(Poset(4), data[0], test=data[1], steps=80, seed=3)
    assert {(pair.before, pair.after) for pair in checked.bound} == {(1, 2), (2, 1)}


def replaced_input(data, seed):
    inputs = np.random.default_rng([seed, 5]).integers(10, size=(len(data), 1))
    return pyorder.Dataset(inputs, data.targets, vocabulary=range(10))


def test_what_is_written_at_once_costs_what_the_steps_tell_of_each_other():
    writer = _Writer(coins(0, 3000), coins(1, 600), 4, RECIPE.but({"steps": 80}), 0, World.of("cpu"))
    writer.train([(0, 1, 2, 3)], lambda share: None)
    rows, _ = writer.test_rows(600)
    at_once, in_sequence = (writer.losses(rows, way).sum(1) for way in ([(0, 1, 2, 3)], [(0,), (1,), (2,), (3,)]))
    assert (at_once - in_sequence).mean() == pytest.approx(math.log(2), abs=0.1)


def test_wide_steps_see_their_own_columns_and_ends():
    """A name, and the same backwards: neither sees the other, each is known from the input."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abc"), size=rng.integers(1, 4))) for _ in range(2000)]
    records = [{"id": name, "same": name, "back": name[::-1], "first": name[0]} for name in names]
    train, test = (
        pyorder.Dataset.from_records(part, inputs=["id"], targets=["same", "back", "first"])
        for part in (records[:1500], records[1500:])
    )
    # Evidence is set apart by input: of so few names another seed may leave one out that is needed.
    checked = check_levels(Poset(3), train, test=test, steps=200, seed=1)
    assert checked.levels == ((0, 1, 2),)
    assert checked.passes < checked.passes_in_sequence
    assert checked.success > 0.9
    assert checked.success == pytest.approx(checked.success_in_sequence, abs=0.02)
    assert checked.row_loss == pytest.approx(checked.row_loss_in_sequence, abs=0.05)


def test_test_rows_of_one_group_count_once():
    """Each row four times: the same differences, and the errors of single rows are half as large."""
    graph, train, test = Poset(4), coins(0, 1000), coins(1, 100)
    rows = np.tile(np.arange(100), 4)
    errors = {}
    for name, groups in (("rows", None), ("groups", rows)):
        often = pyorder.Dataset(test.inputs[rows], test.targets[rows], groups=groups, vocabulary=range(4))
        errors[name] = check_levels(graph, train, test=often, steps=20, seed=3).loss_difference[1]
    once = check_levels(graph, train, test=test, steps=20, seed=3).loss_difference[1]
    assert errors["groups"] == pytest.approx(once, rel=1e-3)
    assert errors["rows"] == pytest.approx(once / 2, rel=1e-2)


def test_what_is_checked_needs_rows_and_a_graph_of_their_steps():
    with pytest.raises(InputError, match="train: at least 10 rows are needed, some to learn from, 9 given"):
        check_levels(Poset(4), coins(0, 9), test=coins(1, 100))
    with pytest.raises(
        InputError, match="4 steps in a level .* takes 5 rows as evidence at least; a fifth .* has 2$"
    ):
        check_levels(Poset(4), coins(0, 10), test=coins(1, 100))
    with pytest.raises(InputError, match="test: at least 2 rows are needed, since one says nothing of chance"):
        check_levels(Poset(4), coins(0, 100), test=coins(1, 1))
    rows = coins(1, 100)
    alike = pyorder.Dataset(rows.inputs, rows.targets, groups=np.zeros(100, int))
    with pytest.raises(InputError, match="test: at least 2 groups are needed, since one says nothing of chance"):
        check_levels(Poset(4), coins(0, 100), test=alike)
    chain = Poset(4, [[0, 1], [1, 2], [2, 3]])
    assert check_levels(chain, coins(0, 10), test=coins(1, 2), steps=1).passes == 4
    with pytest.raises(InputError, match="graph: a Poset of 4 steps is needed, one of 3 given"):
        check_levels(Poset(3), coins(0, 100), test=coins(1, 100))
    with pytest.raises(InputError, match="graph: a Poset of 4 steps is needed, list given"):
        check_levels([], coins(0, 100), test=coins(1, 100))
