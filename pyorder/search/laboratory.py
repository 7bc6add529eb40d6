"""What a strategy works with: it profiles each pool in one run, keeps the record and watches the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.graph import Exploration
from pyorder.errors import InputError
from pyorder.execution import RandomStream
from pyorder.models.architecture import Architecture
from pyorder.models.learner import AnyOrderLearner, Learner
from pyorder.orders.posets import Poset
from pyorder.profiling.contest import Contest
from pyorder.profiling.profile import RUN, Profiler
from pyorder.profiling.result import Cost, Orders, Profile
from pyorder.progress import Progress, Report
from pyorder.runs.folder import read_history, write_history
from pyorder.runs.journal import Journal
from pyorder.search._pools import draw_orders, draw_pools
from pyorder.search._resuming import ResumableExplorer
from pyorder.search.budget import Budget, BudgetSpentError
from pyorder.search.discovery import Stage
from pyorder.streams import of_run, seed_from, stream
from pyorder.training.recipe import Recipe

Tell = Callable[[str, float], None]


class Laboratory:
    """Profiles the pools that a strategy proposes, and keeps record, clock and budget.

    Attributes
    ----------
    length : number of steps of an order
    constraints : the graph whose sorts are searched; one without edges allows every order
    seed, seeds : of the search, and how many each run has; strategies draw from ``rng``, never from a global
        generator
    journal : what has been done, for a search that goes on after an interruption
    history : the runs so far
    best : (L,) the best order so far, of the last run or of an exploration; None before
    exploration : what a strategy that explores has found
    remarks : what the strategy has to say about its result; see `Discovery`
    profiler : data, model and settings of every run, for a strategy that trains a model of its own
    curtailed : whether the budget has ended the strategy early; see `curtail`
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
        journal: Journal | None = None,
    ) -> None:
        self.length = profiler.length
        self.constraints = constraints
        self.seed = seed
        self.rng = stream(seed, "search")
        self.history: list[Stage] = []
        self.best: Orders | None = None
        self.exploration: Exploration | None = None
        self.remarks: list[str] = []
        self.profiler = profiler
        self.cost = Cost()
        self.curtailed = False
        self.journal = profiler.journal = Journal() if journal is None else journal
        self.seeds = seeds
        self._budget = budget
        self._planned = planned
        self._progress = progress
        self._told = 0.0  # largest share so far

    @property
    def seconds(self) -> float:
        """Wall time since the search began, in this attempt at it and in those that were interrupted."""
        return self.journal.seconds

    def affords(self, *pools: int, beside: Cost | None = None) -> bool:
        """Whether runs of these many candidates, after a cost ``beside`` them, are within the budget.

        The last of them has to start in time, at the pace so far. Asking changes nothing: a strategy that stops
        because of the answer says so with `curtail`.
        """
        *before, last = map(self.run_cost, pools)
        allowed = self._allows(sum(before, beside or Cost()), last)
        if self._budget.seconds is None:
            return allowed
        # What the clock allowed stands: a search that is taken up again asks another one.
        return bool(self.journal.told("affords", allowed))

    def _allows(self, before: Cost, last: Cost) -> bool:
        spent, before = self._effort(self.cost), self.cost + before
        start = self.seconds * self._effort(before) / spent if spent else self.seconds
        return self.profiler.world.agreed(lambda: self._budget.allows(before + last, start))

    def curtail(self) -> None:
        """Record that the budget ended the strategy before its own end; the result is then not ``converged``."""
        self.curtailed = True

    def draw(self, count: int) -> Orders:
        """Draw distinct orders that the constraints allow, uniformly at random; fewer where there are fewer.

        Every call draws others, from ``rng``.
        """
        return draw_orders(self.constraints, count, seed_from(self.rng))

    def draw_pools(self, sizes: list[int]) -> Iterator[Orders]:
        """Draw the orders of several pools as `draw` does, no order twice; see `pyorder.search._pools`."""
        return draw_pools(self.constraints, sizes, seed_from(self.rng))

    def allowed(self, orders: Orders) -> Orders:
        """Those of the orders (T, L) that the constraints allow."""
        return orders[self.constraints.is_sort(orders)]

    def explorer(self, samples: int, architecture: Architecture, recipe: Recipe) -> Explorer:
        """Make an any-order model on the training rows, some of which it sets apart as evidence.

        It is the caller's own module where that takes the order, at whose rate it learns where it has one of its
        own; else a built-in one of the given architecture. It multiplies as in profiling, unless the recipe says
        otherwise. On a GPU a built-in one does so in float32, which costs little there: in bfloat16 a graph took
        more rounds (docs/gpu.md).
        """
        profiler, tokens = self.profiler, self.profiler.tokens
        learner: Learner = AnyOrderLearner(architecture)
        precision = profiler.recipe.precision
        with RandomStream(self.seed, tokens.device).lent():
            own = profiler.learner.exploring(tokens.shape, tokens.length)
        if own is not None:
            learner = own
            if own.usual_rate is not None:
                recipe = replace(recipe, learning_rate=profiler.recipe.learning_rate)
        elif tokens.device.type == "cuda":
            precision = "float32"
        if recipe.precision == "auto":
            recipe = replace(recipe, precision=precision)
        return ResumableExplorer(
            tokens,
            learner=learner,
            recipe=recipe,
            evidence_rows=samples,
            seed=self.seed,
            world=profiler.world,
            journal=self.journal,
        )

    def run_cost(self, candidates: int) -> Cost:
        """What a profiling run of so many candidates costs."""
        return self.profiler.cost(candidates, self.seeds)

    def profile(self, orders: Orders, stage: str) -> Profile:
        """Profile a pool in one run, each run with seeds of its own.

        Raises
        ------
        BudgetSpentError
            If the run would go past the budget, which is recorded as `curtail` does; nothing has been spent then.
        """
        first, cost = self._fresh_seed(), self.run_cost(len(orders))
        seeds = range(first, first + self.seeds)
        done = self._recalled(orders)
        return self._run(stage, cost, done, lambda tell: self.profiler.profile(orders, seeds=seeds, on_share=tell))

    def contest(self, orders: Orders, *, steps: int, seeds: int = 1) -> Contest:
        """Let orders train alone for so many steps in all, from seeds of their own; `go_on` is what costs."""
        first = self._fresh_seed()
        return Contest(self.profiler, orders, seeds=range(first, first + seeds), steps=steps)

    def go_on(self, contest: Contest, steps: int, stage: str) -> Profile:
        """Let those that are left in a contest train for some more steps; errors as `profile`."""
        if (done := self._recalled(contest.orders)) is not None:
            contest.pass_over(steps)
        return self._run(stage, contest.cost(steps), done, lambda tell: contest.go_on(steps, tell))

    def _fresh_seed(self) -> int:
        return of_run(self.seed, len(self.history))

    def _run(self, stage: str, cost: Cost, done: Profile | None, work: Callable[[Tell], Profile]) -> Profile:
        """Do the work within the budget, unless it is done."""
        profile = done
        if profile is None:
            if not self._allows(Cost(), cost):
                self.curtail()
                raise BudgetSpentError(stage)
            profile = work(self.teller(stage, cost))
            record = profile.record(stage, self.seconds)
            self.journal.record("profile", lambda path: write_history(path, [record]))
            self.journal.forget_states(RUN)
        self.cost += profile.cost
        self.history.append(Stage(stage, profile, self.seconds))
        if (calmed := profile.settings.get("diverged")) is not None:
            self.remarks.append(
                f"Training diverged in the run {stage!r}, which was repeated at a learning rate of "
                f"{calmed['trained_at']:g}."
            )
        self.best = profile.best
        return profile

    def _recalled(self, orders: Orders) -> Profile | None:
        """The profile of these orders that an earlier attempt at this search has made."""
        if (entry := self.journal.recall("profile")) is None:
            return None
        (record,) = read_history(entry)
        if not np.array_equal(record.orders, orders):
            raise InputError(f"run_dir: {str(entry)!r} is of other orders: give a new folder")
        self.journal.go_on_from(record.seconds)
        profile = Profile.of_record(record)
        # A race begins at the rate that these runs came down to.
        self.profiler.calmed += profile.settings.get("diverged", {"seeds": []})["seeds"]
        return profile

    def teller(self, stage: str, cost: Cost, to_come: Cost | None = None) -> Tell:
        """Make the function that tells how far a run of ``cost`` is; it takes an activity and its share done.

        ``to_come`` is known to follow. A search may take longer than was planned; what is told never falls.
        """
        spent = self._effort(self.cost)
        foreseen = spent + self._effort(cost + (to_come or Cost()))
        whole = max(self._effort(self._planned), foreseen)

        def tell(activity: str, share: float) -> None:
            self._tell(f"{stage}: {activity}", (spent + share * self._effort(cost)) / whole)

        return tell

    def finish(self) -> None:
        """Tell that all is done, however much of what was planned it took."""
        self._tell("done", 1.0)

    def _tell(self, stage: str, share: float) -> None:
        if self._progress is not None:
            self._told = max(self._told, share)
            scored = sum(len(done.profile.orders) for done in self.history)
            best = self.history[-1].profile.best_loss if self.history else None
            self._progress(Progress(stage, self._told, self.seconds, scored, best))

    def _effort(self, cost: Cost) -> float:
        """Cost in scorings of one row; training a row costs about three."""
        return 3.0 * cost.training_steps * self.profiler.recipe.batch_size + cost.rows_scored
