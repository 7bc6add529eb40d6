"""What tests of searches share."""

from types import SimpleNamespace

import numpy as np
import pytest

import pyorder
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search import Precedence, laboratory
from pyorder.search import _rounds as rounds
from pyorder.search._rounds import Rounds


@pytest.fixture
def side_by_side():
    """Two chains, of which either may be written first."""
    parts = [pyorder.make_task("square", length=3).generate(6000, seed=seed) for seed in (1, 2)]
    return pyorder.Dataset(
        *(np.concatenate([getattr(one, name) for one in parts], 1) for name in ("inputs", "targets"))
    )


@pytest.fixture
def explorers(monkeypatch):
    """The explorers that searches make."""
    made = []

    class Spy(laboratory.ResumableExplorer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(laboratory, "ResumableExplorer", Spy)
    return made


@pytest.fixture
def made(monkeypatch):
    """Rounds of three steps, for tests of single methods."""
    monkeypatch.setattr(Rounds, "__init__", lambda self: None)
    made = Rounds()
    made.length, made.options, made.worth = 3, Precedence(), None
    made.explorer = SimpleNamespace(base=np.full(3, 2.0), rng=np.random.default_rng(0), may_look_up=False)
    made.losses, made.findings, made.began, made.stuck = [], [], 0, np.zeros(3, bool)
    return made


@pytest.fixture
def running(made, monkeypatch):
    """The same, ready to run one round that trains nothing and looks at nothing."""
    made.options, made.last, made.done, made.round_cost = Precedence(rounds=1), 1, [], Cost()
    made.laboratory = SimpleNamespace(constraints=Poset(3), affords=lambda last, beside: True, cost=Cost())
    made.gathering = SimpleNamespace(recent=["evidence"])
    made.settled = made.memorised = made.exhausted = False
    made.stable = made.paired = made.worse = 0
    made.best = None
    made.explorer.look_up, made.explorer.state = lambda: False, lambda: {"a": "state"}
    monkeypatch.setattr(rounds, "spiked", lambda done, entropy: False)
    for name, does in (("train", None), ("weigh", True), ("sum_up", None)):
        monkeypatch.setattr(made, name, lambda *arguments, does=does: does)
    monkeypatch.setattr(made, "adopt", lambda known: setattr(made, "known", known))
    return made
