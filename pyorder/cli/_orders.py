"""Orders and weights of steps, as command lines give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._disk import open_regular, parse_json, read_json
from pyorder.cli._inputs import naming, parse_integer, parse_number
from pyorder.data.dataset import Dataset
from pyorder.data.files import list_safetensors, read_safetensors
from pyorder.errors import InputError
from pyorder.orders.permutations import check_order, check_orders
from pyorder.runs.folder import load_run, reading
from pyorder.streams import stream

Orders = npt.NDArray[np.int64]


def parse_weights(text: str | None, length: int, names: Sequence[str] = ()) -> tuple[float, ...] | None:
    """Read --step-weights: a number for each of ``length`` steps, or STEP=NUMBER for those that count.

    Examples
    --------
    >>> parse_weights("plan=0.5,answer=2", 3, ["plan", "tool", "answer"]), parse_weights("0,0,1", 3)
    ((0.5, 0.0, 2.0), (0.0, 0.0, 1.0))
    """
    if text is None:
        return None
    words = text.split(",")
    with naming("--step-weights"):
        try:
            if not any("=" in word for word in words):
                return tuple(map(parse_number, words))
            weights = {}
            for word in words:
                name, weight = word.split("=")
                step = as_steps(name, names) if names else parse_integer(name)
                if not 0 <= step < length:
                    raise ValueError(f"{name!r} is no step; steps are 0 to {length - 1}")
                if step in weights:
                    raise ValueError(f"{name!r} is no step that is left, its weight is given twice")
                weights[step] = parse_number(weight)
        except ValueError as error:
            known = "is no step" in str(error)
            raise ValueError(error if known else f"{text!r} is neither numbers nor STEP=NUMBER words") from None
        return tuple(weights.get(step, 0.0) for step in range(length))


def given_names(data: Dataset) -> tuple[str, ...]:
    """The names of the data's steps; none where they have no names but their numbers."""
    return data.names if data.schema.named else ()


def as_steps(value: Any, names: Sequence[str]) -> Any:
    """Put the numbers of steps in place of their names, in lists of any depth; what is no text stays.

    A text that is no name may be a number.

    Examples
    --------
    >>> as_steps([["sum", "rest"], [2, "1"]], ["sum", "sign", "rest"])
    [[0, 2], [2, 1]]
    """
    if isinstance(value, list):
        return [as_steps(item, names) for item in value]
    if not isinstance(value, str) or not names:
        return value
    if value in names:
        return list(names).index(value)
    try:
        return parse_integer(value)
    except ValueError:
        known = ", ".join(names)
        raise ValueError(f"{value!r} is no step; steps are {known}, or 0 to {len(names) - 1}") from None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if "," in text else text.split()


def steps_of_run(result: Mapping[str, Any], names: Sequence[str], folder: Path, name: str) -> dict[int, int]:
    """The data's step for each step of a run: of the same name where both have names, else number.

    Raises
    ------
    InputError
        If their names are not the same; the option's ``name`` begins the message.
    """
    order, told = result["order"], list(result.get("names", ()))
    if not names or told in ([], list(map(str, order))):
        return {step: step for step in order}
    if sorted(told) != sorted(names):
        known = ", ".join(called for _, called in sorted(zip(order, told, strict=True)))
        raise InputError(
            f"{name}: the steps of the run in {str(folder)!r} are {known}, and the data's are {', '.join(names)}"
        )
    return {step: list(names).index(called) for step, called in zip(order, told, strict=True)}


def parse_order(text: str, length: int, seed: int, names: Sequence[str] = ()) -> Orders:
    """Read the order that --order asks for; steps by name where they have names.

    Examples
    --------
    >>> parse_order("reverse", 4, seed=0), parse_order("2,0,1", 3, seed=0)
    (array([3, 2, 1, 0]), array([2, 0, 1]))
    >>> parse_order("rest,sum,sign", 3, 0, ["sum", "sign", "rest"])
    array([2, 0, 1])
    """
    if text == "forward":
        return np.arange(length)
    if text == "reverse":
        return np.arange(length)[::-1].copy()
    if text == "random":
        return random_order(length, seed)
    if text.startswith("@"):
        result = load_run(text[1:], name="--order").result
        if "order" not in result:
            raise ValueError(f"--order: the run in {text[1:]!r} tells no order")
        folder = Path(text[1:])
        with reading(folder, name="--order"):
            own = steps_of_run(result, names, folder, "--order")
            order = [own[step] for step in result["order"]]
    elif names:
        with naming("--order"):  # names may hold spaces, in a JSON list also commas
            words = parse_json(text) if text.startswith("[") else _words(text)
            order = as_steps(words, names)
    else:
        try:
            order = [parse_integer(step) for step in text.replace(",", " ").split()]
            if not order:
                raise ValueError
        except ValueError:
            given = shorten(text, 200, placeholder=" ...")
            raise ValueError(
                f"--order: {given!r} is none of steps like 0,2,1, forward, reverse, random, @RUN_FOLDER"
            ) from None
    return check_order(order, length, name="--order")


def random_order(length: int, seed: int) -> Orders:
    """Draw the uniformly random order that others are compared with."""
    return stream(seed, "random order").permutation(length)


def read_orders(path: Path, length: int, steps: Sequence[str] = ()) -> Orders:
    """Read orders (T, L) from .npy, .npz or safetensors (array ``orders``, or the only one), or a JSON list.

    A JSON list may hold the names of ``steps`` in place of their numbers.
    """
    with naming("--orders"):
        if path.suffix == ".json":
            return _some(check_orders(as_steps(read_json(path), steps), length))
        if path.suffix not in (".npy", ".npz"):
            name = _the_orders(list_safetensors(path), path)
            return _some(check_orders(read_safetensors(path, [name])[0][name], length))
        with open_regular(path) as file:
            try:
                read = np.load(file, allow_pickle=False)
                orders = read if path.suffix == ".npy" else read[_the_orders(read, path)]
            except InputError:
                raise
            except Exception as error:  # damaged files raise whatever the readers of zip files and headers have
                raise InputError(f"{str(path)!r} cannot be read: {str(error) or type(error).__name__}") from None
        return _some(check_orders(orders, length))


def _the_orders(names: Collection[str], path: Path) -> str:
    """Which array of a file holds the orders."""
    name = "orders" if "orders" in names or len(names) != 1 else next(iter(names))
    if name not in names:
        raise InputError(f"{str(path)!r} has no array 'orders', it has {', '.join(names) or 'none'}")
    return name


def _some(orders: Orders) -> Orders:
    if not len(orders):
        raise InputError("expected at least one order, got none")
    return orders
