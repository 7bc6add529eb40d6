"""Temporary: replaced at the merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Field:
    name: str
    width: int = 1


@dataclass(frozen=True)
class Schema:
    inputs: tuple[Field, ...]
    steps: tuple[Field, ...]
    ends: bool = False
    missing: str = "symbol"

    @property
    def length(self) -> int:
        return len(self.steps)

    @property
    def columns(self) -> int:
        return sum(f.width for f in self.steps)

    @property
    def input_length(self) -> int:
        return len(self.inputs)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(f.width for f in self.steps)

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.widths)]).astype(np.int64)

    def column_orders(self, orders: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if self.columns == self.length:
            return orders
        offsets = self.offsets
        return np.array(
            [np.concatenate([np.arange(offsets[s], offsets[s + 1]) for s in order]) for order in orders]
        )

    def reordered(self, order: npt.NDArray[np.int64]) -> Schema:
        return Schema(self.inputs, tuple(self.steps[s] for s in order), self.ends, self.missing)
