"""The numbers of one training run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypedDict, get_args

import torch

from pyorder._checks import check_integer, check_memory
from pyorder.errors import InputError
from pyorder.execution import Precision, resolve_precision

Schedule = Literal["linear", "constant"]
USUAL_BATCH = 1024  # rows; of less data every row comes several times


class Numbers(TypedDict, total=False):
    """Single numbers of a `Recipe`, as calls take them for convenience; None is the recipe's own."""

    steps: int | None
    batch_size: int | None
    learning_rate: float | None
    precision: Precision | None
    step_weights: tuple[float, ...] | None


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training run.

    Attributes
    ----------
    steps : optimiser steps
    batch_size : rows a step
    learning_rate : AdamW's at its highest
    warmup : steps in which the rate rises linearly, a quarter of all at most
    weight_decay : AdamW's
    betas : AdamW's: what it keeps of the means of gradients, and of their squares, from step to step
    schedule : "linear": after the rise the rate falls linearly, to zero one step after the last, and stays there;
        "constant": it stays at its highest
    precision : of matrix products, "auto", "float32" or "bfloat16"; weights are float32 always
    step_weights : how much each step counts, by canonical step: L numbers of at least 0, one of them positive.
        What is trained on is then the weighted mean loss over steps, and so is what ranks orders. None: all alike

    Examples
    --------
    >>> recipe = Recipe(steps=100, learning_rate=0.5, warmup=1)
    >>> [round(recipe.rate_at(step), 3) for step in (0, 1, 50, 99, 100, 200)]
    [0.25, 0.5, 0.253, 0.005, 0.0, 0.0]
    """

    steps: int
    learning_rate: float
    warmup: int = 0
    batch_size: int = 128
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "linear"
    precision: Precision = "auto"
    step_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that train nothing."""
        for name, least in (("steps", 1), ("batch_size", 1), ("warmup", 0)):
            check_integer(getattr(self, name), name, least)
        check_memory(self.steps, 4, "steps", "losses")
        for name in ("learning_rate", "weight_decay"):
            try:
                math.isfinite(getattr(self, name))
            except TypeError:
                raise TypeError(f"{name}: expected a number, got {getattr(self, name)!r}") from None
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate: {self.learning_rate} is not a positive number")
        if not self.weight_decay >= 0 or not math.isfinite(self.weight_decay):
            raise ValueError(f"weight_decay: {self.weight_decay} is not a number of at least 0")
        object.__setattr__(self, "betas", _checked_betas(self.betas))
        for name, value, allowed in (
            ("schedule", self.schedule, get_args(Schedule)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: {value!r} is none of {', '.join(map(repr, allowed))}")
        if self.step_weights is not None:
            object.__setattr__(self, "step_weights", _checked_weights(self.step_weights))

    def check_data(self, rows: int, length: int) -> None:
        """Refuse what does not fit training data of so many rows and steps; InputError.

        A batch has no more rows than the data, or than a usual batch has. Step weights: see `check_length`.
        """
        if self.batch_size > max(rows, USUAL_BATCH):
            raise InputError(f"batch_size: {self.batch_size} given, the training data has {rows} rows")
        self.check_length(length)

    def check_length(self, length: int) -> None:
        """Refuse step weights that are not one for each of so many steps; InputError.

        Examples
        --------
        >>> Recipe(steps=1, learning_rate=1.0, step_weights=(0, 1)).check_length(3)
        Traceback (most recent call last):
        pyorder.errors.InputError: step_weights: 2 given, the data has 3 steps
        """
        if self.step_weights is not None and len(self.step_weights) != length:
            raise InputError(f"step_weights: {len(self.step_weights)} given, the data has {length} steps")

    def reordered(self, order: Iterable[int]) -> Recipe:
        """The recipe for tokens whose step j is this one's step ``order[j]``: weights follow their steps.

        Examples
        --------
        >>> Recipe(steps=1, learning_rate=1.0, step_weights=(5, 6, 7)).reordered([2, 0, 1]).step_weights
        (7.0, 5.0, 6.0)
        """
        if self.step_weights is None:
            return self
        return replace(self, step_weights=tuple(self.step_weights[step] for step in order))

    def but(self, numbers: Numbers) -> Recipe:
        """The same with those numbers that are given."""
        known = {field.name for field in fields(self)}
        for name in numbers:
            if name not in known:
                raise TypeError(f"{name}: no number of a Recipe; those are {', '.join(sorted(known))}")
        given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
        return replace(self, **given)

    def rate_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ..."""
        warmup = min(self.warmup, self.steps // 4)
        rise = (step + 1) / (warmup + 1)
        if self.schedule == "constant":
            return self.learning_rate * min(rise, 1.0)
        fall = max(0, self.steps - step) / max(1, self.steps - warmup)
        return self.learning_rate * min(rise, fall, 1.0)

    def record(self, device: torch.device) -> dict[str, Any]:
        """The numbers as they are written beside a result: what the run on ``device`` really had."""
        precision = str(resolve_precision(self.precision, device)).removeprefix("torch.")
        told = {**asdict(self), "warmup": min(self.warmup, self.steps // 4), "precision": precision}
        told["betas"] = list(self.betas)
        return {**told, "step_weights": None if self.step_weights is None else list(self.step_weights)}


def _checked_betas(given: Iterable[float]) -> tuple[float, ...]:
    wanted = f"betas: two numbers from 0 to below 1 are needed, {given!r} given"
    try:
        betas = tuple(float(beta) for beta in given)
    except (TypeError, ValueError):
        raise TypeError(wanted) from None
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(wanted)
    return betas


def _checked_weights(given: Iterable[float]) -> tuple[float, ...]:
    try:
        weights = tuple(float(weight) for weight in given)
    except (TypeError, ValueError):
        raise TypeError(f"step_weights: a number for each step is needed, {given!r} given") from None
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise InputError(f"step_weights: numbers of at least 0, one of them positive, are needed, {weights} given")
    return weights
