"""`pyorder discover`: what is compared, shuffled, constrained, told and left in the folder."""

import importlib
import math
import re

import numpy as np
import pytest

import pyorder
import pyorder.cli
from pyorder.cli import discover as discover_command
from pyorder.training.recipe import Recipe

FEW_ROWS = ["--train-rows", "600", "--validation-rows", "40"]
SQUARE = ["square", "--length", "4", *FEW_ROWS, "--test-rows", "60"]
CHEAP = ["--device", "cpu", "--precision", "float32"]
SEARCH = ["--strategy", "random", "--option", "candidates=6", "--option", "pool=6", "--steps", "5", *CHEAP]
FIT = ["--fit-model", "nano", "--fit-steps", "5"]


def test_discovery_compares_orders_and_leaves_a_run(run, told, tmp_path):
    result = told("discover", *SQUARE, *SEARCH, *FIT, "--seed", 3, "--out", "runs/one")
    order = result["order"]
    assert sorted(order) == [0, 1, 2, 3]
    assert result["search"]["order"] == order
    assert result["search"]["candidates_profiled"] == 6
    assert result["search"]["training_steps"] == 5
    assert result["search"]["rows_scored"] == 6 * 40
    assert result["search"]["uses_data_order"] is False
    assert result["search"]["converged"] is True
    assert result["data"]["rows"] == {"train": 600, "validation": 40, "test": 60}
    assert result["complete"] is True
    own = [] if order in ([0, 1, 2, 3], [3, 2, 1, 0]) else ["as given"]
    assert sorted(name for fitted in result["fits"].values() for name in fitted["called"]) == [
        "as given", "discovered", "random", "reverse",
    ]  # fmt: skip
    assert result["left_out"] == []
    assert list(result["fits"]) == ["discovered", "reverse", *own, "random"]
    assert result["fits"]["discovered"]["order"] == order
    assert result["fits"]["reverse"]["order"] == order[::-1]
    for fitted in result["fits"].values():
        low, high = fitted["success_interval"]
        assert low <= fitted["success_rate"] <= high
        slots = np.argsort(fitted["order"])
        assert fitted["dependencies_satisfied"] == np.mean([slots[1] < slots[2], slots[2] < slots[3]])

    kept = pyorder.runs.load_run(tmp_path / "runs/one")
    assert kept.kind == "comparison"
    assert kept.result == result
    assert kept.config["settings"]["arguments"]["task"] == "square"
    assert sorted(kept.parts) == sorted(["discovered", "random", "reverse", "search", *own])

    pictures = [tmp_path / "runs/one" / name for name in ("candidates.png", "order.png", "learning_curves.png")]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    pictures[0].unlink()
    code, out, _ = run("report", "runs/one")
    assert code == 0
    assert ",".join(map(str, order)) in out
    assert all(picture.name in out and picture.exists() for picture in pictures)

    code, _, err = run("discover", *SQUARE, *SEARCH, "--out", "runs/one")
    assert (code, "--out: the run in 'runs/one' was asked for with another " in err) == (2, True)


def test_a_run_that_has_ended_is_told_again_and_left_as_it_is(run, tmp_path):
    words = ["discover", *SQUARE, *SEARCH, *FIT, "--levels", "--out", "ended"]
    _, out, _ = run(*words)
    files = [tmp_path / "ended" / name for name in ("config.json", "result.json")]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    code, again, _ = run(*words)
    assert (code, again) == (0, out)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


@pytest.mark.parametrize(
    ("found", "compared"),
    [
        ([0, 1, 2, 3], [("discovered", "as given"), ("reverse",), ("random",)]),
        ([3, 2, 1, 0], [("discovered",), ("reverse", "as given"), ("random",)]),
        ([1, 0, 2, 3], [("discovered",), ("reverse",), ("as given",), ("random",)]),
        ([2, 0, 1], [("discovered",), ("reverse",), ("as given",), ("random",)]),
        ([1, 0], [("discovered",), ("reverse", "as given")]),
        ([0], [("discovered", "reverse", "as given")]),
    ],
)
def test_every_order_is_compared_once_with_all_its_names(found, compared):
    randoms = set()
    for seed in range(40):
        orders = discover_command._orders_to_train(np.array(found), seed)
        assert list(orders) == compared
        by_name = {name: order.tolist() for names, order in orders.items() for name in names}
        assert by_name["discovered"] == found
        assert by_name["reverse"] == found[::-1]
        assert by_name["as given"] == sorted(found)
        assert len({tuple(order) for order in orders.values()}) == len(orders)
        assert all(sorted(order) == sorted(found) for order in by_name.values())
        randoms.add(tuple(by_name.get("random", ())))
    assert len(randoms) >= min(3, math.factorial(len(found)) - len(compared) + 1)


