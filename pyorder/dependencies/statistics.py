"""Precedence: how much less a step loses when another step is emitted before it.

==========  ================  =====================================================================
symbol      shape             meaning
==========  ================  =====================================================================
L                             steps
S                             samples: an evidence row in a random order and in the reverse of it
orders      (S, L) int64      uniformly random; ``order[j]`` is the step at slot j
rows        (S,) int64        the evidence row of each sample
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
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyorder._values import ByContents
from pyorder.execution import row_slices

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

    Examples
    --------
    >>> round(z_threshold(0.01, tests=13 * 12), 2)
    3.83
    """
    return NormalDist().inv_cdf(1 - error_rate / max(1, tests))


def pairs(length: int) -> int:
    """Number of pairs (before, after) that are tested in a round."""
    return max(1, length * (length - 1))


def mean_and_error(values: Floats, cluster: Ints | None = None) -> tuple[float, float]:
    """Mean of (N,) values and its standard error, robust to values of one cluster going together.

    Examples
    --------
    >>> mean_and_error(np.repeat([1.0, 3.0], 8))
    (2.0, 0.25)
    >>> mean_and_error(np.repeat([1.0, 3.0], 8), np.repeat(np.arange(4), 4))
    (2.0, 0.5)
    """
    apart = values - values.mean()
    if cluster is not None:
        apart = np.bincount(np.unique(cluster, return_inverse=True)[1], apart)
    return float(values.mean()), float(np.sqrt((apart**2).sum())) / len(values)


