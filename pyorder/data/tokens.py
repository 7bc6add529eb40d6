"""What models see of a dataset: token ids in the smallest integer type, on the device that works with them.

=============  ==================  =======================================================================
symbol         shape, type         meaning
=============  ==================  =======================================================================
N                                  rows
X                                  inputs, 0 or more
C, L                               columns of a target, and its steps: step s is a span of columns
V                                  vocabulary size: values, and the end symbol where the schema has one
inputs         (N, X) small        token ids
targets        (N, C) small        token ids by canonical column; `IGNORED` where a row has nothing
=============  ==================  =======================================================================

Ids are widened batch by batch. Columns move with their steps: the secret shuffle of a search is
`Tokens.reordered`, and nothing else relabels steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyorder.data._groups import group_rows
from pyorder.data.dataset import Dataset
from pyorder.data.schema import IGNORED, Schema

Ints = npt.NDArray[np.int64]

ROWS_AT_ONCE = 4096  # whose ids are widened together


class Shape(NamedTuple):
    """What a model has to be built for."""

    vocabulary_size: int
    input_length: int
    columns: int


class Apart(NamedTuple):
    """Rows that were set apart from others; see `Tokens.set_apart`.

    Attributes
    ----------
    held, kept : row numbers, each in random sequence
    cluster : of each of ``held``; equal where the rows are not independent of each other
    by_input : whether no input is in both
    """

    held: Ints
    kept: Ints
    cluster: Ints
    by_input: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of `Tokens`, each with an order of its columns.

    Attributes
    ----------
    tokens : whose rows they are
    rows : (B,) int64
    columns : (B, C) int64, the column emitted at each place; the columns of a step stand together, in sequence
    inputs : (B, X) int64 token ids
    """

    tokens: Tokens
    rows: Tensor
    columns: Tensor
    inputs: Tensor

    def part(self, rows: slice) -> Batch:
        """Some of its rows."""
        return Batch(self.tokens, self.rows[rows], self.columns[rows], self.inputs[rows])

    @cached_property
    def targets(self) -> Tensor:
        """(B, C) int64 by canonical column, `IGNORED` where a row has nothing."""
        return self.tokens.targets[self.rows].long()

    @property
    def order(self) -> Tensor:
        """(B, L) int64, the step emitted at each slot."""
        steps = self.tokens.step_of_column[self.columns]
        if self.tokens.schema.columns == self.tokens.length:
            return steps
        first = torch.ones_like(steps, dtype=torch.bool)
        first[:, 1:] = steps[:, 1:] != steps[:, :-1]
        return steps[first].view(len(steps), -1)

    @cached_property
    def emitted(self) -> Tensor:
        """(B, C) int64 token ids in the sequence in which they are emitted; a filler where there is nothing."""
        return self.tokens.filled(self.targets.gather(1, self.columns))

    @property
    def padding(self) -> Tensor | None:
        """(B, C) bool by canonical column: where a row has nothing; None where that never happens."""
        return self.targets == IGNORED if self.tokens.padded else None


