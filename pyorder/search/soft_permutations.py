"""Soft permutations: matrices between all orders at once and one of them, and what leaks through them.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
L                              number of slots, and of steps
scores     (L, L) floats       ``scores[j, s]`` speaks for step s at slot j
weights    (L, L) floats       doubly stochastic: the share of step s at slot j
order      (L,) int64          ``order[j]`` is the canonical step emitted at slot j
=========  ==================  =====================================================================

A hard order is a permutation matrix. In a soft one every slot emits a mixture of steps, so the slots before slot j
may already have shown a part of the very step that slot j is asked for, or of a later one: it *leaks*.

Source: Mena, Belanger, Linderman, Snoek, "Learning latent permutations with Gumbel-Sinkhorn networks",
arXiv 1802.08665.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float64]

ITERATIONS = 20  # as in the source


def sinkhorn(scores: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Weights (L, L) of scores (L, L): rows and columns of their exponentials scaled in turn to a sum of 1.

    Examples
    --------
    >>> sinkhorn(torch.tensor([[2.0, 0.0], [0.0, 0.0]])).round(decimals=3)
    tensor([[0.7310, 0.2690],
            [0.2690, 0.7310]])
    """
    for _ in range(iterations):
        scores = scores.log_softmax(1).log_softmax(0)
    return scores.exp()


def harden(scores: npt.ArrayLike, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The order whose steps have the largest sum of scores at their slots; among equal ones, a random one.

    This is linear assignment. Scores and the logarithms of their weights have the same solution.

    Examples
    --------
    >>> harden([[0.2, 0.8, 0.0], [0.3, 0.7, 0.0], [0.5, 0.0, 0.5]], np.random.default_rng(0))
    array([1, 0, 2])
    """
    from scipy.optimize import linear_sum_assignment

    array = np.asarray(scores, np.float64)
    # Where scores are equal low indices may be favoured: slots and steps are shuffled first.
    slots, steps = rng.permutation(len(array)), rng.permutation(len(array))
    order = np.empty(len(array), np.int64)
    order[slots] = steps[linear_sum_assignment(array[np.ix_(slots, steps)], maximize=True)[1]]
    return order


def leaked_mass(weights: npt.ArrayLike, order: npt.NDArray[np.int64]) -> Floats:
    """The weight of steps not yet emitted in what each slot sees: (L,), at slot j of at most j steps.

    Slot j sees the mixtures of slots 0 to j - 1; the steps emitted by then are ``order[:j]``.

    Examples
    --------
    >>> leaked_mass(np.eye(3), np.array([0, 1, 2]))
    array([0., 0., 0.])
    >>> leaked_mass(np.full((3, 3), 1 / 3), np.array([0, 1, 2])).round(3)
    array([0.   , 0.667, 0.667])
    """
    array = np.asarray(weights, np.float64)
    seen = np.cumsum(array, axis=0) - array
    waiting = np.argsort(order) >= np.arange(len(order))[:, None]  # (slot, step)
    mass: Floats = np.where(waiting, seen, 0.0).sum(1)
    return mass
