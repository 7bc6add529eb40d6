"""What tests of searches share."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyorder.search import Precedence, laboratory
from pyorder.search._rounds import Rounds


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
    made.losses, made.findings, made.began = [], [], 0
    return made
