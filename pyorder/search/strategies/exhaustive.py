"""Every order there is, in one profiling run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer
from pyorder.orders.posets import Poset
from pyorder.search._pools import count_up_to
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy

LONGEST = 7
MOST = math.factorial(LONGEST)


@dataclass(frozen=True)
class Exhaustive(Strategy):
    """Profile all orders together, then the best of them once more among themselves; for L! up to 7!.

    The second, smaller run is what decides: the fewer orders share the model, the more it learns of each.

    Attributes
    ----------
    finalists : how many orders the second run compares; 1 leaves it out, as published

    Examples
    --------
    >>> Exhaustive().pools(Poset(5))
    [120, 32]
    """

    name: ClassVar[str] = "exhaustive"
    finalists: int = 32

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        check_integer(self.finalists, "finalists", 1)

    def pools(self, constraints: Poset) -> list[int]:
        """One run of all orders, one of the finalists."""
        orders = count_up_to(constraints, MOST + 1)
        if orders > MOST:
            told = "; the constraints allow more" if len(constraints.edges) else ""
            raise ValueError(
                f"strategy: 'exhaustive' searches at most {MOST:,} orders, all of {LONGEST} steps; the data has "
                f"{constraints.length}{told}"
            )
        finalists = min(self.finalists, orders)
        return [orders] + ([finalists] if finalists > 1 else [])

    def search(self, laboratory: Laboratory) -> npt.NDArray[np.int64]:
        """Find the order of lowest loss."""
        # Places in the pool are drawn at random, so that being the first order in the alphabet means nothing.
        orders = laboratory.rng.permutation(laboratory.constraints.sorts())
        result = laboratory.profile(orders, "all orders")
        if self.finalists > 1 and len(orders) > 1:
            result = laboratory.profile(result.orders[result.ranking[: self.finalists]], "finalists")
        return result.best
