"""Codecs: how the values of a table's column became small integers, and what each integer stands for.

code  0 to n - 1: a value, or the bin that a number lies in
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from pyorder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Codec", "Kind", "Value"]

Kind = Literal["integers", "numbers", "dates", "categories", "truth values"]
Value: TypeAlias = int | float | str | bool

SHOWN = 6  # values or edges that a description names


@dataclass(frozen=True)
class Codec:
    """What the codes of a column stand for.

    Attributes
    ----------
    kind : what the values are
    values : what each code is decoded to; of a bin the middle one of its values
    edges : of bins, one fewer than there are: bin k is what lies from ``edges[k - 1]`` up to, not including,
        ``edges[k]``, of dates in microseconds; None where codes are values
    missing : rows without a value, when the codec was made

    Examples
    --------
    >>> Codec("numbers", (1.0, 4.5), (3.0,), missing=2).describe()
    '2 bins of numbers, cut at 3; 2 rows without a value'
    """

    kind: Kind
    values: tuple[Value, ...]
    edges: tuple[float, ...] | None = None
    missing: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"codec: expected one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if self.edges is not None and len(self.edges) != len(self.values) - 1:
            raise InputError(f"codec: expected {len(self.values) - 1} edges of bins, got {len(self.edges)}")

    @property
    def constant(self) -> bool:
        """Whether all rows had the same: one value, or none."""
        return len(self.values) + bool(self.missing) <= 1

    def decode(self, codes: NDArray[np.integer[Any]], gaps: NDArray[np.bool_] | None = None) -> list[Value | None]:
        """The values of codes (N,) or (N, 1), None in a gap.

        Examples
        --------
        >>> Codec("categories", ("no", "yes")).decode(np.array([1, 0]), np.array([False, True]))
        ['yes', None]
        """
        empty = [False] * len(codes) if gaps is None else gaps.ravel().tolist()
        return [
            None if gap else self.values[code] for code, gap in zip(codes.ravel().tolist(), empty, strict=True)
        ]

    def describe(self) -> str:
        """Say in words what was done to the column."""
        count = len(self.values)
        if not count:
            said = "no values"
        elif self.edges == ():
            said = f"1 bin of {self.kind}"
        elif self.edges is not None and self.kind == "dates":  # whose edges are microseconds
            said = f"{count} bins of dates, around {_some(self.values)}"
        elif self.edges is not None:
            said = f"{count} bins of {self.kind}, cut at {_some(self.edges)}"
        elif count == 1:
            said = f"always {_text(self.values[0])}"
        else:
            said = f"{count} {self.kind}: {_some(self.values)}"
        rows = "row" if self.missing == 1 else "rows"
        return said + (f"; {self.missing:,} {rows} without a value" if self.missing else "")

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, in values of JSON."""
        edges = None if self.edges is None else list(self.edges)
        return {"kind": self.kind, "values": list(self.values), "edges": edges, "missing": self.missing}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Codec:
        """The codec that `to_json` wrote; InputError for anything else."""
        if not isinstance(content, dict) or set(content) != {"kind", "values", "edges", "missing"}:
            raise InputError(
                f"codec: expected an object with kind, values, edges and missing, got {content!r:.80}"
            )
        values, edges, missing = (content[key] for key in ("values", "edges", "missing"))
        if not isinstance(values, list) or not all(isinstance(value, int | float | str) for value in values):
            raise InputError(f"codec: expected a list of values, got {values!r:.80}")
        if edges is not None and not (isinstance(edges, list) and all(isinstance(e, int | float) for e in edges)):
            raise InputError(f"codec: expected a list of edges, got {edges!r:.80}")
        if not isinstance(missing, int) or isinstance(missing, bool):
            raise InputError(f"codec: expected a number of rows, got {missing!r:.80}")
        return cls(content["kind"], tuple(values), None if edges is None else tuple(edges), missing)


def _some(values: tuple[Value, ...]) -> str:
    shown = list(map(_text, values[:SHOWN]))
    return ", ".join(shown if len(values) <= SHOWN else [*shown, "..."])


def _text(value: Value) -> str:
    return repr(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)
