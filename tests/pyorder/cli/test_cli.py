import html
import json
import sys
import textwrap

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import pyorder
import pyorder.cli
from pyorder.cli import _inputs, _orders, _shared

FEW_ROWS = ["--train-rows", "600", "--validation-rows", "40"]
SQUARE = ["square", "--length", "4", *FEW_ROWS, "--test-rows", "60"]
CHEAP = ["--device", "cpu", "--precision", "float32"]
SEARCH = ["--strategy", "random", "--option", "candidates=6", "--option", "pool=6", "--steps", "5", *CHEAP]
FIT = ["--fit-model", "nano", "--fit-steps", "5"]


def test_tasks_are_listed_with_what_is_known_of_them(run, told):
    listed = {task["name"]: task for task in told("tasks")["tasks"]}
    assert tuple(listed) == pyorder.task_names()
    assert listed["index"]["parameters"] == {"d": 2}
    assert listed["square"]["example"]["dependencies"] == [[1, 2], [2, 3]]
    assert listed["prod"]["example"]["dependencies"] is None
    code, out, _ = run("tasks")
    assert code == 0
    for name, task in listed.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert task["recurrence"] in line


def test_one_file_is_generated(run, tmp_path):
    code, out, _ = run(
        "generate",
        "index",
        "--length",
        5,
        "--parameter",
        "d=3",
        "--rows",
        7,
        "--seed",
        4,
        "--out",
        "x.safetensors",
    )
    assert code == 0
    assert "7 rows" in out
    made = pyorder.make_task("index", length=5, d=3).generate(7, seed=4)
    read = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(read["inputs"], made.inputs)
    np.testing.assert_array_equal(read["targets"], made.targets)


def test_products_of_factors_of_any_widths_are_generated_and_known_again(told, tmp_path):
    parameters = ["--parameter", "factors=3x1", "--parameter", "rows=by_length"]
    told("generate", "prod", "--length", 4, "--rows", 7, *parameters, "--out", "p.safetensors")
    data = pyorder.Dataset.open(tmp_path / "p.safetensors")
    made = pyorder.make_task("prod", length=4, factors=(3, 1), rows="by_length")
    assert np.array_equal(data.inputs, made.generate(7, seed=0).inputs)
    assert _inputs.find_task(data).parameters == made.parameters


def test_splits_are_generated_and_serve_as_data(told, tmp_path):
    rows = ["--train-rows", 600, "--validation-rows", 40, "--test-rows", 60]
    told("generate", "square", "--length", 4, *rows, "--seed", 2, "--out", "data")
    splits = pyorder.make_task("square", length=4).splits(600, 40, 60, seed=2)
    for name, split in splits._asdict().items():
        read = pyorder.Dataset.open(tmp_path / "data" / f"{name}.safetensors")
        np.testing.assert_array_equal(read.inputs, split.inputs)
    files = ["--data", "data/train.safetensors", "--test-data", "data/test.safetensors"]
    from_files = told("train", *files, "--order", "1,0,3,2", "--seed", 2, "--model", "nano", "--steps", 5, *CHEAP)
    made = told(
        "train",
        "square",
        "--length",
        4,
        *rows,
        "--order",
        "1,0,3,2",
        "--seed",
        2,
        "--model",
        "nano",
        "--steps",
        5,
        *CHEAP,
    )
    for key in ("data", "order", "success_rate", "step_accuracy", "dependencies_satisfied"):
        if key != "data":
            assert from_files[key] == made[key]
    assert from_files["data"]["task"] == "square"
    assert made["dependencies_satisfied"] == 0.5  # 1 before 2, but not 2 before 3


def test_a_profile_ranks_random_given_and_forward_orders(run, told, tmp_path):
    np.save(tmp_path / "mine.npy", [[3, 2, 1, 0]])
    words = ["profile", *SQUARE[:-2], "--random", 5, "--orders", "mine.npy", "--forward", "--steps", 5, *CHEAP]
    result = told(*words)
    origins = [candidate["origin"] for candidate in result["candidates"]]
    assert sorted(origins) == ["forward", "given", *["random"] * 5]
    losses = [candidate["loss"] for candidate in result["candidates"]]
    assert losses == sorted(losses)
    by_origin = {candidate["origin"]: candidate["order"] for candidate in result["candidates"]}
    assert by_origin["forward"] == [0, 1, 2, 3]
    assert by_origin["given"] == [3, 2, 1, 0]
    code, out, err = run(*words, "--top", 1, "--out", "run")
    assert code == 0
    assert "the order of the data was among them" in out
    (remark,) = result["remarks"]
    assert remark in out.splitlines()
    assert err.startswith("profile: ")
    ranked = [line.split() for line in out.splitlines() if line.split()[0].isdigit() and "," in line.split()[-1]]
    assert [line[-1] for line in ranked if line[-2] == "forward"] == ["0,1,2,3"]
    assert len(ranked) <= 2
    assert pyorder.runs.load_run(tmp_path / "run").kind == "profile"
    code, out, _ = run("report", "run")
    assert code == 0
    assert "0,1,2,3" in out


