"""Whether an order that a small model found serves a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A preset's name, and what differs from it. "wide" is four times as wide as "base".
TRAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "base": ("base", {}),
    "wide": ("base", {"width": 512, "feed_forward": 2048, "learning_rate": 3e-4}),
    "large": ("large", {}),
}


@dataclass(frozen=True)
class Transfer(Study):
    """Orders found with small models, each trained to the end with larger ones.

    Attributes
    ----------
    tasks : names
    length : of the targets
    finders : models of the searches; "forward" stands for no search, the forward order
    trainers : models of final training; see `TRAINERS`
    seeds : how many, each with data of its own
    depth : K of the search, limit : most candidates in one of its local runs
    """

    name: ClassVar[str] = "transfer"
    title: ClassVar[str] = "Orders found with small models, trained with a larger one"
    claim: ClassVar[str] = "an order that a small model found serves a larger one"
    claimed: ClassVar[str] = "found with 1 layer, trained with 6"
    criterion: ClassVar[str] = "a found order ends within five points of the forward order, seed by seed"
    tasks: tuple[str, ...]
    length: int
    finders: tuple[str, ...]
    trainers: tuple[str, ...]
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
        """Search on shuffled columns, then train the larger models."""
        from pyorder.search import Hierarchical, discover_shuffled
        from pyorder.training import fit
        from pyorder.training.presets import PRESETS

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
        trained = {}
        for name in self.trainers:
            model = PRESETS[TRAINERS[name][0]].but(**TRAINERS[name][1])
            fitted = fit(
                splits.train,
                order,
                test=splits.test,
                seed=cell["seed"],
                model=model,
                steps=self.sizes.fit_steps,
            )
            trained[name] = base.fit_result(fitted)
        satisfied = satisfied_dependencies(order, base.task_of(cell).dependencies or ())
        return {"order": order.tolist(), "satisfied": satisfied, **result, "trained": trained}

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
                    *(f"{100 * result['trained'][name]['success_rate']:.1f} %" for name in self.trainers),
                ]
            lines.append(line if len(line) > 3 else [*line, base.NOT_RUN, *[""] * (1 + len(self.trainers))])
        columns = (
            "task",
            "found with",
            ">seed",
            "order",
            ">dependencies",
            *(f">success with {name}" for name in self.trainers),
        )
        return [Table("Success rate of larger models on orders that others found.", columns, lines)]

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks, models and seeds, beside the forward order of the same data."""
        rates = {
            (row["cell"]["task"], row["cell"]["seed"], name, row["cell"]["found_with"]): trained["success_rate"]
            for row in rows
            for name, trained in row["result"]["trained"].items()
        }
        pairs = [
            (rate, rates[*of, "forward"])
            for (*of, finder), rate in rates.items()
            if finder != "forward" and (*of, "forward") in rates
        ]
        holds = [found >= forward - 0.05 for found, forward in pairs]
        return Finding(f"{sum(holds)} of {len(holds)} trainings", holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Success by the model that searched."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5 * len(self.trainers), 3.5), layout="constrained")
        panels = figure.subplots(1, len(self.trainers), sharey=True, squeeze=False)[0]
        names = ["forward", *self.finders]
        for axes, trainer in zip(panels, self.trainers, strict=True):
            for task in self.tasks:
                points = [
                    (
                        names.index(row["cell"]["found_with"]),
                        100 * row["result"]["trained"][trainer]["success_rate"],
                    )
                    for row in base.select(rows, task=task)
                ]
                axes.plot(*np.array(points).reshape(-1, 2).T, "o", alpha=0.7, label=task)
            axes.set_xticks(range(len(names)), names)
            axes.set(title=f"trained with {trainer}", xlabel="found with", ylim=(0, 105))
        panels[0].set_ylabel("success, %")
        panels[0].legend()
        return figure


LAPTOP = Transfer(
    base.LAPTOP,
    tasks=("square", "relu"),
    length=8,
    finders=("nano",),
    trainers=("base", "wide"),
    seeds=3,
    depth=4,
    limit=120,
)
PAPER = Transfer(
    base.PAPER,
    tasks=("square", "relu"),
    length=13,
    finders=("nano", "small"),
    trainers=("base", "large"),
    seeds=3,
    depth=6,
    limit=5_040,
)
