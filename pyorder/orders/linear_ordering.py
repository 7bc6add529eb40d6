"""Linear ordering: given what it is worth to emit one step before another, find the order worth most.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
L                              number of steps; 1 to 65,535
weights    (L, L) numbers      ``weights[p, i]`` is earned when p comes before i; the diagonal is ignored
order      (L,) int64          ``order[j]`` is the canonical step emitted at slot j
orders     (T, L) integers     one order a row
value      float64             the sum of ``weights[order[a], order[b]]`` over slots a < b
=========  ==================  =====================================================================

Weights are integers or floats, in arrays, tensors or lists, and are computed with as float64: one that is not
finite, or a sum of magnitudes that overflows, is a ValueError. Orders are checked as in pyorder.permutations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from pyorder import _core
from pyorder._checks import MAX_SEED, check_integer, integer_array
from pyorder._values import ByContents
from pyorder.orders.permutations import MAX_LENGTH

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["LinearOrdering", "solve", "solve_exact", "value"]

MAX_EXACT_LENGTH: int = _core.linear_ordering.max_exact_length


@dataclass(frozen=True, eq=False)
class LinearOrdering(ByContents):
    """An order and its value.

    Attributes
    ----------
    order : (L,) int64
    value : float, the sum of ``weights[order[a], order[b]]`` over slots a < b
    """

    order: NDArray[np.int64]
    value: float


def solve(weights: ArrayLike, *, restarts: SupportsIndex = 8, seed: SupportsIndex = 0) -> LinearOrdering:
    """Return an order of high value: the best of ``restarts`` local searches, each from a random order.

    A search moves single steps to where they are worth most, again and again exchanges random steps and mends
    the order by such moves (iterated local search: Schiavinotto and Stützle, 2004), and ends where no move
    of a step or of a block of neighbouring steps gains. The result depends on the weights and the seed only.
    Labels do not count: of orders that are worth the same, none is preferred for the labels of its steps.

    Examples
    --------
    >>> solve([[0, 3, 0], [1, 0, 2], [1, 0, 0]])
    LinearOrdering(order=array([0, 1, 2]), value=5.0)
    """
    array = _check_weights(weights)
    restarts = check_integer(restarts, "restarts", 1, 2**32)
    seed = check_integer(seed, "seed", 0, MAX_SEED)
    return _with_value(array, _core.linear_ordering.solve(array, restarts, seed))


def solve_exact(weights: ArrayLike) -> LinearOrdering:
    """Return an order of the highest value, by dynamic programming over sets of steps: up to 16 steps.

    Which of several such orders is returned is not specified. Takes 2^L numbers (Held and Karp, 1962).

    Raises
    ------
    ValueError
        Above 16 steps.

    Examples
    --------
    >>> solve_exact([[0, 3, 0], [1, 0, 2], [1, 0, 0]])
    LinearOrdering(order=array([0, 1, 2]), value=5.0)
    """
    array = _check_weights(weights)
    if len(array) > MAX_EXACT_LENGTH:
        raise ValueError(f"weights: solve_exact takes up to {MAX_EXACT_LENGTH} steps, got {len(array)}; see solve")
    return _with_value(array, _core.linear_ordering.solve_exact(array))


def value(weights: ArrayLike, orders: ArrayLike) -> NDArray[np.float64]:
    """Return the values of orders (T, L): for each the sum of ``weights[order[a], order[b]]`` over a < b: (T,).

    Examples
    --------
    >>> value([[0, 3, 0], [1, 0, 2], [1, 0, 0]], [[0, 1, 2], [2, 1, 0]])
    array([5., 2.])
    """
    return _core.linear_ordering.value(_check_weights(weights), integer_array(orders, "orders"))


def _with_value(weights: NDArray[np.float64], order: NDArray[np.int64]) -> LinearOrdering:
    return LinearOrdering(order, float(_core.linear_ordering.value(weights, order[None])[0]))


def _check_weights(weights: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy with zeros on the diagonal, or say what is wrong."""
    try:
        given = np.asarray(weights)
    except ValueError:
        raise ValueError("weights: expected rows of equal length, got a ragged sequence") from None
    except (TypeError, RuntimeError) as error:  # a tensor on a device, with a gradient, or of a type NumPy lacks
        raise TypeError(f"weights: expected numbers that NumPy can read: {error}") from None
    if given.dtype.kind not in "iuf":
        raise TypeError(f"weights: expected numbers, got {given.dtype} of shape {given.shape}")
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not 1 <= len(given) <= MAX_LENGTH:
        raise ValueError(f"weights: expected shape (L, L), L from 1 to {MAX_LENGTH}, got {given.shape}")
    array = np.array(given, dtype=np.float64, order="C")
    np.fill_diagonal(array, 0)
    if not np.isfinite(array).all():
        before, after = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"weights: expected finite numbers, got {array[before, after]} at row {before}, column {after}"
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(np.abs(array).sum()):
            raise ValueError("weights: the sum of their magnitudes overflows float64")
    return array
