"""What studies measure, against SciPy and brute force."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import pyorder
from pyorder.orders.posets import Poset
from pyorder.reproduce import _base as base
from pyorder.reproduce import delay, predictive, prod

OUTCOMES = predictive.OUTCOMES.values()


def test_steps_to_learn_are_those_of_the_first_look_at_90_percent():
    curve = np.array([[25, 2.0, 0.5], [50, 1.0, 0.9], [75, 1.0, 0.89]])
    assert base.steps_to_learn(SimpleNamespace(validation_curve=curve)) == 50
    assert base.steps_to_learn(SimpleNamespace(validation_curve=curve[:1])) is None
    with pytest.raises(ValueError, match="^fitted: "):
        base.steps_to_learn(SimpleNamespace(validation_curve=None))


def test_ranks_are_scipys():
    values = np.random.default_rng(0).integers(0, 9, 40)
    assert np.array_equal(predictive.mean_ranks(values), stats.rankdata(values))


def test_the_permutation_test_is_that_of_all_permutations():
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(3, 3)) + np.array([0.0, 0.5, 1.0])[:, None]
    columns = [list(itertools.permutations(column)) for column in losses.T]
    every = [np.mean(exchanged, 0).var() for exchanged in itertools.product(*columns)]
    exact = np.mean(np.array(every) >= losses.mean(1).var() - 1e-12)
    assert delay.sorts_differ(losses) == pytest.approx(exact, abs=0.02)


def test_where_all_losses_of_a_run_tie_there_is_no_agreement():
    """No warning either: the test run makes errors of warnings."""
    outcome = np.arange(6.0)
    assert predictive.agreement([np.arange(6.0), np.ones(6)], outcome, "spearman") == "all equal"
    assert predictive.agreement([np.arange(6.0)], np.ones(6), "kendall") == "all equal"


def test_agreement_is_scipys_with_a_bootstrap_around_it():
    rng = np.random.default_rng(1)
    outcome = rng.normal(size=60)
    runs = [outcome + rng.normal(size=60), outcome + rng.normal(size=60)]
    told = predictive.agreement(runs, outcome, "spearman")
    mean, low, _, high = told.replace("(", "").replace(")", "").split()
    alone = np.mean([stats.spearmanr(run, outcome).statistic for run in runs])
    assert float(mean) == pytest.approx(alone, abs=0.006)
    z, error = np.arctanh(float(mean)), 1 / np.sqrt(57)
    assert float(low) == pytest.approx(np.tanh(z - 1.96 * error), abs=0.12)
    assert float(high) == pytest.approx(np.tanh(z + 1.96 * error), abs=0.12)


@pytest.mark.parametrize("kind", ["spearman", "kendall"])
def test_orders_that_diverged_rank_last_and_equal(kind):
    """In the runs, whose losses JSON has as None, and among the outcomes; as SciPy has it of a large number."""
    rng = np.random.default_rng(1)
    outcome, loss = rng.normal(size=(2, 30))
    lost = np.where(np.arange(30) < 3, np.nan, outcome), [None, *loss[1:]]
    last = np.where(np.arange(30) < 3, 1e9, outcome), [1e9, *loss[1:]]
    measure = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[kind]
    told = predictive.agreement([lost[1]], lost[0], kind)
    assert told.split()[0] == f"{measure(last[1], last[0]).statistic:.2f}"
    assert told == predictive.agreement([last[1]], last[0], kind)


def test_a_claim_is_told_of_runs_with_orders_that_diverged():
    study, steps = predictive.LAPTOP, predictive.LAPTOP.run_lengths[-1]
    cell = {"task": "square", "length": 5, "seed": 0}
    places = [float(place) for place in range(120)]
    rows = [
        {"cell": cell | {"orders_from": start}, "result": dict.fromkeys(OUTCOMES, places[start:][:10])}
        for start in range(0, 120, 10)
    ]
    rows[-1]["result"]["steps_to_learn"][-1] = None
    losses = [*places[:-1], None]
    rows.append({"cell": cell | {"profile_steps": steps, "profile_seed": 0}, "result": {"losses": losses}})
    assert study.finding(rows) == base.Finding("1.00 for square L = 5", [True])


def test_an_order_that_a_search_finds_right_is_in_the_mixture_once(monkeypatch):
    """Its losses are those of the named order that it is."""
    pools = []

    def profile(train, pool, **named):
        pools.append(pool.tolist())
        return SimpleNamespace(loss=np.array(pool)[:, 0].astype(float))

    monkeypatch.setattr("pyorder.profiling.profile", profile)
    splits = SimpleNamespace(train=None, test=None)
    for found in (range(6), range(5, -1, -1), [2, 1, 0, 3, 4, 5]):
        met = prod.LAPTOP._meeting(np.array(found), splits, seed=0)
        assert len({tuple(order) for order in pools[-1]}) == len(pools[-1])
        assert pools[-1][0] == list(found)
        assert met["early_loss"] == {"found": found[0], prod.LEAST: 0.0, prod.MOST: 5.0}
        below = [sum(order[0] < first for order in pools[-1]) for first in (found[0], 0, 5)]
        assert list(met["early_rank"].values()) == below
    assert pools[2][1:3] == [list(range(6)), list(range(5, -1, -1))]


def test_strata_are_filled_evenly():
    orders = predictive.stratified("square", 8, 56)
    dependencies = pyorder.make_task("square", 8).dependencies
    broken = [round(6 * (1 - pyorder.satisfied_dependencies(order, dependencies))) for order in orders]
    assert np.bincount(broken).tolist() == [8] * 7
    assert len(np.unique(orders, axis=0)) == 56


def test_every_sort_of_a_delay_system_is_valid_and_occurs_once():
    for system in delay.PAPER.systems[:3]:
        sorts = system.sorts()
        task = pyorder.make_task(system.task, length=32, variables=4)
        assert Poset(32, task.dependencies).is_sort(np.stack(list(sorts.values()))).all()
        assert len(np.unique(list(sorts.values()), axis=0)) == len(sorts) >= 33
        assert "forward" in sorts
