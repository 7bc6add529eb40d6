"""Tables: what every kind of column becomes, that values come back, and what is refused."""

import datetime
import json
import sys

import numpy as np
import pytest

import pyorder
from pyorder import Dataset
from pyorder.data import _columns, codecs, tables
from pyorder.data.schema import Schema
from pyorder.errors import InputError

# CI has them; a GPU's tests may run where they are not.
pandas, polars, pyarrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
parquet = pytest.importorskip("pyarrow.parquet")

DAY, LATER = datetime.date(1990, 5, 1), datetime.date(2001, 1, 2)
NOON, NIGHT = datetime.datetime(2020, 1, 1, 12, 30), datetime.datetime(2020, 1, 2)
MIXED = {
    "age": [31.5, None, 5.0, 70.25, 5.0],
    "sex": ["f", "m", None, "m", "f"],
    "alive": [True, False, True, None, True],
    "class": [3, 1, 3, 2, 2],
    "born": [DAY, LATER, None, DAY, DAY],
    "seen": [NOON, None, NIGHT, None, None],
}
TABLE = pyarrow.table(MIXED)


def test_docstring_examples(doctests):
    for module in (codecs, tables, _columns):
        doctests(module)


def test_a_single_bin_is_told_in_the_singular():
    assert codecs.Codec("integers", (0,), ()).describe() == "1 bin of integers"


def test_values_of_every_kind_come_back():
    data = Dataset.from_table(TABLE, inputs=["class"])
    assert data.names == ("age", "sex", "alive", "born", "seen")
    assert data.schema.input_names == ("class",)
    wanted = [dict(zip(MIXED, row, strict=True)) for row in zip(*MIXED.values(), strict=True)]
    for row in wanted:
        row["born"] = row["born"] and str(row["born"])
        row["seen"] = row["seen"] and str(row["seen"])
    assert data.to_records() == wanted


@pytest.mark.parametrize(
    "frame",
    [
        TABLE,
        pandas.DataFrame(MIXED),
        polars.DataFrame(MIXED),
        pyarrow.table({**MIXED, "sex": pyarrow.array(MIXED["sex"]).dictionary_encode()}),
        pandas.DataFrame(MIXED).astype({"sex": "category", "alive": "boolean"}).iloc[[0, 1, 2, 3, 4]],
    ],
)
def test_every_frame_gives_the_same(frame):
    assert Dataset.from_table(frame).to_records() == Dataset.from_table(TABLE).to_records()


def test_the_numbers_of_a_pandas_frames_rows_are_no_column():
    frame = pandas.DataFrame({"a": [1, 2, 1], "b": [3, 4, 4]}, index=[7, 5, 9])
    assert Dataset.from_table(frame).names == ("a", "b")
    assert Dataset.from_table(frame[frame.a == 1]).names == ("a", "b")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_read(tmp_path, suffix):
    frame = pandas.DataFrame(
        {"n": [1, 2, 2, 3], "text": ["x", None, "a, b", "x"], "share": [0.5, np.nan, 2.0, 2.0]}
    )
    path = tmp_path / f"mine.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else parquet.write_table(pyarrow.table(frame), path)
    rows = Dataset.from_table(str(path)).to_records()
    assert rows == Dataset.from_table(path).to_records()
    assert [tuple(row.values()) for row in rows] == [
        (1, "x", 0.5), (2, None, None), (2, "a, b", 2.0), (3, "x", 2.0)
    ]  # fmt: skip


