"""Schemas: what the columns of a dataset are called, and which columns of the targets are one step.

=============  ==================  ===================================================================
symbol         shape, type         meaning
=============  ==================  ===================================================================
X                                  columns of the inputs, at least 0
L                                  steps of a target, at least 2
C                                  columns of the targets, the sum of the steps' widths
offsets        (L + 1,) int64      step s is the columns ``offsets[s]:offsets[s + 1]``, its *span*
=============  ==================  ===================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyorder._checks import check_integer
from pyorder.data.field import MAX_WIDTH, Field
from pyorder.data.texts import Alphabet, TextCodec
from pyorder.errors import InputError
from pyorder.orders.permutations import check_order, check_orders

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["IGNORED", "Field", "Missing", "Schema"]

Missing = Literal["symbol", "mask"]

# Stands in encoded targets where a row has nothing; what torch's cross-entropy ignores, and int8 holds.
IGNORED = -100

_VERSION, _WITH_CODECS, _WITH_TEXT = 1, 2, 3


@dataclass(frozen=True)
class Schema:
    """The inputs and the steps of a dataset, in the sequence of their columns.

    Parameters
    ----------
    inputs : Fields, may be none
    steps : Fields, at least 2
    ends : bool
        Whether rows may end a step early or miss a value: there is an end symbol then.
    missing : "symbol" or "mask"
        Whether a missing step is predicted, as a step that ends at once, or left out of loss and attention.

    Raises
    ------
    TypeError, InputError
        For anything else, and for names that are not distinct among the inputs or among the steps.

    Examples
    --------
    >>> schema = Schema((Field("a"), Field("b")), (Field("sum", 2), Field("sign")))
    >>> schema.length, schema.columns, schema.input_length, schema.offsets
    (2, 3, 2, array([0, 2, 3]))
    """

    inputs: tuple[Field, ...]
    steps: tuple[Field, ...]
    ends: bool = False
    missing: Missing = "symbol"

    def __post_init__(self) -> None:
        for name in ("inputs", "steps"):
            fields = tuple(getattr(self, name))
            for field in fields:
                if not isinstance(field, Field):
                    raise TypeError(f"{name}: expected Fields, got {field!r}")
            known: set[str] = set()
            for field in fields:
                if field.name in known:
                    raise InputError(f"{name}: expected distinct names, got {field.name!r} twice")
                known.add(field.name)
            object.__setattr__(self, name, fields)
        alphabet = self.alphabet
        for field in (*self.inputs, *self.steps):
            if isinstance(field.codec, TextCodec) and field.codec.alphabet != alphabet:
                raise InputError(f"{field.name}: expected text in the alphabet that the other fields have")
        if len(self.steps) < 2:
            raise InputError(f"steps: expected at least 2 steps, got {len(self.steps)}")
        if not isinstance(self.ends, bool):
            raise TypeError(f"ends: expected True or False, got {self.ends!r}")
        if self.missing not in ("symbol", "mask"):
            raise InputError(f"missing: expected 'symbol' or 'mask', got {self.missing!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy what was given alone: what was computed from it is read-only, and copies would not be."""
        return Schema, (self.inputs, self.steps, self.ends, self.missing)

    @property
    def length(self) -> int:
        """The number of steps, L."""
        return len(self.steps)

    @cached_property
    def columns(self) -> int:
        """The number of columns of the targets, C."""
        return sum(self.widths)

    @cached_property
    def input_length(self) -> int:
        """The number of columns of the inputs, X."""
        return sum(field.width for field in self.inputs)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many columns wide every step is, L of them."""
        return tuple(step.width for step in self.steps)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where the spans of the steps begin and end, (L + 1,) int64, read-only."""
        array = np.array([0, *accumulate(self.widths)], dtype=np.int64)
        array.flags.writeable = False
        return array

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the steps are called, L of them."""
        return tuple(step.name for step in self.steps)

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """What the inputs are called."""
        return tuple(field.name for field in self.inputs)

    @property
    def named(self) -> bool:
        """Whether the steps have names, rather than their numbers "0", "1", ... in place of names."""
        return _names_differ_from_numbers(self.steps)

    @property
    def plain(self) -> bool:
        """Whether there is nothing to it: no names, every field one column wide, no gaps."""
        fields = (*self.inputs, *self.steps)
        named = self.named or _names_differ_from_numbers(self.inputs)
        simple = all(field.width == 1 and field.codec is None for field in fields)
        return simple and not named and not self.ends and self.missing == "symbol"

    @property
    def coded(self) -> bool:
        """Whether integers stand for something else, as those of a table do."""
        return any(field.codec is not None for field in (*self.inputs, *self.steps))

    @property
    def alphabet(self) -> Alphabet | None:
        """What the codes of text stand for, one alphabet for all fields of text; None where there are none."""
        fields = (*self.inputs, *self.steps)
        return next((field.codec.alphabet for field in fields if isinstance(field.codec, TextCodec)), None)

    def describe(self) -> dict[str, str]:
        """Say of each field what its integers stand for, by name; nothing of fields of plain integers.

        Examples
        --------
        >>> from pyorder.data.codecs import Codec
        >>> Schema((), (Field("x", 1, Codec("categories", ("no", "yes"))), Field("y"))).describe()
        {'x': "2 categories: 'no', 'yes'"}
        """
        fields = (*self.inputs, *self.steps)
        return {field.name: field.codec.describe() for field in fields if field.codec is not None}

    def column_orders(self, orders: ArrayLike) -> NDArray[np.int64]:
        """Return orders of steps (T, L) as orders of columns (T, C): a step's columns follow in sequence.

        Orders are returned as they are when every step is one column wide.

        Raises
        ------
        TypeError, ValueError
            For rows that are not permutations of 0..L-1.

        Examples
        --------
        >>> Schema((), (Field("sum", 2), Field("sign"))).column_orders([[0, 1], [1, 0]])
        array([[0, 1, 2],
               [2, 0, 1]])
        """
        steps = check_orders(orders, self.length)
        if self.columns == self.length:
            return steps
        widths = np.array(self.widths, dtype=np.int64)[steps]  # (T, L), by slot
        begins = np.cumsum(widths, axis=1) - widths  # the place where each slot's columns begin
        shifts = np.repeat((self.offsets[steps] - begins).ravel(), widths.ravel())
        columns: NDArray[np.int64] = shifts.reshape(len(steps), self.columns)
        columns += np.arange(self.columns)
        return columns

    def reordered(self, order: ArrayLike) -> Schema:
        """Return the schema whose step j is this one's step ``order[j]``; names and widths move along.

        Numbers in place of names tell places, so they are counted anew.

        Raises
        ------
        TypeError, ValueError
            For an order that is not a permutation of 0..L-1.

        Examples
        --------
        >>> Schema((), (Field("sum", 2), Field("sign"))).reordered([1, 0]).names
        ('sign', 'sum')
        >>> Schema((), (Field("0", 2), Field("1"))).reordered([1, 0]).steps
        (Field(name='0', width=1, codec=None), Field(name='1', width=2, codec=None))
        """
        steps = [self.steps[step] for step in check_order(order, self.length).tolist()]
        if not self.named:
            steps = [Field(str(number), step.width, step.codec) for number, step in enumerate(steps)]
        return Schema(self.inputs, tuple(steps), self.ends, self.missing)

    def to_json(self) -> str:
        """Return the schema as text, for the metadata of files.

        Examples
        --------
        >>> Schema((), (Field("sum", 2), Field("sign"))).to_json()  # doctest: +NORMALIZE_WHITESPACE
        '{"version": 1, "inputs": [], "steps": [{"name": "sum", "width": 2}, {"name": "sign", "width": 1}],
          "ends": false, "missing": "symbol"}'
        """
        alphabet = self.alphabet
        content = {
            "version": _WITH_TEXT if alphabet is not None else _WITH_CODECS if self.coded else _VERSION,
            **({} if alphabet is None else {"alphabet": alphabet.to_json()}),
            **{name: [field.to_json() for field in getattr(self, name)] for name in ("inputs", "steps")},
            "ends": self.ends,
            "missing": self.missing,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Return the schema that to_json wrote.

        Raises
        ------
        InputError
            For any other text, also that of a version to come.

        Examples
        --------
        >>> Schema.from_json('{"version": 4}')
        Traceback (most recent call last):
        pyorder.errors.InputError: schema: expected version 1, 2 or 3, got 4
        """
        try:
            content = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            raise InputError(f"schema: expected JSON, got {str(text)[:80]!r}") from None
        if not isinstance(content, dict):
            raise InputError(f"schema: expected a JSON object, got {str(text)[:80]!r}")
        version = content.get("version")
        if isinstance(version, bool) or version not in (_VERSION, _WITH_CODECS, _WITH_TEXT):
            raise InputError(
                f"schema: expected version {_VERSION}, {_WITH_CODECS} or {_WITH_TEXT}, got {str(version)[:80]}"
            )
        more = ("alphabet",) if version == _WITH_TEXT else ()
        _check_keys(content, "schema", ("version", *more, "inputs", "steps", "ends", "missing"))
        try:
            alphabet = Alphabet.from_json(content["alphabet"]) if more else None
            fields = {name: _read_fields(content[name], name, alphabet) for name in ("inputs", "steps")}
            return cls(**fields, ends=content["ends"], missing=content["missing"])
        except (TypeError, ValueError) as error:
            raise InputError(f"schema: {error}") from None


