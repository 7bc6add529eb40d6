"""The family of search strategies.

A strategy proposes pools of orders to a `Laboratory`. Losses of two runs do not compare, so a strategy that wants
to compare winners of different runs proposes them together once more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.errors import InputError
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search.laboratory import Laboratory

MOST = 10_000_000  # of whatever an option counts


class Strategy(ABC):
    """A way to search. Subclasses are frozen dataclasses whose fields are their options."""

    name: ClassVar[str]

    @property
    def uses_data_order(self) -> bool:
        """Whether the strategy is told the order that the data came in."""
        return False

    @abstractmethod
    def pools(self, constraints: Poset) -> list[int]:
        """Number of candidates in each profiling run to come, at most; for estimates of the time left.

        Searched are the topological sorts of ``constraints``: all L! orders where it has no edges.

        Raises
        ------
        ValueError
            If the strategy cannot search orders of this length, or so many.
        """

    def exploration_cost(self) -> Cost:
        """What is spent beside the runs of `pools`, as far as can be foreseen; for estimates of the time left."""
        return Cost()

    @abstractmethod
    def search(self, laboratory: Laboratory) -> npt.NDArray[np.int64]:
        """Find an order (L,); a `BudgetSpentError` from the laboratory may pass through."""


def check_sizes(strategy: Strategy) -> None:
    """Refuse numbers among a strategy's options that nothing could be done so often for."""
    names: list[str] = [field.name for field in fields(strategy)] if is_dataclass(strategy) else []
    for name in names:
        value = getattr(strategy, name)
        if isinstance(value, int) and value > MOST:
            raise InputError(f"{name}: expected an integer of at most {MOST:,}, got {value}")


def check_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False; text such as "no" would count as True."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected true or false, got {value!r}")


def check_temperatures(hot: float, cold: float) -> None:
    """Refuse temperatures that are not positive, or that rise."""
    for name, value in (("hot", hot), ("cold", cold)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a positive number, got {value!r}")
    if cold > hot:
        raise ValueError(f"cold: expected at most hot={hot}, got {cold}")
