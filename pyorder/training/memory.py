"""Whether a training run fits in memory, asked before it starts.

B  rows a step    X  inputs    C  columns    L  steps of a target    V  vocabulary size
"""

from __future__ import annotations

import torch

from pyorder._checks import free_memory
from pyorder.data.tokens import Shape, Tokens
from pyorder.errors import InputError
from pyorder.models.learner import Learner
from pyorder.training.recipe import Recipe
from pyorder.training.trainer import STEPS_AT_ONCE, rows_at_once
from pyorder.world import World

# Of every weight there are a gradient and AdamW's two moments; of logits a gradient and a copy.
COPIES, LOGIT_COPIES, FLOAT, INT = 4, 3, 4, 8

MANY_VALUES = 4096  # that one softmax tells apart; few data have enough rows for each
FEW = 10  # times that a value must occur to be learned at all


def check_run(learner: Learner, shape: Shape, recipe: Recipe, device: torch.device | World) -> None:
    """Refuse a run that takes more memory than is free, or has fewer rows a step than there are processes.

    Estimates are from below: what is refused cannot be done, what is not may still be too much.

    Raises
    ------
    InputError
        With the bytes that it takes, those that are free, and what to give less of; in all processes, where one of
        them has not as much.

    Examples
    --------
    >>> from pyorder.models.learner import DecoderLearner
    >>> learner, shape, cpu = DecoderLearner(PRESETS["nano"].architecture), Shape(19, 9, 9), torch.device("cpu")
    >>> check_run(learner, shape, Recipe(10, 1e-3, batch_size=10**8), cpu)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pyorder.errors.InputError: batch_size: training takes at least ... GB, ... of them for 100,000,000 ...
    """
    world = World.of(device)
    world.check_batch(recipe.batch_size)
    with world.together():
        _check_memory(learner, shape, recipe.batch_size, world)


def _check_memory(learner: Learner, shape: Shape, batch: int, world: World) -> None:
    device = world.device
    weights, activations = learner.numbers(shape)
    logits = shape.columns * shape.vocabulary_size
    at_once = rows_at_once(learner, shape, max(1, batch // world.size), device)
    parts = {
        "model": COPIES * FLOAT * weights,
        "batch_size": FLOAT * at_once * (LOGIT_COPIES * logits + activations)
        + INT * STEPS_AT_ONCE * batch * (shape.columns + 1),
    }
    taken, free = sum(parts.values()), free_memory(device)
    if taken <= free:
        return
    alone = (part for part in parts if parts[part] > free)  # of these the model first, whatever the batch
    name = next(alone, max(parts, key=lambda part: parts[part]))
    told, less = {
        "model": (
            f"{weights:,} weights with their gradients and moments",
            f"a smaller model, or data with fewer than {shape.vocabulary_size:,} values",
        ),
        "batch_size": (f"{batch:,} rows a step", "fewer rows a step, or shorter ones"),
    }[name]
    raise InputError(
        f"{name}: training takes at least {taken / 1e9:,.1f} GB, {parts[name] / 1e9:,.1f} of them for {told}; "
        f"{free / 1e9:,.1f} GB are free ({device}): give {less}"
    )


def remark_on_values(tokens: Tokens) -> str | None:
    """What to say of data with so many values that a softmax over all of them learns few; None of other data.

    Of tables and text it is known how many values a column has, and nothing is said.

    Examples
    --------
    >>> data = Dataset([[value] for value in range(5000)], [[0, 1]] * 5000)
    >>> print(remark_on_values(Tokens.of(data, "train", torch.device("cpu"))))  # doctest: +ELLIPSIS
    The data have 5,000 different values, each an output of its own; 4,998 of them occur fewer than 10 times, ...
    """
    size = tokens.vocabulary_size
    if size <= MANY_VALUES or tokens.schema.coded:
        return None
    counts = torch.zeros(size, dtype=torch.long, device=tokens.device)
    for ids in (tokens.inputs, tokens.targets):
        for column in ids.unbind(1):
            counts += column.long().clamp(min=0).bincount(minlength=size)
    rare = int((counts < FEW).sum())
    return (
        f"The data have {size:,} different values, each an output of its own; {rare:,} of them occur fewer than "
        f"{FEW} times, which is too rare to be learned. Round numbers to a few hundred values, or write a step in "
        "several columns."
    )
