"""Where and how a run executes: its device, its precision and its random numbers.

Nothing here outlives a call: seeds, threads and default types of the calling program stay as they were.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

Precision = Literal["auto", "float32", "bfloat16"]


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

    "auto" is bfloat16 where the hardware multiplies it faster than float32 (GPUs since Ampere, CPUs with
    AVX512-BF16 or AMX), float32 elsewhere. Weights and the optimiser's state are float32 always.

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
            else torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw torch's random numbers from ``seed`` inside the block; give the caller's state back after it.

    Examples
    --------
    >>> with seeded(0, torch.device("cpu")):
    ...     first = torch.rand(1)
    >>> with seeded(0, torch.device("cpu")):
    ...     bool(torch.rand(1) == first)
    True
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def multiply_in(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """Context in which matrix products run in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def row_slices(rows: int, positions: int, at_once: int) -> Iterator[slice]:
    """Cut ``rows`` rows of ``positions`` positions into batches of at most ``at_once`` positions, or one row."""
    batches = math.ceil(rows / max(1, at_once // positions))
    size = math.ceil(rows / max(1, batches))  # alike, so that none is left that costs as much as it has few rows
    for start in range(0, rows, size or 1):
        yield slice(start, min(rows, start + size))
