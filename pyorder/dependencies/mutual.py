"""Two steps that each tell about the other: which of them goes first.

What a step is worth to another is no guide there. In a chain of look-ups from a known start to an end, the last
step but one can be looked up from the last, and from the one before it. Once it is learned in the one way it needs
the other no more, and yet the last step has to be guessed then. So both ways are reckoned to the end: what the two
lose together, each with the best that may stand before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection

import numpy as np

from pyorder.dependencies.statistics import Evidence, Support, loss_behind

Gather = Callable[[int, Collection[int]], list[Support]]


def part_mutual(
    supports: list[list[Support]], gather: Gather, evidence: Evidence, *, share: float, threshold: float
) -> list[list[Support]]:
    """Let go of one of two supports that contradict each other, where it is clear which way less is lost.

    Parameters
    ----------
    supports : of each step, what stands before it
    gather : finds the supports of a step without some others
    share : less is less from this share of what is lost on
    threshold : z-score that counts

    Examples
    --------
    >>> losses = np.array([[[0.5, 0.0], [0.0, 2.0]]] * 9)  # of both steps, in the order 0 1 and in the order 1 0
    >>> evidence = Evidence(losses, np.array([[0, 1]] * 9), np.arange(9))
    >>> supports = [[Support(1, 0, 0.5, 0.1, 9.0)], [Support(0, 1, 2.0, 0.1, 9.0)]]
    >>> part_mutual(supports, lambda step, without: [], evidence, share=0.1, threshold=4.0)
    [[], [Support(before=0, after=1, benefit=2.0, standard_error=0.1, z=9.0)]]
    """
    supports = list(supports)
    seen: set[frozenset[int]] = set()
    let_go: dict[int, set[int]] = defaultdict(set)
    while (pair := _mutual(supports, seen)) is not None:
        seen.add(frozenset(pair))
        ways = []
        for ahead, behind in (pair, pair[::-1]):
            alone = gather(ahead, let_go[ahead] | {behind})
            first, first_error = loss_behind(ahead, _before(alone), evidence, ahead_of=behind)
            second, second_error = loss_behind(behind, _before(supports[behind]), evidence)
            ways.append((first + second, float(np.hypot(first_error, second_error)), ahead, behind, alone))
        (least, error, ahead, behind, alone), (most, other_error, *_) = sorted(ways, key=lambda way: way[0])
        if most - least > max(threshold * float(np.hypot(error, other_error)), share * most):
            supports[ahead] = alone
            let_go[ahead].add(behind)
    return supports


def _before(supports: list[Support]) -> list[int]:
    return [support.before for support in supports]


def _mutual(supports: list[list[Support]], seen: set[frozenset[int]]) -> tuple[int, int] | None:
    """Two steps that stand before each other, of those not seen the ones that are worth the most to each other."""
    worth = {(one.before, one.after): one.benefit for group in supports for one in group}
    mutual = [pair for pair in worth if pair[::-1] in worth and frozenset(pair) not in seen]
    return max(mutual, key=lambda pair: worth[pair] + worth[pair[::-1]], default=None)
