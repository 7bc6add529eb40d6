"""Records: that every text comes back, from files too, and how wide fields are."""

import copy
import datetime
import json
import pickle
import time

import numpy as np
import pytest
import torch

from pyorder import Dataset
from pyorder.data import _record_fields
from pyorder.data.schema import Schema
from pyorder.data.tokens import Tokens
from pyorder.errors import InputError

MIXED = [
    {"ask": "2+3", "say": {"sum": 5, "odd": True, "steps": ["2", 3]}, "note": "", "who": "ü\U0001f600"},
    {"who": None, "ask": "19+3", "say": {"sum": 22.5, "odd": False}, "note": "easy", "never": None},
    {"ask": "", "say": {"odd": None, "sum": -1, "steps": {"a": [1, {"b": None}]}}, "same": "x\ny\t\"'\\"},
    {"ask": 'null "quoted"', "say": None},
]
NAMES = ["ask", "say.sum", "say.odd", "say.steps", "note", "who", "never", "same"]


def as_texts(record, names=NAMES):
    """What a record should come back as, told by a plain loop."""
    told = {}
    for name in names:
        value = record
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        told[name] = value
    return told


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", "utf-8")
    return path


@pytest.mark.parametrize("name", ["texts", "_record_fields", "_record_files", "_sources", "_tokenizers"])
def test_docstring_examples(doctests, name):
    if name == "_sources":
        pytest.importorskip("pyarrow")
    doctests(f"pyorder.data.{name}")


def test_every_text_comes_back():
    data = Dataset.from_records(MIXED, inputs=["ask"], targets=NAMES[1:])
    assert data.schema.input_names == ("ask",)
    assert data.names == tuple(NAMES[1:])
    wanted = [as_texts(record) for record in MIXED]
    assert data.to_records() == wanted
    for field in (*data.schema.inputs, *data.schema.steps):
        assert field.width == max(1, *(len(row[field.name] or "") for row in wanted))
    characters = {c for row in wanted for text in row.values() if text for c in text}
    assert set(data.schema.alphabet.pieces) == characters | {""}
    assert data.vocabulary.tolist() == list(range(len(characters) + 1))


def test_all_other_keys_are_targets_in_the_sequence_that_they_appear_in():
    rows = [
        {"b": 1, "a": {"y": 2, "x": None}},
        {"c": {"d": {"e": 3}}, "a": {"z": 1}},
        {"f": {}, "a": None, "c": {}},
    ]
    assert Dataset.from_records(rows).names == ("b", "a.y", "a.x", "c.d.e", "a.z", "f")
    assert Dataset.from_records(rows, inputs=["a"]).names == ("b", "c.d.e", "f")
    assert Dataset.from_records(rows, inputs=["a.y"], groups="c").names == ("b", "a.x", "a.z", "f")


def test_a_key_with_objects_and_other_values_is_one_field():
    rows = [{"a": {"b": 1}, "c": 1}, {"a": "x", "c": 2}]
    assert Dataset.from_records(rows).to_records() == [{"a": '{"b":1}', "c": "1"}, {"a": "x", "c": "2"}]


def test_a_file_tells_what_a_list_does(tmp_path):
    path = write(tmp_path / "mine.jsonl", MIXED)
    wanted = Dataset.from_records(MIXED)
    for rows in (path, str(path), iter(MIXED), tuple(MIXED)):
        data = Dataset.from_records(rows)
        assert data.schema == wanted.schema
        assert data.to_records() == wanted.to_records()
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Dataset.from_records(marked).to_records() == wanted.to_records()


def test_what_has_a_length_and_yields_mappings_is_read():
    class Lazy:
        def __len__(self):
            return len(MIXED)

        def __iter__(self):
            return iter(MIXED)

    assert Dataset.from_records(Lazy()).schema == Dataset.from_records(MIXED).schema


def test_what_is_no_text_becomes_json():
    rows = [
        {
            "n": np.int64(3),
            "x": np.float32(0.5),
            "list": np.array([1, 2]),
            "t": datetime.date(2020, 1, 2),
            "b": True,
        },
        {"n": 10**30, "x": float("nan"), "list": (), "t": datetime.datetime(2020, 1, 2, 3), "b": float("inf")},
    ]
    assert Dataset.from_records(rows).to_records() == [
        {"n": "3", "x": "0.5", "list": "[1,2]", "t": "2020-01-02", "b": "true"},
        {"n": "1" + "0" * 30, "x": None, "list": "[]", "t": "2020-01-02T03:00:00", "b": None},
    ]


def test_files_and_copies_keep_everything(tmp_path):
    data = Dataset.from_records(MIXED, inputs=["ask"], metadata={"source": "test"})
    data.save(tmp_path / "mine.safetensors")
    again = Dataset.open(tmp_path / "mine.safetensors")
    assert again.metadata["source"] == "test"
    for other in (again, pickle.loads(pickle.dumps(data)), copy.deepcopy(data), data.select(range(4))):
        assert other.schema == data.schema
        assert other.to_records() == data.to_records()
        assert other.schema.describe() == data.schema.describe()
    order = np.arange(len(data.names))[::-1]
    moved = data.reorder(order)
    assert moved.names == data.names[::-1]
    assert moved.to_records() == data.to_records()
    assert Schema.from_json(data.schema.to_json()) == data.schema
    assert data.schema.to_json().count('"numbers"') == 1  # the alphabet is told once


