"""What stands before each step, by the evidence of one round after another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.mutual import part_mutual
from pyorder.dependencies.statistics import (
    EXPLAINED,
    FINE,
    Evidence,
    FirstLook,
    Support,
    measure,
    pairs,
    predecessors,
    z_threshold,
)
from pyorder.search._exploring import Exploring
from pyorder.streams import seed_from

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

POOLED = 8  # rounds whose evidence on such steps counts together: it is about little, and changes slowly


class Gathering:
    """Predecessors of every step, and for which steps they matter for the last percent only.

    Attributes
    ----------
    base : (L,) nats, the entropy of each step
    recent : evidence of the last rounds, while there are steps of which little is left, which it tells together
    """

    def __init__(self, options: Exploring, base: Floats, rng: np.random.Generator) -> None:
        self.options, self.base, self.rng = options, base, rng
        self.recent: list[Evidence] = []

    def gather(
        self, look: FirstLook, evidence: Evidence, supports: list[list[Support]], fine: Mask
    ) -> tuple[list[list[Support]], Mask]:
        """The predecessors after a round, and for which steps (L,) they are fine; from those before it."""
        base, supports, fine = self.base, list(supports), fine.copy()
        threshold = z_threshold(self.options.error_rate, pairs(len(base)))
        told = look.step_loss <= EXPLAINED * base
        kept = np.array([bool(found) for found in supports]) & ~fine  # their last verdict stands
        closely = told & ~kept & (look.step_loss > FINE * base)
        self.recent = [*self.recent[1 - POOLED :], evidence] if closely.any() else []
        pooled = now = look, evidence
        if len(self.recent) > 1:
            together = Evidence.together(self.recent)
            pooled = measure(together, seed_from(self.rng)), together

        def gathered(step: int, without: int | None = None) -> list[Support]:
            if told[step] and not closely[step]:  # its last verdict stands
                return [one for one in supports[step] if one.before != without]
            told_by, floor = (pooled, FINE) if closely[step] else (now, EXPLAINED)
            return predecessors(
                step,
                *told_by,
                share=self.options.share,
                threshold=threshold,
                floor=floor * float(base[step]),
                without=without,
            )

        for step in np.flatnonzero(closely | ~told).tolist():
            fine[step] = told[step]
            supports[step] = gathered(step)
        return part_mutual(supports, gathered, evidence, share=self.options.share, threshold=threshold), fine
