"""From words on the command line to data, orders and models."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyorder._disk import parse_json
from pyorder.cli._tables import NAMED, TableColumns, codings, same_columns
from pyorder.cli._terminal import warn
from pyorder.data.dataset import Dataset
from pyorder.data.tables import other_ending
from pyorder.data.tasks import Task, make_task, satisfied_dependencies, task_names
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
            raise other_ending(path, f".npz, .safetensors, {', '.join(NAMED[:-1])} or {NAMED[-1]}")
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
        more["columns"] = codings(data)
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


def parse_number(text: str) -> float:
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
        return parse_number(text)
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
