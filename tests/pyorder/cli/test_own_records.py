"""Records in JSONL files on the command line, and constraints in the names of their fields."""

import json

import numpy as np
import pytest

import pyorder
from pyorder.cli._constraints import Constraints

SEARCH = ["--strategy", "random", "--option", "candidates=4", "--steps", "4", "--device", "cpu", "--no-fit"]


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


@pytest.fixture
def records(tmp_path):
    """200 questions, whose answer is told with a sum and whether it is odd."""
    rng = np.random.default_rng(0)
    rows = [
        {"ask": f"{a}+{b}", "say": {"odd": bool((a + b) % 2), "sum": int(a + b)}, "mood": "calm"}
        for a, b in rng.integers(0, 30, (200, 2)).tolist()
    ]
    rows[3]["say"]["note"] = "a long one"
    del rows[5]["mood"]
    return write(tmp_path / "asked.jsonl", rows)


def test_docstring_examples(doctests):
    for module in ("_constraints", "_inputs", "_orders", "_tables"):
        doctests(f"pyorder.cli.{module}")


def test_records_are_searched_by_the_names_of_their_fields(run, records, tmp_path):
    words = ["--inputs", "ask", "--targets", "say.odd, say.sum,mood,say.note", "--max-width", "9"]
    code, out, err = run("discover", "--data", records, *words, *SEARCH, "--out", "found")
    assert code == 0, err
    told = [line for line in err.splitlines() if "warning" not in line and not line.startswith("search")]
    assert told[0].startswith("ask       ")
    assert told[1].startswith("say.odd   2 different texts of 4 to 5 characters: 'false', 'true'")
    assert told[3] == "mood      always 'calm'; 1 row without a value"
    assert (
        told[4] == "say.note  no values; 199 rows without a value; 1 row of more than 9 characters left out; "
        "nothing to order: leave it out with --ignore"
    )
    assert told[5] == "left out: 1 of 200 rows: more than 9 characters in a field"
    result = json.loads((tmp_path / "found" / "result.json").read_text())
    assert sorted(result["search"]["names"]) == ["mood", "say.note", "say.odd", "say.sum"]
    assert result["data"]["left_out"] == "1 of 200 rows: more than 9 characters in a field"
    assert sum(result["data"]["rows"].values()) == 199
    assert "own data, 4 steps" in out


def test_texts_that_all_differ_are_told_of(run, tmp_path):
    rows = [{"id": f"p{row}", "note": {"a": row % 3, "b": row}, "c": row % 2, "d": row % 5} for row in range(200)]
    write(tmp_path / "mine.jsonl", rows)
    code, _, err = run("discover", "--data", "mine.jsonl", "--ignore", "note", *SEARCH)
    assert code == 0, err
    told = dict(line.split(" ", 1) for line in err.splitlines() if " different texts of " in line)
    assert list(told) == ["id", "c", "d"]  # and nothing of what is inside of the note
    assert told["id"].strip().startswith("200 different texts of 2 to 4 characters: ")
    assert told["id"].endswith("; all values differ: if this is an id, leave it out with --ignore")
    assert not any("--ignore" in told[name] for name in ("c", "d"))


def test_own_files_have_the_codes_of_the_first(run, refused, told, records, tmp_path):
    rows = [json.loads(line) for line in records.read_text().splitlines()]
    own = [*rows[150:], {"ask": "1111111+11111111111111", "say": {"odd": True, "sum": 1}, "mood": "calm"}]
    write(tmp_path / "validation.jsonl", own)
    write(tmp_path / "train.jsonl", rows[:150])
    files = ["--data", "train.jsonl", "--validation-data", "validation.jsonl", "--test-data", "validation.jsonl"]
    result = told("discover", *files, "--inputs", "ask", *SEARCH)
    assert result["data"]["rows"] == {"train": 150, "validation": 50, "test": 50}
    _, _, err = run("discover", *files, "--inputs", "ask", *SEARCH)
    assert err.count("left out of validation: 1 of 51 rows: more characters than the other data in a field") == 1
    write(tmp_path / "validation.jsonl", [{**rows[0], "mood": "CALM"}])
    assert refused("discover", *files, "--inputs", "ask", *SEARCH) == (
        "--validation-data: field 'mood': 'CALM' has the character 'C', which the other data has not"
    )


def test_the_other_commands_read_records_too(told, run, records):
    data = ["--data", records, "--inputs", "ask", "--device", "cpu"]
    told("discover", *data, *SEARCH, "--out", "found")
    fitted = told("train", *data, "--order", "@found", "--steps", "4", "--model", "nano")
    assert sorted(fitted["names"]) == ["mood", "say.note", "say.odd", "say.sum"]
    assert run("profile", *data, "--random", "2", "--steps", "4", "--model", "nano")[0] == 0


def test_groups_stay_together(told, records):
    words = ["--targets", "say.odd,mood", "--groups", "ask"]
    assert told("discover", "--data", records, *words, *SEARCH)["data"]["split_by"] == "group"


