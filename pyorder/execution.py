"""Where and how a run executes: its device, its precision, its random numbers, and its walls.

Nothing here outlives a call: the calling program's random numbers, gradient and autocast modes, threads, default
device and type stay as they were, and change no result.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

import torch

from pyorder.streams import on_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Precision = Literal["auto", "float32", "bfloat16"]

TURNS = 12  # of timed products, a millisecond each or less
LOGITS_AT_ONCE = 2**27  # half a GiB of them, in float32
WORTH_CASTING = 1.25  # times faster that products must be, for weights and activations are cast first


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``device`` into a torch device; "auto" is the first GPU, or the CPU where there is none.

    Raises
    ------
    ValueError
        If torch does not know the device or this machine does not have it.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device: {device!r} is none of 'auto', 'cpu', 'cuda', 'cuda:N'") from None
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device: {device!r} is none of 'auto', 'cpu', 'cuda', 'cuda:N'")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: {device!r} was asked for, this machine has {torch.cuda.device_count()} GPUs")
    return chosen


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Turn ``precision`` into the type that matrix products run in.

    "auto" is bfloat16 where the hardware multiplies it faster than float32, float32 elsewhere. GPUs do since
    Ampere. Of the CPUs that have instructions for it some take half the time and others twice as long, so a
    process times one product of each, once. Weights and the optimiser's state are float32 always.

    Raises
    ------
    ValueError
        If ``precision`` is not one of the names above.

    Examples
    --------
    >>> resolve_precision("float32", torch.device("cpu"))
    torch.float32
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision: {precision!r} is none of {', '.join(map(repr, get_args(Precision)))}")
    if precision == "auto":
        fast = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else _bfloat16_is_faster()
        )
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@cache
def _bfloat16_is_faster() -> bool:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # In turns, and the least of each: what else the machine does cannot slow all products of one type only.
    turns = [[_product_seconds(kind) for kind in (torch.float32, torch.bfloat16)] for _ in range(TURNS)]
    float32, bfloat16 = (min(seconds) for seconds in zip(*turns, strict=True))
    return bool(bfloat16 * WORTH_CASTING < float32)


def _product_seconds(kind: torch.dtype) -> float:
    left, right = (torch.ones(shape, dtype=kind, device="cpu") for shape in ((1024, 128), (128, 512)))
    start = time.perf_counter()
    left @ right
    return time.perf_counter() - start


@contextmanager
def isolated() -> Iterator[None]:
    """Work as in a fresh program: gradients on, no autocast of the caller's, new tensors on the CPU unless said.

    Examples
    --------
    >>> with torch.no_grad(), isolated():
    ...     torch.is_grad_enabled()
    True
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # only then, for it slows every call of torch
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch have so many threads: results are the same in every bit only with as many.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with threads(before + 1):
    ...     torch.get_num_threads() - before
    1
    >>> torch.get_num_threads() - before
    0
    """
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


# Modules draw from generators that the whole process shares; threads lend them their states in turn.
_LENDING = threading.RLock()


class RandomStream:
    """Random numbers of a run's own, for code that draws from torch's global generators.

    Examples
    --------
    >>> stream, again = RandomStream(0, torch.device("cpu")), RandomStream(0, torch.device("cpu"))
    >>> with stream.lent():
    ...     first = torch.rand(2)
    >>> with stream.lent():
    ...     second = torch.rand(2)
    >>> with again.lent():
    ...     bool((torch.rand(4) == torch.cat([first, second])).all())
    True
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generators = [on_device(seed)]
        if device.type == "cuda":
            self.generators.append(on_device(seed, device))

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let torch's global generators go on where this stream is; give the caller's state back after it."""
        with _LENDING, ExitStack() as stack:
            for generator in self.generators:
                stack.enter_context(self._lent(generator))
            yield

    @contextmanager
    def _lent(self, ours: torch.Generator) -> Iterator[None]:
        shared = self._shared(ours.device)
        if ours.device.type == "cuda":
            # Their states change places. A CUDA graph that is recorded meanwhile draws from ours for ever.
            kept = shared.graphsafe_get_state()
            shared.graphsafe_set_state(ours.graphsafe_get_state())
            try:
                yield
            finally:
                shared.graphsafe_set_state(kept)
            return
        state = shared.get_state()
        shared.set_state(ours.get_state())
        try:
            yield
        finally:
            ours.set_state(shared.get_state())
            shared.set_state(state)

    @staticmethod
    def _shared(device: torch.device) -> torch.Generator:
        if device.type == "cpu":
            return torch.default_generator
        torch.cuda.init()  # type: ignore[no-untyped-call]
        generator: torch.Generator = torch.cuda.default_generators[device.index or 0]
        return generator

    def state(self) -> list[torch.Tensor]:
        """Where the stream is, for `set_state`."""
        return [generator.get_state() for generator in self.generators]

    def set_state(self, state: list[torch.Tensor]) -> None:
        """Go on from where a stream was."""
        for generator, told in zip(self.generators, state, strict=True):
            generator.set_state(told)


@contextmanager
def multiply_in(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run matrix products in ``precision`` inside the block."""
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            yield
    finally:
        # Inside a caller's own autocast torch would keep the weights that it has cast, past the next update.
        torch.clear_autocast_cache()


def row_slices(rows: int, positions: int, at_once: int) -> Iterator[slice]:
    """Cut ``rows`` rows of ``positions`` positions into batches of at most ``at_once`` positions, or one row."""
    batches = math.ceil(rows / max(1, at_once // positions))
    size = math.ceil(rows / max(1, batches))  # alike, so that none is left that costs as much as it has few rows
    for start in range(0, rows, size or 1):
        yield slice(start, min(rows, start + size))


def in_parts(rows: int, positions: int, at_once: int, work: Callable[[slice], object]) -> None:
    """Do work on rows, a slice at a time as `row_slices` cuts them, and on smaller ones where a GPU has no room.

    A slice for which memory did not suffice is done again by halves, and what follows in as small ones; one row is
    the least. So ``work`` must leave nothing half done behind when it fails.

    Examples
    --------
    >>> done = []
    >>> in_parts(5, positions=1, at_once=3, work=done.append)
    >>> done
    [slice(0, 3, None), slice(3, 5, None)]
    """
    most = max(1, rows)
    for part in row_slices(rows, positions, at_once):
        start = part.start
        while start < part.stop:
            stop = min(start + most, part.stop)
            try:
                work(slice(start, stop))
            except torch.cuda.OutOfMemoryError:
                if stop - start == 1:
                    raise
                most = (stop - start + 1) // 2
            else:
                start = stop
                continue
            torch.cuda.empty_cache()  # not before the error is forgotten, which holds on to what there was
