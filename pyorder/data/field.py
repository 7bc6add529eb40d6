"""Fields: the inputs and the steps of a row, each with a name, a width and what its integers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyorder._checks import check_integer
from pyorder.data.codecs import Codec
from pyorder.data.texts import Alphabet, TextCodec
from pyorder.errors import InputError

__all__ = ["MAX_WIDTH", "Field"]

MAX_WIDTH = 2**31 - 1


@dataclass(frozen=True)
class Field:
    """A part of a row: what it is called, how many columns wide it is, and what its integers stand for.

    Raises
    ------
    TypeError
        For a name that is no text, or a width that is no integer.
    InputError
        For an empty name, one that is no valid Unicode, or a width below 1.

    Examples
    --------
    >>> Field("sum", 2)
    Field(name='sum', width=2, codec=None)
    """

    name: str
    width: int = 1
    codec: Codec | TextCodec | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"names: expected text, got {self.name!r}")
        try:
            self.name.encode()
        except UnicodeEncodeError:
            raise InputError(f"names: expected valid Unicode, got {self.name!r}") from None
        if not self.name:
            raise InputError("names: expected text that is not empty, got ''")
        object.__setattr__(self, "width", check_integer(self.width, "widths", 1, MAX_WIDTH))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, in values of JSON; without the alphabet of text.

        Examples
        --------
        >>> Field("sum", 2).to_json()
        {'name': 'sum', 'width': 2}
        """
        codec = {} if self.codec is None else {"codec": self.codec.to_json()}
        return {"name": self.name, "width": self.width, **codec}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], what: str, alphabet: Alphabet | None = None) -> Field:
        """The field that `to_json` wrote, one of ``what``; TypeError or InputError for anything else."""
        rest = {key: content[key] for key in content if key != "codec"}
        if set(rest) != {"name", "width"}:
            raise InputError(
                f"{what}: expected the keys name, width, got {', '.join(map(repr, rest))[:80] or 'none'}"
            )
        codec: Codec | TextCodec | None = None
        if "codec" in content:
            told = content["codec"]
            text = isinstance(told, dict) and told.get("kind") == "text"
            codec = TextCodec.from_json(told, alphabet) if text else Codec.from_json(told)
        return cls(content["name"], content["width"], codec)
