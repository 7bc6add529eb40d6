"""What every strategy must keep to, and what each does of its own."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

import pyorder
from pyorder.orders.posets import Poset
from pyorder.search import (
    Annealing,
    Budget,
    Discovery,
    Evolutionary,
    Exhaustive,
    Greedy,
    Hierarchical,
    Precedence,
    Random,
    Soft,
    Verdict,
    _pools,
    budget,
    discover_shuffled,
    make_strategy,
    strategies,
)
from pyorder.search.discover import SPENT
from pyorder.search.strategies import exhaustive, hierarchical, random
from pyorder.training.presets import EXPLORER, PRESETS

TINY = PRESETS["nano"].but(width=16, feed_forward=32, steps=8, warmup=2, batch_size=32)
BRIEF = replace(EXPLORER.recipe, steps=9)
STRATEGIES = [
    Exhaustive(),
    Random(candidates=30, pool=12, finalists=4),
    Hierarchical(depth=2),
    Hierarchical(depth=2, inside="each", between="rotations", significance=0.01),
    Hierarchical(depth=2, initialisation="Pg"),
    Hierarchical(depth=2, initialisation="Pf"),
    Hierarchical(depth=2, initialisation="Pb", block=2),
    Precedence(rounds=2, samples=32, candidates=12, architecture=TINY.architecture, recipe=BRIEF),
    Greedy(completions=3),
    Evolutionary(parents=4, children=8, generations=3),
    Annealing(chains=6, rounds=3, finalists=6),
    Soft(restarts=2, steps=10, candidates=12, samples=32),
]

KINDS = [exhaustive, random, hierarchical]


def find(data, strategy, **arguments):
    arguments = {"model": TINY, **arguments}
    return pyorder.discover(data.train, validation=data.validation, strategy=strategy, **arguments)


@pytest.mark.parametrize(
    "module", ["pyorder.search.discover", "pyorder.search._judging", strategies, budget, *KINDS, _pools]
)
def test_docstring_examples(module, doctests):
    doctests(module)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
class TestEveryStrategy:
    def test_its_result_adds_up(self, strategy, square5):
        found = find(square5, strategy)
        assert sorted(found.order.tolist()) == list(range(5))
        assert found.order.dtype == np.int64
        told = found.verdict not in (Verdict.UNRESOLVED, Verdict.FEW_ROWS)
        assert found.converged == (found.exploration is None or (found.exploration.settled and told))
        assert found.runs == len(found.history)
        profiles = [stage.profile for stage in found.history]
        assert found.candidates_profiled == sum(len(profile.orders) for profile in profiles)
        beside = strategy.exploration_cost()
        assert found.cost.training_steps == 8 * found.runs + beside.training_steps
        assert found.cost.rows_scored == 200 * found.candidates_profiled + beside.rows_scored
        assert any((profiles[-1].orders == found.order).all(1))
        assert found.strategy == strategy.name

    def test_its_verdict_claims_no_more_than_it_can_know(self, strategy, square5, tmp_path):
        """Nothing is learned in a few steps: no order is called found, by whichever strategy."""
        found = find(square5, strategy, run_dir=tmp_path / "run")
        assert found.verdict in (Verdict.UNRESOLVED, Verdict.FEW_ROWS, Verdict.OPEN)
        again = Discovery.load(tmp_path / "run")
        assert again.verdict is found.verdict
        told = json.loads((tmp_path / "run" / "result.json").read_text())
        assert (told["verdict"], told["conclusion"]) == (found.verdict.value, found.verdict.sentence)

    def test_every_run_holds_distinct_orders(self, strategy, square5):
        for stage in find(square5, strategy).history:
            assert len(np.unique(stage.profile.orders, axis=0)) == len(stage.profile.orders)

    def test_the_planned_pools_bound_the_runs(self, strategy, square5):
        sizes = [len(stage.profile.orders) for stage in find(square5, strategy).history]
        planned = strategy.pools(Poset(5))
        assert len(planned) == len(sizes)
        assert all(size <= most for size, most in zip(sizes, planned, strict=True))

    def test_a_seed_fixes_everything(self, strategy, square5):
        one, again, other = (find(square5, strategy, seed=seed) for seed in (4, 4, 5))
        assert np.array_equal(one.order, again.order)
        assert np.array_equal(one.history[-1].profile.loss, again.history[-1].profile.loss)
        assert not np.array_equal(one.history[0].profile.loss, other.history[0].profile.loss)

    def test_a_budget_is_kept(self, strategy, square5):
        whole = find(square5, strategy)
        limit = replace(whole.cost, training_steps=whole.cost.training_steps - 1)
        found = find(square5, strategy, budget=Budget(training_steps=limit.training_steps))
        assert not found.converged
        assert found.remarks[0] == SPENT
        assert found.cost.training_steps <= limit.training_steps
        assert sorted(found.order.tolist()) == list(range(5))
        rows = find(square5, strategy, budget=Budget(rows_scored=whole.cost.rows_scored))
        assert rows.converged == whole.converged
        assert SPENT not in (*rows.remarks, *whole.remarks)
        assert np.array_equal(rows.order, whole.order)

    def test_a_budget_for_nothing_is_refused(self, strategy, square5):
        with pytest.raises(ValueError, match="^budget: "):
            find(square5, strategy, budget=Budget(training_steps=1))

    def test_progress_rises_to_one(self, strategy, square5):
        reports = []
        found = find(square5, strategy, progress=reports.append)
        shares = [report.share for report in reports]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert shares[-2] > 0.8  # what was planned is about what it took
        assert reports[-1].best_loss == found.history[-1].profile.best_loss
        assert reports[-1].candidates == found.candidates_profiled

    def test_constraints_are_kept(self, strategy, square5):
        graph = Poset(5, [[3, 1], [1, 4]])
        if "Pg" in repr(strategy):  # it holds the identity, and the constraints may allow it
            graph = Poset(5, [[1, 3], [1, 4]])
        found = find(square5, strategy, constraints=graph)
        assert all(graph.is_sort(stage.profile.orders).all() for stage in found.history)
        assert graph.is_sort(found.order[None])[0]
        assert found.constraints == graph
        assert found.summary()["constraints"] == graph.edges.tolist()
        steps = np.array([2, 0, 1, 4, 3])
        if found.graph is not None:
            assert (found.graph.closure | ~graph.closure).all()
        assert found.renamed(steps).constraints.is_sort(steps[found.order][None])[0]

    @pytest.mark.parametrize("edges", [None, [], [[1, 3], [1, 4]]])
    def test_its_result_is_read_back_as_it_was(self, strategy, edges, square5, tmp_path):
        found = discover_shuffled(
            square5.train,
            validation=square5.validation,
            strategy=strategy,
            constraints=None if edges is None else Poset(5, edges),
            model=TINY,
            seeds=2,
            seed=7,
            budget=Budget(training_steps=10**6),
            run_dir=tmp_path / "run",
        )
        read = pyorder.Discovery.load(tmp_path / "run")
        assert read == found
        assert read.summary() == found.summary()
        assert type(read.history[0].profile) is type(found.history[0].profile)
        assert read.graph == found.graph
        for name in ("order", "options", "settings", "history", "cost", "exploration", "constraints", "remarks"):
            assert replace(read, **{name: "another"}) != found

    def test_knowledge_of_the_data_order_is_declared(self, strategy, square5):
        knows = getattr(strategy, "initialisation", "Pr") != "Pr"
        assert find(square5, strategy).uses_data_order is knows


@pytest.mark.parametrize("strategy", [Exhaustive(finalists=4), Random(24, 24), Hierarchical(depth=3)])
def test_the_identity_is_no_favourite(strategy):
    """On data without any order, over 50 seeds: the identity's rank is uniform, and so is the order found."""
    rng = np.random.default_rng(0)
    alphabet = list(itertools.permutations(range(4)))
    small = TINY.but(steps=2, warmup=0, width=8, heads=1, feed_forward=8)
    ranks, places = [], []
    for seed in range(50):
        inputs, targets = rng.integers(5, size=(264, 3)), rng.integers(5, size=(264, 4))
        train, validation = (
            pyorder.Dataset(inputs[rows], targets[rows]) for rows in (slice(200), slice(200, None))
        )
        found = pyorder.discover(train, validation=validation, strategy=strategy, model=small, seed=seed)
        first = found.history[0].profile
        assert len(first.orders) == len(alphabet)
        ranks.append(int(np.flatnonzero((first.orders[first.ranking] == np.arange(4)).all(1))[0]))
        places.append(alphabet.index(tuple(found.order.tolist())))
    for drawn in (ranks, places):
        assert kstest((np.array(drawn) + rng.random(50)) / len(alphabet), "uniform").pvalue > 0.01


