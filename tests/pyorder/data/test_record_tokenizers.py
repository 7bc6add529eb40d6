"""Tokenizers of records: what is asked of them, what files keep, and schemas of text that are broken."""

import copy
import json
import sys

import numpy as np
import pytest

from pyorder import Dataset
from pyorder.data.schema import Schema
from pyorder.data.texts import EMPTY, Alphabet
from pyorder.errors import InputError


class Words:
    """A tokenizer of words, each with the space before it, and one that forgets."""

    def __init__(self, forgets=False, starts=0):
        self.words, self.forgets, self.starts = [], forgets, starts

    def encode(self, text, add_special_tokens=True):
        assert add_special_tokens is False
        words = []
        for word in text.split(" "):
            if word not in self.words:
                self.words.append(word)
            words.append(self.starts + 7 * self.words.index(word))
        return words

    def decode(self, ids):
        words = [self.words[(id - self.starts) // 7] for id in ids]
        return " ".join(words).lower() if self.forgets else " ".join(words)


PHRASES = [{"a": "the plan", "b": "call the tool"}, {"a": "tool", "b": ""}, {"a": None, "b": "the the plan"}]


def test_a_tokenizer_is_asked_for_tokens(tmp_path):
    data = Dataset.from_records(PHRASES, tokenizer=Words())
    assert data.widths == (2, 3)
    alphabet = data.schema.alphabet
    assert (alphabet.unit, alphabet.exact) == ("tokens", True)
    assert sorted(zip(alphabet.starts, alphabet.pieces, strict=True)) == [
        ("", ""), ("call", " call"), ("plan", " plan"), ("the", " the"), ("tool", " tool")
    ]  # fmt: skip
    data.save(tmp_path / "mine.safetensors")
    assert data.to_records() == PHRASES == Dataset.open(tmp_path / "mine.safetensors").to_records()
    assert data.schema.describe()["b"].startswith(
        "3 different texts of 0 to 3 tokens: 'call the tool', '', 'the the"
    )


def test_a_tokenizer_that_does_not_give_a_text_back_is_refused():
    with pytest.raises(InputError, match=r"^tokenizer: field 'b': 'The plan' comes back as 'the plan'$"):
        Dataset.from_records([{"a": "the", "b": "The plan"}], tokenizer=Words(forgets=True))
    with pytest.raises(InputError, match=r"^tokenizer: expected ids of 0 or more, got -9 for 'the plan'$"):
        Dataset.from_records(PHRASES, tokenizer=Words(starts=-9))
    with pytest.raises(
        TypeError, match=r"^tokenizer: expected encode and decode, or a folder, got int without enc"
    ):
        Dataset.from_records(PHRASES, tokenizer=3)

    class Broken(Words):
        def encode(self, text):
            raise KeyError(text)

    with pytest.raises(
        InputError, match=r"^tokenizer: field 'a': 'the plan' cannot be encoded: KeyError: 'the pl"
    ):
        Dataset.from_records(PHRASES, tokenizer=Broken())


def test_other_data_needs_the_tokenizer_again():
    words = Words()
    train = Dataset.from_records(PHRASES, tokenizer=words)
    data = Dataset.from_records([{"a": "plan tool", "b": "the"}], like=train, tokenizer=words)
    assert data.to_records() == [{"a": "plan tool", "b": "the"}]
    assert data.schema == train.schema
    with pytest.raises(InputError, match="^field 'a': 'new tool' has the token 28, which the other data has not$"):
        Dataset.from_records([{"a": "new tool", "b": "the"}], like=train, tokenizer=words)
    with pytest.raises(
        InputError, match="^tokenizer: expected the tokenizer of the other dataset, whose texts are "
    ):
        Dataset.from_records([{"a": "plan", "b": "the"}], like=train)
    plain = Dataset.from_records(PHRASES)
    with pytest.raises(
        InputError, match="^tokenizer: expected no tokenizer of the other dataset, whose texts are"
    ):
        Dataset.from_records(PHRASES, like=plain, tokenizer=Words())


class Bytes:
    """A tokenizer whose tokens are bytes, which only it joins to characters."""

    def encode(self, text):
        return list(text.encode())

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")


def test_tokens_that_are_no_text_are_joined_by_the_tokenizer_alone(tmp_path):
    rows = [{"a": "café", "b": "x"}, {"a": "", "b": "y"}]
    data = Dataset.from_records(rows, tokenizer=Bytes())
    assert data.to_records() == rows
    assert data.schema.describe()["a"].endswith("only the tokenizer joins all tokens: a file has their pieces")
    data.save(tmp_path / "mine.safetensors")
    for other in (Dataset.open(tmp_path / "mine.safetensors"), copy.deepcopy(data)):
        assert other.schema == data.schema
        assert [row["a"] for row in other.to_records()] == ["caf\ufffd\ufffd", ""]
    plain = Dataset.from_records([{"a": "cafe", "b": "x"}], tokenizer=Bytes())
    assert plain.schema.alphabet.exact


@pytest.fixture(scope="module")
def hugging_face():
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    made.train_from_iterator(["the plan and the tool , the end ."] * 3, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


def test_a_tokenizer_of_hugging_face_is_taken(hugging_face, tmp_path):
    rows = [{"a": "the plan , the end .", "b": " tool "}, {"a": "and", "b": "the tool"}]
    data = Dataset.from_records(rows, tokenizer=hugging_face)
    assert data.to_records() == rows
    assert 0 not in data.schema.alphabet.numbers  # <s>, which is of no text
    longest = max(len(hugging_face.encode(row["a"], add_special_tokens=False)) for row in rows)
    assert data.widths[0] == longest < 20
    hugging_face.save_pretrained(tmp_path / "folder")
    for tokenizer in (tmp_path / "folder", str(tmp_path / "folder"), hugging_face.backend_tokenizer):
        again = Dataset.from_records(rows, tokenizer=tokenizer)
        assert again.schema == data.schema
        assert again.targets.tolist() == data.targets.tolist()
    assert Dataset.from_records(rows[1:], tokenizer=hugging_face, like=data).to_records() == rows[1:]


def test_a_folder_without_a_tokenizer_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^tokenizer: expected a folder that holds a tokenizer, got 'nowhere'$"):
        Dataset.from_records(PHRASES, tokenizer="nowhere")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"^tokenizer: a folder needs transformers \(pip install transformers\)"):
        Dataset.from_records(PHRASES, tokenizer=tmp_path)


def test_an_empty_folder_is_refused_in_one_line(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError) as raised:
        Dataset.from_records(PHRASES, tokenizer=tmp_path)
    assert str(raised.value).startswith(f"tokenizer: '{tmp_path}' holds none: ")
    assert "\n" not in str(raised.value)


SCHEMA = json.loads(
    Dataset.from_records([{"a": "x", "b": "y", "c": {"d": 1}}], tokenizer=Bytes()).schema.to_json()
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("alphabet"), "schema: expected the keys version, alphabet, inputs, steps, ends, missing"),
        (lambda s: s.update(alphabet=3), "schema: alphabet: expected an object with "),
        (
            lambda s: s["alphabet"].update(unit="lines"),
            "schema: alphabet: expected one of characters, tokens, got",
        ),
        (
            lambda s: s["alphabet"].update(pieces=["a"]),
            "schema: alphabet: expected as many numbers and starts as ",
        ),
        (lambda s: s["alphabet"].update(pieces=[1, 2, 3]), "schema: alphabet: expected a list of texts, got"),
        (
            lambda s: s["alphabet"].update(numbers=[3, 2, 1]),
            "schema: alphabet: expected increasing numbers from -1",
        ),
        (lambda s: s["alphabet"].update(numbers="abc"), "schema: alphabet: expected a list of numbers, got"),
        (lambda s: s["alphabet"].update(exact=1), "schema: alphabet: expected true or false, got 1"),
        (
            lambda s: s.update(alphabet={"unit": "characters", "numbers": [2**30]}),
            "schema: alphabet: expected code",
        ),
        (
            lambda s: s["steps"][0]["codec"].update(count=-1),
            "schema: codec: expected a number of 0 or more for count",
        ),
        (
            lambda s: s["steps"][0]["codec"].pop("count"),
            "schema: codec: expected an object with kind, shown, count, ",
        ),
        (lambda s: s["steps"][0]["codec"].update(shown=3), "schema: codec: expected a list of texts, got 3"),
        (lambda s: s["steps"][0]["codec"].update(shown=[]), "schema: codec: expected 1 texts to show, got 0"),
        (
            lambda s: (s.update(version=2), s.pop("alphabet")),
            "schema: codec: expected an alphabet in the schema, got text without one",
        ),
    ],
)
def test_a_broken_schema_of_text_is_refused(change, message):
    content = copy.deepcopy(SCHEMA)
    change(content)
    with pytest.raises(InputError) as raised:
        Schema.from_json(json.dumps(content))
    assert str(raised.value).startswith(message)


def test_texts_of_two_alphabets_are_in_no_schema():
    one, other = (Dataset.from_records([{"a": c, "b": c}]).schema.steps for c in "xy")
    with pytest.raises(InputError, match="^b: expected text in the alphabet that the other fields have$"):
        Schema((), (one[0], other[1]))


def test_an_alphabet_without_anything_has_no_code():
    assert Alphabet.of_characters([]).codes(np.array([3])).tolist() == [-1]
    assert Alphabet.of_characters([EMPTY]).text([0]) == ""
