"""How a record is written for a causal language model: as JSON, whose keys say which field comes next.

    { "ask": "2+3", "carry": "0", "sum": "5",

Keys and punctuation are given; a value is written token by token, and so is the mark behind it where it is
shorter than the longest of its field. Keys and values are tokenised apart, so that it is known whose a token is.
Values are not escaped: what ends them is a token that no text has, the closing quote, or where texts hold quotes a
special token of the tokenizer.

=========  ============  ======================================================================================
symbol     shape         meaning
=========  ============  ======================================================================================
B                        rows
X, C, L                  columns of inputs and of targets, and steps, as in `pyorder.data.tokens`
W                        *cells*: the tokens of a record whose values are all as long as can be
T                        tokens of the longest record of a batch
=========  ============  ======================================================================================

Cells stand field by field; a step's are moved together to its slot, and those that a row has not are left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyorder.data._tokenizers import ByTokens
from pyorder.data.texts import EMPTY, Alphabet, TextCodec
from pyorder.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from pyorder.data.schema import Schema

__all__ = ["Layout", "Marks", "Written"]

ABSENT = -1  # no token's number


class Marks(NamedTuple):
    """Tokens that stand for what no text holds: a value's end, and one of no characters if there is any."""

    end: int
    empty: int | None


class Written(NamedTuple):
    """Records as a model reads them.

    Attributes
    ----------
    tokens : (B, T) int64, anything behind a row's last one
    shown : (B, T) bool, where a row has a token
    at : (B, C) int64, where the token of each canonical column stands, or would if the row had one
    """

    tokens: Tensor
    shown: Tensor
    at: Tensor


class Layout:
    r"""Where each token of a record stands.

    Parameters
    ----------
    schema : of records that were taken apart by the tokenizer; see `check_texts`
    values : (V,) what each token id of the data is a code of, without the end symbol
    splitter : the tokenizer
    device : where the records are

    Raises
    ------
    InputError
        If the tokenizer does not give a key back, or has no token that ends a value.

    Examples
    --------
    >>> from pyorder.data._tokenizers import splitter
    >>> from pyorder.data.tokens import Tokens
    >>> class Bytes:
    ...     encode = staticmethod(lambda text: list(text.encode()))
    ...     decode = staticmethod(lambda tokens: bytes(tokens).decode())
    >>> rows = [{"a": "1", "b": "25"}, {"a": "0", "b": "7"}]
    >>> tokens = Tokens.of(Dataset.from_records(rows, tokenizer=Bytes()), "train", torch.device("cpu"))
    >>> layout = Layout(tokens.schema, tokens.values, splitter(Bytes()), tokens.device)
    >>> written = layout.write(tokens.inputs, tokens.filled(tokens.targets.long()), torch.tensor([[1, 0]] * 2))
    >>> print(*(Bytes.decode(row[shown].tolist()) for row, shown in zip(written.tokens, written.shown)), sep="\n")
    { "b": "25", "a": "1
    { "b": "7", "a": "0
    """

    def __init__(
        self, schema: Schema, values: npt.NDArray[np.int64], splitter: ByTokens, device: torch.device
    ) -> None:
        alphabet = schema.alphabet
        assert alphabet is not None
        marks = find_marks(alphabet, splitter)
        numbers = np.array(alphabet.numbers)[values]
        tokens = np.where(numbers == EMPTY, ABSENT if marks.empty is None else marks.empty, numbers)
        self.end = len(tokens)  # id of the end symbol
        bos = getattr(splitter.tokenizer, "bos_token_id", None)
        cells = [*([] if bos is None else [bos]), *pieces(splitter, "{", "")]
        step_of_cell = [-1] * len(cells)
        given: list[int] = []
        written: list[int] = []
        ends: list[int] = []
        for number, field in enumerate((*schema.inputs, *schema.steps)):
            step, start = number - len(schema.inputs), len(cells)
            cells += pieces(splitter, f' {json.dumps(field.name, ensure_ascii=False)}: "', field.name)
            (given if step < 0 else written).extend(range(len(cells), len(cells) + field.width))
            cells += [ABSENT] * field.width
            ends += [len(cells)] if step >= 0 else []
            cells += [marks.end, *pieces(splitter, ",", "")]
            step_of_cell += [max(step, -1)] * (len(cells) - start)

        def table(numbers: Any) -> Tensor:
            return torch.tensor(numbers, dtype=torch.long, device=device)

        self.cells, self.turn = table(cells), table(step_of_cell) + 1
        self.given, self.written, self.ends = table(given), table(written), table(ends)
        self.tokens = table([*tokens, marks.end])  # (V + 1,) of each id
        self.first = table(np.repeat(schema.offsets[:-1], schema.widths))  # (C,) column that its step begins with
        self.last = table(schema.offsets[1:] - 1)  # (L,)

    @property
    def longest(self) -> int:
        """Tokens of a record whose values are all as long as can be, up to the last value."""
        return int(self.written[-1]) + 1

    def write(self, inputs: Tensor, targets: Tensor, order: Tensor) -> Written:
        """Write inputs (B, X) and canonical targets (B, C), both ids, in orders (B, L) of the steps.

        A step is what stands before its first end symbol; that counts where it stands before it is as wide as can
        be, and what comes behind it is not looked at.
        """
        rows, length = order.shape
        ended = (targets == self.end).long().cumsum(1)
        before = ended - (targets == self.end).long()  # end symbols in earlier columns
        started = before[:, self.first]  # and in earlier steps
        cells = self.cells.repeat(rows, 1)
        cells[:, self.given] = self.tokens[inputs.long()].masked_fill(inputs == self.end, ABSENT)
        there = before == started
        cells[:, self.written] = self.tokens[targets].masked_fill(~there, ABSENT)
        full = ended[:, self.last] == started[:, self.last]  # (B, L), the mark is then no column
        cells[:, self.ends] = cells[:, self.ends].masked_fill(~full, ABSENT)
        turns = torch.arange(1, length + 1, device=order.device).expand_as(order)
        turn_of_step = torch.zeros(rows, length + 1, dtype=torch.long, device=order.device)
        turn_of_step.scatter_(1, order + 1, turns)
        turn = turn_of_step[:, self.turn].masked_fill(cells == ABSENT, length + 1)
        sequence = turn.argsort(dim=1, stable=True)
        places = torch.arange(sequence.shape[1], device=order.device).expand_as(sequence)
        at = torch.empty_like(sequence).scatter_(1, sequence, places)[:, self.written]
        stop = at.masked_fill(~there, 0).max(dim=1).values + 1
        longest = int(stop.max())
        tokens = cells.gather(1, sequence[:, :longest])
        return Written(tokens.clamp(min=0), places[:, :longest] < stop[:, None], at)


