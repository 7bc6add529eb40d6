"""Precedence-guided discovery: the parts of the loop against brute force, and the whole on known graphs."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pyorder
from pyorder.dependencies import assembly
from pyorder.dependencies.assembly import assemble, lost_last
from pyorder.dependencies.statistics import Support
from pyorder.orders.posets import Poset
from pyorder.runs.folder import load_run
from pyorder.search import Budget, Precedence, _course, _gathering, _leanings
from pyorder.search._pools import distinct, sort_along
from pyorder.search.strategies import precedence
from pyorder.search.strategies.precedence import finalists, leader, loose, race


def support(before, after, benefit):
    return Support(before, after, benefit, 0.01, 50.0)


@pytest.mark.parametrize(
    ("option", "value"), [("error_rate", 0.0), ("share", 1.0), ("samples", 0), ("rounds", 0), ("candidates", 1)]
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=f"^{option}: expected .* got {value}"):
        Precedence(**{option: value})


def test_the_graph_keeps_the_largest_benefit_of_any_order():
    rng = np.random.default_rng(0)
    for _ in range(30):
        weights = np.where(rng.random((5, 5)) < 0.5, rng.random((5, 5)), 0)
        np.fill_diagonal(weights, 0)
        edges = [support(p, i, weights[p, i]) for p, i in np.argwhere(weights)]
        graph = assemble(Poset(5), edges, rng)
        kept = sum(weights[p, i] for p, i in graph.edges)
        best = max(
            sum(weights[p, i] for p, i in itertools.combinations(order, 2))
            for order in itertools.permutations(range(5))
        )
        assert kept == pytest.approx(best)


def test_the_graph_keeps_the_constraints_and_the_largest_benefit_beside_them():
    rng = np.random.default_rng(5)
    for _ in range(30):
        weights = np.where(rng.random((5, 5)) < 0.6, rng.random((5, 5)), 0)
        np.fill_diagonal(weights, 0)
        a, b, c = rng.permutation(5)[:3]
        constraints = Poset(5, [[a, b], [b, c]])
        graph = assemble(constraints, [support(p, i, weights[p, i]) for p, i in np.argwhere(weights)], rng)
        assert (graph.closure | ~constraints.closure).all()
        kept = sum(weights[p, i] for p, i in graph.edges)
        best = max(
            sum(weights[p, i] for p, i in itertools.combinations(order, 2)) for order in constraints.sorts()
        )
        assert kept == pytest.approx(best)


def test_edges_without_a_cycle_are_all_kept():
    shuffle = np.random.default_rng(1).permutation(40)
    edges = [support(int(p), int(i), 1.0) for p, i in itertools.pairwise(shuffle)]
    assert len(assemble(Poset(40), edges, np.random.default_rng(0)).edges) == 39


def test_equal_edges_of_a_cycle_are_dropped_without_favour():
    edges = [support(0, 1, 1.0), support(1, 2, 1.0), support(2, 0, 1.0)]
    kept = np.zeros((3, 3), int)
    for seed in range(300):
        for before, after in assemble(Poset(3), edges, np.random.default_rng(seed)).edges:
            kept[before, after] += 1
    assert kept.sum() == 600
    assert kept[[0, 1, 2], [1, 2, 0]].min() > 160  # 200 expected


def test_lost_steps_come_last_where_the_graph_allows():
    graph = Poset(5, [[0, 1], [1, 2]])
    extended = lost_last(graph, np.array([False, True, False, True, False]), np.random.default_rng(0))
    for order in extended.sample_sorts(50, seed=0).tolist():
        assert order.index(0) < order.index(1) < order.index(2)
        assert order.index(4) < order.index(1)
        assert order.index(4) < order.index(3)


def test_a_sort_follows_an_order_as_far_as_the_graph_allows():
    rng = np.random.default_rng(0)
    for _ in range(20):
        order, names = rng.permutation(8), rng.permutation(8)
        edges = [(names[p], names[i]) for p, i in itertools.combinations(range(8), 2) if rng.random() < 0.2]
        graph = Poset(8, edges or ())
        found = sort_along(graph, order)
        assert graph.is_sort(found[None])[0]
        assert np.array_equal(sort_along(graph, found), found)
        first = next(step for step in order if not graph.closure[:, step].any())
        assert found[0] == first


def test_finalists_are_sorts_their_reverse_and_moves():
    graph = Poset(9, [[0, 1], [1, 2], [2, 3], [5, 6]])
    weighed = np.array([4, 0, 1, 2, 3, 5, 6, 7, 8])
    pool = finalists(graph, weighed, 32, Poset(graph.length), np.random.default_rng(0))
    assert len(pool) == len(distinct(pool)) == 32
    assert (pool == weighed).all(1).any()
    assert (pool == weighed[::-1]).all(1).any()
    assert 16 <= graph.is_sort(pool).sum() < 32


def test_finalists_of_a_total_order():
    chain = Poset(4, [[2, 0], [0, 3], [3, 1]])
    pool = finalists(chain, np.array([2, 0, 3, 1]), 24, Poset(4), np.random.default_rng(0))
    assert len(distinct(pool)) == len(pool)
    assert chain.is_sort(pool).sum() == 1


def test_the_criterion_decides_when_chance_does_not(square5):
    orders = [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [4, 3, 2, 1, 0]]
    measured = pyorder.profile(square5.train, orders, validation=square5.validation, steps=1)

    def ranked(lead, error, allowed=(True, True, True)):
        profile = replace(
            measured,
            loss=np.array([1.0 - lead, 1.0, 0.5]),
            standard_error=np.array([error, error, 0.0]),
            ranking=np.array([2, 0, 1]),
        )
        return leader(profile, np.array(allowed), np.array(orders[1]), 0.01).tolist()

    assert ranked(lead=0.1, error=0.01) == orders[2]
    assert ranked(lead=0.1, error=0.01, allowed=(True, True, False)) == orders[0]
    assert ranked(lead=0.01, error=0.01, allowed=(True, True, False)) == orders[1]


class Track:
    """A laboratory in which an order is as good as told, to a known precision."""

    def __init__(self, profile, losses, error, spent=1000):
        self.profile, self.losses, self.error = profile, losses, error
        self.profiler = SimpleNamespace(recipe=SimpleNamespace(steps=40))
        self.cost = SimpleNamespace(training_steps=spent)
        self.ran = []

    def contest(self, orders, steps, seeds=1):
        kept = SimpleNamespace(orders=orders, seeds=seeds)
        kept.keep = lambda places: setattr(kept, "orders", kept.orders[places])
        return kept

    def go_on(self, contest, steps, stage):
        self.ran.append((len(contest.orders), contest.seeds, steps))
        loss = np.array([self.losses[tuple(order)] for order in contest.orders.tolist()])
        return replace(
            self.profile,
            ranking=np.argsort(loss),
            standard_error=np.where(loss == loss.min(), 0, self.error),
            seed_loss=np.tile(loss, (contest.seeds, 1)),
        )


@pytest.mark.parametrize(("lead", "wins"), [(0.1, True), (0.01, False), (-0.1, False)])
def test_a_race_is_won_by_who_leads_by_more_than_chance(square5, lead, wins):
    """The first is never dropped early, and of the others the best goes on."""
    orders = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1, 0, 2, 3, 4]])
    profile = pyorder.profile(square5.train, orders, validation=square5.validation, steps=1)
    losses = {(0, 1, 2, 3, 4): 1.0, (4, 3, 2, 1, 0): 3.0, (1, 0, 2, 3, 4): 1.0 - lead}
    track = Track(profile, losses, error=0.01)
    assert race(track, orders, 0.01).tolist() == orders[2 if wins else 0].tolist()
    assert track.ran == [(3, 1, 10), (2, 1, 30), (2, 1, 40)]
    cheap = Track(profile, losses, error=0.01, spent=100)
    assert race(cheap, orders, 0.01).tolist() == orders[2 if wins else 0].tolist()
    assert cheap.ran == [(3, 1, 5), (2, 1, 18), (2, 1, 23)]
    assert sum(models * steps for models, _, steps in cheap.ran) <= 100


@pytest.fixture(scope="module")
def relu8():
    task = pyorder.make_task("relu", length=8)
    shuffle = np.random.default_rng(3).permutation(8)
    splits = task.splits(train=30_000, validation=400, test=10, seed=1)
    found = pyorder.discover(
        splits.train.reorder(shuffle),
        validation=splits.validation.reorder(shuffle),
        strategy=Precedence(samples=1024, candidates=16, rounds=12),
        steps=150,
        seed=0,
    )
    return task, found.renamed(shuffle)


def test_it_reads_the_graph_off_shuffled_data(relu8):
    task, found = relu8
    assert pyorder.satisfied_dependencies(found.order, task.dependencies) == 1.0
    truth = Poset(8, [[i, i + 1] for i in range(7)])
    edges = [(edge.before, edge.after) for edge in found.dependencies]
    assert len(edges) >= 5
    assert all(truth.precedes(*edge) for edge in edges)
    assert all(0.9 < edge.confidence <= 1 for edge in found.dependencies)
    assert all(edge.benefit > 4 * edge.standard_error for edge in found.dependencies)


def test_it_tells_how_it_came_about(relu8):
    _, found = relu8
    exploration = found.exploration
    assert found.converged == exploration.settled
    assert [round_.training_steps for round_ in exploration.rounds] == [
        100 * (n + 1) for n in range(len(exploration.rounds))
    ]
    (mixture,) = found.history  # where the step stands that the input tells is no choice to race for
    assert mixture.name == "final candidates"
    assert found.cost.training_steps == 100 * len(exploration.rounds) + 150
    assert exploration.rounds[-1].graph_loss < exploration.rounds[0].graph_loss
    assert exploration.samples >= 1024
    assert found.summary()["exploration"]["dependencies"][0].keys() >= {"before", "after", "benefit"}


def test_where_the_graph_leaves_a_choice_finalists_race(side_by_side):
    """All together train no longer than the search did before."""
    strategy = Precedence(samples=512, candidates=8, rounds=12)
    found = pyorder.discover(
        side_by_side, validation=side_by_side.select(range(400)), strategy=strategy, steps=50, seed=0
    )
    _, *race = found.history
    assert {stage.name.split(":")[0] for stage in race} == {"race"}
    assert found.order.tolist() in race[-1].profile.orders.tolist()
    before = 100 * len(found.exploration.rounds) + 50
    raced = sum(stage.profile.cost.training_steps for stage in race)
    assert 0 < raced <= before
    assert found.cost.training_steps == before + raced


@pytest.mark.parametrize(
    ("edges", "loss", "told"),
    [([[0, 1]], 0.0, [False, False, True]), ([[0, 1]], 0.5, [False] * 3), ([], 0.0, [True] * 3)],
)
def test_a_loose_step_is_in_no_dependency_and_learned(edges, loss, told):
    assert loose(Poset(3, edges), np.array([0.0, 0.0, loss])).tolist() == told


def test_a_budget_ends_the_exploration_and_keeps_the_ranking(square5):
    budget = Budget(training_steps=120)
    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Precedence(samples=64, candidates=8),
        steps=20,
        budget=budget,
        seed=0,
    )
    assert not found.converged
    assert found.cost.training_steps == 120
    assert len(found.exploration.rounds) == 1
    assert "ended before" in found.exploration.remarks[0]


def test_a_budget_that_ends_before_the_ranking_keeps_what_was_explored(square5, tmp_path, monkeypatch):
    """A first round that takes longer than it was given: the search has a graph, and no time to rank its sorts."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            self.now += 1.0
            return self.now

    monkeypatch.setattr("pyorder.runs.journal.time", Clock())
    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Precedence(samples=64, candidates=8),
        steps=5,
        budget=Budget(seconds=2.5),
        seed=0,
        run_dir=tmp_path / "run",
    )
    assert found.history == ()
    kept = pyorder.runs.load_run(tmp_path / "run")
    assert kept.history() == ()
    assert kept.result == found.summary()
    assert not found.converged
    assert len(found.exploration.rounds) == 1
    assert "before loss profiling could rank" in found.remarks[-1]
    assert found.graph.is_sort(found.order[None]).all()
    assert found.cost.training_steps == 100


