"""The decoder `small` and the same network as Hugging Face's GPT-2, side by side: how fast each trains and scores.

Both have the same weights, rows, batches, orders and optimiser. What they compute is compared before it is timed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from timing import alternate
from torch.nn import functional as F

import pyorder
from pyorder.ensemble import Ensemble
from pyorder.execution import multiply_in
from pyorder.scoring import score
from pyorder.trainer import TrainingSettings, train

PRESET = pyorder.PRESETS["small"]
BATCH = PRESET.batch_size
CHECKED_STEPS = 5


class Problem:
    """Rows of square, orders, and both networks."""

    def __init__(self, device: str, length: int, candidates: int) -> None:
        splits = pyorder.make_task("square", length=length).splits(validation=1000, test=1, seed=0)
        vocabulary = splits.train.vocabulary
        self.device, self.length, self.values = torch.device(device), length, len(vocabulary)
        self.inputs, self.targets = (torch.from_numpy(ids).to(device) for ids in splits.train.encode(vocabulary))
        self.held = [torch.from_numpy(ids).to(device) for ids in splits.validation.encode(vocabulary)]
        self.orders = pyorder.permutations.sample(length, candidates, seed=0, distinct=True)

    def decoder(self, preset: pyorder.Preset = PRESET) -> torch.nn.Module:
        """Draw the weights of seed 0."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            return preset(self.values, self.length, self.length).to(self.device)

    def twin(self, decoder: torch.nn.Module, dropout: float) -> torch.nn.Module:
        """Hugging Face's model with the weights of ours."""
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=self.values + 1,
            bos_token_id=None,
            eos_token_id=None,
            n_positions=2 * self.length,
            n_embd=PRESET.width,
            n_layer=1,
            n_head=1,
            n_inner=PRESET.feed_forward,
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
def twin_scores(problem: Problem, model, inputs, targets, precision, together: int) -> np.ndarray:
    """Mean loss (R, T), one row under a batch of orders at a time."""
    losses = torch.empty(len(inputs), len(problem.orders), device=problem.device)
    table = torch.from_numpy(problem.orders).to(problem.device)
    for row in range(len(inputs)):
        for chosen, place in zip(table.split(together), losses[row].split(together), strict=True):
            repeated = inputs[row].expand(len(chosen), -1)
            place.copy_(problem.losses(model, repeated, targets[row][chosen], precision).mean(1))
    return losses.cpu().numpy()


def twin_training(problem: Problem, model, settings: TrainingSettings) -> np.ndarray:
    """Train on the rows in sequence, row n in order n modulo T; the loss of every step."""
    table = torch.from_numpy(problem.orders).to(problem.device)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, (0.9, 0.999), fused=True)
    curve = torch.empty(settings.steps, device=problem.device)
    model.train()
    for step in range(settings.steps):
        size = settings.batch_size
        rows = torch.arange(step * size, (step + 1) * size, device=problem.device)
        emitted = problem.targets[rows].gather(1, table[rows % len(table)])
        loss = problem.losses(model, problem.inputs[rows], emitted, settings.precision).mean()
        for group in optimiser.param_groups:
            group["lr"] = settings.rate_at(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        curve[step] = loss.detach()
    return curve.cpu().numpy()


def side_by_side(problem: Problem, preset: pyorder.Preset, settings: TrainingSettings):
    """Return how pyorder trains on a GPU: one CUDA graph for every step; the rows are those of the twin."""
    ensemble = Ensemble(preset, problem.values, problem.inputs, problem.targets, settings, 1)
    rows = np.arange(settings.steps * settings.batch_size).reshape(settings.steps, 1, settings.batch_size)
    return lambda: ensemble.train([0], problem.orders, rows, rows % len(problem.orders))[1][0].numpy()


def alone(problem: Problem, preset: pyorder.Preset, settings: TrainingSettings):
    """Return how pyorder trains on a CPU; the sequence of the rows is its own."""
    rows = settings.steps * settings.batch_size
    table = torch.from_numpy(problem.orders)
    assigned = torch.arange(rows) % len(table)
    inputs, targets, decoder = problem.inputs[:rows], problem.targets[:rows], problem.decoder(preset)
    return lambda: train(decoder, inputs, targets, table, assigned, settings, np.random.default_rng(0)).numpy()


def settings_of(precision: str, steps: int, batch: int) -> TrainingSettings:
    return TrainingSettings.of(
        PRESET, getattr(torch, precision), steps=steps, batch_size=batch, learning_rate=None
    )


def training(
    device: str, precision: str, *, length: int, candidates: int, steps: int, repeats: int, batch: int = BATCH
) -> dict[str, Any]:
    """A step of the captured training against the twin's in eager mode: seconds a step, and their ratio."""
    problem = Problem(device, length, candidates)
    still = replace(PRESET, dropout=0.0)
    few = settings_of(precision, CHECKED_STEPS, batch)
    given = side_by_side(problem, still, few)()
    wanted = twin_training(problem, problem.twin(problem.decoder(still), 0.0), few)
    np.testing.assert_allclose(given, wanted, rtol=1e-3 if precision == "float32" else 2e-2)
    settings = settings_of(precision, steps, batch)
    ours = side_by_side(problem, PRESET, settings)
    theirs = problem.twin(problem.decoder(), PRESET.dropout)
    taken = alternate(ours, lambda: twin_training(problem, theirs, settings), repeats)
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
    decoder = problem.decoder().eval()
    theirs, dtype = problem.twin(decoder, PRESET.dropout).eval(), getattr(torch, precision)
    few, held = ([part[:count] for part in problem.held] for count in (min(rows, 8), rows))
    np.testing.assert_allclose(
        score(decoder, *few, problem.orders, dtype)[0],
        twin_scores(problem, theirs, *few, dtype, together),
        rtol=1e-4 if precision == "float32" else 2e-2,
    )
    return alternate(
        lambda: score(decoder, *held, problem.orders, dtype),
        lambda: twin_scores(problem, theirs, *held, dtype, together),
        repeats,
    )
