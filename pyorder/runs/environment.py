"""What a run was run with and on: it is kept beside the result, and says why another one may differ."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

GIT_SECONDS = 5  # that git may take, on a slow disk


def environment(device: str | torch.device | None) -> dict[str, Any]:
    """Versions, machine, date, and the device of a run with its name.

    Where the device is not known, nothing is said of one, and ``gpu`` is None for what did not run on one.
    ``revision`` is of the working folder's git repository, and ends in -dirty where files differ from it; None
    where there is none.

    Examples
    --------
    >>> environment("cpu")["gpu"], sorted(environment(None))
    (None, ['cores', 'cpu', 'date', 'device', 'gpu', 'revision', 'threads', 'versions'])
    """
    import torch

    on = None if device is None else torch.device(device)
    # A result may be saved again on a machine that has no such device.
    there = on is not None and on.type == "cuda" and (on.index or 0) < torch.cuda.device_count()

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{package: importlib.metadata.version(package) for package in ("pyorder", "torch", "numpy")},
        },
        "revision": _revision(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "device": None if on is None else str(on),
        "gpu": torch.cuda.get_device_name(on) if there else None,
    }


def _revision() -> str | None:
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:  # without the lock that would let two programs in one folder disturb each other
        told = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no git, no folder any more
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
