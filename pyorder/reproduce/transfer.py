"""Whether an order that a small model found serves a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Transfer(Study):
    """Orders found with two small models, each trained to the end with the large one.

    Attributes
    ----------
    tasks : names
    length : of the targets
    finders : models of the searches; "forward" stands for no search, the forward order
    seeds : how many, each with data of its own
    depth : K of the search, limit : most candidates in one of its local runs
    """

    name: ClassVar[str] = "transfer"
    title: ClassVar[str] = "Orders found with small models, trained with a larger one"
    tasks: tuple[str, ...]
    length: int
    finders: tuple[str, ...]
    seeds: int
    depth: int
    limit: int

    def cells(self) -> list[Cell]:
        """A task, a model that searches and a seed each."""
        return [
            {"task": task, "length": self.length, "found_with": finder, "seed": seed}
            for seed in range(self.seeds)
            for task in self.tasks
            for finder in ("forward", *self.finders)
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns, then train the large model."""
        from pyorder.search import Hierarchical, discover_shuffled
        from pyorder.training import fit

        splits = base.splits_of(cell, self.sizes)
        order, result = np.arange(self.length), {}
        if cell["found_with"] != "forward":
            found = discover_shuffled(
                splits.train,
                validation=splits.validation,
                strategy=Hierarchical(depth=self.depth, limit=self.limit),
                model=cell["found_with"],
                steps=self.sizes.profile_steps,
                seed=cell["seed"],
            )
            order, result = found.order, {"search_seconds": found.seconds}
        fitted = fit(splits.train, order, test=splits.test, seed=cell["seed"], **self.sizes.fitting)
        satisfied = satisfied_dependencies(order, base.task_of(cell).dependencies or ())
        return {"order": order.tolist(), "satisfied": satisfied, **result, **base.fit_result(fitted)}

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every cell, run or not."""
        lines = []
        for cell in self.cells():
            line = [base.task_name(cell), cell["found_with"], str(cell["seed"])]
            for row in base.select(rows, **cell):
                result = row["result"]
                line += [
                    base.order_text(result["order"]),
                    f"{100 * result['satisfied']:.0f} %",
                    f"{100 * result['success_rate']:.1f} %",
                ]
            lines.append(line if len(line) == 6 else [*line, base.NOT_RUN, "", ""])
        columns = (
            "task",
            "found with",
            ">seed",
            "order",
            ">dependencies",
            f">success with {self.sizes.fit_model}",
        )
        return [Table("Success rate of the larger model on orders that others found.", columns, lines)]

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Success by the model that searched."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        names = ["forward", *self.finders]
        for task in self.tasks:
            points = [
                (names.index(row["cell"]["found_with"]), 100 * row["result"]["success_rate"])
                for row in base.select(rows, task=task)
            ]
            axes.plot(*np.array(points).reshape(-1, 2).T, "o", alpha=0.7, label=task)
        axes.set_xticks(range(len(names)), names)
        axes.set(ylabel=f"success with {self.sizes.fit_model}, %", title=self.title, ylim=(0, 105))
        axes.legend()
        return figure


LAPTOP = Transfer(
    base.LAPTOP, tasks=("square", "relu"), length=8, finders=("nano", "base"), seeds=2, depth=4, limit=120
)
PAPER = Transfer(
    base.PAPER, tasks=("square", "relu"), length=13, finders=("nano", "small"), seeds=3, depth=6, limit=5_040
)
