"""The arrays of a dataset with the schema that they follow; `pyorder.data.dataset` has the table of notation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._values import ByContents
from pyorder.data import _arrays, _coding
from pyorder.data import _vocabulary as vocabularies
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyorder.data._arrays import Gaps
    from pyorder.data.schema import Schema


@dataclass(frozen=True, eq=False)
class Rows(ByContents):
    """Inputs and targets, where they have gaps, and which rows are of one group; checked, and made read-only."""

    inputs: NDArray[np.integer[Any]]
    targets: NDArray[np.integer[Any]]
    schema: Schema
    lengths: NDArray[np.unsignedinteger[Any]] | None = None
    inputs_missing: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        inputs, targets, lengths, missing = self.inputs, self.targets, self.lengths, self.inputs_missing
        if self.groups is not None and self.groups.shape != (len(targets),):
            raise InputError(
                f"groups: expected one for each of {len(targets)} rows, got shape {self.groups.shape}"
            )
        if len(inputs) != len(targets):
            raise InputError(f"targets: expected as many rows as inputs ({len(inputs)}), got {len(targets)}")
        if lengths is not None and (lengths == np.array(self.schema.widths)).all():
            object.__setattr__(self, "lengths", None)
        if missing is not None and not missing.any():
            object.__setattr__(self, "inputs_missing", None)
        for array in (inputs, targets, lengths, missing, self.groups):
            if array is not None:
                array.flags.writeable = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are read-only too."""
        return Rows, (self.inputs, self.targets, self.schema, self.lengths, self.inputs_missing, self.groups)

    @property
    def target_gaps(self) -> Gaps | None:
        """Where targets have no value, by block of rows; None where there is no gap."""
        return None if self.lengths is None else _arrays.target_gaps(self.lengths, self.schema)

    @property
    def input_gaps(self) -> Gaps | None:
        """Where inputs have no value, by block of rows; None where there is no gap."""
        return None if self.inputs_missing is None else self.inputs_missing.__getitem__

    def filled(self, declared: NDArray[np.int64] | None) -> Rows:
        """Return the rows with a value of the vocabulary in every gap: what stood there must be in no result."""
        if self.lengths is None and self.inputs_missing is None:
            return self
        inputs, targets = self.inputs, self.targets
        firsts = [_arrays.first_value(targets, self.target_gaps), _arrays.first_value(inputs, self.input_gaps)]
        spare = next((value for value in firsts if value is not None), None)
        if spare is None and declared is not None:
            spare = int(declared[0])
        if self.input_gaps is not None:
            inputs = _arrays.fill(inputs, self.input_gaps, spare, "inputs")
        if self.target_gaps is not None:
            targets = _arrays.fill(targets, self.target_gaps, spare, "targets")
        return replace(self, inputs=inputs, targets=targets)

    def take(self, rows: NDArray[np.integer[Any]]) -> Rows:
        """Return some rows, in that sequence."""
        return Rows(
            self.inputs[rows],
            self.targets[rows],
            self.schema,
            None if self.lengths is None else self.lengths[rows],
            None if self.inputs_missing is None else self.inputs_missing[rows],
            None if self.groups is None else self.groups[rows],
        )

    def reordered(self, order: NDArray[np.int64]) -> Rows:
        """Return the rows with the spans of the targets in an order (L,)."""
        columns = self.schema.column_orders(order[None])[0]
        lengths = None if self.lengths is None else self.lengths[:, order]
        targets, schema = self.targets[:, columns], self.schema.reordered(order)
        return replace(self, targets=targets, schema=schema, lengths=lengths)

    def vocabulary(self) -> NDArray[np.int64]:
        """Return the sorted distinct values that are not in a gap."""
        values = vocabularies.distinct(
            _arrays.distinct(self.inputs, self.input_gaps), _arrays.distinct(self.targets, self.target_gaps)
        )
        if not values.size:
            raise InputError("vocabulary: expected at least one value that is not missing")
        return values

    def encode(
        self, vocabulary: NDArray[np.int64], ends: bool, name: str
    ) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.signedinteger[Any]]]:
        """Return the tokens of inputs and targets; see `pyorder.data.dataset.Dataset.encode`."""
        if not ends and (self.lengths is not None or self.inputs_missing is not None):
            raise InputError(
                f"{name}: {self._first_gap()} has no value, and the training data has no gaps; "
                "give training data that has some, or Dataset(..., ends=True) for it"
            )
        kind = _coding.id_type(len(vocabulary), ends)
        inputs, targets = (
            _coding.encode(array, vocabulary, kind, gaps=gaps, fields=fields, what=(f"{name}: {what}s", field))
            for array, gaps, fields, what, field in (
                (self.inputs, self.input_gaps, self.schema.inputs, "input", "input"),
                (self.targets, self.target_gaps, self.schema.steps, "target", "step"),
            )
        )
        if self.lengths is not None:
            _coding.mark_ends(targets, self.lengths, self.schema)
        return inputs, targets

    def _first_gap(self) -> str:
        if self.lengths is not None:
            short = self.lengths < np.array(self.schema.widths)
            row, step = divmod(int(short.argmax()), self.schema.length)
            column = int(self.schema.offsets[step]) + int(self.lengths[row, step])
            return f"targets: {_arrays.place(row, column, self.schema.steps, 'step')}"
        assert self.inputs_missing is not None
        row, column = divmod(int(self.inputs_missing.argmax()), self.schema.input_length)
        return f"inputs: {_arrays.place(row, column, self.schema.inputs, 'input')}"
