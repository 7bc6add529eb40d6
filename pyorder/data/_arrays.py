"""Arrays of a dataset: what is taken, what is refused and what to call instead, and gaps in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import integer_array
from pyorder.data import _vocabulary as vocabularies
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pyorder.data.field import Field
    from pyorder.data.schema import Schema

    Integers = NDArray[np.integer[Any]]
    Mask = NDArray[np.bool_]
    Gaps = Callable[[slice], Mask]  # of a block of rows: where its array has no value

_BLOCK = 2**18  # values that are worked on at a time
_INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
_MASKED = "give missing values as a masked array, np.ma.array(values, mask=where_missing)"


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into blocks of a few hundred thousand values, so that work on them needs little memory."""
    size = max(1, _BLOCK // max(1, columns))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def rows_of(values: ArrayLike, name: str, least: int) -> tuple[Integers, Mask | None]:
    """Return values as rows (N, M) of integers, read-only, and the mask (N, M) where there is one.

    A masked array is not told from its plain values where nothing is masked. Arrays that can change are copied, in
    the smallest type that holds what is not masked; what stood behind the mask may be another value then.
    """
    if isinstance(values, (list, tuple)) and any(isinstance(row, np.ma.MaskedArray) for row in values):
        values = np.ma.array(values)  # NumPy would drop the masks of the rows
    mask: Mask | None = None
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values) if np.ma.is_masked(values) else None
        values = np.ma.getdata(values)
    try:
        array = integer_array(values, name)
    except TypeError as error:
        hint = _hint(values)
        if least == 0 and np.ndim(values) == 2 and np.shape(values)[1] == 0:
            array = np.zeros(np.shape(values), np.int8)  # nothing, of whatever type
        else:
            raise TypeError(f"{error}{hint}") from None
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < least:
        raise InputError(f"{name}: expected shape (N, M) with N >= 1 and M >= {least}, got {array.shape}")
    changes = _can_change(array)
    if changes or array.dtype == np.uint64:
        low, high = _extent(array, mask)
        vocabularies.check_int64(high, name)
    if changes:
        array = array.astype(holding(low, high), order="C")
        array.flags.writeable = False
    return array, mask


def _extent(array: Integers, mask: Mask | None) -> tuple[int, int]:
    """The least and the greatest value that is not masked; twice 0 where there is none."""
    found = []
    for block in blocks(*array.shape):
        values = array[block] if mask is None else array[block][~mask[block]]
        if values.size:
            found += [int(values.min()), int(values.max())]
    return min(found, default=0), max(found, default=0)


def _hint(values: ArrayLike) -> str:
    """What to call instead, for values that are no integers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        return ""
    kind = array.dtype.kind
    if kind == "b":
        return "; call .astype(int)"
    if kind in "US":
        return "; encode text as integers first, a column at a time: np.unique(column, return_inverse=True)[1]"
    if kind == "O":
        return f"; encode every column as integers first, and {_MASKED}"
    if kind != "f" or array.size == 0:
        return ""
    holes = np.argwhere(np.isnan(array))
    if len(holes):
        where = f"NaN at {tuple(holes[0].tolist())}"
        fix = "np.ma.array(np.nan_to_num(a).astype(int), mask=np.isnan(a))"
        return f"; there is {where}: give missing values as a masked array, {fix}"
    if np.isfinite(array).all() and (array == np.trunc(array)).all():
        return "; the values are whole: call .astype(int)"
    return "; round what is continuous to a few hundred integers at most"


def _can_change(array: NDArray[Any]) -> bool:
    """Whether the array, or one that it is a view of, can be written to."""
    owner: Any = array
    while owner is not None:
        if isinstance(owner, np.ndarray) and owner.flags.writeable:
            return True
        owner = getattr(owner, "base", None)
    return False


def smallest(values: Integers) -> Integers:
    """Return values in the smallest integer type that holds them."""
    return values.astype(holding(int(values.min()), int(values.max())), copy=False)


def holding(low: int, high: int) -> type[np.integer[Any]]:
    """The smallest integer type that holds what is between two values within int64."""
    return next(dtype for dtype in _INTEGERS if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max)


def place(row: int, column: int, fields: tuple[Field, ...], what: str) -> str:
    """Say where a value stands, by name too where the fields have names."""
    text = f"row {row}, column {column}"
    names = [field.name for field in fields]
    if names == [str(number) for number in range(len(names))]:
        return text
    of_column = np.repeat(np.arange(len(fields)), [field.width for field in fields])
    return f"{text}, {what} {names[of_column[column]]!r}"


def steps_and_places(schema: Schema) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, of every column, the step and the place inside of its span; (C,) each."""
    steps = np.repeat(np.arange(schema.length), schema.widths)
    return steps, np.arange(schema.columns) - schema.offsets[steps]


def span_lengths(mask: Mask | None, schema: Schema) -> NDArray[np.unsignedinteger[Any]] | None:
    """Return how many values each span has, (N, L) unsigned; None where no row ends a span early.

    InputError for a mask (N, C) with a gap before a value of the same span.
    """
    if mask is None:
        return None
    steps, places = steps_and_places(schema)
    lengths = np.empty((len(mask), schema.length), np.min_scalar_type(max(schema.widths)))
    for block in blocks(*mask.shape):
        counts = np.add.reduceat(~mask[block], schema.offsets[:-1], axis=1, dtype=np.int64)
        wrong = np.argwhere(mask[block] & (places < counts[:, steps]))
        if len(wrong):
            row, column = wrong[0].tolist()
            where = place(block.start + row, column, schema.steps, "step")
            raise InputError(f"targets: expected gaps at the end of a step only, got one before a value ({where})")
        lengths[block] = counts
    return lengths


def target_gaps(lengths: NDArray[np.unsignedinteger[Any]], schema: Schema) -> Gaps:
    """Return where targets have no value, by block of rows."""
    steps, places = steps_and_places(schema)
    return lambda block: places >= lengths[block][:, steps]


def fill(array: Integers, gaps: Gaps, spare: int | None, name: str) -> Integers:
    """Return the array with one of its own values in its gaps, or the spare one where it has none; read-only."""
    value = first_value(array, gaps)
    if value is None:
        value = spare
    if value is None:
        raise InputError(f"{name}: expected at least one value that is not missing")
    if not np.iinfo(array.dtype).min <= value <= np.iinfo(array.dtype).max:
        array = array.astype(np.int64)
    elif not array.flags.writeable:
        array = array.copy()
    for block in blocks(*array.shape):
        array[block][gaps(block)] = value
    array.flags.writeable = False
    return array


def first_value(array: Integers, gaps: Gaps | None) -> int | None:
    """Return the first value that is not in a gap, None where there is none."""
    for block in blocks(*array.shape):
        values = array[block] if gaps is None else array[block][~gaps(block)]
        if values.size:
            return int(values.flat[0])
    return None


def distinct(array: Integers, gaps: Gaps | None) -> Integers:
    """Return the distinct values that are not in a gap."""
    found: Integers = array[:0].ravel()
    waiting: list[Integers] = []
    for block in blocks(*array.shape):
        waiting.append(np.unique(array[block] if gaps is None else array[block][~gaps(block)]))
        if sum(map(len, waiting)) > max(len(found), _BLOCK):  # seldom, where there are very many values
            found, waiting = np.unique(np.concatenate([found, *waiting])), []
    return np.unique(np.concatenate([found, *waiting]))
