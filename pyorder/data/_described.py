"""What a dataset tells of its rows; `pyorder.data.dataset` has the table of notation."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder.data import _arrays, _coding
from pyorder.data import _vocabulary as vocabularies
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pyorder.data._rows import Rows
    from pyorder.data.schema import Schema


class Described:
    """The arrays, names, tokens and records of whatever has rows."""

    _rows: Rows
    _declared: NDArray[np.int64] | None

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

    @cached_property
    def vocabulary(self) -> NDArray[np.int64]:
        """The declared values, or the sorted distinct values of inputs and targets, (V,) int64, read-only."""
        return self._declared if self._declared is not None else self._rows.vocabulary()

    def encode(
        self, vocabulary: ArrayLike | None = None, *, ends: bool | None = None, name: str = "dataset"
    ) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.signedinteger[Any]]]:
        """Return the tokens of inputs (N, X) and targets (N, C), in the smallest signed type that holds them.

        A token is the place of a value in a vocabulary, 0 to V - 1: the dataset's own unless another is given.
        Where there are gaps, V is one more token, the end symbol. It stands at the first column of a span that
        has no value, and -100 (`pyorder.data.schema.IGNORED`) in those after it; with ``missing="mask"``, -100
        stands in all columns of a step that is missing. A missing input is V.

        ``ends`` says whether there is an end symbol, as in the schema of the training data; unless given, as in
        the dataset's own. Messages call the dataset ``name``.

        Raises
        ------
        InputError
            For a value that the vocabulary lacks, or gaps where there is no end symbol.

        Examples
        --------
        >>> train, test = Dataset([[3], [5]], [[5, 7], [3, 3]]), Dataset([[5]], [[3, 8]])
        >>> train.encode()
        (array([[0],
               [1]], dtype=int8), array([[1, 2],
               [0, 0]], dtype=int8))
        >>> test.encode(train.vocabulary, name="test")
        Traceback (most recent call last):
        pyorder.errors.InputError: test: targets hold the value 8 (row 0, column 1), which is not in the training \
vocabulary
        >>> Dataset(None, np.ma.masked_equal([[7, 8, 8], [8, 0, 0]], 0), widths=[1, 2]).encode()[1]
        array([[   0,    1,    1],
               [   1,    2, -100]], dtype=int8)
        """
        values = self.vocabulary if vocabulary is None else vocabularies.check(vocabulary)
        return self._rows.encode(values, self.schema.ends if ends is None else ends, name)

    def decode(self, tokens: ArrayLike) -> NDArray[np.int64]:
        """Return tokens of targets (M, C) as values: a masked array where spans end early, else a plain one.

        A span ends at its first end symbol or -100; what follows in it is left out, whatever it is.

        Raises
        ------
        TypeError, InputError
            For another shape, or tokens that the dataset does not have.

        Examples
        --------
        >>> data = Dataset([[3], [5]], [[5, 7], [3, 3]])
        >>> data.decode([[2, 0]])
        array([[7, 3]])
        """
        return _coding.decode(tokens, self.vocabulary, self.schema)

    def to_records(self, targets: ArrayLike | None = None) -> list[dict[str, Any]]:
        """Return rows as mappings from names to values, as they were in the table; None where one is missing.

        What was in records is text. Without a codec, a field that is several columns wide is a list. With
        ``targets`` (M, C), such as a model's predictions, those of the targets alone.

        Raises
        ------
        TypeError, InputError
            For targets of another shape, or codes that stand for nothing.

        Examples
        --------
        >>> Dataset([[7]], [[1, 2, 0]], names=["sum", "sign"], widths=[2, 1]).to_records()
        [{'0': 7, 'sum': [1, 2], 'sign': 0}]
        """
        steps = self.schema.steps
        if targets is not None:
            y, gaps = _arrays.rows_of(targets, "targets", 2)
            if y.shape[1] != self.columns:
                raise InputError(f"targets: expected shape (M, {self.columns}), got {y.shape}")
            return _coding.records((steps, y, gaps))
        x_gaps, y_gaps = (gaps and gaps(slice(None)) for gaps in (self._rows.input_gaps, self._rows.target_gaps))
        return _coding.records((self.schema.inputs, self.inputs, x_gaps), (steps, self.targets, y_gaps))
