"""Files of rows: finished cells are found by their values, and no row is lost, whoever writes beside."""

import json
import multiprocessing

import pytest

from pyorder.runs import rows
from pyorder.runs.rows import RowFile


def test_docstring_examples(doctests):
    doctests(rows)


def test_a_cell_has_the_first_row_with_all_its_values(tmp_path):
    file = RowFile(tmp_path / "rows.jsonl")
    assert file.read([{}]) == []
    told = [
        {"task": "relu", "seed": 0, "loss": 1.0},
        {"task": "relu", "seed": 0, "loss": 2.0},
        {"lengths": [3, 4]},
    ]
    for row in told:
        file.append(row)
    assert file.read([{"lengths": (3, 4)}, {"seed": 0}, {"seed": 1}, {"task": None}]) == [
        told[2],
        told[0],
        told[2],
    ]
    assert file.missing([{"seed": 0}, {"seed": 1}, {"seed": 0, "loss": 2.0}]) == [{"seed": 1}]


def test_a_line_that_was_cut_off_is_passed_over_and_goes(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"seed": 0}\n{"se')
    file = RowFile(path)
    assert file.missing([{"seed": 0}, {"seed": 1}]) == [{"seed": 1}]
    file.append({"seed": 1, "loss": float("nan")})
    assert path.read_text() == '{"seed": 0}\n{"seed": 1, "loss": null}\n'


@pytest.mark.parametrize("line", ["[1]", "3", "{", '{"seed": 0'])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"seed": 0}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"rows.jsonl': line 2 is no row of a study$"):
        RowFile(path).read([{"seed": 0}])


def add_rows(path, writer, begin):
    file = RowFile(path)
    begin.wait(60)
    for number in range(100):
        file.append({"writer": writer, "number": number, "result": "x" * 5000})


def test_writers_beside_each_other_lose_no_row(tmp_path):
    context = multiprocessing.get_context("fork")
    begin = context.Barrier(3)
    writers = [context.Process(target=add_rows, args=(tmp_path / "rows", name, begin)) for name in "abc"]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert len({(row["writer"], row["number"]) for row in rows}) == len(rows) == 300
