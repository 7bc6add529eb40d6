"""How the loss goes from round to round: whether anything is gained, whether that is the end, or a step back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.graph import LOST, Round

Floats = npt.NDArray[np.float64]

# Chosen on square, relu and random graphs, seeds from 1,000 on (docs/precedence.md).
# A graph is settled when it did not change for so many rounds and every step loses at most so much of its entropy,
LEARNED = ((1, 0.1), (3, 0.25))
STABLE_ROUNDS = 2  # or for so many, but for directions, and nothing more is learned:
PATIENCE = 12  # rounds in which something must be gained; twice as many where the graph does not come to rest
PROGRESS = 0.01  # which is this share of the entropy, or a tenth of the loss that is left
RELATIVE = 0.1
TOLD_LEFT = 0.02  # nats a row; what steps that the input nearly tells may keep between them
TOLD_PATIENCE = 6
# By which share of the entropy the loss rises where training broke down. Long targets do that at a constant rate,
# and of a relu of 200 steps nothing was left: what is then learned anew may be the reverse of what it was. Not
# tuned: seen were rises by 0.1 to 0.8 nats, which the next round made good, and by 1.7 and 2.7, which cost edges.
SPIKE = 0.25


def gains(losses: list[float], patience: int, enough: float = math.inf) -> bool:
    """Whether the best loss has fallen in the last rounds by enough, or by a tenth of what is left.

    Examples
    --------
    >>> gains([2.0, 1.0, 0.95], patience=2), gains([2.0, 1.0, 0.95], patience=1)
    (True, False)
    """
    if len(losses) <= patience:
        return True
    left = min(losses[-patience:])
    return min(losses[:-patience]) - left >= min(enough, RELATIVE * left)


def exhausted(losses: list[Floats], entropy: Floats, patience: int) -> bool:
    """Whether nothing was gained in the last rounds; losses (L,) of every round, in nats by step.

    Nor was a lost step learned in the second half of all, which may be more, while others are lost: where one is
    learned after the other, the next may take as long as those before.

    Examples
    --------
    >>> losses = [np.array([2.0, 2.0]), np.array([1.0, 1.0]), np.array([0.999, 0.999])]
    >>> [exhausted(losses, np.array([3.0, 3.0]), patience) for patience in (1, 2)]
    [True, False]
    """
    means, lost = [float(loss.mean()) for loss in losses], [int((loss > LOST * entropy).sum()) for loss in losses]
    half = len(losses) // 2
    slowly = half > patience and 0 < min(lost[-half:]) < min(lost[:-half])
    return not slowly and not gains(means, patience, PROGRESS * float(entropy.mean()))


def settled(
    losses: list[Floats],
    entropy: Floats,
    told: npt.NDArray[np.bool_],
    *,
    stable: int,
    paired: int,
    patience: int = PATIENCE,
) -> bool:
    """Whether a graph stands still and there is nothing left to learn, or nothing more is learned.

    Parameters
    ----------
    losses : (L,) of every round, in sorts of its graph
    told : (L,) steps that only the input tells: of them little is left, or no less than some rounds before
    stable, paired : rounds in which no edge has changed, or but for its direction
    patience : rounds in which something must be gained

    Examples
    --------
    >>> nothing, entropy = np.zeros(2, bool), np.array([3.0, 3.0])
    >>> settled([np.array([0.1, 0.2])], entropy, nothing, stable=1, paired=1)
    True
    >>> settled([np.array([0.1, 2.0])], entropy, nothing, stable=1, paired=1)
    False
    >>> settled([np.array([0.1, 0.03])], entropy, np.array([False, True]), stable=1, paired=1)
    False
    """
    loss, left = losses[-1], [float(one[told].sum()) for one in losses]
    still = left[-1] <= TOLD_LEFT or not gains(left, TOLD_PATIENCE)
    if still and any(stable >= rounds and (loss <= share * entropy).all() for rounds, share in LEARNED):
        return True
    patience = TOLD_PATIENCE if (loss <= LEARNED[0][1] * entropy).all() else patience
    return still and paired >= STABLE_ROUNDS and exhausted(losses, entropy, patience)


def spiked(rounds: Sequence[Round], entropy: Floats) -> bool:
    """Whether training broke down in the last round, which then loses more than the best of all rounds before.

    It does so in sorts of its graph, on rows that were trained on too, and, as the graph may have changed instead,
    in uniformly random orders, where much is lost anyway and half the rise counts.

    Examples
    --------
    >>> best, broken, overfitted = (
    ...     Round(100, *losses, dependencies=9, gained=0, withdrawn=0, seconds=1.0)
    ...     for losses in ((2.0, 0.5, 0.5), (2.5, 1.4, 1.4), (2.5, 1.4, 0.4))
    ... )
    >>> spiked([best, broken], np.array([3.0])), spiked([best, overfitted], np.array([3.0]))
    (True, False)
    """
    *before, last = rounds
    if not before:
        return False
    best, rise = min(before, key=lambda one: one.graph_loss), SPIKE * float(entropy.mean())
    return (
        last.graph_loss > best.graph_loss + rise
        and last.training_loss > best.training_loss + rise
        and last.uniform_loss > best.uniform_loss + rise / 2
    )
