"""Loss profiling against the same loop written with Hugging Face's GPT-2, in turn in one run.

`python benchmarks/profiling.py`: the small model, square L = 13, in float32 and bfloat16; the same rows, batches
and optimiser on both sides, losses checked to agree before anything is timed. Ratios above 1 mean that pyorder is
faster. Where there is a GPU it runs there, with more orders, rows and steps, and also times what eight seeds cost
against one, and the published search (relu L = 13, K = 6). Rows are printed, and appended to
docs/results/profiling.jsonl.
"""

from __future__ import annotations

import json
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from timing import alone, alternate, machine, show
from torch.nn import functional as F

import pyorder
from pyorder.execution import multiply_in
from pyorder.profiling.profile import Profiler
from pyorder.profiling.scoring import score
from pyorder.search import Hierarchical
from pyorder.training.ensemble import Ensemble
from pyorder.training.trainer import TrainingSettings, train

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
LENGTH, BATCH = 13, 128
CANDIDATES, ROWS, STEPS, REPEATS = (5040, 1000, 700, 3) if ON_GPU else (720, 8, 5, 5)
TOGETHER = 8192 if ON_GPU else 128  # sequences that GPT-2 scores at once
PRECISIONS = (torch.float32, torch.bfloat16)
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "profiling.jsonl"


def gpt2_like(decoder):
    """Hugging Face's model with the weights of ours."""
    from transformers import GPT2Config, GPT2LMHeadModel

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
    ).to(DEVICE)
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
    separator = torch.full((len(inputs), 1), model.config.vocab_size - 1, device=DEVICE)
    with multiply_in(precision, DEVICE):
        tokens = torch.cat([inputs, separator, emitted[:, :-1]], 1)
        logits = model(tokens, use_cache=False, logits_to_keep=LENGTH).logits[..., :-1]  # no separator in Y
    return F.cross_entropy(logits.flatten(0, 1).float(), emitted.flatten(), reduction="none").view(emitted.shape)


@torch.inference_mode()
def gpt2_score(model, inputs, targets, orders, precision):
    """Mean loss (R, T), one row under a batch of orders at a time."""
    losses = torch.empty(len(inputs), len(orders), device=DEVICE)
    table = torch.from_numpy(orders).to(DEVICE)
    for row in range(len(inputs)):
        for chosen, place in zip(table.split(TOGETHER), losses[row].split(TOGETHER), strict=True):
            repeated = inputs[row].expand(len(chosen), -1)
            place.copy_(sequence_losses(model, repeated, targets[row][chosen], precision).mean(1))
    return losses.cpu().numpy()


def gpt2_train(model, inputs, targets, orders, assigned, settings):
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, (0.9, 0.999), fused=True)
    curve = torch.empty(settings.steps, device=DEVICE)
    model.train()
    for step in range(settings.steps):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH, device=DEVICE)
        emitted = targets[rows].gather(1, orders[assigned[rows]])
        loss = sequence_losses(model, inputs[rows], emitted, settings.precision).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        curve[step] = loss.detach()
    model.eval()
    return curve.cpu()


def record(name, precision, row):
    row = {"device": torch.cuda.get_device_name() if ON_GPU else "cpu", "precision": precision, **row, **machine()}
    show(name, row)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({"benchmark": name, **row}) + "\n")


def name_of(precision):
    return str(precision).removeprefix("torch.")


def evaluation(ours, theirs, held, orders):
    for precision in PRECISIONS:
        few = [part[:8] for part in held]
        mine, other = score(ours, *few, orders, precision)[0], gpt2_score(theirs, *few, orders, precision)
        np.testing.assert_allclose(mine, other, rtol=1e-4 if precision == torch.float32 else 2e-2)
        timed = alternate(
            lambda p=precision: score(ours, *held, orders, p),
            lambda p=precision: gpt2_score(theirs, *held, orders, p),
            repeats=REPEATS,
        )
        record("evaluation", name_of(precision), {"rows_x_orders": ROWS * CANDIDATES, **timed})


def training(decoder, inputs, targets, orders):
    table, assigned = torch.from_numpy(orders).to(DEVICE), torch.arange(len(inputs), device=DEVICE) % CANDIDATES
    rows = np.arange(STEPS * BATCH).reshape(STEPS, 1, BATCH)
    for precision in PRECISIONS:
        settings = TrainingSettings.of(
            pyorder.PRESETS["small"], precision, steps=STEPS, batch_size=BATCH, learning_rate=None
        )
        theirs, ours = gpt2_like(decoder), deepcopy(decoder)
        if ON_GPU:
            ensemble = Ensemble(pyorder.PRESETS["small"], ours.vocabulary_size, inputs, targets, settings, 1)

            def mine(ensemble=ensemble):
                return ensemble.train([0], orders, rows, rows % CANDIDATES)[1][0]
        else:

            def mine(ours=ours, settings=settings):
                return train(ours, inputs, targets, table, assigned, settings, np.random.default_rng(0))

        def other(theirs=theirs, settings=settings):
            return gpt2_train(theirs, inputs, targets, table, assigned, settings)

        # Dropout, the sequence of rows and on a GPU the first weights differ: the first losses agree, no more.
        np.testing.assert_allclose(mine()[0], other()[0], rtol=0.1)
        record("training", name_of(precision), {"steps": STEPS, "batch": BATCH, **alternate(mine, other, REPEATS)})


def eight_seeds(splits, orders):
    profiler = Profiler(splits.train, splits.validation, model="small", device=DEVICE)
    for candidates in (128, CANDIDATES):
        timed = alternate(
            lambda pool=orders[:candidates]: profiler.profile(pool, seeds=range(1)),
            lambda pool=orders[:candidates]: profiler.profile(pool, seeds=range(8)),
            repeats=REPEATS,
        )
        record("eight seeds over one", name_of(profiler.training.precision), {"candidates": candidates, **timed})


def published_search():
    splits = pyorder.make_task("relu", length=LENGTH).splits(seed=0)

    runs = []

    def search():
        found = pyorder.discover(
            splits.train,
            validation=splits.validation,
            strategy=Hierarchical(depth=6, direction=False),
            model="small",
            device=DEVICE,
        )
        runs.append(len(found.history))

    timed = alone(search, 1)
    record("published search, relu K = 6", "auto", {"profiling_runs": runs[0], **timed})


def main() -> None:
    splits = pyorder.make_task("square", length=LENGTH).splits(validation=1000, test=1, seed=0)
    vocabulary = splits.train.vocabulary
    inputs, targets = (torch.from_numpy(ids).to(DEVICE).long() for ids in splits.train.encode(vocabulary))
    held = [torch.from_numpy(ids[:ROWS]).to(DEVICE).long() for ids in splits.validation.encode(vocabulary)]
    orders = pyorder.permutations.sample(LENGTH, CANDIDATES, seed=0, distinct=True)
    torch.manual_seed(0)
    ours = pyorder.PRESETS["small"](len(vocabulary), LENGTH, LENGTH).to(DEVICE).eval()
    if ON_GPU:
        eight_seeds(splits, orders)
        published_search()
    if find_spec("transformers") is None:
        print("Hugging Face's transformers is not installed: the comparison with GPT-2 was not measured")
        return
    theirs = gpt2_like(ours).eval()
    evaluation(ours, theirs, held, orders)
    few = slice(STEPS * BATCH)
    training(ours, inputs[few], targets[few], orders)


if __name__ == "__main__":
    main()
