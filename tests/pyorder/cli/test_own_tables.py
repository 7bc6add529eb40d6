"""Tables of one's own, from arrays and from files: what the commands read and say."""

import json

import numpy as np
import pytest

from pyorder import Dataset
from pyorder.cli._inputs import describe_data, load_data, read_dataset
from pyorder.cli._shared import shared_inputs, warn_of_shared_inputs
from pyorder.cli._tables import TableColumns

TABLE = np.random.default_rng(0).integers(0, 3, (100, 4))


def load(path, **files):
    files = {"validation": None, "test": None} | files
    return load_data(None, path, length=None, parameters=None, rows={}, files=files, seed=0)


@pytest.fixture
def table(tmp_path):
    def write(**arrays):
        np.savez(path := tmp_path / f"{len(list(tmp_path.iterdir()))}.npz", **arrays)
        return path

    return write


def test_targets_alone_are_read_and_split_by_row(table, capsys):
    train, validation, test = load(table(targets=TABLE, names=["a", "b", "c", "d"]))
    assert [part.rows for part in (train, validation, test)] == [80, 10, 10]
    warn_of_shared_inputs(train, validation=validation, test=test)
    assert capsys.readouterr().err == ""
    about = describe_data(None, train=train, validation=validation, test=test)
    assert (about["input_length"], about["names"], about["split_by"]) == (0, ("a", "b", "c", "d"), "row")


def test_a_split_by_row_is_said_in_one_line_and_its_inputs_are_not_called_shared(table, capsys):
    train, validation, test = load(table(inputs=TABLE[:, :1], targets=TABLE[:, 1:]))
    warn_of_shared_inputs(train, validation=validation, test=test)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "pyorder: warning: --data: split by row, not by distinct input: there are 100 rows with 3"
    )


def test_data_of_integers_alone_is_described_as_ever(table):
    inputs = np.arange(100)[:, None]
    parts = dict(zip(("train", "validation", "test"), load(table(inputs=inputs, targets=TABLE)), strict=True))
    assert set(describe_data(None, **parts)) == {"task", "parameters", "input_length", "target_length", "rows"}


def test_widths_are_described(table):
    data = read_dataset(table(targets=TABLE, widths=[3, 1]), "--data", TableColumns())
    assert describe_data(None, train=data)["widths"] == (3, 1)


def test_own_files_without_inputs_share_none(table, capsys):
    path = table(targets=TABLE)
    train, validation, test = load(path, validation=path, test=path)
    warn_of_shared_inputs(train, validation=validation, test=test)
    assert capsys.readouterr().err == ""


def test_a_missing_input_is_shared_with_missing_ones_only():
    targets = np.zeros((2, 2), int)
    train = Dataset(np.ma.array([[1, 0], [2, 2]], mask=[[0, 1], [0, 0]]), targets)
    assert shared_inputs(train, Dataset([[1, 1], [2, 2]], targets)) == 1
    other = Dataset(np.ma.array([[1, 2], [9, 9]], mask=[[0, 1], [0, 1]]), targets)
    assert shared_inputs(train, other) == 1


SEARCH = ["--strategy", "random", "--option", "candidates=4", "--steps", "4", "--device", "cpu", "--no-fit"]


@pytest.fixture
def people(tmp_path):
    """A table of 200 rows in a file: the fare follows from the class, which is told twice."""
    rng = np.random.default_rng(0)
    ranks, ages = rng.integers(1, 4, 200), rng.integers(0, 80, 200)
    lines = ["class,name of class,age,fare,email"]
    for row, (rank, age) in enumerate(zip(ranks.tolist(), ages.tolist(), strict=True)):
        lines.append(
            f"{rank},{['first', 'second', 'third'][rank - 1]},{age or ''},{rank * 7.5 + age % 2},{row}@here"
        )
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_table_is_searched_by_the_names_of_its_columns(run, people, tmp_path):
    columns = ["--inputs", "age", "--targets", "class,name of class, fare", "--bins", "4"]
    code, out, err = run("discover", "--data", people, *columns, *SEARCH, "--out", "found")
    assert code == 0, err
    told = [line for line in err.splitlines() if "warning" not in line]
    assert told[0].startswith("age            4 bins of integers, cut at ")
    assert "row" in told[0]
    assert told[1] == "class          3 integers: 1, 2, 3"
    assert told[2].startswith("fare           4 bins of numbers, cut at ")
    assert told[3] == "name of class  one to one with class: left out"
    assert [line.count("bins of") for line in told].count(1) == 2  # said once
    result = json.loads((tmp_path / "found" / "result.json").read_text())
    assert sorted(result["search"]["names"]) == ["class", "fare"]
    assert result["data"]["columns"]["class"] == "3 integers: 1, 2, 3"
    assert result["data"]["same"] == {"name of class": "class"}
    assert "own data, 2 steps" in out


