"""Trainings that diverge: how one is told, and the rate of the one more attempt that it gets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyorder.data.tokens import Shape

AGAIN = 0.1  # of the learning rate, in the second attempt
EXPLODED = 10.0  # times the loss at the start, or of guessing
LAST = 8  # steps, whose mean is looked at: one bad batch is no explosion


def diverged(losses: Tensor, guessing: float = 0.0) -> bool:
    """Whether losses (steps,) left the finite numbers, or ended far above where they began and above guessing.

    Examples
    --------
    >>> diverged(torch.tensor([3.0, 2.0, 9.0])), diverged(torch.tensor([3.0, math.nan]))
    (False, True)
    >>> diverged(torch.tensor([3.0] + [400.0] * 8)), diverged(torch.tensor([3.0] + [400.0] * 8), guessing=50.0)
    (True, False)
    """
    if not bool(torch.isfinite(losses).all()):
        return True
    return len(losses) > LAST and float(losses[-LAST:].mean()) > EXPLODED * max(float(losses[0]), guessing)


def guessing(shape: Shape, length: int) -> float:
    """Nats a step of guessing every column uniformly, of a target of ``length`` steps.

    Examples
    --------
    >>> round(guessing(Shape(vocabulary_size=10, input_length=0, columns=6), length=3), 3)
    4.605
    """
    return shape.columns * math.log(max(2, shape.vocabulary_size)) / length
