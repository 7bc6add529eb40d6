import doctest
import io
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import safetensors.numpy
import torch

import pyorder
import pyorder.cli
from pyorder.cli import _inputs, _results, _terminal, main
from pyorder.cli._terminal import ProgressBar, ProgressLines
from pyorder.progress import Progress

FEW_ROWS = ["--train-rows", "600", "--validation-rows", "40"]
SQUARE = ["square", "--length", "4", *FEW_ROWS, "--test-rows", "60"]
CHEAP = ["--device", "cpu", "--precision", "float32"]
SEARCH = ["--strategy", "random", "--option", "candidates=6", "--option", "pool=6", "--steps", "5", *CHEAP]
FIT = ["--fit-model", "nano", "--fit-steps", "5"]


@pytest.mark.parametrize("module", [pyorder.cli, _inputs, _results, _terminal])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny matrices gain nothing from more, and waiting threads cost much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def told(run):
    """Run a command line with --json and give back its one object."""

    def told(*words):
        code, out, err = run(*words, "--json")
        assert code == 0, err
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)

    return told


@pytest.fixture
def refused(run, tmp_path):
    """Run a command line that must be refused, in one line and with nothing written; the line's text."""

    def refused(*words):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        code, out, err = run(*words)
        assert code == 2
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("pyorder: error: ")
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return err.removeprefix("pyorder: error: ").strip()

    return refused


@pytest.fixture
def own_data(tmp_path):
    """Files of one's own data: 50 rows of 3 inputs and 3 running sums."""

    def write(name="mine.npz", rows=50, **replaced):
        inputs = np.random.default_rng(0).integers(0, 5, (rows, 3))
        arrays = {"inputs": inputs, "targets": inputs.cumsum(1) % 5} | replaced
        if name.endswith(".npz"):
            np.savez(tmp_path / name, **arrays)
        else:
            safetensors.numpy.save_file(arrays, tmp_path / name)
        return tmp_path / name

    return write


# Commands


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
    read = _inputs.read_orders(path, 3)
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, orders)


def test_discovery_compares_three_orders_and_leaves_a_run(run, told, tmp_path):
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
    assert list(result["fits"]) == ["discovered", "reverse", "random"]
    assert result["fits"]["discovered"]["order"] == order
    assert result["fits"]["reverse"]["order"] == order[::-1]
    for fitted in result["fits"].values():
        low, high = fitted["success_interval"]
        assert low <= fitted["success_rate"] <= high
        slots = np.argsort(fitted["order"])
        assert fitted["dependencies_satisfied"] == ((slots[1] < slots[2]) + (slots[2] < slots[3])) / 2

    kept = pyorder.runs.load_run(tmp_path / "runs/one")
    assert kept.kind == "comparison"
    assert kept.result == result
    assert kept.config["settings"]["arguments"]["task"] == "square"
    assert sorted(kept.parts) == ["discovered", "random", "reverse", "search"]

    pictures = [tmp_path / "runs/one" / name for name in ("candidates.png", "order.png", "learning_curves.png")]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    pictures[0].unlink()
    code, out, _ = run("report", "runs/one")
    assert code == 0
    assert ",".join(map(str, order)) in out
    assert all(picture.name in out and picture.exists() for picture in pictures)

    code, _, err = run("discover", *SQUARE, *SEARCH, "--out", "runs/one")
    assert (code, "--out: 'runs/one' is not empty" in err) == (2, True)


