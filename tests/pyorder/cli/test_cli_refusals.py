import json
import sys

import numpy as np
import pytest

import pyorder
import pyorder.cli

FEW_ROWS = ["--train-rows", "600", "--validation-rows", "40"]
SQUARE = ["square", "--length", "4", *FEW_ROWS, "--test-rows", "60"]
CHEAP = ["--device", "cpu", "--precision", "float32"]
SEARCH = ["--strategy", "random", "--option", "candidates=6", "--option", "pool=6", "--steps", "5", *CHEAP]
FIT = ["--fit-model", "nano", "--fit-steps", "5"]
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
        (["discover", *SQUARE, "--constraints", "no.json"], "--constraints: 'no.json': No such file"),
        (["discover", *SQUARE, "--constraints", "/dev/null"], "--constraints: "),
        (["discover", *SQUARE, "--constraints", "@nowhere"], "--constraints: run: 'nowhere' is no run folder"),
        (
            ["discover", "prod", "--length", "4", "--train-rows", "40", "--constraints", "task"],
            "--constraints: 'task' given",
        ),
        (["discover", *SQUARE, "--model", "huge"], "model: 'huge'"),
        (["discover", *SQUARE, "--fit-model", "huge"], "model: 'huge'"),
        (["discover", *SQUARE, "--model", "nowhere_to_be_found:build"], "--model: cannot import"),
        (["discover", *SQUARE, "--model", "json:nothing"], "--model: cannot import"),
        (["discover", *SQUARE, "--model", "json:__name__"], "--model: "),
        (["discover", *SQUARE, "--steps", "0"], "'--steps'"),
        (["discover", *SQUARE, "--learning-rate", "nan"], "learning_rate: "),
        (
            ["discover", *SQUARE, "--budget-steps", "1", *SEARCH],
            "budget: training_steps=1 given; the first run, of 6 candidates, takes 5 training steps",
        ),
        (["discover", "mine.npz"], "TASK: there is none of the name 'mine.npz'; a file"),
        (["discover", "--data", "mine.xlsx"], "--data: 'mine.xlsx' ends in '.xlsx'; .npz, .safetensors, .csv, .p"),
        (["discover", *SQUARE, "--budget-seconds", "-1"], "budget: seconds"),
        (["discover", *SQUARE, "--precision", "float8"], "precision: 'float8'"),
        (["discover", *SQUARE, "--device", "tpu"], "device: 'tpu'"),
        (["discover", *SQUARE, "--seed", "-1"], "'--seed'"),
        (["discover", *SQUARE, "--psychic"], "--psychic"),
        (["discover", *SQUARE, "--test-data", "x.npz"], "--test-data: goes with --data"),
        (["discover", "square", "--length", "2", "--train-rows", "5000"], "validation: cannot draw 36"),
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
        (["discover", *SQUARE, "--no-fit", "--fit-steps", "5"], "--fit-steps: is about final training"),
        (["reproduce", "--only", "seed=0"], "--only: goes with the NAME of a study"),
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


def test_constraints_that_are_no_list_are_refused(refused, tmp_path):
    (tmp_path / "graph.json").write_text('{"0": 1}')
    line = refused("discover", *SQUARE, "--constraints", "graph.json")
    assert line.startswith("--constraints: 'graph.json' holds no list of pairs")


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

    monkeypatch.setattr("pyorder.search.discover_shuffled", fail)
    code, out, err = run("discover", *SQUARE, *SEARCH)
    assert (code, out, err) == (1, "", "pyorder: error: RuntimeError: out of memory\n")
    code, _, err = run("discover", *SQUARE, *SEARCH, "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("pyorder: error: RuntimeError: out of memory\n")


def test_an_order_that_was_found_is_told_in_json_when_final_training_fails(run, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("pyorder.training.fit", fail)
    code, out, err = run("discover", *SQUARE, *SEARCH, "--json")
    assert code == 1
    assert err.endswith("pyorder: error: RuntimeError: out of memory\n")
    result = json.loads(out)
    assert sorted(result["order"]) == [0, 1, 2, 3]
    assert (result["complete"], result["fits"]) == (False, {})


def test_an_interrupted_search_tells_the_best_order_and_keeps_it(run, monkeypatch):
    def search(strategy, laboratory):
        laboratory.profile(laboratory.draw(2), "first")
        raise KeyboardInterrupt

    monkeypatch.setattr(pyorder.search.Random, "search", search)
    code, out, err = run("discover", *SQUARE, *SEARCH, "--out", "run")
    assert (code, out) == (130, "")
    order = pyorder.runs.load_run("run/search").result["order"]
    told = ",".join(map(str, order))
    saved = "saved in run/search; the same command, with --out run, goes on from there"
    assert err.endswith(f"pyorder: interrupted; the best order so far: {told}; {saved}\n")
    for words in (["report", "run"], ["train", *SQUARE, "--order", "@run"]):
        code, _, err = run(*words)
        assert code == 2
        assert err.endswith("ask for it again to go on; the best order so far is in 'run/search'\n")
    code, out, _ = run("report", "run/search")
    assert code == 0
    assert "The search was interrupted or failed" in out


@pytest.mark.parametrize("out", [[], ["--out", "run"]])
@pytest.mark.parametrize("place", ["pyorder.search.Random.search", "pyorder.cli._inputs.load_data"])
def test_an_interrupt_before_anything_was_found_says_so(run, tmp_path, monkeypatch, place, out):
    def stop(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stop)
    code, printed, err = run("discover", *SQUARE, *SEARCH, *out)
    assert (code, printed) == (130, "")
    assert err.endswith("pyorder: interrupted; nothing new was kept\n")
    assert not (tmp_path / "run").exists()


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
    assert err.endswith("pyorder: interrupted; the same command, with --out run, goes on from there\n")
    assert "profiling runs" in out
    table = out[out.index("trained on") :]
    assert [line.split()[0].strip(",") for line in table.splitlines() if "%" in line and "," in line] == [
        "discovered"
    ]
    kept = pyorder.runs.load_run("run").result
    assert (kept["complete"], list(kept["fits"])) == (False, ["discovered"])
    code, out, _ = run("report", "run")
    assert code == 0
    assert "the run ended before all orders were trained on" in out
    code, out, _ = run("train", *SQUARE, "--order", "@run", "--model", "nano", "--steps", 5, *CHEAP)
    assert code == 0
