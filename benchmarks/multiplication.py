"""Multiplication of 5 x 5 digits by a model of four layers: what the order of the digits decides, on a GPU.

`python benchmarks/multiplication.py ORDER ...`, of least, most and random (all without one), or `table`: a cell is
an order and a seed, trained on fresh rows that the device makes, 45 % of them with one digit of b that is not 0
(`rows="sparse"` of the task). Known without a scratchpad, after 200,000 steps of batch 64: least significant digit
first 97.4 %, most 7.5 %. Here as many rows in large batches, to be done in less than four minutes an order. Rows go
to docs/results/multiplication.jsonl; finished cells are skipped.

Success is on 10,000 rows of each kind. Uniform ones are unseen but for about one in 500; of sparse and short ones
training has seen most, and they tell whether these are learned at all.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from study import read_rows, run_named
from torch import Tensor
from torch.nn import functional as F

import pyorder
from pyorder.models.architecture import Architecture
from pyorder.models.decoder import Decoder

DIGITS, BASE = 5, 10
LENGTH = 2 * DIGITS
KINDS = ("uniform", "by_length", "sparse")
ORDERS = ("least", "most", "random")
STUDIES = {order: [{"order": order, "seed": seed} for seed in range(3)] for order in ORDERS}


@dataclass(frozen=True)
class Size:
    """The model, and how it is trained; `TINY` is to try the script on a CPU."""

    layers: int = 4
    width: int = 512
    batch_size: int = 1024
    steps: int = 12_500
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


FULL, TINY = Size(), Size(layers=1, width=32, batch_size=32, steps=20, warmup=5, test=50)


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


def train(order: Tensor, size: Size, seed: int, device: torch.device) -> Decoder:
    """A decoder trained on fresh rows, whose digits are written in this order."""
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    module = Decoder(size.architecture, BASE, LENGTH, LENGTH).to(device)
    fused = device.type == "cuda"
    optimiser = torch.optim.AdamW(module.parameters(), size.learning_rate, (0.9, 0.98), fused=fused)

    def rate(step: int) -> float:
        return min((step + 1) / size.warmup, (size.steps - step) / (size.steps - size.warmup))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    for _ in range(size.steps):
        inputs, targets = draw(size.batch_size, generator)
        emitted = targets[:, order]
        with torch.autocast(device.type, torch.bfloat16):
            logits = module(inputs, emitted)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), emitted.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return module.eval()


@torch.no_grad()
def success(module: Decoder, order: Tensor, kind: str, size: Size, seed: int) -> tuple[float, list[float]]:
    """Share of a kind's rows that are written right, and of each digit; greedily."""
    data = pyorder.make_task("prod", LENGTH, rows=kind).generate(size.test, seed=seed, stream=9)
    inputs, targets = (torch.tensor(part, device=order.device).long() for part in (data.inputs, data.targets))
    wanted = targets[:, order]
    written = torch.zeros_like(wanted)
    for slot in range(LENGTH):
        with torch.autocast(order.device.type, torch.bfloat16):
            written[:, slot] = module(inputs, written)[:, slot].argmax(1)
    right = (written == wanted).float()
    digits = torch.empty(LENGTH)
    digits[order.cpu()] = right.mean(0).cpu()
    return float(right.prod(1).mean()), [round(share, 4) for share in digits.tolist()]


def measure(order: str, seed: int, size: Size | None = None) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or (FULL if device.type == "cuda" else TINY)
    steps = torch.from_numpy(order_of(order, seed)).to(device)
    started = time.perf_counter()
    module = train(steps, size, seed, device)
    told = {kind: success(module, steps, kind, size, seed) for kind in KINDS}
    return {
        "success": {kind: share for kind, (share, _) in told.items()},
        "digits": told["uniform"][1],
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
            rows = f"{row['size']['steps'] * row['size']['batch_size']:,}"
            told = [row["order"], str(row["seed"]), *shares, rows, f"{row['seconds']:.0f}", row["device"]]
            print("| " + " | ".join(told) + " |")


if __name__ == "__main__":
    run_named("multiplication", STUDIES, measure, table)
