"""Writing targets with a trained module, and what it loses on rows that are there.

R  rows    X  input length    C  columns    L  steps    V  vocabulary size
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.execution import LOGITS_AT_ONCE, in_parts, multiply_in
from pyorder.models.learner import Incremental, Learner
from pyorder.streams import on_device
from pyorder.world import World

GENERATED_AT_ONCE = 512

Choose = Callable[[Tensor], Tensor]


def greedily(logits: Tensor) -> Tensor:
    """Choose the likeliest of logits (R, V): (R,)."""
    return logits.argmax(-1)


def at_random(seed: int, device: torch.device) -> Choose:
    """Make a function that draws from logits (R, V), each time anew."""
    generator = on_device(seed, device)

    def draw(logits: Tensor) -> Tensor:
        noise = torch.empty_like(logits, dtype=torch.float64).exponential_(generator=generator)
        return (logits.double() - noise.log()).argmax(-1)  # Gumbel's trick

    return draw


@torch.inference_mode()
def generate(
    learner: Learner,
    module: nn.Module,
    tokens: Tokens,
    order: np.ndarray,
    precision: torch.dtype,
    choose: Choose = greedily,
) -> Tensor:
    """Write targets in one order after the inputs of ``tokens``: token ids (R, C) by canonical column.

    A step that ends early is `IGNORED` after its end symbol. The targets of ``tokens`` are not looked at.
    """
    (columns,) = tokens.column_orders(order[None])
    emitted = torch.full((len(tokens), len(columns)), IGNORED, dtype=torch.long, device=tokens.device)
    starts = set((np.cumsum([0, *np.array(tokens.schema.widths)[order]])).tolist())
    incremental = learner.incremental(module)

    def write(rows: slice) -> None:
        emitted[rows] = IGNORED
        inputs = tokens.inputs[rows].long()
        with multiply_in(precision, tokens.device):
            if incremental is not None:
                next_logits = _remembering(incremental, inputs, tokens)
            else:
                numbers = torch.arange(rows.start, rows.stop, device=tokens.device)
                batch = tokens.batch(numbers, columns.expand(len(numbers), -1))
                next_logits = learner.continuing(module, batch)
            ended = torch.zeros(len(inputs), dtype=torch.bool, device=tokens.device)
            for place in range(len(columns)):
                chosen = choose(next_logits(emitted[rows], place).float())
                if tokens.padded:
                    ended = ended & (place not in starts)
                    emitted[rows, place] = chosen.masked_fill(ended, IGNORED)
                    ended = ended | (chosen == tokens.vocabulary_size - 1)
                else:
                    emitted[rows, place] = chosen

    in_parts(len(tokens), 1, min(GENERATED_AT_ONCE, LOGITS_AT_ONCE // tokens.vocabulary_size), write)
    return torch.empty_like(emitted).scatter(1, columns.expand_as(emitted), emitted)


def _remembering(module: Incremental, inputs: Tensor, tokens: Tokens) -> Callable[[Tensor, int], Tensor]:
    """Logits (R, V) of the next place; keys and values of everything before are kept."""
    memory = module.read(inputs)
    itself = torch.ones(1, 1, dtype=torch.bool, device=inputs.device)
    shown: Tensor | None = None  # (R, S) which of the remembered places hold something
    if tokens.padded:
        shown = torch.ones(len(inputs), memory[0][0].shape[2], dtype=torch.bool, device=inputs.device)

    def logits(emitted: Tensor, place: int) -> Tensor:
        nonlocal memory, shown
        last = emitted[:, place - 1 : place] if place else module.separator.expand(len(inputs), 1)
        where = torch.tensor([place], device=inputs.device)
        found, memory = module.write(memory, tokens.filled(last), where, itself, shown)
        if shown is not None:
            shown = torch.cat([shown, last != IGNORED], 1)
        return found[:, 0]

    return logits


@torch.inference_mode()
def row_losses(
    learner: Learner, module: nn.Module, tokens: Tokens, order: np.ndarray, precision: torch.dtype
) -> Tensor:
    """Nats (R, L) of every row in one order, by canonical step."""
    (columns,) = tokens.column_orders(order[None])
    losses = torch.empty(len(tokens), tokens.length, dtype=torch.float32, device=tokens.device)

    def work(rows: slice) -> None:
        numbers = torch.arange(rows.start, rows.stop, device=tokens.device)
        with multiply_in(precision, tokens.device):
            losses[rows] = learner.step_loss(module, tokens.batch(numbers, columns.expand(len(numbers), -1)))

    in_parts(len(tokens), 1, _rows_at_once(tokens), work)
    return losses


def _rows_at_once(tokens: Tokens) -> int:
    """Of whole rows, whose logits are there together."""
    return min(GENERATED_AT_ONCE, LOGITS_AT_ONCE // (tokens.schema.columns * tokens.vocabulary_size))


@torch.inference_mode()
def look(
    learner: Learner,
    module: nn.Module,
    tokens: Tokens,
    order: np.ndarray,
    precision: torch.dtype,
    world: World | None = None,
) -> tuple[float, float]:
    """Mean loss in nats a step, and the share of steps that are there predicted right, each given those before it.

    The processes of a world look at a share of the rows each.
    """
    world, rows_in_all = World(tokens.device) if world is None else world, len(tokens)
    tokens = tokens.part(world.share(rows_in_all))
    (columns,) = tokens.column_orders(order[None])
    loss = right = told = 0.0

    def work(rows: slice) -> None:
        nonlocal loss, right, told
        batch = tokens.batch(
            torch.arange(rows.start, rows.stop, device=tokens.device), columns.expand(rows.stop - rows.start, -1)
        )
        with multiply_in(precision, tokens.device):
            nats, hit = learner.look(module, batch)
        missed = ~hit & (batch.targets.gather(1, batch.columns) != IGNORED)
        wrong = tokens.by_step(torch.zeros_like(batch.columns).scatter(1, batch.columns, missed.long()))
        there = steps_there(tokens, batch.targets)
        loss, right = loss + float(nats.sum()), right + float(((wrong == 0) & there).sum())
        told += float(there.sum())

    in_parts(len(tokens), 1, _rows_at_once(tokens), work)
    sums = world.sum(torch.tensor([loss, right, told], dtype=torch.float64, device=tokens.device))
    loss, right, told = sums.tolist()
    return loss / (rows_in_all * tokens.length), right / told if told else math.nan


def steps_there(tokens: Tokens, targets: Tensor) -> Tensor:
    """Which steps rows of targets (R, C) have: (R, L); one that the loss leaves out is neither right nor wrong."""
    return targets[:, tokens.schema.offsets[:-1].tolist()] != IGNORED
