"""Texts: how the texts of records became tokens, and how tokens become texts again.

code  0 to n - 1: a character, or a token of a tokenizer; the piece "" is a text of no characters

All text of a dataset shares one alphabet, so that a character is the same token wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pyorder.data.codecs import SHOWN
from pyorder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = ["EMPTY", "Alphabet", "TextCodec", "Unit"]

Unit = Literal["characters", "tokens"]

EMPTY = -1  # the number of the piece that stands for a text of no characters; numbers are from 0 on
SHOWN_CHARACTERS = 24  # of a text in a description


@dataclass(frozen=True)
class Alphabet:
    """What the codes of texts stand for: a plain value, which files keep.

    Attributes
    ----------
    unit : what a code is
    pieces : the text of each code behind others
    starts : the text of each code at the beginning, where a tokenizer has another one there; None where none has
    numbers : the tokenizer's id of each code, of a character its code point; -1 is the text of no characters
    exact : whether the pieces of every text, joined, are that text. They are not where a token is a part of a
        character's bytes: only the tokenizer joins those
    joins : the tokenizer's own function, used where pieces are not exact; in no file, copy or pickle, whose texts
        are then the pieces

    Examples
    --------
    >>> Alphabet.of_characters([97, 98]).text([1, 0, 0])
    'baa'
    """

    unit: Unit
    pieces: tuple[str, ...]
    numbers: tuple[int, ...]
    starts: tuple[str, ...] | None = None
    exact: bool = True
    joins: Callable[[list[int]], str] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise InputError(f"alphabet: expected one of {', '.join(get_args(Unit))}, got {self.unit!r:.80}")
        numbers = self.numbers
        if len(numbers) != len(self.pieces) or (self.starts is not None and len(self.starts) != len(numbers)):
            raise InputError("alphabet: expected as many numbers and starts as pieces")
        if any(low >= high for low, high in zip((EMPTY - 1, *numbers), numbers, strict=False)):
            raise InputError(f"alphabet: expected increasing numbers from {EMPTY} on")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are without the tokenizer's function, which may be anything."""
        return Alphabet, (self.unit, self.pieces, self.numbers, self.starts, self.exact)

    @classmethod
    def of_characters(cls, numbers: Iterable[int]) -> Alphabet:
        """The alphabet of code points, sorted; `EMPTY` may be one of them."""
        told = tuple(numbers)
        return cls("characters", tuple("" if number == EMPTY else chr(number) for number in told), told)

    @cached_property
    def sorted_numbers(self) -> NDArray[np.int64]:
        """The numbers (V,) as an array."""
        return np.array(self.numbers, np.int64)

    def codes(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The codes of numbers, of any shape; -1 where the alphabet has none.

        Examples
        --------
        >>> Alphabet.of_characters([97, 98]).codes(np.array([98, 99]))
        array([ 1, -1])
        """
        known = self.sorted_numbers
        if not len(known):
            return np.full(numbers.shape, -1, np.int64)
        found = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[found] == numbers, found, -1)

    def text(self, codes: list[int]) -> str:
        """The text of codes in sequence."""
        if self.joins is not None:
            return self.joins([self.numbers[code] for code in codes if self.numbers[code] != EMPTY])
        first = self.pieces if self.starts is None else self.starts
        return "".join([(self.pieces if place else first)[code] for place, code in enumerate(codes)])

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, in values of JSON."""
        if self.unit == "characters":
            return {"unit": self.unit, "numbers": list(self.numbers)}
        starts = None if self.starts is None else list(self.starts)
        more = {"pieces": list(self.pieces), "starts": starts, "exact": self.exact}
        return {"unit": self.unit, "numbers": list(self.numbers), **more}

    @classmethod
    def from_json(cls, content: Any) -> Alphabet:
        """The alphabet that `to_json` wrote; InputError for anything else."""
        keys = {"unit", "numbers"}
        if isinstance(content, dict) and content.get("unit") != "characters":
            keys |= {"pieces", "starts", "exact"}
        if not isinstance(content, dict) or set(content) != keys:
            raise InputError(f"alphabet: expected an object with {', '.join(sorted(keys))}, got {content!r:.80}")
        numbers = content["numbers"]
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise InputError(f"alphabet: expected a list of numbers, got {numbers!r:.80}")
        if content["unit"] == "characters":
            if any(number != EMPTY and not 0 <= number < 0x110000 for number in numbers):
                raise InputError(f"alphabet: expected code points, got {numbers!r:.80}")
            return cls.of_characters(numbers)
        pieces, starts = content["pieces"], content["starts"]
        for texts in (pieces, [] if starts is None else starts):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise InputError(f"alphabet: expected a list of texts, got {texts!r:.80}")
        if not isinstance(content["exact"], bool):
            raise InputError(f"alphabet: expected true or false, got {content['exact']!r:.80}")
        more = None if starts is None else tuple(starts), content["exact"]
        return cls(content["unit"], tuple(pieces), tuple(numbers), *more)


@dataclass(frozen=True)
class TextCodec:
    """What the codes of a field of text stand for, and what was there when the codec was made.

    Attributes
    ----------
    alphabet : that of all text of a dataset
    count : different texts
    shown : the first few of them
    fewest, most : characters or tokens of a text
    missing : rows without a value
    longer : rows that were left out because the field has more than ``limit`` characters or tokens there

    Examples
    --------
    >>> TextCodec(Alphabet.of_characters([97, 98]), 2, ("a", "ab"), 1, 2, missing=3).describe()
    "2 different texts of 1 to 2 characters: 'a', 'ab'; 3 rows without a value"
    """

    alphabet: Alphabet
    count: int
    shown: tuple[str, ...]
    fewest: int
    most: int
    missing: int = 0
    longer: int = 0
    limit: int = 0

    @property
    def values(self) -> tuple[str, ...]:
        """What each code is decoded to, behind others."""
        return self.alphabet.pieces

    @property
    def constant(self) -> bool:
        """Whether all rows had the same: one text, or none."""
        return self.count + bool(self.missing) <= 1

    def decode(self, codes: NDArray[np.integer[Any]], gaps: NDArray[np.bool_] | None = None) -> list[str | None]:
        """The texts of codes (N, W), up to the first gap of each row; None where a row has gaps alone.

        Examples
        --------
        >>> codec = TextCodec(Alphabet.of_characters([97, 98]), 2, ("a", "ab"), 1, 2)
        >>> codec.decode(np.array([[0, 1], [0, 0]]), np.array([[False, False], [True, True]]))
        ['ab', None]
        """
        widths = [codes.shape[1]] * len(codes) if gaps is None else (~gaps).sum(axis=1).tolist()
        text = self.alphabet.text
        return [text(row[:width]) if width else None for row, width in zip(codes.tolist(), widths, strict=True)]

    def describe(self) -> str:
        """Say in words what was done to the field."""
        rows = "1 row" if self.missing == 1 else f"{self.missing:,} rows"
        if not self.count:
            said = "no values"
        elif self.count == 1:
            said = f"always {_short(self.shown[0])}"
        else:
            span = f"{self.fewest} to {self.most}" if self.fewest < self.most else str(self.most)
            unit = self.alphabet.unit if self.most > 1 else self.alphabet.unit.removesuffix("s")
            shown = ", ".join(map(_short, self.shown)) + (", ..." if self.count > len(self.shown) else "")
            said = f"{self.count:,} different texts of {span} {unit}: {shown}"
        if self.missing:
            said += f"; {rows} without a value"
        if self.longer:
            rows = "1 row" if self.longer == 1 else f"{self.longer:,} rows"
            said += f"; {rows} of more than {self.limit} {self.alphabet.unit} left out"
        if not self.alphabet.exact:
            said += "; only the tokenizer joins all tokens: a file has their pieces"
        return said

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes, in values of JSON; without the alphabet, which a schema keeps once."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return {"kind": "text", "shown": list(self.shown), **numbers}

    @classmethod
    def from_json(cls, content: Any, alphabet: Alphabet | None) -> TextCodec:
        """The codec that `to_json` wrote; InputError for anything else."""
        if not isinstance(content, dict) or set(content) != {"kind", "shown", *_NUMBERS}:
            keys = ", ".join(("kind", "shown", *_NUMBERS))
            raise InputError(f"codec: expected an object with {keys}, got {content!r:.80}")
        if alphabet is None:
            raise InputError("codec: expected an alphabet in the schema, got text without one")
        for name in _NUMBERS:
            if type(content[name]) is not int or content[name] < 0:
                raise InputError(f"codec: expected a number of 0 or more for {name}, got {content[name]!r:.80}")
        shown = content["shown"]
        if not isinstance(shown, list) or not all(isinstance(text, str) for text in shown):
            raise InputError(f"codec: expected a list of texts, got {shown!r:.80}")
        if len(shown) != min(content["count"], SHOWN):
            raise InputError(f"codec: expected {min(content['count'], SHOWN)} texts to show, got {len(shown)}")
        return cls(alphabet, shown=tuple(shown), **{name: content[name] for name in _NUMBERS})


_NUMBERS = ("count", "fewest", "most", "missing", "longer", "limit")


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "...")
