"""One search of a sweep: its words, its name, and what is refused before any is run."""

import pytest

import pyorder
from pyorder.cli import _words
from pyorder.cli._tables import split_names
from pyorder.cli.sweeping import cell as cells
from pyorder.errors import InputError


@pytest.mark.parametrize("module", [_words, cells])
def test_docstring_examples(module, doctests):
    doctests(module)


def test_words_are_taken_by_discover_as_what_was_meant():
    cell = pyorder.Cell(
        "index",
        length=13,
        strategy="random",
        seed=3,
        options={"parameter": ["d=4"], "learning_rate": 0.5, "fit": False, "levels": True, "steps": None},
    )
    told = _words.read_words(cell.words)
    wanted = {"task": "index", "length": 13, "strategy": "random", "seed": 3, "parameter": ["d=4"]}
    wanted |= {"learning_rate": 0.5, "fitting": False, "levels": True, "steps": None}
    assert {name: told[name] for name in wanted} == wanted


@pytest.mark.parametrize("option", ["inputs", "targets", "ignore"])
def test_a_list_of_columns_is_taken_whole(option):
    names = ["age", "city, state", "größe"]
    told = _words.read_words(pyorder.Cell(data="people.csv", options={option: names}).words)
    assert split_names(told[option]) == names
    assert (
        _words.read_words(pyorder.Cell(data="people.csv", options={option: "age,city"}).words)[option]
        == "age,city"
    )


def test_a_name_is_that_of_what_is_asked_for_however_it_is_written():
    one = pyorder.Cell("relu", length=9, options={"train_rows": 5, "steps": 3})
    again = pyorder.Cell("relu", length=9, options={"steps": 3, "train-rows": 5})
    other = pyorder.Cell("relu", length=9, options={"steps": 4, "train-rows": 5})
    assert one.name == again.name != other.name
    assert hash(one) == hash(pyorder.Cell("relu", length=9, options={"train_rows": 5, "steps": 3}))


def test_a_name_leads_nowhere_else():
    name = pyorder.Cell(data="../../" + "x" * 300 + "/a b;c.csv", options={"inputs": "a"}).name
    assert name.startswith("a_b_c-auto-0-")
    assert len(pyorder.Cell(data="x" * 300).name) < 100


SQUARE = {"task": "square", "length": 4}
REFUSED = [
    ({}, "task or data: give one of the two"),
    (SQUARE | {"data": "mine.csv"}, "task or data: give one of the two"),
    ({"task": "square"}, "length: needed to make the task 'square'"),
    ({"task": "squares", "length": 4}, "unknown task 'squares': the tasks are"),
    ({"task": "square", "length": 1}, "length: "),
    ({"task": "square", "length": "4"}, "length: expected an integer, got '4'"),
    (SQUARE | {"seed": -1}, "seed: "),
    (SQUARE | {"seed": True}, "seed: expected an integer, got True"),
    (SQUARE | {"strategy": "fast"}, "strategy: 'fast' is none of"),
    (SQUARE | {"strategy": "random", "options": {"option": ["depth=5"]}}, "options: random has no 'depth'"),
    (SQUARE | {"options": {"option": ["depth"]}}, "--option: 'depth' is not KEY=VALUE"),
    (SQUARE | {"options": {"stepss": 4}}, "options: there is no 'stepss', only parameter, train-rows"),
    (SQUARE | {"options": {"train-rows": [4, 5]}}, "train-rows: expected one value, got [4, 5]"),
    (SQUARE | {"options": {"fit": [True, False]}}, "fit: expected one value, got [True, False]"),
    (SQUARE | {"options": {"out": "x"}}, "options: there is no 'out', only"),
    (SQUARE | {"options": {"seed": 1}}, "options: there is no 'seed', only"),
    (SQUARE | {"options": {"steps": "many"}}, "Invalid value for '--steps'"),
    (SQUARE | {"options": {"steps": 0}}, "Invalid value for '--steps'"),
    (SQUARE | {"options": {"model": "tiny"}}, "model: 'tiny' is none of nano"),
    (SQUARE | {"options": {"fit_model": "tiny"}}, "fit-model: 'tiny' is none of nano"),
    (SQUARE | {"options": {"device": "tpu"}}, "device: 'tpu' is none of auto"),
    (SQUARE | {"options": {"precision": "half"}}, "precision: 'half' is none of auto"),
    (SQUARE | {"options": {"parameter": ["e=5"]}}, "unknown parameter 'e'"),
    ({"data": "nowhere.csv"}, "data: there is no file 'nowhere.csv'"),
    ({"data": __file__, "length": 4}, "length, parameter: go with a task"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_no_search_can_be_made_of_is_refused_with_its_number(given, message, tmp_path):
    with pytest.raises(InputError) as refused:
        pyorder.sweep([pyorder.Cell("square", length=3), pyorder.Cell(**given)], folder=tmp_path / "sweep")
    assert str(refused.value).startswith("cells: number 1: ")
    assert message in str(refused.value)
    assert not (tmp_path / "sweep").exists()


def test_cells_are_needed_and_no_two_alike(tmp_path):
    cell = pyorder.Cell("square", length=3)
    with pytest.raises(InputError, match=r"^cells: none are given"):
        pyorder.sweep([], folder=tmp_path / "sweep")
    with pytest.raises(InputError, match=rf"^cells: number 2 is the same as number 0, {cell.name}$"):
        pyorder.sweep([cell, pyorder.Cell("square", length=4), cell], folder=tmp_path / "sweep")
    with pytest.raises(TypeError, match=r"^cells: expected instances of pyorder.Cell, got str as number 0"):
        pyorder.sweep(["square"], folder=tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()
