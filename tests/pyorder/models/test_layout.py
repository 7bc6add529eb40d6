"""Where each token of a record stands, against records that are written by hand."""

from itertools import permutations

import numpy as np
import torch

import pyorder
from pyorder.data._tokenizers import splitter
from pyorder.data.tokens import Tokens
from pyorder.models import layout
from pyorder.models.layout import Layout


class Bytes:
    def encode(self, text):
        return list(text.encode())

    def decode(self, tokens):
        return bytes(tokens).decode()


def test_docstring_examples(doctests):
    doctests(layout)


def test_records_stand_as_they_are_written_by_hand():
    """In all orders, with values of one to four characters; a row ends behind what counts in its last value."""
    rng = np.random.default_rng(0)
    rows = [{key: "".join(rng.choice(list("abc"), rng.integers(1, 5))) for key in "pqrst"} for _ in range(120)]
    data = pyorder.Dataset.from_records(rows, inputs=["q", "s"], tokenizer=Bytes())
    tokens = Tokens.of(data, "data", torch.device("cpu"))
    laid = Layout(tokens.schema, tokens.values, splitter(Bytes()), tokens.device)
    orders = torch.tensor(list(permutations(range(3))) * 20)
    written = laid.write(tokens.inputs, tokens.filled(tokens.targets.long()), orders)
    longest = 0
    for row, order, ids, shown, at in zip(rows, orders.tolist(), *written, strict=True):
        keys = ["q", "s", *(data.names[step] for step in order)]
        whole = "{" + ",".join(f' "{key}": "{row[key]}"' for key in keys)
        full = len(row[keys[-1]]) == 4  # whose end is no column
        assert bytes(ids[shown].tolist()).decode() == (whole[:-1] if full else whole)
        longest = max(longest, int(shown.sum()))
        for step, (start, stop) in enumerate(zip(data.schema.offsets[:-1], data.schema.offsets[1:], strict=True)):
            name = data.names[step]
            where = whole.index(f' "{name}": "') + len(f' "{name}": "')
            wanted = range(where, where + min(len(row[name]) + 1, 4))
            assert at[start:stop].tolist()[: len(wanted)] == list(wanted)
    assert written.tokens.shape == (120, longest)
    assert longest <= laid.longest