def test_exhaustive_finds_the_forward_order(square5):
    found = find(square5, Exhaustive(), model="nano", steps=200)
    assert pyorder.satisfied_dependencies(found.order, pyorder.make_task("square", length=5).dependencies) == 1.0
    assert len(found.history[0].profile.orders) == 120


def test_a_longer_target_with_few_sorts_is_searched_exhaustively():
    graph = Poset(9, [[i, i + 1] for i in range(8) if i != 4])
    assert Exhaustive().pools(graph) == [math.comb(9, 4), 32]
    splits = pyorder.make_task("square", length=9).splits(train=500, validation=50, test=1, seed=0)
    found = find(splits, Exhaustive(), constraints=graph)
    assert sorted(found.history[0].profile.orders.tolist()) == graph.sorts().tolist()


def test_one_order_is_ranked_once(square5):
    chain = Poset(5, [[k, k + 1] for k in range(4)])
    assert Exhaustive().pools(chain) == [1]
    assert find(square5, "auto", constraints=chain).runs == 1
    long = Poset(40, [[k, k + 1] for k in range(39)])
    assert make_strategy("auto", 40, constraints=long).name == "exhaustive"


@pytest.mark.parametrize("discover", [pyorder.discover, discover_shuffled])
@pytest.mark.parametrize(
    ("constraints", "error", "message"),
    [
        (Poset(4), ValueError, "^constraints: a graph of 4 steps given, the data has 5"),
        ([[0, 1]], TypeError, "^constraints: a Poset is needed, list given"),
    ],
)
def test_bad_constraints_are_refused(discover, constraints, error, message, square5):
    with pytest.raises(error, match=message):
        discover(square5.train, validation=square5.validation, strategy="random", constraints=constraints)
    with pytest.raises(TypeError, match="^strategy: a name or a Strategy is needed, int given"):
        discover(square5.train, validation=square5.validation, strategy=7)


