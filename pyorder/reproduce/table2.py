"""Table 2: where the published search ends from a random start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.orders.permutations import kendall_tau
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table2(Study):
    """The published stages alone: global, then local, without the run that tells an order from its reverse.

    Attributes
    ----------
    seeds : how many
    depth : K, at most; None for the published one
    limit : most candidates in one local run
    """

    name: ClassVar[str] = "table2"
    title: ClassVar[str] = "The published search from a random start"
    seeds: int
    depth: int | None
    limit: int

    def cells(self) -> list[Cell]:
        """A published row and a seed each."""
        return [
            {**base.published_cell(row), "seed": seed}
            for seed in range(self.seeds)
            for row in base.published(self.name)
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns."""
        from pyorder.search import Hierarchical, discover_shuffled

        (row,) = (row for row in base.published(self.name) if base.published_cell(row).items() <= cell.items())
        depth = min(row["depth"], self.depth or row["depth"])
        splits = base.splits_of(cell, self.sizes)
        found = discover_shuffled(
            splits.train,
            validation=splits.validation,
            strategy=Hierarchical(depth=depth, limit=self.limit, direction=False),
            seed=cell["seed"],
            **self.sizes.profiling,
        )
        dependencies = base.task_of(cell).dependencies
        stages = [stage for stage in found.history if stage.name.startswith("global")]
        return {
            "depth": depth,
            "global": stages[-1].profile.best.tolist(),
            "final": found.order.tolist(),
            "satisfied": None if dependencies is None else satisfied_dependencies(found.order, dependencies),
            "forward_distance": forward_distance(found.order),
            "profiling_runs": found.runs,
            "search_seconds": found.seconds,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Final orders beside the published ones; then how many are forward."""
        lines = []
        for row in base.published(self.name):
            ours = base.select(rows, **base.published_cell(row))
            told = [_told(one) for one in ours] or [[base.NOT_RUN, "", "", ""]]
            lines += [[base.task_name(row), base.order_text(row["final"]), *line] for line in told]
        columns = (
            "task",
            "published, final order",
            "ours, final order",
            "after the global stage",
            ">dependencies",
            ">search",
        )
        forward = [row for row in rows if row["result"]["forward_distance"] == 0]
        reverse = [row for row in rows if row["result"]["forward_distance"] == 1]
        theirs = [row for row in base.published(self.name) if forward_distance(np.array(row["final"])) == 0]
        summary = Table(
            "In sum.",
            ("", ">forward order", ">its reverse", ">searches"),
            [
                ["published", str(len(theirs)), "0", str(len(base.published(self.name)))],
                ["ours", str(len(forward)), str(len(reverse)), str(len(rows))],
            ],
        )
        return [
            Table("Orders found; *dependencies*: share that the final order satisfies.", columns, lines),
            summary,
        ]

    def draw(self, rows: Sequence[Row]) -> Figure:
        """How far from forward each search ended, ours and theirs."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        names = [base.task_name(row) for row in base.published(self.name)]
        theirs = [forward_distance(np.array(row["final"])) for row in base.published(self.name)]
        axes.plot(theirs, range(len(names)), "k|", markersize=12, label="published")
        points = [(row["result"]["forward_distance"], names.index(base.task_name(row["cell"]))) for row in rows]
        axes.plot(*np.array(points).reshape(-1, 2).T, "o", alpha=0.6, label="ours")
        axes.set(xlabel="pairs of steps out of the forward order (0: forward, 1: reverse)", title=self.title)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.legend()
        return figure


def forward_distance(order: base.Orders) -> float:
    """Kendall's distance from the forward order as a share: 0 for forward, 1 for its reverse.

    Examples
    --------
    >>> forward_distance(np.array([2, 1, 0]))
    1.0
    """
    return float(1 - kendall_tau(order, np.arange(len(order)))) / 2


def _told(row: Row) -> list[str]:
    result = row["result"]
    satisfied = "-" if result["satisfied"] is None else f"{100 * result['satisfied']:.0f} %"
    return [
        base.order_text(result["final"]),
        base.order_text(result["global"]),
        satisfied,
        f"{result['search_seconds']:.0f} s",
    ]


LAPTOP = Table2(base.LAPTOP, seeds=1, depth=5, limit=720)
PAPER = Table2(base.PAPER, seeds=3, depth=None, limit=5_040)
