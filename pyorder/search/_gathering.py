"""What stands before each step, by the evidence of one round after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

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
from pyorder.orders.posets import Poset
from pyorder.search._exploring import Exploring
from pyorder.streams import seed_from

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

POOLED = 8  # rounds whose evidence on such steps counts together: it is about little, and changes slowly
OFTEN = 2  # rounds that must have found a dependency, for it to be one of what several found together; not tuned


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

        def gathered(step: int, without: Collection[int] = ()) -> list[Support]:
            if told[step] and not closely[step]:  # its last verdict stands
                return [one for one in supports[step] if one.before not in without]
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


def agreed(rounds: Sequence[list[Support]], constraints: Poset) -> tuple[Poset, list[list[Support]]] | None:
    """What rounds found more than once between them, if all of it fits one graph: the graph, and its supports.

    Where values are noisy a step is told as well by the step before the last as by the last one. Then each round
    finds now the one, now the other, and no graph comes to rest, though all of them ask for the same orders.

    Parameters
    ----------
    rounds : of each, the supports that its own graph keeps
    constraints : edges that the graph has anyway

    Examples
    --------
    >>> one, other, back = (Support(*pair, 1.0, 0.1, 9.0) for pair in ((0, 2), (1, 2), (2, 1)))
    >>> graph, supports = agreed([[one], [other], [other, one]], Poset(3))
    >>> graph, [len(found) for found in supports]
    (Poset(3, [[0, 2], [1, 2]]), [0, 0, 2])
    >>> agreed([[other], [back], [other], [back]], Poset(3)) is None
    True
    """
    graph = constraints.copy()
    supports: list[list[Support]] = [[] for _ in range(graph.length)]
    found = {(one.before, one.after): one for several in rounds for one in several}
    times = Counter((one.before, one.after) for several in rounds for one in several)
    for pair, last in found.items():
        if times[pair] >= OFTEN:
            if not graph.add(*pair):
                return None
            supports[pair[1]].append(last)
    return graph, supports
