"""Precedence: how much less a step loses when another step is emitted before it.

==========  ================  =====================================================================
symbol      shape             meaning
==========  ================  =====================================================================
L                             steps
S                             samples: an evidence row in a random order and in the reverse of it
orders      (S, L) int64      uniformly random; ``order[j]`` is the step at slot j
rows        (S,) int64        the evidence row of each sample; equal where rows are not independent
losses      (S, 2, L)         nats by canonical step, in the order and in its reverse
before      (L, L) entries    ``[j, i]``: about step j standing before step i
==========  ================  =====================================================================

*First look.* A step j stands before i in exactly one of an order and its reverse. In the difference of the two
losses of step i whatever is special about the row cancels, and each j contributes its benefit with sign +1 or -1.
Least squares over all j at once gives the benefits; errors are robust to unequal variances and clustered by row.

*Joint fit.* Ancestors, descendants and siblings of a step tell about it too, as long as its own predecessors are
missing. So the predecessors of i are gathered one by one: the step of largest significant benefit, then, in the
samples where it stands before i, the next, while there is loss left to explain. At the end each one is tested
again with the others before i; that benefit is what is reported. Steps that are needed together show in the first
look, since chance brings d of them before i once in d + 1.

*Significant* means: benefit minus ``share`` of the loss that i still has is positive at a family-wise error rate
over all L (L - 1) pairs (Bonferroni). Standard errors are widened by what chance gives when orders are reassigned
between rows, if that is more than they say.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyorder._statistics import standard_error
from pyorder._values import ByContents
from pyorder.execution import row_slices
from pyorder.streams import nested

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CPU = torch.device("cpu")

# Pairs at least by which the z-scores of chance are gauged, and up to how many steps all steps are taken for it.
CHANCE_PAIRS = 400
FEW_STEPS = 20
NUMBERS_AT_ONCE = {"cpu": 2**18, "cuda": 2**25}  # of a design: what a cache holds, or what fills a GPU
# Below this share of a step's entropy there is nothing left to explain. Where the input tells the step, so that it
# is down there in any order, the second one is the floor.
EXPLAINED, FINE = 0.05, 0.0025


@dataclass(frozen=True, eq=False)
class Evidence:
    """What samples lost in their orders and in the reverses; sums over them are made on ``device``."""

    losses: Floats
    orders: Ints
    rows: Ints
    device: torch.device = CPU

    @staticmethod
    def together(parts: Sequence[Evidence]) -> Evidence:
        """The samples of several."""
        losses, orders, rows = zip(*((part.losses, part.orders, part.rows) for part in parts), strict=True)
        return Evidence(np.concatenate(losses), np.concatenate(orders), np.concatenate(rows), parts[0].device)

    @property
    def length(self) -> int:
        """L."""
        return int(self.orders.shape[1])

    @cached_property
    def lost(self) -> Tensor:
        """The losses, on the device."""
        return torch.from_numpy(self.losses).to(self.device)

    @cached_property
    def slots(self) -> Tensor:
        """(S, L) the slot of each step, on the device."""
        return torch.from_numpy(np.argsort(self.orders, axis=1)).to(self.device)

    @cached_property
    def clusters(self) -> Tensor:
        """(S,) int64, the rows numbered from 0 on, on the device."""
        return torch.from_numpy(np.unique(self.rows, return_inverse=True)[1]).to(self.device)


@dataclass(frozen=True, eq=False)
class FirstLook(ByContents):
    """The first look: what each step is worth to each other, one pair at a time.

    Attributes
    ----------
    benefit : (L, L) float64, nats; ``benefit[j, i]`` is how much less i loses with j before it. Diagonal 0.
    standard_error : (L, L) float64, nats
    step_loss : (L,) float64, mean loss of each step under uniformly random orders, nats
    samples : pairs of an order and its reverse behind each number
    inflation : standard deviation of the z-scores that chance gives, where 1 is expected
    """

    benefit: Floats
    standard_error: Floats
    step_loss: Floats
    samples: int
    inflation: float


@dataclass(frozen=True)
class Support:
    """What speaks for one predecessor of a step: its benefit beside the step's other predecessors.

    Attributes
    ----------
    before, after : steps
    benefit, standard_error : nats
    z : how many standard errors the benefit lies above the share of loss that it has to exceed
    """

    before: int
    after: int
    benefit: float
    standard_error: float
    z: float


def z_threshold(error_rate: float, tests: int) -> float:
    """Return the z-score that chance exceeds anywhere among ``tests`` tests with probability ``error_rate``.

    Of a normal distribution: with few rows, or groups, hardly more than L, errors are told badly, and the rate is
    two to four times as high. At L = 5, 6 to 8 rows had 0.033 to 0.037 in place of 0.01, and 30 to 100 rows 0.010.

    Examples
    --------
    >>> round(z_threshold(0.01, tests=13 * 12), 2)
    3.83
    """
    # Of the tail itself: one minus a small probability is one.
    return -NormalDist().inv_cdf(max(error_rate / max(1, tests), sys.float_info.min))


def pairs(length: int) -> int:
    """Number of pairs (before, after) that are tested in a round."""
    return max(1, length * (length - 1))


def mean_and_error(values: Floats, cluster: Ints | None = None) -> tuple[float, float]:
    """Mean of (N,) values and its standard error, robust to values of one cluster going together.

    Infinite for one value, or one cluster, which leave it unknown.

    Examples
    --------
    >>> mean_and_error(np.array([1.0, 3.0]))
    (2.0, 1.0)
    >>> mean_and_error(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    (2.0, 1.0)
    >>> mean_and_error(np.array([1.0, 3.0]), np.array([4, 4]))
    (2.0, inf)
    """
    error = float(standard_error(values, cluster))
    return float(values.mean()), math.inf if math.isnan(error) else error


def difference(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The difference of two independent means, and its error.

    Examples
    --------
    >>> difference((2.0, 0.3), (0.5, 0.4))
    (1.5, 0.5)
    """
    return one[0] - other[0], float(np.hypot(one[1], other[1]))


def measure(evidence: Evidence, seed: int) -> FirstLook:
    """Take the first look at all pairs; see this module's notes.

    Examples
    --------
    >>> orders = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    >>> losses = np.zeros((4, 2, 2))
    >>> losses[:, :, 1] = [[0.1, 1.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.0]]  # step 1 needs step 0
    >>> measure(Evidence(losses, orders, np.arange(4)), seed=0).benefit.round(2) + 0.0
    array([[0.  , 0.95],
           [0.  , 0.  ]])
    """
    length, slots = evidence.length, evidence.slots
    saved = evidence.lost[:, 1] - evidence.lost[:, 0]
    steps = np.arange(length)
    found, found_error = _first_look(saved, slots, evidence.clusters, steps)
    rng = nested(seed)
    scores: list[npt.NDArray[np.float64]] = []
    if length > FEW_STEPS:  # all of few steps several times, some of many once
        steps = rng.permutation(length)[: -(-CHANCE_PAIRS // (length - 1))]
    for _ in range(-(-CHANCE_PAIRS // max(1, len(steps) * (length - 1)))):
        shuffled = slots[torch.from_numpy(rng.permutation(len(slots))).to(slots.device)]
        null, null_error = _first_look(saved, shuffled, evidence.clusters, steps)
        known = (null_error > 0) & np.isfinite(null_error)
        scores.append(null[known] / null_error[known])
    squares = np.concatenate(scores) ** 2
    inflation = float(np.sqrt(squares.mean())) if len(squares) else 1.0
    return FirstLook(
        benefit=found,
        standard_error=found_error * max(1.0, inflation),
        step_loss=evidence.losses.mean((0, 1)),
        samples=len(slots),
        inflation=inflation,
    )


def predecessors(
    step: int,
    look: FirstLook,
    evidence: Evidence,
    *,
    share: float,
    threshold: float,
    floor: float,
    without: Collection[int] = (),
) -> list[Support]:
    """Gather the predecessors of one step by the joint fit; see this module's notes.

    Parameters
    ----------
    look : of the same evidence, by `measure`
    share : a benefit counts from this share of the loss that the step still has
    threshold : z-score that counts, see `z_threshold`
    floor : loss, in nats, at which nothing is left to explain
    without : steps that are to be none of them
    """
    widen = max(1.0, look.inflation)

    def beside(required: list[int]) -> tuple[float, Floats, Floats]:
        """With ``required`` before the step: its loss, and the benefit of every other step with its error."""
        if not required:
            return float(look.step_loss[step]), look.benefit[:, step], look.standard_error[:, step]
        remaining, benefit, error = _context_fit(step, required, evidence)
        return remaining, benefit, error * widen

    found: list[int] = []
    remaining, benefit, error = beside(found)
    while remaining > floor:
        sure = benefit - threshold * error > share * remaining
        sure[[step, *found, *without]] = False
        if not sure.any():
            break
        found.append(int(np.argmax(np.where(sure, benefit, -np.inf))))
        remaining, benefit, error = beside(found)
    supports = []
    for before in found:
        remaining, benefit, error = beside([other for other in found if other != before])
        z = (benefit[before] - share * remaining) / max(error[before], 1e-12)
        if z > threshold:
            supports.append(Support(before, step, float(benefit[before]), float(error[before]), float(z)))
    return supports


def loss_behind(
    step: int, before: list[int], evidence: Evidence, *, ahead_of: int | None = None
) -> tuple[float, float]:
    """Mean loss of a step that stands behind the steps ``before``, and ahead of another if so wanted; its error.

    Infinite where there is no such sample.

    Examples
    --------
    >>> losses = np.array([[[0.5, 1.0, 0.0], [0.1, 0.2, 0.3]]] * 2)
    >>> evidence = Evidence(losses, np.array([[2, 1, 0], [1, 2, 0]]), np.arange(2))
    >>> loss_behind(1, [2], evidence)[0], loss_behind(1, [0], evidence, ahead_of=2)[0]
    (0.6, 0.2)
    """
    ahead = evidence.slots < evidence.slots[:, step : step + 1]
    wanted = ahead[:, before]
    here, back = wanted.all(1), ~wanted.any(1)  # in the order, and in its reverse
    if ahead_of is not None:
        here, back = here & ~ahead[:, ahead_of], back & ahead[:, ahead_of]
    loss = torch.cat([evidence.lost[here, 0, step], evidence.lost[back, 1, step]]).cpu().numpy()
    rows = torch.cat([evidence.clusters[here], evidence.clusters[back]]).cpu().numpy()
    return mean_and_error(loss, rows) if len(loss) else (math.inf, math.inf)


def _first_look(saved: Tensor, slots: Tensor, clusters: Tensor, steps: Ints) -> tuple[Floats, Floats]:
    """Benefits and their errors, columns for ``steps`` only: (L, steps) each."""
    samples, length = slots.shape
    benefit, error = (np.empty((length, len(steps))) for _ in range(2))
    for part in row_slices(len(steps), samples * length, NUMBERS_AT_ONCE[slots.device.type]):
        some = torch.from_numpy(steps[part]).to(slots.device)
        # +1: stands before the step. The step itself is a column of zeros, which takes part in nothing.
        signs = torch.sign(slots.T[some, :, None] - slots).double()  # (steps, S, L)
        fitted, fitted_error = _least_squares(saved.T[some], signs, clusters, length - 1)
        benefit[:, part], error[:, part] = fitted.T.cpu().numpy(), fitted_error.T.cpu().numpy()
    benefit[steps, np.arange(len(steps))] = error[steps, np.arange(len(steps))] = 0.0
    return benefit, error


def _context_fit(step: int, required: list[int], evidence: Evidence) -> tuple[float, Floats, Floats]:
    """In the samples in which all ``required`` steps stand before ``step``: its mean loss, and benefits (L,).

    Benefits have errors, infinite where they cannot be told.
    """
    length = evidence.length
    ahead = evidence.slots < evidence.slots[:, step : step + 1]
    wanted = torch.tensor(required, device=ahead.device)
    there = ahead.index_select(1, wanted)
    here, back = (torch.nonzero(use)[:, 0] for use in (there.all(1), ~there.any(1)))  # the order, and its reverse
    loss = torch.cat([evidence.lost[here, 0, step], evidence.lost[back, 1, step]])
    if not len(loss):
        return 0.0, np.zeros(length), np.full(length, np.inf)
    design = torch.cat([ahead[here], ~ahead[back]]).double()
    design.index_fill_(1, wanted, 0.0)
    design[:, step] = 1.0  # what is lost without any other
    clusters = torch.unique(torch.cat([evidence.clusters[here], evidence.clusters[back]]), return_inverse=True)[1]
    fitted, fitted_error = _least_squares(-loss[None], design[None], clusters, length - len(required))
    benefit, error = fitted[0].cpu().numpy(), fitted_error[0].cpu().numpy()
    benefit[[step, *required]], error[[step, *required]] = 0.0, np.inf
    return float(loss.mean()), benefit, error


def _least_squares(wanted: Tensor, design: Tensor, clusters: Tensor, parameters: int) -> tuple[Tensor, Tensor]:
    """Coefficients (B, P) of wanted (B, S) in design (B, S, P), and their standard errors.

    Those are robust and clustered by row; infinite where rows are too few for so many ``parameters``.
    """
    batch, samples, columns = design.shape
    count = int(clusters.max()) + 1
    if count <= parameters + 1:
        return design.new_zeros(batch, columns), design.new_full((batch, columns), math.inf)
    gram = design.mT @ design
    gram.diagonal(dim1=1, dim2=2).add_(1e-9 * samples)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    fitted = inverse @ (design.mT @ wanted[:, :, None])
    scores = design * (wanted[:, :, None] - design @ fitted)
    if count < samples:
        scores = design.new_zeros(batch, count, columns).index_add_(1, clusters, scores)
    variance = (scores @ inverse).square().sum(1) * count / (count - parameters)
    return fitted[:, :, 0], variance.sqrt()
