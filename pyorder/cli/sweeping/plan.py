"""The file of a sweep: tasks or data files, lengths, strategies, seeds and options, whose product are its cells.

===========  ===================================================================================================
tasks        names, or tables of a name and parameters: ``{name = "index", d = 4}``
data         in place of tasks: files, as ``--data`` takes them
lengths      of the tasks' targets
strategies   names, or tables of a name and options: ``{name = "random", candidates = 64}``; else ``["auto"]``
seeds        else ``[0]``
[options]    any other options of `pyorder discover`; a list is gone through, and an item of it may be a list
             itself where the option can be repeated or names columns: ``inputs = [["age", "city"]]``
===========  ===================================================================================================
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pyorder._disk import open_regular
from pyorder.cli.sweeping.cell import Cell
from pyorder.errors import InputError

MOST = 100_000  # cells; more are a mistake
_LISTS = ("tasks", "data", "lengths", "strategies", "seeds")
_WITH_NAMES = {"parameter": "tasks", "option": "strategies"}


def read_cells(path: str | os.PathLike[str]) -> list[Cell]:
    """Read the file of a sweep.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything else; single values are checked by `sweep`.
    """
    try:
        with open_regular(path) as file:
            told = tomllib.load(file)
        return make_cells(told)
    except OSError as error:
        raise InputError(f"{os.fspath(path)!r}: {error.strerror or error}") from None
    except RecursionError:
        raise InputError(f"{os.fspath(path)!r}: lists that are nested too deep") from None
    except ValueError as error:  # no TOML, no text, or no sweep
        raise InputError(f"{os.fspath(path)!r}: {error}") from None


def make_cells(told: Mapping[str, Any]) -> list[Cell]:
    """Make the cells of what the file of a sweep holds; the seed changes first, then options, then strategies.

    Examples
    --------
    >>> cells = make_cells({"tasks": ["relu"], "lengths": [9], "seeds": [0, 1], "options": {"steps": [5, 9]}})
    >>> [(cell.seed, cell.options["steps"]) for cell in cells]
    [(0, 5), (1, 5), (0, 9), (1, 9)]
    """
    for key in told:
        if key not in (*_LISTS, "options"):
            raise InputError(f"there is no {key!r}, only {', '.join(_LISTS)} and [options]")
    if ("tasks" in told) == ("data" in told):
        raise InputError("tasks or data: one of the two is needed")
    if ("tasks" in told) != ("lengths" in told):
        raise InputError("lengths: goes with tasks, which need it")
    lists = {"strategies": ["auto"], "seeds": [0], **{key: told[key] for key in _LISTS if key in told}}
    for key, values in lists.items():
        _check_list(key, values)
    options = _options(told.get("options", {}))
    count = math.prod(len(values) for values in (*lists.values(), *options.values()))
    if count > MOST:
        raise InputError(f"{count:,} cells, and {MOST:,} at most are allowed")
    # What is not given is one value that says nothing.
    tasks = [_named("tasks", one, "parameter") for one in lists["tasks"]] if "tasks" in lists else [(None, {})]
    files = [_text("data", one) for one in lists["data"]] if "data" in lists else [None]
    strategies = [_named("strategies", one, "option") for one in lists["strategies"]]
    factors = product(
        tasks, files, lists.get("lengths", [None]), strategies, product(*options.values()), lists["seeds"]
    )
    return [
        Cell(
            task,
            data=file,
            length=length,
            strategy=strategy,
            seed=seed,
            options={**parameters, **own, **dict(zip(options, values, strict=True))},
        )
        for (task, parameters), file, length, (strategy, own), values, seed in factors
    ]


def _check_list(key: str, values: object) -> None:
    if not isinstance(values, list) or not values:
        raise InputError(f"{key}: a list of at least one is needed, got {values!r:.80}")


def _options(told: object) -> dict[str, Sequence[Any]]:
    """The values that each option goes through."""
    if not isinstance(told, dict):
        raise InputError(f"options: a table is needed, got {told!r:.80}")
    values: dict[str, Sequence[Any]] = {}
    for key, value in told.items():
        if key in _WITH_NAMES:
            raise InputError(
                f"options: {key} is given with the name, {_WITH_NAMES[key]} = [{{name = ..., KEY = VALUE}}]"
            )
        _check_list(f"options: {key}", value if isinstance(value, list) else [value])
        values[key] = value if isinstance(value, list) else [value]
        for one in values[key]:
            for item in one if isinstance(one, list) and one else [one]:
                if not isinstance(item, str | int | float):
                    raise InputError(
                        f"options: {key}: a word, a number or a truth value is needed, got {item!r:.80}"
                    )
    return values


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{key}: a name is needed, got {value!r:.80}")
    return value


def _named(key: str, value: object, option: str) -> tuple[str | None, dict[str, list[str]]]:
    """A name, and what goes with it as values of an option."""
    told = value if isinstance(value, dict) else {"name": value}
    if "name" not in told:
        raise InputError(f"{key}: a name is needed, got {value!r:.80}")
    own = []
    for name, one in told.items():
        if name != "name":
            if not isinstance(one, str | int | float):
                raise InputError(f"{key}: {name}: a word, a number or a truth value is needed, got {one!r:.80}")
            own.append(f"{name}={str(one).lower() if isinstance(one, bool) else one}")
    return _text(key, told["name"]), {option: own} if own else {}
