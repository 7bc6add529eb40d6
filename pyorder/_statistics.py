"""How far chance may be off: standard errors, of single values and of clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def standard_error(
    values: npt.NDArray[np.floating[Any]], clusters: npt.NDArray[np.integer[Any]] | None = None
) -> Floats:
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
