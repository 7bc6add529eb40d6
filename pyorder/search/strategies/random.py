"""Orders drawn uniformly at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer, check_rows
from pyorder.orders.posets import Poset
from pyorder.search._pools import count_up_to
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Profile distinct random orders, pool by pool; the best of every pool meet in one last run.

    Attributes
    ----------
    candidates : how many orders to draw, at most all there are; fewer are profiled when the budget ends first
    pool : how many of them share a profiling run
    finalists : how many of the best of each pool go to the last run

    Examples
    --------
    >>> Random(candidates=300, pool=128, finalists=8).pools(Poset(10))
    [128, 128, 44, 24]
    """

    name: ClassVar[str] = "random"
    candidates: int = 1024
    pool: int = 256
    finalists: int = 8

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("candidates", "pool", "finalists"):
            check_integer(getattr(self, option), option, 1)

    def pools(self, constraints: Poset) -> list[int]:
        """The pools, and the last run of their best."""
        count = count_up_to(constraints, self.candidates)
        check_rows(count, constraints.length, "candidates")
        sizes = [min(self.pool, count - start) for start in range(0, count, self.pool)]
        last = [sum(min(self.finalists, size) for size in sizes)] if len(sizes) > 1 else []
        return sizes + last

    def search(self, laboratory: Laboratory) -> npt.NDArray[np.int64]:
        """Find the best of the drawn orders."""
        sizes = self.pools(laboratory.constraints)
        last = sizes.pop() if len(sizes) > 1 else 0
        pools = laboratory.draw_pools(sizes)
        best: list[npt.NDArray[np.int64]] = []
        for number, size in enumerate(sizes):
            # The last run is kept in reserve: without it the winners of two pools could not be compared.
            reserve = [min(last, self.finalists * (number + 1))] if number else []
            if number and not laboratory.affords(size, *reserve):
                laboratory.curtail()
                break
            result = laboratory.profile(next(pools), f"pool {number + 1} of {len(sizes)}")
            best.append(result.orders[result.ranking[: self.finalists]])
        if len(best) > 1:
            result = laboratory.profile(np.concatenate(best), "best of every pool")
        return result.best
