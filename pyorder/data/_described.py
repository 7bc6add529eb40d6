"""What a dataset tells of its rows; `pyorder.data.dataset` has the table of notation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyorder.data._rows import Rows
    from pyorder.data.schema import Schema


class Described:
    """The arrays, lengths and names of whatever has rows."""

    _rows: Rows

    @property
    def inputs(self) -> NDArray[np.integer[Any]]:
        """The inputs (N, X), read-only; where `inputs_missing` says so, they tell nothing."""
        return self._rows.inputs

    @property
    def targets(self) -> NDArray[np.integer[Any]]:
        """The targets (N, C), read-only; after the end of a span they tell nothing, see `lengths`."""
        return self._rows.targets

    @property
    def lengths(self) -> NDArray[np.unsignedinteger[Any]] | None:
        """How many values every step has in every row, (N, L) unsigned, read-only; None where none ends early."""
        return self._rows.lengths

    @property
    def inputs_missing(self) -> NDArray[np.bool_] | None:
        """Where an input has no value, (N, X) bool, read-only; None where none is missing."""
        return self._rows.inputs_missing

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """Which group each row is of, (N,) from 0 on, read-only; None where rows are in none."""
        return self._rows.groups

    @property
    def schema(self) -> Schema:
        """The names and widths of inputs and steps, and whether there may be gaps."""
        return self._rows.schema

    @property
    def rows(self) -> int:
        """The number of rows, N."""
        return len(self._rows.inputs)

    def __len__(self) -> int:
        return self.rows

    @property
    def input_length(self) -> int:
        """The number of values of an input, X."""
        return self.schema.input_length

    @property
    def target_length(self) -> int:
        """The number of steps of a target, L."""
        return self.schema.length

    @property
    def columns(self) -> int:
        """The number of columns of a target, C."""
        return self.schema.columns

    @property
    def names(self) -> tuple[str, ...]:
        """What the steps are called; their numbers as text where they have no names."""
        return self.schema.names

    @property
    def widths(self) -> tuple[int, ...]:
        """How many columns wide every step is."""
        return self.schema.widths
