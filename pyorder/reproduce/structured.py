"""Longer targets from candidates in blocks, which leak the order of the data: the published way past 13 steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table
from pyorder.reproduce.table2 import forward_distance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = {"square": 30, "relu": 40}  # the longest that the paper reports


@dataclass(frozen=True)
class Structured(Study):
    """The hierarchical search from forward and reverse, cut into blocks of five that are rearranged.

    These candidates know the order of the data, and the result says so; columns are not shuffled.

    Attributes
    ----------
    lengths : of the targets
    seeds : how many
    depth, limit : of the search
    """

    name: ClassVar[str] = "structured"
    title: ClassVar[str] = "Candidates in blocks, which know the order of the data"
    claim: ClassVar[str] = "from rearranged blocks the search finds the forward order of longer targets"
    claimed: ClassVar[str] = "to 30 steps for square, 40 for relu"
    criterion: ClassVar[str] = "the search ends in exactly the forward order, with every seed"
    lengths: tuple[int, ...]
    seeds: int
    depth: int
    limit: int

    def cells(self) -> list[Cell]:
        """A task, a length as far as the paper goes, and a seed each."""
        return [
            {"task": task, "length": length, "seed": seed}
            for seed in range(self.seeds)
            for task, longest in PUBLISHED.items()
            for length in self.lengths
            if length <= longest
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search."""
        from pyorder.search import Hierarchical, discover

        splits = base.splits_of(cell, self.sizes)
        found = discover(
            splits.train,
            validation=splits.validation,
            strategy=Hierarchical(initialisation="Pb", depth=self.depth, limit=self.limit, direction=False),
            seed=cell["seed"],
            **self.sizes.profiling,
        )
        return {
            "order": found.order.tolist(),
            "uses_data_order": found.uses_data_order,
            "satisfied": satisfied_dependencies(found.order, base.task_of(cell).dependencies or ()),
            "forward_distance": forward_distance(found.order),
            "profiling_runs": found.runs,
            "search_seconds": found.seconds,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every cell, run or not."""
        lines = []
        for cell in self.cells():
            line = [
                base.task_name(cell),
                str(cell["seed"]),
                "forward" if cell["length"] == PUBLISHED[cell["task"]] else "-",
            ]
            for row in base.select(rows, **cell):
                result = row["result"]
                forward = result["forward_distance"] == 0
                line += [
                    "forward" if forward else base.order_text(result["order"]),
                    f"{100 * result['satisfied']:.0f} %",
                    f"{result['search_seconds']:.0f} s",
                ]
            lines.append(line if len(line) == 6 else [*line, base.NOT_RUN, "", ""])
        columns = ("task", ">seed", "published", "order found", ">dependencies", ">search")
        title = "The order found from rearranged blocks of five; the paper reports success up to the length given."
        return [Table(title, columns, lines)]

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks, lengths and seeds."""
        holds = [row["result"]["forward_distance"] == 0 for row in rows]
        return Finding(f"forward in {sum(holds)} of {len(holds)} searches", holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Dependencies satisfied by length."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        for task in PUBLISHED:
            points = [
                (row["cell"]["length"], 100 * row["result"]["satisfied"]) for row in base.select(rows, task=task)
            ]
            axes.plot(*np.array(points).reshape(-1, 2).T, "o", alpha=0.7, label=task)
        axes.set(xlabel="steps", ylabel="dependencies satisfied, %", title=self.title, ylim=(0, 105))
        axes.legend()
        return figure


LAPTOP = Structured(base.LAPTOP, lengths=(20, 30, 40), seeds=3, depth=4, limit=120)
PAPER = Structured(base.PAPER, lengths=(20, 30, 40), seeds=3, depth=6, limit=5_040)
