"""What a benchmark asks of a device, on CUDA; and what stands in for it where a run is rehearsed on a CPU.

Nothing else in the benchmarks knows which of the two it is.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from timing import quantiles

Call = Callable[[], object]


class Gpu:
    """CUDA's events, graphs, compiler and memory."""

    type = "cuda"
    big = 2**30  # bytes of a copy that tells the bandwidth
    square = 8192  # of a product that tells the arithmetic
    calls_a_graph = 20

    def __init__(self) -> None:
        self.name = torch.cuda.get_device_name()

    def wait(self) -> None:
        """Wait for all that was launched; a fault that happened meanwhile is raised here."""
        torch.cuda.synchronize()

    def stamp(self) -> Any:
        """Mark a point in time."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def microseconds(self, start: Any, stop: Any) -> float:
        """Return the time between two stamps."""
        stop.synchronize()
        return 1000 * start.elapsed_time(stop)

    def captured(self, call: Call, calls: int) -> Call:
        """Record a CUDA graph of several calls, ready to replay."""
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

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what `torch.compile` makes of a function."""
        return torch.compile(function, fullgraph=True, dynamic=False)

    def clear(self) -> None:
        """Forget memory, compiled functions and the peak so far."""
        gc.collect()
        torch.compiler.reset()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int | None:
        """Return the most memory that tensors took since `clear`."""
        return torch.cuda.max_memory_allocated()

    def launches(self, call: Call) -> list[tuple[str, int, float]]:
        """Name, number and microseconds of all that a call launches, the costliest first."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            call()
            self.wait()
        seen = [
            (event.key, event.count, event.self_device_time_total)
            for event in profiler.key_averages()
            if event.device_type != torch.autograd.DeviceType.CPU
        ]
        return sorted(seen, key=lambda row: -row[2])


class Rehearsal(Gpu):
    """A CPU with clocks for events and plain calls for graphs, and the kernel in Triton's interpreter."""

    type = "cpu"
    big, square, calls_a_graph = 2**20, 64, 1

    def __init__(self) -> None:
        self.name = "cpu"
        interpret_the_kernel()

    def wait(self) -> None:
        """Nothing is ever under way."""

    def stamp(self) -> float:
        """Mark a point in time."""
        return time.perf_counter()

    def microseconds(self, start: float, stop: float) -> float:
        """Return the time between two stamps."""
        return 1e6 * (stop - start)

    def captured(self, call: Call, calls: int) -> Call:
        """Return the calls themselves."""
        return lambda: [call() for _ in range(calls)]

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Trace, but generate no code."""
        return torch.compile(function, fullgraph=True, dynamic=False, backend="aot_eager")

    def clear(self) -> None:
        """Forget compiled functions."""
        gc.collect()
        torch.compiler.reset()

    def peak_bytes(self) -> None:
        """Torch does not count a CPU's memory."""

    def launches(self, call: Call) -> list[tuple[str, int, float]]:
        """Name, number and microseconds of torch's operations, the costliest first."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            call()
        seen = [(event.key, event.count, event.self_cpu_time_total) for event in profiler.key_averages()]
        return sorted(seen, key=lambda row: -row[2])


def take() -> Gpu:
    """Take the GPU, or rehearse where none is visible."""
    return Gpu() if torch.cuda.is_available() else Rehearsal()


def interpret_the_kernel() -> None:
    """Let the registered operation launch its kernel on CPU tensors; Triton must not have been imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    import_module("triton.experimental.gluon")  # Triton imports it at the first launch
    ops = import_module("pyorder.kernels.ops")
    module = import_module("pyorder.kernels.ops._permuted_cross_entropy")
    for launch in [attribute for attribute in vars(module) if attribute.startswith("_launch_")]:
        getattr(module, launch.removeprefix("_launch_")).register_kernel("cpu")(getattr(module, launch))
    ops.runs_triton = lambda implementation, *sizes, **more: implementation != "reference"


def timed(device: Gpu, calls: dict[str, Call], repeats: int, each: int = 1) -> dict[str, list[float]]:
    """Microseconds a call as quantiles, all in turn after a warm-up; a function stands for ``each`` calls."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 3):
        for name, call in calls.items():
            start = device.stamp()
            call()
            stop = device.stamp()
            if turn >= 3:
                times[name].append(device.microseconds(start, stop) / each)
            else:
                device.wait()
    return {name: quantiles(values) for name, values in times.items()}


def copy_bandwidth(device: Gpu) -> float:
    """Bytes a second, read and written, of a copy of a gigabyte."""
    source = torch.empty(device.big, dtype=torch.uint8, device=device.type)
    target = torch.empty_like(source)
    return 2 * source.nbytes / (timed(device, {"copy": lambda: target.copy_(source)}, 10)["copy"][1] * 1e-6)


def matrix_rate(device: Gpu) -> float:
    """Operations a second of a large bfloat16 product of random numbers."""
    left, right = (
        torch.randn(device.square, device.square, device=device.type, dtype=torch.bfloat16) for _ in range(2)
    )
    taken = timed(device, {"product": lambda: left @ right}, 10)["product"][1]
    return 2 * device.square**3 / (taken * 1e-6)