@dataclass(frozen=True, eq=False)
class Tokens:
    """A dataset as models see it; see this module's notes.

    Examples
    --------
    >>> data = Dataset([[5], [7]], [[7, 5, 5], [5, 5, 7]])
    >>> tokens = Tokens.of(data, "train", torch.device("cpu"))
    >>> tokens.shape, tokens.targets.dtype
    (Shape(vocabulary_size=2, input_length=1, columns=3), torch.int8)
    >>> tokens.batch(torch.tensor([1]), torch.tensor([[2, 0, 1]])).emitted
    tensor([[1, 0, 0]])
    """

    inputs: Tensor
    targets: Tensor
    schema: Schema
    vocabulary_size: int
    groups: Ints | None = None  # (N,), which rows belong together
    vocabulary: Ints | None = None  # the dataset's value of each id but the end symbol; None: ids are values

    @classmethod
    def of(
        cls,
        data: Dataset,
        name: str,
        device: torch.device,
        like: tuple[Ints, Schema] | None = None,
    ) -> Tokens:
        """Encode ``data`` by the training data's vocabulary and schema; by its own where none are given.

        Raises
        ------
        ValueError
            If ``data`` holds a value that the vocabulary lacks, or rows of another shape; ``name`` begins the
            message.
        """
        vocabulary, schema = like or (data.vocabulary, data.schema)
        check_same_shape(schema, data, name)
        inputs, targets = data.encode(vocabulary, ends=schema.ends, name=name)
        return cls(
            torch.from_numpy(inputs).to(device),
            torch.from_numpy(targets).to(device),
            schema,
            len(vocabulary) + schema.ends,
            data.groups,
            vocabulary,
        )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def device(self) -> torch.device:
        """Where the ids are."""
        return self.inputs.device

    @property
    def length(self) -> int:
        """L, the number of steps."""
        return self.schema.length

    @property
    def shape(self) -> Shape:
        """What a model of these tokens has to be built for."""
        return Shape(self.vocabulary_size, self.inputs.shape[1], self.targets.shape[1])

    @property
    def values(self) -> Ints:
        """(V,) the dataset's value of each id, without the end symbol."""
        if self.vocabulary is None:
            return np.arange(self.vocabulary_size - self.padded)
        return self.vocabulary

    @property
    def padded(self) -> bool:
        """Whether a row may have nothing in a column."""
        return self.schema.ends

    @cached_property
    def step_of_column(self) -> Tensor:
        """(C,) int64, on the device."""
        return torch.from_numpy(np.repeat(np.arange(self.length), self.schema.widths)).to(self.device)

    def filled(self, ids: Tensor) -> Tensor:
        """Ids with a token that stands for nothing, the end symbol, where they are `IGNORED`."""
        return ids.masked_fill(ids == IGNORED, self.vocabulary_size - 1) if self.padded else ids

    def column_orders(self, orders: npt.NDArray[np.integer]) -> Tensor:
        """Orders of steps (T, L) as orders of columns (T, C), int64 on the device."""
        return torch.from_numpy(self.schema.column_orders(np.ascontiguousarray(orders, np.int64))).to(self.device)

    def by_step(self, losses: Tensor) -> Tensor:
        """Sum losses (..., C) by canonical column over the columns of each step: (..., L)."""
        if self.schema.columns == self.length:
            return losses
        sums = losses.new_zeros(*losses.shape[:-1], self.length)
        return sums.index_add(-1, self.step_of_column, losses)

    def batch(self, rows: Tensor, columns: Tensor) -> Batch:
        """Look rows (B,) up, each with the order of its columns (B, C)."""
        return Batch(self, rows, columns, self.inputs[rows].long())

    def part(self, rows: slice) -> Tokens:
        """Rows that follow each other, without a copy."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows], groups=groups)

    def select(self, rows: Tensor) -> Tokens:
        """The tokens of some rows."""
        groups = None if self.groups is None else self.groups[rows.cpu().numpy()]
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows], groups=groups)

    def reordered(self, order: Ints) -> Tokens:
        """The same targets with step ``order[j]`` called j; `numpy.argsort` of the order calls them back."""
        (columns,) = self.column_orders(order[None])
        return replace(self, targets=self.targets[:, columns], schema=self.schema.reordered(order))

    def compact(self) -> Tokens:
        """Number the tokens that occur from 0 on: a vocabulary can be declared much wider, and logits cost time.

        The end symbol stays the last.

        Examples
        --------
        >>> data = Dataset([[7]], [[900, 2]], vocabulary=range(1000))
        >>> tokens = Tokens.of(data, "train", torch.device("cpu")).compact()
        >>> tokens.inputs, tokens.targets, tokens.vocabulary_size
        (tensor([[1]], dtype=torch.int16), tensor([[2, 0]], dtype=torch.int16), 3)
        """
        used = torch.zeros(self.vocabulary_size, dtype=torch.bool, device=self.device)
        if self.padded:
            used[-1] = True
        for ids in (self.inputs, self.targets):
            for part in torch.split(ids, ROWS_AT_ONCE):
                used[part[part != IGNORED].long()] = True
        if bool(used.all()):
            return self
        number = used.cumsum(0) - 1
        return replace(
            self,
            inputs=_renumbered(self.inputs, number),
            targets=_renumbered(self.targets, number),
            vocabulary_size=int(used.sum()),
            vocabulary=self.values[used[: len(self.values)].cpu().numpy()],
        )

    def set_apart(self, count: int, rng: np.random.Generator, least: int = 1) -> Apart:
        """Cut the rows in two, at random: about ``count``, and the rest; equal inputs stay together, or groups.

        Where one input has more rows than that, where those of fewer than ``least`` inputs would be set apart, and
        where there are no inputs, rows are cut one by one; groups stay whole.

        Examples
        --------
        >>> data = Dataset([[1], [2], [1], [2]], [[1, 2], [2, 1], [1, 2], [2, 1]])
        >>> apart = Tokens.of(data, "train", torch.device("cpu")).set_apart(2, np.random.default_rng(0))
        >>> sorted([sorted(apart.held.tolist()), sorted(apart.kept.tolist())]), apart.by_input
        ([[0, 2], [1, 3]], True)
        """
        rows = rng.permutation(len(self))
        if self.groups is not None:
            turn = group_rows(self.groups[rows, None])  # of the row's group, in the sequence of first rows
            held = _some_groups(np.bincount(turn), count)[turn]
            return Apart(rows[held], rows[~held], turn[held], True)
        turn = group_rows(self.inputs.cpu().numpy()[rows])
        sizes = np.bincount(turn)
        last = int(np.searchsorted(np.cumsum(sizes), count))
        if sizes.max() > count or last + 1 < min(least, count):
            return Apart(rows[:count], rows[count:], np.arange(count), False)
        held = turn <= last
        del sizes
        return Apart(rows[held], rows[~held], turn[held], True)


def _some_groups(sizes: Ints, count: int) -> npt.NDArray[np.bool_]:
    """Take groups of so many rows (G,), in sequence, while they have ``count`` at most; the smallest at least."""
    if len(sizes) < 2:
        raise ValueError("train: all rows are of one group, and none can be set apart")
    taken = np.zeros(len(sizes), np.bool_)
    for group, size in enumerate(sizes.tolist()):
        if size <= count:
            taken[group] = True
            count -= size
    if not taken.any():
        taken[sizes.argmin()] = True
    return taken


def _renumbered(ids: Tensor, number: Tensor) -> Tensor:
    """Ids (N, M) by a table (V,), some rows at a time; their type stays."""
    new = torch.empty_like(ids)
    for part, out in zip(torch.split(ids, ROWS_AT_ONCE), torch.split(new, ROWS_AT_ONCE), strict=True):
        old = part.long()
        out.copy_(torch.where(old == IGNORED, old, number[old.clamp(min=0)]))
    return new


def check_same_shape(schema: Schema, other: Dataset, name: str) -> None:
    """Refuse a split whose rows are not as long as the training rows, or cut into other steps."""
    wanted = (schema.input_length, schema.length)
    given = (other.input_length, other.target_length)
    if given != wanted:
        raise ValueError(f"{name}: rows of {given} inputs and steps given, training has {wanted}")
    if other.schema.widths != schema.widths:
        raise ValueError(f"{name}: steps of {other.schema.widths} columns given, training has {schema.widths}")
