"""Any-order profiling: one model, orders that change with every row, and the loss of each step in each order.

Rows are split once: the model trains on most of them, and *evidence* is what it loses on the others. Test rows and
the rows that rank candidates are never seen here.

    N  training rows    E  evidence rows    k  pairs of orders a row    X  input length    L  steps
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pyorder.execution import multiply_in, seeded
from pyorder.models.any_order import EXPLORER, AnyOrderDecoder
from pyorder.orders.permutations import sample
from pyorder.training.trainer import TrainingSettings, descend, make_optimiser

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# In half of the rows each input is hidden with a probability of its own row's, at most this. Steps that stand in
# for many inputs, the direct predecessors, are then worth more than roundabout rules that read all inputs.
HIDDEN_ROWS, MOST_HIDDEN = 0.5, 0.5
ROWS_AT_ONCE = 128
LEAST_ENTROPY = 0.01  # nats; what hardly varies needs no predecessor


class Explorer:
    """An any-order model in training, and its losses on the evidence rows.

    Attributes
    ----------
    length : L
    evidence_rows : E
    base : (L,) nats, the entropy of each step's values over the training rows: its loss before any learning; at
        least ``LEAST_ENTROPY``
    steps_done : optimiser steps so far
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        evidence_rows: int,
        precision: torch.dtype,
        seed: int,
    ) -> None:
        self.device = inputs.device
        self.length = targets.shape[1]
        inputs, targets, vocabulary_size = only_used(inputs, targets)
        self.evidence_rows = min(evidence_rows, len(inputs) // 5)
        if self.evidence_rows <= self.length:  # as many unknowns as equations: nothing could ever be told
            least = self.length + 1
            raise ValueError(
                f"train: looking for dependencies among {self.length} steps takes at least {5 * least} rows and "
                f"{least} samples; {len(inputs)} rows and {evidence_rows} samples given"
            )
        self.steps_done = 0
        self.settings = TrainingSettings.of(EXPLORER, precision, steps=None, batch_size=None, learning_rate=None)
        self.rng = np.random.default_rng([seed, 3])
        self._generator = torch.Generator(self.device).manual_seed(int(self.rng.integers(2**62)))
        rows = torch.from_numpy(self.rng.permutation(len(inputs))).to(self.device)
        held, kept = rows[: self.evidence_rows], rows[self.evidence_rows :]
        self._held = inputs[held], targets[held]
        self._train = inputs[kept], targets[kept]
        self._queue = np.empty(0, np.int64)
        self.base = np.maximum(marginal_entropy(self._train[1], vocabulary_size), LEAST_ENTROPY)
        with seeded(int(self.rng.integers(2**62)), self.device):
            self.module = AnyOrderDecoder(EXPLORER, vocabulary_size, inputs.shape[1], self.length)
        self.module.to(self.device)
        self._optimiser = make_optimiser(self.module, self.settings)

    def train(self, orders: Orders, on_share: Callable[[float], None] | None = None) -> None:
        """Train on the next rows, row n in the order ``orders[n]``; (n, L), a multiple of the batch size."""
        inputs, targets = self._train
        size = self.settings.batch_size
        all_orders = torch.from_numpy(orders).to(self.device)
        rows = torch.from_numpy(self._next_rows(len(orders))).to(self.device)
        self.module.train()
        for start in range(0, len(orders), size):
            order, row = all_orders[start : start + size], rows[start : start + size]
            with multiply_in(self.settings.precision, self.device):
                logits = self.module(self._hide(inputs[row]), targets[row], order)
            loss = step_losses(logits, targets[row]).mean()
            # A constant rate after the warm-up: how many rounds there will be is not known beforehand.
            rate = self.settings.learning_rate * min(1.0, (self.steps_done + 1) / (self.settings.warmup + 1))
            descend(self._optimiser, loss, rate)
            self.steps_done += 1
            if on_share is not None:
                on_share((start + size) / len(orders))
        self.module.eval()

    def losses(self, rows: npt.NDArray[np.int64], orders: Orders) -> Floats:
        """Loss of evidence row ``rows[n]`` in the order ``orders[n]``: (n, L), nats by canonical step."""
        inputs, targets = self._held
        found = np.empty(orders.shape)
        for start in range(0, len(orders), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            order = torch.from_numpy(orders[part]).to(self.device)
            row = torch.from_numpy(rows[part]).to(self.device)
            with torch.inference_mode(), multiply_in(self.settings.precision, self.device):
                logits = self.module(inputs[row], targets[row], order)
                found[part] = step_losses(logits, targets[row]).double().cpu().numpy()
        return found

    def antithetic(self, samples: int) -> tuple[Orders, npt.NDArray[np.int64], Floats]:
        """Losses of every evidence row in k uniformly random orders and in their reverses.

        k is as large as k E <= ``samples`` allows, and at least 1.

        Returns
        -------
        orders (k E, L), rows (k E,), and losses (k E, 2, L): in the order, and in its reverse.
        """
        pairs = max(1, samples // self.evidence_rows)
        rows = np.tile(np.arange(self.evidence_rows), pairs)
        orders = sample(self.length, len(rows), seed=int(self.rng.integers(2**62)))
        losses = np.stack([self.losses(rows, orders), self.losses(rows, orders[:, ::-1].copy())], axis=1)
        return orders, rows, losses

    def _next_rows(self, count: int) -> npt.NDArray[np.int64]:
        while len(self._queue) < count:
            self._queue = np.concatenate([self._queue, self.rng.permutation(len(self._train[0]))])
        taken, self._queue = self._queue[:count], self._queue[count:]
        return taken

    def _hide(self, inputs: Tensor) -> Tensor:
        draw = torch.rand((len(inputs), 2), generator=self._generator, device=self.device)
        rate = MOST_HIDDEN * draw[:, :1] * (draw[:, 1:] < HIDDEN_ROWS)
        hidden = torch.rand(inputs.shape, generator=self._generator, device=self.device) < rate
        return inputs.masked_fill(hidden, self.module.hidden)


def only_used(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, int]:
    """Number the tokens that occur from 0 on: a vocabulary can be declared much wider, and logits cost time.

    Examples
    --------
    >>> only_used(torch.tensor([[7, 2]]), torch.tensor([[900]]))
    (tensor([[1, 0]]), tensor([[2]]), 3)
    """
    size = 1 + int(max(inputs.max(), targets.max()))
    used = inputs.flatten().bincount(minlength=size) + targets.flatten().bincount(minlength=size) > 0
    number = used.cumsum(0) - 1
    return number[inputs.long()], number[targets.long()], int(used.sum())


def step_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, L, V) and tokens (B, L): (B, L) float32, nats."""
    return F.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")


def marginal_entropy(tokens: Tensor, vocabulary_size: int) -> Floats:
    """Entropy in nats of each column of token ids (N, L).

    Examples
    --------
    >>> marginal_entropy(torch.tensor([[0, 1], [1, 1]]), 2).round(3).tolist()
    [0.693, 0.0]
    """
    entropies = np.empty(tokens.shape[1])
    for step, column in enumerate(tokens.T):
        share = torch.bincount(column, minlength=vocabulary_size).double() / len(tokens)
        entropies[step] = -torch.special.xlogy(share, share).sum().item()
    return entropies + 0.0