def test_steps_that_were_hardly_learned_are_named(square5):
    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Precedence(samples=64, candidates=4, rounds=1),
        steps=5,
        seed=0,
    )
    explored = replace(
        found.exploration, graph_loss=np.array([0.1, 0.6, 0.4, 0.9, 0.0]) * found.exploration.entropy
    )
    assert explored.lost == (1, 3)
    assert explored.renamed(np.array([3, 0, 4, 2, 1])).lost == (0, 2)
    assert explored.summary()["lost"] == [1, 3]


def test_three_steps_are_searched_as_more_are():
    """Of these rows loss profiling of all six orders ends in 2 0 1, a chain read backwards."""
    task = pyorder.make_task("square", length=3)
    splits = task.splits(train=3429, validation=428, test=1, seed=0)
    found = pyorder.search.discover_shuffled(splits.train, validation=splits.validation, seed=0)
    assert found.verdict is pyorder.Verdict.FOUND
    assert [(edge.before, edge.after) for edge in found.dependencies] == [(1, 2)]
    assert pyorder.satisfied_dependencies(found.order, task.dependencies) == 1


@pytest.mark.parametrize("module", [precedence, _course, _gathering, _leanings, assembly])
def test_docstring_examples(module, doctests):
    doctests(module)


def test_a_graph_is_told_in_the_datas_own_steps(square5, tmp_path):
    """Renamed and read back from a folder: every number follows its step."""
    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Precedence(samples=256, candidates=6, rounds=2),
        steps=5,
        seed=0,
    )
    steps = np.array([3, 0, 4, 2, 1])
    renamed = found.renamed(steps)
    before, after = found.exploration, renamed.exploration
    assert before.dependencies
    told = {(edge.before, edge.after): edge.benefit for edge in after.dependencies}
    assert told == {(steps[edge.before], steps[edge.after]): edge.benefit for edge in before.dependencies}
    for p, i in itertools.product(range(5), repeat=2):
        assert after.benefit[steps[p], steps[i]] == before.benefit[p, i]
        assert after.graph_loss[steps[i]] == before.graph_loss[i]
    renamed.save(tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.precedence()["benefit"] == pytest.approx(after.benefit)
    assert len(run.result["exploration"]["dependencies"]) == len(told)


@pytest.mark.parametrize(("distinct", "said"), [(2, True), (3000, False)])
def test_evidence_that_shares_inputs_with_training_rows_is_said(distinct, said):
    rng = np.random.default_rng(0)
    inputs = np.arange(3000)[:, None] % distinct
    data = pyorder.Dataset(inputs, rng.integers(4, size=(3000, 3)))
    strategy = Precedence(rounds=1, samples=64, candidates=4)
    found = pyorder.discover(data, validation=data.select(range(50)), strategy=strategy, steps=2)
    assert any("set apart by row" in remark for remark in found.exploration.remarks) == said
