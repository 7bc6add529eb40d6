"""The published search: its schedule, its initial candidates, and what was added to it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import pyorder
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Profile
from pyorder.search import Budget, Hierarchical, laboratory
from pyorder.search.budget import BudgetSpentError
from pyorder.search.strategies import hierarchical
from pyorder.training.presets import PRESETS
from pyorder.world import World

TINY = PRESETS["nano"].but(width=16, feed_forward=32, steps=8, warmup=2, batch_size=32)


def find(data, strategy, **arguments):
    arguments = {"model": TINY, **arguments}
    return pyorder.discover(data.train, validation=data.validation, strategy=strategy, **arguments)


def test_hierarchical_is_blind_to_labels(square5):
    """Shuffled target columns and initial candidates relabelled to match: same losses, same answer."""
    initial = np.random.default_rng(0).permuted(np.tile(np.arange(5), (6, 1)), axis=1)
    shuffle = np.random.default_rng(1).permutation(5)
    shuffled = square5._replace(
        train=square5.train.reorder(shuffle), validation=square5.validation.reorder(shuffle)
    )
    one = find(square5, Hierarchical(initialisation=initial, depth=2))
    assert one.uses_data_order
    assert (
        len(one.history[0].profile.orders) == Hierarchical(initialisation=initial, depth=2).pools(Poset(5))[0] == 6
    )
    other = find(shuffled, Hierarchical(initialisation=np.argsort(shuffle)[initial], depth=2))
    assert np.array_equal(shuffle[other.order], one.order)
    for mine, theirs in zip(one.history, other.history, strict=True):
        assert np.array_equal(mine.profile.loss, theirs.profile.loss)


COST = Cost(1, 1)  # of a run


class Guessing:
    """A profiler whose losses are drawn at random."""

    recipe, world = SimpleNamespace(batch_size=1), World.of("cpu")

    def __init__(self, length):
        self.length = length

    def cost(self, candidates, seeds=1):
        return Cost(1, candidates)

    def profile(self, orders, *, seeds, on_share):
        loss = np.random.default_rng(seeds[0]).random(len(orders))
        return told(orders, loss, loss)


class CountingDescents(Guessing):
    """A profiler that measures how many neighbouring steps are out of order, and knows how uncertain that is."""

    def __init__(self, length, error):
        super().__init__(length)
        self.error = error

    def profile(self, orders, *, seeds, on_share):
        loss = (np.diff(orders.argsort(1), axis=1) < 0).sum(1).astype(float)
        return told(orders, loss, np.full(len(orders), self.error))


def told(orders, loss, error):
    return Profile(
        orders, loss, loss[:, None], error, loss.argsort(kind="stable"), loss[None], loss[None], COST, 0.0, {}
    )


def searching_with(profiler, budget=None):
    return laboratory.Laboratory(
        profiler,
        constraints=Poset(profiler.length),
        seed=0,
        seeds=1,
        budget=budget or Budget(),
        planned=Cost(),
        progress=None,
    )


# Counted by hand: with blocks of 3, 8 slots have the blocks 3 + 3 + 2, whose insides have 5 + 5 + 1 other
# arrangements, and 3 rotations. Together they have 6 arrangements, and the blocks 6 sequences.
LOCAL_RUNS = {
    ("each", "rotations"): {
        8: [5, 4, 12, 3, 47, 2],
        9: [5, 5, 16, 3, 47, 3],
        10: [6, 5, 16, 4, 48, 3, 239, 2],
        13: [7, 7, 21, 5, 70, 4, 244, 3, 1439, 3],
    },
    ("together", "all"): {
        8: [2, 24, 6, 6, 24, 2],
        9: [2, 120, 6, 6, 24, 6],
        10: [2, 120, 6, 24, 24, 6, 120, 2],
        13: [2, 5040, 6, 120, 24, 24, 120, 6, 720, 6],
    },
}


@pytest.mark.parametrize(
    ("length", "candidates", "depth"), [(8, 120, 4), (9, 720, 5), (10, 5040, 6), (13, 5040, 6)]
)
@pytest.mark.parametrize(("inside", "between"), LOCAL_RUNS)
def test_hierarchical_follows_the_published_schedule(length, candidates, depth, inside, between):
    """K global runs of T candidates; then two runs for every size of blocks, from 2 slots to half of them."""
    strategy = Hierarchical(direction=False, inside=inside, between=between)
    planned = strategy.pools(Poset(length))
    searching = searching_with(Guessing(length))
    strategy.search(searching)
    sizes = [len(stage.profile.orders) for stage in searching.history]
    assert [stage.name for stage in searching.history[:depth]] == [
        f"global {k} of {depth}" for k in range(1, depth + 1)
    ]
    assert sizes[0] == candidates
    assert all(0.9 * candidates < size <= candidates for size in sizes[:depth])  # some come twice
    assert sizes[depth:] == planned[depth:] == LOCAL_RUNS[inside, between][length]
    assert len(planned) == len(sizes)
    assert all(size <= most for size, most in zip(sizes, planned, strict=True))


def test_every_global_run_keeps_the_published_share(square5):
    found = find(square5, Hierarchical(depth=3, direction=False, local=False))
    sizes = [len(stage.profile.orders) for stage in found.history]
    assert sizes[0] == 24
    for blocks, stage in enumerate(found.history[:-1], start=1):
        kept = stage.profile.orders[stage.profile.ranking[: 24 // math.factorial(blocks + 1)]]
        following = {tuple(order) for order in found.history[blocks].profile.orders}
        assert {tuple(order) for order in kept} <= following
        assert sizes[blocks] <= len(kept) * math.factorial(blocks + 1)


def test_initial_candidates_that_know_the_order():
    rng = np.random.default_rng(0)
    swapped = hierarchical.swapped_blocks(13, 5040, rng)
    assert len(np.unique(swapped, axis=0)) == 5040
    once = hierarchical.swapped_blocks(13, 300, rng)
    ends = np.arange(13), np.arange(12, -1, -1)
    # two swapped blocks leave at most five runs of consecutive steps
    assert all(min((np.diff(end[order]) != 1).sum() for end in ends) <= 4 for order in once)
    blocks = hierarchical.rearranged_blocks(13, 5040, 5, rng)
    assert len(blocks) == 12  # forward and reverse, three blocks each
    pairs = [(np.abs(np.diff(order)) == 1).sum() for order in blocks]
    assert min(pairs) >= 10


def test_pg_holds_the_identity(square5):
    found = find(square5, Hierarchical(depth=2, initialisation="Pg", local=False))
    assert (found.history[0].profile.orders == np.arange(5)).all(1).any()


def test_initial_candidates_that_the_constraints_forbid_are_refused(square5):
    strategy = Hierarchical(initialisation=[[1, 0, 2, 3, 4]], depth=1)
    with pytest.raises(ValueError, match="^initialisation: the constraints allow none"):
        find(square5, strategy, constraints=Poset(5, [[0, 1]]))


def test_a_chain_that_was_found_backwards_is_turned_round():
    """In a run of two, a chain and its reverse are told apart although both are better than most orders."""
    splits = pyorder.make_task("square", length=6).splits(train=20_000, validation=300, test=1, seed=0)
    backwards = np.arange(5, -1, -1)[None]
    strategy = Hierarchical(initialisation=backwards, depth=1, local=False)
    assert find(splits, strategy, model="nano").order.tolist() == list(range(6))
    published = replace(strategy, direction=False)
    assert find(splits, published, model="nano").order.tolist() == backwards[0].tolist()


def test_the_readings_differ_in_what_becomes_of_a_chain_that_was_found_backwards():
    """With a loss that counts broken links, forward can be reached from its reverse by one reading alone."""
    backwards = np.arange(8, -1, -1)
    ends = {
        (inside, between): Hierarchical(inside=inside, between=between)
        .refine(backwards, searching_with(CountingDescents(9, 0.0)))
        .tolist()
        for inside in ("together", "each")
        for between in ("all", "rotations")
    }
    assert ends["together", "all"] == list(range(9))
    assert ends["each", "rotations"] != list(range(9))


@pytest.mark.parametrize("significance", [None, 1e-9, 0.01, 0.4])
@pytest.mark.parametrize("error", [0.0, 0.1, 0.5, 1e9])
def test_an_incumbent_is_left_for_a_lead_that_chance_does_not_explain(significance, error):
    """By the normal distribution's tail."""
    order = np.array([0, 1, 3, 2, 4, 5])  # one broken link
    searching = searching_with(CountingDescents(6, error))
    pool = np.stack([order, np.arange(6), order[::-1]])
    found = Hierarchical(significance=significance).step(order, pool, "local", searching)
    explained = significance is not None and error > 0 and stats.norm.sf(1 / error) >= significance
    assert found.tolist() == (order.tolist() if explained else list(range(6)))
    assert searching.best.tolist() == found.tolist()
    assert [len(stage.profile.orders) for stage in searching.history] == ([3] if significance is None else [3, 2])


