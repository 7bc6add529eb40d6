"""The family of search strategies, and what each of them works with.

A strategy proposes pools of orders to a `Laboratory`. Losses of two runs do not compare, so a strategy that wants
to compare winners of different runs proposes them together once more.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.dependencies import Dependency, Exploration
from pyorder.posets import Poset
from pyorder.profiling import Cost, Orders, Profile
from pyorder.runs import RunDir, StageRecord, make_run_dir, plain, write_history, write_precedence, write_run

if TYPE_CHECKING:
    from pyorder.search._laboratory import Laboratory


class BudgetSpentError(Exception):
    """The next profiling run would go past the budget; the search ends with the best order so far."""


@dataclass(frozen=True)
class Budget:
    """The most that a search may spend; None is no limit.

    ``training_steps`` and ``rows_scored`` (rows x orders) are checked before a run, so they are never passed;
    ``seconds`` ends the search before the first run that starts after it. Strategies compare at equal cost
    when they are given equal steps and rows.

    Examples
    --------
    >>> Budget(training_steps=4000).allows(Cost(training_steps=4400), seconds=0.0)
    False
    """

    training_steps: int | None = None
    rows_scored: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are not positive."""
        for name in ("training_steps", "rows_scored", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"budget: {name}={value} given, a positive number or None is needed")

    def allows(self, cost: Cost, seconds: float) -> bool:
        """Whether a total ``cost`` reached by a run that starts after ``seconds`` is within the budget."""
        return (
            (self.training_steps is None or cost.training_steps <= self.training_steps)
            and (self.rows_scored is None or cost.rows_scored <= self.rows_scored)
            and (self.seconds is None or seconds < self.seconds)
        )


@dataclass(frozen=True)
class Stage:
    """One profiling run of a search: its name, the profile, and its place on the clock.

    Attributes
    ----------
    name : what the strategy was doing
    profile : the run's `Profile`
    seconds : wall time since the search began, at the end of the run
    """

    name: str
    profile: Profile
    seconds: float


@dataclass(frozen=True)
class Discovery:
    """The result of a search.

    Attributes
    ----------
    order : (L,) int64, the order found
    converged : whether the strategy came to its own end, within the budget; one that explores, whether graph and
        loss had settled
    strategy, options : what searched, and how
    uses_data_order : whether the search was told the order that the data came in
    history : the profiling runs, in sequence
    cost : training steps and rows scored, of all runs
    seconds : wall time
    seed : of the search
    settings : how each profiling run was run, and the budget
    exploration : the dependency graph and its evidence, where the strategy looks for one
    constraints : what the search was told: only topological sorts of this graph were candidates
    remarks : what a reader of the result should know, in sentences that name no step
    """

    order: Orders
    converged: bool
    strategy: str
    options: dict[str, Any]
    uses_data_order: bool
    history: tuple[Stage, ...]
    cost: Cost
    seconds: float
    seed: int
    settings: dict[str, Any]
    exploration: Exploration | None = None
    constraints: Poset | None = None
    remarks: tuple[str, ...] = ()

    @property
    def dependencies(self) -> tuple[Dependency, ...] | None:
        """Edges of the reduced dependency graph, by step; None where the strategy looks for no graph."""
        return None if self.exploration is None else self.exploration.dependencies

    @property
    def graph(self) -> Poset | None:
        """The dependency graph found, with the constraints in it; None where the strategy looks for none."""
        if self.dependencies is None:
            return None
        graph = Poset(len(self.order)) if self.constraints is None else self.constraints.copy()
        for edge in self.dependencies:
            graph.add(edge.before, edge.after)
        return graph

    @property
    def runs(self) -> int:
        """Number of profiling runs."""
        return len(self.history)

    @property
    def candidates_profiled(self) -> int:
        """Number of candidates over all runs; one that was in two runs counts twice."""
        return sum(len(stage.profile.orders) for stage in self.history)

    def renamed(self, steps: npt.NDArray[np.int64]) -> Discovery:
        """The same result with step s called ``steps[s]``, for a search whose target columns were shuffled.

        A search on ``data.reorder(steps)`` finds an order of the reordered columns; renamed by ``steps`` it is
        the order of the data's own.
        """
        history = tuple(
            replace(
                stage,
                profile=replace(
                    stage.profile,
                    orders=steps[stage.profile.orders],
                    step_loss=stage.profile.step_loss[:, np.argsort(steps)],
                    settings=_before_reordering(stage.profile.settings, steps),
                ),
            )
            for stage in self.history
        )
        exploration = None if self.exploration is None else self.exploration.renamed(steps)
        return replace(
            self,
            order=steps[self.order],
            history=history,
            exploration=exploration,
            constraints=None if self.constraints is None else self.constraints.renamed(steps),
            settings=_before_reordering(self.settings, steps),
        )

    def summary(self) -> dict[str, Any]:
        """What the search found and what it cost, in values of JSON."""
        return {
            "order": self.order.tolist(),
            "strategy": self.strategy,
            "options": plain(self.options),
            "converged": self.converged,
            "uses_data_order": self.uses_data_order,
            "constraints": None if self.constraints is None else self.constraints.edges.tolist(),
            "runs": self.runs,
            "candidates_profiled": self.candidates_profiled,
            "training_steps": self.cost.training_steps,
            "rows_scored": self.cost.rows_scored,
            "seconds": self.seconds,
            "seed": self.seed,
            "exploration": None if self.exploration is None else self.exploration.summary(),
            "remarks": list(self.remarks),
            "stages": [
                {
                    "name": stage.name,
                    "candidates": len(stage.profile.orders),
                    "best_order": stage.profile.best.tolist(),
                    "best_loss": float(stage.profile.loss.min()),
                    "rank_correlation": stage.profile.rank_correlation,
                    "best_agreement": stage.profile.best_agreement,
                    "seconds": stage.seconds,
                }
                for stage in self.history
            ],
        }

    def save(self, run_dir: RunDir) -> None:
        """Write a run folder, see `pyorder.runs`; ValueError if it holds something or takes no files."""
        stages = [
            StageRecord(stage.name, profile.orders, profile.loss, profile.standard_error, stage.seconds)
            for stage in self.history
            for profile in [stage.profile]
        ]
        try:
            folder = make_run_dir(run_dir)
            write_history(folder, stages)
            if self.exploration is not None:
                write_precedence(folder, self.exploration.arrays())
            write_run(folder, "search", self.settings, self.summary())
        except Exception as error:  # hours of work should not be lost to a full disk
            error.add_note(f"the order that was found: {','.join(map(str, self.order))}")
            raise


def _before_reordering(settings: dict[str, Any], steps: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Settings whose ``data`` is a dataset's metadata, as it was before `Dataset.reorder` by ``steps``."""
    told, last = settings["data"].get("order", ""), json.dumps(steps.tolist())
    if not told.endswith(last):
        return settings
    others = {key: value for key, value in settings["data"].items() if key != "order"}
    earlier = told.removesuffix(last).removesuffix(" then ")
    return {**settings, "data": {**others, "order": earlier} if earlier else others}


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
