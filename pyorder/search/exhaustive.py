"""Every order there is, in one profiling run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer
from pyorder.permutations import lexicographic
from pyorder.search._base import Laboratory, Strategy

LONGEST = 7


@dataclass(frozen=True)
class Exhaustive(Strategy):
    """Profile all L! orders together, then the best of them once more among themselves; for L up to 7.

    The second, smaller run is what decides: the fewer orders share the model, the more it learns of each.

    Attributes
    ----------
    finalists : how many orders the second run compares; 1 leaves it out, as published

    Examples
    --------
    >>> Exhaustive().pools(5)
    [120, 32]
    """

    name: ClassVar[str] = "exhaustive"
    finalists: int = 32

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        check_integer(self.finalists, "finalists", 1)

    def pools(self, length: int) -> list[int]:
        """One run of L! candidates, one of the finalists."""
        if length > LONGEST:
            raise ValueError(f"strategy: 'exhaustive' searches at most {LONGEST} steps, the data has {length}")
        finalists = min(self.finalists, math.factorial(length))
        return [math.factorial(length)] + ([finalists] if finalists > 1 else [])

    def search(self, laboratory: Laboratory) -> npt.NDArray[np.int64]:
        """Find the order of lowest loss."""
        orders = lexicographic(laboratory.length)
        # Places in the pool are drawn at random, so that being the first order in the alphabet means nothing.
        result = laboratory.profile(laboratory.rng.permutation(orders), "all orders")
        if self.finalists > 1:
            result = laboratory.profile(result.orders[result.ranking[: self.finalists]], "finalists")
        return result.best