def test_a_tables_validation_rows_have_its_codes(told, people, tmp_path):
    lines = people.read_text().splitlines()
    (tmp_path / "validation.csv").write_text("\n".join([lines[0], *lines[150:]]))
    (tmp_path / "train.csv").write_text("\n".join(lines[:150]))
    files = ["--data", "train.csv", "--validation-data", "validation.csv", "--test-data", "validation.csv"]
    result = told("discover", *files, "--targets", "class,fare", *SEARCH)
    assert result["data"]["rows"] == {"train": 149, "validation": 51, "test": 51}


def test_all_other_columns_are_targets_but_no_free_text(refused, people):
    assert refused("discover", "--data", people, *SEARCH) == (
        "--data: text that hardly repeats is no category: column 'email' (200 different texts in 200 rows); leave "
        "such columns out with ignore, or put what they tell into columns of their own"
    )


def test_what_a_column_does_not_tell_is_said(run, tmp_path):
    rng = np.random.default_rng(0)
    lines = ['patient,"a,x",b,same,email']
    lines += [f"{row},{a},{b},5,{row}@here" for row, (a, b) in enumerate(rng.integers(0, 3, (200, 2)).tolist())]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    code, _, err = run("discover", "--data", "mine.csv", "--ignore", "email", *SEARCH, "--out", "found")
    assert code == 0, err
    told = [line.split("  ", 1) for line in err.splitlines()]
    said = {name: text.strip() for name, text in (line for line in told if len(line) == 2)}
    assert said["patient"].startswith("20 bins of integers, cut at ")
    assert said["patient"].endswith("; all values differ: if this is an id, leave it out with --ignore")
    assert said["same"] == "always 5; nothing to order: leave it out with --ignore"
    assert said["b"] == "3 integers: 0, 1, 2"
    result = json.loads((tmp_path / "found" / "result.json").read_text())
    assert result["data"]["columns"]["patient"] == said["patient"]
    assert "if this is an id" in (tmp_path / "found" / "report.html").read_text()
    words = ["--ignore", "email, patient", "--targets", '["a,x", "b"]', *SEARCH]
    assert run("discover", "--data", "mine.csv", *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--inputs", "agee"],
            "--data: inputs: there is no column 'agee'; the columns are class, name of class, age,",
        ),
        (["--inputs", "age", "--targets", "age,fare"], "--data: targets: the column 'age' is an input already"),
        (
            ["--ignore", "agee"],
            "--data: ignore: there is no column 'agee'; the columns are class, name of class, ",
        ),
        (["--targets", "fare"], "--data: targets: expected at least 2 columns, got fare"),
        (
            ["--targets", "class,name of class"],
            "--data: targets: expected at least 2 columns, got class; 'name of class' is one to one with 'class' "
            "and was left out",
        ),
    ],
)
def test_columns_are_refused_in_one_line(refused, people, words, message):
    assert refused("discover", "--data", people, *words, *SEARCH).startswith(message)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--last", "name of class"), ("--tier", "1:name of class"), ("--before", "name of class:age")],
)
def test_a_column_that_was_left_out_is_said_to_be_where_it_is_named(refused, people, option, value):
    said = refused("discover", "--data", people, "--targets", "class,name of class,age", option, value, *SEARCH)
    assert said.startswith(f"{option}: there is no step 'name of class'; steps are class, age, or 0 to 1")
    assert said.endswith("; 'name of class' is one to one with 'class' and was left out")


def test_an_order_that_names_a_column_that_was_left_out(refused, people):
    words = ["--targets", "class,name of class,age", "--order", "class,name of class"]
    assert refused("train", "--data", people, *words).endswith(
        "'name of class' is no step; steps are class, age, or 0 to 1; 'name of class' is one to one with 'class' "
        "and was left out"
    )


def test_groups_stay_together(told, refused, people):
    columns = ["--targets", "class,fare", "--groups"]
    found = told("discover", "--data", people, *columns, "age", *SEARCH)
    assert found["data"]["split_by"] == "group"
    assert all(0 < fitted["test_groups"] < fitted["test_rows"] for fitted in found["fits"].values())
    assert refused("discover", "--data", people, *columns, "class", *SEARCH).startswith(
        "--data: groups: 3 groups are too few for splits of 0.8, 0.1, 0.1; the largest has "
    )


def test_columns_are_about_tables(refused, own_data):
    assert refused("discover", "square", "--length", "4", "--inputs", "a", *SEARCH).startswith(
        "--inputs: goes with"
    )
    assert refused("discover", "--data", own_data(), "--bins", "4", *SEARCH).startswith(
        "--data: --bins: goes with"
    )


def test_a_run_of_a_table_is_trained_on_by_name(told, run, people):
    data = ["--data", people, "--targets", "class,fare", "--device", "cpu"]
    told("discover", *data, *SEARCH[:-1], "--no-fit", "--out", "found")
    fitted = told("train", *data, "--order", "@found", "--steps", "4")
    assert sorted(fitted["names"]) == ["class", "fare"]
    assert run("profile", *data, "--random", "2", "--steps", "4")[0] == 0
