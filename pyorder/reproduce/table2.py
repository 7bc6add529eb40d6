"""Table 2: where the published search ends from a random start, in every reading of its local stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.orders.permutations import kendall_tau
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Reading:
    """How the published text is read, and how often that is run.

    Attributes
    ----------
    name : of the reading
    inside, between, significance : as in `pyorder.search.Hierarchical`
    seeds : how many
    steps : of each profiling run; those of the study unless given
    tasks : names of those that are run; all unless given
    """

    name: str
    inside: str
    between: str
    seeds: int
    significance: float | None = None
    steps: int | None = None
    tasks: tuple[str, ...] = ()


LETTER = Reading("letter", "each", "rotations", seeds=1)
TOGETHER = Reading("together", "together", "all", seeds=3)


@dataclass(frozen=True)
class Table2(Study):
    """The published stages alone: global, then local, without the run that tells an order from its reverse.

    Attributes
    ----------
    readings : of the local stage
    depth : K, at most; None for the published one
    limit : most candidates in one local run
    longest : published rows of longer targets are not run
    """

    name: ClassVar[str] = "table2"
    title: ClassVar[str] = "The published search from a random start"
    claim: ClassVar[str] = "from random orders the search ends in the forward order, up to 13 steps"
    claimed: ClassVar[str] = "10 of 16 tasks and lengths"
    criterion: ClassVar[str] = (
        "where the paper ends in exactly the forward order, one of the seeds of the best reading does"
    )
    readings: tuple[Reading, ...]
    depth: int | None
    limit: int
    longest: int = 13

    def rows(self) -> list[dict[str, Any]]:
        """The published rows that are run."""
        return [row for row in base.published("table2") if row["length"] <= self.longest]

    def cells(self) -> list[Cell]:
        """A reading, a published row and a seed each; one seed of all before the next."""
        return [
            {**base.published_cell(row), "reading": reading.name, "seed": seed}
            for seed in range(max(reading.seeds for reading in self.readings))
            for reading in self.readings
            if seed < reading.seeds
            for row in self.rows()
            if not reading.tasks or row["task"] in reading.tasks
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns, then train on what was found."""
        from pyorder.search import Hierarchical, discover_shuffled
        from pyorder.training import fit

        (row,) = (row for row in self.rows() if base.published_cell(row).items() <= cell.items())
        (reading,) = (reading for reading in self.readings if reading.name == cell["reading"])
        depth = min(row["depth"], self.depth or row["depth"])
        splits = base.splits_of(cell, self.sizes)
        found = discover_shuffled(
            splits.train,
            validation=splits.validation,
            strategy=Hierarchical(
                depth=depth,
                limit=self.limit,
                direction=False,
                inside=reading.inside,
                between=reading.between,
                significance=reading.significance,
            ),
            seed=cell["seed"],
            model=self.sizes.profile_model,
            steps=reading.steps or self.sizes.profile_steps,
        )
        dependencies = base.task_of(cell).dependencies
        stages = [stage for stage in found.history if stage.name.startswith("global")]
        fitted = fit(splits.train, found.order, test=splits.test, seed=cell["seed"], **self.sizes.fitting)
        return {
            "depth": depth,
            "global": stages[-1].profile.best.tolist(),
            "final": found.order.tolist(),
            "satisfied": None if dependencies is None else satisfied_dependencies(found.order, dependencies),
            "forward_distance": forward_distance(found.order),
            "rotated": is_rotation(found.order),
            "broken_links": broken_links(found.order),
            "profiling_runs": found.runs,
            "search_seconds": found.seconds,
            **base.fit_result(fitted),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Orders by task beside the published ones; then what they come to, by reading."""
        lines = []
        for row in self.rows():
            ours = base.select(rows, **base.published_cell(row))
            head = [base.task_name(row), base.order_text(row["final"])]
            lines += [[*head, *_told(one)] for one in ours] or [[*head, base.NOT_RUN, *[""] * 8]]
        columns = (
            "task",
            "published, final order",
            "reading",
            ">seed",
            "ours, final order",
            "after the global stage",
            "forward",
            ">broken links",
            ">dependencies",
            ">success",
            ">search",
        )
        title = (
            "Orders found. *Forward*: exactly, or up to rotation. *Broken links*: steps i + 1 that are emitted "
            "before step i. *Dependencies*: share that the order satisfies. *Success*: after final training on it."
        )
        return [Table(title, columns, lines), self._summary(rows)]

    def _summary(self, rows: Sequence[Row]) -> Table:
        theirs = [np.array(row["final"]) for row in self.rows()]
        count = len(theirs)
        lines = [
            [
                "published",
                "1",
                f"{sum(forward_distance(order) == 0 for order in theirs)} of {count}",
                f"{sum(map(is_rotation, theirs))} of {count}",
                f"{sum(forward_distance(order) == 1 for order in theirs)} of {count}",
                f"{np.mean([broken_links(order) for order in theirs]):.1f}",
                "-",
            ]
        ]
        for reading in self.readings:
            ours = base.select(rows, reading=reading.name)
            results = [row["result"] for row in ours]
            told = [
                f"{len(_tasks(ours, one))} of {len(_tasks(ours, None))}" for one in ("exact", "rotated", "reverse")
            ]
            links = base.over_seeds([one["broken_links"] for one in results])
            success = base.over_seeds([one["success_rate"] for one in results], " %", scale=100)
            seeds = len({row["cell"]["seed"] for row in ours})
            lines.append([reading.name, str(seeds), *(told if ours else [base.NOT_RUN] * 3), links, success])
        columns = (
            "reading",
            ">seeds",
            ">exact forward",
            ">forward up to rotation",
            ">exact reverse",
            ">broken links",
            ">success",
        )
        return Table("In sum: tasks and lengths in which a seed at least ends so.", columns, lines)

    def finding(self, rows: Sequence[Row]) -> Finding:
        """Of the reading with the most forward orders."""
        wanted = [base.task_name(row) for row in self.rows() if forward_distance(np.array(row["final"])) == 0]
        best = max(
            (base.select(rows, reading=reading.name) for reading in self.readings),
            key=lambda ours: len(_tasks(ours, "exact")),
        )
        run, forward = _tasks(best, None), _tasks(best, "exact")
        ours = f"{len(forward)} of {len(run)}" + (
            f" by the reading {best[0]['cell']['reading']!r}" if best else ""
        )
        return Finding(ours, [task in forward for task in wanted if task in run])

    def draw(self, rows: Sequence[Row]) -> Figure:
        """How far from forward each search ended, ours and theirs."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        names = [base.task_name(row) for row in self.rows()]
        theirs = [forward_distance(np.array(row["final"])) for row in self.rows()]
        axes.plot(theirs, range(len(names)), "k|", markersize=12, label="published")
        for number, reading in enumerate(self.readings, 1):
            points = [
                (row["result"]["forward_distance"], names.index(base.task_name(row["cell"])) + 0.12 * number)
                for row in base.select(rows, reading=reading.name)
            ]
            axes.plot(*np.array(points).reshape(-1, 2).T, "o", alpha=0.6, label=reading.name)
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


def is_rotation(order: base.Orders) -> bool:
    """Whether an order is the forward order, or the forward order cut once and rotated.

    Examples
    --------
    >>> is_rotation(np.array([2, 3, 0, 1])), is_rotation(np.array([0, 1, 2])), is_rotation(np.array([2, 1, 0]))
    (True, True, False)
    """
    return bool((np.diff(order) % len(order) == 1).all())


def broken_links(order: base.Orders) -> int:
    """How many steps are emitted before the one that they follow in the chain.

    Examples
    --------
    >>> [broken_links(np.array(order)) for order in ([0, 1, 2, 3], [2, 3, 0, 1], [3, 2, 1, 0])]
    [0, 1, 3]
    """
    return int((np.diff(np.argsort(order)) < 0).sum())


def _tasks(rows: Sequence[Row], ends: str | None) -> set[str]:
    """Names of the tasks in which some row's order is so; of all rows for None."""
    distance = {"exact": 0.0, "reverse": 1.0}
    return {
        base.task_name(row["cell"])
        for row in rows
        if ends is None
        or (row["result"]["rotated"] if ends == "rotated" else row["result"]["forward_distance"] == distance[ends])
    }


def _told(row: Row) -> list[str]:
    result = row["result"]
    forward = "exact" if result["forward_distance"] == 0 else "rotated" if result["rotated"] else "no"
    return [
        row["cell"]["reading"],
        str(row["cell"]["seed"]),
        base.order_text(result["final"]),
        base.order_text(result["global"]),
        forward,
        str(result["broken_links"]),
        "-" if result["satisfied"] is None else f"{100 * result['satisfied']:.0f} %",
        f"{100 * result['success_rate']:.1f} %",
        f"{result['search_seconds']:.0f} s",
    ]


LAPTOP = Table2(
    base.LAPTOP,
    readings=(
        LETTER,
        TOGETHER,
        Reading("steady", "together", "all", seeds=1, significance=0.01),
        Reading("steady, longer", "together", "all", 1, significance=0.01, steps=1_600, tasks=("relu",)),
    ),
    depth=5,
    limit=720,
)
PAPER = Table2(base.PAPER, readings=(LETTER, TOGETHER), depth=None, limit=5_040)
