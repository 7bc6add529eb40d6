"""What a laboratory answers, what it draws, and what it records."""

from types import SimpleNamespace

import numpy as np
import pytest

import pyorder
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search import Budget, BudgetSpentError, Random
from pyorder.search.laboratory import Laboratory
from pyorder.world import World


class Free:
    """A profiler of one training step a run, which is never run."""

    recipe, world = SimpleNamespace(batch_size=1), World.of("cpu")
    length = 5

    def cost(self, candidates, seeds=1):
        return Cost(1, candidates)


def make(constraints=None, seed=0, **limits):
    return Laboratory(
        Free(),
        constraints=constraints or Poset(5),
        seed=seed,
        seeds=1,
        budget=Budget(**limits),
        planned=Cost(),
        progress=None,
    )


def test_to_ask_changes_nothing():
    laboratory = make(rows_scored=10)
    before = {name: value for name, value in vars(laboratory).items() if name != "rng"}
    state = laboratory.rng.bit_generator.state
    assert [laboratory.affords(10), laboratory.affords(11), laboratory.affords(5, 6)] == [True, False, False]
    assert {name: value for name, value in vars(laboratory).items() if name != "rng"} == before
    assert laboratory.rng.bit_generator.state == state
    assert not laboratory.curtailed


def test_a_run_that_the_budget_refuses_and_a_strategy_that_stops_are_recorded():
    laboratory = make(rows_scored=10)
    with pytest.raises(BudgetSpentError):
        laboratory.profile(laboratory.draw(11), "too many")
    assert laboratory.curtailed
    stopped = make()
    stopped.curtail()
    assert stopped.curtailed


def test_a_search_that_asks_for_more_than_there_is_and_needs_it_not_has_converged(square5):
    class Curious(Random):
        def search(self, laboratory):
            assert not laboratory.affords(10**9)
            return super().search(laboratory)

    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Curious(candidates=4, pool=4),
        steps=2,
        budget=Budget(rows_scored=10_000),
    )
    assert found.converged


@pytest.mark.parametrize("edges", [[], [[0, 1]]])
def test_every_draw_is_another_and_the_seed_fixes_all(edges):
    laboratory, again, other = (make(Poset(5, edges), seed) for seed in (1, 1, 2))
    first, second = laboratory.draw(20), laboratory.draw(20)
    assert not np.array_equal(first, second)
    assert np.array_equal(again.draw(20), first)
    assert np.array_equal(again.draw(20), second)
    assert not np.array_equal(other.draw(20), first)
    assert len({order.tobytes() for order in first}) == 20
