"""What is to be measured on a GPU, in order of value, with what is predicted of each before it is run.

Predictions are made of the formulas in gpu_formulas.py. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpu_formulas import (
    CHIPS,
    COUNTS,
    NODES,
    Chip,
    discovery_seconds,
    kernel_seconds,
    profiling_seconds,
    scoring_seconds,
    search_seconds,
    step_seconds,
    twin_scoring_seconds,
    twin_step_seconds,
)

Formula = Callable[[Chip], float]


@dataclass(frozen=True)
class Prediction:
    """The number of a row that is foretold, its unit, how it follows, and from what."""

    figure: str
    unit: str
    of: Formula
    because: str


@dataclass(frozen=True)
class Measurement:
    """A function of gpu_measure.py and its settings; at its limit, in seconds, it is stopped."""

    name: str
    function: str
    settings: dict[str, Any]
    seconds: float
    limit: float
    prediction: Prediction
    rehearsal: dict[str, Any] = field(default_factory=dict)  # settings that are smaller on a CPU
    needs: tuple[str, ...] = ()

    def rehearsed(self) -> Measurement:
        """The same at the size of a rehearsal."""
        settings = {**self.settings, **self.rehearsal}
        return Measurement(self.name, self.function, settings, 0.0, 60.0, self.prediction, needs=self.needs)


PUBLISHED_POOLS = {  # of Hierarchical(depth=6, direction=False, inside="each", between="rotations")
    10: [5040] * 6 + [6, 5, 16, 4, 48, 3, 239, 2],
    13: [5040] * 6 + [7, 7, 21, 5, 70, 4, 244, 3, 1439, 3],
}
TINY_SEARCH = {"train": 600, "validation": 40, "steps": 2, "batch_size": 8}


def ceilings() -> Measurement:
    why = "a device-to-device copy reaches some 90 % of the datasheet's bandwidth"
    prediction = Prediction("copy_terabytes", "TB/s", lambda chip: chip.copy / 1e12, why)
    return Measurement("copy and matrix product", "ceilings", {}, 3, 30, prediction)


def tests(name: str, arguments: list[str], seconds: float) -> Measurement:
    prediction = Prediction("failures", "tests", lambda chip: 0, "they pass in Triton's interpreter or on a CPU")
    return Measurement(
        name,
        "tests",
        {"arguments": arguments, "limit": 100},
        seconds,
        115,
        prediction,
        {"arguments": ["-m", "gpu", "tests/kernels/test_ops.py"], "limit": 50},
        needs=("pytest",),
    )


def training_step(precision: str) -> Measurement:
    kind = "" if precision == "bfloat16" else ", no tensor cores"
    return Measurement(
        f"training step, {precision}",
        "training_step",
        {"precision": precision, "length": 13, "candidates": 5040, "steps": 700, "repeats": 3},
        15,
        60,
        Prediction(
            "ratio",
            "times",
            lambda chip: twin_step_seconds(chip, precision) / step_seconds(chip, precision=precision),
            "GPT-2: 161 operations at 40 µs; pyorder: 37 Gop and 132 nodes of 3.5 µs" + kind,
        ),
        {"candidates": 6, "steps": 5, "repeats": 1, "batch": 4, "length": 5},
        needs=("transformers",),
    )


def evaluation(precision: str, rows: int) -> Measurement:
    def ratio(chip: Chip) -> float:
        theirs = twin_scoring_seconds(chip, rows * 5040, precision)
        return theirs / scoring_seconds(chip, NODES[5040], rows, precision)

    return Measurement(
        f"evaluation, {precision}",
        "evaluation",
        {
            "precision": precision,
            "length": 13,
            "candidates": 5040,
            "rows": rows,
            "together": 8192,
            "repeats": 2,
        },
        20,
        60,
        Prediction(
            "ratio",
            "times",
            ratio,
            f"106 kB move for each of 26 positions of 5,040 orders, or of 49,212 nodes; few rows: 777 chunks of "
            f"{COUNTS['chunk']} launches",
        ),
        {"candidates": 6, "rows": 2, "together": 4, "repeats": 1, "length": 5},
        needs=("transformers",),
    )


def kernel(case: str, rows: int, length: int, values: int, dtype: str) -> Measurement:
    size = 4 if dtype == "float32" else 2
    slots = rows * length
    formulas: dict[str, tuple[Formula, str]] = {
        "permuted cross-entropy and gradient": (
            lambda chip: kernel_seconds(chip, slots, values, size),
            "logits read twice, gradient written; 4 nodes of 2.2 µs",
        ),
        "permuted cross-entropy": (
            lambda chip: slots * values * size / chip.copy + 2 * chip.node,
            "logits read once; 2 nodes of 2.2 µs",
        ),
    }
    formula, because = formulas[case]
    return Measurement(
        f"{case}, {slots:,} slots, V = {values}, {dtype}",
        "kernel",
        {"case": case, "rows": rows, "length": length, "values": values, "dtype": dtype, "repeats": 25},
        10,
        60,
        Prediction("graph_us", "µs", lambda chip: 1e6 * formula(chip), because),
        {"rows": 6, "length": 3, "values": 5, "dtype": "float32", "repeats": 1},
        needs=("compiler",),
    )


def discovery(task: str, length: int, steps: int, seed: int = 0) -> Measurement:
    def seconds(chip: Chip) -> float:
        return discovery_seconds(chip, length, steps)

    estimate = 1.2 * seconds(CHIPS[0]) + 2
    return Measurement(
        f"discover {task}, L = {length}" + (f", seed {seed}" if seed else ""),
        "discovery",
        {"task": task, "length": length, "options": {}, "train": 100_000, "validation": 1000}
        | {"steps": None, "batch_size": None, "seed": seed},
        estimate,
        3 * estimate + 30,
        Prediction(
            "taken_s",
            "s",
            seconds,
            f"{steps} steps of {COUNTS['explorer']} nodes and 26 µs for each of L; 1.9 ms of evidence for each of "
            "L a round; 800 replays",
        ),
        TINY_SEARCH | {"length": 4, "options": {"rounds": 1, "samples": 64, "candidates": 4}},
    )


def published(task: str, length: int) -> Measurement:
    pools = PUBLISHED_POOLS[length]

    def seconds(chip: Chip) -> float:
        return search_seconds(chip, pools, length)

    return Measurement(
        f"published search, {task}, L = {length}",
        "published_search",
        {"task": task, "length": length, "depth": 6, "train": 100_000, "validation": 1000}
        | {"steps": None, "batch_size": None},
        1.5 * seconds(CHIPS[0]) + 3,
        120,
        Prediction(
            "taken_s", "s", seconds, f"{len(pools)} profiling runs of {sum(pools):,} orders in all, one capture"
        ),
        TINY_SEARCH | {"length": 4, "depth": 1},
    )


def profiling_run(orders: int) -> Measurement:
    def seconds(chip: Chip) -> float:
        return 2.0 + profiling_seconds(chip, orders)

    return Measurement(
        f"profiling run of {orders:,} orders",
        "profiling_run",
        {"length": 13, "orders": orders, "train": 100_000, "validation": 1000, "steps": None, "batch_size": None},
        10,
        60,
        Prediction(
            "taken_s",
            "s",
            seconds,
            "800 replays of a step, 49,212 nodes x 1,000 rows of 106 kB; 2 s to capture",
        ),
        TINY_SEARCH | {"length": 4, "orders": 12},
    )


def launches() -> Measurement:
    return Measurement(
        "costliest launches of a profiling run",
        "costliest_launches",
        {"length": 13, "orders": 720, "train": 100_000, "validation": 1000, "steps": 100, "batch_size": None},
        10,
        60,
        Prediction(
            "launches_a_step",
            "launches",
            lambda chip: COUNTS["step"] + NODES[720] / 64 * COUNTS["chunk"] / 100,
            "a step's operations, and the scoring's shared among 100 steps; feed-forward products cost most",
        ),
        TINY_SEARCH | {"length": 4, "orders": 12},
    )


def eight_seeds() -> Measurement:
    def ratio(chip: Chip) -> float:
        one, eight = (profiling_seconds(chip, 128, seeds=seeds) for seeds in (1, 8))
        return eight / one

    return Measurement(
        "eight seeds over one",
        "eight_seeds",
        {"length": 13, "orders": 128, "train": 100_000, "validation": 1000, "steps": None, "batch_size": None}
        | {"seeds": 8, "repeats": 2},
        15,
        60,
        Prediction(
            "ratio", "times", ratio, "a step beside another adds 54 % of its time; eight times the scoring"
        ),
        TINY_SEARCH | {"length": 4, "orders": 6, "seeds": 2, "repeats": 1},
    )


SLOPES, LOSSES = "permuted cross-entropy and gradient", "permuted cross-entropy"
LARGE = 2**14, 16  # 262,144 slots

PLAN = (
    ceilings(),
    tests("tests marked gpu", ["-m", "gpu", "tests"], 70),
    discovery("relu", 200, 2700),
    *(discovery("relu", 100, 1100, seed) for seed in range(3)),
    discovery("square", 200, 400),
    training_step("bfloat16"),
    discovery("square", 13, 300),
    discovery("relu", 40, 800),
    discovery("square", 100, 400),
    kernel(SLOPES, 128, 13, 20, "bfloat16"),
    kernel(SLOPES, *LARGE, 64, "bfloat16"),
    eight_seeds(),
    evaluation("bfloat16", 300),
    published("relu", 13),
    profiling_run(5040),
    launches(),
    kernel(SLOPES, 2**16, 16, 256, "bfloat16"),
    kernel(LOSSES, *LARGE, 64, "bfloat16"),
    discovery("relu", 13, 500),
    discovery("square", 40, 300),
    training_step("float32"),
    evaluation("float32", 50),
    tests("tests of the kernels", ["tests/kernels"], 90),
    kernel(SLOPES, 128, 13, 64, "float32"),
    kernel(SLOPES, *LARGE, 1024, "float32"),
    published("square", 13),
    published("relu", 10),
    published("square", 10),
)


def rehearsal() -> list[Measurement]:
    """The plan at tiny sizes, where some of its measurements are the same."""
    tiny = [one.rehearsed() for one in PLAN]
    return [
        one
        for place, one in enumerate(tiny)
        if not any((other.function, other.settings) == (one.function, one.settings) for other in tiny[:place])
    ]


def digits(value: float) -> str:
    """Write a number to three digits.

    >>> digits(0.012345), digits(1234.5), digits(0)
    ('0.0123', '1230', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{float(f'{value:.3g}'):.10g}"


def predictions_table() -> str:
    """Every measurement with what is predicted of it on each chip, in Markdown."""
    heads = " | ".join(chip.name for chip in CHIPS)
    lines = [f"| measurement | what | {heads} | because |", "|---|---|" + "---:|" * len(CHIPS) + "---|"]
    for one in PLAN:
        said = one.prediction
        values = " | ".join(digits(said.of(chip)) for chip in CHIPS)
        lines.append(f"| {one.name} | {said.figure}, {said.unit} | {values} | {said.because} |")
    return "\n".join(lines)