def test_bins_have_as_many_rows_and_decode_to_a_value_of_their_own():
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000)
    table = pyarrow.table({"x": values, "y": rng.integers(1000, size=1000), "z": rng.integers(9, size=1000)})
    data = Dataset.from_table(table, bins={"x": 10, "y": 4})
    assert np.bincount(data.targets[:, 0]).tolist() == [100] * 10
    assert np.bincount(data.targets[:, 1]).tolist() == pytest.approx([250] * 4, abs=10)
    x, _, z = data.schema.steps
    assert z.codec.edges is None  # 9 values are as many as they are
    for code, middle in enumerate(x.codec.values):
        inside = np.sort(values[data.targets[:, 0] == code])
        assert middle == inside[49]
        low, high = (-np.inf, *x.codec.edges)[code], (*x.codec.edges, np.inf)[code]
        assert (low <= inside).all()
        assert (inside < high).all()
    assert data.schema.describe()["y"].startswith("4 bins of integers, cut at ")


def test_one_frequent_value_has_a_bin_of_its_own():
    fares = [0.0] * 600 + list(np.linspace(1, 2, 400))
    codec = Dataset.from_table(pyarrow.table({"fare": fares, "b": [1, 2] * 500}), bins=5).schema.steps[0].codec
    assert codec.values[0] == 0.0
    assert codec.edges[0] == 1.0
    assert len(codec.values) == 5  # no bin is empty


@pytest.mark.parametrize("bins", [2, 3, 20])
def test_a_lowest_value_of_almost_all_rows_leaves_the_others_their_bins(bins):
    delays = np.concatenate([np.zeros(1900, int), np.arange(150, 4150, 40)])
    table = pyarrow.table({"delay": np.random.default_rng(0).permutation(delays), "b": [1, 2] * 1000})
    data = Dataset.from_table(table, bins=bins)
    codec = data.schema.steps[0].codec
    counts = np.bincount(data.targets[:, 0])
    assert (codec.values[0], codec.edges[0], counts[0]) == (0, 150, 1900)
    assert len(counts) == bins
    assert counts[1:].tolist() == pytest.approx([100 / (bins - 1)] * (bins - 1), abs=1)
    assert {record["delay"] == 0 for record in data.to_records()} == {True, False}


def test_two_lowest_values_of_almost_all_rows_are_told_apart():
    table = pyarrow.table({"x": [0] * 500 + [1] * 480 + list(range(100, 120)), "b": [1, 2] * 500})
    data = Dataset.from_table(table, bins=4)
    assert data.schema.steps[0].codec.edges == (1, 100, 110)
    assert np.bincount(data.targets[:, 0]).tolist() == [500, 480, 10, 10]


def test_columns_that_determine_each_other_count_as_one():
    table = pyarrow.table(
        {
            "survived": [1, 0, 1, 0],
            "alive": ["yes", "no", "yes", "no"],
            "dead": [False, True, False, True],
            "ticket": ["a", "b", "c", "c"],
            "always": [7, 7, 7, 7],
            "never": pyarrow.nulls(4),
        }
    )
    data = Dataset.from_table(table)
    assert data.names == ("survived", "ticket", "always", "never")
    assert json.loads(data.metadata["same"]) == {"alive": "survived", "dead": "survived"}
    told = data.schema.describe()
    assert told["always"] == "always 7"
    assert told["never"] == "no values; 4 rows without a value"
    assert data.to_records()[2] == {"survived": 1, "ticket": "c", "always": 7, "never": None}


def test_a_missing_value_tells_columns_apart():
    table = pyarrow.table({"a": [1, 2, 1], "b": ["x", "y", None], "c": [0, 1, 1]})
    assert Dataset.from_table(table).names == ("a", "b", "c")


