"""Tables and records on the command line: which columns are inputs and steps, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyorder._disk import parse_json
from pyorder.cli._terminal import tell
from pyorder.data.dataset import Dataset
from pyorder.data.records import MAX_WIDTH
from pyorder.data.tables import BINS
from pyorder.errors import InputError

TABLES, RECORDS = (".csv", ".parquet"), (".jsonl",)
NAMED = (*TABLES, *RECORDS)  # files whose columns have names


@dataclass(frozen=True)
class TableColumns:
    """What is said of a file's columns on the command line; or the dataset whose columns it has."""

    inputs: str | None = None
    targets: str | None = None
    ignore: str | None = None
    groups: str | None = None
    bins: int | None = None
    tokenizer: Path | None = None
    max_width: int | None = None
    like: Dataset | None = None

    def refuse(self, suffix: str | None = None) -> None:
        """Refuse what is not about files that end in this."""
        options: dict[str, tuple[object, tuple[str, ...]]] = {
            "--inputs": (self.inputs, NAMED),
            "--targets": (self.targets, NAMED),
            "--ignore": (self.ignore, NAMED),
            "--groups": (self.groups, NAMED),
            "--bins": (self.bins, TABLES),
            "--tokenizer": (self.tokenizer, RECORDS),
            "--max-width": (self.max_width, RECORDS),
        }
        for option, (value, suffixes) in options.items():
            if value is not None and suffix not in suffixes:
                raise ValueError(f"{option}: goes with --data FILE, where that ends in {' or '.join(suffixes)}")

    def read(self, path: Path) -> Dataset:
        """Read a table, or records."""
        if self.like is None:
            self.refuse(path.suffix)
        inputs, targets, ignore = (
            None if text is None else split_names(text) for text in (self.inputs, self.targets, self.ignore)
        )
        if path.suffix in RECORDS:
            return Dataset.from_records(
                path,
                inputs=inputs,
                targets=targets,
                ignore=ignore,
                groups=self.groups,
                tokenizer=self.tokenizer,
                max_width=MAX_WIDTH if self.max_width is None else self.max_width,
                like=self.like,
            )
        if self.like is not None:
            return Dataset.from_table(path, like=self.like)
        return Dataset.from_table(
            path, inputs=inputs, targets=targets, ignore=ignore, groups=self.groups, bins=self.bins or BINS
        )

    def others(self, like: Dataset) -> TableColumns:
        """What is said of further files, which are like one that was read."""
        return TableColumns(tokenizer=self.tokenizer, like=like)


def tell_columns(data: Dataset, **others: Dataset) -> None:
    """Say on standard error what became of columns, and how many rows were left out; nothing of other data.

    ``others`` are further splits; of those that were cut from the same file nothing is said again.
    """
    told = codings(data)
    for name, other in same_columns(data).items():
        told[name] = f"one to one with {other}: left out"
    width = max(map(len, told), default=0)
    lines = [f"{name:{width}}  {said}" for name, said in told.items()]
    if "left_out" in data.metadata:
        lines.append(f"left out: {data.metadata['left_out']}")
    for name, part in others.items():
        if "left_out" in part.metadata and "split" not in part.metadata:
            lines.append(f"left out of {name}: {part.metadata['left_out']}")
    for line in lines:
        tell(line)


def codings(data: Dataset) -> dict[str, str]:
    """What became of each column, and of steps whether there is anything in them to order."""
    told = data.schema.describe()
    try:
        differ = {str(name) for name in parse_json(data.metadata.get("all_differ", "[]"))}
    except (ValueError, TypeError):  # another program's words for something else
        differ = set()
    for step in data.schema.steps:
        if step.codec is not None and step.codec.constant:
            told[step.name] += "; nothing to order: leave it out with --ignore"
        elif step.name in told and step.name in differ:
            told[step.name] += "; all values differ: if this is an id, leave it out with --ignore"
    return told


def same_columns(data: Dataset) -> dict[str, str]:
    """Columns that were left out of a table, with the ones that they determine, and that determine them."""
    try:
        told = parse_json(data.metadata.get("same", "{}"))
        return {str(name): str(other) for name, other in told.items()}
    except (ValueError, AttributeError):  # another program's words for something else
        return {}


@contextmanager
def telling_left_out(data: Dataset) -> Iterator[None]:
    """Add to an error about a step that there is not, that its column is there and was left out."""
    try:
        yield
    except ValueError as error:
        for name, other in same_columns(data).items():
            if repr(name) in str(error):
                raise InputError(f"{error}; {name!r} is one to one with {other!r} and was left out") from None
        raise


def split_names(text: str) -> list[str]:
    """Read names with commas between them, or a JSON list where names hold commas.

    Examples
    --------
    >>> split_names("a, b"), split_names('["a,b"]')
    (['a', 'b'], ['a,b'])
    """
    if text.startswith("["):
        return [str(name) for name in parse_json(text)]
    return [name.strip() for name in text.split(",") if name.strip()]
