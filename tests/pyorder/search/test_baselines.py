"""Greedy, evolutionary and annealing search against losses that are known functions of the order."""

import itertools
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chisquare

import pyorder
from pyorder.orders import moves, permutations
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Profile
from pyorder.search import Annealing, Budget, Evolutionary, Greedy, Random, _pools
from pyorder.search.budget import BudgetSpentError
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategies import annealing, evolutionary, greedy
from pyorder.world import World

LENGTH = 8


class Known:
    """A profiler whose losses are known: the broken dependencies of a chain ``truth``, and noise."""

    recipe, world = SimpleNamespace(batch_size=1), World.of("cpu")

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
    free = Poset(profiler.length)
    pools = strategy.pools(free)
    laboratory = Laboratory(
        profiler,
        constraints=free,
        seed=seed,
        seeds=1,
        budget=budget or Budget(),
        planned=sum(map(profiler.cost, pools), Cost()),
        progress=None,
    )
    return strategy.search(laboratory), laboratory


def truths(count):
    return [np.random.default_rng([seed, 11]).permutation(LENGTH) for seed in range(count)]


STRATEGIES = [Greedy(completions=48), Evolutionary(), Annealing(rounds=160)]
SHORT = [Greedy(2), Evolutionary(2, 4, 3), Annealing(4, 3, finalists=4)]
each = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)


@pytest.mark.parametrize("module", [_pools, annealing, evolutionary, greedy])
def test_docstring_examples(module, doctests):
    doctests(module)


@each
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_it_finds_the_chain_and_random_search_does_not(strategy, noise):
    """One order in 40,320, with at most 2,600 evaluations; random orders get more of them."""
    pools = strategy.pools(Poset(LENGTH))
    assert sum(pools) <= 2600
    blind = Random(candidates=sum(pools), pool=64)
    ours, others = [], []
    for seed, truth in enumerate(truths(10)):
        profiler = Known(truth, noise)
        for searched, broken in ((strategy, ours), (blind, others)):
            order, laboratory = search(searched, profiler, seed)
            assert laboratory.cost.rows_scored <= sum(searched.pools(Poset(LENGTH)))
            broken.append(profiler.broken(order[None])[0])
    assert ours.count(0) >= 7  # annealing finds 200 of 240 with noise
    assert others.count(0) <= 4


@pytest.mark.parametrize("strategy", SHORT, ids=lambda strategy: strategy.name)
def test_every_budget_is_kept_and_answered(strategy):
    """Whatever the budget, it is not passed, and an order of the last run comes back."""
    profiler = Known(np.arange(6))
    for limit in range(2, 8):
        budget = Budget(training_steps=limit)
        try:
            order, laboratory = search(strategy, profiler, 1, budget)
        except BudgetSpentError:  # greedy cannot finish its order; `discover` takes the best of its last run
            assert strategy.name == "greedy"
            assert limit < len(strategy.pools(Poset(6)))
            continue
        assert laboratory.cost.training_steps == min(limit, len(strategy.pools(Poset(6))))
        assert laboratory.curtailed == (limit < len(strategy.pools(Poset(6))))
        assert (laboratory.history[-1].profile.orders == order).all(1).any()


@each
def test_relabelled_steps_relabel_the_result(strategy, monkeypatch):
    """Only the random start knows labels: let it be relabelled, and every pool follows."""
    truth, names = (np.random.default_rng(seed).permutation(LENGTH) for seed in (5, 6))
    _, one = search(strategy, Known(truth, 0.2))
    first = _pools.sample

    def renamed(length, count, **arguments):
        orders = first(length, count, **arguments)
        return names[orders] if length == LENGTH else orders

    monkeypatch.setattr(_pools, "sample", renamed)
    _, other = search(strategy, Known(names[truth], 0.2))
    for mine, theirs in zip(one.history, other.history, strict=True):
        assert np.array_equal(names[mine.profile.orders], theirs.profile.orders)


@pytest.mark.parametrize("strategy", SHORT, ids=lambda strategy: strategy.name)
def test_where_all_orders_are_equal_none_is_favoured(strategy):
    """Over 480 seeds the order found is uniform among the 24."""
    short = {
        "greedy": Greedy(2),
        "evolutionary": Evolutionary(2, 4, 3),
        "annealing": Annealing(4, 3, finalists=4),
    }
    found = [search(short[strategy.name], Flat(np.arange(4)), seed)[0] for seed in range(480)]
    counts = np.bincount(permutations.rank(np.array(found)).astype(int), minlength=24)
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("length", [1, 2, 3])
@each
def test_the_shortest_targets_have_an_answer(strategy, length):
    truth = np.random.default_rng(2).permutation(length)
    order, laboratory = search(strategy, Known(truth))
    assert order.tolist() == truth.tolist()
    assert len(laboratory.history) == len(strategy.pools(Poset(length)))


def test_greedy_takes_the_step_of_the_lowest_mean():
    """With all completions of each prefix, the choice is that of brute force."""
    weights = np.random.default_rng(3).normal(size=(5, 5))

    class Weighed(Known):
        def broken(self, orders):
            pairs = itertools.combinations(range(5), 2)
            return sum(weights[orders[:, a], orders[:, b]] for a, b in pairs)

    profiler = Weighed(np.arange(5))
    prefix = []
    everything = permutations.lexicographic(5)
    while len(prefix) < 5:
        step = min(
            set(range(5)) - set(prefix),
            key=lambda step: profiler.broken(
                everything[(everything[:, : len(prefix) + 1] == [*prefix, step]).all(1)]
            ).mean(),
        )
        prefix.append(step)
    order, _ = search(Greedy(completions=24), profiler)
    assert order.tolist() == prefix


