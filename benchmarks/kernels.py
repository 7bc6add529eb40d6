"""The fused kernels against plain PyTorch, the same compiled, and Liger's cross-entropy where it is installed.

Answers are compared first; then all sides are timed in turn on the same tensors. Appends a row a side and size to
docs/results/kernels.jsonl, and skips sizes that this device has rows of. A size that fails is reported, and the
others go on; the exit code is then 1. Times are microseconds a call as [20 %,
50 %, 80 %] quantiles: "eager_us" between two events around a call, waiting for the host included; "graph_us" in a
replayed CUDA graph, the device's time alone. "must_move" counts the bytes that no implementation can avoid,
"of_copy" is the bandwidth that these and the graph's median make, as a share of what a copy of a gigabyte reaches.
Small inputs may stay in the cache, as they do behind the layer that makes them.

    python benchmarks/kernels.py            every size
    python benchmarks/kernels.py --tune     instead: the permuted cross-entropy's launch settings, fastest first
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from timing import machine, quantiles
from torch import Tensor
from torch.nn import functional as F

from pyorder import embeddings, losses

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "kernels.jsonl"
LENGTH, ORDERS, TARGETS, WIDTH = 16, 720, 10_000, 128
SLOTS = (4096, 65_536, 2**20)
VALUES = (16, 128, 1024)
DTYPES = (torch.float32, torch.bfloat16)
REPEATS = 25

Call = Callable[[], tuple[Tensor, ...]]


@dataclass
class Case:
    """Calls that answer one question; the first is the plain one, with which the others must agree."""

    must_move: int
    sides: dict[str, Call]
    not_in_graphs: tuple[str, ...] = ()


def with_gradients(loss: Tensor, *free: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, free))


def random(*shape: int, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, device="cuda", dtype=dtype).mul_(scale).requires_grad_()


def lookup(slots: int, values: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = slots // LENGTH
    targets = torch.randint(values, (TARGETS, LENGTH), device="cuda")
    orders = torch.stack([torch.randperm(LENGTH) for _ in range(ORDERS)]).cuda()
    order_index = torch.randint(ORDERS, (rows,), device="cuda")
    return targets, orders, order_index, torch.randint(TARGETS, (rows,), device="cuda")


def reordered(targets: Tensor, orders: Tensor, order_index: Tensor, target_row: Tensor) -> Tensor:
    return targets[target_row].gather(1, orders[order_index])


def plain_cross_entropy(logits: Tensor, *table: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), reordered(*table).flatten())


def plain_embedding(tokens: Tensor, positions: Tensor, separator: int, *table: Tensor) -> Tensor:
    before = F.pad(reordered(*table)[:, :-1], (1, 0), value=separator)
    return F.embedding(before, tokens) + positions


def plain_linear(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight).float(), targets)


def cross_entropy(slots: int, values: int, dtype: torch.dtype) -> Case:
    logits, table = random(slots // LENGTH, LENGTH, values, dtype=dtype), lookup(slots, values)
    compiled = torch.compile(plain_cross_entropy, fullgraph=True, dynamic=False)
    sides: dict[str, Call] = {
        "plain": lambda: with_gradients(plain_cross_entropy(logits, *table), logits),
        "compiled": lambda: with_gradients(compiled(logits, *table), logits),
        "pyorder": lambda: with_gradients(losses.permuted_cross_entropy(logits, *table), logits),
        "pyorder, with_grad": lambda: with_gradients(
            losses.permuted_cross_entropy(logits, *table, with_grad=True), logits
        ),
    }
    if importlib.util.find_spec("liger_kernel"):
        from liger_kernel.transformers.cross_entropy import LigerCrossEntropyLoss

        liger = LigerCrossEntropyLoss()
        own = (
            logits.detach().clone().requires_grad_()
        )  # written over: right in the first call, timed in the others
        sides["Liger"] = lambda: with_gradients(liger(own.flatten(0, 1), reordered(*table).flatten()), own)
    moved = 2 * logits.nbytes + 8 * slots
    return Case(moved, sides, not_in_graphs=("Liger",))  # it waits for a value on the host


def cross_entropy_alone(slots: int, values: int, dtype: torch.dtype) -> Case:
    logits, table = random(slots // LENGTH, LENGTH, values, dtype=dtype).detach(), lookup(slots, values)
    compiled = torch.compile(plain_cross_entropy, fullgraph=True, dynamic=False)
    sides: dict[str, Call] = {
        "plain": lambda: (plain_cross_entropy(logits, *table),),
        "compiled": lambda: (compiled(logits, *table),),
        "pyorder": lambda: (losses.permuted_cross_entropy(logits, *table),),
    }
    return Case(logits.nbytes + 8 * slots, sides)


def embedding(slots: int, values: int, dtype: torch.dtype) -> Case:
    tables = random(values + 1, WIDTH, dtype=dtype), random(LENGTH, WIDTH, dtype=dtype)
    table, incoming = lookup(slots, values), torch.rand(slots // LENGTH, LENGTH, WIDTH, device="cuda", dtype=dtype)
    compiled = torch.compile(plain_embedding, fullgraph=True, dynamic=False)

    def gradients(embedded: Tensor) -> tuple[Tensor, ...]:
        return (embedded.detach(), *torch.autograd.grad(embedded, tables, incoming))

    sides: dict[str, Call] = {
        "plain": lambda: gradients(plain_embedding(*tables, values, *table)),
        "compiled": lambda: gradients(compiled(*tables, values, *table)),
        "pyorder": lambda: gradients(embeddings.permuted_embedding(*table, *tables, separator=values)),
    }
    return Case(2 * incoming.nbytes + 8 * slots, sides)


def linear(slots: int, values: int, dtype: torch.dtype) -> Case:
    hidden = random(slots, WIDTH, dtype=dtype)
    weight = random(
        values, WIDTH, dtype=dtype, scale=WIDTH**-0.5
    )  # logits of a model's size, which bfloat16 can hold
    targets = torch.randint(values, (slots,), device="cuda")
    compiled = torch.compile(plain_linear, fullgraph=True, dynamic=False)
    sides: dict[str, Call] = {
        "plain": lambda: with_gradients(plain_linear(hidden, weight, targets), hidden, weight),
        "compiled": lambda: with_gradients(compiled(hidden, weight, targets), hidden, weight),
        "pyorder": lambda: with_gradients(losses.linear_cross_entropy(hidden, weight, targets), hidden, weight),
    }
    moved = 2 * (hidden.nbytes + weight.nbytes) + 8 * slots
    return Case(moved, sides)


CASES = {
    "permuted cross-entropy and gradient": cross_entropy,
    "permuted cross-entropy": cross_entropy_alone,
    "permuted embedding and gradients": embedding,
    "linear cross-entropy and gradients": linear,
}


def assert_same_answers(case: Case) -> None:
    """Every output is as near to the plain one's as its type allows, measured by its largest value."""
    plain, *others = case.sides.values()
    wanted = plain()
    for side in others:
        for given, true in zip(side(), wanted, strict=True):
            largest = true.abs().max().item()
            share = 2e-2 if torch.bfloat16 in (given.dtype, wanted[-1].dtype) else 1e-4
            torch.testing.assert_close(given, true, rtol=share, atol=share * largest)


