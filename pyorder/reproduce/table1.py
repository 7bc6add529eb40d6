"""Table 1: success rates of final training, in the forward order and in its reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIRECTIONS = ("forward", "reverse")


@dataclass(frozen=True)
class Table1(Study):
    """Final training in both directions.

    Attributes
    ----------
    longest : published rows of longer targets are not run
    seeds : how many, each with data of its own
    """

    name: ClassVar[str] = "table1"
    title: ClassVar[str] = "Final training: forward against reverse"
    claim: ClassVar[str] = "a model learns a target in the forward order and not in its reverse"
    claimed: ClassVar[str] = "62.3 to 100 % forward, 0.0 to 9.8 % in reverse"
    criterion: ClassVar[str] = "success in the forward order is at least 50 points above the reverse, seeds' means"
    longest: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A published row, a direction and a seed each."""
        return base.published_cells(self.name, self.longest, self.seeds, "direction", DIRECTIONS)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Train on the direction and test."""
        from pyorder.training import fit

        splits = base.splits_of(cell, self.sizes)
        order = np.arange(cell["length"])[:: 1 if cell["direction"] == "forward" else -1]
        return base.fit_result(fit(splits.train, order, test=splits.test, seed=cell["seed"], **self.sizes.fitting))

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every published row, with ours beside it."""
        lines = []
        for row in base.published(self.name):
            line = [base.task_name(row)]
            for direction in DIRECTIONS:
                ours = base.select(rows, **base.published_cell(row), direction=direction)
                rates = [one["result"]["success_rate"] for one in ours]
                line += [base.over_seeds(rates, " %", scale=100), f"{row[direction]:g} %"]
            lines.append(line)
        columns = ("task", ">forward", ">published", ">reverse", ">published")
        return [Table("Success rate: mean over seeds, with the range.", columns, lines)]

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks and lengths that were run in both directions."""
        means = []
        for row in base.published(self.name):
            rates = [
                [
                    one["result"]["success_rate"]
                    for one in base.select(rows, **base.published_cell(row), direction=way)
                ]
                for way in DIRECTIONS
            ]
            if all(rates):
                means.append([float(np.mean(rate)) for rate in rates])
        return Finding(
            " and ".join(
                f"{100 * min(shares):.1f} to {100 * max(shares):.1f} % {direction}"
                for direction, shares in zip(DIRECTIONS, zip(*means, strict=True), strict=False)
            ),
            [forward - reverse >= 0.5 for forward, reverse in means],
        )

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Ours against the published rate, a point for every seed."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        for direction, marker in zip(DIRECTIONS, ("o", "s"), strict=True):
            pairs = [
                (row[direction], 100 * one["result"]["success_rate"])
                for row in base.published(self.name)
                for one in base.select(rows, **base.published_cell(row), direction=direction)
            ]
            axes.plot(*np.array(pairs).reshape(-1, 2).T, marker, alpha=0.6, label=direction)
        axes.plot([0, 100], [0, 100], ":", color="grey")
        axes.set(xlabel="published success rate, %", ylabel="ours, %", title=self.title)
        axes.legend()
        return figure


LAPTOP = Table1(base.LAPTOP, longest=20, seeds=3)
PAPER = Table1(base.PAPER, longest=100, seeds=3)
