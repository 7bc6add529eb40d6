"""The fused kernel against plain PyTorch, the same compiled, and Liger's cross-entropy where it is installed.

Answers are compared first; then all sides are timed in turn on the same tensors. `python benchmarks/gpu.py` takes
the sizes that matter most, this sweeps many: it appends a row a size to docs/results/kernels.jsonl, and skips
sizes that this device has a row of. A size that fails is reported, and the others go on; the exit code is then 1.

Times are microseconds a call as [20 %, 50 %, 80 %] quantiles: "eager_us" between two events around a call, waiting
for the host included; "graph_us" in a replayed CUDA graph, the device's time alone. "must_move" counts the bytes
that no implementation can avoid, "of_copy" is the bandwidth that these and the graph's median make, as a share of
what a copy of a gigabyte reaches. Small inputs may stay in the cache, as behind the layer that makes them.

    python benchmarks/kernels.py            every size
    python benchmarks/kernels.py --tune     instead: the permuted cross-entropy's launch settings, fastest first
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from device import Gpu, copy_bandwidth, take, timed
from timing import machine
from torch import Tensor
from torch.nn import functional as F

from pyorder import losses

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "kernels.jsonl"
LENGTH, ORDERS, TARGETS = 16, 720, 10_000
SLOTS = (4096, 65_536, 2**20)
VALUES = (16, 128, 1024)
DTYPES = ("float32", "bfloat16")
REPEATS = 25

Call = Callable[[], tuple[Tensor, ...]]
Table = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass
class Case:
    """Calls that answer one question; the first is the plain one, with which the others must agree."""

    must_move: int
    sides: dict[str, Call]
    not_in_graphs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Size:
    """How many rows of how many steps, how many values, and the type of what is multiplied."""

    rows: int
    length: int
    values: int
    dtype: str

    @property
    def slots(self) -> int:
        """Rows times steps."""
        return self.rows * self.length

    def random(self, device: Gpu, *shape: int) -> Tensor:
        """Normal numbers that take a gradient."""
        return torch.randn(shape, device=device.type, dtype=getattr(torch, self.dtype)).requires_grad_()

    def table(self, device: Gpu) -> Table:
        """Targets, orders, and for every row which of them."""
        small = torch.int8 if self.values <= 128 else torch.int16  # as the package holds them
        targets = torch.randint(self.values, (TARGETS, self.length), device=device.type, dtype=small)
        orders = torch.stack([torch.randperm(self.length) for _ in range(ORDERS)]).to(device.type)
        order_index = torch.randint(ORDERS, (self.rows,), device=device.type)
        return targets, orders, order_index, torch.randint(TARGETS, (self.rows,), device=device.type)


def with_gradients(loss: Tensor, *free: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, free))


def reordered(targets: Tensor, orders: Tensor, order_index: Tensor, target_row: Tensor) -> Tensor:
    return targets[target_row].long().gather(1, orders[order_index])


def plain_cross_entropy(logits: Tensor, *table: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), reordered(*table).flatten())


def cross_entropy(device: Gpu, size: Size) -> Case:
    logits, table = size.random(device, size.rows, size.length, size.values), size.table(device)
    compiled = device.compiled(plain_cross_entropy)

    sides: dict[str, Call] = {
        "plain": lambda: with_gradients(plain_cross_entropy(logits, *table), logits),
        "compiled": lambda: with_gradients(compiled(logits, *table), logits),
        "pyorder": lambda: with_gradients(losses.permuted_cross_entropy(logits, *table), logits),
    }
    if device.type == "cuda" and importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers.cross_entropy import LigerCrossEntropyLoss

        liger = LigerCrossEntropyLoss()
        own = (
            logits.detach().clone().requires_grad_()
        )  # written over: right in the first call, timed in the others
        sides["Liger"] = lambda: with_gradients(liger(own.flatten(0, 1), reordered(*table).flatten()), own)
    moved = 2 * logits.nbytes + 8 * size.slots
    return Case(moved, sides, not_in_graphs=("Liger",))  # it waits for a value on the host


def cross_entropy_alone(device: Gpu, size: Size) -> Case:
    logits, table = size.random(device, size.rows, size.length, size.values).detach(), size.table(device)
    compiled = device.compiled(plain_cross_entropy)
    sides: dict[str, Call] = {
        "plain": lambda: (plain_cross_entropy(logits, *table),),
        "compiled": lambda: (compiled(logits, *table),),
        "pyorder": lambda: (losses.permuted_cross_entropy(logits, *table),),
    }
    return Case(logits.nbytes + 8 * size.slots, sides)


CASES = {
    "permuted cross-entropy and gradient": cross_entropy,
    "permuted cross-entropy": cross_entropy_alone,
}


def assert_same_answers(case: Case) -> None:
    """Every output is as near to the plain one's as its type allows, measured by its largest value."""
    plain, *others = case.sides.values()
    wanted = plain()
    for side in others:
        for given, true in zip(side(), wanted, strict=True):
            largest = true.abs().max().item()
            share = 2e-2 if torch.bfloat16 in (given.dtype, wanted[-1].dtype) else 1e-4
            # Liger's loss has the type of the logits.
            torch.testing.assert_close(given, true, rtol=share, atol=share * largest, check_dtype=False)