def test_shorter_texts_end_early_and_missing_ones_at_once():
    rows = [{"a": "xyz", "b": "x", "c": "q"}, {"a": "x", "b": "", "c": "q"}, {"b": "yy", "c": "q"}]
    data = Dataset.from_records(rows, inputs=["c"])
    assert data.widths == (3, 2)
    assert data.lengths.tolist() == [[3, 1], [1, 1], [0, 2]]
    at = {piece: code for code, piece in enumerate(data.schema.alphabet.pieces)}
    assert list(at) == ["", "q", "x", "y", "z"]
    end = len(at)
    inputs, targets = data.encode()
    assert inputs.tolist() == [[at["q"]]] * 3
    assert targets.tolist() == [
        [at["x"], at["y"], at["z"], at["x"], end],
        [at["x"], end, -100, at[""], end],
        [end, -100, -100, at["y"], at["y"]],
    ]
    assert data.to_records(data.decode(targets)) == [{k: row.get(k) for k in "ab"} for row in rows]


def test_inputs_vary_in_width_too():
    rows = [{"in": "abc", "a": "x", "b": "y"}, {"in": "a", "a": "y", "b": "x"}, {"a": "x", "b": "x"}]
    data = Dataset.from_records(rows, inputs=["in"])
    assert data.inputs_missing.tolist() == [[False] * 3, [False, True, True], [True] * 3]
    end = len(data.vocabulary)
    inputs, _ = data.encode()
    assert (inputs == end).tolist() == data.inputs_missing.tolist()
    assert [row["in"] for row in data.to_records()] == ["abc", "a", None]


def test_inputs_and_rows_may_be_missing_altogether():
    rows = [{"in": None, "a": "x", "b": "y"}, {"in": None, "a": None, "b": None}]
    data = Dataset.from_records(rows, inputs=["in"])
    assert data.to_records() == rows
    assert data.inputs_missing.all()
    assert data.lengths.tolist() == [[1, 1], [0, 0]]
    assert data.select([1]).to_records() == rows[1:]


def test_wide_fields_are_counted_in_wider_integers(tmp_path):
    rows = [{"a": "x" * 300, "b": "y"}, {"a": "x" * 299, "b": "yy"}]
    data = Dataset.from_records(rows, max_width=1000)
    data.save(tmp_path / "mine.safetensors")
    assert Dataset.open(tmp_path / "mine.safetensors").to_records() == rows


def test_what_a_model_writes_comes_back_as_text():
    data = Dataset.from_records([{"a": "xyz", "b": "x"}, {"a": "x", "b": None}])
    codes = {piece: code for code, piece in enumerate(data.schema.alphabet.pieces)}
    written = np.ma.masked_array([[codes["z"], codes["z"], codes["x"], codes["x"]]], [[False, False, True, True]])
    assert data.to_records(written) == [{"a": "zz", "b": None}]
    with pytest.raises(InputError, match=r"^a: expected codes 0 to 2, got 3 \(row 0\)$"):
        data.to_records([[0, 0, 3, 0]])


def test_longer_rows_are_left_out_and_told():
    rows = [{"a": "x" * n, "b": "y" * (n % 3), "c": "é" if n > 5 else "e"} for n in range(1, 11)]
    data = Dataset.from_records(rows, max_width=4)
    assert data.to_records() == rows[:4]
    assert data.metadata["left_out"] == "6 of 10 rows: more than 4 characters in a field"
    assert data.schema.describe() == {
        "a": "4 different texts of 1 to 4 characters: 'x', 'xx', 'xxx', 'xxxx'; "
        "6 rows of more than 4 characters left out",
        "b": "3 different texts of 0 to 2 characters: 'y', 'yy', ''",
        "c": "always 'e'",
    }
    assert "é" not in data.schema.alphabet.pieces  # of no row that is kept
    assert "left_out" not in Dataset.from_records(rows, max_width=10).metadata
    with pytest.raises(
        InputError, match=r"^max_width: no row is left: all 10 have more than 1 characters in a fie"
    ):
        Dataset.from_records([{"a": "xx", "b": "y"}] * 10, max_width=1)
    with pytest.raises(ValueError, match="^max_width: expected an integer from 1 to"):
        Dataset.from_records(rows, max_width=0)


def test_the_default_is_64():
    rows = [{"a": "x" * 64, "b": "y"}, {"a": "x" * 65, "b": "y"}]
    data = Dataset.from_records(rows)
    assert (data.rows, data.widths) == (1, (64, 1))


