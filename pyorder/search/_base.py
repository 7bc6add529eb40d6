"""The family of search strategies, and what each of them works with.

A strategy proposes pools of orders to a `Laboratory`, which profiles each pool in one run, keeps the record
and watches the budget. Losses of two runs do not compare, so a strategy that wants to compare winners of
different runs proposes them together once more.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.dependencies import Dependency, Exploration
from pyorder.exploration import Explorer
from pyorder.posets import Poset
from pyorder.profiling import Cost, Orders, Profile, Profiler
from pyorder.progress import Progress, Report
from pyorder.runs import RunDir, StageRecord, make_run_dir, plain, write_history, write_precedence, write_run
from pyorder.search._pools import draw_orders


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
            settings={**self.settings, "data": _before_reordering(self.settings["data"], steps)},
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
        except (OSError, ValueError) as error:  # hours of work should not be lost to a full disk
            error.add_note(f"the order that was found: {self.order.tolist()}")
            raise


def _before_reordering(metadata: dict[str, str], steps: npt.NDArray[np.int64]) -> dict[str, str]:
    """Metadata of a dataset before `Dataset.reorder` by ``steps``, as it is after it."""
    told, last = metadata.get("order", ""), json.dumps(steps.tolist())
    others = {key: value for key, value in metadata.items() if key != "order"}
    if not told.endswith(last):
        return metadata
    earlier = told.removesuffix(last).removesuffix(" then ")
    return {**others, "order": earlier} if earlier else others


class Laboratory:
    """Profiles the pools that a strategy proposes, and keeps record, clock and budget.

    Attributes
    ----------
    length : number of steps of an order
    constraints : the graph whose sorts are searched; one without edges allows every order
    seed : of the search; strategies draw from ``rng``, never from a global generator
    history : the runs so far
    exploration : what a strategy that explores has found
    remarks : what the strategy has to say about its result; see `Discovery`
    profiler : data, model and settings of every run, for a strategy that trains a model of its own
    curtailed : whether the budget has kept the strategy from a run
    """

    def __init__(
        self,
        profiler: Profiler,
        *,
        constraints: Poset,
        seed: int,
        seeds: int,
        budget: Budget,
        planned: Cost,
        progress: Report | None,
    ) -> None:
        self.length = profiler.length
        self.constraints = constraints
        self.seed = seed
        self.rng = np.random.default_rng([seed, 2])
        self.history: list[Stage] = []
        self.exploration: Exploration | None = None
        self.remarks: list[str] = []
        self.profiler = profiler
        self.cost = Cost()
        self.curtailed = False
        self.started = time.perf_counter()
        self._seeds = seeds
        self._budget = budget
        self._planned = planned
        self._progress = progress
        self._told = 0.0  # largest share so far

    @property
    def seconds(self) -> float:
        """Wall time since the search began."""
        return time.perf_counter() - self.started

    def affords(self, *pools: int, beside: Cost | None = None) -> bool:
        """Whether runs of these many candidates, after a cost ``beside`` them, are within the budget.

        The last of them has to start in time, at the pace so far.
        """
        spent = self._effort(self.cost)
        before_last = sum(map(self.run_cost, pools[:-1]), self.cost + (beside or Cost()))
        start = self.seconds * self._effort(before_last) / spent if spent else self.seconds
        allowed = self._budget.allows(before_last + self.run_cost(pools[-1]), start)
        self.curtailed |= not allowed
        return allowed

    def draw(self, count: int) -> Orders:
        """Draw distinct orders that the constraints allow, uniformly at random; fewer where there are fewer."""
        return draw_orders(self.constraints, count, self.seed)

    def allowed(self, orders: Orders) -> Orders:
        """Those of the orders (T, L) that the constraints allow."""
        return orders[self.constraints.is_sort(orders)]

    def explorer(self, samples: int) -> Explorer:
        """Make an any-order model on the training rows, some of which it sets apart as evidence."""
        profiler = self.profiler
        return Explorer(
            profiler.inputs,
            profiler.targets,
            evidence_rows=samples,
            precision=profiler.training.precision,
            seed=self.seed,
        )

    def run_cost(self, candidates: int) -> Cost:
        """What a profiling run of so many candidates costs."""
        return self.profiler.cost(candidates, self._seeds)

    def profile(self, orders: Orders, stage: str) -> Profile:
        """Profile a pool in one run, each run with seeds of its own.

        Raises
        ------
        BudgetSpentError
            If the run would go past the budget; nothing has been spent then.
        """
        cost = self.run_cost(len(orders))
        if not self.affords(len(orders)):
            raise BudgetSpentError(stage)
        tell = self.teller(stage, cost, len(orders))
        first = int(np.random.SeedSequence([self.seed, len(self.history)]).generate_state(1)[0])
        profile = self.profiler.profile(orders, seeds=range(first, first + self._seeds), on_share=tell)
        self.cost += profile.cost
        self.history.append(Stage(stage, profile, self.seconds))
        return profile

    def teller(
        self, stage: str, cost: Cost, candidates: int = 0, to_come: Cost | None = None
    ) -> Callable[[str, float], None]:
        """Make the function that tells how far a run of ``cost`` is; it takes an activity and its share done.

        ``to_come`` is known to follow. A search may take longer than was planned; what is told never falls.
        """
        spent, before = self._effort(self.cost), sum(len(done.profile.orders) for done in self.history)
        best = float(self.history[-1].profile.loss.min()) if self.history else None
        foreseen = spent + self._effort(cost + (to_come or Cost()))
        whole = max(self._effort(self._planned), foreseen)

        def tell(activity: str, share: float) -> None:
            if self._progress is not None:
                self._told = max(self._told, (spent + share * self._effort(cost)) / whole)
                scored = before + int(share * candidates)
                self._progress(Progress(f"{stage}: {activity}", self._told, self.seconds, scored, best))

        return tell

    def _effort(self, cost: Cost) -> float:
        """Cost in scorings of one row; training a row costs about three."""
        return 3.0 * cost.training_steps * self.profiler.training.batch_size + cost.rows_scored


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