def test_drawn_sorts_are_distinct_and_uniform():
    graph = Poset(6, [[0, 1], [2, 3], [2, 4]])
    every = graph.sorts()
    assert len(_pools.draw_orders(graph, 10_000, seed=0)) == len(every) == 120
    drawn = np.concatenate([_pools.draw_orders(graph, 30, seed) for seed in range(400)])
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert np.array_equal(found, every)
    # 30 of 120 without replacement: the spread of a count is that of a coin, a little less
    assert chisquare(counts).pvalue > 0.01
    wide = Poset(60, [[0, 1]])  # too many sets of steps to count
    few = _pools.draw_orders(wide, 3, seed=0)
    assert wide.is_sort(few).all()
    assert _pools.count_up_to(wide, 7) == 7
    assert _pools.count_up_to(Poset(30), 2**70) == 2**70
    assert _pools.count_up_to(Poset(4), 2**70) == 24


@pytest.mark.parametrize("edges", [[], [[0, 1]], [[0, 1], [1, 2], [2, 3]]])
def test_pools_share_no_order_and_are_those_of_one_draw(edges):
    graph = Poset(5, edges)  # of 120, 60 and 5 sorts
    sizes = [2, 1, 2]
    drawn = np.concatenate(list(_pools.draw_pools(graph, sizes, seed=3)))
    assert len(np.unique(drawn, axis=0)) == 5
    assert graph.is_sort(drawn).all()
    assert np.array_equal(drawn, _pools.draw_orders(graph, 5, seed=3))