def test_where_no_random_order_is_left_the_table_and_the_json_say_so(run, told, own_data, tmp_path):
    inputs = np.random.default_rng(0).integers(0, 5, (80, 3))
    data = ["--data", own_data(inputs=inputs, targets=inputs[:, :2])]
    words = ["discover", *data, *SEARCH, *FIT]
    result = told(*words)
    assert result["left_out"] == ["random"]
    assert {name: fitted["called"] for name, fitted in result["fits"].items()} in (
        {"discovered": ["discovered", "as given"], "reverse": ["reverse"]},
        {"discovered": ["discovered"], "reverse": ["reverse", "as given"]},
    )
    code, out, _ = run(*words, "--out", "run")
    assert code == 0
    reported = run("report", "run")[1]
    for text in (out, reported):
        assert "random: left out, every order there is was trained on" in text
        names = [
            line.split("  ")[0] for line in text.splitlines() if line.endswith((" 0,1", " 1,0")) and "%" in line
        ]
        assert sorted(names) in (["discovered", "reverse, as given"], ["discovered, as given", "reverse"])
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir()) == [
        "discovered", "reverse", "search",
    ]  # fmt: skip


def test_a_search_can_do_without_final_training(run, told, tmp_path):
    result = told("discover", *SQUARE, *SEARCH, "--no-fit", "--out", "runs/found")
    assert result["fits"] == {}
    assert result["complete"] is True
    assert sorted(pyorder.runs.load_run(tmp_path / "runs/found").parts) == ["search"]
    code, out, _ = run("report", "runs/found")
    assert code == 0
    assert ",".join(map(str, result["order"])) in out


def test_levels_are_printed_and_on_demand_compared_with_step_by_step(run, told, tmp_path, monkeypatch):
    monkeypatch.setattr("pyorder.search.discovery.NO_LEVELS", ())  # after one short round nothing is learned
    monkeypatch.setattr("pyorder.search.levels.RECIPE", Recipe(steps=3, learning_rate=1e-3))
    quick = [
        *("--strategy", "precedence", "--option", "rounds=1", "--option", "samples=32"),
        *("--option", "candidates=2", "--option", "racers=0", "--before", "0:2", "--steps", "5"),
    ]
    result = told("discover", *SQUARE, *CHEAP, *quick, "--no-fit", "--levels", "--out", "runs/levels")
    assert result["search"]["levels"] == [[0, 1, 3], [2]]  # what was given
    checked = result["levels"]
    assert checked["levels"] == [[0, 1, 3], [2]]
    assert (checked["passes"], checked["passes_in_sequence"], checked["test_rows"]) == (2, 4, 60)
    assert pyorder.runs.load_run(tmp_path / "runs/levels").result == result
    monkeypatch.setattr("pyorder.search.check_levels", pytest.fail)  # once is enough
    again = told("discover", *SQUARE, *CHEAP, *quick, "--no-fit", "--levels", "--out", "runs/levels")
    assert again["levels"] == checked
    code, out, _ = run("report", "runs/levels", "--html")
    assert code == 0
    assert re.search(r"level by level +2 +\d+\.\d\d %", out)
    assert (
        "Writing all steps of a level at once takes 2 passes instead of 4."
        in (tmp_path / "runs/levels/report.html").read_text()
    )


def test_levels_that_nobody_knows_are_not_compared(run):
    code, out, err = run("discover", *SQUARE, *SEARCH, "--no-fit", "--levels")
    assert (code, "step by step" in out) == (0, False)
    assert "--levels: the search tells no levels that could be compared" in err


def test_searches_on_other_rows_are_told_and_shown(run, told, tmp_path):
    result = told("discover", *SQUARE, *SEARCH, "--no-fit", "--resamples", 2, "--out", "runs/again")
    stability = result["search"]["stability"]
    assert [len(stability[kind]) for kind in ("orders", "relabelled", "reseeded")] == [2, 2, 2]
    assert sorted(stability["consensus"]) == [0, 1, 2, 3]
    assert len(list((tmp_path / "runs/again/search/resamples").iterdir())) == 6
    code, out, _ = run("report", "runs/again", "--html")
    assert code == 0
    assert f"the order that these 2 searches agree on: {','.join(map(str, stability['consensus']))}" in out
    assert re.search(
        r"^other labels: orders differ in \d+\.\d ± \d+\.\d % of all pairs of steps$", out, re.MULTILINE
    )
    page = (tmp_path / "runs/again/report.html").read_text()
    assert "On other rows" in page
    assert "Other labels" in page


