"""The training loop that loss profiling and final training share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pyorder.execution import multiply_in
from pyorder.losses import permuted_cross_entropy
from pyorder.models.decoder import Preset

StepHook = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class TrainingSettings:
    """The numbers of one training run: steps, rows a step, and the optimiser's."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int
    weight_decay: float
    precision: torch.dtype

    @classmethod
    def of(
        cls,
        preset: Preset,
        precision: torch.dtype,
        *,
        steps: int | None,
        batch_size: int | None,
        learning_rate: float | None,
    ) -> TrainingSettings:
        """Take a preset's numbers, but for those that are given; the warm-up is at most a quarter of the steps."""
        overrides: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
        preset = replace(preset, **{key: value for key, value in overrides.items() if value is not None})
        return cls(
            steps=preset.steps,
            batch_size=preset.batch_size,
            learning_rate=preset.learning_rate,
            warmup=min(preset.warmup, preset.steps // 4),
            weight_decay=preset.weight_decay,
            precision=precision,
        )

    def record(self) -> dict[str, int | float | str]:
        """Return the numbers as they are written beside a result."""
        return {**asdict(self), "precision": str(self.precision).removeprefix("torch.")}

    def rate_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ...: a linear rise over ``warmup`` steps, then linear decay to zero."""
        rise = (step + 1) / (self.warmup + 1)
        fall = (self.steps - step) / max(1, self.steps - self.warmup)
        return self.learning_rate * min(rise, fall, 1.0)


def assign_orders(rows: int, orders: int, rng: np.random.Generator) -> np.ndarray:
    """Give each of ``rows`` rows one of ``orders`` orders: counts differ by at most one, places are random.

    Examples
    --------
    >>> assigned = assign_orders(7, 3, np.random.default_rng(0))
    >>> sorted(np.bincount(assigned).tolist())
    [2, 2, 3]
    """
    # Which orders get one row more is drawn too, so that no place in the pool is favoured.
    whole, extra = divmod(rows, orders)
    indices = np.concatenate([np.tile(np.arange(orders), whole), rng.permutation(orders)[:extra]])
    return rng.permutation(indices)


class Draw(NamedTuple):
    """What a seed decides: the rows that are trained on, the order of each, and the generator that goes on."""

    rows: npt.NDArray[np.int64]
    assigned: npt.NDArray[np.int64]
    rng: np.random.Generator


def draw(seed: int, rows: int, orders: int, settings: TrainingSettings) -> Draw:
    """Draw as many of ``rows`` rows as the steps can take, and one of ``orders`` orders for each.

    Examples
    --------
    >>> settings = TrainingSettings.of(
    ...     PRESETS["nano"], torch.float32, steps=2, batch_size=4, learning_rate=None
    ... )
    >>> drawn = draw(0, rows=100, orders=8, settings=settings)
    >>> len(drawn.rows), sorted(drawn.assigned.tolist())
    (8, [0, 1, 2, 3, 4, 5, 6, 7])
    """
    rng = np.random.default_rng([seed, 0])
    used = min(rows, settings.steps * settings.batch_size)
    return Draw(rng.permutation(rows)[:used], assign_orders(used, orders, rng), rng)


def batches_of_rows(rows: int, settings: TrainingSettings, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row indices of every step's batch: pass after pass over all rows, each pass in a new random order."""
    queue = np.empty(0, np.int64)
    for _ in range(settings.steps):
        while len(queue) < settings.batch_size:
            queue = np.concatenate([queue, rng.permutation(rows)])
        yield queue[: settings.batch_size]
        queue = queue[settings.batch_size :]


def make_optimiser(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW with the settings' weight decay; `descend` sets the learning rate."""
    return torch.optim.AdamW(
        module.parameters(), settings.learning_rate, (0.9, 0.999), weight_decay=settings.weight_decay, fused=True
    )


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, learning_rate: float) -> None:
    """Take one step down the gradient of ``loss``."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def train(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    orders: Tensor,
    assigned: Tensor,
    settings: TrainingSettings,
    rng: np.random.Generator,
    after_step: StepHook | None = None,
) -> Tensor:
    """Train ``module`` in place; row n is shown in the order ``orders[assigned[n]]``.

    Parameters
    ----------
    inputs, targets : (N, X) and (N, L) token ids
    orders : (T, L); assigned : (N,) indices into it
    after_step : called with the step's number and its loss, a tensor that was not waited for

    Returns
    -------
    (steps,) float32 training loss, mean nats a step, on the CPU
    """
    device = inputs.device
    optimiser = make_optimiser(module, settings)
    losses = torch.empty(settings.steps, device=device)
    module.train()
    for step, batch in enumerate(batches_of_rows(len(inputs), settings, rng)):
        rows = torch.from_numpy(batch).to(device, non_blocking=True)
        chosen = assigned[rows]
        emitted = targets[rows].gather(1, orders[chosen])
        with multiply_in(settings.precision, device):
            logits = module(inputs[rows], emitted)
        loss = permuted_cross_entropy(logits, targets, orders, chosen, rows)
        descend(optimiser, loss, settings.rate_at(step))
        losses[step] = loss.detach()
        if after_step is not None:
            after_step(step, losses[step])
    module.eval()
    return losses.cpu()
