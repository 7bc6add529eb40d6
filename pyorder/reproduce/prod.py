"""Multiplication: whether a search finds the least significant digit first, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.orders.permutations import sample
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Row, Study, Table
from pyorder.reproduce.table2 import forward_distance
from pyorder.streams import stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyorder.data.dataset import Splits

SEARCHES = ("hierarchical", "precedence")
COMPANY = 29  # random orders that a found order meets
ORDERS = ("least significant first", "most significant first", "random", *SEARCHES)


@dataclass(frozen=True)
class Prod(Study):
    """Designed, random and discovered orders of the digits of a product, each trained to the end.

    Hierarchical search has its run that tells an order from its reverse, which the published one has not. The
    order that a search ends in also meets the designed ones and random ones in a profiling run of its own, scored
    on test rows: where the designed order has the lower loss, the search has missed it; where not, early loss has.

    Attributes
    ----------
    lengths : digits of the product
    seeds : how many, each with data of its own
    depth : K of the hierarchical search
    """

    name: ClassVar[str] = "prod"
    title: ClassVar[str] = "Multiplication: least significant digit first"
    lengths: tuple[int, ...]
    seeds: int
    depth: int

    def cells(self) -> list[Cell]:
        """A length, an order and a seed each."""
        return [
            {"task": "prod", "length": length, "order": order, "seed": seed}
            for length in self.lengths
            for seed in range(self.seeds)
            for order in ORDERS
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns if it is a search, train and test."""
        from pyorder.search import Hierarchical, Precedence, discover_shuffled
        from pyorder.training import fit

        splits = base.splits_of(cell, self.sizes)
        order = np.arange(cell["length"])
        result: dict[str, Any] = {}
        if cell["order"] == "most significant first":
            order = order[::-1]
        if cell["order"] == "random":
            order = stream(cell["seed"], "random order").permutation(order)
        if cell["order"] in SEARCHES:
            found = discover_shuffled(
                splits.train,
                validation=splits.validation,
                strategy=Hierarchical(depth=self.depth) if cell["order"] == "hierarchical" else Precedence(),
                seed=cell["seed"],
                **self.sizes.profiling,
            )
            order = found.order
            remarks = [] if found.exploration is None else list(found.exploration.remarks)
            result = {"search_seconds": found.seconds, "converged": found.converged, "remarks": remarks}
            result |= self._meeting(order, splits, cell["seed"])
        fitted = fit(splits.train, order, test=splits.test, seed=cell["seed"], **self.sizes.fitting)
        return {
            "found": order.tolist(),
            "forward_distance": forward_distance(order),
            **result,
            **base.fit_result(fitted),
            "step_accuracy": fitted.step_accuracy.tolist(),
        }

    def _meeting(self, found: np.ndarray, splits: Splits, seed: int) -> dict[str, Any]:
        """Early loss of the order found beside others, and how many of all have a lower one."""
        from pyorder.profiling import profile

        forward = np.arange(len(found))
        others = sample(len(found), COMPANY, seed=seed)
        met = profile(
            splits.train,
            np.concatenate([[found, forward, forward[::-1]], others]),
            validation=splits.test,
            seed=seed,
            **self.sizes.profiling,
        )
        names = ("found", "least significant first", "most significant first")
        return {
            "early_loss": dict(zip(names, met.loss.tolist(), strict=False)),
            "early_rank": {name: int((met.loss < met.loss[place]).sum()) for place, name in enumerate(names)},
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Success by order, and the orders that were found."""
        published = {
            row["length"]: row["discovered"] for row in base.published("leaderboard") if row["task"] == "prod"
        }

        def over_orders(length: int, value: Callable[[dict[str, Any]], float]) -> list[str]:
            cells = (base.select(rows, length=length, order=order) for order in ORDERS)
            shares = [base.over_seeds([value(row["result"]) for row in ours], " %", scale=100) for ours in cells]
            return [base.task_name({"task": "prod", "length": length}), *shares]

        lines = [
            [
                *over_orders(length, lambda result: result["success_rate"]),
                f"{published[length]:g} %" if length in published else "-",
            ]
            for length in sorted({*self.lengths, *published})
        ]
        digits = [
            over_orders(length, lambda result: float(np.mean(result["step_accuracy"]))) for length in self.lengths
        ]
        columns = ("task", *(f">{order}" for order in ORDERS), ">published, discovered")
        found = [
            [
                base.task_name(row["cell"]),
                row["cell"]["order"],
                str(row["cell"]["seed"]),
                base.order_text(row["result"]["found"]),
                f"{row['result']['forward_distance']:.2f}",
                *(
                    f"{row['result']['early_loss'][name]:.3f} ({row['result']['early_rank'][name] + 1})"
                    for name in ("found", "least significant first", "most significant first")
                ),
                f"{row['result']['search_seconds']:.0f} s",
            ]
            for row in rows
            if row["cell"]["order"] in SEARCHES
        ]
        return [
            Table("Success rate after final training: mean over seeds, with the range.", columns, lines),
            Table("Accuracy of a digit in final training, mean over digits.", columns[:-1], digits),
            Table(
                "Orders found; step 0 is the least significant digit. *Distance*: share of pairs out of that "
                "order. Early loss (and rank) in one profiling run of the order found, both designed orders and "
                f"{COMPANY} random ones, on test rows.",
                (
                    "task",
                    "search",
                    ">seed",
                    "order",
                    ">distance",
                    ">early loss, found",
                    ">least significant first",
                    ">most significant first",
                    ">search time",
                ),
                found,
            ),
        ]

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Accuracy by digit, a line for every order and length."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4 * len(self.lengths), 3.5), layout="constrained")
        panels = figure.subplots(1, len(self.lengths), sharey=True, squeeze=False)[0]
        for axes, length in zip(panels, self.lengths, strict=True):
            for order in ORDERS:
                accuracy = [
                    row["result"]["step_accuracy"] for row in base.select(rows, length=length, order=order)
                ]
                if accuracy:
                    axes.plot(np.mean(accuracy, 0), marker=".", label=order)
            axes.set(title=f"{length} digits", xlabel="digit, 0 the least significant")
        panels[0].set_ylabel("accuracy, mean over seeds")
        if rows:
            panels[0].legend(fontsize="small")
        return figure


LAPTOP = Prod(base.LAPTOP, lengths=(8, 10, 12), seeds=1, depth=5)
PAPER = Prod(base.PAPER, lengths=(10, 12, 20), seeds=3, depth=6)
