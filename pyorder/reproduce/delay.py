"""Delay systems: whether valid sorts of one dependency graph differ, and where profiling ends up among them.

The published systems are not public; those of `pyorder.tasks` were fixed before anything was measured on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyorder.orders.posets import Poset
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Orders, Row, Study, Table
from pyorder.streams import nested

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SYSTEMS = ("delay_chain", "delay_ring", "delay_slow")
PROFILED, SEARCHED = "profiling's choice", "constrained search"


@dataclass(frozen=True)
class Delay(Study):
    """Designed sorts, sorts drawn uniformly, profiling's choice among these, and a search among all sorts.

    Attributes
    ----------
    variables, times : of each system; L is their product
    sampled : sorts drawn uniformly at random, the same for every seed
    candidates : sorts that the constrained search draws
    seeds : how many, each with data, training and search of its own
    """

    name: ClassVar[str] = "delay"
    title: ClassVar[str] = "Delay systems: valid sorts of one dependency graph"
    variables: int
    times: int
    sampled: int
    candidates: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A system, a sort and a seed each; then profiling and search, by seed."""
        return [
            {
                "task": system,
                "length": self.variables * self.times,
                "parameters": {"variables": self.variables},
                "sort": sort,
                "seed": seed,
            }
            for seed in range(self.seeds)
            for system in SYSTEMS
            for sort in (PROFILED, SEARCHED, *self.sorts(system))
        ]

    def sorts(self, system: str) -> dict[str, Orders]:
        """Designed and drawn sorts of a system by name, each once."""
        task = base.task_of(
            {"task": system, "length": self.variables * self.times, "parameters": {"variables": self.variables}}
        )
        named = task.designed_orders()
        drawn = Poset(task.length, task.dependencies or ()).uniform_sorts(self.sampled, seed=1)
        named |= {f"drawn {number}": order for number, order in enumerate(drawn)}
        first = {tuple(order.tolist()): name for name, order in reversed(named.items())}
        return {name: order for name, order in named.items() if first[tuple(order.tolist())] == name}

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Train on a sort; or profile the sorts; or search, and train on what was found."""
        from pyorder.profiling import profile
        from pyorder.search import Random, discover_shuffled
        from pyorder.training import fit

        sorts, seed = self.sorts(cell["task"]), cell["seed"]
        splits = base.splits_of(cell, self.sizes)
        if cell["sort"] == PROFILED:
            profiled = profile(
                splits.train,
                np.stack(list(sorts.values())),
                validation=splits.validation,
                seed=seed,
                **self.sizes.profiling,
            )
            return {
                "losses": dict(zip(sorts, profiled.loss.tolist(), strict=True)),
                "choice": list(sorts)[int(profiled.ranking[0])],
                "profile_seconds": profiled.seconds,
            }
        result: dict[str, Any] = {}
        if cell["sort"] == SEARCHED:
            task = base.task_of(cell)
            found = discover_shuffled(
                splits.train,
                validation=splits.validation,
                strategy=Random(candidates=self.candidates),
                constraints=Poset(task.length, task.dependencies or ()),
                seed=seed,
                **self.sizes.profiling,
            )
            order, result = found.order, {"search_seconds": found.seconds}
        else:
            order = sorts[cell["sort"]]
        fitted = fit(splits.train, order, test=splits.test, seed=seed, **self.sizes.fitting)
        return {"order": order.tolist(), **result, **base.fit_result(fitted)}

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every sort of every system, then what the sorts make of a difference, then where the choices end up."""
        return [
            *(self._system_table(system, base.select(rows, task=system)) for system in SYSTEMS),
            self._variance_table(rows),
            self._choice_table(rows),
        ]

    def _system_table(self, system: str, rows: Sequence[Row]) -> Table:
        lines = []
        for sort, order in [*self.sorts(system).items(), (SEARCHED, None)]:
            ours = [row["result"] for row in base.select(rows, sort=sort)]
            lines.append(
                [
                    sort,
                    "one for each seed" if order is None else base.order_text(order.tolist()),
                    base.over_seeds([result["success_rate"] for result in ours], " %", scale=100),
                    base.over_seeds([result["mean_loss"] for result in ours], digits=3),
                ]
            )
        task = base.task_of(self.cells()[0] | {"task": system})
        sorts = Poset(task.length, task.dependencies or ()).count_sorts()
        return Table(
            f"**{system}**, {self.variables} variables, {self.times} times, {sorts:,} valid sorts. Success rate, "
            "and loss in nats a step averaged over the whole training (lower: learned sooner).",
            ("sort", "order", ">success", ">mean training loss"),
            lines,
        )

    def _variance_table(self, rows: Sequence[Row]) -> Table:
        lines = []
        for system in SYSTEMS:
            losses, names = self._losses(base.select(rows, task=system))
            if losses is None or not np.isfinite(losses).all():
                lines.append([system, *[base.NOT_RUN if losses is None else "diverged"] * 5])
                continue
            best, worst = int(losses[:, 0].argmin()), int(losses[:, 0].argmax())
            others = losses[:, 1:]
            between, within = losses.mean(1).std(ddof=1), np.sqrt(losses.var(1, ddof=1).mean())
            lines.append(
                [
                    system,
                    f"{between:.3f}",
                    f"{within:.3f}",
                    f"{sorts_differ(losses):.4f}",
                    f"{names[best]}: {others[best].mean():.3f}",
                    f"{names[worst]}: {others[worst].mean():.3f}",
                ]
            )
        return Table(
            "Do the sorts differ? Mean training loss, nats: spread between sorts (of their means over seeds), "
            "spread between seeds of a sort; p of a permutation test; the best and the worst of seed 0, on the "
            "other seeds.",
            ("system", ">between sorts", ">between seeds", ">p", ">best of seed 0", ">worst of seed 0"),
            lines,
        )

    def _choice_table(self, rows: Sequence[Row]) -> Table:
        lines = []
        for system in SYSTEMS:
            for seed in range(self.seeds):
                own = base.select(rows, task=system, seed=seed)
                losses = {
                    row["cell"]["sort"]: row["result"]["mean_loss"] for row in own if "mean_loss" in row["result"]
                }
                # None in a row's JSON: training diverged
                trained = {sort: math.inf if loss is None else loss for sort, loss in losses.items()}
                searched = trained.pop(SEARCHED, None)
                choice = [row["result"]["choice"] for row in base.select(own, sort=PROFILED)]
                ranked = sorted(trained, key=lambda sort: trained[sort])
                complete = len(trained) == len(self.sorts(system))
                lines.append(
                    [
                        system,
                        str(seed),
                        f"{choice[0]}: {1 + ranked.index(choice[0])} of {len(ranked)}"
                        if choice and complete
                        else base.NOT_RUN,
                        f"ahead of {sum(searched < loss for loss in trained.values())} of {len(ranked)}"
                        if searched is not None and complete
                        else base.NOT_RUN,
                    ]
                )
        return Table(
            "Where the choices end up by mean training loss, of the same seed: profiling's choice among the "
            f"designed and drawn sorts; the best of {self.candidates} sorts of a constrained search against them.",
            ("system", ">seed", PROFILED, SEARCHED),
            lines,
        )

    def _losses(self, rows: Sequence[Row]) -> tuple[npt.NDArray[np.float64] | None, list[str]]:
        """Mean training losses (sorts, seeds) of a system, NaN where they diverged; None if not all were run."""
        cells = {(row["cell"]["sort"], row["cell"]["seed"]): row["result"].get("mean_loss") for row in rows}
        names = list(self.sorts(rows[0]["cell"]["task"])) if rows else []
        wanted = [(name, seed) for name in names for seed in range(self.seeds)]
        if not names or any(key not in cells for key in wanted):
            return None, names
        losses = np.array([cells[key] for key in wanted], np.float64)  # None becomes NaN
        return losses.reshape(len(names), self.seeds), names

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Mean training loss of every sort, a point for every seed."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4 * len(SYSTEMS), 4), layout="constrained")
        for axes, system in zip(figure.subplots(1, len(SYSTEMS)), SYSTEMS, strict=True):
            names = [*self.sorts(system), SEARCHED]
            for place, sort in enumerate(names):
                ours = [row["result"]["mean_loss"] for row in base.select(rows, task=system, sort=sort)]
                axes.plot(ours, [place] * len(ours), "o", alpha=0.7, color="C1" if sort == SEARCHED else "C0")
            axes.set_yticks(range(len(names)), names)
            axes.invert_yaxis()
            axes.set(title=system, xlabel="mean training loss, nats a step")
        return figure


def sorts_differ(losses: npt.ArrayLike, permutations: int = 10_000) -> float:
    """P value of the hypothesis that all sorts are equal: losses (sorts, seeds) are exchanged within each seed.

    Examples
    --------
    >>> bool(sorts_differ([[0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]]) < 0.01)
    True
    """
    table = np.asarray(losses, np.float64)
    rng = nested(0)
    drawn = rng.permuted(np.broadcast_to(table, (permutations, *table.shape)), axis=1).mean(2).var(1)
    return float((1 + (drawn >= table.mean(1).var() * (1 - 1e-12)).sum()) / (1 + permutations))


LAPTOP = Delay(
    base.Sizes(50_000, 500, 2_000, "nano", 400, "base", 1_000),
    variables=3,
    times=5,
    sampled=6,
    candidates=256,
    seeds=3,
)
PAPER = Delay(base.PAPER, variables=4, times=8, sampled=32, candidates=5_040, seeds=5)