def test_a_folder_of_a_tokenizer_is_loaded(told, refused, records, tmp_path):
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(vocab=letters, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(tmp_path / "tokens")
    words = ["--inputs", "ask", "--tokenizer", "tokens"]
    columns = told("discover", "--data", records, *words, *SEARCH)["data"]["columns"]
    assert columns["say.odd"].startswith("2 different texts of 4 to 5 tokens: ")
    assert refused("discover", "--data", records, *words[:-1], "nowhere", *SEARCH) == (
        "--data: tokenizer: expected a folder that holds a tokenizer, got 'nowhere'"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--inputs", "name"],
            "--data: inputs: there is no key 'name'; the keys are ask, say, say.odd, say.sum, mo",
        ),
        (["--targets", "mood"], "--data: targets: expected at least 2 keys, got mood"),
        (["--bins", "4"], "--data: --bins: goes with --data FILE, where that ends in .csv or .parquet"),
        (
            ["--max-width", "1"],
            "--data: max_width: no row is left: all 200 have more than 1 characters in a field",
        ),
    ],
)
def test_keys_are_refused_in_one_line(refused, records, words, message):
    assert refused("discover", "--data", records, *words, *SEARCH).startswith(message)


def test_a_broken_line_is_told(refused, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"a": 1, "b": 2}\n{"a"')
    assert refused("discover", "--data", "mine.jsonl", *SEARCH).startswith(
        "--data: 'mine.jsonl': line 2, column 5: "
    )


def test_options_of_records_are_about_records(refused, own_data):
    for words in (["--tokenizer", "folder"], ["--max-width", "9"]):
        said = f"{words[0]}: goes with --data FILE, where that ends in .jsonl"
        assert refused("discover", "--data", own_data(), *words, *SEARCH) == f"--data: {said}"
        assert refused("discover", "square", "--length", "4", *words, *SEARCH) == said


def test_constraints_in_names_hold(told, records):
    data = ["--data", records, "--inputs", "ask", "--targets", "mood,say.sum,say.odd,say.note"]
    words = ["--first", "say.note", "--last", "mood", "--before", "say.odd:say.sum"]
    result = told("discover", *data, *words, *SEARCH)
    assert result["names"] == ["say.note", "say.odd", "say.sum", "mood"]
    result = told("discover", *data, "--tier", "2:say.sum,3", "--tier", "10:0", "--tier", "0:say.odd", *SEARCH)
    assert result["names"][0] == "say.odd"
    assert result["names"][-1] == "mood"


def test_constraints_of_a_file_and_in_words_add_up(told, records, tmp_path):
    (tmp_path / "graph.json").write_text('[["say.odd", "say.sum"]]')
    data = ["--data", records, "--targets", "ask,say.sum,say.odd", "--constraints", "graph.json"]
    assert told("discover", *data, "--last", "ask", *SEARCH)["names"] == ["say.odd", "say.sum", "ask"]


def test_constraints_go_with_numbers_and_tasks(told, refused):
    task = ["square", "--length", "3", "--train-rows", "40"]
    assert told("discover", *task, "--before", "2:0,0:1", *SEARCH)["order"] == [2, 0, 1]
    assert told("discover", *task, "--first", "1", "--last", "0", *SEARCH)["order"] == [1, 2, 0]
    assert refused("discover", *task, "--first", "3", *SEARCH) == (
        "--first: there is no step 3; steps are 0, 1, 2, or 0 to 2"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--first", "name"],
            "--first: there is no step 'name'; steps are ask, say.odd, say.sum, mood, say.note, or ",
        ),
        (["--last", "mood,mood"], "--last: the step 'mood' is named twice"),
        (["--last", ","], "--last: expected names or numbers of steps, got ','"),
        (["--before", "mood"], "--before: expected STEP:STEP, the one that comes before first, got 'mood'"),
        (["--before", "mood:name"], "--before: there is no step 'name'; steps are"),
        (["--before", "mood:mood"], "--before: the step 'mood' cannot come before itself"),
        (["--tier", "mood"], "--tier: expected NUMBER:STEP,STEP, got 'mood'"),
        (["--tier", "0:mood", "--tier", "1:ask,mood"], "--tier: the step 'mood' is named twice"),
        (
            ["--before", "mood:ask,ask:say.sum", "--before", "say.sum:mood"],
            "constraints: no order has ask before say.sum before mood before ask",
        ),
        (["--first", "ask", "--before", "mood:ask"], "constraints: no order has ask before mood before ask"),
    ],
)
def test_constraints_are_refused_in_one_line(refused, records, words, message):
    assert refused("discover", "--data", records, *words, *SEARCH).startswith(message)


def test_names_may_hold_commas_and_colons():
    data = pyorder.Dataset(None, [[0, 1, 1]], names=["a:b", "c,d", "b"])
    assert Constraints(first=["c,d"]).graph(data, None).edges.tolist() == [[1, 0], [1, 2]]
    assert Constraints(last=['["c,d", "b"]']).graph(data, None).edges.tolist() == [[0, 1], [0, 2]]
    assert Constraints(before=["a:b:b"]).graph(data, None).edges.tolist() == [[0, 2]]
    assert Constraints(before=["c,d:a:b"]).graph(data, None).edges.tolist() == [[1, 0]]
    assert Constraints().graph(data, None) is None
    twice = pyorder.Dataset(None, [[0, 1, 1, 1]], names=["a", "b:c", "a:b", "c"])
    with pytest.raises(ValueError, match="^--before: 'a:b:c' can be read in 2 ways; give the steps' numbers$"):
        Constraints(before=["a:b:c"]).graph(twice, None)
