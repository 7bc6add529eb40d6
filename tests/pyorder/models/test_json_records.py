"""Records as JSON text and tokens: what json writes and reads, and borders that no token lies across."""

import datetime
import json

import numpy as np
import pandas
import pytest
import torch

from pyorder import JsonRecords, permutations, reorder
from pyorder.errors import InputError
from pyorder.models import json_records
from pyorder.models.json_records import step_losses

RECORD = {
    "sum": 5,
    "ask": '2 + 3 "?"',
    "plan": "add, then {stop}",
    "more": {"x": [1, None], "ü": 1.5},
    "odd": True,
}
STEPS = ["plan", "sum", "more", "odd"]


class Characters:
    def encode(self, text):
        return [ord(letter) for letter in text]

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_examples(doctests):
    doctests(json_records)


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (",  ", ":")])
def test_the_text_is_what_json_writes_of_the_reordered_record(separators):
    written = JsonRecords(Characters(), STEPS, inputs=["ask"], separators=separators)
    for order in permutations.lexicographic(4):
        named = {"ask": RECORD["ask"]} | {STEPS[step]: RECORD[STEPS[step]] for step in order}
        assert written.text(RECORD, order) == json.dumps(named, separators=separators, ensure_ascii=False)
        assert written.text(RECORD, [STEPS[step] for step in order]) == written.text(RECORD, order)
        if separators == (", ", ": "):
            given = json.dumps({name: RECORD[name] for name in ("ask", *STEPS)}, ensure_ascii=False)
            assert written.text(RECORD, order) == reorder(given, order, names=STEPS)


def test_values_are_those_of_json():
    rows = {
        "a": np.float32(0.5),
        "b": np.array([1, 2]),
        "c": datetime.date(2020, 1, 2),
        "d": float("nan"),
        "e": None,
    }
    rows |= {"f": torch.tensor(3), "g": np.datetime64("2020-01-02"), "h": "ü\n", "i": np.float32("nan")}
    text = JsonRecords(Characters(), list(rows)).text(rows, range(9))
    values = [0.5, [1, 2], "2020-01-02", None, None, 3, "2020-01-02", "ü\n", None]
    assert json.loads(text) == dict(zip(rows, values, strict=True))


def test_a_dotted_name_is_one_key_in_every_order():
    written = JsonRecords(Characters(), ["say.sum", "plan", "say.odd"])
    text = written.text({"say": {"sum": 5, "odd": True}, "plan": "x"}, [0, 1, 2])
    assert text == '{"say.sum": 5, "plan": "x", "say.odd": true}'


def test_a_prompt_stands_in_front_of_the_object():
    written = JsonRecords(Characters(), STEPS, prompt=lambda record: f"<s>Q: {record['ask']}\n")
    text = written.text(RECORD, [1, 0, 2, 3])
    assert text.startswith('<s>Q: 2 + 3 "?"\n{"sum": 5, "plan": ')
    tokens = written.tokens([RECORD], [1, 0, 2, 3])
    assert tokens.steps[0, : text.index("5") - 1].tolist() == [-1] * (text.index("5") - 1)


def pieces(tokens, row, of):
    """What is of each step, and of none."""
    there = tokens.mask[row] == 1
    return {
        step: of(tokens.ids[row][there & (tokens.steps[row] == step)].tolist())
        for step in sorted(set(tokens.steps[row][there].tolist()))
    }


def test_tokens_tell_whose_value_they_are():
    written = JsonRecords(Characters(), ["plan", "sum"], inputs=["ask"])
    records = [{"ask": "x", "plan": "add", "sum": 5}, {"ask": "", "plan": "", "sum": -10}]
    tokens = written.tokens(records, ["sum", "plan"])
    assert pieces(tokens, 0, Characters().decode) == {-1: '{"ask": "x", "sum": "plan":', 0: ' "add"}', 1: " 5,"}
    assert pieces(tokens, 1, Characters().decode) == {-1: '{"ask": "", "sum": "plan":', 0: ' ""}', 1: " -10,"}
    lengths = [len(written.text(record, [1, 0])) for record in records]
    assert tokens.mask.sum(1).tolist() == lengths
    assert tokens.ids.shape == tokens.steps.shape == (2, max(lengths))
    padding = tokens.mask == 0
    assert (tokens.ids[padding] == 0).all()
    assert (tokens.steps[padding] == -1).all()


