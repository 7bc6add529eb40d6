"""Names of steps on the command line: read, printed, drawn; and what a comparison of orders leads with."""

import json
from pathlib import Path

import numpy as np
import pytest

from pyorder.cli import _constraints, _orders, _results
from pyorder.cli._pictures import step_labels
from pyorder.errors import InputError
from pyorder.runs.folder import load_run

NAMES = ("sum", "sign", "rest")
TINY = ["--model", "nano", "--steps", 5, "--device", "cpu"]


@pytest.fixture
def named(own_data):
    return ["--data", own_data(rows=120, names=NAMES)]


@pytest.mark.parametrize(
    "text", ["rest,sum,sign", "rest, sum ,sign", "rest sum sign", "2,0,1", "rest,0,1", '["rest", "sum", 1]']
)
def test_orders_are_read_by_name_and_by_number(text):
    assert _orders.parse_order(text, 3, 0, NAMES).tolist() == [2, 0, 1]


def test_a_name_that_is_a_number_is_a_name():
    assert _orders.parse_order("10,2,1", 3, 0, ("1", "2", "10")).tolist() == [2, 1, 0]


def test_a_word_that_is_no_step_is_refused_with_those_there_are(refused, named, tmp_path):
    told = "'difference' is no step; steps are sum, sign, rest, or 0 to 2"
    assert refused("train", *named, "--order", "sum,difference,rest") == f"--order: {told}"
    for option, value in (
        ("--orders", [["sum", "difference", "rest"]]),
        ("--constraints", [["sum", "difference"]]),
    ):
        (tmp_path / "file.json").write_text(json.dumps(value))
        command = "profile" if option == "--orders" else "discover"
        assert refused(command, *named, option, "file.json") == f"{option}: {told}"


def test_orders_and_edges_in_files_may_be_names(tmp_path):
    (path := tmp_path / "file.json").write_text(json.dumps([["rest", "sum", 1], [0, 1, 2]]))
    assert _orders.read_orders(path, 3, NAMES).tolist() == [[2, 0, 1], [0, 1, 2]]
    path.write_text(json.dumps([["rest", "sum"]]))
    assert _constraints.read_constraints(str(path), 3, None, NAMES).edges.tolist() == [[2, 0]]


def test_a_run_is_read_by_name_where_columns_moved():
    result = {"order": [2, 0, 1], "names": ["rest", "sum", "sign"]}
    assert steps_of(result, ("sign", "rest", "sum")) == {2: 1, 0: 2, 1: 0}


def steps_of(result, names):
    return _orders.steps_of_run(result, names, Path("run"), "--order")


def test_a_run_is_read_by_number_where_one_of_the_two_has_no_names():
    assert steps_of({"order": [1, 0]}, ("b", "a")) == {0: 0, 1: 1}
    assert steps_of({"order": [2, 0, 1], "names": ["2", "0", "1"]}, NAMES) == {0: 0, 1: 1, 2: 2}
    assert steps_of({"order": [2, 0, 1], "names": ["rest", "sum", "sign"]}, ()) == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("names", [("sign", "rest", "difference"), ("sum", "sign"), ("0", "1", "rest")])
def test_a_run_of_steps_with_other_names_is_refused(names):
    said = f"--order: the steps of the run in 'run' are sum, sign, rest, and the data's are {', '.join(names)}"
    with pytest.raises(InputError, match=f"^{said}$"):
        steps_of({"order": [2, 0, 1], "names": ["rest", "sum", "sign"]}, names)


def test_order_and_constraints_of_a_run_of_other_steps_are_refused(told, refused, named, own_data):
    told("discover", *named, *TINY, "--no-fit", "--out", "run")
    other = ["--data", own_data(rows=120, names=("sign", "rest", "difference"))]
    said = "the steps of the run in 'run' are sum, sign, rest, and the data's are sign, rest, difference"
    assert refused("train", *other, "--order", "@run") == f"--order: {said}"
    assert refused("discover", *other, "--constraints", "@run") == f"--constraints: run: {said}"


def test_discover_train_and_report_tell_names(run, told, named, tmp_path):
    (tmp_path / "graph.json").write_text(json.dumps([["rest", "sum"]]))
    words = [*named, *TINY, "--fit-model", "nano", "--fit-steps", 5, "--constraints", "graph.json"]
    result = told("discover", *words, "--out", "run")
    assert result["names"] == [NAMES[step] for step in result["order"]]
    assert result["names"].index("rest") < result["names"].index("sum")
    for fitted in result["fits"].values():
        assert fitted["names"] == [NAMES[step] for step in fitted["order"]]
        assert fitted["called"]
    assert step_labels(load_run(tmp_path / "run").parts["search"]) == NAMES
    out = run("report", "run")[1]
    assert ",".join(result["names"]) in out
    assert "row loss" in out
    code, out, _ = run("train", *named, "--order", "@run", *TINY)
    assert (code, ",".join(result["names"]) in out) == (0, True)


@pytest.mark.parametrize("command", ["profile", "train"])
@pytest.mark.parametrize("text", ["rest=2,sum=0.5", "0.5,0,2", "2=2,0=0.5"])
def test_steps_are_weighed_by_name_and_by_number(told, named, command, text):
    words = ["--random", 2] if command == "profile" else ["--order", "reverse"]
    weighed = told(command, *named, *words, *TINY, "--step-weights", text)
    assert weighed["settings"]["step_weights"] == [0.5, 0, 2]


