"""Checks of arguments that several nouns share; errors name the argument, what was given, what is allowed."""

from __future__ import annotations

import math
import operator
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from pyorder.errors import InputError

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike, NDArray

MAX_SEED = 2**64 - 1
MAX_SEEDS = 10_000  # repetitions of a run


def check_integer(value: SupportsIndex, name: str, low: int, high: int | None = None) -> int:
    """Return value as an int; ValueError outside of low..high, TypeError when it is no integer."""
    try:
        if isinstance(value, bool):  # an int to Python, a mistake here
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if number < low or (high is not None and number > high):
        allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected an integer {allowed}, got {number}")
    return number


def integer_array(value: ArrayLike, name: str) -> NDArray[np.integer[Any]]:
    """Return an array, tensor or nested lists as an array of their own integer type, if possible uncopied."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of equal length, got a ragged sequence") from error
    except (
        TypeError,
        RuntimeError,
    ) as error:  # tensors with gradients, on devices, of types that NumPy lacks
        raise TypeError(f"{name}: expected integers that NumPy can read: {error}") from error
    if array.dtype == object and any(isinstance(item, int) and item.bit_length() > 63 for item in array.flat):
        raise ValueError(f"{name}: expected integers of at most 64 bits")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got {array.dtype} of shape {array.shape}")
    return array


def check_rows(rows: int, length: int, name: str) -> None:
    """Raise ValueError when so many int64 orders, asked for by an argument, exceed the machine's memory."""
    check_memory(rows, 8 * length, name, f"orders of {length} slots")


def check_memory(count: int, size: int, name: str, what: str) -> None:
    """Raise ValueError when so many things of so many bytes, asked for by an argument, exceed the memory."""
    if count * size > memory():
        number = f"{count:,}" if count < 10**15 else f"about 10^{math.log10(count):.0f}"
        raise InputError(
            f"{name}: {number} {what} do not fit in this machine's memory of {memory() / 2**30:.0f} GiB"
        )


def check_seeds(seed: SupportsIndex, seeds: SupportsIndex) -> range:
    """Return the ``seeds`` seeds from ``seed`` on, none of which passes 64 bits, and not too many to list."""
    check_integer(seeds, "seeds", 1, MAX_SEEDS)
    last = MAX_SEED - operator.index(seeds) + 1
    first = check_integer(seed, "seed", 0, last)
    return range(first, first + operator.index(seeds))


def check_limit(limit: SupportsIndex, size: int) -> int:
    """Return ``limit``, at least 1, or as many things of so many bytes as half of the memory holds, if fewer."""
    return min(check_integer(limit, "limit", 1), max(1, memory() // (2 * size)))


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken on a device: on a CPU, of the machine and of the container it runs in.

    Examples
    --------
    >>> import torch
    >>> 0 < free_memory(torch.device("cpu")) <= memory()
    True
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = memory()
    with suppress(OSError, ValueError, IndexError), open("/proc/meminfo", encoding="ascii") as lines:
        free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), free)
    with suppress(OSError, ValueError, KeyError):  # the word "max" where there is no limit
        group = Path("/sys/fs/cgroup")
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        # Of what counts as used, files that are cached are given back as soon as they are in the way.
        cached = sum(int(told[name]) for name in ("active_file", "inactive_file", "slab_reclaimable"))
        free = min(free, most - used + cached)
    return free
