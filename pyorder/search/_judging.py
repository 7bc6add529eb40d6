"""What may be concluded from profiling runs alone, where a strategy looks for no dependencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.graph import UNRESOLVED_SHARE
from pyorder.dependencies.statistics import z_threshold
from pyorder.dependencies.verdict import Verdict
from pyorder.profiling.result import Profile

UNLEARNED = 0.95  # a step of which a short run keeps this share of its entropy was not learned at all
ERROR_RATE = 0.01  # that any order of a run looks worse than the best by chance


def judge_runs(profile: Profile, entropy: npt.NDArray[np.float64], orders: int, *, ended: bool) -> Verdict:
    """Judge a search that looks for no dependencies by its last profiling run, one of ``orders`` that are allowed.

    What the best of some orders is worth beside those that were not tried, it cannot know.

    Examples
    --------
    >>> splits = make_task("square", length=3).splits(train=500, validation=50, test=50)
    >>> short = profile(splits.train, [[0, 1, 2]], validation=splits.validation, steps=1)
    >>> judge_runs(short, np.full(3, 2.9), orders=6, ended=True)
    <Verdict.UNRESOLVED: 'unresolved'>
    """
    best = int(profile.ranking[0])
    if (profile.step_loss[best] > UNLEARNED * entropy).mean() >= UNRESOLVED_SHARE:
        return Verdict.UNRESOLVED
    if ended and orders == 1:
        return Verdict.INDIFFERENT
    lead = (profile.loss - profile.loss[best]) / np.maximum(profile.standard_error, 1e-12)
    rest = np.delete(lead, best)
    threshold = z_threshold(ERROR_RATE, len(rest))
    if not ended or len(profile.orders) < orders or not len(rest):
        return Verdict.OPEN
    if (rest < threshold).all():
        return Verdict.INDIFFERENT
    # Errors are over rows. What one seed's run prefers beyond them may be chance of that seed.
    sure = rest.min() > threshold and profile.best_agreement == 1
    return Verdict.FOUND if sure else Verdict.OPEN
