"""The decoder `small` and the same network as Hugging Face's GPT-2, side by side: how fast each trains and scores.

Both have the same weights, rows, batches, orders and optimiser. What they compute is compared before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timing import alternate
from torch.nn import functional as F

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.execution import RandomStream, multiply_in
from pyorder.models.decoder import Decoder
from pyorder.models.learner import DecoderLearner
from pyorder.profiling.scoring import score
from pyorder.training.orders import Mixture, RowQueue
from pyorder.training.trainer import Trainer

PRESET = pyorder.PRESETS["small"]
BATCH = PRESET.recipe.batch_size
CHECKED_STEPS = 5


class Problem:
    """Rows of square, orders, and both networks."""

    def __init__(self, device: str, length: int, candidates: int) -> None:
        splits = pyorder.make_task("square", length=length).splits(validation=1000, test=1, seed=0)
        self.device, self.length = torch.device(device), length
        self.tokens = Tokens.of(splits.train, "train", self.device)
        like = splits.train.vocabulary, splits.train.schema
        self.held = Tokens.of(splits.validation, "validation", self.device, like)
        self.values = self.tokens.vocabulary_size
        self.orders = pyorder.permutations.sample(length, candidates, seed=0, distinct=True)
        self.table = self.tokens.column_orders(self.orders)

    def decoder(self, preset: pyorder.Preset = PRESET) -> Decoder:
        """Draw the weights of seed 0."""
        with RandomStream(0, self.device).lent():
            return preset(*self.tokens.shape).to(self.device)

    def twin(self, decoder: Decoder, dropout: float) -> torch.nn.Module:
        """Hugging Face's model with the weights of ours."""
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=self.values + 1,
            bos_token_id=None,
            eos_token_id=None,
            n_positions=2 * self.length,
            n_embd=PRESET.architecture.width,
            n_layer=1,
            n_head=1,
            n_inner=PRESET.architecture.feed_forward,
            embd_pdrop=dropout,
            resid_pdrop=dropout,
            attn_pdrop=dropout,
        )
        model = GPT2LMHeadModel(config).to(self.device)
        with torch.no_grad():
            body, ours = model.transformer, decoder.blocks[0]
            body.wte.weight.copy_(decoder.token_embedding.weight)
            body.wpe.weight.copy_(decoder.position_embedding.weight)
            body.h[0].attn.c_attn.weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]).T)
            body.h[0].attn.c_proj.weight.copy_(ours.attention_out.weight.T)
            body.h[0].mlp.c_fc.weight.copy_(ours.feed_forward_in.weight.T)
            body.h[0].mlp.c_proj.weight.copy_(ours.feed_forward_out.weight.T)
        return model

    def losses(self, model, inputs, emitted, precision):
        """The twin's losses (B, L) by slot."""
        separator = torch.full((len(inputs), 1), self.values, device=self.device)
        with multiply_in(precision, self.device):
            tokens = torch.cat([inputs, separator, emitted[:, :-1]], 1)
            logits = model(tokens, use_cache=False, logits_to_keep=self.length).logits[..., :-1]  # none in Y
        return F.cross_entropy(logits.flatten(0, 1).float(), emitted.flatten(), reduction="none").view(
            emitted.shape
        )


@torch.inference_mode()
def twin_scores(problem: Problem, model, held: Tokens, precision: torch.dtype, together: int) -> np.ndarray:
    """Loss (R, T) of a row, one row under a batch of orders at a time."""
    losses = torch.empty(len(held), len(problem.orders), device=problem.device)
    inputs, targets = held.inputs.long(), held.targets.long()
    for row in range(len(held)):
        for chosen, place in zip(problem.table.split(together), losses[row].split(together), strict=True):
            repeated = inputs[row].expand(len(chosen), -1)
            place.copy_(problem.losses(model, repeated, targets[row][chosen], precision).sum(1))
    return losses.cpu().numpy()