def test_constant_and_missing_fields_are_kept_and_described():
    rows = [{"a": "same", "b": None, "c": c} for c in ("x", "y", "y")]
    data = Dataset.from_records(rows)
    assert data.names == ("a", "b", "c")
    assert data.schema.describe() == {
        "a": "always 'same'",
        "b": "no values; 3 rows without a value",
        "c": "2 different texts of 1 character: 'x', 'y'",
    }
    assert data.to_records() == rows
    many = [{"a": str(n) * 30, "b": "x"} for n in range(9)]
    told = Dataset.from_records(many).schema.describe()["a"]
    assert told.startswith(f"9 different texts of 30 characters: '{'0' * 21}...', ")
    assert told.endswith(", ...")


def test_another_file_has_the_same_codes():
    train = Dataset.from_records(MIXED, inputs=["ask"], targets=NAMES[1:])
    data = Dataset.from_records([MIXED[2], {**MIXED[0], "ask": "3+2"}], like=train)
    assert data.schema == train.schema
    assert data.vocabulary.tolist() == train.vocabulary.tolist()
    assert data.to_records() == [as_texts(MIXED[2]), as_texts({**MIXED[0], "ask": "3+2"})]
    data.encode(train.vocabulary, ends=train.schema.ends)


def test_what_another_file_lacks_is_refused_by_name():
    train = Dataset.from_records([{"a": "xy", "b": "z", "c": 1}])
    with pytest.raises(InputError, match=r"^field 'b': 'q' has the character 'q', which the other data has not$"):
        Dataset.from_records([{"a": "x", "b": "q", "c": 1}], like=train)
    with pytest.raises(
        InputError, match=r"^field 'b': '' is a text of no characters, which the other data has not$"
    ):
        Dataset.from_records([{"a": "x", "b": "", "c": 1}], like=train)
    with pytest.raises(InputError, match=r"^targets: there is no key 'c'; the keys are a, b$"):
        Dataset.from_records([{"a": "x", "b": "z"}], like=train)
    sparse = Dataset.from_records([{"a": "x", "b": "y"}, {"a": "y", "c": "x"}])
    assert Dataset.from_records([{"a": "x"}], like=sparse).to_records() == [{"a": "x", "b": None, "c": None}]
    with pytest.raises(
        TypeError, match="^like: keys are those of the other dataset; inputs, targets and ignore can"
    ):
        Dataset.from_records(MIXED, inputs=["ask"], like=train)
    with pytest.raises(InputError, match="^like: expected a dataset of records$"):
        Dataset.from_records(MIXED, like=Dataset(None, [[1, 2]]))
    with pytest.raises(
        InputError, match=r"^like: no row is left: all 1 have more characters than the other data in"
    ):
        Dataset.from_records([{"a": "xxx", "b": "z", "c": 1}], like=train)


def test_rows_wider_than_another_file_are_left_out():
    train = Dataset.from_records([{"a": "xy", "b": "z"}])
    data = Dataset.from_records([{"a": "xyx", "b": "z"}, {"a": "y", "b": "z"}, {"b": "z"}], like=train)
    assert data.to_records() == [{"a": "y", "b": "z"}, {"a": None, "b": "z"}]
    assert data.metadata["left_out"] == "1 of 3 rows: more characters than the other data in a field"
    assert data.schema == train.schema


def test_rows_of_one_group_are_on_one_side():
    rng = np.random.default_rng(0)
    patients = rng.integers(40, size=400).tolist()
    rows = [{"patient": {"id": p} if p else None, "a": int(a), "b": "x" * (65 if i == 7 else 1)}
            for i, (p, a) in enumerate(zip(patients, rng.integers(3, size=400), strict=True))]  # fmt: skip
    data = Dataset.from_records(rows, groups="patient.id")
    assert data.names == ("a", "b")
    kept = [p for i, p in enumerate(patients) if i != 7]
    assert len(set(zip(data.groups.tolist(), kept, strict=True))) == len(set(kept))
    parts = data.split(seed=3)
    assert sum(len(set(part.groups.tolist())) for part in parts) == len(set(kept))


def test_models_see_the_texts():
    data = Dataset.from_records(MIXED, inputs=["ask"])
    tokens = Tokens.of(data, "train", torch.device("cpu"))
    assert tokens.vocabulary_size == len(data.vocabulary) + 1
    written = data.to_records(data.decode(tokens.targets.numpy()))
    assert written == [{name: row[name] for name in data.names} for row in data.to_records()]


def test_many_records_are_read_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghij "))
    rows = [
        {f"k{i}": "".join(letters[rng.integers(11, size=size)]) for i, size in enumerate(sizes)}
        for sizes in rng.integers(1, 12, size=(20_000, 10)).tolist()
    ]
    began = time.process_time()
    data = Dataset.from_records(rows)
    assert time.process_time() - began < 5
    assert data.to_records() == rows
    assert data.schema.steps[3].codec.count == len({row["k3"] for row in rows})


def test_fields_are_found_in_plain_rows_without_a_copy():
    row = {"a": 1, "b": [2]}
    assert _record_fields.flatten(row, 0) is row
