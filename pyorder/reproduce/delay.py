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

from pyorder.orders.posets import MOST_COUNTED, Poset
from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Orders, Row, Study, Table
from pyorder.streams import nested

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROFILED, SEARCHED = "profiling's choice", "constrained search"


@dataclass(frozen=True)
class System:
    """A delay system, and what is asked of its sorts.

    Attributes
    ----------
    task : name
    variables, times : L is their product
    sampled : sorts drawn uniformly at random, the same for every seed; 0: designed sorts alone, and no search
    delay : of the task; the usual one unless given
    """

    task: str
    variables: int
    times: int
    sampled: int
    delay: int | None = None

    @property
    def cell(self) -> Cell:
        """The task as a cell names it."""
        parameters = {"variables": self.variables} | ({} if self.delay is None else {"delay": self.delay})
        return {"task": self.task, "length": self.variables * self.times, "parameters": parameters}

    def sorts(self) -> dict[str, Orders]:
        """Designed and drawn sorts by name, each once."""
        task = base.task_of(self.cell)
        named = task.designed_orders()
        drawn = (
            Poset(task.length, task.dependencies or ()).uniform_sorts(self.sampled, seed=1) if self.sampled else ()
        )
        named |= {f"drawn {number}": order for number, order in enumerate(drawn)}
        first = {tuple(order.tolist()): name for name, order in reversed(named.items())}
        return {name: order for name, order in named.items() if first[tuple(order.tolist())] == name}