def test_another_table_has_the_same_codes(tmp_path):
    train = Dataset.from_table(TABLE, inputs=["class"])
    other = pyarrow.table({**MIXED, "class": [1, 1, 2, 3, 3], "sex": ["m"] * 5}).take([1, 0])
    data = Dataset.from_table(other, like=train)
    assert data.schema == train.schema
    assert data.vocabulary.tolist() == train.vocabulary.tolist()
    assert [row["sex"] for row in data.to_records()] == ["m", "m"]
    with pytest.raises(InputError, match=r"^column 'sex': the other table has no value 'x'$"):
        Dataset.from_table(pyarrow.table({**MIXED, "sex": ["x"] * 5}), like=train)
    with pytest.raises(InputError, match=r"^column 'class': expected integers as in the other table, got categor"):
        Dataset.from_table(pyarrow.table({**MIXED, "class": ["x"] * 5}), like=train)
    with pytest.raises(TypeError, match="^like: columns are those of the other dataset"):
        Dataset.from_table(TABLE, inputs=["sex"], like=train)
    with pytest.raises(InputError, match="^like: expected a dataset of a table$"):
        Dataset.from_table(TABLE, like=Dataset(None, [[1, 2]]))


def csv_of(path, text):
    path.write_text(text.replace(" ", "\n"))
    return path


def test_another_file_may_be_of_other_types_that_hold_the_same_values(tmp_path):
    text = "price,count,code 0,1,12a 0.5,2,3 1,3,4 1,,3 0,2,4"
    train = Dataset.from_table(csv_of(tmp_path / "train.csv", text), bins={"count": 2})
    for kind, field in zip(("numbers", "integers", "categories"), train.schema.steps, strict=True):
        assert field.codec.kind == kind
    data = Dataset.from_table(csv_of(tmp_path / "other.csv", "price,count,code 1,3,3 0,2,4"), like=train)
    assert data.schema == train.schema
    assert [(row["price"], row["code"]) for row in data.to_records()] == [(1.0, "3"), (0.0, "4")]
    whole = Dataset.from_table(csv_of(tmp_path / "whole.csv", "count,code 1,12a 2,3 3,4 3,3"))
    data = Dataset.from_table(csv_of(tmp_path / "gap.csv", "count,code 3.0,3.0 2.0,4"), like=whole)
    assert data.to_records() == [{"count": 3, "code": "3"}, {"count": 2, "code": "4"}]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"price": ["x"]}, "column 'price': expected numbers as in the other table, got categories"),
        ({"price": [2]}, "column 'price': the other table has no value 2.0"),
        ({"count": [1.5]}, "column 'count': expected integers as in the other table, got numbers"),
        ({"count": [True]}, "column 'count': expected integers as in the other table, got truth values"),
        ({"code": [5]}, "column 'code': the other table has no value '5'"),
        ({"code": [3.5]}, "column 'code': the other table has no value '3.5'"),
        ({"code": [True]}, "column 'code': expected categories as in the other table, got truth values"),
    ],
)
def test_values_of_other_types_that_another_table_lacks_are_refused(values, message):
    columns = {"price": [0, 0.5, 1, 1], "count": [1, 2, 2, 3], "code": ["12a", "3", "4", "3"]}
    train = Dataset.from_table(pyarrow.table(columns))
    other = pyarrow.table({"price": [0], "count": [1], "code": [3]} | values)
    with pytest.raises(InputError, match=f"^{message}$"):
        Dataset.from_table(other, like=train)


def test_codecs_are_kept_in_files_and_orders(tmp_path):
    data = Dataset.from_table(TABLE, inputs=["class"], metadata={"source": "test"})
    data.save(tmp_path / "mine.safetensors")
    again = Dataset.open(tmp_path / "mine.safetensors")
    assert again.schema == data.schema
    assert again.to_records() == data.to_records()
    assert again.metadata["source"] == "test"
    moved = data.reorder([4, 3, 2, 1, 0])
    assert moved.to_records() == data.to_records()
    assert moved.names == data.names[::-1]
    assert Schema.from_json(data.schema.to_json()) == data.schema


