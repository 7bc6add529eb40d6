"""Whether early loss predicts: profile losses against how soon a model of one order learns, and how well.

Source: the claim of Sato, Kawamoto, Kera, arXiv 2506.23875, which reports no figure for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.data.dataset import Splits
from pyorder.data.tasks import make_task
from pyorder.orders.permutations import lexicographic, sample
from pyorder.orders.posets import Poset
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Orders, Row, Study, Table
from pyorder.streams import nested

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = ("square", "cubic")
OUTCOMES = {"steps to 90 % accuracy": "steps_to_learn", "final loss": "final_loss"}


@dataclass(frozen=True)
class Predictive(Study):
    """All 120 orders at L = 5; at L = 8, orders stratified by how many dependencies they break.

    Attributes
    ----------
    stratified : orders at L = 8
    chunk : orders that one cell trains, one by one
    run_lengths : training steps of the profiling runs
    seeds : of the profiling runs; every order is trained with one seed
    """

    name: ClassVar[str] = "predictive"
    needs: ClassVar[tuple[str, ...]] = ("scipy",)
    title: ClassVar[str] = "Early loss against what is learned in the end"
    claim: ClassVar[str] = "early loss predicts how well an order is learned in the end"
    claimed: ClassVar[str] = "no figure"
    criterion: ClassVar[str] = (
        "rank correlation of the loss in the longest profiling runs with the steps to 90 % is at least 0.5"
    )
    stratified: int
    chunk: int
    run_lengths: tuple[int, ...]
    seeds: int

    def cells(self) -> list[Cell]:
        """Profiling runs by length and seed; then the orders' own trainings, in chunks."""
        cells = []
        for length, task in itertools.product((5, 8), TASKS):
            common = {"task": task, "length": length, "seed": 0}
            cells += [
                {**common, "profile_steps": steps, "profile_seed": seed}
                for steps in self.run_lengths
                for seed in range(self.seeds)
            ]
            cells += [
                {**common, "orders_from": start} for start in range(0, len(self.orders(task, length)), self.chunk)
            ]
        return cells

    def orders(self, task: str, length: int) -> Orders:
        """The orders of a task, in a fixed sequence."""
        if length == 5:
            return lexicographic(5)
        return stratified(task, length, self.stratified)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Profile all orders together, or train some of them one by one."""
        from pyorder.profiling import profile

        splits = base.splits_of(cell, self.sizes)
        orders = self.orders(cell["task"], cell["length"])
        if "profile_steps" in cell:
            profiled = profile(
                splits.train,
                orders,
                validation=splits.validation,
                model=self.sizes.profile_model,
                steps=cell["profile_steps"],
                seed=cell["profile_seed"],
            )
            return {"losses": profiled.loss.tolist(), "seconds": profiled.seconds}
        mine = orders[cell["orders_from"] :][: self.chunk]
        trained = [learn(splits, order, self.sizes, seed=cell["seed"]) for order in mine]
        return {name: [one[name] for one in trained] for name in trained[0]}

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Rank correlations by run length, means over profiling seeds with 95 % intervals over orders."""
        lines = []
        for length, task in itertools.product((5, 8), TASKS):
            outcomes = self._outcomes(rows, task, length)
            for (label, name), steps in itertools.product(OUTCOMES.items(), self.run_lengths):
                runs = [
                    row["result"]["losses"]
                    for row in base.select(rows, task=task, length=length, profile_steps=steps)
                ]
                head = [base.task_name({"task": task, "length": length}), label, str(steps)]
                if outcomes is None or not runs:
                    lines.append([*head, *[base.NOT_RUN] * 4])
                    continue
                outcome = outcomes[name]
                lines.append(
                    [
                        *head,
                        agreement(runs, outcome, "spearman"),
                        agreement(runs, outcome, "kendall"),
                        str(len(runs)),
                        f"{np.isinf(outcome).sum()} of {len(outcome)}" if name == "steps_to_learn" else "-",
                    ]
                )
        return [
            Table(
                "Rank correlation of profile loss with the outcome of training on each order alone; orders that "
                "never get there, or diverge, rank last, and equal. Mean over profiling seeds, with the 95 % "
                "interval over orders.",
                ("task", "outcome", ">profile steps", ">Spearman", ">Kendall", ">seeds", ">never reached"),
                lines,
            )
        ]

    def _outcomes(self, rows: Sequence[Row], task: str, length: int) -> dict[str, npt.NDArray[np.float64]] | None:
        """Outcomes of every order; None where some were not trained."""
        chunks = {
            row["cell"]["orders_from"]: row["result"]
            for row in base.select(rows, task=task, length=length)
            if "orders_from" in row["cell"]
        }
        starts = range(0, len(self.orders(task, length)), self.chunk)
        if any(start not in chunks for start in starts):
            return None
        joined = {
            name: np.array([value for start in starts for value in chunks[start][name]], np.float64)
            for name in OUTCOMES.values()
        }
        # None in a row's JSON: never reached
        joined["steps_to_learn"][np.isnan(joined["steps_to_learn"])] = np.inf
        return joined

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks and lengths of which every order was trained; mean over profiling seeds."""
        told, holds = [], []
        for length, task in itertools.product((5, 8), TASKS):
            outcomes = self._outcomes(rows, task, length)
            longest = base.select(rows, task=task, length=length, profile_steps=self.run_lengths[-1])
            if outcomes is None or not longest or np.ptp(last := _ranked(outcomes["steps_to_learn"])) == 0:
                continue
            ranks = mean_ranks(last)
            early = (mean_ranks(_ranked(run["result"]["losses"])) for run in longest)
            found = [np.corrcoef(losses, ranks)[0, 1] for losses in early]
            told.append(f"{np.mean(found):.2f} for {base.task_name({'task': task, 'length': length})}")
            holds.append(bool(np.mean(found) >= 0.5))
        return Finding(", ".join(told), holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Final loss of every order against its loss in the longest profiling run of the first seed."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 7), layout="constrained")
        for axes, (length, task) in zip(figure.subplots(2, 2).flat, itertools.product((5, 8), TASKS), strict=True):
            outcomes = self._outcomes(rows, task, length)
            runs = base.select(rows, task=task, length=length, profile_steps=self.run_lengths[-1], profile_seed=0)
            if outcomes is not None and runs:
                axes.plot(runs[0]["result"]["losses"], outcomes["final_loss"], "o", alpha=0.5)
            axes.set(
                title=f"{task} L = {length}", xlabel="profile loss, nats a step", ylabel="final loss, nats a step"
            )
        return figure


def stratified(task: str, length: int, count: int) -> Orders:
    """Draw distinct orders so that every number of broken dependencies occurs about equally often.

    Examples
    --------
    >>> stratified("square", 8, 14).shape
    (14, 8)
    """
    graph = Poset(length, make_task(task, length).dependencies or ())
    drawn = sample(length, 40_000, seed=0, distinct=True)
    broken = np.rint((1 - graph.satisfied(drawn)) * len(graph.edges))
    strata = [drawn[broken == number] for number in range(len(graph.edges) + 1)]
    turns = itertools.zip_longest(*strata)
    chosen = [order for turn in turns for order in turn if order is not None]
    return np.array(chosen[:count])


def learn(splits: Splits, order: Orders, sizes: base.Sizes, seed: int) -> dict[str, float | None]:
    """Train on one order alone and look at the test rows now and then.

    Returns
    -------
    steps_to_learn : training steps until 90 % of the steps are predicted right, given those before; None if never
    final_loss : nats a step, after the last training step
    """
    from pyorder.training import fit

    # Orders were ranked on the validation rows: what they are worth is seen on others.
    fitted = fit(splits.train, order, test=splits.test, validation=splits.test, seed=seed, **sizes.fitting)
    assert fitted.validation_curve is not None
    return {"steps_to_learn": base.steps_to_learn(fitted), "final_loss": float(fitted.validation_curve[-1, 1])}


def agreement(runs: Sequence[Sequence[float]], outcome: npt.NDArray[np.float64], kind: str) -> str:
    """Mean over runs of the rank correlation with an outcome, and its 95 % bootstrap interval over orders."""
    from scipy import stats

    measure = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}[kind]
    losses, last = _ranked(runs), _ranked(outcome)

    def mean_over_runs(chosen: npt.NDArray[np.int64]) -> float:
        if np.ptp(last[chosen]) == 0 or (np.ptp(losses[:, chosen], axis=1) == 0).any():  # nothing to rank
            return math.nan
        return float(np.mean([measure(loss[chosen], last[chosen]).statistic for loss in losses]))

    rng = nested(0)
    everyone = np.arange(len(outcome))
    drawn = [mean_over_runs(rng.choice(everyone, len(everyone))) for _ in range(500)]
    if np.isnan(drawn).all():
        return "all equal"
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return f"{mean_over_runs(everyone):.2f} ({low:.2f} to {high:.2f})"


def mean_ranks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Rank values from 1 on; equal ones share their mean rank.

    Examples
    --------
    >>> mean_ranks([5, 2, 2]).tolist()
    [3.0, 1.5, 1.5]
    """
    array = np.asarray(values)
    sides = [np.searchsorted(np.sort(array), array, side) for side in ("left", "right")]
    return (sides[0] + sides[1] + 1) / 2


def _ranked(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Put what was never reached last, and equal; so too the losses of what diverged, None in JSON."""
    array = np.array(values, np.float64)
    return np.where(np.isfinite(array), array, np.finfo(float).max)


LAPTOP = Predictive(
    base.Sizes(50_000, 500, 500, "nano", 400, "base", 600),
    stratified=60,
    chunk=10,
    run_lengths=(100, 200, 400, 800),
    seeds=3,
)
PAPER = Predictive(base.PAPER, stratified=60, chunk=10, run_lengths=(200, 400, 800, 1_600), seeds=5)
