"""Tokenizers: from texts to numbers, of characters or of a tokenizer's tokens, and to the alphabet of the numbers.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
K                              different texts
lengths    (K,) int64          characters or tokens of each text; at least one, since "" has `EMPTY`
numbers    (T,) int64          those of all texts, one text behind the other; T is the sum of the lengths
=========  ==================  =====================================================================
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pyorder.data.texts import EMPTY, Alphabet, Unit
from pyorder.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ByCharacters", "ByTokens", "Splitter", "splitter"]


class Splitter(Protocol):
    """What takes texts apart."""

    unit: Unit

    def lengths(self, texts: Mapping[str, str]) -> NDArray[np.int64]:
        """The lengths of texts, each with the field that it was first seen in; InputError for one that fails."""

    def numbers(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of some of the texts that lengths were asked of."""

    def alphabet(self, numbers: NDArray[np.int64], texts: Sequence[str]) -> Alphabet:
        """The alphabet of sorted numbers, all that occur in the texts."""


def splitter(tokenizer: Any) -> Splitter:
    """What takes texts apart: into characters where there is no tokenizer.

    Raises
    ------
    ImportError
        For a folder where transformers is not installed.
    TypeError, InputError
        For what is no tokenizer, or a folder that holds none.

    Examples
    --------
    >>> split = splitter(None)
    >>> split.lengths({"ab": "name", "": "name"}), split.numbers(["ab", ""])
    (array([2, 1]), array([97, 98, -1]))
    """
    if tokenizer is None:
        return ByCharacters()
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = _load(Path(tokenizer))
    for name in ("encode", "decode"):
        if not callable(getattr(tokenizer, name, None)):
            kind = type(tokenizer).__name__
            raise TypeError(f"tokenizer: expected encode and decode, or a folder, got {kind} without {name}")
    return ByTokens(tokenizer)


class ByCharacters:
    """Texts are their characters."""

    unit: Unit = "characters"

    def lengths(self, texts: Mapping[str, str]) -> NDArray[np.int64]:
        """See `Splitter`."""
        for text, name in texts.items():
            _check_unicode(text, name)
        return np.maximum(_counts(texts), 1)

    def numbers(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """See `Splitter`."""
        points = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4").astype(np.int64)
        lengths = _counts(texts)
        empty = np.flatnonzero(lengths == 0)
        return np.insert(points, (np.cumsum(lengths) - lengths)[empty], EMPTY)

    def alphabet(self, numbers: NDArray[np.int64], texts: Sequence[str]) -> Alphabet:
        """See `Splitter`."""
        return Alphabet.of_characters(numbers.tolist())


class ByTokens:
    """Texts are the tokens of a tokenizer that gives every one of them back."""

    unit: Unit = "tokens"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # Words of their own at the ends, and spaces taken away, would not be what the text has.
        self.encode = _with(tokenizer, "encode", "add_special_tokens")
        self.decode = _with(tokenizer, "decode", "clean_up_tokenization_spaces")
        self.known: dict[str, list[int]] = {"": [EMPTY]}

    def lengths(self, texts: Mapping[str, str]) -> NDArray[np.int64]:
        """See `Splitter`; a text that does not come back is refused."""
        for text, name in texts.items():
            _check_unicode(text, name)
            if text not in self.known:
                self.known[text] = self._checked(text, name)
        return _counts([self.known[text] for text in texts])

    def numbers(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """See `Splitter`."""
        lists = [self.known[text] for text in texts]
        return np.fromiter(chain.from_iterable(lists), np.int64, int(_counts(lists).sum()))

    def _checked(self, text: str, name: str) -> list[int]:
        try:
            given = self.encode(text)
            tokens = [int(token) for token in getattr(given, "ids", given)]
            back = self.decode(tokens)
        except Exception as error:  # whatever the caller's tokenizer raises
            said = f"{type(error).__name__}: {error}"
            raise InputError(f"tokenizer: field {name!r}: {text!r:.80} cannot be encoded: {said}") from error
        if back != text:
            raise InputError(f"tokenizer: field {name!r}: {text!r:.200} comes back as {back!r:.200}")
        if min(tokens) < 0:
            raise InputError(f"tokenizer: expected ids of 0 or more, got {min(tokens)} for {text!r:.80}")
        return tokens

    def alphabet(self, numbers: NDArray[np.int64], texts: Sequence[str]) -> Alphabet:
        """See `Splitter`."""
        told = numbers.tolist()
        tokens = [number for number in told if number != EMPTY]
        starts = {token: self.decode([token]) for token in tokens}
        # What a token is behind another: some tokenizers drop a space at the beginning.
        anchor = next((token for token in tokens if starts[token].isalnum() and starts[token].isascii()), None)
        pieces = {token: _behind(self.decode, starts, anchor, token) for token in tokens}
        at_first, behind = (tuple(["" if n == EMPTY else of[n] for n in told]) for of in (starts, pieces))
        joined = Alphabet("tokens", behind, tuple(told), None if at_first == behind else at_first)
        place = {number: code for code, number in enumerate(told)}
        if all(joined.text([place[number] for number in self.known[text]]) == text for text in texts):
            return joined
        return Alphabet("tokens", behind, tuple(told), joined.starts, False, self.decode)


def _behind(decode: Callable[[list[int]], str], starts: Mapping[int, str], anchor: int | None, token: int) -> str:
    if anchor is None:
        return starts[token]
    both = decode([anchor, token])
    return both[len(starts[anchor]) :] if both.startswith(starts[anchor]) else starts[token]


def _with(tokenizer: Any, name: str, option: str) -> Callable[..., Any]:
    """A method of a tokenizer, with an option switched off where it has that."""
    method: Callable[..., Any] = getattr(tokenizer, name)
    try:
        there = inspect.signature(method).parameters
    except (TypeError, ValueError):  # of compiled code
        return method
    any_other = any(parameter.kind is parameter.VAR_KEYWORD for parameter in there.values())
    if option in there or (any_other and hasattr(tokenizer, option)):
        return partial(method, **{option: False})
    return method


def _counts(lists: Collection[Sized]) -> NDArray[np.int64]:
    return np.fromiter(map(len, lists), np.int64, len(lists))


def _check_unicode(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"field {name!r}: expected valid Unicode, got {text!r:.80}") from None


def _load(folder: Path) -> Any:
    if not folder.is_dir():
        raise InputError(f"tokenizer: expected a folder that holds a tokenizer, got {str(folder)!r}")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise ImportError(
            "tokenizer: a folder needs transformers (pip install transformers), or give a tokenizer itself"
        ) from None
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # whatever it raises for what lies there
        raise InputError(f"tokenizer: {str(folder)!r} holds none: {' '.join(str(error).split())[:200]}") from None
