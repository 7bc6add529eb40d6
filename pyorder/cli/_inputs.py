"""From words on the command line to data, orders and models."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyorder._disk import open_regular, parse_json, read_json
from pyorder.cli._tables import NAMED, TableColumns, same_columns
from pyorder.cli._terminal import warn
from pyorder.data.dataset import Dataset
from pyorder.data.files import list_safetensors, read_safetensors
from pyorder.data.tasks import Task, make_task, satisfied_dependencies, task_names
from pyorder.errors import InputError
from pyorder.orders.permutations import check_order, check_orders
from pyorder.runs.folder import load_run, reading
from pyorder.streams import stream

if TYPE_CHECKING:
    from pyorder.models.learner import Build

Orders = npt.NDArray[np.int64]
ROWS = {"train": 100_000, "validation": 1_000, "test": 10_000}
# The usual rows of a split take at most this part of the distinct inputs that a small task has.
LEAST_SPACE = {"train": 2, "validation": 10, "test": 10}


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Turn errors of a block, those of the system too, into errors about an option."""
    try:
        yield
    except OSError as error:
        where = f"{str(error.filename)!r}: " if error.filename else ""
        raise ValueError(f"{option}: {where}{error.strerror or error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{option}: {error}") from error
    except RecursionError:
        raise ValueError(f"{option}: lists that are nested too deep") from None