def pieces(splitter: ByTokens, text: str, name: str) -> list[int]:
    """The tokens of what stands between values; messages call it by the field."""
    splitter.lengths({text: name})  # refuses what does not come back
    return [int(token) for token in splitter.numbers([text])]


def find_marks(alphabet: Alphabet, splitter: ByTokens) -> Marks:
    """The tokens that end a value, and stand for one of no characters: such as no text of the data has.

    Raises
    ------
    InputError
        If the tokenizer has none left.
    """
    quote = pieces(splitter, '"', "")
    special = sorted(getattr(splitter.tokenizer, "all_special_ids", ()))
    eos = getattr(splitter.tokenizer, "eos_token_id", None)
    candidates = [*(quote if len(quote) == 1 else ()), *(() if eos is None else (eos,)), *special]
    free = [token for token in dict.fromkeys(candidates) if token not in alphabet.numbers]
    needed = 1 + (EMPTY in alphabet.numbers)
    if len(free) < needed:
        what = "ends a value" if not free else "stands for a text of no characters"
        raise InputError(
            f"tokenizer: no token is left that {what}: neither the quote, where it is a single token and no text "
            "has it, nor a special token"
        )
    return Marks(free[0], free[1] if needed == 2 else None)


def check_texts(schema: Schema, splitter: ByTokens) -> None:
    """Refuse what is not text in the tokens of this tokenizer; InputError."""
    for field in (*schema.inputs, *schema.steps):
        if not isinstance(field.codec, TextCodec):
            raise InputError(
                f"model: a language model reads records of text, and {field.name!r} is none; "
                "make the data by Dataset.from_records(rows, tokenizer=...)"
            )
    alphabet = schema.alphabet
    assert alphabet is not None
    if alphabet.unit != "tokens":
        raise InputError(
            f"model: the texts of the data are {alphabet.unit}; give Dataset.from_records the model's tokenizer"
        )
    first = alphabet.pieces if alphabet.starts is None else alphabet.starts
    for number, piece in zip(alphabet.numbers, first, strict=True):
        if number != EMPTY and (found := splitter.decode([number])) != piece:
            raise InputError(
                f"tokenizer: token {number} is {found!r:.40} to the model's and {piece!r:.40} in the data; "
                "give Dataset.from_records the model's tokenizer"
            )
