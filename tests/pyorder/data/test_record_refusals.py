"""Records that are refused: one clear line, which names the argument, and of a file the line."""

import pytest

from pyorder import Dataset
from pyorder.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2}\n\n{"a": 1,', "line 3, column 9: cannot be read: "),
        ('{"a": 1, "b": 2}\n[1, 2]', "line 2: expected an object, got a list"),
        ("null", "line 1: expected an object, got null"),
        ('{"a": 1, "a": 2}', "line 1: cannot be read: the key 'a' is there twice"),
        ('{"a": {"b": 1, "b": 2}}', "line 1: cannot be read: the key 'b' is there twice"),
        (b'{"a": "\xff"}', "line 1: cannot be read: 'utf-8' codec can't decode"),
        ("[" * 100_000, "line 1"),
        ("", "expected at least one line with an object, got none"),
        ("\n \n", "expected at least one line with an object, got none"),
    ],
)
def test_a_broken_file_is_refused_by_its_line(tmp_path, text, message):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        Dataset.from_records(path)
    assert str(raised.value).startswith(f"{str(path)!r}: {message}")
    assert "\n" not in str(raised.value)


AB = [{"a": "x", "b": "y", "c": {"d": 1}}]
LOOP: dict = {}
LOOP["a"] = LOOP


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        (AB, {"inputs": ["name"]}, InputError, "inputs: there is no key 'name'; the keys are a, b, c, c.d"),
        (AB, {"targets": ["a", "a"]}, InputError, "targets: the key 'a' is named twice"),
        (AB, {"inputs": ["a"], "targets": ["a", "b"]}, InputError, "targets: the key 'a' is an input already"),
        (AB, {"targets": "a"}, TypeError, "targets: expected a list of keys, got the text 'a'"),
        (AB, {"targets": ["a"]}, InputError, "targets: expected at least 2 keys, got a"),
        (AB, {"inputs": ["a", "b", "c"]}, InputError, "targets: expected at least 2 keys, got none"),
        (AB, {"inputs": ["c"], "targets": ["a", "c.d"]}, InputError, "targets: 'c.d' is a part of 'c'"),
        (AB, {"groups": "name"}, InputError, "groups: there is no key 'name'; the keys are a, b, c, c.d"),
        ([], {}, InputError, "rows: expected at least one, got none"),
        ([{"a": None, "b": None}], {}, InputError, "rows: expected at least one value, got none"),
        (
            [{"a": "x", "b": "y"}, 3],
            {},
            TypeError,
            "rows: expected a mapping from keys to values, got int in row 1",
        ),
        (
            {"a": ["x"]},
            {},
            TypeError,
            "rows: expected a path, or an iterable of mappings from keys to values, got d",
        ),
        (3, {}, TypeError, "rows: expected a path, or an iterable of mappings from keys to values, got int"),
        ([{"a": "x", 3: "y"}], {}, TypeError, "rows: expected keys of text, got 3 in row 0"),
        ([{"a": {"b": 1}, "a.b": 2}], {}, InputError, "rows: expected distinct keys, got 'a.b' twice in row 0"),
        ([{"": "x", "b": "y"}], {}, InputError, "names: expected text that is not empty"),
        (
            [{"a": object(), "b": "y"}],
            {},
            InputError,
            "field 'a': expected what JSON holds, got object in row 0: ob",
        ),
        (
            [{"a": [float("nan")], "b": 1}],
            {},
            InputError,
            "field 'a': expected what JSON holds, got list in row 0: ",
        ),
        ([{"a": "\ud800", "b": "y"}], {}, InputError, "field 'a': expected valid Unicode, got '\\ud800'"),
        ([LOOP], {}, InputError, "rows: expected objects in objects a few levels deep, got more in row 0"),
        (
            [{"a": "x" * 65, "b": "y"}, {"a": None, "b": None}],
            {},
            InputError,
            "rows: expected at least one value in the rows that are left, got none",
        ),
        ("mine.json", {}, InputError, "'mine.json' ends in '.json'; .jsonl is needed"),
        ("mine.jsonl", {}, FileNotFoundError, "[Errno 2] No such file or directory: 'mine.jsonl'"),
    ],
)
def test_refusals_are_one_line(rows, options, error, message):
    with pytest.raises(error) as raised:
        Dataset.from_records(rows, **options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_tables_and_records_are_not_like_each_other():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": ["x", "y"], "b": ["z", "z"]})
    with pytest.raises(InputError, match="^like: expected a dataset of a table$"):
        Dataset.from_table(table, like=Dataset.from_records(AB))
    with pytest.raises(InputError, match="^like: expected a dataset of records$"):
        Dataset.from_records(AB, like=Dataset.from_table(table.append_column("c", [[1, 1]])))