def test_what_a_model_writes_comes_back_as_values():
    data = Dataset.from_table(TABLE, inputs=["class"])
    written = np.ma.masked_array(data.targets[:1], [[False, True, False, False, False]])
    assert data.to_records(written) == [
        {"age": 31.5, "sex": None, "alive": True, "born": "1990-05-01", "seen": "2020-01-01 12:30:00"}
    ]
    for wrong in (2, -1):
        with pytest.raises(InputError, match=rf"^sex: expected codes 0 to 1, got {wrong} \(row 1\)$"):
            data.to_records([[0, 1, 0, 0, 0], [0, wrong, 0, 0, 0], [0, 3, 0, 0, 0]])
    with pytest.raises(InputError, match=r"^targets: expected shape \(M, 5\), got \(1, 2\)$"):
        data.to_records([[0, 0]])
    with pytest.raises(InputError, match="^names: an input and a step are both called '0'"):
        Dataset([[1]], [[1, 2]]).to_records()


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        (TABLE, {"inputs": ["name"]}, InputError, "inputs: there is no column 'name'; the columns are age, "),
        (TABLE, {"targets": ["age", "age"]}, InputError, "targets: the column 'age' is named twice"),
        (TABLE, {"inputs": ["age"], "targets": ["age", "sex"]}, InputError, "targets: the column 'age' is an in"),
        (TABLE, {"targets": "age"}, TypeError, "targets: expected a list of columns, got the text 'age'"),
        (TABLE, {"ignore": ["name"]}, InputError, "ignore: there is no column 'name'; the columns are age, "),
        (TABLE, {"ignore": "age"}, TypeError, "ignore: expected a list of columns, got the text 'age'"),
        (TABLE, {"inputs": ["age"], "ignore": ["age"]}, InputError, "ignore: the column 'age' is an input"),
        (TABLE, {"targets": ["sex", "age"], "ignore": ["age"]}, InputError, "ignore: the column 'age' is a t"),
        (pyarrow.table({"a,x": [1], "b": [2], "c": [1]}), {"targets": ["a"]}, InputError,
         "targets: there is no column 'a'; the columns are 'a,x', b, c"),
        (TABLE, {"targets": ["age"]}, InputError, "targets: expected at least 2 columns, got age"),
        (TABLE, {"bins": 1}, ValueError, "bins: "),
        (TABLE, {"bins": {"name": 3}}, InputError, "bins: there is no column 'name'"),
        (pyarrow.table({"a": [[1], [2]], "b": [1, 2]}), {}, InputError, "column 'a': expected text, numbers, "),
        (pyarrow.table({"a": [], "b": []}), {}, InputError, "table: expected at least one row, got none"),
        (
            pyarrow.table({"name": list(map(str, range(100))), "b": [1] * 100, "c": ["x", *map(str, range(99))]}),
            {"ignore": ["b"]},
            InputError,
            "text that hardly repeats is no category: column 'name' (100 different texts in 100 rows), 'c' (100",
        ),
        (
            pyarrow.table([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"]),
            {},
            InputError,
            "table: expected distinct names of columns, got 'a' twice",
        ),
        ([1, 2], {}, TypeError, "table: expected a path, an Arrow table, or a frame of pandas or polars, got"),
        ("mine.xlsx", {}, InputError, "'mine.xlsx' ends in '.xlsx'; .csv or .parquet is needed"),
        ("mine.tsv", {}, InputError, "'mine.tsv' ends in '.tsv'; .csv or .parquet is needed, with commas in"),
        ("mine.csv", {}, FileNotFoundError, "mine.csv"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(table, options, error, message):
    with pytest.raises(error) as raised:
        Dataset.from_table(table, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_columns_are_ignored():
    assert Dataset.from_table(TABLE, inputs=["class"], ignore=["age", "seen"]).names == ("sex", "alive", "born")
    text = {"name": list(map(str, range(100))), "b": [1, 2] * 50, "c": [3, 4, 4, 3] * 25}
    assert Dataset.from_table(pyarrow.table(text), ignore=["name"]).names == ("b", "c")


def test_whole_numbers_that_all_differ_are_told_of():
    rng = np.random.default_rng(0)
    columns = {
        "id": rng.permutation(600),
        "id with gaps": pandas.array([None, *range(1000, 1599)], dtype="Int64"),
        "whole": rng.permutation(600).astype(float),
        "twice": np.maximum(rng.permutation(600), 1),
        "measured": rng.random(600),
        "day": np.datetime64("2020-01-01") + rng.permutation(600),
        "given": rng.permutation(600),
    }
    data = Dataset.from_table(pandas.DataFrame(columns), inputs=["given"], bins={"id": 30, "whole": 10})
    assert json.loads(data.metadata["all_differ"]) == ["id", "id with gaps", "whole"]
    assert json.loads(data.split(seed=0).train.metadata["all_differ"]) == ["id", "id with gaps", "whole"]
    few = Dataset.from_table(pyarrow.table({"a": range(20), "b": [1, 2] * 10}))
    assert "all_differ" not in few.metadata


def test_spaces_around_names_in_a_file_are_no_part_of_them(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("age, city ,\tjob\n1,2,3\n2,3,3\n3,3,4\n")
    assert Dataset.from_table(path, inputs=["age"]).names == ("city", "job")
    path.write_text("age, city,city\n1,2,3\n2,3,3\n3,3,4\n")
    assert Dataset.from_table(path).names == ("age", " city", "city")


@pytest.mark.parametrize("first", [0, 1])
def test_the_numbers_of_rows_are_no_column(first, tmp_path):
    frame = pandas.DataFrame({"a": [7, 8, 7], "b": ["x", "x", "y"]}, index=range(first, first + 3))
    frame.to_csv(tmp_path / "mine.csv")
    data = Dataset.from_table(tmp_path / "mine.csv")
    assert data.names == ("a", "b")
    assert data.to_records() == frame.to_dict("records")


@pytest.mark.parametrize("index", [[5, 0, 2], [0, 1, 1], [2, 3, 4], ["p", "q", "r"], [0, 1, None]])
def test_another_column_without_a_name_is_refused_where_it_is_needed(index, tmp_path):
    path = tmp_path / "mine.csv"
    pandas.DataFrame({"a": [7, 8, 7], "b": ["x", "x", "y"]}, index=index).to_csv(path)
    with pytest.raises(
        InputError, match=r"^table: column 1 has no name; name it, or leave it out with inputs and "
    ):
        Dataset.from_table(path)
    assert Dataset.from_table(path, targets=["a", "b"]).names == ("a", "b")
    path.write_text("a,b,\n7,x,0\n8,x,1\n7,y,2\n")
    with pytest.raises(InputError, match=r"^table: column 3 has no name; name it"):
        Dataset.from_table(path)


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(InputError, match=r"mine\.csv': CSV parse error: Expected 2 columns, got 1: 3$"):
        Dataset.from_table(path)


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'pyorder\[table\]'"):
        Dataset.from_table("mine.csv")


def test_the_order_of_a_chain_is_found_whatever_its_columns_hold():
    """y_i = (x_i² + y_(i-1)²) mod 19: its values as texts and as numbers, columns in another sequence."""
    made = pyorder.make_task("square", length=5).generate(20_000, seed=0)
    x, y = made.inputs.astype(int), made.targets.astype(int)
    columns = {f"x{i}": x[:, i] / 4 for i in range(5)}
    columns |= {f"y{i}": [f"value {value}" for value in y[:, i]] for i in (3, 1, 4)} | {"y2": y[:, 2] * 2.5}
    frame = polars.DataFrame(columns | {"y0": y[:, 0]})
    data = Dataset.from_table(frame, inputs=[f"x{i}" for i in range(5)])
    assert data.names == ("y3", "y1", "y4", "y2")
    assert json.loads(data.metadata["same"]) == {"y0": "x0"}
    train, validation, _ = data.split(seed=0)
    found = pyorder.discover(train, validation=validation, seed=0, device="cpu")
    assert found.names == ("y1", "y2", "y3", "y4")
