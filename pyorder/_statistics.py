"""How far chance may be off: standard errors and intervals, of single values and of clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Clusters = npt.NDArray[np.integer[Any]]

Z95 = 1.959963984540054  # standard errors that half of a 95 % interval is wide


def standard_error(values: npt.NDArray[np.floating[Any]], clusters: Clusters | None = None) -> Floats:
    """Standard error of the mean over axis 0; with clusters rows of one may depend on each other. NaN for one.

    Examples
    --------
    >>> standard_error(np.array([[1.0], [3.0]])).tolist()
    [1.0]
    >>> standard_error(np.array([[1.0], [1.0], [3.0], [3.0]]), np.array([0, 0, 1, 1])).tolist()
    [1.0]
    """
    if clusters is not None:
        numbers, of = np.unique(clusters, return_inverse=True)
        sums = np.zeros((len(numbers), *values.shape[1:]))
        np.add.at(sums, of, values - values.mean(0, dtype=np.float64))
        return standard_error(sums) * len(sums) / len(values)
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan)
    error: Floats = values.std(0, ddof=1, dtype=np.float64) / np.sqrt(len(values))
    return error


def mean_interval(values: npt.NDArray[np.floating[Any]], clusters: Clusters | None = None) -> tuple[float, float]:
    """95 % interval of the mean of values (N,), by the normal approximation.

    Without bounds where there is one value or cluster, and NaN where a value is not finite.

    Examples
    --------
    >>> low, high = mean_interval(np.array([1.0, 3.0]))
    >>> round(low, 2), round(high, 2)
    (0.04, 3.96)
    """
    if not np.isfinite(values).all():
        return math.nan, math.nan
    mean, error = float(values.mean(dtype=np.float64)), float(standard_error(values, clusters))
    if math.isnan(error):
        return -math.inf, math.inf
    return mean - Z95 * error, mean + Z95 * error


def share_interval(right: npt.NDArray[np.bool_], clusters: Clusters | None = None) -> tuple[float, float]:
    """95 % score interval of the share that is true of (N,) (Wilson 1927).

    With clusters N is the number of independent ones that would be as sure (the effective sample size of Korn and
    Graubard 1998), N at most; of all or none, and of one cluster, which have no variance, the number of clusters.

    Examples
    --------
    >>> low, high = share_interval(np.arange(100) < 95)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    >>> low, high = share_interval(np.arange(100) < 95, np.arange(100) // 5)
    >>> round(low, 3), round(high, 3)
    (0.757, 0.991)
    """
    share, trials = float(right.mean()), float(len(right))
    if clusters is not None:
        variance = float(standard_error(right.astype(np.float64), clusters)) ** 2
        if share in (0, 1) or math.isnan(variance):
            trials = float(len(np.unique(clusters)))
        elif variance > 0:
            trials = min(trials, share * (1 - share) / variance)
    centre = (share * trials + Z95**2 / 2) / (trials + Z95**2)
    half = Z95 * math.sqrt(trials * share * (1 - share) + Z95**2 / 4) / (trials + Z95**2)
    return max(0.0, centre - half), min(1.0, centre + half)
