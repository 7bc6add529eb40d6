"""Records: from dicts of text, numbers and whatever JSON has to the tokens of a dataset.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
N, F                           records, and fields of them
K                              different texts
W                              characters or tokens of the longest text that is kept
index      (N, F) int64        the text of a field; -1 where it has no value
lengths    (K,) int64          characters or tokens of a text, 1 of an empty one
codes      (K, W) integers     those of a text, then zeros
=========  ==================  =====================================================================

A field is a key, or several with dots between them where objects are inside of others. Whatever it holds becomes
text, and text becomes a span of codes, which ends early where it is shorter than the longest one of its field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import check_integer
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._arrays import smallest
from pyorder.data._columns import FEW_ROWS
from pyorder.data._record_fields import choose_fields, flatten, number_groups, texts_of
from pyorder.data._record_files import read_records
from pyorder.data._rows import Rows
from pyorder.data._tokenizers import Splitter, splitter
from pyorder.data.codecs import SHOWN
from pyorder.data.field import Field
from pyorder.data.schema import Schema
from pyorder.data.texts import Alphabet, TextCodec
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_WIDTH", "rows_of_records"]

MAX_WIDTH = 64
MOST_WIDTH = 2**15 - 1  # more columns than any model here learns


@dataclass(frozen=True, eq=False)
class Texts:
    """The different texts of the rows that are kept: codes (K, W), and how many each text has (K,)."""

    texts: Sequence[str]
    alphabet: Alphabet
    codes: NDArray[np.integer[Any]]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Column:
    """A field of the rows that are kept: codes (N, W), and how many each row has (N,)."""

    field: Field
    codes: NDArray[np.integer[Any]]
    lengths: NDArray[np.int64]


def rows_of_records(
    rows: Any,
    *,
    inputs: Iterable[str] | None,
    targets: Iterable[str] | None,
    ignore: Iterable[str] | None,
    groups: str | None,
    tokenizer: Any,
    max_width: int,
    like: Schema | None,
) -> tuple[Rows, NDArray[np.int64], dict[str, str]]:
    """The rows of records, the vocabulary of their codes, and what to keep in the metadata.

    See `pyorder.data.dataset.Dataset.from_records`.
    """
    limit = check_integer(max_width, "max_width", 1, MOST_WIDTH)
    split = splitter(tokenizer)
    known: Alphabet | None = None
    may_lack: set[str] = set()
    old = None if like is None else (*like.inputs, *like.steps)
    if like is not None and old is not None:
        if any(named is not None for named in (inputs, targets, ignore)):
            raise TypeError(
                "like: keys are those of the other dataset; inputs, targets and ignore cannot be named too"
            )
        known = _alphabet_of(like, split)
        inputs, targets = like.input_names, like.names
        may_lack = {field.name for field in old if isinstance(field.codec, TextCodec) and field.codec.missing}
    flat = [flatten(record, number) for number, record in enumerate(read_records(rows))]
    given, wanted = choose_fields(flat, inputs, targets, ignore, groups, may_lack)
    if len(wanted) < 2:
        raise InputError(f"targets: expected at least 2 keys, got {', '.join(wanted) or 'none'}")
    names = [*given, *wanted]
    texts, index = texts_of(flat, names)
    if not texts:
        raise InputError("rows: expected at least one value, got none")
    lengths = split.lengths(texts)
    widths = [limit] * len(names) if old is None else [field.width for field in old]
    longer = (index >= 0) & (lengths[index] > np.array(widths))  # (N, F)
    kept = ~longer.any(axis=1)
    than = f"than {limit} {split.unit}" if old is None else f"{split.unit} than the other data"
    if not kept.any():
        argument = "max_width" if old is None else "like"
        raise InputError(f"{argument}: no row is left: all {len(flat):,} have more {than} in a field")
    index = index[kept]
    if (index < 0).all():
        raise InputError("rows: expected at least one value in the rows that are left, got none")
    spans = _spans(texts, lengths, index, known, split)
    if old is None:
        left = longer.sum(axis=0).tolist()
        fields = [_field(name, index[:, place], spans, left[place], limit) for place, name in enumerate(names)]
    else:
        fields = list(old)
    columns = [_column(field, index[:, place], spans) for place, field in enumerate(fields)]
    made = _rows(columns, len(given), None if groups is None else number_groups(flat, groups)[kept])
    vocabulary = vocabularies.check(np.arange(len(spans.alphabet.pieces)))
    out = len(flat) - len(index)
    metadata = {"left_out": f"{out:,} of {len(flat):,} rows: more {than} in a field"} if out else {}
    if old is None and (differ := _all_differ(made.schema.steps, len(index))):
        metadata["all_differ"] = json.dumps(differ)
    return made.filled(vocabulary), vocabulary, metadata


def _all_differ(steps: Sequence[Field], rows: int) -> list[str]:
    """The steps whose texts all differ, as those of an id do, in more than a few of so many rows."""
    codecs = {step.name: step.codec for step in steps}
    return [
        name
        for name, codec in codecs.items()
        if isinstance(codec, TextCodec) and FEW_ROWS < codec.count == rows - codec.missing
    ]


def _alphabet_of(like: Schema, split: Splitter) -> Alphabet:
    """The alphabet of other data, which has to be of records that were taken apart in the same way."""
    alphabet = like.alphabet
    if alphabet is None or not all(isinstance(f.codec, TextCodec) for f in (*like.inputs, *like.steps)):
        raise InputError("like: expected a dataset of records")
    if alphabet.unit != split.unit:
        wanted = "the tokenizer" if alphabet.unit == "tokens" else "no tokenizer"
        raise InputError(f"tokenizer: expected {wanted} of the other dataset, whose texts are {alphabet.unit}")
    return alphabet


def _spans(
    texts: Mapping[str, str],
    lengths: NDArray[np.int64],
    index: NDArray[np.int64],
    alphabet: Alphabet | None,
    split: Splitter,
) -> Texts:
    """Texts as codes, by an alphabet of their own or that of other data, which has to have them all."""
    told = list(texts)
    used = np.zeros(len(told), np.bool_)  # texts of rows that are left out alone tell nothing
    used[index[index >= 0]] = True
    kept = [told[text] for text in np.flatnonzero(used).tolist()]
    numbers = split.numbers(kept)
    lengths = np.where(used, lengths, 0)
    of_text = np.repeat(np.arange(len(told)), lengths)
    if alphabet is None:
        alphabet = split.alphabet(np.unique(numbers), kept)
    codes = alphabet.codes(numbers)
    if (unknown := np.flatnonzero(codes < 0)).size:
        text, number = told[of_text[unknown[0]]], int(numbers[unknown[0]])
        what = f"the token {number}" if alphabet.unit == "tokens" else f"the character {chr(max(number, 0))!r}"
        said = f"{text!r:.200} has {what}" if text else "'' is a text of no characters"
        raise InputError(f"field {texts[text]!r}: {said}, which the other data has not")
    spans = np.zeros((len(told), int(lengths.max())), np.min_scalar_type(len(alphabet.pieces)))
    spans[of_text, np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)] = codes
    return Texts(told, alphabet, spans, lengths)


def _field(name: str, index: NDArray[np.int64], spans: Texts, longer: int, limit: int) -> Field:
    """A field that is as wide as its longest text (of texts (N,)), and what was done to it."""
    there = index[index >= 0]
    different, first = np.unique(there, return_index=True)
    shown = [spans.texts[text] for text in different[np.argsort(first)][:SHOWN].tolist()]
    sizes = spans.lengths[different]
    fewest, most = (int(sizes.min()), int(sizes.max())) if len(sizes) else (0, 0)
    if "" in spans.texts and spans.texts.index("") in different:
        fewest = 0  # though a piece of its own stands for it
    missing = len(index) - len(there)
    codec = TextCodec(spans.alphabet, len(different), tuple(shown), fewest, most, missing, longer, limit)
    return Field(name, max(1, most), codec)


def _column(field: Field, index: NDArray[np.int64], spans: Texts) -> Column:
    """A field's codes of texts (N,)."""
    codes = np.zeros((len(index), field.width), spans.codes.dtype)
    narrow = min(field.width, spans.codes.shape[1])
    codes[:, :narrow] = spans.codes[index, :narrow]  # anything where there is no value
    return Column(field, codes, np.where(index >= 0, spans.lengths[index], 0))


def _rows(columns: Sequence[Column], inputs: int, groups: NDArray[np.int64] | None) -> Rows:
    """The rows of columns, of which the first so many are inputs."""
    given, wanted = columns[:inputs], columns[inputs:]
    rows = len(columns[0].codes)
    nothing = np.zeros((rows, 0), np.uint8)
    x = np.concatenate([nothing, *(column.codes for column in given)], axis=1)
    y = np.concatenate([column.codes for column in wanted], axis=1)
    missing = np.concatenate(
        [nothing, *(np.arange(column.field.width) >= column.lengths[:, None] for column in given)], axis=1
    ).astype(np.bool_)
    # An end symbol is there in any case: a text of other data may be shorter than all of these.
    schema = Schema(tuple(column.field for column in given), tuple(column.field for column in wanted), ends=True)
    lengths = np.stack([column.lengths for column in wanted], axis=1).astype(
        np.min_scalar_type(max(schema.widths))
    )
    return Rows(smallest(x) if x.size else x, smallest(y), schema, lengths, missing, groups)
