"""What a search without dependencies may conclude."""

from dataclasses import replace

import numpy as np
import pytest

import pyorder
from pyorder.search import Verdict
from pyorder.search._judging import judge_runs
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=16, feed_forward=32, steps=2, batch_size=32)


@pytest.mark.parametrize(
    ("losses", "seeds", "orders", "ended", "expected"),
    [
        ([0.5, 0.9, 1.0], [[0.4, 0.9, 1.0], [0.6, 0.9, 1.0]], 3, True, Verdict.FOUND),
        ([0.5, 0.9, 1.0], [[0.5, 0.9, 1.0]], 3, True, Verdict.OPEN),  # which may be so with this seed alone
        ([0.5, 0.9, 1.0], [[0.1, 0.9, 1.0], [1.0, 0.9, 1.1]], 3, True, Verdict.OPEN),
        ([0.5, 0.9, 1.0], [[0.5, 0.9, 1.0]] * 2, 3, False, Verdict.OPEN),
        ([0.5, 0.9, 1.0], [[0.5, 0.9, 1.0]] * 2, 6, True, Verdict.OPEN),  # others were not tried
        ([0.5, 0.501, 1.0], [[0.5, 0.501, 1.0]] * 2, 3, True, Verdict.OPEN),  # one is as good
        ([0.5, 0.501, 0.502], [[0.5, 0.501, 0.502]], 3, True, Verdict.INDIFFERENT),
        ([0.5, 0.501, 0.502], [[0.5, 0.501, 0.502]], 3, False, Verdict.OPEN),
        ([0.5, 0.501, 0.502], [[0.5, 0.501, 0.502]], 6, True, Verdict.OPEN),
        ([2.0, 2.1, 2.2], [[2.0, 2.1, 2.2]], 3, True, Verdict.UNRESOLVED),
        ([0.5], [[0.5]], 1, True, Verdict.INDIFFERENT),  # no other is allowed
        ([2.0], [[2.0]], 1, True, Verdict.UNRESOLVED),
    ],
)
def test_runs_are_judged_by_what_they_compared(square5, losses, seeds, orders, ended, expected):
    pool = [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [4, 3, 2, 1, 0]][: len(losses)]
    measured = pyorder.profile(square5.train, pool, validation=square5.validation, model=TINY)
    profile = replace(
        measured,
        loss=np.array(losses),
        seed_loss=np.array(seeds),
        step_loss=np.repeat(losses, 5).reshape(-1, 5),
        standard_error=np.array([0.0, 0.01, 0.01])[: len(losses)],
        ranking=np.arange(len(losses)),
    )
    assert judge_runs(profile, np.full(5, 2.0), orders, ended=ended) is expected