def timed(calls: dict[str, Callable[[], object]], each: int = 1) -> dict[str, list[float]]:
    """Microseconds a call between two events, in turn; a function stands for ``each`` calls."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(REPEATS + 3):
        for name, call in calls.items():
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            stop.record()
            stop.synchronize()
            if turn >= 3:
                times[name].append(1000 * start.elapsed_time(stop) / each)
    return {name: quantiles(values) for name, values in times.items()}


def captured(call: Callable[[], object], calls: int) -> Callable[[], None]:
    """A CUDA graph of several calls, ready to replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            call()
    return graph.replay


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy of a gigabyte."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / (timed({"copy": lambda: target.copy_(source)})["copy"][1] * 1e-6)


def measure_cell(case: Case, copy: float) -> Iterator[dict[str, Any]]:
    """Compare the answers, then time every side: a row each."""
    assert_same_answers(case)
    eager = timed(case.sides)
    calls = 20 if case.must_move < 2**26 else 2
    graphs = {name: captured(side, calls) for name, side in case.sides.items() if name not in case.not_in_graphs}
    graph = timed(graphs, each=calls)
    for name in case.sides:
        row = {"side": name, "eager_us": eager[name], "must_move": case.must_move}
        if name in graph:
            row |= {"graph_us": graph[name], "of_copy": round(case.must_move / (graph[name][1] * 1e-6) / copy, 3)}
        yield row


def measure() -> int:
    """Measure every size that is still missing; return how many failed."""
    device = {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "triton": version("triton")}
    copy = copy_bandwidth()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    failures = 0
    for (name, make), dtype, values, slots in itertools.product(CASES.items(), DTYPES, VALUES, SLOTS):
        cell = {"case": name, "slots": slots, "values": values, "dtype": str(dtype).removeprefix("torch.")}
        if any((cell | device).items() <= row.items() for row in done):
            continue
        torch.compiler.reset()
        torch.cuda.empty_cache()
        torch.manual_seed(0)
        try:
            rows = list(measure_cell(make(slots, values, dtype), copy))
        except Exception as error:  # a wrong answer, a launch that fails, too little memory
            failures += 1
            print(json.dumps({**cell, "failed": str(error)}), file=sys.stderr, flush=True)
            continue
        with RESULTS.open("a") as file:
            for row in rows:
                line = json.dumps({**cell, **row, "copy_bytes_a_second": copy, **device, **machine()})
                print(line, file=file)
                print(line, flush=True)
    return failures


def fastest_settings(values: int, dtype: torch.dtype) -> list[tuple[str, list[float]]]:
    """Time the two launches of a training step, losses and then gradient, with all settings worth a try."""
    from pyorder.kernels.permuted_cross_entropy import Settings, launch

    logits, table = random(4096, LENGTH, values, dtype=dtype).detach(), lookup(4096 * LENGTH, values)
    by_slot, incoming = (torch.rand(logits.shape[:2], device="cuda") for _ in range(2))
    gradient = torch.empty_like(logits)

    def step(settings: Settings) -> None:
        launch(logits, *table, losses=by_slot, settings=settings)
        launch(logits, *table, incoming=incoming, gradient=gradient, settings=settings)

    graphs = {
        f"{rows} rows, {warps} warps": captured(partial(step, Settings(rows, warps)), calls=10)
        for rows in (1, 2, 4, 8, 16, 32, 64, 128)
        for warps in (1, 2, 4, 8)
        if 256 <= rows * values <= 64 * 32 * warps  # with more logits a thread, registers spill
    }
    return sorted(timed(graphs, each=10).items(), key=lambda item: item[1][1])


def tune() -> None:
    torch.manual_seed(0)
    for values in (16, 32, 64, 128, 256, 512, 1024):
        for dtype in DTYPES:
            print(values, dtype, fastest_settings(values, dtype)[:5], flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        print("benchmarks/kernels.py: no CUDA device, nothing was measured")
    elif "--tune" in sys.argv[1:]:
        tune()
    elif measure():
        sys.exit(1)


if __name__ == "__main__":
    main()