@pytest.fixture
def searched(monkeypatch):
    """What searches were given and what they found, in the steps of the data they were given."""
    seen = []

    def spy(train, **arguments):
        found = discover(train, **arguments)
        seen.append((train.targets, arguments["validation"].targets, found.order))
        return found

    discover = pyorder.discover
    monkeypatch.setattr("pyorder.search.discover", spy)
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
                return Model(vocabulary, inputs, steps)

            def wrong(vocabulary, inputs, steps):
                return Model(vocabulary + 1, inputs, steps)
            """
        )
    )
    data = own_data(rows=200)
    result = told(
        "discover", "--data", data, "--model", "mine:build", "--fit-model", "mine:build", *SEARCH, "--fit-steps", 5
    )
    assert sum(result["data"]["rows"].values()) == 200
    assert result["data"]["task"] is None
    assert result["fits"]["discovered"]["dependencies_satisfied"] is None
    assert str(tmp_path) not in sys.path


def test_training_takes_orders_in_every_form(told, tmp_path):
    words = [*SQUARE, "--model", "nano", "--steps", 5, *CHEAP]
    assert told("train", *words, "--order", "forward", "--out", "run")["order"] == [0, 1, 2, 3]
    assert told("train", *words, "--order", "reverse")["order"] == [3, 2, 1, 0]
    assert told("train", *words, "--order", "@run")["order"] == [0, 1, 2, 3]
    random = told("train", *words, "--order", "random", "--seed", 5)["order"]
    assert sorted(random) == [0, 1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.json", "fit.safetensors", "model.safetensors", "result.json",
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


# Refusals

HIERARCHICAL = ["discover", *SQUARE, "--strategy", "hierarchical"]
GENERATE = ["generate", "square", "--length", "5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["discover", "sqare", "--length", "5"], "sqare"),
        (["discover", "square", "--length", "1"], "length: "),
        (["discover", "square"], "--length: "),
        (["discover"], "TASK or --data: "),
        (["discover", "square", "--length", "5", "--data", "x.npz"], "TASK or --data: "),
        (["discover", *SQUARE, "--strategy", "psychic"], "strategy: 'psychic'"),
        ([*HIERARCHICAL, "--option", "deep=3"], "'deep'"),
        ([*HIERARCHICAL, "--option", "depth"], "--option: 'depth' is not KEY=VALUE"),
        ([*HIERARCHICAL, "--option", "depth=a"], "--option: depth=a: "),
        ([*HIERARCHICAL, "--option", "depth=2.5"], "--option: depth=2.5: "),
        ([*HIERARCHICAL, "--option", "depth=9"], "depth: "),
        (["discover", *SQUARE, "--parameter", "d=4"], "'d'"),
        (["discover", *SQUARE, "--model", "huge"], "model: 'huge'"),
        (["discover", *SQUARE, "--fit-model", "huge"], "model: 'huge'"),
        (["discover", *SQUARE, "--model", "nowhere_to_be_found:build"], "--model: cannot import"),
        (["discover", *SQUARE, "--model", "json:nothing"], "--model: cannot import"),
        (["discover", *SQUARE, "--model", "json:__name__"], "--model: "),
        (["discover", *SQUARE, "--steps", "0"], "'--steps'"),
        (["discover", *SQUARE, "--learning-rate", "nan"], "learning_rate: "),
        (["discover", *SQUARE, "--budget-steps", "1", *SEARCH], "budget: "),
        (["discover", *SQUARE, "--budget-seconds", "-1"], "budget: seconds"),
        (["discover", *SQUARE, "--precision", "float8"], "precision: 'float8'"),
        (["discover", *SQUARE, "--device", "tpu"], "device: 'tpu'"),
        (["discover", *SQUARE, "--seed", "-1"], "'--seed'"),
        (["discover", *SQUARE, "--psychic"], "--psychic"),
        (["discover", *SQUARE, "--test-data", "x.npz"], "--test-data: goes with --data"),
        (["discover", "square", "--length", "2", "--train-rows", "5000"], "validation: cannot draw 1000"),
        (["discover", *SQUARE, "--out", "/proc/x/y"], "--out: cannot write to '/proc/x/y'"),
        (["profile", *SQUARE[:-2]], "--random: no order"),
        (["profile", *SQUARE[:-2], "--orders", "none.npy"], "--orders: 'none.npy': No such file"),
        (["train", *SQUARE], "'--order'"),
        (["train", *SQUARE, "--order", "0,1,2,2"], "--order: "),
        (["train", *SQUARE, "--order", "0,1,2"], "--order: "),
        (["train", *SQUARE, "--order", "backwards"], "--order: 'backwards'"),
        (["train", *SQUARE, "--order", "@nowhere"], "--order: 'nowhere' is no run folder"),
        (["train", *SQUARE, "--order", "forward", "--out", "/dev/null/x"], "--out: cannot write"),
        ([*GENERATE, "--rows", "3", "--out", "x.npz"], "--out: 'x.npz'"),
        ([*GENERATE, "--rows", "3", "--out", "no/x.safetensors"], "--out: "),
        ([*GENERATE, "--rows", "3", "--test-rows", "3", "--out", "x"], "--test-rows: "),
        ([*GENERATE, "--out", "/dev/null/x"], "--out: cannot write"),
        (["report", "nowhere"], "RUN_DIR: 'nowhere' is no run folder"),
        (["psychic"], "psychic"),
        ([], "Missing command"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_line_that_names_them(refused, words, message):
    assert message in refused(*words)


INTEGERS = np.arange(150).reshape(50, 3) % 7


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"inputs": INTEGERS.astype(float)}, "inputs: expected integers"),
        ({"targets": np.full((50, 3), np.nan)}, "targets: expected integers"),
        ({"targets": np.array([[1, 2], [3]] * 25, dtype=object)}, "mine.npz"),
        ({"targets": INTEGERS[:49]}, "targets: expected as many rows as inputs"),
        ({"targets": INTEGERS[:, :1]}, "targets: "),
        ({"inputs": INTEGERS[:0], "targets": INTEGERS[:0]}, "inputs: "),
        ({"inputs": INTEGERS[:2], "targets": INTEGERS[:2]}, "split would be empty"),
    ],
)
def test_bad_arrays_are_refused(refused, own_data, replaced, message):
    line = refused("discover", "--data", own_data(**replaced), *SEARCH, "--out", "run")
    assert line.startswith("--data: ")
    assert message in line


def test_files_of_another_kind_are_refused(refused, own_data, tmp_path):
    np.savez(tmp_path / "unnamed.npz", INTEGERS)
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "cut.npz").write_bytes(own_data().read_bytes()[:-40])
    whole = own_data("mine.safetensors").read_bytes()
    for length in (0, 4, 30, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        assert "cut.safetensors" in refused("discover", "--data", "cut.safetensors", *SEARCH)
    for name in ("unnamed.npz", "text.npz", "text.safetensors", "cut.npz", "missing.npz", "."):
        line = refused("discover", "--data", name, *SEARCH, "--out", "run")
        assert line.startswith("--data: ")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_value_that_training_lacks_is_refused_before_the_search(refused, own_data, split):
    words = ["discover", "--data", own_data(), *SEARCH, "--out", "run"]
    good, bad = own_data("good.npz", rows=20), own_data("bad.npz", inputs=np.full((50, 3), 77))
    files = {"validation": good, "test": good} | {split: bad}
    line = refused(*words, *[word for name, file in files.items() for word in (f"--{name}-data", file)])
    assert line.startswith(f"{split}: inputs hold the value 77")


def test_splits_of_another_shape_or_given_by_half_are_refused(refused, own_data):
    words = ["discover", "--data", own_data(), *SEARCH, "--validation-data", own_data("good.npz")]
    assert refused(*words).startswith("--test-data: give --validation-data and --test-data")
    wide = own_data("wide.npz", inputs=np.zeros((50, 4), int))
    assert refused(*words, "--test-data", wide).startswith("test: rows of (4, 3)")
    assert "--train-rows: goes with a task" in refused("discover", "--data", own_data(), "--train-rows", 5)


def test_a_model_that_does_not_fit_is_refused_before_anything_is_written(refused, tmp_path):
    (tmp_path / "ill_fitting.py").write_text(
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.zeros(3))\n"
        "    def forward(self, inputs, emitted, order=None):\n"
        "        return self.weight.expand(len(inputs), 3)\n"
        "def build(vocabulary, inputs, steps):\n"
        "    return Model()\n"
    )
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        for option in ("--model", "--fit-model"):
            line = refused("discover", *SQUARE, *SEARCH, option, "ill_fitting:build", "--out", "run")
            assert line.startswith("model: forward returned logits of shape (5, 3)")
    finally:
        sys.dont_write_bytecode = kept


def test_generated_files_are_not_overwritten(refused, tmp_path):
    (tmp_path / "x.safetensors").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    words = ["generate", "square", "--length", "5", "--out"]
    assert "is there already" in refused(*words, "x.safetensors", "--rows", "3")
    assert "is not empty" in refused(
        *words, "folder", "--train-rows", "9", "--validation-rows", "9", "--test-rows", "9"
    )


def test_a_failure_while_running_is_1_and_debug_shows_where(run, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("pyorder.search.discover", fail)
    code, out, err = run("discover", *SQUARE, *SEARCH)
    assert (code, out, err) == (1, "", "pyorder: error: RuntimeError: out of memory\n")
    code, _, err = run("discover", *SQUARE, *SEARCH, "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("pyorder: error: RuntimeError: out of memory\n")


def test_a_run_that_ends_early_keeps_what_it_has(run, tmp_path, monkeypatch):
    done = []

    def interrupted(*arguments, **options):
        if done:
            raise KeyboardInterrupt
        done.append(True)
        return fit(*arguments, **options)

    fit = pyorder.fit
    with monkeypatch.context() as patch:
        patch.setattr("pyorder.training.fit", interrupted)
        code, out, err = run("discover", *SQUARE, *SEARCH, *FIT, "--out", "run")
    assert code == 130
    assert err.endswith("pyorder: interrupted\n")
    assert "profiling runs" in out
    kept = pyorder.runs.load_run("run").result
    assert (kept["complete"], list(kept["fits"])) == (False, ["discovered"])
    code, out, _ = run("report", "run")
    assert code == 0
    assert "the run ended before all orders were trained on" in out
    code, out, _ = run("train", *SQUARE, "--order", "@run", "--model", "nano", "--steps", 5, *CHEAP)
    assert code == 0


# What is shown while it runs


def test_plain_progress_is_a_line_a_stage_or_ten_seconds_and_never_more_than_one_a_second():
    lines, now = [], [0.0]
    report = ProgressLines("search", lines.append, clock=lambda: now[0])
    for tenth in range(1000):
        now[0] = tenth / 10
        report(Progress("pool 1" if tenth < 350 else "pool 2", tenth / 1000, now[0], candidates=tenth))
    assert len(lines) == 4 + 7
    assert lines[1] == "search: pool 1: 10%, 100 candidates, 1:30 min left"
    assert lines[4].startswith("search: pool 2: 35%")
    lines.clear()
    for tenth in range(1000, 1100):
        now[0] = tenth / 10
        report(Progress(f"stage {tenth}", 0.5, now[0]))
    assert len(lines) == 10


def test_the_bar_shows_stage_candidates_loss_and_time_left():
    from rich.console import Console

    bar = ProgressBar("search")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(bar.render())
    bar(Progress("global 1 of 4: training", 0.25, 60.0, candidates=1234, best_loss=1.5))
    console.print(bar.render())
    text = console.export_text()
    assert "search: getting ready" in text
    assert "global 1 of 4: training" in text
    assert "25%, 1,234 candidates, best loss 1.5000, 3:00 min left" in text


def test_help_comes_without_torch(tmp_path):
    code = "import sys; from pyorder.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("tasks", "generate", "profile", "discover", "train", "report"):
        assert command in done.stdout
