"""Table 3: how spread out attention is after training forward and in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyorder.reproduce import _base as base
from pyorder.reproduce._base import Cell, Finding, Row, Study, Table
from pyorder.reproduce.table1 import DIRECTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 1_000  # test rows that entropies are averaged over
LONGEST_MAP = 20  # a longer target's map is not kept


@dataclass(frozen=True)
class Table3(Study):
    """Attention of a model of one layer and one head, averaged over rows and slots.

    The paper does not say which rows of the attention matrix it averages; here they are those of the emitted
    steps, each of which sees all of X and the steps before it.

    Attributes
    ----------
    longest : published rows of longer targets are not run
    seeds : how many, each with data of its own
    """

    name: ClassVar[str] = "table3"
    title: ClassVar[str] = "Attention entropy: forward against reverse"
    claim: ClassVar[str] = "attention is sparser in the forward order than in its reverse"
    claimed: ClassVar[str] = "lower entropy forward in 9 of 9 tasks and lengths"
    criterion: ClassVar[str] = "attention has the lower entropy in the forward order, with every seed"
    longest: int
    seeds: int

    def cells(self) -> list[Cell]:
        """A published row, a direction and a seed each."""
        return base.published_cells(self.name, self.longest, self.seeds, "direction", DIRECTIONS)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """Train in the direction and look at the attention of test rows."""
        import torch

        from pyorder.data.tokens import Tokens
        from pyorder.models.attention import attention_entropy, attention_maps
        from pyorder.training import PRESETS, fit

        splits = base.splits_of(cell, self.sizes)
        order = np.arange(cell["length"])[:: 1 if cell["direction"] == "forward" else -1].copy()
        preset = PRESETS[self.sizes.fit_model].but(layers=1, heads=1)
        fitted = fit(
            splits.train, order, test=splits.test, model=preset, steps=self.sizes.fit_steps, seed=cell["seed"]
        )
        device = next(fitted.model.parameters()).device
        tokens = Tokens.of(splits.test, "test", device, (fitted.vocabulary, fitted.schema))
        rows = torch.arange(min(ROWS, len(tokens)), device=device)
        shown = tokens.batch(rows, torch.from_numpy(order).to(device).expand(len(rows), -1))
        (maps,) = attention_maps(fitted.model, shown.inputs, shown.emitted)
        entropy = attention_entropy(maps)
        kept = cell["length"] <= LONGEST_MAP
        return {
            **base.fit_result(fitted),
            "entropy": float(entropy.mean()),
            "entropy_by_slot": entropy.mean((0, 1)).tolist(),
            "map": maps.mean((0, 1)).cpu().double().numpy().round(4).tolist() if kept else None,
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """Every published row, with ours beside it."""
        columns = ("task", ">forward", ">published", ">reverse", ">published", ">forward lower")
        lines = []
        for row in base.published(self.name):
            line, ours = [base.task_name(row)], {}
            for direction in DIRECTIONS:
                cells = base.select(rows, **base.published_cell(row), direction=direction)
                ours[direction] = {one["cell"]["seed"]: one["result"]["entropy"] for one in cells}
                line += [base.over_seeds(list(ours[direction].values()), digits=2), f"{row[direction]:.2f}"]
            both = [seed for seed, one in ours["forward"].items() if None not in (one, ours["reverse"].get(seed))]
            lower = sum(ours["forward"][seed] < ours["reverse"][seed] for seed in both)
            lines.append([*line, f"{lower} of {len(both)} seeds" if both else base.NOT_RUN])
        title = "Mean entropy of the attention of the emitted steps, nats; one layer, one head."
        return [Table(title, columns, lines)]

    def finding(self, rows: Sequence[Row]) -> Finding:
        """By tasks, lengths and seeds that were run in both directions."""
        entropy = {
            (base.task_name(row["cell"]), row["cell"]["seed"], row["cell"]["direction"]): row["result"]["entropy"]
            for row in rows
            if row["result"]["entropy"] is not None
        }
        pairs = [
            (value, entropy[task, seed, "reverse"])
            for (task, seed, direction), value in entropy.items()
            if direction == "forward" and (task, seed, "reverse") in entropy
        ]
        holds = [forward < reverse for forward, reverse in pairs]
        return Finding(f"{sum(holds)} of {len(holds)} tasks, lengths and seeds", holds)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Mean attention maps of seed 0, forward above reverse."""
        from matplotlib.figure import Figure

        kept = [row for row in rows if row["result"]["map"] is not None and row["cell"]["seed"] == 0]
        names = list(dict.fromkeys(base.task_name(row["cell"]) for row in kept)) or [""]
        figure = Figure(figsize=(3 * len(names), 6), layout="constrained")
        panels = figure.subplots(2, len(names), squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for row in kept:
            place = DIRECTIONS.index(row["cell"]["direction"]), names.index(base.task_name(row["cell"]))
            axes = panels[place]
            axes.set_axis_on()
            axes.imshow(row["result"]["map"], aspect="auto", cmap="viridis")
            axes.axvline(
                np.shape(row["result"]["map"])[1] - row["cell"]["length"] - 0.5, color="white", linewidth=0.8
            )
            axes.set(
                title=f"{names[place[1]]}, {row['cell']['direction']}", xlabel="looks at: X | slots", ylabel="slot"
            )
        return figure


LAPTOP = Table3(base.LAPTOP, longest=20, seeds=3)
PAPER = Table3(replace(base.PAPER, fit_model="small"), longest=100, seeds=3)
