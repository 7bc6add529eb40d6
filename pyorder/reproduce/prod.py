"""Multiplication: whether a search finds the least significant digit first, and what that is worth.

The published grid of success is over the number of digits of each operand, so short operands are among its rows.
Small products only test memory: how many of their inputs occur in training stands beside each figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.data.tasks import make_task
from pyorder.orders.permutations import sample
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table
from pyorder.reproduce.table2 import forward_distance
from pyorder.streams import stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyorder.data.dataset import Dataset, Splits

Ints = npt.NDArray[np.int64]

COMPANY = 29  # random orders that a found order meets
LEAST, MOST, SEARCH = "least significant first", "most significant first", "hierarchical"
RANDOM = ("random 1", "random 2", "random 3")
SHOWN = {LEAST: (LEAST,), MOST: (MOST,), "random": RANDOM, SEARCH: (SEARCH,)}


@dataclass(frozen=True)
class Product:
    """What is multiplied, and how long the final training of each order is.

    Attributes
    ----------
    factors, base, rows : as in `make_task`, the factors as "5x3"
    steps : of final training
    """

    factors: str
    base: int
    rows: str
    steps: int

    @property
    def digits(self) -> tuple[int, int]:
        """Digits that both factors have room for.

        Examples
        --------
        >>> Product("9x1", 10, "uniform", 100).digits
        (9, 1)
        """
        first, second = map(int, self.factors.split("x"))
        return first, second

    @property
    def cell(self) -> Cell:
        """The task as a cell names it."""
        parameters = {"factors": self.factors, "base": self.base, "rows": self.rows}
        return {"task": "prod", "length": sum(self.digits), "parameters": parameters}


@dataclass(frozen=True)
class Prod(Study):
    """Designed, random and discovered orders of the digits of a product, each trained to the end.

    Hierarchical search has its run that tells an order from its reverse, which the published one has not. The
    order that a search ends in also meets the designed ones and random ones in a profiling run of its own, scored
    on test rows: where the designed order has the lower loss, the search has missed it; where not, early loss has.

    Attributes
    ----------
    products : what is multiplied
    seeds : how many, each with data of its own
    depth, limit : of the hierarchical search
    """

    name: ClassVar[str] = "prod"
    title: ClassVar[str] = "Multiplication: least significant digit first"
    claim: ClassVar[str] = "the search finds an order of the digits as good as least significant first"
    claimed: ClassVar[str] = "100, 51.4 and 98.2 % at 10, 12 and 20 digits"
    criterion: ClassVar[str] = (
        "in most seeds hierarchical search ends within one point of least significant first, and random orders "
        "end at least five points below it"
    )
    products: tuple[Product, ...]
    seeds: int
    depth: int
    limit: int

    def cells(self) -> list[Cell]:
        """A product, an order and a seed each; one seed of all before the next."""
        return [
            {**product.cell, "order": order, "seed": seed}
            for seed in range(self.seeds)
            for product in self.products
            for orders in SHOWN.values()
            for order in orders
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Search on shuffled columns if it is a search, train and test."""
        from pyorder.search import Hierarchical, discover_shuffled
        from pyorder.training import fit

        (product,) = (product for product in self.products if product.cell.items() <= cell.items())
        splits = base.splits_of(cell, self.sizes)
        order = np.arange(cell["length"])
        result: dict[str, Any] = {}
        if cell["order"] == MOST:
            order = order[::-1]
        if cell["order"] in RANDOM:
            drawn = stream(cell["seed"], "random order")
            order = [drawn.permutation(order) for _ in RANDOM][RANDOM.index(cell["order"])]
        if cell["order"] == SEARCH:
            found = discover_shuffled(
                splits.train,
                validation=splits.validation,
                strategy=Hierarchical(depth=min(self.depth, cell["length"]), limit=self.limit),
                seed=cell["seed"],
                **self.sizes.profiling,
            )
            order = found.order
            result = {"search_seconds": found.seconds} | self._meeting(order, splits, cell["seed"])
        fitting = {**self.sizes.fitting, "steps": product.steps}
        fitted = fit(splits.train, order, test=splits.test, seed=cell["seed"], **fitting)
        full = full_width(product, splits.train, self.sizes.test, cell["seed"])
        right = (fitted.predict(full.inputs) == full.targets).all(1) if full is not None else None
        return {
            "found": order.tolist(),
            "forward_distance": forward_distance(order),
            **result,
            **base.fit_result(fitted),
            "step_accuracy": fitted.step_accuracy.tolist(),
            "by_digits": by_digits(product, splits.test.inputs, fitted.success),
            "full_width": None if right is None else float(right.mean()),
            "full_width_rows": 0 if right is None else len(right),
            "distinct_inputs": len(np.unique(splits.train.inputs, axis=0)),
            "possible_inputs": base.task_of(cell).space_size,
        }

    def _meeting(self, found: np.ndarray, splits: Splits, seed: int) -> dict[str, Any]:
        """Early loss of the order found beside others, and how many of all have a lower one."""
        from pyorder.profiling import profile
        from pyorder.search._pools import distinct

        forward = np.arange(len(found))
        named = {"found": found, LEAST: forward, MOST: forward[::-1]}
        # One that is there twice would be shown twice as often.
        pool = distinct(np.concatenate([list(named.values()), sample(len(found), COMPANY, seed=seed)]))
        met = profile(
            splits.train,
            pool,
            validation=splits.test,
            seed=seed,
            **self.sizes.profiling,
        )
        losses = {name: float(met.loss[(pool == order).all(1)][0]) for name, order in named.items()}
        return {
            "early_loss": losses,
            "early_rank": {name: int((met.loss < loss).sum()) for name, loss in losses.items()},
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Success by order, on all test rows and on full ones; then what was found."""
        published = {row["length"]: row["discovered"] for row in base.published("leaderboard") if "length" in row}

        def line(product: Product, value: Callable[[dict[str, Any]], float | None]) -> list[str]:
            told = []
            for orders in SHOWN.values():
                ours = [value(row["result"]) for order in orders for row in self._rows(rows, product, order)]
                told.append(base.over_seeds([one for one in ours if one is not None], " %", scale=100))
            return [base.task_name(product.cell), *told]

        columns = ("task", *(f">{order}" for order in SHOWN))
        halves = {sum(one.digits) for one in self.products if one.base == 10 and len(set(one.digits)) == 1}
        success = [
            [
                *line(product, lambda result: result["success_rate"]),
                f"{published[length]:g} %"
                if (length := sum(product.digits)) in published and length in halves and product.base == 10
                else "-",
            ]
            for product in self.products
        ]
        success += [
            [base.task_name({"task": "prod", "length": length}), *[base.NOT_RUN] * len(SHOWN), f"{share:g} %"]
            for length, share in published.items()
            if length not in halves
        ]
        return [
            Table(
                "Success rate after final training, on unseen inputs: mean over seeds (and random orders), with "
                "the range.",
                (*columns, ">published, discovered"),
                success,
            ),
            Table(
                "Success rate on unseen inputs whose factors fill their room.",
                columns,
                [line(product, lambda result: result["full_width"]) for product in self.products],
            ),
            Table(
                "Accuracy of a digit in final training, mean over digits.",
                columns,
                [
                    line(product, lambda result: float(np.mean(result["step_accuracy"])))
                    for product in self.products
                ],
            ),
            self._memory(rows),
            self._found(rows),
        ]

    def _rows(self, rows: Sequence[Row], product: Product, order: str) -> list[Row]:
        return base.select(rows, **product.cell, order=order)

    def _memory(self, rows: Sequence[Row]) -> Table:
        lines = []
        for product in self.products:
            ours = [row["result"] for row in base.select(rows, **product.cell)]
            possible = f"{base.task_of(product.cell).space_size:,}"
            distinct = sorted({result["distinct_inputs"] for result in ours})
            seen = " to ".join(f"{count:,}" for count in dict.fromkeys([*distinct[:1], *distinct[-1:]]))
            lines.append([base.task_name(product.cell), possible, seen or base.NOT_RUN])
        title = "How many inputs there are, and how many of them training has."
        return Table(title, ("task", ">inputs", ">seen in training"), lines)

    def _found(self, rows: Sequence[Row]) -> Table:
        names = ("found", LEAST, MOST)
        lines = [
            [
                base.task_name(row["cell"]),
                str(row["cell"]["seed"]),
                base.order_text(row["result"]["found"]),
                f"{row['result']['forward_distance']:.2f}",
                *(
                    f"{row['result']['early_loss'][name]:.3f} ({row['result']['early_rank'][name] + 1})"
                    for name in names
                ),
                f"{row['result']['search_seconds']:.0f} s",
            ]
            for row in base.select(rows, order=SEARCH)
        ]
        return Table(
            "Orders found by hierarchical search; step 0 is the least significant digit. *Distance*: share of "
            "pairs out of that order. Early loss (and rank) in one profiling run of the order found, both "
            f"designed orders and {COMPANY} random ones, on test rows.",
            ("task", ">seed", "order", ">distance", *(f">early loss, {name}" for name in names), ">search time"),
            lines,
        )

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By products of which every order was trained with a seed at least."""
        holds, told = [], []
        for product in self.products:
            rates = {
                name: [row["result"]["success_rate"] for one in orders for row in self._rows(rows, product, one)]
                for name, orders in SHOWN.items()
            }
            if not all(rates.values()):
                continue
            found, best = (
                {row["cell"]["seed"]: row["result"]["success_rate"] for row in self._rows(rows, product, name)}
                for name in (SEARCH, LEAST)
            )
            within = [found[seed] >= best[seed] - 0.01 for seed in found.keys() & best.keys()]
            if not within:
                continue
            apart = np.mean(rates[LEAST]) - np.mean(rates["random"]) >= 0.05
            holds.append(bool(np.mean(within) > 0.5 and apart))
            shares = ", ".join(f"{name} {100 * np.mean(rate):.1f} %" for name, rate in rates.items())
            told.append(f"{product.factors} in base {product.base}: {shares}")
        return Finding("; ".join(told), holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The published grid: success by the digits of both factors, a panel for every product and order."""
        from matplotlib.figure import Figure

        size = (2.6 * len(SHOWN), 2.6 * len(self.products))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(self.products), len(SHOWN), squeeze=False)
        for line, product in zip(panels, self.products, strict=True):
            for axes, (name, orders) in zip(line, SHOWN.items(), strict=True):
                counts = np.zeros((2, *product.digits))
                for order in orders:
                    for row in self._rows(rows, product, order):
                        for first, second, seen, right in row["result"]["by_digits"]:
                            counts[:, first - 1, second - 1] += seen, right
                with np.errstate(invalid="ignore"):
                    share = np.where(counts[0] > 0, 100 * counts[1] / counts[0], np.nan)
                extent = (0.5, product.digits[1] + 0.5, 0.5, product.digits[0] + 0.5)
                axes.imshow(share, origin="lower", extent=extent, vmin=0, vmax=100, aspect="auto")
                for (first, second), value in np.ndenumerate(share):
                    if np.isfinite(value):
                        colour = "white" if value < 60 else "black"
                        axes.text(
                            second + 1, first + 1, f"{value:.0f}", ha="center", va="center", color=colour, size=7
                        )
                axes.set_xticks(range(1, product.digits[1] + 1))
                axes.set_yticks(range(1, product.digits[0] + 1))
                axes.set_title(f"{product.factors}, base {product.base}: {name}", size=7)
        figure.supxlabel("digits of the second factor")
        figure.supylabel("digits of the first factor; success on unseen inputs, %")
        return figure


def operand_digits(product: Product, inputs: npt.NDArray[np.integer[Any]]) -> Ints:
    """How many digits both factors of each input (N, X) have: (N, 2); zero has one.

    Examples
    --------
    >>> operand_digits(Product("3x1", 10, "uniform", 1), np.array([[0, 4, 0, 7], [0, 0, 0, 0]])).tolist()
    [[2, 1], [1, 1]]
    """
    parts = np.split(inputs, [product.digits[0]], axis=1)
    written = [np.where(part.any(1), part.shape[1] - (part != 0).argmax(1), 1) for part in parts]
    return np.stack(written, axis=1)


def by_digits(
    product: Product, inputs: npt.NDArray[np.integer[Any]], success: npt.NDArray[np.bool_]
) -> list[list[int]]:
    """Digits of both factors, rows with so many, and those that succeeded.

    Examples
    --------
    >>> inputs = np.array([[3, 1, 0], [3, 0, 5], [9, 2, 0]])
    >>> by_digits(Product("1x2", 10, "uniform", 1), inputs, np.array([True, False, False]))
    [[1, 1, 1, 0], [1, 2, 2, 1]]
    """
    digits = operand_digits(product, inputs)
    kinds, kind = np.unique(digits, axis=0, return_inverse=True)
    counts = [(kind == place).sum() for place in range(len(kinds))]
    right = [success[kind == place].sum() for place in range(len(kinds))]
    return [[*map(int, (*of, *told))] for of, *told in zip(kinds, counts, right, strict=True)]


def full_width(product: Product, train: Dataset, rows: int, seed: int) -> Dataset | None:
    """Draw inputs whose factors fill their room and that training has not; None where there are none."""
    task = make_task("prod", sum(product.digits), factors=product.digits, base=product.base)
    drawn = task.generate(8 * rows, seed=seed, stream=3)
    seen = {row.tobytes() for row in train.inputs}
    kept: list[int] = []
    for place in np.flatnonzero((operand_digits(product, drawn.inputs) == product.digits).all(1)):
        key = drawn.inputs[place].tobytes()
        if key not in seen and len(kept) < rows:
            seen.add(key)
            kept.append(int(place))
    return drawn.select(np.array(kept)) if kept else None


SIZES = replace(base.LAPTOP, train=400_000)
LAPTOP = Prod(
    SIZES,
    products=(
        Product("9x1", 10, "uniform", 1_500),
        Product("7x2", 10, "uniform", 3_000),
        Product("5x5", 4, "by_length", 4_000),
        Product("3x3", 10, "by_length", 4_000),
        Product("4x4", 10, "by_length", 4_000),
        Product("5x5", 10, "by_length", 4_000),
    ),
    seeds=3,
    depth=5,
    limit=720,
)
PAPER = Prod(
    base.PAPER,
    products=tuple(Product(factors, 10, "by_length", base.PAPER.fit_steps) for factors in ("5x5", "6x6", "10x10")),
    seeds=3,
    depth=6,
    limit=5_040,
)
