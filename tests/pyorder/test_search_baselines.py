"""Greedy, evolutionary and annealing search against losses that are known functions of the order."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chisquare

from pyorder import moves, permutations
from pyorder.profiling import Cost, Profile
from pyorder.search import Annealing, Budget, Evolutionary, Greedy, Random, _pools, annealing, evolutionary, greedy
from pyorder.search._base import Laboratory

LENGTH = 10


class Known:
    """A profiler whose losses are known: broken dependencies of the chain ``truth``, noise, and the run's offset."""

    training = SimpleNamespace(batch_size=1)

    def __init__(self, truth, noise=0.0):
        self.slot_of = np.argsort(truth)
        self.length = len(truth)
        self.noise = noise

    def cost(self, candidates, seeds=1):
        return Cost(1, candidates)

    def profile(self, orders, *, seeds, on_share):
        # Losses of two runs do not compare: each run has its own offset and scale.
        rng = np.random.default_rng(seeds[0])
        loss = (self.broken(orders) + self.noise * rng.normal(size=len(orders))) * rng.uniform(0.5, 2)
        loss += rng.uniform(0, 100)
        ranking = np.lexsort((rng.random(len(orders)), loss))
        return Profile(
            orders, loss, loss[:, None], loss, ranking, loss[None], loss[None], self.cost(len(orders)), 0.0, {}
        )

    def broken(self, orders):
        slots = np.argsort(orders, axis=1)[:, np.argsort(self.slot_of)]
        return (np.diff(slots, axis=1) < 0).sum(1)


class Flat(Known):
    """All orders are equally good."""

    def broken(self, orders):
        return np.zeros(len(orders))


def search(strategy, profiler, seed=0, budget=None):
    pools = strategy.pools(profiler.length)
    laboratory = Laboratory(
        profiler,
        seed=seed,
        seeds=1,
        budget=budget or Budget(),
        planned=sum(map(profiler.cost, pools), Cost()),
        progress=None,
    )
    return strategy.search(laboratory), laboratory


def truths(count):
    return [np.random.default_rng([seed, 11]).permutation(LENGTH) for seed in range(count)]


STRATEGIES = [
    Greedy(completions=48),
    Evolutionary(parents=12, children=48, generations=40),
    Annealing(chains=4, neighbours=20, rounds=30),
]
each = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)


@pytest.mark.parametrize("module", [_pools, annealing, evolutionary, greedy])
def test_docstring_examples(module, doctests):
    doctests(module)


@each
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_it_finds_the_chain_and_random_search_does_not(strategy, noise):
    """One order in 3.6 million, with at most 2,600 evaluations; random orders get the same number of them."""
    evaluations = sum(strategy.pools(LENGTH))
    assert evaluations <= 2600
    blind = Random(candidates=evaluations - 64, pool=evaluations // 8, finalists=8)
    ours, others = [], []
    for seed, truth in enumerate(truths(10)):
        profiler = Known(truth, noise)
        order, laboratory = search(strategy, profiler, seed)
        ours.append(profiler.broken(order[None])[0])
        assert laboratory.cost.rows_scored <= evaluations
        order, _ = search(blind, profiler, seed)
        others.append(profiler.broken(order[None])[0])
    print(ours, others)
    assert np.mean(ours) < np.mean(others)
    assert ours.count(0) >= 8