@pytest.mark.parametrize("name", ["orders.npy", "orders.npz", "orders.safetensors", "orders.json"])
def test_orders_are_read_from_every_kind_of_file(tmp_path, name):
    orders, path = np.array([[1, 0, 2], [2, 1, 0]], np.uint8), tmp_path / name
    if name.endswith(".npy"):
        np.save(path, orders)
    elif name.endswith(".npz"):
        np.savez(path, orders=orders, other=np.zeros(2))
    elif name.endswith(".json"):
        path.write_text(json.dumps(orders.tolist()))
    else:
        safetensors.numpy.save_file({"anything": orders}, path)
    read = _orders.read_orders(path, 3)
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, orders)


def test_orders_are_read_beside_what_numpy_lacks(tmp_path):
    arrays = {"orders": torch.tensor([[1, 0, 2]]), "weights": torch.ones(3, dtype=torch.bfloat16)}
    safetensors.torch.save_file(arrays, tmp_path / "file")
    assert _orders.read_orders(tmp_path / "file", 3).tolist() == [[1, 0, 2]]
    safetensors.torch.save_file({"a": arrays["weights"], "b": arrays["orders"]}, tmp_path / "file")
    with pytest.raises(ValueError, match=r"--orders: .*file' has no array 'orders', it has (a, b|b, a)$"):
        _orders.read_orders(tmp_path / "file", 3)


def test_shared_inputs_are_counted_by_value():
    train = pyorder.Dataset(np.array([[1, -2], [3, 4]], np.int8), [[0, 0]] * 2)
    other = pyorder.Dataset(np.array([[1, -2], [257, 254], [1, -2], [4, 3]], np.int64), [[0, 0]] * 4)
    assert _shared.shared_inputs(train, other) == 2
    assert _shared.shared_inputs(other, train) == 1
    assert _shared.shared_inputs(train, pyorder.Dataset([[1]], [[0, 0]])) == 0


