import doctest
import os

# Tiny matrices gain nothing from more threads, and waiting threads cost much on a busy machine. Read at torch's
# import, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
