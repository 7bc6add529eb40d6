"""What the benchmarks share: timing in turn, quantiles of the ratio, and what it ran on."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

QUANTILES = (0.2, 0.5, 0.8)


def alternate(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> dict[str, list[float]]:
    """Time two functions in turn after a warm-up each: seconds of both and theirs / ours, as quantiles."""
    ours(), theirs()
    seconds = np.empty((repeats, 2))
    for turn in range(repeats):
        for column, function in enumerate((ours, theirs)):
            start = time.perf_counter()
            function()
            seconds[turn, column] = time.perf_counter() - start
    return {
        "ours_s": quantiles(seconds[:, 0]),
        "theirs_s": quantiles(seconds[:, 1]),
        "ratio": quantiles(seconds[:, 1] / seconds[:, 0]),
    }


def alone(ours: Callable[[], object], repeats: int) -> dict[str, list[float]]:
    """Time one function after a warm-up: seconds, as quantiles."""
    ours()
    seconds = np.empty(repeats)
    for turn in range(repeats):
        start = time.perf_counter()
        ours()
        seconds[turn] = time.perf_counter() - start
    return {"ours_s": quantiles(seconds)}


def quantiles(values: Any) -> list[float]:
    """20, 50 and 80 % quantiles, to four digits."""
    return [float(f"{value:.4g}") for value in np.quantile(values, QUANTILES)]


def machine() -> dict[str, Any]:
    """Processor, cores, versions and date."""
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pyorder", "numpy", "torch")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def show(name: str, row: dict[str, Any]) -> None:
    """Print one row as JSON."""
    print(json.dumps({"benchmark": name, **row}), flush=True)