def test_own_data_and_own_model(told, own_data, tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import torch

            class Model(torch.nn.Module):
                def __init__(self, vocabulary, inputs, steps):
                    super().__init__()
                    self.embed = torch.nn.Embedding(vocabulary, 16)
                    self.out = torch.nn.Linear(16 * inputs, vocabulary)

                def forward(self, inputs, emitted, order=None):
                    logits = self.out(self.embed(inputs).flatten(1))
                    return logits[:, None].expand(-1, emitted.shape[1], -1)

            def build(vocabulary, inputs, steps):
                import helper  # beside this file, and only now

                return Model(helper.same(vocabulary), inputs, steps)

            def wrong(vocabulary, inputs, steps):
                return Model(vocabulary + 1, inputs, steps)
            """
        )
    )
    (tmp_path / "helper.py").write_text("def same(number):\n    return number\n")
    data = own_data(rows=200)
    result = told(
        "discover", "--data", data, "--model", "mine:build", "--fit-model", "mine:build", *SEARCH, "--fit-steps", 5
    )
    assert sum(result["data"]["rows"].values()) == 200
    assert result["data"]["task"] is None
    assert result["fits"]["discovered"]["dependencies_satisfied"] is None
    assert str(tmp_path) not in sys.path


def test_rows_that_are_trained_on_are_told(run, own_data):
    inputs = np.random.default_rng(1).integers(0, 5, (60, 3))
    inputs[:7] = [0, 1, 2]
    inputs[7:] = np.maximum(inputs[7:], [1, 0, 0])
    held = np.concatenate([inputs[:1], inputs[10:13], [[0, 4, 4]] * 16])
    files = ["--data", own_data(inputs=inputs, targets=inputs.cumsum(1) % 5)]
    files += ["--validation-data", own_data("held.npz", inputs=held, targets=held.cumsum(1) % 5)]
    files += ["--test-data", own_data("test.npz", inputs=held[4:], targets=held[4:].cumsum(1) % 5)]
    code, _, err = run("discover", *files, *SEARCH, *FIT)
    assert code == 0
    told = [line for line in err.splitlines() if "warning" in line]
    assert told == ["pyorder: warning: validation: 4 of 20 rows have an input that is trained on"]


def test_training_takes_orders_in_every_form(told, tmp_path):
    words = [*SQUARE, "--model", "nano", "--steps", 5, *CHEAP]
    assert told("train", *words, "--order", "forward", "--out", "run")["order"] == [0, 1, 2, 3]
    assert told("train", *words, "--order", "reverse")["order"] == [3, 2, 1, 0]
    assert told("train", *words, "--order", "@run")["order"] == [0, 1, 2, 3]
    random = told("train", *words, "--order", "random", "--seed", 5)["order"]
    assert sorted(random) == [0, 1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock", "asked.json", "config.json", "fit.safetensors", "model.safetensors", "result.json",
    ]  # fmt: skip


def test_the_report_of_a_fit_goes_without_pictures_when_matplotlib_is_missing(run, monkeypatch, tmp_path):
    assert (
        run("train", *SQUARE, "--order", "forward", "--model", "nano", "--steps", 5, *CHEAP, "--out", "run")[0]
        == 0
    )
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("report", "run")
    assert code == 0
    assert "0,1,2,3" in out
    assert err.count("\n") == 1
    assert 'pip install "pyorder[plot]"' in err
    assert not list((tmp_path / "run").glob("*.png"))


def test_a_search_from_python_is_reported_even_where_pictures_cannot_be_written(run, square5, tmp_path):
    strategy = pyorder.search.Random(candidates=6, pool=4, finalists=2)
    settings = {"steps": 4, "device": "cpu", "precision": "float32"}
    found = pyorder.discover(
        square5.train, validation=square5.validation, strategy=strategy, run_dir=tmp_path / "run", **settings
    )
    code, out, err = run("report", "run")
    assert (code, err) == (0, "")
    assert ",".join(map(str, found.order)) in out
    for stage in found.history:
        assert any(line.startswith(stage.name) for line in out.splitlines())
    assert sorted(path.name for path in (tmp_path / "run").glob("*.png")) == ["candidates.png", "order.png"]
    (tmp_path / "run" / "candidates.png").unlink()
    (tmp_path / "run" / "candidates.png").mkdir()
    code, out, err = run("report", "run")
    assert code == 0
    assert ",".join(map(str, found.order)) in out
    assert err.startswith("pyorder: no more pictures: ")


def test_rows_of_own_data_can_be_capped(told, own_data):
    rows = ["--train-rows", 60, "--validation-rows", 7, "--test-rows", 5]
    found = told("discover", "--data", own_data(rows=800), *rows, "--steps", 1, "--fit-steps", 1)
    assert found["data"]["rows"] == {"train": 60, "validation": 7, "test": 5}


def test_random_orders_come_once_and_never_repeat_those_that_are_named(told):
    words = ["square", "--length", 4, "--random", 23, "--forward", "--steps", 1, "--train-rows", 200]
    orders = [tuple(candidate["order"]) for candidate in told("profile", *words)["candidates"]]
    assert len(set(orders)) == 24


def test_an_order_that_is_named_twice_is_profiled_once_and_its_origin_is_kept(run, told, tmp_path):
    (tmp_path / "mine.json").write_text("[[0, 1, 2, 3], [3, 2, 1, 0], [3, 2, 1, 0]]")
    words = ["square", "--length", 4, "--orders", "mine.json", "--forward", "--steps", 1, "--train-rows", 200]
    result = told("profile", *words, "--out", "run")
    candidates, (remark,) = result["candidates"], result["remarks"]
    origins = {tuple(candidate["order"]): candidate["origin"] for candidate in candidates}
    assert origins == {(0, 1, 2, 3): "forward", (3, 2, 1, 0): "given"}
    assert len(candidates) == 2
    assert pyorder.runs.load_run("run").result["candidates"] == candidates
    report = run("report", "run", "--html")[1]
    assert "forward" in report
    assert remark in report.splitlines()
    assert remark in html.unescape((tmp_path / "run" / "report.html").read_text())


def test_large_data_gives_to_each_split_what_a_task_has(told, own_data, monkeypatch):
    monkeypatch.setattr(_inputs, "ROWS", {"train": 0, "validation": 20, "test": 10})
    inputs = np.arange(600).reshape(300, 2)  # no input comes twice
    data = own_data(inputs=inputs, targets=inputs % 7)
    words = ["discover", "--data", data, "--steps", 1, "--no-fit"]
    assert told(*words)["data"]["rows"] == {"train": 240, "validation": 20, "test": 10}
    more = told(*words, "--validation-rows", 25)["data"]["rows"]
    assert more == {"train": 240, "validation": 25, "test": 10}
    few = own_data(inputs=inputs[np.arange(300) % 15], targets=inputs % 7)  # 15 distinct ones
    assert told("discover", "--data", few, *words[3:])["data"]["rows"]["validation"] == 20


def test_more_random_orders_than_there_are_is_refused(refused):
    assert "--random: " in refused("profile", "square", "--length", 3, "--random", 7)


def test_a_small_task_gets_the_rows_it_has(told):
    found = told("profile", "square", "--length", 3, "--random", 2, "--steps", 1)
    assert len(found["candidates"]) == 2


def test_help_shows_all_its_words(run):
    _, out, _ = run("discover", "--help")
    assert "pairs (before, after)" in " ".join(out.replace("│", " ").split())
