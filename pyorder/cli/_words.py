"""Calls of `pyorder discover` that are made from values: the words of its command line, and what refuses them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from pyorder.errors import InputError

# typer has no public name for the parent of all its errors about arguments.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


@cache
def discover_parser() -> Any:
    """What reads the command line of `pyorder discover`."""
    from pyorder.cli import discover

    app = typer.Typer(add_completion=False)
    app.command()(discover.command)
    return typer.main.get_command(app)


def option_words(option: Any, value: Any) -> list[str]:
    """The words that give an option a value; None gives none.

    A list gives an option that can be repeated several times, and ``--inputs``, ``--targets`` and ``--ignore``
    their names.

    Raises
    ------
    InputError
        For a list where one value is needed: the last item alone would be taken.

    Examples
    --------
    >>> (fitting,) = [option for option in discover_parser().params if option.name == "fitting"]
    >>> option_words(fitting, False)
    ['--no-fit']
    >>> (inputs,) = [option for option in discover_parser().params if option.name == "inputs"]
    >>> option_words(inputs, ["age", "city"])
    ['--inputs=["age", "city"]']
    """
    if value is None:
        return []
    if isinstance(value, bool):
        return list((option.opts if value else option.secondary_opts)[:1])
    items = value if isinstance(value, list | tuple) else [value]
    if items is value and not option.multiple:
        if option.name not in ("inputs", "targets", "ignore"):
            raise InputError(f"{option.opts[0].removeprefix('--')}: expected one value, got {value!r:.80}")
        items = [json.dumps(value, ensure_ascii=False)]
    return [f"{option.opts[0]}={item}" for item in items]


def read_words(words: Sequence[str]) -> dict[str, Any]:
    """What `pyorder discover` would be given by these words; nothing is run.

    Raises
    ------
    InputError
        If it would not take them.

    Examples
    --------
    >>> read_words(["relu", "--length=3"])["length"]
    3
    """
    try:
        with discover_parser().make_context("pyorder discover", list(words)) as context:
            return dict(context.params)
    except UsageError as error:
        raise InputError(error.format_message()) from None  # type: ignore[attr-defined]
