"""Datasets: pairs of integer rows, an input X and the target Y that follows from it.

=============  ==================  ===================================================================
symbol         shape, type         meaning
=============  ==================  ===================================================================
N                                  number of rows, at least 1
X                                  values of an input, at least 1
L                                  steps of a target, at least 2
inputs         (N, X) integers     values, as given
targets        (N, L) integers     values, as given, in canonical order
vocabulary     (V,) int64          the values there can be, sorted; the token of ``vocabulary[t]`` is t
=============  ==================  ===================================================================
"""

from __future__ import annotations

import importlib.metadata
import json
import zipfile
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

import numpy as np

from pyorder._checks import MAX_SEED, check_integer, integer_array
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._groups import group_rows
from pyorder.data.files import list_safetensors, read_safetensors, write_safetensors
from pyorder.orders.permutations import check_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Dataset", "Splits"]

_INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


class Splits(NamedTuple):
    """Three datasets; no input of one occurs in another."""

    train: Dataset
    validation: Dataset
    test: Dataset


class Dataset:
    """Inputs (N, X) and targets (N, L) of integers, with the vocabulary they are drawn from.

    Arrays, tensors and nested lists of any integer type are taken, and their values kept as given. A dataset
    does not change: arrays that can be written to are copied, read-only arrays (memory maps) are kept.

    Parameters
    ----------
    inputs : (N, X) integers
    targets : (N, L) integers
        One column a step, in canonical order.
    vocabulary : integers, optional
        The values there can be. Without it, the sorted values of inputs and targets.
    metadata : mapping of text to text, optional
        Kept in files. The key ``vocabulary`` is reserved.

    Raises
    ------
    TypeError
        For values that are no integers: floats, bools, objects.
    ValueError
        For shapes other than (N, X) and (N, L), no rows, fewer than 2 steps, ragged lists, or values that
        int64 cannot hold.

    Examples
    --------
    >>> data = Dataset([[7, -2, 4], [0, 1, 1]], [[7, -4, -6], [0, 1, 2]])
    >>> data
    Dataset(rows=2, input_length=3, target_length=3)
    >>> data.vocabulary
    array([-6, -4, -2,  0,  1,  2,  4,  7])
    """

    def __init__(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        vocabulary: ArrayLike | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._inputs = _rows(inputs, "inputs", columns=1)
        self._targets = _rows(targets, "targets", columns=2)
        if len(self._inputs) != len(self._targets):
            raise ValueError(
                f"targets: expected as many rows as inputs ({len(self._inputs)}), got {len(self._targets)}"
            )
        self._declared = None if vocabulary is None else vocabularies.check(vocabulary)
        self._metadata = dict(metadata or {})
        for key, text in self._metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"metadata: expected text for text, got {text!r} for {key!r}")
        if "vocabulary" in self._metadata:
            raise ValueError("metadata: the key 'vocabulary' is reserved; give the argument vocabulary instead")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled or copied, which is read-only again."""
        self.__dict__.update(state)
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def inputs(self) -> NDArray[np.integer[Any]]:
        """The inputs (N, X), read-only."""
        return self._inputs

    @property
    def targets(self) -> NDArray[np.integer[Any]]:
        """The targets (N, L), read-only."""
        return self._targets

    @property
    def rows(self) -> int:
        """The number of rows, N."""
        return len(self._inputs)

    def __len__(self) -> int:
        return self.rows

    @property
    def input_length(self) -> int:
        """The number of values of an input, X."""
        return int(self._inputs.shape[1])

    @property
    def target_length(self) -> int:
        """The number of steps of a target, L."""
        return int(self._targets.shape[1])

    @property
    def metadata(self) -> dict[str, str]:
        """A copy of the metadata."""
        return dict(self._metadata)

    @cached_property
    def vocabulary(self) -> NDArray[np.int64]:
        """The declared values, or the sorted distinct values of inputs and targets, (V,) int64, read-only."""
        return self._declared if self._declared is not None else vocabularies.distinct(self._inputs, self._targets)

    def __repr__(self) -> str:
        lengths = f"input_length={self.input_length}, target_length={self.target_length}"
        return f"Dataset(rows={self.rows}, {lengths})"

    @property
    def schema(self):
        from pyorder.data.schema import Field, Schema
        return Schema(tuple(Field(str(i)) for i in range(self.input_length)), tuple(Field(str(i)) for i in range(self.target_length)))

    def encode(
        self, vocabulary: ArrayLike | None = None, *, ends: bool = False, name: str = "dataset"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens of inputs (N, X) and targets (N, L): their places in a vocabulary.

        The vocabulary is the dataset's own unless another is given; messages call the dataset ``name``.

        Raises
        ------
        ValueError
            For a value that the vocabulary lacks.

        Examples
        --------
        >>> train, test = Dataset([[3], [5]], [[5, 7], [3, 3]]), Dataset([[5]], [[3, 8]])
        >>> train.encode()
        (array([[0],
               [1]]), array([[1, 2],
               [0, 0]]))
        >>> test.encode(train.vocabulary, name="test")
        Traceback (most recent call last):
        ValueError: test: targets hold the value 8 (row 0, column 1), which is not in the training vocabulary
        """
        values = self.vocabulary if vocabulary is None else vocabularies.check(vocabulary)
        inputs = vocabularies.tokens(self._inputs, values, f"{name}: inputs").astype(np.int16)
        return inputs, vocabularies.tokens(self._targets, values, f"{name}: targets").astype(np.int16)

    def select(self, rows: ArrayLike) -> Dataset:
        """Return the dataset of the given rows, (M,) integers from 0 to N - 1, in that sequence.

        Raises
        ------
        TypeError
            For rows that are no integers, such as a mask.
        ValueError
            For no rows, or rows out of range.

        Examples
        --------
        >>> Dataset([[1], [2], [3]], [[1, 1], [2, 2], [3, 3]]).select([2, 0]).targets
        array([[3, 3],
               [1, 1]])
        """
        chosen = integer_array(rows, "rows")
        if chosen.ndim != 1 or chosen.size == 0:
            raise ValueError(f"rows: expected shape (M,) with M of at least 1, got {chosen.shape}")
        if chosen.min() < 0 or chosen.max() >= self.rows:
            raise ValueError(
                f"rows: expected rows from 0 to {self.rows - 1}, got {chosen.min()} to {chosen.max()}"
            )
        return self._like(self._inputs[chosen], self._targets[chosen], {})

    def reorder(self, order: ArrayLike) -> Dataset:
        """Return the dataset whose targets are emitted in an order, (L,) integers: ``targets[:, order]``.

        The metadata key ``order`` then tells the order.

        Raises
        ------
        TypeError, ValueError
            For an order that is not a permutation of 0..L-1.

        Examples
        --------
        >>> Dataset([[7, -2, 4]], [[7, -4, -6]]).reorder([2, 0, 1]).targets
        array([[-6,  7, -4]])
        """
        steps = check_order(order, self.target_length)
        text = json.dumps(steps.tolist())
        if "order" in self._metadata:
            text = f"{self._metadata['order']} then {text}"
        return self._like(self._inputs, self._targets[:, steps], {"order": text})

    def split(self, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), *, seed: SupportsIndex) -> Splits:
        """Return training, validation and test splits, by distinct input: equal inputs stay together.

        Rows keep their sequence; where they go depends on the data, the fractions and the seed (0 to
        2**64 - 1). Each split has the vocabulary of the whole, so that a rare value may be in any of them.

        Raises
        ------
        ValueError
            For fractions that are not three positive numbers with the sum 1, or when a split would be empty.

        Examples
        --------
        >>> data = Dataset([[v] for v in range(10)], [[v, v] for v in range(10)])
        >>> [part.rows for part in data.split(seed=0)]
        [8, 1, 1]
        """
        shares = np.asarray(fractions, dtype=np.float64)
        if shares.shape != (3,) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
            raise ValueError(f"fractions: expected three positive numbers with the sum 1, got {fractions!r}")
        seed = check_integer(seed, "seed", 0, MAX_SEED)

        group = group_rows(self._inputs)
        sizes = np.bincount(group)
        distinct = len(sizes)
        # Raw random bits, because NumPy promises them to stay the same; its shuffles may change.
        shuffled = np.argsort(np.random.Philox(key=seed).random_raw(distinct), kind="stable")
        sizes = sizes[shuffled]
        middles = np.cumsum(sizes) - sizes / 2
        part = np.empty(distinct, dtype=np.int8)
        part[shuffled] = np.searchsorted(self.rows * np.cumsum(shares)[:2], middles)
        part = part[group]
        parts = []
        for number, name in enumerate(Splits._fields):
            rows = np.flatnonzero(part == number)
            if rows.size == 0:
                raise ValueError(
                    f"fractions: the {name} split would be empty; the data has {self.rows} rows and "
                    f"{distinct} distinct inputs, and {fractions!r} was asked for"
                )
            parts.append(
                Dataset(
                    self._inputs[rows],
                    self._targets[rows],
                    vocabulary=self.vocabulary,
                    metadata=self._metadata | {"split": name},
                )
            )
        return Splits(*parts)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a safetensors file with the arrays ``inputs`` and ``targets``, all or nothing.

        Values take the smallest integer type that holds them. The metadata, the declared vocabulary and the
        version of pyorder go along.

        Raises
        ------
        OSError
            When the directory or the disk refuses; what was there before is kept.

        Examples
        --------
        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "mine.safetensors")
        ...     Dataset([[300, -2]], [[1, 2]], metadata={"source": "me"}).save(path)
        ...     data = Dataset.open(path)
        ...     data.inputs, data.targets.dtype, data.metadata["source"]
        (array([[300,  -2]], dtype=int16), dtype('int8'), 'me')
        """
        metadata = self._metadata | {"pyorder_version": importlib.metadata.version("pyorder")}
        if self._declared is not None:
            metadata["vocabulary"] = vocabularies.to_text(self._declared)
        write_safetensors(path, {"inputs": _smallest(self._inputs), "targets": _smallest(self._targets)}, metadata)

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Dataset:
        """Map a safetensors file with the arrays ``inputs`` and ``targets`` into memory; nothing is copied.

        Other arrays in the file are passed over, whatever their types.

        Raises
        ------
        OSError
            When the file cannot be opened; FileNotFoundError when there is none.
        ValueError
            When the file breaks the format, or what it holds is no dataset.

        Examples
        --------
        >>> Dataset.open("nowhere.safetensors")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.safetensors'
        """
        found = list_safetensors(path)
        arrays, metadata = read_safetensors(path, found.keys() & {"inputs", "targets"})
        text = metadata.pop("vocabulary", None)
        try:
            vocabulary = None if text is None else vocabularies.from_text(text)
            return cls(**_both(arrays, found), vocabulary=vocabulary, metadata=metadata)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def load_npz(cls, path: str | PathLike[str]) -> Dataset:
        """Read the arrays ``inputs`` and ``targets`` of a NumPy ``.npz`` file; pickled objects are refused.

        Raises
        ------
        OSError
            When the file cannot be opened.
        ValueError
            When it is no .npz file, or what it holds is no dataset.

        Examples
        --------
        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "mine.npz")
        ...     np.savez(path, inputs=[[1, 2]], targets=[[1, 3]])
        ...     Dataset.load_npz(path).targets
        array([[1, 3]])
        """
        with open(path, "rb") as file:
            try:
                if not zipfile.is_zipfile(file):
                    raise ValueError("not an .npz file")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
                    return cls(**_both(archive, archive))
            # Damaged archives and headers raise whatever the readers of zip files, compression and Python
            # literals have: SyntaxError, LZMAError, BadZipFile, OverflowError, OSError, ...
            except Exception as error:
                raise ValueError(f"{path}: {error}") from None

    def _like(
        self, inputs: NDArray[np.integer[Any]], targets: NDArray[np.integer[Any]], news: dict[str, str]
    ) -> Dataset:
        for array in (inputs, targets):
            array.flags.writeable = False
        return Dataset(inputs, targets, vocabulary=self._declared, metadata=self._metadata | news)


def check_datasets(**given: object) -> None:
    """Refuse what is no `Dataset`, by the argument's name; TypeError."""
    for name, data in given.items():
        if not isinstance(data, Dataset):
            kind = type(data).__name__
            raise TypeError(f"{name}: a Dataset is needed, {kind} given; Dataset(inputs, targets) makes one")


def _rows(values: ArrayLike, name: str, columns: int) -> NDArray[np.integer[Any]]:
    array = integer_array(values, name)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < columns:
        raise ValueError(f"{name}: expected shape (N, M) with N >= 1 and M >= {columns}, got {array.shape}")
    vocabularies.check_int64(array, name)
    if _can_change(array):
        array = array.copy()
        array.flags.writeable = False
    return array


def _can_change(array: NDArray[Any]) -> bool:
    """Whether the array, or one that it is a view of, can be written to."""
    owner: Any = array
    while owner is not None:
        if isinstance(owner, np.ndarray) and owner.flags.writeable:
            return True
        owner = getattr(owner, "base", None)
    return False


def _smallest(values: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    low, high = int(values.min()), int(values.max())
    fitting = (dtype for dtype in _INTEGERS if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)
    return values.astype(next(fitting), copy=False)


def _both(arrays: Mapping[str, NDArray[Any]], found: Iterable[str]) -> dict[str, Any]:
    for name in ("inputs", "targets"):
        if name not in arrays:
            raise ValueError(f"expected the arrays inputs and targets, found {', '.join(found) or 'none'}")
    return {name: arrays[name] for name in ("inputs", "targets")}