def test_greedy_compares_its_constructions():
    profiler = Known(np.arange(9), 0.5)
    order, laboratory = search(Greedy(completions=2, constructions=6), profiler)
    last = laboratory.history[-1]
    assert last.name == "all constructions"
    assert 1 < len(last.profile.orders) <= 6
    assert np.array_equal(order, last.profile.best)


def test_a_child_keeps_half_and_the_sequence_of_the_other():
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second, names = (rng.permutation(9) for _ in range(3))
        kept = rng.random(9) < 0.5
        child = evolutionary.crossover(first, second, kept)
        assert sorted(child) == list(range(9))
        assert np.array_equal(child[kept], first[kept])
        taken = child[~kept].tolist()
        assert taken == sorted(taken, key=second.tolist().index)
        assert np.array_equal(names[child], evolutionary.crossover(names[first], names[second], kept))


def test_neighbours_are_the_swaps_and_block_moves():
    order = np.random.default_rng(1).permutation(6)
    neighbours = _pools.Neighbours(Poset(6), np.random.default_rng(0))
    drawn = neighbours.draw(order, 2000)
    known = {tuple(row) for row in np.concatenate([moves.swaps(order), moves.block_moves(order)])}
    assert {tuple(row) for row in drawn} == known
    assert len(neighbours.draw(order, 5)) == 5


def test_neighbours_under_constraints_are_allowed_and_others():
    graph = Poset(6, [[0, 3], [3, 1], [5, 2]])
    neighbours = _pools.Neighbours(graph, np.random.default_rng(0))
    for order in graph.sorts()[::7]:
        drawn = neighbours.draw(order, 8)
        assert graph.is_sort(drawn).all()
        assert (drawn != order).any(1).all()
        assert len(np.unique(drawn, axis=0)) == len(drawn)
    only = np.array([2, 0, 1])
    assert _pools.Neighbours(Poset(3, [[2, 0], [0, 1]]), neighbours.rng).draw(only, 4).tolist() == [only.tolist()]


def test_neighbours_of_long_orders_hold_nothing_and_move_long_blocks():
    length = 200
    order = np.random.default_rng(1).permutation(length)
    tracemalloc.start()
    drawn = _pools.Neighbours(Poset(length), np.random.default_rng(0)).draw(order, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(drawn) == 100
    assert peak < 20 * 200 * length * 8  # a few times the rows; all neighbours would take 151 MiB
    # Of a block move, both runs are long about as often as not; an insertion moves a run of one slot.
    cuts = [np.flatnonzero(np.diff(np.argsort(order)[row]) != 1) for row in drawn]
    assert sum(len(cut) == 3 and np.diff(cut).min() > 10 for cut in cuts) > 10


def test_an_order_is_its_own_neighbour_only_where_it_has_none():
    """Of a chain with two loose ends, nearly every move is bent back."""
    length = 60
    chain = np.arange(length)
    graph = Poset(length, [[k, k + 1] for k in range(length - 2)] + [[length - 3, length - 1]])
    for seed in range(20):
        drawn = _pools.Neighbours(graph, np.random.default_rng(seed)).draw(chain, 1)
        assert drawn.tolist() == [[*range(length - 2), length - 1, length - 2]]


def test_metropolis_takes_worse_orders_as_often_as_it_should():
    strategy = Annealing(chains=1, rounds=3, hot=2.0, cold=0.5)
    assert [strategy.temperature(number) for number in range(3)] == pytest.approx([2.0, 1.0, 0.5])
    chains, worse = np.array([[0, 1, 2]]), np.array([[1, 0, 2]])
    profile = Known(np.arange(3)).profile(np.concatenate([chains, worse]), seeds=[0], on_share=None)
    rng = np.random.default_rng(0)
    taken = [strategy.step(chains, worse, profile, 0.7, rng)[0, 0] == 1 for _ in range(2000)]
    assert np.mean(taken) == pytest.approx(np.exp(-1 / 0.7), abs=0.03)  # σ is the only change
    assert all(strategy.step(worse, chains, profile, 0.7, rng)[0, 0] == 0 for _ in range(100))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Greedy(completions=0), "^completions: expected .* at least 1, got 0"),
        (lambda: Greedy(constructions=0), "^constructions: expected .* of at least 1, got 0"),
        (lambda: Evolutionary(parents=1), "^parents: expected .* at least 2, got 1"),
        (lambda: Evolutionary(mutation=1.5), "^mutation: expected a number from 0 to 1, got 1.5"),
        (lambda: Annealing(hot=0.0), "^hot: expected a positive number, got 0.0"),
        (lambda: Annealing(hot=0.1, cold=0.2), "^cold: expected at most hot=0.1, got 0.2"),
        (lambda: Annealing(rounds=0), "^rounds: expected .* of at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_completions_that_constraints_make_equal_count_once():
    """Of 0 1 2 3 4 beside a free 5, most completions of 5 are one order: it must not crowd the pool."""
    graph = Poset(6, [[k, k + 1] for k in range(4)])
    splits = pyorder.make_task("square", length=6).splits(train=300, validation=30, test=1, seed=0)
    found = pyorder.discover(
        splits.train, validation=splits.validation, strategy=Greedy(), constraints=graph, model="nano", steps=3
    )
    for stage in found.history:
        assert len(np.unique(stage.profile.orders, axis=0)) == len(stage.profile.orders)
        assert len(set(stage.profile.orders[:, int(stage.name.split()[1]) - 1])) > 1
    chain = Poset(6, [[k, k + 1] for k in range(5)])
    found = pyorder.discover(
        splits.train, validation=splits.validation, strategy=Greedy(), constraints=chain, model="nano", steps=3
    )
    assert found.order.tolist() == list(range(6))
    assert found.runs == 1
