"""A column of a table: the codec that its values ask for, and its codes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder.data.codecs import Codec, Kind, Value
from pyorder.errors import InputError

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

MOST_CATEGORIES = 1000
FREE_TEXT = 0.5  # of the rows; text that differs in more of them tells rows apart, and nothing repeats
FEW_ROWS = 20  # in which anything may differ


def decoded(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    """A column as one array, of values where it has numbers of values, as a frame's categories do."""
    from pyarrow import types

    array = column.combine_chunks()
    return array.dictionary_decode() if types.is_dictionary(array.type) else array


class Column:
    """A column of a table, its kind, and its values in memory."""

    def __init__(self, name: str, column: pyarrow.ChunkedArray) -> None:
        import pyarrow
        from pyarrow import compute, types

        self.name = name
        array = decoded(column)
        if types.is_floating(array.type) or types.is_decimal(array.type):
            array = array.cast(pyarrow.float64())
            array = compute.if_else(compute.is_finite(array), array, pyarrow.scalar(None, pyarrow.float64()))
        if types.is_string_view(array.type):  # which Arrow cannot filter yet
            array = array.cast(pyarrow.large_string())
        self.whole_days = types.is_date(array.type)
        if types.is_timestamp(array.type) or self.whole_days:
            array = array.cast(pyarrow.timestamp("us", getattr(array.type, "tz", None)), safe=False)
        elif types.is_time(array.type):
            array = array.cast(pyarrow.time64("us"), safe=False)
        elif types.is_duration(array.type):
            array = array.cast(pyarrow.duration("us"), safe=False)
        self.type = array.type
        self.kind = self._kind()
        self.missing: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
        present = array.drop_null()
        if self.kind == "dates":  # as microseconds
            present = present.cast(pyarrow.int64())
        self.present: NDArray[Any] = present.to_numpy(zero_copy_only=False)

    def _kind(self) -> Kind:
        from pyarrow import types

        kinds: tuple[tuple[Any, Kind], ...] = (
            (types.is_boolean, "truth values"),
            (types.is_integer, "integers"),
            (types.is_floating, "numbers"),
            (types.is_timestamp, "dates"),
            (types.is_time, "dates"),
            (types.is_duration, "dates"),
            (types.is_string, "categories"),
            (types.is_large_string, "categories"),
            (types.is_string_view, "categories"),
            (types.is_null, "categories"),
        )
        for fits, kind in kinds:
            if fits(self.type):
                return kind
        encoded = " (text of a CSV file has to be in UTF-8)" if types.is_binary(self.type) else ""
        raise InputError(
            f"column {self.name!r}: expected text, numbers, truth values or dates, got {self.type}{encoded}; "
            "leave it out with ignore"
        )

    @cached_property
    def different(self) -> NDArray[Any]:
        """The different values there are, sorted."""
        if self.kind == "categories":
            return np.array(sorted(set(self.present.tolist())), object)
        return np.unique(self.present)

    @property
    def free_text(self) -> bool:
        """Whether it is text that hardly repeats, which is no category."""
        rows, count = len(self.present), len(self.different)
        much = count > MOST_CATEGORIES or (rows > FEW_ROWS and count > FREE_TEXT * rows)
        return self.kind == "categories" and much

    @property
    def all_differ(self) -> bool:
        """Whether it has whole numbers that all differ, as an id does; measured numbers and times may well."""
        whole = self.kind == "integers" or (
            self.kind == "numbers" and (self.present == np.round(self.present)).all()
        )
        return bool(whole) and FEW_ROWS < len(self.present) == len(self.different)

    def codec(self, most: int) -> Codec:
        """Make a codec of at most so many values or bins, of text and truth values as many as there are."""
        gone = int(self.missing.sum())
        if self.kind in ("categories", "truth values"):
            return Codec(self.kind, tuple(self.different.tolist()), missing=gone)
        if len(self.different) <= most:
            return Codec(self.kind, tuple(map(self._value, self.different)), missing=gone)
        cuts = _cuts(self.present, most)
        bins = np.searchsorted(cuts, self.present, side="right")
        middles = [np.quantile(self.present[bins == k], 0.5, method="lower") for k in range(len(cuts) + 1)]
        return Codec(self.kind, tuple(map(self._value, middles)), tuple(cuts.tolist()), gone)

    def _value(self, number: Any) -> Value:
        if self.kind != "dates":
            return int(number) if self.kind == "integers" else float(number)
        import pyarrow

        date = str(pyarrow.scalar(int(number), pyarrow.int64()).cast(self.type).as_py())
        return date.removesuffix(" 00:00:00") if self.whole_days else date

    def codes(self, codec: Codec) -> NDArray[np.int64]:
        """The codes (N,) of a codec, -1 where there is no value."""
        present = self._as(codec)
        found = np.full(len(self.missing), -1, np.int64)
        if codec.edges is not None:
            found[~self.missing] = np.searchsorted(np.array(codec.edges), present, side="right")
            return found
        known = {value: code for code, value in enumerate(codec.values)}
        values, inverse = np.unique(present, return_inverse=True)
        told = list(map(self._value, values)) if self.kind == "dates" else values.tolist()
        for value in told:
            if value not in known:
                raise InputError(f"column {self.name!r}: the other table has no value {value!r}")
        found[~self.missing] = np.array([known[value] for value in told], np.int64)[inverse]
        return found

    def _as(self, codec: Codec) -> NDArray[Any]:
        """The values there are, as what a codec takes: the same ones are integers, numbers or texts by file."""
        if codec.kind == self.kind or not codec.values or not len(self.present):
            return self.present
        present = self.present
        if self.kind == "numbers" and (np.abs(present) < 2**53).all() and (present == np.round(present)).all():
            present = present.astype(np.int64)
        if codec.kind == "numbers" and self.kind == "integers":
            return present.astype(np.float64)
        if codec.kind == "integers" and self.kind == "numbers" and present.dtype == np.int64:
            return present
        if codec.kind == "categories" and self.kind in ("integers", "numbers"):
            return np.array([str(value) for value in present.tolist()], object)
        raise InputError(f"column {self.name!r}: expected {codec.kind} as in the other table, got {self.kind}")


def _cuts(numbers: NDArray[Any], most: int) -> NDArray[Any]:
    """Where all bins but the first begin, of numbers with more than ``most`` different values: as many in each.

    A lowest value that fills a bin has one of its own, and the others share those that are left.

    Examples
    --------
    >>> _cuts(np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 3)
    array([1, 3])
    """
    left = np.sort(numbers)
    ahead: list[np.generic] = []
    while True:
        cuts = np.unique(np.quantile(left, np.arange(1, most) / most, method="higher"))
        if not len(cuts) or cuts[0] > left[0]:
            return np.array([*ahead, *cuts])
        left = left[np.searchsorted(left, left[0], side="right") :]
        ahead.append(left[0])
        most -= 1
