"""Loss profiling against the same loop written with Hugging Face's GPT-2, in turn in one run.

`python benchmarks/profiling.py`: the small model, square L = 13, T = 720, on the CPU; the same precision, rows,
batches and optimiser on both sides. Losses are checked to agree before anything is timed. Ratios above 1 mean that
pyorder is faster.
"""

from __future__ import annotations

import numpy as np
import torch
from timing import alternate, machine, show
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

import pyorder
from pyorder.execution import multiply_in
from pyorder.scoring import score
from pyorder.trainer import TrainingSettings, train

LENGTH, CANDIDATES, ROWS, BATCH, STEPS = 13, 720, 8, 128, 5
CPU = torch.device("cpu")


def gpt2_like(decoder):
    """Hugging Face's model with the weights of ours."""
    preset = pyorder.PRESETS["small"]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=decoder.vocabulary_size + 1,
            bos_token_id=None,
            eos_token_id=None,
            n_positions=2 * LENGTH,
            n_embd=preset.width,
            n_layer=1,
            n_head=1,
            n_inner=preset.feed_forward,
        )
    )
    with torch.no_grad():
        body, ours = model.transformer, decoder.blocks[0]
        body.wte.weight.copy_(decoder.token_embedding.weight)
        body.wpe.weight.copy_(decoder.position_embedding.weight)
        body.h[0].attn.c_attn.weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]).T)
        body.h[0].attn.c_proj.weight.copy_(ours.attention_out.weight.T)
        body.h[0].mlp.c_fc.weight.copy_(ours.feed_forward_in.weight.T)
        body.h[0].mlp.c_proj.weight.copy_(ours.feed_forward_out.weight.T)
    return model


def sequence_losses(model, inputs, emitted, precision):
    separator = torch.full((len(inputs), 1), model.config.vocab_size - 1)
    with multiply_in(precision, CPU):
        tokens = torch.cat([inputs, separator, emitted[:, :-1]], 1)
        logits = model(tokens, use_cache=False, logits_to_keep=LENGTH).logits[..., :-1]  # no separator in Y
    return F.cross_entropy(logits.flatten(0, 1).float(), emitted.flatten(), reduction="none").view(emitted.shape)


@torch.inference_mode()
def gpt2_score(model, inputs, targets, orders, precision):
    """Mean loss (R, T), one row under a batch of orders at a time."""
    losses = torch.empty(len(inputs), len(orders))
    for row in range(len(inputs)):
        for start in range(0, len(orders), BATCH):
            chosen = torch.from_numpy(orders[start : start + BATCH])
            repeated = inputs[row].expand(len(chosen), -1)
            losses[row, start : start + BATCH] = sequence_losses(
                model, repeated, targets[row][chosen], precision
            ).mean(1)
    return losses.numpy()


def gpt2_train(model, inputs, targets, orders, assigned, settings):
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, (0.9, 0.999), fused=True)
    model.train()
    for step in range(settings.steps):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH)
        emitted = targets[rows].gather(1, orders[assigned[rows]])
        loss = sequence_losses(model, inputs[rows], emitted, settings.precision).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def main() -> None:
    splits = pyorder.make_task("square", length=LENGTH).splits(
        train=STEPS * BATCH, validation=ROWS, test=1, seed=0
    )
    vocabulary = splits.train.vocabulary
    inputs, targets = (torch.from_numpy(ids) for ids in splits.train.encode(vocabulary))
    held = [torch.from_numpy(ids) for ids in splits.validation.encode(vocabulary)]
    orders = pyorder.permutations.sample(LENGTH, CANDIDATES, seed=0, distinct=True)
    table, assigned = torch.from_numpy(orders), torch.arange(len(inputs)) % CANDIDATES
    torch.manual_seed(0)
    ours = pyorder.PRESETS["small"](len(vocabulary), LENGTH, LENGTH).eval()
    theirs = gpt2_like(ours).eval()
    for precision in (torch.float32, torch.bfloat16):
        name = str(precision).removeprefix("torch.")
        mine, other = score(ours, *held, orders, precision)[0], gpt2_score(theirs, *held, orders, precision)
        np.testing.assert_allclose(mine, other, rtol=1e-4 if precision == torch.float32 else 2e-2)
        timed = alternate(
            lambda p=precision: score(ours, *held, orders, p),
            lambda p=precision: gpt2_score(theirs, *held, orders, p),
            repeats=5,
        )
        show("evaluation", {"rows_x_orders": ROWS * CANDIDATES, "precision": name, **timed, **machine()})
    for precision in (torch.float32, torch.bfloat16):
        settings = TrainingSettings.of(
            pyorder.PRESETS["small"], precision, steps=STEPS, batch_size=BATCH, learning_rate=None
        )
        timed = alternate(
            lambda s=settings: train(ours, inputs, targets, table, assigned, s, np.random.default_rng(0)),
            lambda s=settings: gpt2_train(theirs, inputs, targets, table, assigned, s),
            repeats=5,
        )
        name = str(precision).removeprefix("torch.")
        show("training", {"steps": STEPS, "batch": BATCH, "precision": name, **timed, **machine()})


if __name__ == "__main__":
    main()