def test_an_incumbent_stays_where_one_row_says_nothing_of_chance():
    order = np.array([0, 1, 3, 2, 4, 5])
    searching = searching_with(CountingDescents(6, np.nan))
    pool = np.stack([order, np.arange(6), order[::-1]])
    assert Hierarchical(significance=0.01).step(order, pool, "local", searching).tolist() == order.tolist()


class Partial(CountingDescents):
    """A profiler in whose larger runs a rotation has the lowest loss, as in mixtures of a chain's rotations."""

    def profile(self, orders, *, seeds, on_share):
        profile = super().profile(orders, seeds=seeds, on_share=on_share)
        if len(orders) == 2:
            return profile
        loss = np.where(orders[:, 0] == 3, -1.0, profile.loss)
        return told(orders, loss, profile.standard_error)


def test_an_incumbent_stays_where_only_the_company_of_the_run_is_against_it():
    order = np.arange(6)
    pool = np.stack([order, np.roll(order, 3), order[::-1]])
    searching = searching_with(Partial(6, 0.01))
    assert Hierarchical(significance=0.01).step(order, pool, "local", searching).tolist() == order.tolist()
    assert Hierarchical().step(order, pool, "local", searching).tolist() == pool[1].tolist()


def test_an_incumbent_that_leads_meets_the_next_best():
    """Among its neighbours an order profits from its company, so that leading there is not enough either."""
    order = np.roll(np.arange(6), 3)
    searching = searching_with(Partial(6, 0.01))
    pool = np.stack([order, np.arange(6)[::-1], np.arange(6)])
    assert Hierarchical(significance=0.01).step(order, pool, "local", searching).tolist() == list(range(6))
    assert sorted(searching.history[1].profile.orders.tolist()) == sorted([order.tolist(), list(range(6))])
    strategy = Hierarchical(direction=False, significance=0.5)
    assert strategy.pools(Poset(8))[4:] == [2, 2, 24, 2, 6, 2, 6, 2, 24, 2, 2, 2]


def test_a_budget_that_ends_before_the_two_meet_leaves_the_order_so_far():
    order = np.array([0, 1, 3, 2, 4, 5])
    searching = searching_with(CountingDescents(6, 0.0), Budget(training_steps=1))
    with pytest.raises(BudgetSpentError):
        Hierarchical(significance=0.5).step(order, np.stack([order, np.arange(6)]), "local", searching)
    assert searching.best.tolist() == order.tolist()
