"""Profiling orders of fields inside of Hugging Face's Trainer; needs transformers (the extra ``hf``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from pyorder._checks import check_integer
from pyorder.profiling.field_orders import FieldOrders
from pyorder.profiling.result import Profile

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError:
    raise ImportError("pyorder.profiling.hugging_face: needs transformers (pip install 'pyorder[hf]')") from None

__all__ = ["Measured", "OrderCallback"]


class Measured(NamedTuple):
    """A profile, and the optimiser steps that the model had been trained for."""

    step: int
    profile: Profile


class OrderCallback(TrainerCallback):
    """Profiles orders of fields every so many optimiser steps, and leaves the model in training undisturbed.

    Weights and whatever else comes out of training are, in every bit, those of training without it. The loss of
    every order, in nats a step, goes into the Trainer's ``state.log_history``, the best first, under
    ``order_loss/`` and the names with commas.

    Parameters
    ----------
    fields : held-out records and the orders to be compared
    every : optimiser steps from one profile to the next
    log : the ``log`` method of the Trainer, for ``trainer.add_callback``: trackers have the losses then, too

    Attributes
    ----------
    history : what was measured, in sequence

    Examples
    --------
    >>> class Characters:
    ...     encode = staticmethod(lambda text: [ord(letter) for letter in text])
    ...     decode = staticmethod(lambda ids: "".join(map(chr, ids)))
    >>> written = JsonRecords(Characters(), ["plan", "sum"])
    >>> watch = OrderCallback(FieldOrders(written, [{"plan": "+", "sum": 5}]), every=500)
    >>> watch.history  # before ``transformers.Trainer(..., callbacks=[watch]).train()``
    []
    """

    def __init__(
        self, fields: FieldOrders, *, every: int, log: Callable[[dict[str, float]], Any] | None = None
    ) -> None:
        if not isinstance(fields, FieldOrders):
            raise TypeError(f"fields: expected FieldOrders, got {type(fields).__name__}")
        self.fields, self.every, self.log = fields, check_integer(every, "every", 1), log
        self.history: list[Measured] = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure, where it is time to."""
        if state.global_step % self.every:
            return
        model: nn.Module = kwargs["model"]
        profile = self.fields.measure(model)
        self.history.append(Measured(state.global_step, profile))
        losses = {
            f"order_loss/{','.join(profile.step_names[step] for step in profile.orders[place])}": loss
            for place, loss in zip(profile.ranking, profile.loss[profile.ranking].tolist(), strict=True)
        }
        if self.log is None:
            state.log_history.append({**losses, "epoch": state.epoch, "step": state.global_step})
            return
        due = control.should_log
        self.log(losses)
        control.should_log = due  # which the Trainer takes back with everything that it logs
