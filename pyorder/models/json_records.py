"""Records as JSON: keys in any order, as text and as tokens of which it is known whose value they write.

B  records    T  tokens of the longest    L  steps    V  vocabulary size

A record is cut into pieces, which are tokenised one by one, so that no token lies across the border of a value:

    {"ask": "2+3", "plan":   |    "add",   |   "answer":   |    5}
    no value                 |  of "plan"  |  no value     |  of "answer"

A value's piece ends with the mark behind it, a comma or the closing brace, since a value is worth its end too: a
number has none of its own. Blanks are at the beginning of a piece. Tokenizers that take them together with what
follows, as byte-level BPE does, therefore give the tokens that they give for the whole text, where it has blanks
behind colons and commas. Where they would have put two sides of a border into one token, as in compact JSON, the
text is the same and the tokens are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pyorder.data._record_fields import as_json, flatten
from pyorder.data._tokenizers import ByTokens, splitter
from pyorder.data.reordering import Order, distinct_names, steps_of
from pyorder.errors import InputError

__all__ = ["JsonRecords", "JsonTokens", "step_losses"]

NO_VALUE = -1  # what a token of no step's value is of


class JsonTokens(NamedTuple):
    """Records as tokens, padded behind their ends.

    Attributes
    ----------
    ids : (B, T) int64, the tokenizer's; 0 in padding
    steps : (B, T) int64, the step whose value a token is of; -1 for keys, inputs, a prompt and padding
    mask : (B, T) int64, 1 where there is a token and 0 in padding
    """

    ids: Tensor
    steps: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> JsonTokens:
        """The same on a device."""
        return JsonTokens(*(part.to(device) for part in self))


class JsonRecords:
    """Writes records as JSON objects with their keys in a given order, as text and as tokens.

    The inputs' keys come first, then those of the steps. A name with dots is one key, ``"answer.value"``, since
    objects inside of each other could not be written in every order.

    Parameters
    ----------
    tokenizer : an object with ``encode(text)`` and ``decode(ids)``, such as one of Hugging Face, or a folder that
        one is saved in (needs transformers); it has to give back the text of a record that is tokenised in pieces
    steps : names of the fields whose order is asked for, L of them
    inputs : names of the fields that are given
    prompt : makes the text in front of the object from a record; inputs are then in no key. Special tokens, such
        as one that begins every text, are written out in it
    separators : what stands behind a value and behind a key, as in ``json.dumps``: a mark, and blanks if you like

    Examples
    --------
    >>> class Characters:
    ...     encode = staticmethod(lambda text: [ord(letter) for letter in text])
    ...     decode = staticmethod(lambda ids: "".join(map(chr, ids)))
    >>> written = JsonRecords(Characters(), ["plan", "sum"], inputs=["ask"])
    >>> record = {"sum": 5, "plan": "+", "ask": "2+3"}
    >>> written.text(record, ["sum", "plan"])
    '{"ask": "2+3", "sum": 5, "plan": "+"}'
    >>> tokens = written.tokens([record], [1, 0])
    >>> "".join(chr(token) for token in tokens.ids[tokens.steps == 1])
    ' 5,'
    """

    def __init__(
        self,
        tokenizer: Any,
        steps: Sequence[str],
        *,
        inputs: Sequence[str] = (),
        prompt: Callable[[Mapping[str, Any]], str] | None = None,
        separators: tuple[str, str] = (", ", ": "),
    ) -> None:
        taken = splitter(tokenizer)
        if not isinstance(taken, ByTokens):
            raise TypeError("tokenizer: expected encode and decode, or a folder, got None")
        self._encode, self._decode = taken.encode, taken.decode
        self.steps, self.inputs = distinct_names(steps, "steps"), distinct_names(inputs, "inputs")
        if not self.steps:
            raise InputError("steps: expected at least one name, got none")
        distinct_names((*self.inputs, *self.steps), "steps")  # nothing is both
        if [mark.rstrip(" ") for mark in separators] != [",", ":"]:
            raise InputError(
                f"separators: expected ',' and ':', each with or without blanks, got {separators!r:.80}"
            )
        self.prompt, self.separators = prompt, separators

    def text(self, record: Mapping[str, Any], order: Order) -> str:
        """A record as text, its steps in an order.

        Raises
        ------
        InputError
            For an order that is none, a key that the record lacks, and a value that JSON cannot hold.
        """
        return "".join(text for text, _ in self._pieces(record, self._order(order)))

    def tokens(self, records: Iterable[Mapping[str, Any]], order: Order) -> JsonTokens:
        """Records (B,) as tokens (B, T), their steps in an order.

        Raises
        ------
        InputError
            As `text` does, for no records, and for a tokenizer that does not give a text back.
        """
        emitted = self._order(order)
        rows = [self._tokens(self._pieces(record, emitted, row)) for row, record in enumerate(records)]
        if not rows:
            raise InputError("records: expected at least one, got none")
        longest = max(len(ids) for ids, _ in rows)
        ids, steps, mask = np.zeros((3, len(rows), longest), np.int64)
        steps[:] = NO_VALUE
        for row, (own, of) in enumerate(rows):
            ids[row, : len(own)], steps[row, : len(own)], mask[row, : len(own)] = own, of, 1
        return JsonTokens(*map(torch.from_numpy, (ids, steps, mask)))

    def _order(self, order: Order) -> list[int]:
        numbers = steps_of(order, self.steps).order
        assert numbers is not None  # names are known
        emitted: list[int] = numbers.tolist()
        return emitted

    def _pieces(self, record: Mapping[str, Any], order: Sequence[int], row: int = 0) -> list[tuple[str, int]]:
        """The pieces of a record's text, each with the step whose value it is."""
        if not isinstance(record, Mapping):
            raise TypeError(f"records: expected mappings from keys to values, got {type(record).__name__}")
        try:
            flat = flatten(record, row)
        except (TypeError, InputError) as error:  # which calls them rows, as `from_records` does
            raise type(error)(f"records{str(error).removeprefix('rows')}") from None
        (comma, gap), (colon, space) = ((mark[0], mark[1:]) for mark in self.separators)
        said = "" if self.prompt is None else self.prompt(record)
        if not isinstance(said, str):
            raise TypeError(f"prompt: expected a function that makes text, got {type(said).__name__} from it")
        said += "{"
        keys = [] if self.prompt is not None else [(name, NO_VALUE) for name in self.inputs]
        keys += [(self.steps[step], step) for step in order]
        pieces = []
        for place, (name, step) in enumerate(keys, start=1):
            said += json.dumps(name, ensure_ascii=False) + colon
            value = space + self._value(flat, name) + (comma if place < len(keys) else "}")
            if step == NO_VALUE:
                said += value
            else:
                pieces += [(said, NO_VALUE), (value, step)]
                said = ""
            said += gap
        return pieces

    def _value(self, flat: Mapping[str, Any], name: str) -> str:
        if name not in flat:
            raise InputError(f"records: there is no {name!r}; there are {', '.join(flat) or 'none'}")
        value = flat[name].tolist() if hasattr(flat[name], "tolist") else flat[name]  # of NumPy, torch and Arrow
        try:
            if value != value or (isinstance(value, float) and math.isinf(value)):  # missing, as in `from_records`
                return "null"
            return json.dumps(
                value, ensure_ascii=False, allow_nan=False, separators=self.separators, default=as_json
            )
        except (TypeError, ValueError, RecursionError) as error:
            kind = type(value).__name__
            raise InputError(f"field {name!r}: expected what JSON holds, got {kind}: {error}") from None

    def _tokens(self, pieces: Sequence[tuple[str, int]]) -> tuple[list[int], list[int]]:
        """Token ids, and the step of each."""
        ids: list[int] = []
        steps: list[int] = []
        for text, step in pieces:
            given = self._encode(text)
            ids += map(int, getattr(given, "ids", given))
            steps += [step] * (len(ids) - len(steps))
        text, back = "".join(text for text, _ in pieces), self._decode(ids)
        if back != text:
            raise InputError(f"tokenizer: in pieces, {text!r:.200} comes back as {back!r:.200}")
        return ids, steps


def step_losses(logits: Tensor, tokens: JsonTokens, length: int) -> Tensor:
    """What a causal model loses on the value of each step, in nats: the sum over the value's tokens.

    Parameters
    ----------
    logits : (B, T, V), those at place t are of the token at place t + 1
    tokens : (B, T)
    length : L

    Returns
    -------
    (B, L) float32, by canonical step

    Examples
    --------
    >>> tokens = JsonTokens(torch.tensor([[0, 1, 1]]), torch.tensor([[-1, 1, 0]]), torch.ones(1, 3))
    >>> step_losses(torch.tensor([[[0.0, 0.0], [0.0, 9.0], [0.0, 0.0]]]), tokens, 2).round(decimals=3)
    tensor([[0.0000, 0.6930]])
    """
    of = tokens.steps[:, 1:]
    row, place = (of != NO_VALUE).nonzero(as_tuple=True)  # the others' logits are many, and not needed
    losses = F.cross_entropy(logits[row, place].float(), tokens.ids[row, place + 1], reduction="none")
    summed = losses.new_zeros(len(of), length)
    return summed.index_put((row, of[row, place]), losses, accumulate=True)