def test_orders_that_take_a_walk_are_drawn_when_their_pool_is_asked_for(monkeypatch):
    walked, walk = [], Poset.walk_sorts
    monkeypatch.setattr(
        Poset, "walk_sorts", lambda graph, count, *, seed: walked.append(count) or walk(graph, count, seed=seed)
    )
    ring = [[step, 30 + (step + other) % 30] for step in range(30) for other in (0, 1)]
    graph = Poset(60, ring)  # too many sets of steps to count
    pools = _pools.draw_pools(graph, [3, 2], seed=0)
    first = next(pools)
    assert walked == [3]
    drawn = np.concatenate([first, *pools])
    assert walked == [3, 2]
    assert len(np.unique(drawn, axis=0)) == 5
    assert graph.is_sort(drawn).all()


def test_auto_is_exhaustive_where_one_order_is_all_there_is():
    assert make_strategy("auto", length=1).name == "exhaustive"
    assert make_strategy("auto", length=2).name == "precedence"
    assert make_strategy("auto", length=2, constraints=Poset(2, [[1, 0]])).name == "exhaustive"
    assert make_strategy("auto", length=3, constraints=Poset(3, [[1, 0]])).name == "precedence"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_strategy("psychic", 8),
            "^strategy: 'psychic' is none of 'auto', 'exhaustive'",
        ),
        (
            lambda: make_strategy("random", 8, depth=3),
            "^options: random has no 'depth', it has 'candidates'",
        ),
        (
            lambda: Exhaustive().pools(Poset(8)),
            "^strategy: 'exhaustive' searches at most 5,040 orders, all of 7 steps; the data has 8$",
        ),
        (lambda: Hierarchical(initialisation="Px"), "^initialisation: 'Px' is none of 'Pr', 'Pg'"),
        (
            lambda: Hierarchical(initialisation=np.empty((0, 5), int)),
            "^initialisation: expected at least one order",
        ),
        (lambda: Hierarchical(initialisation=[[0, 0]]), "^initialisation: row 0 is not a permutation"),
        (lambda: Hierarchical(inside="both"), "^inside: expected 'together' or 'each', got 'both'"),
        (lambda: Hierarchical(between=["all"]), r"^between: expected 'all' or 'rotations', got \['all'\]"),
        (lambda: Hierarchical(significance=1), "^significance: expected a number between 0 and 1, or None, got 1"),
        (lambda: Hierarchical(depth=9), "^depth: expected .* from 1 to 8, got 9"),
        (lambda: Hierarchical(depth=6).pools(Poset(5)), "^depth: 6 given, orders of 5 steps"),
        (lambda: Random(pool=0), "^pool: expected .* at least 1, got 0"),
        (lambda: Budget(seconds=0), "^budget: seconds=0 given"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("exhaustive", {"finalists": 4.0}),
        ("random", {"pool": 1e2}),
        ("hierarchical", {"limit": 1e4}),
        ("hierarchical", {"local": "no"}),
        ("hierarchical", {"direction": 0}),
        ("precedence", {"rounds": 2.5}),
        ("precedence", {"share": "half"}),
    ],
)
def test_an_option_of_another_type_is_refused_before_any_work(name, options):
    (option,) = options
    with pytest.raises((TypeError, ValueError), match=f"^{option}: expected"):
        make_strategy(name, 9, **options)


def test_when_time_runs_out_the_best_of_every_pool_still_meet(square5, monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            self.now += 0.01
            return self.now

    monkeypatch.setattr("pyorder.runs.journal.time", Clock())
    strategy = Random(candidates=120, pool=10, finalists=2)
    whole = find(square5, strategy)
    found = find(square5, strategy, budget=Budget(seconds=0.6 * whole.seconds))
    assert not found.converged
    assert 3 < found.runs < whole.runs
    assert found.history[-1].name == "best of every pool"
    assert len(found.history[-1].profile.orders) == 2 * (found.runs - 1)
