"""Every search at one budget: what reviews of the paper asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.data.tasks import satisfied_dependencies
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyorder.search import Strategy

SEARCHES = ("random", "greedy", "evolutionary", "annealing", "soft", "hierarchical", "precedence")


@dataclass(frozen=True)
class Baselines(Study):
    """Each search has the training steps and the rows x orders of so many profiling runs of 64 orders.

    Options are such that a search spends that as far as it can; the published search and precedence come to an
    end of their own before. A training step of a soft permutation counts as one, and takes half as long again.
    Exhaustive search is left out: its first run alone, of all orders, would be past the budget.

    Attributes
    ----------
    tasks : names
    length : of the targets
    runs : profiling runs
    seeds : how many, each with data of its own
    """

    name: ClassVar[str] = "baselines"
    needs: ClassVar[tuple[str, ...]] = ("scipy",)
    title: ClassVar[str] = "Every search at one budget"
    claim: ClassVar[str] = "the published search finds better orders than other searches of the same cost"
    claimed: ClassVar[str] = "no comparison, reviews asked for one"
    criterion: ClassVar[str] = (
        "its orders train to a higher success than those of each other baseline, seeds' means"
    )
    tasks: tuple[str, ...]
    length: int
    runs: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A task, a search and a seed each."""
        return [
            {"task": task, "length": self.length, "search": search, "seed": seed}
            for seed in range(self.seeds)
            for task in self.tasks
            for search in SEARCHES
        ]

    def strategy(self, name: str) -> Strategy:
        """A search with options that spend the budget."""
        from pyorder import search

        last = self.runs - 1  # one run is for the finalists
        constructions = max(1, last // (self.length - 1))
        strategies: dict[str, Strategy] = {
            "random": search.Random(candidates=last * 64, pool=64, finalists=max(1, 64 // last)),
            "greedy": search.Greedy(completions=max(1, 64 // self.length), constructions=constructions),
            "evolutionary": search.Evolutionary(parents=16, children=48, generations=last),
            "annealing": search.Annealing(chains=32, rounds=last),
            "soft": search.Soft(restarts=max(1, last * self.sizes.profile_steps // 1000)),
            "hierarchical": search.Hierarchical(depth=self.depth(), inside="each", between="rotations"),
            "precedence": search.Precedence(),
        }
        return strategies[name]

    def depth(self) -> int:
        """K of the published search: as far as its global stage takes no more than half of the budget."""
        affordable = [k for k in range(1, 7) if k * math.factorial(k + 1) <= 33 * self.runs]
        return min(affordable[-1], max(1, self.length - 4))

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns within the budget, then train on the order found."""
        from pyorder.search import Budget, discover_shuffled
        from pyorder.training import fit

        splits = base.splits_of(cell, self.sizes)
        rows = 66 * self.sizes.validation  # 64, and two for what the last run has more
        found = discover_shuffled(
            splits.train,
            validation=splits.validation,
            strategy=self.strategy(cell["search"]),
            budget=Budget(training_steps=self.runs * self.sizes.profile_steps, rows_scored=self.runs * rows),
            seed=cell["seed"],
            **self.sizes.profiling,
        )
        fitted = fit(splits.train, found.order, test=splits.test, seed=cell["seed"], **self.sizes.fitting)
        dependencies = base.task_of(cell).dependencies or ()
        return {
            "order": found.order.tolist(),
            "satisfied": satisfied_dependencies(found.order, dependencies),
            "reverse_satisfied": satisfied_dependencies(found.order[::-1].copy(), dependencies),
            "converged": found.converged,
            "profiling_runs": found.runs,
            "cost": asdict(found.cost),
            "search_seconds": found.seconds,
            "remarks": list(found.remarks),
            **base.fit_result(fitted),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """A line for every search and task, then every order that was found, then what relaxations leaked."""
        lines = []
        for task in self.tasks:
            for search in SEARCHES:
                ours = [row["result"] for row in base.select(rows, task=task, search=search)]
                lines.append(
                    [
                        base.task_name({"task": task, "length": self.length}),
                        search,
                        f"{sum(one['satisfied'] == 1 for one in ours)} of {len(ours)}" if ours else base.NOT_RUN,
                        *(base.over_seeds([one[name] for one in ours], " %", scale=100, digits=0)
                          for name in ("satisfied", "success_rate")),
                        base.over_seeds([one["cost"]["training_steps"] for one in ours], digits=0),
                        base.over_seeds([one["search_seconds"] for one in ours], " s", digits=0),
                    ]
                )  # fmt: skip
        orders = [
            [
                base.task_name(row["cell"]),
                row["cell"]["search"],
                str(row["cell"]["seed"]),
                base.order_text(row["result"]["order"]),
                f"{100 * row['result']['satisfied']:.0f} %",
                f"{100 * row['result']['reverse_satisfied']:.0f} %",
            ]
            for row in rows
        ]
        columns = ("task", "search", ">solved", ">dependencies", ">success", ">training steps", ">search time")
        said = [
            [base.task_name(row["cell"]), row["cell"]["search"], str(row["cell"]["seed"]), remark]
            for row in rows
            for remark in row["result"]["remarks"]
        ]
        named = ("task", "search", ">seed", "order found", ">dependencies", ">its reverse")
        title = (
            f"*Solved*: every dependency satisfied. At most {self.runs * self.sizes.profile_steps:,} training "
            "steps and as many rows x orders as that many profiling runs of 64 orders score."
        )
        tables = [Table(title, columns, lines), Table("Every order found.", named, orders)]
        if said:
            tables.append(Table("What the searches remarked.", ("task", "search", ">seed", "remark"), said))
        return tables

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks and baselines that both were run."""
        told, holds = [], []
        for task in self.tasks:
            rates = {
                search: [row["result"]["success_rate"] for row in base.select(rows, task=task, search=search)]
                for search in SEARCHES
                if search != "precedence"
            }
            means = {search: float(np.mean(rate)) for search, rate in rates.items() if rate}
            others = [mean for search, mean in means.items() if search != "hierarchical"]
            if "hierarchical" in means and others:
                told.append(
                    f"{100 * means['hierarchical']:.0f} % against {100 * min(others):.0f} to "
                    f"{100 * max(others):.0f} % for {task}"
                )
                holds += [means["hierarchical"] > mean for mean in others]
        return Finding(", ".join(told), holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Dependencies satisfied by every search, a point for every seed."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5 * len(self.tasks), 3.5), layout="constrained")
        panels = figure.subplots(1, len(self.tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(panels, self.tasks, strict=True):
            for place, search in enumerate(SEARCHES):
                shares = [100 * row["result"]["satisfied"] for row in base.select(rows, task=task, search=search)]
                jitter = place + 0.1 * (np.arange(len(shares)) - (len(shares) - 1) / 2)
                axes.plot(shares, jitter, "o", alpha=0.7, color="C0")
            axes.set_yticks(range(len(SEARCHES)), SEARCHES)
            title = base.task_name({"task": task, "length": self.length})
            axes.set(title=title, xlabel="dependencies satisfied, %", xlim=(-4, 104))
        panels[0].invert_yaxis()
        return figure


LAPTOP = Baselines(replace(base.LAPTOP, fit_steps=1_000), tasks=("square", "relu"), length=8, runs=16, seeds=3)
PAPER = Baselines(base.PAPER, tasks=("square", "relu", "index"), length=13, runs=64, seeds=5)
