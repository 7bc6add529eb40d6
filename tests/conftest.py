import doctest

import numpy as np
import pytest
import torch

import pyorder


@pytest.fixture
def doctests():
    """Run a module's examples; they may use the names that a reader has imported."""

    def run(module):
        names = {name: getattr(pyorder, name) for name in pyorder.__all__} | {"np": np, "torch": torch}
        result = doctest.testmod(module, extraglobs=names)
        assert result.failed == 0
        assert result.attempted > 0

    return run


@pytest.fixture(scope="session")
def square5():
    """Small splits of a task whose forward order is easy."""
    return pyorder.make_task("square", length=5).splits(train=4000, validation=200, test=300, seed=0)
