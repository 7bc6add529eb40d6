"""Constraints: what is known beforehand of the order of steps, in their names."""

from __future__ import annotations

import graphlib
import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import SupportsIndex, TypeAlias

from pyorder.errors import InputError
from pyorder.orders.posets import Poset

__all__ = ["Step", "graph_of", "step_number"]

Step: TypeAlias = "str | SupportsIndex"


def graph_of(
    names: Sequence[str],
    *,
    first: Iterable[Step] = (),
    last: Iterable[Step] = (),
    before: Iterable[tuple[Step, Step]] = (),
    tiers: Iterable[Iterable[Step]] = (),
) -> Poset:
    """Return the graph of constraints on named steps; see `pyorder.data.dataset.Dataset.constraints`.

    Examples
    --------
    >>> graph_of(["a", "b", "c"], last=["a"], tiers=[["c"], ["b"]])
    Poset(3, [[1, 0], [2, 0], [2, 1]])
    """
    everything = range(len(names))
    ahead = _steps(first, names, "first")
    edges = [(step, other) for step in ahead for other in everything if other not in ahead]
    behind = _steps(last, names, "last")
    edges += [(other, step) for step in behind for other in everything if other not in behind]
    for pair in before:
        edges.append(_pair(pair, names))
    groups = [_steps(tier, names, "tiers") for tier in tiers]
    _steps([step for tier in groups for step in tier], names, "tiers")  # none is in two of them
    for tier, later in pairwise(filter(None, groups)):
        edges += [(step, other) for step in tier for other in later]
    _refuse_cycle(edges, names)
    return Poset(len(names), edges)


def step_number(step: Step, names: Sequence[str], argument: str) -> int:
    """The number of a step that is named or numbered; TypeError or InputError for what is none.

    Examples
    --------
    >>> step_number("b", ["a", "b"], "first"), step_number(0, ["a", "b"], "first")
    (1, 0)
    """
    known = f"steps are {', '.join(names)}, or 0 to {len(names) - 1}"
    if isinstance(step, str):
        if step not in names:
            raise InputError(f"{argument}: there is no step {step!r}; {known}")
        return list(names).index(step)
    try:
        if isinstance(step, bool):
            raise TypeError
        number = operator.index(step)
    except TypeError:
        raise TypeError(f"{argument}: expected names or numbers of steps, got {step!r}") from None
    if not 0 <= number < len(names):
        raise InputError(f"{argument}: there is no step {number}; {known}")
    return number


def _steps(given: Iterable[Step], names: Sequence[str], argument: str) -> list[int]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{argument}: expected a list of steps, got {given!r}")
    steps = [step_number(step, names, argument) for step in given]
    for step in steps:
        if steps.count(step) > 1:
            raise InputError(f"{argument}: the step {names[step]!r} is named twice")
    return steps


def _pair(given: tuple[Step, Step], names: Sequence[str]) -> tuple[int, int]:
    if isinstance(given, str) or not isinstance(given, Iterable) or len(pair := list(given)) != 2:
        raise TypeError(f"before: expected pairs of steps, got {given!r}")
    one, other = (step_number(step, names, "before") for step in pair)
    if one == other:
        raise InputError(f"before: the step {names[one]!r} cannot come before itself")
    return one, other


def _refuse_cycle(edges: Iterable[tuple[int, int]], names: Sequence[str]) -> None:
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for before, after in edges:
        sorter.add(after, before)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        cycle = error.args[1][:-1]  # whose last step is the first one again
        begin = cycle.index(min(cycle))
        told = " before ".join(names[step] for step in (*cycle[begin:], *cycle[:begin], cycle[begin]))
        raise InputError(f"constraints: no order has {told}") from None
