"""A cell of a sweep: one search, as `pyorder discover` is asked for it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pyorder._checks import check_integer
from pyorder.cli._inputs import parse_pairs
from pyorder.cli._words import discover_parser, option_words, read_words
from pyorder.data.tasks import make_task
from pyorder.errors import InputError

# Told by the other fields, or by the sweep.
_NOT_OPTIONS = ("data", "length", "strategy", "seed", "out", "json", "help")


@dataclass(frozen=True)
class Cell:
    """One search of a sweep: what `pyorder discover` is asked for, final trainings among it.

    Attributes
    ----------
    task : the name of a task; or None, and a file as ``data``
    data : as ``--data`` takes it; looked up from the working folder
    length : of the task's target
    strategy, seed : as the options of these names
    options : any other options of `pyorder discover`, by their names; True and False stand for an option that is a
        switch, ``{"levels": True, "fit": False}``, and a list for one that is repeated or names
        columns, ``{"parameter": ["d=4"]}``, ``{"inputs": ["age", "city"]}``

    Examples
    --------
    >>> cell = Cell("relu", length=9, strategy="random", options={"fit": False, "option": ["pool=16"]})
    >>> print(*cell.words)
    --no-fit --option=pool=16 --length=9 --strategy=random --seed=0 -- relu
    >>> cell.name
    'relu-9-random-0-e70eb028'
    """

    task: str | None = None
    data: str | os.PathLike[str] | None = None
    length: int | None = None
    strategy: str = "auto"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> list[str]:
        """What follows `pyorder discover` on the command line, but for ``--out``.

        Raises
        ------
        InputError
            For an option that there is not, or several values of one that takes one.
        """
        known = _known()
        own = {name: getattr(self, name) for name in ("data", "length", "strategy", "seed")}
        given = {str(name).replace("_", "-"): value for name, value in self.options.items()}
        for name in given:
            if name not in known or name in _NOT_OPTIONS:
                allowed = ", ".join(one for one in known if one not in _NOT_OPTIONS)
                raise InputError(f"options: there is no {name!r}, only {allowed}")
        told = [word for name in sorted(given) for word in option_words(known[name], given[name])]
        told += [word for name, value in own.items() for word in option_words(known[name], value)]
        return [*told, *([] if self.task is None else ["--", self.task])]

    @property
    def name(self) -> str:
        """What its folder is called: a name to read, and letters that tell it from any other cell's."""
        what = self.task if self.task is not None else Path(os.fspath(self.data or "")).stem
        told = [what, self.length, self.strategy, self.seed]
        letters = hashlib.sha256(json.dumps(self.words).encode()).hexdigest()[:8]
        return "-".join([*(re.sub(r"\W+", "_", str(one))[:40] for one in told if one is not None), letters])

    @property
    def factors(self) -> dict[str, Any]:
        """All that it is, flat."""
        own = {name: getattr(self, name) for name in ("task", "data", "length", "strategy", "seed")}
        if self.data is not None:
            own["data"] = os.fspath(self.data)
        listed = {name: " ".join(map(str, value)) for name, value in self.options.items() if _many(value)}
        return {
            **own,
            **{str(name).replace("-", "_"): value for name, value in {**self.options, **listed}.items()},
        }


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse what no search can be made of, before any is.

    What only the rows of a file can tell, a search of its own refuses.

    Raises
    ------
    InputError
        For no cells, two of a kind, and the first whose task, length, strategy or options there are not.
    """
    if not cells:
        raise InputError("cells: none are given, and one at least is needed")
    numbers: dict[str, int] = {}
    for number, cell in enumerate(cells):
        if not isinstance(cell, Cell):
            raise TypeError(
                f"cells: expected instances of pyorder.Cell, got {type(cell).__name__} as number {number}"
            )
        try:
            _check(cell)
            name = cell.name
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(f"cells: number {number}: {error}") from None
        if name in numbers:
            raise InputError(f"cells: number {number} is the same as number {numbers[name]}, {name}")
        numbers[name] = number


def _check(cell: Cell) -> None:
    if (cell.task is None) == (cell.data is None):
        raise InputError("task or data: give one of the two")
    if cell.data is not None and not Path(cell.data).is_file():
        raise InputError(f"data: there is no file {os.fspath(cell.data)!r}")
    for name in ("length", "seed"):
        if (value := getattr(cell, name)) is not None:
            check_integer(value, name, 0)
    given = read_words(cell.words)
    parameters, options = (tuple(given[name] or ()) for name in ("parameter", "option"))
    length = None
    if cell.task is not None:
        if cell.length is None:
            raise InputError(f"length: needed to make the task {cell.task!r}")
        length = make_task(cell.task, cell.length, **parse_pairs(parameters, "--parameter")).length
    elif cell.length is not None or parameters:
        raise InputError("length, parameter: go with a task")
    _check_strategy(cell.strategy, length, options)
    _check_training(given["model"], given["fit_model"], given["device"], given["precision"])


@cache
def _check_strategy(name: str, length: int | None, options: tuple[str, ...]) -> None:
    """The length is that of a task; what it is of one's own data shows when that is read."""
    from pyorder.orders.posets import Poset
    from pyorder.search.strategies import make_strategy

    made = make_strategy(name, length or 4, **parse_pairs(options, "--option"))
    if length is not None:
        made.pools(Poset(length))  # takes every number that the strategy will use


@cache
def _check_training(model: str | None, final: str | None, device: str, precision: str) -> None:
    from pyorder.execution import Precision
    from pyorder.training.presets import PRESETS

    for value, name in ((model, "model"), (final, "fit-model")):
        if value is not None and ":" not in value and value not in PRESETS:
            raise InputError(f"{name}: {value!r} is none of {', '.join(PRESETS)}, and no package.module:build")
    if precision not in get_args(Precision):
        raise InputError(f"precision: {precision!r} is none of {', '.join(get_args(Precision))}")
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", device):  # whether it is there is another machine's to say
        raise InputError(f"device: {device!r} is none of auto, cpu, cuda, cuda:N")


@cache
def _known() -> dict[str, Any]:
    """The options of `pyorder discover` by the names that they have on its command line."""
    options = [one for one in discover_parser().params if one.param_type_name == "option"]
    return {one.opts[0].removeprefix("--"): one for one in options}


def _many(value: Any) -> bool:
    return isinstance(value, list | tuple)
