"""The published picture of a profile: loss by candidate, and what the best of them are worth in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.orders.permutations import sample
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table
from pyorder.reproduce.table2 import forward_distance
from pyorder.streams import stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = ("square", "relu")


@dataclass(frozen=True)
class FigureProfile(Study):
    """Forward among random orders in one profiling run, then final training of those of lowest loss.

    Attributes
    ----------
    length : of the targets
    candidates : orders of the run, forward among them at a random place
    best : candidates that are trained to the end; 32 in the paper
    seeds : how many
    """

    name: ClassVar[str] = "figure-profile"
    title: ClassVar[str] = "Loss by candidate, and success of the best"
    claim: ClassVar[str] = "among many random orders the forward order has the lowest early loss"
    claimed: ClassVar[str] = "first of 128"
    criterion: ClassVar[str] = "forward has the lowest loss of its profiling run"
    length: int
    candidates: int
    best: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A task and a seed each."""
        return [
            {"task": task, "length": self.length, "seed": seed} for seed in range(self.seeds) for task in TASKS
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Profile, and train the first ranks to the end."""
        from pyorder.profiling import profile
        from pyorder.training import fit

        splits = base.splits_of(cell, self.sizes)
        drawn = sample(self.length, self.candidates, seed=cell["seed"], distinct=True)
        rest = drawn[(drawn != np.arange(self.length)).any(1)][: self.candidates - 1]
        pool = stream(cell["seed"], "shown pool").permutation(np.concatenate([np.arange(self.length)[None], rest]))
        profiled = profile(
            splits.train, pool, validation=splits.validation, seed=cell["seed"], **self.sizes.profiling
        )
        ranked = pool[profiled.ranking]
        trained = [
            fit(splits.train, order, test=splits.test, seed=cell["seed"], **self.sizes.fitting)
            for order in ranked[: self.best]
        ]
        return {
            "losses": profiled.loss[profiled.ranking].tolist(),
            "forward_rank": 1 + int(np.flatnonzero((ranked == np.arange(self.length)).all(1))[0]),
            "orders": [fitted.order.tolist() for fitted in trained],
            "success_rates": [fitted.success_rate for fitted in trained],
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """The rank of forward, and success by rank."""
        lines = []
        for task in TASKS:
            for seed in range(self.seeds):
                head = [base.task_name({"task": task, "length": self.length}), str(seed)]
                line = [*[base.NOT_RUN] * 4]
                for row in base.select(rows, task=task, seed=seed):
                    success = np.array(row["result"]["success_rates"])
                    shares = [success[:1], success[1:8], success[8:]]
                    rank = f"{row['result']['forward_rank']} of {self.candidates}"
                    line = [rank, *(f"{100 * share.mean():.1f} %" for share in shares)]
                lines.append([*head, *line])
        columns = (
            "task",
            ">seed",
            ">rank of forward",
            ">success of the first",
            ">of ranks 2 to 8",
            f">of ranks 9 to {self.best}",
        )
        return [Table("Success rate after final training, mean over the ranks.", columns, lines)]

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks and seeds."""
        ranks = [row["result"]["forward_rank"] for row in rows]
        return Finding(f"ranks {', '.join(map(str, ranks))} of {self.candidates}", [rank == 1 for rank in ranks])

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Loss by rank above, success of the best below; seed 0."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5 * len(TASKS), 5.5), layout="constrained")
        panels = figure.subplots(2, len(TASKS))
        for column, task in enumerate(TASKS):
            upper, lower = panels[:, column]
            for row in base.select(rows, task=task, seed=0):
                losses, rates = row["result"]["losses"], row["result"]["success_rates"]
                orders = np.array(row["result"]["orders"])
                upper.plot(losses, color="C0")
                forward = [forward_distance(order) == 0 for order in orders]
                lower.bar(1 + np.arange(len(rates)), 100 * np.array(rates), color=np.where(forward, "C1", "C0"))
            upper.set(title=f"{task} L = {self.length}", xlabel="candidate by loss", ylabel="loss, nats a step")
            lower.set(xlabel="rank (orange: forward)", ylabel="success, %", ylim=(0, 102), xlim=(0, self.best + 1))
        return figure


LAPTOP = FigureProfile(
    base.Sizes(50_000, 500, 1_000, "nano", 400, "base", 600), length=13, candidates=128, best=12, seeds=3
)
PAPER = FigureProfile(base.PAPER, length=13, candidates=5_040, best=32, seeds=3)