def twin_training(problem: Problem, model, recipe: pyorder.Recipe) -> np.ndarray:
    """Train on the rows in sequence, row n in order n modulo T; the loss of every step."""
    table, tokens, precision = problem.table, problem.tokens, getattr(torch, recipe.precision)
    optimiser = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, (0.9, 0.999), weight_decay=recipe.weight_decay, fused=True
    )
    curve = torch.empty(recipe.steps, device=problem.device)
    model.train()
    for step in range(recipe.steps):
        size = recipe.batch_size
        rows = torch.arange(step * size, (step + 1) * size, device=problem.device)
        emitted = tokens.targets[rows].long().gather(1, table[rows % len(table)])
        loss = problem.losses(model, tokens.inputs[rows].long(), emitted, precision).mean()
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate_at(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        curve[step] = loss.detach()
    return curve.cpu().numpy()


def in_sequence(problem: Problem, recipe: pyorder.Recipe) -> tuple[RowQueue, torch.Tensor, Mixture]:
    """The rows of the twin, in its sequence and its orders: a queue of them, their numbers, and their orders."""
    rows = recipe.steps * recipe.batch_size
    queue = RowQueue(rows, np.random.default_rng(0))
    queue.waiting = np.arange(rows)
    numbers = torch.arange(rows, device=problem.device)
    return queue, numbers, Mixture(problem.table, numbers % len(problem.table))


def captured(problem: Problem, preset: pyorder.Preset, recipe: pyorder.Recipe) -> Callable[[], np.ndarray]:
    """Return how pyorder profiles one seed on a GPU: one CUDA graph for every step."""
    decoder, learner = problem.decoder(preset), DecoderLearner(preset.architecture)
    queue, rows, _ = in_sequence(problem, recipe)
    trainer = Trainer(learner, problem.decoder(preset), problem.tokens, recipe, queue, subset=rows)

    def train() -> np.ndarray:
        queue, rows, source = in_sequence(problem, recipe)
        trainer.module.load_state_dict(decoder.state_dict())
        trainer.restart(queue, RandomStream(0, problem.device), rows)
        return trainer.train(source, recipe.steps).numpy()

    return train


def alone(problem: Problem, preset: pyorder.Preset, recipe: pyorder.Recipe) -> Callable[[], np.ndarray]:
    """Return how pyorder profiles on a CPU; every call goes on with the same decoder."""
    decoder, learner = problem.decoder(preset), DecoderLearner(preset.architecture)

    def train() -> np.ndarray:
        queue, rows, source = in_sequence(problem, recipe)
        stream = RandomStream(0, problem.device)
        trainer = Trainer(learner, decoder, problem.tokens, recipe, queue, stream=stream, subset=rows)
        return trainer.train(source, recipe.steps).numpy()

    return train


def recipe_of(precision: str, steps: int, batch: int) -> pyorder.Recipe:
    return PRESET.but(precision=precision, steps=steps, batch_size=batch).recipe


def training(
    device: str, precision: str, *, length: int, candidates: int, steps: int, repeats: int, batch: int = BATCH
) -> dict[str, Any]:
    """A step of the captured training against the twin's in eager mode: seconds a step, and their ratio."""
    problem = Problem(device, length, candidates)
    still = PRESET.but(dropout=0.0)
    few = recipe_of(precision, CHECKED_STEPS, batch)
    given = captured(problem, still, few)()
    wanted = twin_training(problem, problem.twin(problem.decoder(still), 0.0), few)
    np.testing.assert_allclose(given, wanted, rtol=1e-3 if precision == "float32" else 2e-2)
    recipe = recipe_of(precision, steps, batch)
    ours = captured(problem, PRESET, recipe)
    theirs = problem.twin(problem.decoder(), PRESET.architecture.dropout)
    taken = alternate(ours, lambda: twin_training(problem, theirs, recipe), repeats)
    return {
        "ours_us": [1e6 * seconds / steps for seconds in taken["ours_s"]],
        "theirs_us": [1e6 * seconds / steps for seconds in taken["theirs_s"]],
        "ratio": taken["ratio"],
    }


def evaluation(
    device: str, precision: str, *, length: int, candidates: int, rows: int, together: int, repeats: int
) -> dict[str, Any]:
    """Score orders as a tree against the twin's scoring of each: seconds, and their ratio."""
    problem = Problem(device, length, candidates)
    decoder, learner = problem.decoder().eval(), DecoderLearner(PRESET.architecture)
    theirs, dtype = problem.twin(decoder, PRESET.architecture.dropout).eval(), getattr(torch, precision)
    few, held = (problem.held.select(torch.arange(count, device=device)) for count in (min(rows, 8), rows))
    np.testing.assert_allclose(
        score(learner, decoder, few, problem.orders, dtype)[0],
        twin_scores(problem, theirs, few, dtype, together),
        rtol=1e-4 if precision == "float32" else 2e-2,
    )
    return alternate(
        lambda: score(learner, decoder, held, problem.orders, dtype),
        lambda: twin_scores(problem, theirs, held, dtype, together),
        repeats,
    )
