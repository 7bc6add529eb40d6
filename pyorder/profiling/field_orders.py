"""Profiling orders of fields on a language model that is being trained elsewhere, without disturbing it.

T  orders    L  fields (steps)    R  held-out records
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pyorder._checks import MAX_SEED, check_integer
from pyorder._statistics import standard_error
from pyorder.data.reordering import Order, steps_of
from pyorder.errors import InputError
from pyorder.models.json_records import JsonRecords, step_losses
from pyorder.orders.permutations import lexicographic, sample
from pyorder.profiling.result import Cost, Orders, Profile, ranked

__all__ = ["FieldOrders", "undisturbed"]

MOST_FIELDS = 5  # up to which "all" is every order
SAMPLED = 120  # orders of more fields; as many as five have


class FieldOrders:
    """Held-out records, and the orders of their fields that a causal language model is to be asked about.

    Every record is written as a JSON object in each of the orders; a field's loss is that of its value's tokens.
    The model is called as those of transformers are, ``model(input_ids=(B, T), attention_mask=(B, T))``, and
    returns logits (B, T, V) or an object that has ``logits``. It should have been trained on such texts, in any
    of the orders: of one that it has never seen the loss says that it was not seen, not that it is hard to learn.

    Parameters
    ----------
    written : how records are written, and which fields are steps, two at least
    records : those to measure on, R of them; none of which is trained on
    orders : "all", which is every order up to five fields, and 120 random ones beyond; or orders, as numbers or
        names
    batch_size : records that the model is shown at once
    seed : draws random orders, and breaks ties

    Raises
    ------
    TypeError, InputError
        For what is no order, no records, and what `JsonRecords.tokens` refuses.

    Examples
    --------
    >>> class Characters:
    ...     encode = staticmethod(lambda text: [ord(letter) for letter in text])
    ...     decode = staticmethod(lambda ids: "".join(map(chr, ids)))
    >>> class Guess(torch.nn.Module):
    ...     def forward(self, input_ids, attention_mask):
    ...         return torch.zeros(*input_ids.shape, 128)
    >>> fields = FieldOrders(JsonRecords(Characters(), ["plan", "sum"]), [{"plan": "+", "sum": 5}])
    >>> profile = fields.measure(Guess())
    >>> profile.orders.tolist(), (profile.step_loss / np.log(128)).round(3).tolist()
    ([[0, 1], [1, 0]], [[5.0, 3.0], [5.0, 3.0]])
    """

    def __init__(
        self,
        written: JsonRecords,
        records: Iterable[Mapping[str, Any]],
        orders: Literal["all"] | Iterable[Order] = "all",
        *,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        self.written, self.records = written, tuple(records)
        self.batch_size = check_integer(batch_size, "batch_size", 1)
        self.seed = check_integer(seed, "seed", 0, MAX_SEED)
        if len(written.steps) < 2:
            raise InputError(f"written: expected at least 2 steps, got {', '.join(written.steps)}")
        self.orders = self._chosen(orders)
        written.tokens(self.records, self.orders[0])  # refuses records now that would be refused in training

    def _chosen(self, orders: Literal["all"] | Iterable[Order]) -> Orders:
        length = len(self.written.steps)
        if isinstance(orders, str):
            if orders != "all":
                raise InputError(f"orders: expected 'all' or orders, got {orders!r}")
            if length <= MOST_FIELDS:
                return lexicographic(length)
            return sample(length, SAMPLED, seed=self.seed, distinct=True)
        told = [steps_of(order, self.written.steps).order for order in orders]
        if not told:
            raise InputError("orders: expected at least one, got none")
        return np.array(told, np.int64)

    def measure(self, model: nn.Module) -> Profile:
        """The loss of every field in every order, in nats; the model and the program are left as they were.

        Random states, training modes, gradients and autocast are; the caller's autocast counts. ``seed_loss`` has
        the one run, and ``training_loss`` (1, 0) none.
        """
        started = time.perf_counter()
        with undisturbed(model):
            losses = np.stack([self._losses(model, order) for order in self.orders], axis=1)  # (R, T, L)
        by_row = losses.mean(2)
        loss = by_row.mean(0)
        ranking = ranked(loss, self.seed)
        return Profile(
            orders=self.orders,
            loss=loss,
            step_loss=losses.mean(0),
            standard_error=standard_error(by_row - by_row[:, ranking[:1]]),
            ranking=ranking,
            seed_loss=loss[None],
            training_loss=np.zeros((1, 0), np.float32),
            cost=Cost(0, len(self.records) * len(self.orders)),
            seconds=time.perf_counter() - started,
            settings={"model": type(model).__name__, "batch_size": self.batch_size, "seed": self.seed},
            step_names=self.written.steps,
        )

    def _losses(self, model: nn.Module, order: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, Any]:
        """What each record loses in an order, (R, L) float64."""
        device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
        parts = []
        for first in range(0, len(self.records), self.batch_size):
            tokens = self.written.tokens(self.records[first : first + self.batch_size], order).to(device)
            told = model(input_ids=tokens.ids, attention_mask=tokens.mask)
            logits: Tensor = told if isinstance(told, Tensor) else told.logits
            parts.append(step_losses(logits, tokens, len(self.written.steps)).double().cpu().numpy())
        return np.concatenate(parts)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """A block in which a model is only looked at: in evaluation mode, without gradients.

    Behind it the training mode of every module, and the random states of Python, NumPy and torch, are as before.

    Examples
    --------
    >>> model = torch.nn.Dropout()
    >>> with undisturbed(model):
    ...     model.training, torch.is_grad_enabled()
    (False, False)
    >>> model.training
    True
    """
    # Flags are set one by one: parts may be in a mode of their own, and train() may be anybody's.
    modes = [(module, module.training) for module in model.modules()]
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    there = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = list(range(torch.cuda.device_count())) if there else []
    try:
        for module, _ in modes:
            module.training = False
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.clear_autocast_cache()  # where versions of torch keep weights that were cast without gradients