def make_schema(
    input_length: int,
    columns: int,
    *,
    widths: Sequence[int] | ArrayLike | None = None,
    names: Iterable[str] | None = None,
    input_names: Iterable[str] | None = None,
    ends: bool = False,
    missing: Missing = "symbol",
) -> Schema:
    """Return the schema of arrays with so many columns; steps are one wide and numbered unless told otherwise.

    Raises
    ------
    TypeError, InputError
        For widths that do not add up to the columns, or names that are not as many as there are fields.

    Examples
    --------
    >>> make_schema(1, 3, widths=[2, 1], names=["sum", "sign"]).steps
    (Field(name='sum', width=2, codec=None), Field(name='sign', width=1, codec=None))
    """
    sizes = [1] * columns if widths is None else _widths(widths, columns)
    step_names = _names(names, "names", len(sizes), "steps")
    own = _names(input_names, "input_names", input_length, "inputs")
    inputs = tuple(_field(name, 1, "input_names") for name in own)
    steps = tuple(_field(name, width, "names") for name, width in zip(step_names, sizes, strict=True))
    for argument, given in (("names", step_names), ("input_names", own)):
        if len(set(given)) < len(given):
            twice = next(name for place, name in enumerate(given) if name in given[:place])
            raise InputError(f"{argument}: expected distinct names, got {twice!r} twice")
    return Schema(inputs, steps, ends, missing)


