"""An explorer whose long calls are in a journal: what an interrupted search has learned is not learned again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyorder.data.files import read_safetensors, write_safetensors
from pyorder.dependencies.explorer import Explorer
from pyorder.runs.folder import write_json
from pyorder.runs.journal import Journal, read_entry

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LATEST, BEST = "explorer", "best"  # states on disk: the latest, and the one that the rounds may go back to


class ResumableExplorer(Explorer):
    """An `Explorer` that reads back what an earlier attempt at the same search has trained and scored.

    Losses and random states are read back; the model stays untrained until something has to be done that was not
    done before, and takes its latest state then.
    """

    def __init__(self, *arguments: Any, journal: Journal, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.journal = journal
        self._behind: int | None = None  # the entry whose state the model is to take

    def train(self, orders: Orders, on_share: Callable[[float], None] | None = None) -> None:
        """As `Explorer.train`."""
        if (entry := self.journal.recall("train")) is None:
            self._catch_up()
            super().train(orders, on_share)
            self._keep("train")
            return
        told = read_entry(entry)
        self._behind = self.journal.number - 1
        self.rng.bit_generator.state = told["rng"]
        self.trainer.steps_done = told["steps_done"]
        self.journal.go_on_from(told["seconds"])

    def state(self) -> dict[str, Any]:
        """As `Explorer.state`."""
        if self.journal.recall("state") is not None:
            return {"entry": self.journal.number - 1}
        self._catch_up()
        state = super().state()
        self.journal.save_state(BEST, state)
        self.journal.record("state", lambda path: write_json(path, {}))
        self.journal.drop_states(BEST)
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """As `Explorer.restore`."""
        if self.journal.recall("restore") is not None:
            self._behind = self.journal.number - 1
            return
        self._catch_up()
        super().restore(self.journal.load_state(BEST, state["entry"]) if "entry" in state else state)
        self._keep("restore")

    def regularise(self) -> bool:
        """As `Explorer.regularise`."""
        entry = self.journal.recall("regularise")
        if entry is None:
            self._catch_up()
        changed = super().regularise()
        if entry is None:
            self._keep("regularise")
        else:
            self._behind = self.journal.number - 1
        return changed

    def _losses(self, rows: Tensor, orders: Orders, hidden: Tensor | None = None) -> Floats:
        if (entry := self.journal.recall("losses")) is not None:
            arrays, _ = read_safetensors(entry)
            return arrays["losses"].astype(np.float64)
        self._catch_up()
        losses = super()._losses(rows, orders, hidden)
        short = losses.astype(np.float32)  # which they were, but of a module in float64
        kept = {"losses": short if np.array_equal(short, losses, equal_nan=True) else losses}
        self.journal.record("losses", lambda path: write_safetensors(path, kept))
        return losses

    def _keep(self, kind: str) -> None:
        state: dict[str, Any] = {"trainer": self.trainer.state()}
        if self.trainer.augment is not None:
            state["augment"] = self.trainer.augment.generator.get_state()
        self.journal.save_state(LATEST, state)
        told = {
            "rng": self.rng.bit_generator.state,
            "steps_done": self.steps_done,
            "seconds": self.journal.seconds,
        }
        self.journal.record(kind, lambda path: write_json(path, told))
        self.journal.drop_states(LATEST)

    def _catch_up(self) -> None:
        """Take the latest state, if that is yet to be done; random numbers are ahead of it."""
        if self._behind is None:
            return
        state, drawn = self.journal.load_state(LATEST, self._behind), self.rng.bit_generator.state
        self._behind = None
        self.trainer.restore(state["trainer"])
        if self.trainer.augment is not None:
            self.trainer.augment.generator.set_state(state["augment"])
        self.rng.bit_generator.state = drawn
