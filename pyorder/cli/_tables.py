"""Tables on the command line: which columns are inputs and steps, and what became of each."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from pyorder.data.dataset import Dataset
from pyorder.data.tables import BINS


@dataclass(frozen=True)
class TableColumns:
    """What is said of a table's columns on the command line; or the dataset whose columns it has."""

    inputs: str | None = None
    targets: str | None = None
    groups: str | None = None
    bins: int | None = None
    like: Dataset | None = None

    @property
    def given(self) -> dict[str, object]:
        """What was said, by option."""
        told = {"--inputs": self.inputs, "--targets": self.targets, "--groups": self.groups}
        return {**told, "--bins": self.bins}

    def read(self, path: Path) -> Dataset:
        """Read a table."""
        if self.like is not None:
            return Dataset.from_table(path, like=self.like)
        inputs, targets = (None if text is None else _columns(text) for text in (self.inputs, self.targets))
        return Dataset.from_table(path, inputs=inputs, targets=targets, groups=self.groups, bins=self.bins or BINS)


def tell_columns(data: Dataset) -> None:
    """Say on standard error what became of the columns of a table; nothing of other data."""
    told = data.schema.describe()
    for name, other in json.loads(data.metadata.get("same", "{}")).items():
        told[name] = f"one to one with {other}: left out"
    width = max(map(len, told), default=0)
    for name, said in told.items():
        print(f"{name:{width}}  {said}", file=sys.stderr, flush=True)


def _columns(text: str) -> list[str]:
    """Read --inputs and --targets: names with commas between them, or a JSON list where names hold commas."""
    if text.startswith("["):
        return [str(name) for name in json.loads(text)]
    return [name.strip() for name in text.split(",") if name.strip()]
