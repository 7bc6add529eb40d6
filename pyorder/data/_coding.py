"""From values to token ids and back; see `pyorder.data.dataset.Dataset.encode` for the ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import integer_array
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._arrays import blocks, place, steps_and_places
from pyorder.data.schema import IGNORED, Schema
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pyorder.data._arrays import Gaps, Integers
    from pyorder.data.field import Field


def id_type(vocabulary_size: int, ends: bool) -> np.dtype[np.signedinteger[Any]]:
    """Return the smallest signed type of token ids from 0 to the last value or the end symbol."""
    last = vocabulary_size - 1 + ends
    return np.dtype(next(kind for kind in (np.int8, np.int16, np.int32, np.int64) if last <= np.iinfo(kind).max))


def encode(
    values: Integers,
    vocabulary: NDArray[np.int64],
    kind: np.dtype[np.signedinteger[Any]],
    *,
    gaps: Gaps | None,
    fields: tuple[Field, ...],
    what: tuple[str, str],
) -> NDArray[np.signedinteger[Any]]:
    """Return the places of values (N, M) in a vocabulary, block by block; V, the end symbol, in the gaps.

    InputError, which begins with the first of ``what`` and calls a field the second, for a value that it lacks.
    """
    ids = np.empty(values.shape, kind)
    for block in blocks(*values.shape):
        chunk = values[block]
        hidden = None if gaps is None else gaps(block)
        if hidden is not None:
            chunk = np.where(hidden, vocabulary[0], chunk.astype(np.int64))
        places, missing = vocabularies.places(chunk, vocabulary)
        if missing is not None:
            row, column = missing
            where = place(block.start + row, column, fields, what[1])
            raise InputError(
                f"{what[0]} hold the value {chunk[row, column]} ({where}), which is not in the training vocabulary"
            )
        if hidden is not None:
            places[hidden] = len(vocabulary)
        ids[block] = places
    return ids


def mark_ends(
    ids: NDArray[np.signedinteger[Any]], lengths: NDArray[np.unsignedinteger[Any]], schema: Schema
) -> None:
    """Leave one end symbol where a span (of ids (N, C)) ends early, and IGNORED after it, in place."""
    steps, places = steps_and_places(schema)
    for block in blocks(*ids.shape):
        ends = lengths[block][:, steps]
        after = places > ends
        if schema.missing == "mask":
            after |= ends == 0
        ids[block][after] = IGNORED


def decode(tokens: ArrayLike, vocabulary: NDArray[np.int64], schema: Schema) -> NDArray[np.int64]:
    """Return token ids (N, C) as values, int64: a masked array where spans end early, else a plain one.

    A span ends at its first end symbol or IGNORED; what follows in it is left out, whatever it is.

    Raises
    ------
    TypeError, InputError
        For another shape, or ids that the vocabulary and the schema do not have.

    Examples
    --------
    >>> from pyorder.data.schema import make_schema
    >>> schema = make_schema(0, 3, widths=[2, 1], ends=True)
    >>> decode([[0, 2, 1]], np.array([5, 7]), schema)
    masked_array(data=[[5, --, 7]],
                 mask=[[False,  True, False]],
           fill_value=999999)
    """
    ids = integer_array(tokens, "tokens")
    if ids.ndim != 2 or ids.shape[1] != schema.columns:
        raise InputError(f"tokens: expected shape (N, {schema.columns}), got {ids.shape}")
    last = len(vocabulary) - 1
    values = np.empty(ids.shape, np.int64)
    mask = np.zeros(ids.shape, np.bool_)
    steps, _ = steps_and_places(schema)
    begins = schema.offsets[steps]
    for block in blocks(*ids.shape):
        chunk = ids[block].astype(np.int64)
        stops = (chunk == IGNORED) | (chunk == last + 1) if schema.ends else np.zeros(chunk.shape, np.bool_)
        wrong = np.argwhere(~stops & ((chunk < 0) | (chunk > last)))
        if len(wrong):
            row, column = wrong[0].tolist()
            where = place(block.start + row, column, schema.steps, "step")
            allowed = f"0 to {last + schema.ends}" + (f" and {IGNORED}" if schema.ends else "")
            raise InputError(f"tokens: expected ids {allowed}, got {chunk[row, column]} ({where})")
        counts = np.zeros((len(chunk), schema.columns + 1), np.int64)
        np.cumsum(stops, axis=1, out=counts[:, 1:])
        mask[block] = counts[:, 1:] > counts[:, begins]  # a stop has been since the span began
        values[block] = vocabulary[np.where(mask[block], 0, chunk)]
    return np.ma.array(values, mask=mask) if mask.any() else values


def records(*parts: tuple[tuple[Field, ...], Integers, NDArray[np.bool_] | None]) -> list[dict[str, Any]]:
    """Return rows as mappings from names to values, of fields with their arrays (N, M) and masks (N, M).

    InputError where two fields have the same name.

    Examples
    --------
    >>> from pyorder.data.field import Field
    >>> records(((Field("sum", 2), Field("sign")), np.array([[1, 2, 0]]), np.array([[False, True, True]])))
    [{'sum': [1], 'sign': None}]
    """
    found: dict[str, list[Any]] = {}
    for fields, array, mask in parts:
        column = 0
        for field in fields:
            if field.name in found:
                raise InputError(
                    f"names: an input and a step are both called {field.name!r}; name one of them anew"
                )
            span = slice(column, column + field.width)
            column += field.width
            gaps = np.zeros((len(array), field.width), np.bool_) if mask is None else mask[:, span]
            found[field.name] = _values(field, array[:, span], gaps)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _values(field: Field, array: Integers, gaps: NDArray[np.bool_]) -> list[Any]:
    if field.codec is not None:
        known = np.where(gaps, 0, array)
        wrong = np.argwhere((known < 0) | (known >= max(1, len(field.codec.values))))
        if len(wrong):
            row, column = wrong[0].tolist()
            allowed = f"codes 0 to {len(field.codec.values) - 1}"
            raise InputError(f"{field.name}: expected {allowed}, got {known[row, column]} (row {row})")
        decoded: list[Any] = field.codec.decode(known, gaps)
        return decoded
    lists = [
        [v for v, gap in zip(*row, strict=True) if not gap]
        for row in zip(array.tolist(), gaps.tolist(), strict=True)
    ]
    return lists if field.width > 1 else [row[0] if row else None for row in lists]