def _field(name: Any, width: int, argument: str) -> Field:
    try:
        return Field(name, width)
    except (TypeError, InputError) as error:
        raise type(error)(str(error).replace("names:", f"{argument}:", 1)) from None


def _widths(given: Sequence[int] | ArrayLike, columns: int) -> list[int]:
    values = np.asarray(given).tolist() if not isinstance(given, list) else given
    if not isinstance(values, list):
        raise TypeError(f"widths: expected a sequence of integers, got {given!r}")
    sizes = [check_integer(width, "widths", 1, MAX_WIDTH) for width in values]
    if len(sizes) < 2:
        raise InputError(f"widths: expected the widths of at least 2 steps, got {sizes}")
    if sum(sizes) != columns:
        raise InputError(
            f"widths: expected a sum of {columns}, the number of columns of the targets, got a sum of {sum(sizes)}"
        )
    return sizes


def _names(given: Iterable[str] | None, argument: str, count: int, what: str) -> list[str]:
    if given is None:
        return [str(number) for number in range(count)]
    if isinstance(given, str):
        raise TypeError(f"{argument}: expected a sequence of names, got the text {given!r}")
    names = given.tolist() if isinstance(given, np.ndarray) else list(given)
    if not isinstance(names, list) or len(names) != count:
        number = len(names) if isinstance(names, list) else 1
        raise InputError(f"{argument}: expected as many names as there are {what} ({count}), got {number}")
    return names


def _names_differ_from_numbers(fields: tuple[Field, ...]) -> bool:
    return any(field.name != str(number) for number, field in enumerate(fields))


def _check_keys(content: dict[str, Any], what: str, wanted: tuple[str, ...]) -> None:
    if set(content) != set(wanted):
        found = ", ".join(map(repr, content))
        raise InputError(f"{what}: expected the keys {', '.join(wanted)}, got {found[:80] or 'none'}")


def _read_fields(content: Any, name: str, alphabet: Alphabet | None) -> tuple[Field, ...]:
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise InputError(f"{name}: expected a list of objects, got {str(content)[:80]}")
    return tuple(Field.from_json(item, name, alphabet) for item in content)
