"""The table of a sweep, from what lies in the cells' folders."""

import csv
import json

import pandas
import pytest

import pyorder
from pyorder.cli.sweeping import table as tables
from pyorder.cli.sweeping.table import read_table
from pyorder.errors import InputError

RESULT = {
    "order": [2, 0, 1],
    "names": ["c", "a|b", "x, y"],
    "verdict": "found",
    "search": {"seconds": 10.25},
    "fits": {
        "discovered": {"success_rate": 0.5, "row_loss": 1.25, "seconds": 2.0},
        "reverse": {"success_rate": 0.0, "row_loss": 9.0, "seconds": 3.0},
    },
}


@pytest.fixture
def table(tmp_path):
    """Of a cell that has finished with final trainings, one without, one that was begun, and one that failed."""
    cells = [
        pyorder.Cell("relu", length=3, options={"steps": 5}),
        pyorder.Cell("relu", length=3, options={"steps": 5, "fit": False}),
        pyorder.Cell("relu", length=3, seed=1),
        pyorder.Cell("relu", length=3, seed=2, options={"first": ["0", "1"]}),
    ]
    folders = [tmp_path / cell.name for cell in cells]
    for folder, fits in zip(folders[:3], (RESULT["fits"], {}, {}), strict=True):
        folder.mkdir()
        (folder / "asked.json").write_text("{}")
        (folder / "result.json").write_text(json.dumps(RESULT | {"fits": fits}))
    (folders[2] / "journal").mkdir()
    return read_table(cells, tmp_path, {cells[3].name: "out of luck"})


def test_docstring_examples(doctests):
    doctests(tables)


def test_records_tell_what_was_asked_for_and_what_came_out(table):
    frame = pandas.DataFrame(table.records)
    assert all(folder.endswith(f"/{name}") for folder, name in zip(frame["folder"], frame["cell"], strict=True))
    assert frame["seed"].tolist() == [0, 0, 1, 2]
    assert frame["steps"].tolist()[:2] == [5, 5]
    assert frame["first"].tolist()[3] == "0 1"
    assert frame["order"].tolist() == [[2, 0, 1], [2, 0, 1], None, None]
    assert frame["success_rate"].tolist()[0] == 0.5
    assert frame["row_loss"].tolist()[0] == 1.25
    assert frame["seconds"].tolist()[:2] == [15.25, 10.25]
    assert frame["error"].tolist()[2:] == ["has not finished", "out of luck"]
    assert table.unfinished == frame["cell"].tolist()[2:]


def test_markdown_has_what_differs(table):
    head, rule, *lines = table.markdown().splitlines()
    assert head == "| cell | steps | fit | first | order | verdict | success | row loss | seconds |"
    assert rule.count("|") == head.count("|")
    first, second, begun, failed = (
        line.removeprefix(f"| {record['cell']} ") for line, record in zip(lines, table.records, strict=True)
    )
    assert first == '| 5 | - | - | ["c", "a\\|b", "x, y"] | found | 50.00 % | 1.250 | 15 |'
    assert second == '| 5 | False | - | ["c", "a\\|b", "x, y"] | found | - | - | 10 |'
    assert begun == "| - | - | - | - | failed: has not finished | - | - | - |"
    assert failed == "| - | - | 0 1 | - | failed: out of luck | - | - | - |"


@pytest.mark.parametrize("kind", ["csv", "parquet", "md"])
def test_a_table_is_read_back(table, tmp_path, kind):
    path = tmp_path / f"table.{kind}"
    table.save(path)
    if kind == "md":
        assert path.read_text() == table.markdown() + "\n"
    elif kind == "parquet":
        records = table.records
        read = pandas.read_parquet(path).to_dict("list")
        assert [None if order is None else list(order) for order in read.pop("order")] == [[2, 0, 1]] * 2 + [
            None
        ] * 2
        assert read["cell"] == [record["cell"] for record in records]
        assert read["success_rate"][0] == 0.5
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["order"] for row in rows] == ["2,0,1", "2,0,1", "", ""]
        assert json.loads(rows[0]["names"]) == RESULT["names"]
        assert rows[0]["success_rate"] == "0.5"
        assert rows[3]["error"] == "out of luck"


def test_an_option_of_several_types_is_text_in_parquet(tmp_path):
    cells = [pyorder.Cell("relu", length=3, options={"steps": steps}) for steps in (5, "6")]
    read_table(cells, tmp_path, {}).save(tmp_path / "table.parquet")
    assert pandas.read_parquet(tmp_path / "table.parquet")["steps"].tolist() == ["5", "6"]


@pytest.mark.parametrize("text", ["[]", "{", '{"fits": {}, "order": []}'])
def test_a_damaged_folder_is_named(tmp_path, table, text):
    folder = tmp_path / table.records[0]["cell"]
    (folder / "result.json").write_text(text)
    with pytest.raises(InputError, match=rf"^folder: '{folder}' is damaged"):
        read_table([pyorder.Cell("relu", length=3, options={"steps": 5})], tmp_path, {})


def test_other_kinds_are_refused(table, tmp_path):
    with pytest.raises(InputError, match=r"^table: .* ends in '.json', not in .csv, .parquet, .md$"):
        table.save(tmp_path / "table.json")