@pytest.fixture
def searched(monkeypatch):
    """What searches were given and what they found, in the steps of the data they were given."""
    seen = []

    module = importlib.import_module("pyorder.search.discover")  # a function, to those who ask the room

    class Spy(module.Profiler):
        def __init__(self, train, validation, **arguments):
            super().__init__(train, validation, **arguments)
            seen.append([train.vocabulary[part.targets.numpy()] for part in (self.tokens, self.held)])

    def renamed(found, steps):
        seen[-1].append(found.order)
        return mapped_back(found, steps)

    mapped_back = pyorder.Discovery.renamed
    monkeypatch.setattr(pyorder.Discovery, "renamed", renamed)
    monkeypatch.setattr(module, "Profiler", Spy)
    return seen


def test_the_order_is_mapped_back_through_the_secret_shuffle(told, searched):
    splits = pyorder.make_task("square", length=6).splits(300, 40, 60, seed=1)
    rows = ["--train-rows", 300, "--validation-rows", 40, "--test-rows", 60]
    result = told("discover", "square", "--length", 6, *rows, *SEARCH, *FIT, "--seed", 1, "--out", "run")
    ((train, validation, found),) = searched
    assert not (train == splits.train.targets).all()
    np.testing.assert_array_equal(train[:, found], splits.train.targets[:, result["order"]])
    np.testing.assert_array_equal(validation[:, found], splits.validation.targets[:, result["order"]])
    (stage,) = pyorder.runs.load_run("run/search").history()
    assert stage.orders[stage.loss.argmin()].tolist() == result["order"]
    settings = {"test": splits.test, "model": "nano", "steps": 5, "device": "cpu", "precision": "float32"}
    refit = pyorder.fit(splits.train, result["order"], seed=1, **settings)
    assert refit.success_rate == result["fits"]["discovered"]["success_rate"]
    assert refit.step_accuracy.tolist() == result["fits"]["discovered"]["step_accuracy"]


def test_seeds_shuffle_differently(told, searched):
    for seed in range(3):
        told("discover", *SQUARE, *SEARCH, *FIT, "--seed", seed)
    shuffles = set()
    for seed, (train, _, _) in enumerate(searched):
        own = pyorder.make_task("square", length=4).splits(600, 40, 60, seed=seed).train.targets
        shuffles.add(tuple(int((own == column[:, None]).all(0).argmax()) for column in train.T))
    assert all(sorted(shuffle) == [0, 1, 2, 3] for shuffle in shuffles)
    assert len(shuffles) > 1


def test_a_strategy_that_knows_the_datas_order_is_not_shuffled_and_says_so(run, told, searched):
    words = [
        "--strategy",
        "hierarchical",
        "--option",
        "initialisation=Pg",
        "--option",
        "depth=1",
        "--option",
        "local=false",
    ]
    words += ["--steps", 5, *CHEAP, *FIT]
    result = told("discover", *SQUARE, *words)
    assert result["search"]["uses_data_order"] is True
    splits = pyorder.make_task("square", length=4).splits(600, 40, 60, seed=0)
    np.testing.assert_array_equal(searched[0][0], splits.train.targets)
    np.testing.assert_array_equal(searched[0][2], result["order"])
    _, out, _ = run("discover", *SQUARE, *words)
    assert "knew the data's order  yes" in out


@pytest.mark.parametrize("given", ["edges.json", "@run", "task"])
def test_constraints_hold_in_the_datas_own_columns(run, told, given, tmp_path):
    (tmp_path / "edges.json").write_text("[[3, 0], [2, 0]]")
    edges = [(1, 2), (2, 3)]  # the task's own
    if given == "edges.json":
        edges = [(3, 0), (2, 0)]
    if given == "@run":
        words = ["--strategy", "precedence", "--option", "candidates=4", "--option", "rounds=3"]
        first = told("discover", *SQUARE, *words, "--steps", 5, *CHEAP, *FIT, "--out", "run")
        found = first["search"]["exploration"]["dependencies"]
        edges = [(edge["before"], edge["after"]) for edge in found]
    words = [*SEARCH, *FIT, "--constraints", given, "--out", "constrained"]
    result = told("discover", *SQUARE, *words)
    assert sorted(map(tuple, result["search"]["constraints"])) == sorted(edges)
    graph = pyorder.posets.Poset(4, edges)
    (stage,) = pyorder.runs.load_run("constrained/search").history()
    assert len(stage.orders) == min(6, len(graph.sorts()))
    assert graph.is_sort(stage.orders).all()
    assert graph.is_sort([result["order"]])[0]
    out = run("report", "constrained")[1]
    assert f"{len(edges)} dependencies, all satisfied" in out
