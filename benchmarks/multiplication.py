"""Multiplication of 5 x 5 digits by a model of four layers: what the order of the digits decides, on a GPU.

`python benchmarks/multiplication.py ORDER ...`, of least, most and random (all without one), or `table`: a cell is
an order and a seed, trained on fresh rows that the device makes, 45 % of them with one digit of b that is not 0
(`rows="sparse"` of the task). Known without a scratchpad, after 200,000 steps of batch 64: least significant digit
first 97.4 %, most 7.5 %. Here two thirds of those rows in batches of 256, in less than four minutes an order.

Rows go to docs/results/multiplication.jsonl; finished cells are skipped.

Success is on 10,000 rows of each kind. Uniform ones are unseen but for about one in 500; of sparse and short ones
training has seen most, and they tell whether these are learned at all.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from study import read_rows, run_named
from torch import Tensor

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.execution import resolve_precision
from pyorder.models.architecture import Architecture
from pyorder.models.learner import DecoderLearner
from pyorder.training.generation import generate
from pyorder.training.orders import OneOrder, RowQueue
from pyorder.training.recipe import Recipe
from pyorder.training.trainer import Trainer

DIGITS, BASE = 5, 10
LENGTH = 2 * DIGITS
KINDS = ("uniform", "by_length", "sparse")
ORDERS = ("least", "most", "random")
STUDIES = {order: [{"order": order, "seed": seed} for seed in range(3)] for order in ORDERS}


@dataclass(frozen=True)
class Size:
    """The model, and how it is trained: on ``rows`` that are drawn anew so many ``times``, each seen once."""

    layers: int = 4
    width: int = 512
    batch_size: int = 256
    rows: int = 2**20
    times: int = 8
    learning_rate: float = 5e-4
    warmup: int = 1_000
    test: int = 10_000

    @property
    def architecture(self) -> Architecture:
        """Of the decoder."""
        return Architecture(
            layers=self.layers,
            heads=8,
            width=self.width,
            feed_forward=4 * self.width,
            dropout=0.0,
            embedding_std=0.02,
            tied=False,
        )

    @property
    def recipe(self) -> Recipe:
        """Of the training."""
        return Recipe(
            steps=self.times * self.rows // self.batch_size,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
        )


FULL, TINY = Size(), Size(layers=1, width=32, batch_size=32, rows=160, times=2, warmup=5, test=50)


def draw(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of `make_task("prod", 10, rows="sparse")`, made on the generator's device: (rows, X) and (rows, L)."""
    device = generator.device
    inputs = torch.randint(BASE, (rows, LENGTH), generator=generator, device=device)
    sparse = torch.rand(rows, 1, generator=generator, device=device) < 0.45
    place = torch.randint(DIGITS, (rows, 1), generator=generator, device=device)
    digit = torch.randint(1, BASE, (rows, 1), generator=generator, device=device)
    single = torch.zeros_like(inputs[:, DIGITS:]).scatter(1, place, digit)
    inputs[:, DIGITS:] = torch.where(sparse, single, inputs[:, DIGITS:])
    powers = BASE ** torch.arange(LENGTH, device=device)
    factors = (inputs.view(rows, 2, DIGITS) * powers[:DIGITS].flip(0)).sum(2)
    return inputs, factors.prod(1, keepdim=True) // powers % BASE


def order_of(name: str, seed: int) -> np.ndarray:
    forward = np.arange(LENGTH)
    if name == "random":
        return np.random.default_rng([seed, 5]).permutation(forward)
    return forward if name == "least" else forward[::-1].copy()


def encoded(kind: str, rows: int, seed: int, device: torch.device) -> Tokens:
    """Rows of the task, whose token ids are the digits."""
    data = pyorder.make_task("prod", LENGTH, rows=kind).generate(rows, seed=seed, stream=9)
    return Tokens.of(data, "rows", device, like=(np.arange(BASE), data.schema))


def train(order: np.ndarray, size: Size, seed: int, device: torch.device) -> Trainer:
    """A decoder trained on fresh rows, whose digits are written in this order."""
    generator = torch.Generator(device).manual_seed(seed)
    inputs, targets = (part.to(torch.int8) for part in draw(size.rows, generator))
    tokens = replace(encoded("sparse", BASE, seed, device), inputs=inputs, targets=targets)
    learner = DecoderLearner(size.architecture)
    torch.manual_seed(seed)
    module = learner.build(tokens.shape).to(device)
    queue = RowQueue(size.rows, np.random.default_rng(seed))
    trainer = Trainer(learner, module, tokens, size.recipe, queue)
    for _ in range(size.times):
        losses = trainer.train(OneOrder(torch.from_numpy(order).to(device)), size.rows // size.batch_size)
        print(f"step {trainer.steps_done}: {losses[-100:].mean():.4f} nats a digit", flush=True)
        for part, fresh in zip((inputs, targets), draw(size.rows, generator), strict=True):
            part.copy_(fresh)  # a recorded step reads where they lie
    return trainer


def measure(order: str, seed: int, size: Size | None = None) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or (FULL if device.type == "cuda" else TINY)
    started, steps = time.perf_counter(), order_of(order, seed)
    trainer = train(steps, size, seed, device)
    success, digits, precision = {}, [], resolve_precision("auto", device)
    for kind in reversed(KINDS):
        rows = encoded(kind, size.test, seed, device)
        right = generate(trainer.learner, trainer.module, rows, steps, precision) == rows.targets
        success[kind] = float(right.all(1).float().mean())
        digits = [round(share, 4) for share in right.float().mean(0).tolist()]
    return {
        "success": success,
        "digits": digits,  # of uniform rows
        "steps_of": steps.tolist(),
        "size": asdict(size),
        "seconds": round(time.perf_counter() - started, 1),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }


def table() -> None:
    print("| order | seed | uniform | by length | sparse | rows | seconds | device |")
    print("|---|---|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in read_rows("multiplication", cells):
            shares = [f"{100 * row['success'][kind]:.1f} %" for kind in KINDS]
            rows = f"{row['size']['times'] * row['size']['rows']:,}"
            told = [row["order"], str(row["seed"]), *shares, rows, f"{row['seconds']:.0f}", row["device"]]
            print("| " + " | ".join(told) + " |")


if __name__ == "__main__":
    run_named("multiplication", STUDIES, measure, table)