def test_a_search_and_its_trainings_weigh_steps(told, named, tmp_path):
    fitting = ["--fit-model", "nano", "--fit-steps", 2]
    told("discover", *named, *TINY, *fitting, "--step-weights", "rest=2,sum=0.5", "--out", "run")
    parts = load_run(tmp_path / "run").parts
    assert len(parts) > 2
    assert all(part.config["settings"]["step_weights"] == [0.5, 0, 2] for part in parts.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2", "step_weights: 2 given, the data has 3 steps"),
        ("1,x,2", "--step-weights: '1,x,2' is neither numbers nor STEP=NUMBER words"),
        ("sum=x", "--step-weights: 'sum=x' is neither numbers nor STEP=NUMBER words"),
        ("sum=1,2", "--step-weights: 'sum=1,2' is neither numbers nor STEP=NUMBER words"),
        ("difference=1", "--step-weights: 'difference' is no step; steps are sum, sign, rest, or 0 to 2"),
        ("0,0,0", "step_weights: numbers of at least 0, one of them positive, are needed"),
    ],
)
def test_weights_that_are_none_are_refused(refused, named, text, said):
    assert refused("train", *named, "--order", "reverse", *TINY, "--step-weights", text).startswith(said)


def test_that_other_orders_trained_better_is_the_first_thing_said(run, tmp_path):
    """The search is told to end backwards, and its reverse is what is learned."""
    (tmp_path / "graph.json").write_text("[[3, 2], [2, 1], [1, 0]]")
    rows = ["--train-rows", 4000, "--validation-rows", 50, "--test-rows", 300, "--device", "cpu"]
    fitting = ["--fit-model", "nano", "--fit-steps", 300, "--precision", "float32"]
    words = ["--length", 4, *rows, "--steps", 2, "--constraints", "graph.json", *fitting]
    code, out, err = run("discover", "square", *words, "--out", "run")
    assert code == 0, err
    said = "Trained better than the order found: reverse, as given, random"
    assert said in out.splitlines()
    assert run("report", "run")[1].splitlines()[0] == said
    assert json.loads((tmp_path / "run" / "result.json").read_text())["better"] == ["reverse", "random"]


def test_profiled_candidates_are_told_by_name(run, named):
    code, out, _ = run("profile", *named, "--forward", "--random", 2, *TINY)
    assert code == 0
    assert "sum,sign,rest" in out


def test_dependencies_are_printed_by_name(capsys):
    edge = {"before": 0, "after": 2, "benefit": 1, "standard_error": 0.1, "confidence": 0.9, "reversible": False}
    losses = {"graph_loss": [0.1, 1.5, 0.1], "entropy": [2.0, 2.0, 2.0]}
    about = {"settled": True, "seconds": 1, "remarks": (), "lost": [1], **losses}
    _results.print_exploration({**about, "dependencies": [edge]})
    assert "0 before 2" in (plain := capsys.readouterr().out)
    assert "entropy: 1 (75.00 %)" in plain
    edge |= {"before_name": "sum", "after_name": "rest"}
    _results.print_exploration({**about, "dependencies": [edge], "lost_names": ["sign"]})
    assert "sum before rest" in (named := capsys.readouterr().out)
    assert "entropy: sign (75.00 %)" in named


def fit(rate, loss, rows=1000, **more):
    half = 1.96 * np.sqrt(rate * (1 - rate) / rows)
    about = {"test_rows": rows, "seconds": 1.0, "order": [0, 1], "dependencies_satisfied": None}
    interval = [max(0, rate - half), rate + half]
    return {
        "success_rate": rate, "success_interval": interval, "row_loss": loss,
        "row_loss_interval": loss and [loss - 0.1, loss + 0.1], **about, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fits", "lead", "sequence"),
    [
        ({"a": fit(0.2, 5), "b": fit(0.9, 6)}, "success", ["b", "a"]),
        ({"a": fit(0.0, 5), "b": fit(0.0, 4)}, "row loss", ["b", "a"]),
        ({"a": fit(0.004, 5), "b": fit(0.0, 6), "c": fit(0, 5.5)}, "row loss", ["a", "c", "b"]),
        ({"a": fit(0.51, 5), "b": fit(0.5, 4)}, "row loss", ["b", "a"]),
        ({"a": fit(0.0, None, diverged=True), "b": fit(0.5, 4), "c": fit(0.1, 7)}, "success", ["b", "c", "a"]),
    ],
)
def test_the_comparison_leads_with_what_tells_orders_apart(capsys, fits, lead, sequence):
    _results.print_fits(fits)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.index(lead) < head.index("row loss" if lead == "success" else "success")
    assert [line.split()[0] for line in lines[: len(fits)]] == sequence
    (note,) = [line for line in lines if line.startswith("sorted by ")]
    assert note.startswith(f"sorted by {lead}")


@pytest.mark.parametrize(("groups", "said"), [(None, False), (37, True)])
def test_it_is_said_where_intervals_are_over_groups(capsys, groups, said):
    _results.print_fits({"a": fit(0.9, 5, test_groups=groups)})
    assert (", and intervals over their 37 groups" in capsys.readouterr().out) == said


def test_folders_without_row_losses_are_compared_by_success(capsys):
    old = {name: fit(0.0, 0.0) for name in "ab"}
    for fitted in old.values():
        del fitted["row_loss"], fitted["row_loss_interval"]
    _results.print_fits(old)
    assert "row loss" not in capsys.readouterr().out