def byte_level(prefix=False):
    """A tokenizer of Hugging Face whose merges would join what a border keeps apart."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [json.dumps(RECORD, separators=separators) for separators in ((",", ":"), (", ", ": "))]
    made.train_from_iterator(texts * 5, trainer)
    return made


@pytest.mark.parametrize("record", [RECORD, RECORD | {"plan": "café ☕", "sum": 123456, "more": "}"}])
def test_no_token_of_a_bpe_lies_across_a_border(record):
    tokenizer = byte_level()
    for separators in ((",", ":"), (", ", ": ")):
        comma, colon = separators
        written = JsonRecords(tokenizer, STEPS, inputs=["ask"], separators=separators)
        for order in permutations.sample(4, 6, seed=0):
            tokens, text = written.tokens([record], order), written.text(record, order)
            assert tokenizer.decode(tokens.ids[0].tolist()) == text
            values = pieces(tokens, 0, tokenizer.decode)
            for place, step in enumerate(order):
                value = json.dumps(record[STEPS[step]], separators=separators, ensure_ascii=False)
                assert values[step] == colon[1:] + value + ("}" if place == 3 else comma[:1])
            whole = tokenizer.encode(text).ids
            assert (tokens.ids[0].tolist() == whole) == (comma == ", ")  # of compact JSON, some token lies across


def test_a_tokenizer_that_puts_blanks_between_pieces_is_refused():
    with pytest.raises(InputError, match=r"^tokenizer: in pieces, '.*' comes back as '.*'$"):
        JsonRecords(byte_level(prefix=True), STEPS).tokens([RECORD], range(4))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: JsonRecords(None, STEPS),
            TypeError,
            "tokenizer: expected encode and decode, or a folder, got None",
        ),
        (lambda: JsonRecords(3, STEPS), TypeError, "tokenizer: expected encode and decode, or a folder, got int"),
        (lambda: JsonRecords(Characters(), []), InputError, "steps: expected at least one name, got none"),
        (lambda: JsonRecords(Characters(), ["a", "a"]), InputError, "steps: the name 'a' is there twice"),
        (lambda: JsonRecords(Characters(), ["a"], inputs=["a"]), InputError, "steps: the name 'a' is there twice"),
        (lambda: JsonRecords(Characters(), "ab"), TypeError, "steps: expected a list of texts, got 'ab'"),
        (
            lambda: JsonRecords(Characters(), STEPS, separators=(";", ":")),
            InputError,
            "separators: expected ',' and ':', each with or without blanks, got ",
        ),
        (
            lambda: JsonRecords(Characters(), ["plan", "x"]).text(RECORD, [0, 1]),
            InputError,
            "records: there is no 'x'; there are sum, ask, plan, more, more.x, more.ü, odd",
        ),
        (
            lambda: JsonRecords(Characters(), ["a"]).text({"a": {1, 2}}, [0]),
            InputError,
            "field 'a': expected what JSON holds, got set: ",
        ),
        (
            lambda: JsonRecords(Characters(), ["a"]).text({"a": pandas.NA}, [0]),
            InputError,
            "field 'a': expected what JSON holds, got NAType: ",
        ),
        (
            lambda: JsonRecords(Characters(), ["a"]).tokens([{"a": 1}, {"a": 1, 2: 3}], [0]),
            TypeError,
            "records: expected keys of text, got 2 in row 1$",
        ),
        (
            lambda: JsonRecords(Characters(), ["a"]).tokens([{"a": 1}, {"a": {"b": 1}, "a.b": 1}], [0]),
            InputError,
            "records: expected distinct keys, got 'a.b' twice in row 1$",
        ),
        (
            lambda: JsonRecords(Characters(), STEPS).text(RECORD, [0, 1]),
            ValueError,
            r"order: expected shape \(4,\)",
        ),
        (
            lambda: JsonRecords(Characters(), STEPS).text(RECORD, STEPS[:2]),
            InputError,
            "order: expected each of plan",
        ),
        (
            lambda: JsonRecords(Characters(), STEPS).tokens([], range(4)),
            InputError,
            "records: expected at least one",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(call, kind, message):
    with pytest.raises(kind, match=f"^{message}") as raised:
        call()
    assert "\n" not in str(raised.value)


def test_losses_are_summed_over_the_tokens_of_each_value():
    records = [{"a": "xy", "b": 7}, {"a": "", "b": 1234}]
    tokens = JsonRecords(Characters(), ["a", "b"]).tokens(records, [1, 0])
    logits = torch.randn(*tokens.ids.shape, 128, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses = step_losses(logits, tokens, 2)
    wanted = [[0.0, 0.0], [0.0, 0.0]]
    for row in range(2):
        for place in range(1, tokens.ids.shape[1]):
            step, token = int(tokens.steps[row, place]), int(tokens.ids[row, place])
            if step >= 0:
                before = logits[row, place - 1].detach().double()
                wanted[row][step] -= float(before[token] - before.exp().sum().log())
    np.testing.assert_allclose(losses.tolist(), wanted, rtol=1e-5)
    losses.sum().backward()  # it can be trained on
    assert (logits.grad.abs().sum(2) > 0)[:, :-1].equal(tokens.steps[:, 1:] >= 0)
    assert step_losses(logits.bfloat16(), tokens, 2).dtype == torch.float32