@dataclass(frozen=True)
class Delay(Study):
    """Designed sorts, sorts drawn uniformly, profiling's choice among these, and a search among all sorts.

    Attributes
    ----------
    systems : what is run; see `System`
    candidates : sorts that the constrained search draws
    seeds : how many, each with data, training and search of its own
    """

    name: ClassVar[str] = "delay"
    title: ClassVar[str] = "Delay systems: valid sorts of one dependency graph"
    claim: ClassVar[str] = (
        "valid sorts differ sharply, profiling picks a friendly one, the search finds better than designed ones"
    )
    claimed: ClassVar[str] = "no figure that can be compared, the systems are not public"
    criterion: ClassVar[str] = (
        "in each system sorts differ by a permutation test (p < 0.05), profiling's choice is in the better half "
        "and the search's sort ahead of every designed one in most seeds"
    )
    systems: tuple[System, ...]
    candidates: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A system, a sort and a seed each; then profiling and search, by seed."""
        return [
            {**system.cell, "sort": sort, "seed": seed}
            for seed in range(self.seeds)
            for system in self.systems
            for sort in (PROFILED, *([SEARCHED] if system.sampled else []), *system.sorts())
        ]

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Train on a sort; or profile the sorts; or search, and train on what was found."""
        from pyorder.profiling import profile
        from pyorder.search import Random, discover_shuffled
        from pyorder.training import fit

        (system,) = (system for system in self.systems if system.cell.items() <= cell.items())
        sorts, seed = system.sorts(), cell["seed"]
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
        # Orders were ranked on the validation rows: how soon they are learned is seen on others.
        fitted = fit(
            splits.train, order, test=splits.test, validation=splits.test, seed=seed, **self.sizes.fitting
        )
        return {
            "order": order.tolist(),
            **result,
            **base.fit_result(fitted),
            "steps_to_learn": base.steps_to_learn(fitted),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every sort of every system, then what the sorts make of a difference, then where the choices end up."""
        return [
            *(self._system_table(system, base.select(rows, **system.cell)) for system in self.systems),
            self._variance_table(rows),
            self._choice_table(rows),
        ]

    def _system_table(self, system: System, rows: Sequence[Row]) -> Table:
        lines = []
        for sort, order in [*system.sorts().items(), *([(SEARCHED, None)] if system.sampled else [])]:
            ours = [row["result"] for row in base.select(rows, sort=sort)]
            lines.append(
                [
                    sort,
                    "one for each seed" if order is None else base.order_text(order.tolist()),
                    base.over_seeds([result["success_rate"] for result in ours], " %", scale=100),
                    _reached(ours),
                    base.over_seeds([result["mean_loss"] for result in ours], digits=3),
                ]
            )
        task = base.task_of(system.cell)
        sorts = Poset(task.length, task.dependencies or ()).count_sorts_up_to(MOST_COUNTED)
        more = "at least " if sorts == MOST_COUNTED else ""
        return Table(
            f"**{base.task_name(system.cell)}**, {system.times} times, {more}{sorts:,} valid sorts. Success rate; "
            "training steps to 90 % of the steps right, given those before; and loss in nats a step averaged over "
            "the whole training (lower: learned sooner).",
            ("sort", "order", ">success", ">steps to 90 %", ">mean training loss"),
            lines,
        )

    def _variance_table(self, rows: Sequence[Row]) -> Table:
        lines = []
        for system in self.systems:
            told = base.task_name(system.cell)
            losses, names = self._losses(system, rows)
            if losses is None or not np.isfinite(losses).all():
                lines.append([told, *[base.NOT_RUN if losses is None else "diverged"] * 5])
                continue
            best, worst = int(losses[:, 0].argmin()), int(losses[:, 0].argmax())
            others = losses[:, 1:]
            between, within = losses.mean(1).std(ddof=1), np.sqrt(losses.var(1, ddof=1).mean())
            lines.append(
                [
                    told,
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
        for system in self.systems:
            for seed in range(self.seeds):
                rank, ahead = self._choices(system, rows, seed)
                count = len(system.sorts())
                searched = base.NOT_RUN if system.sampled else "-"
                lines.append(
                    [
                        base.task_name(system.cell),
                        str(seed),
                        base.NOT_RUN if rank is None else f"{rank[0]}: {rank[1]} of {count}",
                        searched if ahead is None else f"ahead of {len(ahead)} of {count}",
                    ]
                )
        return Table(
            "Where the choices end up by mean training loss, of the same seed: profiling's choice among the "
            f"designed and drawn sorts; the best of {self.candidates} sorts of a constrained search against them.",
            ("system", ">seed", PROFILED, SEARCHED),
            lines,
        )

    def _choices(
        self, system: System, rows: Sequence[Row], seed: int
    ) -> tuple[tuple[str, int] | None, set[str] | None]:
        """Profiling's choice and its rank, and the sorts that the search's is ahead of; None where not run."""
        own = base.select(rows, **system.cell, seed=seed)
        # None in a row's JSON: training diverged
        trained = {
            row["cell"]["sort"]: math.inf if (loss := row["result"]["mean_loss"]) is None else loss
            for row in own
            if row["cell"]["sort"] != PROFILED
        }
        searched = trained.pop(SEARCHED, None)
        if len(trained) < len(system.sorts()):
            return None, None
        ranked = sorted(trained, key=lambda sort: trained[sort])
        choice = [row["result"]["choice"] for row in base.select(own, sort=PROFILED)]
        rank = (choice[0], 1 + ranked.index(choice[0])) if choice else None
        return rank, None if searched is None else {sort for sort in trained if searched < trained[sort]}

    def _losses(self, system: System, rows: Sequence[Row]) -> tuple[npt.NDArray[np.float64] | None, list[str]]:
        """Mean training losses (sorts, seeds) of a system, NaN where they diverged; None if not all were run."""
        own = base.select(rows, **system.cell)
        cells = {(row["cell"]["sort"], row["cell"]["seed"]): row["result"].get("mean_loss") for row in own}
        names = list(system.sorts())
        wanted = [(name, seed) for name in names for seed in range(self.seeds)]
        if any(key not in cells for key in wanted):
            return None, names
        losses = np.array([cells[key] for key in wanted], np.float64)  # None becomes NaN
        return losses.reshape(len(names), self.seeds), names

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By systems that were run whole: whether sorts differ, then profiling, then the search."""
        differ, friendly, better = [], [], []
        for system in self.systems:
            losses, _ = self._losses(system, rows)
            if losses is None or not np.isfinite(losses).all() or len(losses) < 2:
                continue
            differ.append(sorts_differ(losses) < 0.05)
            choices = [self._choices(system, rows, seed) for seed in range(self.seeds)]
            ranks = [rank[1] <= len(losses) / 2 for rank, _ in choices if rank is not None]
            designed = base.task_of(system.cell).designed_orders().keys() & system.sorts().keys()
            ahead = [designed <= beaten for _, beaten in choices if beaten is not None]
            friendly += [bool(np.mean(ranks) > 0.5)] if ranks else []
            better += [bool(np.mean(ahead) > 0.5)] if ahead else []
        told = ("sorts differ", "profiling picks a friendly one", "the search is ahead")
        ours = ", ".join(
            f"{text} in {sum(holds)} of {len(holds)}"
            for text, holds in zip(told, (differ, friendly, better), strict=True)
            if holds
        )
        return Finding(ours, [*differ, *friendly, *better])

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Mean training loss of every sort, a point for every seed."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4 * len(self.systems), 4), layout="constrained")
        panels = figure.subplots(1, len(self.systems), squeeze=False)[0]
        for axes, system in zip(panels, self.systems, strict=True):
            names = [*system.sorts(), *([SEARCHED] if system.sampled else [])]
            for place, sort in enumerate(names):
                ours = [row["result"]["mean_loss"] for row in base.select(rows, **system.cell, sort=sort)]
                axes.plot(ours, [place] * len(ours), "o", alpha=0.7, color="C1" if sort == SEARCHED else "C0")
            axes.set_yticks(range(len(names)), names)
            axes.invert_yaxis()
            axes.set(title=base.task_name(system.cell), xlabel="mean training loss, nats a step")
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


def _reached(results: Sequence[dict[str, Any]]) -> str:
    """Steps to 90 %, and how many seeds reached it."""
    reached = [one["steps_to_learn"] for one in results if one["steps_to_learn"] is not None]
    if not reached:
        return f"never (n = {len(results)})" if results else base.NOT_RUN
    return f"{np.mean(reached):,.0f}, {len(reached)} of {len(results)} seeds"


# Of 40 steps, and fixed before anything was trained on it. Time by time, a step's predecessors are 4 and 17 slots
# back, and the first variable's chain is mixed with three that need two predecessors at once. Variable by
# variable, the first chain is one of neighbours, which is learned first, and each other one then adds to a
# neighbour a predecessor at one distance. So the same training should learn the second, and not the first.
LONG = System("delay_chain", variables=4, times=10, sampled=0, delay=4)
LAPTOP = Delay(
    base.Sizes(100_000, 500, 2_000, "nano", 400, "base", 2_500),
    systems=(*(System(name, 3, 5, sampled=4) for name in ("delay_chain", "delay_ring", "delay_slow")), LONG),
    candidates=256,
    seeds=5,
)
PAPER = Delay(
    base.PAPER,
    systems=(*(System(name, 4, 8, sampled=32) for name in ("delay_chain", "delay_ring", "delay_slow")), LONG),
    candidates=5_040,
    seeds=5,
)