def measure_size(device: Gpu, name: str, size: Size, copy: float, repeats: int = REPEATS) -> dict[str, Any]:
    """Compare the answers, then time every side: their times by side."""
    torch.manual_seed(0)
    case = CASES[name](device, size)
    assert_same_answers(case)
    eager = timed(device, case.sides, repeats)
    calls = device.calls_a_graph if case.must_move < 2**26 else 2
    graphs = {
        side: device.captured(call, calls) for side, call in case.sides.items() if side not in case.not_in_graphs
    }
    graph = timed(device, graphs, repeats, each=calls)
    of_copy = {side: float(f"{case.must_move / (times[1] * 1e-6) / copy:.3g}") for side, times in graph.items()}
    return {"must_move": case.must_move, "of_copy": of_copy, "graph_us": graph, "eager_us": eager}


def measure(device: Gpu) -> int:
    """Measure every size that is still missing; return how many failed."""
    here = {"device": device.name, "cuda": torch.version.cuda, "triton": version("triton")}
    copy = copy_bandwidth(device)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    failures = 0
    for name, dtype, values, slots in itertools.product(CASES, DTYPES, VALUES, SLOTS):
        cell = {"case": name, "slots": slots, "values": values, "dtype": dtype}
        if any((cell | here).items() <= row.items() for row in done):
            continue
        device.clear()
        try:
            row = measure_size(device, name, Size(slots // LENGTH, LENGTH, values, dtype), copy)
        except Exception as error:  # a wrong answer, a launch that fails, too little memory
            failures += 1
            print(json.dumps({**cell, "failed": str(error)}), file=sys.stderr, flush=True)
            continue
        line = json.dumps({**cell, **row, "copy_bytes_a_second": copy, **here, **machine()})
        with RESULTS.open("a") as file:
            print(line, file=file)
        print(line, flush=True)
    return failures


def fastest_settings(device: Gpu, size: Size) -> list[tuple[str, list[float]]]:
    """Time the two launches of a training step, losses and then gradient, with all settings worth a try."""
    from pyorder.kernels.permuted_cross_entropy import Settings, launch, tile_width

    logits, table = size.random(device, size.rows, size.length, size.values).detach(), size.table(device)
    by_slot, incoming = (torch.rand(logits.shape[:2], device=device.type) for _ in range(2))
    gradient = torch.empty_like(logits)

    def step(settings: Settings) -> None:
        launch(logits, *table, losses=by_slot, settings=settings)
        launch(logits, *table, incoming=incoming, gradient=gradient, settings=settings)

    graphs = {
        f"{rows} rows, {warps} warps": device.captured(partial(step, Settings(rows, warps)), calls=10)
        for rows in (1, 2, 4, 8, 16, 32, 64)
        for warps in (1, 2, 4, 8)
        if 32 * warps <= rows * tile_width(size.values) <= 64 * 32 * warps  # with more a thread, registers spill
    }
    return sorted(timed(device, graphs, REPEATS, each=10).items(), key=lambda item: item[1][1])


def tune(device: Gpu) -> None:
    torch.manual_seed(0)
    for values, dtype, rows in itertools.product((16, 32, 64, 128, 256, 512, 1024), DTYPES, (128, 16_384)):
        best = fastest_settings(device, Size(rows, LENGTH, values, dtype))
        print(values, dtype, rows * LENGTH, [(name, round(times[1], 2)) for name, times in best[:8]], flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        print("benchmarks/kernels.py: no CUDA device, nothing was measured")
    elif "--tune" in sys.argv[1:]:
        tune(take())
    elif measure(take()):
        sys.exit(1)


if __name__ == "__main__":
    main()
