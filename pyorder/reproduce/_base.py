"""What the studies share: sizes, cells and rows, the published figures, and tables.

A *cell* is the smallest piece of a study that is run, skipped or shown as not run: one value of every factor, the
seed among them. A *row* is a finished cell: what was asked for, what came out, when and on what machine.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.data.dataset import Splits
from pyorder.data.tasks import Task, make_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyorder.training.fitted import Fitted

Cell = dict[str, Any]
Row = dict[str, Any]
Orders = npt.NDArray[np.int64]

NOT_RUN = "not run"


@dataclass(frozen=True)
class Sizes:
    """How large everything is at a scale; the rest are the defaults of `discover` and `fit`.

    Attributes
    ----------
    train, validation, test : rows; orders are ranked on the second and reported on the third
    profile_model, profile_steps : of each profiling run
    fit_model, fit_steps : of final training
    """

    train: int = 100_000
    validation: int = 1_000
    test: int = 10_000
    profile_model: str = "small"
    profile_steps: int = 1_600
    fit_model: str = "large"
    fit_steps: int = 7_810

    @property
    def profiling(self) -> dict[str, Any]:
        """Arguments of `profile` and `discover`."""
        return {"model": self.profile_model, "steps": self.profile_steps}

    @property
    def fitting(self) -> dict[str, Any]:
        """Arguments of `fit`."""
        return {"model": self.fit_model, "steps": self.fit_steps}


PAPER = Sizes()
LAPTOP = Sizes(
    validation=500, test=2_000, profile_model="nano", profile_steps=400, fit_model="base", fit_steps=1_500
)


@dataclass(frozen=True)
class Table:
    """A table to print: columns whose name begins with > are numbers.

    Attributes
    ----------
    title : a sentence above it
    columns : names
    lines : one text for every column
    """

    title: str
    columns: tuple[str, ...]
    lines: list[list[str]]

    def markdown(self) -> str:
        """Write it for a document.

        Examples
        --------
        >>> print(Table("Two.", ("a", ">b"), [["x", "1"]]).markdown())
        Two.
        <BLANKLINE>
        | a | b |
        |---|---:|
        | x | 1 |
        """
        head = "| " + " | ".join(column.lstrip(">") for column in self.columns) + " |"
        rule = "|" + "|".join("---:" if column.startswith(">") else "---" for column in self.columns) + "|"
        return "\n".join([self.title, "", head, rule, *("| " + " | ".join(line) + " |" for line in self.lines)])


@dataclass(frozen=True)
class Finding:
    """What a study's rows say of its claim.

    Attributes
    ----------
    ours : the figure to set beside the published one
    holds : for every comparison that the criterion asks for and the rows allow, whether it came out as claimed

    Examples
    --------
    >>> [Finding("", holds).verdict for holds in ([], [True], [True, False], [True, False, False])]
    ['not run', 'reproduced', 'in part', 'not reproduced']
    """

    ours: str
    holds: Sequence[bool]

    @property
    def verdict(self) -> str:
        """Reproduced if all comparisons hold, in part if at least half do."""
        if not self.holds:
            return NOT_RUN
        share = sum(self.holds) / len(self.holds)
        return "reproduced" if share == 1 else "in part" if share >= 0.5 else "not reproduced"


@dataclass(frozen=True)
class Study(ABC):
    """A published claim, and how it is measured here; subclasses are frozen dataclasses of their settings.

    Attributes
    ----------
    claim, claimed : what the paper says, in our words, and its figure
    criterion : what has to hold in every comparison; see `Finding`
    """

    name: ClassVar[str]
    title: ClassVar[str]
    claim: ClassVar[str]
    claimed: ClassVar[str]
    criterion: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()  # packages beyond pyorder's own dependencies
    sizes: Sizes

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Every cell that this scale runs."""

    @abstractmethod
    def measure(self, cell: Cell) -> dict[str, Any]:
        """Run one cell; what came out, in values of JSON."""

    @abstractmethod
    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Set the finished rows beside what was published; what was not run says so."""

    @abstractmethod
    def finding(self, rows: Sequence[Row]) -> Finding:
        """Compare the finished rows with the claim."""

    def sentence(self, rows: Sequence[Row]) -> str:
        """Say in one sentence whether the claim is reproduced, and by which criterion."""
        found = self.finding(rows)
        if not found.holds:
            return f"{self.claim}: {NOT_RUN}."
        score = f"{sum(found.holds)} of {len(found.holds)}"
        verdict = found.verdict[0].upper() + found.verdict[1:]
        return (
            f"{verdict}, by the criterion that {self.criterion} ({score}): {self.claim}; "
            f"ours {found.ours}, published {self.claimed}."
        )

    @abstractmethod
    def draw(self, rows: Sequence[Row]) -> Figure:
        """Draw the finished rows."""

    def asked(self, cells: Sequence[Cell]) -> list[Row]:
        """What the rows of cells begin with; those of other settings are of other studies."""
        return [{"cell": cell, "settings": self.settings()} for cell in cells]

    def settings(self) -> dict[str, Any]:
        """Everything that makes one scale differ from another, as it is kept with each row."""
        settings: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return settings


@cache
def published(name: str) -> list[dict[str, Any]]:
    """Read the rows of a published table.

    Examples
    --------
    >>> published("table1")[0]
    {'task': 'relu', 'length': 20, 'forward': 99.6, 'reverse': 0.6}
    """
    text = files("pyorder.reproduce").joinpath("published.json").read_text("utf-8")
    rows: list[dict[str, Any]] = json.loads(text)[name]["rows"]
    return rows


def select(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """Return the rows whose cells have these values.

    Examples
    --------
    >>> select([{"cell": {"task": "relu", "seed": 0}}, {"cell": {"task": "prod", "seed": 0}}], task="prod")
    [{'cell': {'task': 'prod', 'seed': 0}}]
    """
    return [row for row in rows if all(row["cell"].get(key) == value for key, value in wanted.items())]


def task_of(cell: Cell) -> Task:
    """Make the task that a cell names: ``task``, ``length``, and ``parameters`` if it has some."""
    return make_task(cell["task"], length=cell["length"], **cell.get("parameters", {}))


def splits_of(cell: Cell, sizes: Sizes) -> Splits:
    """Draw the data of a cell: no more rows than a small task has, by the cell's seed."""
    task = task_of(cell)
    wanted = {
        "train": min(sizes.train, task.space_size // 2),
        "validation": min(sizes.validation, task.space_size // 10),
        "test": min(sizes.test, task.space_size // 10),
    }
    return task.splits(**wanted, seed=cell["seed"])


def task_name(cell: Cell) -> str:
    """Name the task of a cell or of a published row.

    Examples
    --------
    >>> task_name({"task": "index", "length": 13, "parameters": {"d": 4}})
    'index L = 13, d = 4'
    """
    parameters = cell.get("parameters") or published_cell(cell)["parameters"]
    return ", ".join(
        [f"{cell['task']} L = {cell['length']}", *(f"{key} = {value}" for key, value in parameters.items())]
    )


def published_cell(row: dict[str, Any]) -> Cell:
    """Factors of a cell that a published row tells.

    Examples
    --------
    >>> published_cell({"task": "index", "length": 13, "d": 4, "forward": 62.3})
    {'task': 'index', 'length': 13, 'parameters': {'d': 4}}
    """
    parameters = {"d": row["d"]} if "d" in row else {}
    return {"task": row["task"], "length": row["length"], "parameters": parameters}


def published_cells(name: str, longest: int, seeds: int, factor: str, values: Sequence[str]) -> list[Cell]:
    """Make a cell of every published row up to a length, every value of a factor and every seed."""
    return [
        {**published_cell(row), factor: value, "seed": seed}
        for row in published(name)
        if row["length"] <= longest
        for seed in range(seeds)
        for value in values
    ]


def fit_result(fitted: Fitted) -> dict[str, Any]:
    """What is kept of a final training."""
    return {
        "success_rate": fitted.success_rate,
        "success_interval": list(fitted.success_interval),
        "last_loss": float(fitted.loss_curve[-50:].mean()),
        "mean_loss": float(fitted.loss_curve.mean()),
        "fit_seconds": fitted.seconds,
    }


MOSTLY_RIGHT = 0.9


def steps_to_learn(fitted: Fitted) -> float | None:
    """Training steps until 90 % of the steps that are looked at are right, given those before; None if never."""
    curve = fitted.validation_curve
    if curve is None:
        raise ValueError("fitted: was trained without validation rows")
    learned = curve[curve[:, 2] >= MOSTLY_RIGHT, 0]
    return float(learned[0]) if len(learned) else None


def over_seeds(values: Sequence[float | None], unit: str = "", digits: int = 1, scale: float = 1.0) -> str:
    """Write the mean of some seeds' figures with their range; how many there were if more than one.

    Examples
    --------
    >>> over_seeds([0.99, 1.0], " %", scale=100)
    '99.5 % (99.0 to 100.0, n = 2)'
    >>> over_seeds([]), over_seeds([2.0]), over_seeds([2.0, 2.0]), over_seeds([2.0, None])
    ('not run', '2.0', '2.0 (n = 2)', '2.0; 1 of 2 diverged')
    """
    if not values:
        return NOT_RUN
    known = [value for value in values if value is not None]  # JSON has no NaN
    lost = f"{len(values) - len(known)} of {len(values)} diverged" if len(known) < len(values) else ""
    if not known:
        return lost
    shown = [f"{scale * value:.{digits}f}" for value in (float(np.mean(known)), min(known), max(known))]
    spread = "" if shown[1] == shown[2] else f"{shown[1]} to {shown[2]}, "
    told = f"{shown[0]}{unit}" + (f" ({spread}n = {len(known)})" if len(known) > 1 else "")
    return f"{told}; {lost}" if lost else told


def order_text(order: Sequence[int]) -> str:
    """Write an order."""
    return " ".join(map(str, order))
