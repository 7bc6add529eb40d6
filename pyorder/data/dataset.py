"""Datasets: pairs of integer rows, an input X and the target Y that follows from it.

===============  ==================  =================================================================
symbol           shape, type         meaning
===============  ==================  =================================================================
N                                    number of rows, at least 1
X                                    values of an input, 0 or more
L                                    steps of a target, at least 2
C                                    columns of a target, the sum of the steps' widths
V                                    number of values in the vocabulary
inputs           (N, X) integers     values, as given; any value of the vocabulary where one is missing
targets          (N, C) integers     values, as given, in canonical order; likewise
lengths          (N, L) unsigned     values that each step has in each row; None: none ends early
inputs_missing   (N, X) bool         where an input has no value; None: nowhere
vocabulary       (V,) int64          the values there can be, sorted; the token of ``vocabulary[t]`` is t
===============  ==================  =================================================================

Step s is the *span* of columns ``offsets[s]:offsets[s + 1]`` of the targets (`pyorder.data.schema.Schema`), one
column unless told otherwise. In a row, a span may *end early*; a step without any value is *missing*.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

import numpy as np

from pyorder._checks import integer_array
from pyorder.data import _arrays, _dataset_files, constraints, splitting
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._rows import Rows
from pyorder.data._sources import Sourced
from pyorder.data.reordering import order_of
from pyorder.data.schema import make_schema
from pyorder.data.splitting import assign_rows, comparable
from pyorder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    from numpy.typing import ArrayLike

    from pyorder.data.reordering import Order
    from pyorder.data.schema import Missing
    from pyorder.orders.posets import Poset

__all__ = ["Dataset", "Splits"]


class Splits(NamedTuple):
    """Three datasets; no input of one occurs in another, unless the metadata say ``split_by`` ``row``."""

    train: Dataset
    validation: Dataset
    test: Dataset


class Dataset(Sourced):
    """Inputs (N, X) and targets (N, C) of integers, with the vocabulary they are drawn from.

    Arrays, tensors and nested lists of any integer type are taken. A dataset does not change: arrays that can be
    written to are copied, into the smallest integer type that holds their values, so widen `inputs` and `targets`
    before you calculate with them; read-only arrays (memory maps) are kept as they are.

    A masked array (`numpy.ma`) has gaps. In the inputs they are missing values; in the targets a step ends
    early where the last columns of its span are masked, and is missing where all are.

    Parameters
    ----------
    inputs : (N, X) integers, or None
        None, or an array of no columns, where targets are to be written from nothing.
    targets : (N, C) integers
        In canonical order; one column a step, or as many as ``widths`` says.
    widths : L integers, optional
        How many columns wide each step is.
    names, input_names : L and X texts, optional
        What steps and inputs are called. Without them, by their numbers.
    vocabulary : integers, optional
        The values there can be. Without it, the sorted values of inputs and targets.
    missing : "symbol" or "mask"
        Whether a missing step is predicted, as a step that ends at once, or left out.
    ends : bool
        True for data that may have gaps though these rows have none, such as training rows of your own splits.
    groups : (N,) integers or texts, optional
        What rows belong to, such as a patient. Rows of one group are never on two sides of a split.
    metadata : mapping of text to text, optional
        Kept in files. The keys ``vocabulary`` and ``schema`` are reserved.

    Raises
    ------
    TypeError
        For values that are no integers: floats, bools, text, objects. The message says what to call.
    InputError
        For shapes other than (N, X) and (N, C), no rows, fewer than 2 steps, ragged lists, values that int64
        cannot hold, a gap before a value of the same step, no value at all; InputError is a ValueError.

    Examples
    --------
    >>> data = Dataset([[7, -2, 4], [0, 1, 1]], [[7, -4, -6], [0, 1, 2]])
    >>> data
    Dataset(rows=2, input_length=3, target_length=3)
    >>> data.vocabulary
    array([-6, -4, -2,  0,  1,  2,  4,  7])
    >>> gaps = np.ma.masked_equal([[1, 2, 3], [4, -1, -1]], -1)
    >>> data = Dataset(None, gaps, widths=[2, 1], names=["sum", "sign"])
    >>> data.names, data.lengths
    (('sum', 'sign'), array([[2, 1],
           [1, 0]], dtype=uint8))
    """

    def __init__(
        self,
        inputs: ArrayLike | None,
        targets: ArrayLike,
        *,
        widths: Sequence[int] | ArrayLike | None = None,
        names: Iterable[str] | None = None,
        input_names: Iterable[str] | None = None,
        vocabulary: ArrayLike | None = None,
        missing: Missing = "symbol",
        ends: bool = False,
        groups: ArrayLike | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        given = None if inputs is None else _arrays.rows_of(inputs, "inputs", 0)
        y, gaps = _arrays.rows_of(targets, "targets", 2)
        x, holes = given or (np.zeros((len(y), 0), np.int8), None)
        schema = make_schema(
            x.shape[1],
            y.shape[1],
            widths=widths,
            names=names,
            input_names=input_names,
            ends=ends or gaps is not None or holes is not None,
            missing=missing,
        )
        numbered = None if groups is None else splitting.number_groups(groups)
        rows = Rows(x, y, schema, _arrays.span_lengths(gaps, schema), holes, numbered)
        declared = None if vocabulary is None else vocabularies.check(vocabulary)
        self._set(rows.filled(declared), declared, metadata or {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled or copied, which is read-only again."""
        if "_inputs" in state:  # as pickled before there were schemas
            arrays = state.pop("_inputs"), state.pop("_targets")
            state["_rows"] = Rows(*arrays, make_schema(*(array.shape[1] for array in arrays)))
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __repr__(self) -> str:
        lengths = f"input_length={self.input_length}, target_length={self.target_length}"
        columns = "" if self.columns == self.target_length else f", columns={self.columns}"
        return f"Dataset(rows={self.rows}, {lengths}{columns})"

    def select(self, rows: ArrayLike) -> Dataset:
        """Return the dataset of the given rows, (M,) integers from 0 to N - 1, in that sequence.

        Raises
        ------
        TypeError
            For rows that are no integers, such as a mask.
        InputError
            For no rows, or rows out of range.

        Examples
        --------
        >>> Dataset([[1], [2], [3]], [[1, 1], [2, 2], [3, 3]]).select([2, 0]).targets
        array([[3, 3],
               [1, 1]], dtype=int8)
        """
        chosen = integer_array(rows, "rows")
        if chosen.ndim != 1 or chosen.size == 0:
            raise InputError(f"rows: expected shape (M,) with M of at least 1, got {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= self.rows:
            raise InputError(
                f"rows: expected rows from 0 to {self.rows - 1}, got {chosen.min()} to {chosen.max()}"
            )
        part = self._rows.take(chosen).filled(self._declared)  # what stands in a gap may be in no chosen row
        return self._of(part, self._declared, self._metadata)

    def reorder(self, order: Order) -> Dataset:
        """Return the dataset whose targets are emitted in an order: ``targets[:, order]`` of (L,) integers.

        The order may also be a list of the steps' names, or a result that has one, such as a `pyorder.Discovery`.

        Steps that are several columns wide move as a whole; names and gaps move along. The metadata key
        ``order`` then tells the order.

        Raises
        ------
        TypeError, ValueError
            For what is no permutation of 0..L-1 or of the names.

        Examples
        --------
        >>> Dataset([[7, -2, 4]], [[7, -4, -6]]).reorder([2, 0, 1]).targets
        array([[-6,  7, -4]], dtype=int8)
        >>> Dataset(None, [[5, 1]], names=["sum", "sign"]).reorder(["sign", "sum"]).targets
        array([[1, 5]], dtype=int8)
        """
        steps = order_of(order, self.schema)
        text = json.dumps(steps.tolist())
        if "order" in self._metadata:
            text = f"{self._metadata['order']} then {text}"
        return self._of(self._rows.reordered(steps), self._declared, self._metadata | {"order": text})

    def constraints(
        self,
        *,
        first: Iterable[str | SupportsIndex] = (),
        last: Iterable[str | SupportsIndex] = (),
        before: Iterable[tuple[str | SupportsIndex, str | SupportsIndex]] = (),
        tiers: Iterable[Iterable[str | SupportsIndex]] = (),
    ) -> Poset:
        """Return what is known of the order of the steps, as a graph that `pyorder.discover` keeps to.

        Steps are named, or numbered from 0.

        Parameters
        ----------
        first, last : steps before and after all others; among themselves in any sequence
        before : pairs of a step and one that comes after it
        tiers : groups of steps; those of one group come before those of all later ones, and steps in no group
            anywhere

        Raises
        ------
        InputError
            For what is no step, a step that is named twice, or a cycle, which the message spells out.

        Examples
        --------
        >>> data = Dataset(None, [[0, 1, 1]], names=["plan", "call", "answer"])
        >>> data.constraints(first=["plan"], before=[("call", "answer")])
        Poset(3, [[0, 1], [0, 2], [1, 2]])
        >>> data.constraints(first=["plan"], before=[("call", "plan")])
        Traceback (most recent call last):
        pyorder.errors.InputError: constraints: no order has plan before call before plan
        """
        return constraints.graph_of(self.names, first=first, last=last, before=before, tiers=tiers)

    def split(self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), *, seed: SupportsIndex) -> Splits:
        """Return training, validation and test splits, by distinct input: equal inputs stay together.

        Rows keep their sequence; where they go depends on the data, the fractions and the seed (0 to
        2**64 - 1). Each split has the vocabulary and the schema of the whole, so that a rare value or a gap may
        be in any of them. A missing input is a value of its own.

        Rows without inputs are split one by one. So are others, with a UserWarning, when there are too few
        distinct inputs: a split would be empty, or the most frequent input has more rows than the smallest split
        should have. The metadata key ``split_by`` is then ``row``. Rows of one group stay together whatever their
        inputs, and ``split_by`` is ``group``.

        Raises
        ------
        InputError
            For fractions that are not three positive numbers with the sum 1, or when there are too few rows or
            groups.

        Examples
        --------
        >>> data = Dataset([[v] for v in range(10)], [[v, v] for v in range(10)])
        >>> [part.rows for part in data.split(seed=0)]
        [8, 1, 1]
        """
        groups = self.groups
        together = comparable(self.inputs, self.inputs_missing) if groups is None else groups[:, None]
        part, by_row, reason = assign_rows(together, fractions, seed)
        if groups is not None and by_row:
            raise InputError(
                f"groups: {len(np.unique(groups))} groups are too few for splits of "
                f"{', '.join(f'{share:g}' for share in fractions)}; the largest has "
                f"{np.bincount(groups).max()} of {self.rows} rows"
            )
        if reason is not None:
            warnings.warn(reason, UserWarning, stacklevel=2)
        metadata = {key: text for key, text in self._metadata.items() if key != "split_by"}
        if by_row or groups is not None:
            metadata["split_by"] = "row" if groups is None else "group"
        return Splits(
            *(
                self._of(
                    self._rows.take(np.flatnonzero(part == number)), self.vocabulary, metadata | {"split": name}
                )
                for number, name in enumerate(Splits._fields)
            )
        )

    @classmethod
    def load_npz(cls, path: str | PathLike[str]) -> Dataset:
        """Read a NumPy ``.npz`` file with the array ``targets``; pickled objects are refused.

        The arrays ``inputs``, ``vocabulary``, ``widths``, ``names`` and ``input_names`` are the arguments of
        those names. Others are passed over, unless their name looks like a misspelt one of these. (NumPy keeps no
        masks in such files: `save` data with gaps.)

        Raises
        ------
        OSError
            When the file cannot be opened.
        InputError
            When it is no .npz file, or what it holds is no dataset.

        Examples
        --------
        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "mine.npz")
        ...     np.savez(path, inputs=[[1, 2]], targets=[[1, 3]])
        ...     Dataset.load_npz(path).targets
        array([[1, 3]], dtype=int8)
        """
        try:
            return cls(**_dataset_files.read_npz(path))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {error}") from None


def check_datasets(**given: object) -> None:
    """Refuse what is no `Dataset`, by the argument's name; TypeError."""
    for name, data in given.items():
        if not isinstance(data, Dataset):
            kind = type(data).__name__
            raise TypeError(f"{name}: a Dataset is needed, {kind} given; Dataset(inputs, targets) makes one")