def load_data(
    task: str | None,
    data: Path | None,
    *,
    length: int | None,
    parameters: Sequence[str] | None,
    rows: Mapping[str, int | None],
    files: Mapping[str, Path | None],
    seed: int,
    columns: TableColumns | None = None,
) -> tuple[Dataset, ...]:
    """Make a task's data or read files: the training split and the splits that ``files`` names, in sequence.

    ``rows`` are the numbers of rows of a task's splits, None for the usual ones or what a small task has; a split
    that is not named has one row. ``files`` are the caller's own validation or test rows; without any, ``data`` is
    split. Of own data no more than ``rows`` are taken, at random by the seed. ``columns`` are about tables.
    """
    columns = columns or TableColumns()
    if (task is None) == (data is None):
        raise ValueError("TASK or --data: give one of the two")
    if task is not None:
        if task not in task_names() and Path(task).suffix:
            raise ValueError(f"TASK: there is none of the name {task!r}; a file of your own goes with --data")
        if length is None:
            raise ValueError(f"--length: needed to make the task {task!r}")
        _refuse_given({f"--{name}-data": file for name, file in files.items()}, "goes with --data")
        columns.refuse()
        made = make_task(task, length, **parse_pairs(parameters, "--parameter"))
        usual = {name: max(1, min(count, made.space_size // LEAST_SPACE[name])) for name, count in ROWS.items()}
        sizes = {name: usual[name] if rows.get(name, 1) is None else rows.get(name, 1) for name in ROWS}
        splits = made.splits(**sizes, seed=seed)  # type: ignore[arg-type]
        return splits.train, *(getattr(splits, name) for name in files)
    assert data is not None
    _refuse_given({"--length": length, "--parameter": parameters or None}, "goes with a task")
    whole = read_dataset(data, "--data", columns)
    missing = [f"--{name}-data" for name, file in files.items() if file is None]
    if len(missing) == len(files):
        with naming("--data"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            splits = whole.split(seed=seed)
        for warning in said:
            warn(f"--data: {warning.message}")
        # Scoring takes its time: of large data no more than a task has. The split itself is always the same, so
        # that no command tests on rows that another one trained on or ranked with.
        most = {"train": None, "validation": ROWS["validation"], "test": ROWS["test"], **_given(rows)}
        named = {"train": splits.train, **{name: getattr(splits, name) for name in files}}
        return tuple(_at_most(part, most[name], seed) for name, part in named.items())
    if missing:
        raise ValueError(f"{missing[0]}: give {' and '.join(f'--{name}-data' for name in files)}, or neither")
    like = columns.others(whole)
    own = {name: read_dataset(file, f"--{name}-data", like) for name, file in files.items() if file is not None}
    return tuple(_at_most(part, rows.get(name), seed) for name, part in {"train": whole, **own}.items())


def _given(rows: Mapping[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in rows.items() if count is not None}


def _at_most(data: Dataset, rows: int | None, seed: int) -> Dataset:
    if rows is None or rows >= data.rows:
        return data
    return data.select(np.sort(stream(seed, "fewer rows").permutation(data.rows)[:rows]))


def _refuse_given(options: Mapping[str, object], reason: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise ValueError(f"{option}: {reason}")


def read_dataset(path: Path, option: str, columns: TableColumns) -> Dataset:
    """Read an .npz or a .safetensors file, a table from a .csv or a .parquet file, or records from a .jsonl."""
    with naming(option):
        if path.suffix in NAMED:
            try:
                return columns.read(path)
            except ImportError as error:
                raise ValueError(error) from None
        if path.suffix not in (".npz", ".safetensors"):
            needed = f".npz, .safetensors, {', '.join(NAMED[:-1])} or {NAMED[-1]} is needed"
            raise ValueError(f"{str(path)!r} ends in {path.suffix or 'nothing'!r}; {needed}")
        columns.refuse(path.suffix)
        return Dataset.load_npz(path) if path.suffix == ".npz" else Dataset.open(path)


def find_task(data: Dataset) -> Task | None:
    """Find the task that made data, by its metadata; None for data of another origin or with moved columns.

    Examples
    --------
    >>> find_task(make_task("relu", length=4).generate(1, seed=0))
    make_task('relu', length=4)
    """
    about = data.metadata
    if "task" not in about or "order" in about or about.get("length") != str(data.target_length):
        return None
    try:
        return make_task(about["task"], data.target_length, **parse_json(about["parameters"]))
    except (KeyError, ValueError, TypeError):  # another program's words for something else
        return None


def describe_data(task: Task | None, **splits: Dataset) -> dict[str, Any]:
    """Say what the data is: the task that made it if one did, its lengths, and the rows of each split."""
    return {
        "task": None if task is None else task.name,
        "parameters": {} if task is None else task.parameters,
        "input_length": splits["train"].input_length,
        "target_length": splits["train"].target_length,
        "rows": {name: split.rows for name, split in splits.items()},
        **_more_about(splits["train"]),
    }


def _more_about(data: Dataset) -> dict[str, Any]:
    """Tell names, widths and a split by row, where there are any."""
    more: dict[str, Any] = {}
    if data.schema.named:
        more["names"] = data.names
    if data.columns != data.target_length:
        more["widths"] = data.widths
    if "split_by" in data.metadata:
        more["split_by"] = data.metadata["split_by"]
    if data.schema.coded:
        more["columns"] = data.schema.describe()
    if "same" in data.metadata:
        more["same"] = same_columns(data)
    if "left_out" in data.metadata:
        more["left_out"] = data.metadata["left_out"]
    return more


def satisfied(order: Orders, task: Task | None) -> float | None:
    """Share of a task's dependencies that an order satisfies; None where there are none known."""
    if task is None or task.dependencies is None:
        return None
    return satisfied_dependencies(order, task.dependencies)


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
                return tuple(map(_parse_number, words))
            weights = {}
            for word in words:
                name, weight = word.split("=")
                step = as_steps(name, names) if names else parse_integer(name)
                if not 0 <= step < length:
                    raise ValueError(f"{name!r} is no step; steps are 0 to {length - 1}")
                if step in weights:
                    raise ValueError(f"{name!r} is no step that is left, its weight is given twice")
                weights[step] = _parse_number(weight)
        except ValueError as error:
            known = "is no step" in str(error)
            raise ValueError(error if known else f"{text!r} is neither numbers nor STEP=NUMBER words") from None
        return tuple(weights.get(step, 0.0) for step in range(length))


def _parse_number(text: str) -> float:
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def parse_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, Any]:
    """Read KEY=VALUE words; a value is an integer, a float, true, false, none, or else text.

    Examples
    --------
    >>> parse_pairs(["depth=5", "local=false", "initialisation=Pf"], "--option")
    {'depth': 5, 'local': False, 'initialisation': 'Pf'}
    """
    read = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise ValueError(f"{option}: {pair!r} is not KEY=VALUE")
        if key in read:
            raise ValueError(f"{option}: {key} is given twice")
        read[key] = _parse_value(value)
    return read


def _parse_value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return parse_integer(text)
    except ValueError:
        pass
    try:
        return _parse_number(text)
    except ValueError:
        return text


def parse_integer(text: str) -> int:
    """Read an integer in plain decimal digits; Python would take 1_0 and digits of other scripts, too.

    Raises
    ------
    ValueError
        For any other text, and for more than 64 bits.

    Examples
    --------
    >>> parse_integer("-3"), parse_integer(" 12 ")
    (-3, 12)
    >>> parse_integer("1_0")
    Traceback (most recent call last):
    ValueError: '1_0' is no integer of at most 64 bits
    """
    if re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", text) and -(2**63) <= (number := int(text)) < 2**64:
        return number
    raise ValueError(f"{shorten(text, 80, placeholder=' ...')!r} is no integer of at most 64 bits")


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


def steps_of_run(result: Mapping[str, Any], names: Sequence[str]) -> dict[int, int]:
    """The data's step for each step of a run: of the same name where both have the same names, else number."""
    order, told = result["order"], result.get("names", ())
    by_name = names and sorted(told) == sorted(names)
    return {step: list(names).index(told[slot]) if by_name else step for slot, step in enumerate(order)}


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
        with reading(Path(text[1:]), name="--order"):
            own = steps_of_run(result, names)
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


def parse_model(text: str | None, option: str = "--model") -> str | Build | None:
    """Import the function of a name like package.module:build; names without a colon are presets."""
    if text is None or ":" not in text:
        return text
    module, _, name = text.partition(":")
    if os.getcwd() not in sys.path:  # as `python -m` has it; an installed command does not
        sys.path.append(os.getcwd())
    try:
        build: Build = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the caller's module raises
        raise ValueError(f"{option}: cannot import {text!r}: {type(error).__name__}: {error}") from error
    if not callable(build):
        raise ValueError(f"{option}: {text!r} is no function")
    return build