def measure(losses: Floats, orders: Ints, rows: Ints, seed: int, device: torch.device = CPU) -> FirstLook:
    """Take the first look at all pairs, by sums that are made on ``device``; see this module's notes.

    Examples
    --------
    >>> orders = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    >>> losses = np.zeros((4, 2, 2))
    >>> losses[:, :, 1] = [[0.1, 1.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.0]]  # step 1 needs step 0
    >>> measure(losses, orders, np.arange(4), seed=0).benefit.round(2) + 0.0
    array([[0.  , 0.95],
           [0.  , 0.  ]])
    """
    length = losses.shape[2]
    every = np.arange(length)
    saved = torch.from_numpy(losses[:, 1] - losses[:, 0]).to(device)
    slots = torch.from_numpy(np.argsort(orders, axis=1)).to(device)
    clusters = Clusters.of(rows, device)
    found, found_error = _first_look(saved, slots, clusters, every)
    rng = np.random.default_rng(seed)
    scores: list[npt.NDArray[np.float64]] = []
    # With few steps all of them several times, with many some of them once.
    steps = (
        rng.permutation(length)[: max(1, -(-CHANCE_PAIRS // max(1, length - 1)))] if length > FEW_STEPS else every
    )
    for _ in range(-(-CHANCE_PAIRS // max(1, len(steps) * (length - 1)))):
        shuffled = slots[torch.from_numpy(rng.permutation(len(rows))).to(device)]
        null, null_error = _first_look(saved, shuffled, clusters, steps)
        known = (null_error > 0) & np.isfinite(null_error)
        scores.append(null[known] / null_error[known])
    squares = np.concatenate(scores) ** 2
    inflation = float(np.sqrt(squares.mean())) if len(squares) else 1.0
    return FirstLook(
        benefit=found,
        standard_error=found_error * max(1.0, inflation),
        step_loss=losses.mean((0, 1)),
        samples=len(rows),
        inflation=inflation,
    )


def predecessors(
    step: int,
    look: FirstLook,
    losses: Floats,
    orders: Ints,
    rows: Ints,
    *,
    share: float,
    threshold: float,
    floor: float,
    device: torch.device = CPU,
) -> list[Support]:
    """Gather the predecessors of one step by the joint fit; see this module's notes.

    Parameters
    ----------
    look : of the same samples, by `measure`
    share : a benefit counts from this share of the loss that the step still has
    threshold : z-score that counts, see `z_threshold`
    floor : loss, in nats, at which nothing is left to explain
    device : that makes the sums
    """
    slots = np.argsort(orders, axis=1)
    widen = max(1.0, look.inflation)
    benefit, error = look.benefit[:, step], look.standard_error[:, step]
    remaining = float(look.step_loss[step])
    found: list[int] = []
    while remaining > floor:
        sure = benefit - threshold * error > share * remaining
        sure[[step, *found]] = False
        if not sure.any():
            break
        found.append(int(np.argmax(np.where(sure, benefit, -np.inf))))
        seen = _with_all_before(step, found, losses, slots, rows)
        remaining = float(seen[0].mean()) if len(seen[0]) else 0.0
        benefit, error = _context_fit(*seen, len(orders[0]), [step, *found], device)
        error = error * widen
    supports = []
    for before in found:
        others = [other for other in found if other != before]
        if others:
            seen = _with_all_before(step, others, losses, slots, rows)
            remaining = float(seen[0].mean())
            benefit, error = _context_fit(*seen, len(orders[0]), [step, *others], device)
            error = error * widen
        else:
            benefit, error = look.benefit[:, step], look.standard_error[:, step]
            remaining = float(look.step_loss[step])
        z = (benefit[before] - share * remaining) / max(error[before], 1e-12)
        if z > threshold:
            supports.append(Support(before, step, float(benefit[before]), float(error[before]), float(z)))
    return supports


@dataclass(frozen=True)
class Clusters:
    """Which samples are of one row: (S,) numbers from 0 on, and how many there are."""

    of_sample: Tensor
    count: int

    @staticmethod
    def of(rows: Ints, device: torch.device) -> Clusters:
        """Number the rows."""
        names, cluster = np.unique(rows, return_inverse=True)
        return Clusters(torch.from_numpy(cluster).to(device), len(names))


def _first_look(saved: Tensor, slots: Tensor, clusters: Clusters, steps: Ints) -> tuple[Floats, Floats]:
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


def _with_all_before(
    step: int, required: list[int], losses: Floats, slots: Ints, rows: Ints
) -> tuple[Floats, npt.NDArray[np.bool_], Ints]:
    """Samples in which all ``required`` steps stand before ``step``: its loss, who stands before it, the row."""
    loss, before, row = [], [], []
    for side in (0, 1):  # the order, and its reverse
        ahead = slots < slots[:, step : step + 1] if side == 0 else slots > slots[:, step : step + 1]
        use = ahead[:, required].all(1)
        loss.append(losses[use, side, step])
        before.append(ahead[use])
        row.append(rows[use])
    return np.concatenate(loss), np.concatenate(before), np.concatenate(row)


def _context_fit(
    loss: Floats, before: npt.NDArray[np.bool_], rows: Ints, length: int, skip: list[int], device: torch.device
) -> tuple[Floats, Floats]:
    """Benefit (L,) of each step beside those required, and its error; infinite where it cannot be told."""
    benefit, error = np.zeros(length), np.full(length, np.inf)
    free = np.setdiff1d(np.arange(length), skip)
    if len(free) and len(loss):
        design = np.concatenate([np.ones((len(loss), 1)), before[:, free]], axis=1)
        wanted, known = (torch.from_numpy(array).to(device) for array in (-loss[None], design[None]))
        fitted, fitted_error = _least_squares(wanted, known, Clusters.of(rows, device), design.shape[1])
        benefit[free], error[free] = fitted[0, 1:].cpu().numpy(), fitted_error[0, 1:].cpu().numpy()
    return benefit, error


def _least_squares(wanted: Tensor, design: Tensor, clusters: Clusters, parameters: int) -> tuple[Tensor, Tensor]:
    """Coefficients (B, P) of wanted (B, S) in design (B, S, P), and their standard errors.

    Those are robust and clustered by row; infinite where rows are too few for so many ``parameters``.
    """
    batch, samples, columns = design.shape
    if clusters.count <= parameters + 1:
        return design.new_zeros(batch, columns), design.new_full((batch, columns), math.inf)
    gram = design.mT @ design
    gram.diagonal(dim1=1, dim2=2).add_(1e-9 * samples)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    fitted = inverse @ (design.mT @ wanted[:, :, None])
    scores = design * (wanted[:, :, None] - design @ fitted)
    if clusters.count < samples:
        scores = design.new_zeros(batch, clusters.count, columns).index_add_(1, clusters.of_sample, scores)
    variance = (scores @ inverse).square().sum(1) * clusters.count / (clusters.count - parameters)
    return fitted[:, :, 0], variance.sqrt()
