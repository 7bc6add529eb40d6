"""The published search: its schedule, its initial candidates, and what was added to it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pyorder
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Profile
from pyorder.search import Budget, Hierarchical, laboratory
from pyorder.search.strategies import hierarchical
from pyorder.training.presets import PRESETS

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


class Guessing:
    """A profiler whose losses are drawn at random."""

    recipe = SimpleNamespace(batch_size=1)

    def __init__(self, length):
        self.length = length

    def cost(self, candidates, seeds=1):
        return Cost(1, candidates)

    def profile(self, orders, *, seeds, on_share):
        loss = np.random.default_rng(seeds[0]).random(len(orders))
        some = loss[:, None]
        return Profile(orders, loss, some, loss, loss.argsort(), loss[None], loss[None], Cost(), 0.0, {})


# Counted by hand: with blocks of 3, 8 slots have the blocks 3 + 3 + 2, whose insides have 5 + 5 + 1 other
# arrangements, and 3 rotations.
LOCAL_RUNS = {
    8: [5, 4, 12, 3, 47, 2],
    9: [5, 5, 16, 3, 47, 3],
    10: [6, 5, 16, 4, 48, 3, 239, 2],
    13: [7, 7, 21, 5, 70, 4, 244, 3, 1439, 3],
}


@pytest.mark.parametrize(
    ("length", "candidates", "depth"), [(8, 120, 4), (9, 720, 5), (10, 5040, 6), (13, 5040, 6)]
)
def test_hierarchical_follows_the_published_schedule(length, candidates, depth):
    """K global runs of T candidates; then two runs for every size of blocks, from 2 slots to half of them."""
    strategy = Hierarchical(direction=False)
    planned = strategy.pools(Poset(length))
    searching = laboratory.Laboratory(
        Guessing(length),
        constraints=Poset(length),
        seed=0,
        seeds=1,
        budget=Budget(),
        planned=Cost(),
        progress=None,
    )
    strategy.search(searching)
    sizes = [len(stage.profile.orders) for stage in searching.history]
    assert [stage.name for stage in searching.history[:depth]] == [
        f"global {k} of {depth}" for k in range(1, depth + 1)
    ]
    assert sizes[0] == candidates
    assert all(0.9 * candidates < size <= candidates for size in sizes[:depth])  # some come twice
    assert sizes[depth:] == LOCAL_RUNS[length]
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
