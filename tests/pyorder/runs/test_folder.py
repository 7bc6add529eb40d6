import json
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

import pyorder
from pyorder.cli import main
from pyorder.runs import agreement, environment
from pyorder.runs import folder as runs
from pyorder.runs.folder import (
    Run,
    StageRecord,
    check_run_dir,
    load_run,
    make_run_dir,
    write_history,
    write_json,
    write_run,
)
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=32, heads=2, feed_forward=64)
CHEAP = {"model": TINY, "steps": 4, "batch_size": 32, "device": "cpu", "precision": "float32"}
FEW = pyorder.search.Random(candidates=12, pool=6, finalists=2)


def strict_json(path):
    """Read JSON as the standard has it, which knows no NaN."""

    def refuse(constant):
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("module", [runs, agreement, environment])
def test_docstring_examples(doctests, module):
    doctests(module)


@pytest.fixture(scope="module")
def search(square5, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "deep" / "search"
    found = pyorder.discover(
        square5.train, validation=square5.validation, strategy=FEW, seed=3, run_dir=folder, **CHEAP
    )
    return folder, found


def test_a_search_is_read_back_as_it_was(search):
    folder, found = search
    run = load_run(folder)
    assert run.kind == "search"
    assert run.result == json.loads(json.dumps(found.summary()))
    assert run.result["order"] == found.order.tolist()
    assert run.result["candidates_profiled"] == 16
    stages = run.history()
    assert [stage.name for stage in stages] == [stage.name for stage in found.history]
    for read, made in zip(stages, found.history, strict=True):
        assert read.orders.dtype == np.int64
        np.testing.assert_array_equal(read.orders, made.profile.orders)
        np.testing.assert_array_equal(read.loss, made.profile.loss)
        np.testing.assert_array_equal(read.standard_error, made.profile.standard_error)
        assert read.seconds == made.seconds


def test_a_profile_is_read_back_as_it_was(square5, tmp_path):
    orders = pyorder.permutations.sample(5, 300, seed=0)  # more than a byte numbers
    profile = pyorder.profile(
        square5.train, orders, validation=square5.validation.select([0]), seeds=2, seed=9, **CHEAP
    )
    profile.save(tmp_path / "run")
    read = pyorder.Profile.load(tmp_path / "run")
    assert np.isnan(read.standard_error).all()
    assert read == profile
    assert read.summary().keys() == profile.summary().keys()
    assert read.ranking.dtype == np.int64
    assert read.training_loss.dtype == np.float32
    assert read.seed_spread is not None
    read.save(tmp_path / "again")
    for name in ("history.safetensors", "result.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_settings_in_common_are_written_once(search):
    text = (search[0] / "history.safetensors").read_bytes()
    assert text.count(b"architecture") == 1
    assert len(search[1].history) == 3
    seeds = [stage.profile.settings["seeds"] for stage in pyorder.Discovery.load(search[0]).history]
    assert seeds == [stage.profile.settings["seeds"] for stage in search[1].history]
    assert len({tuple(drawn) for drawn in seeds}) == 3


def test_a_folder_of_another_kind_is_no_search_and_no_profile(search, fit_folder, tmp_path):
    with pytest.raises(ValueError, match=r"^run_dir: .* is a search, no profile$"):
        pyorder.Profile.load(search[0])
    with pytest.raises(ValueError, match=r"^run_dir: .* is a fit, no search$"):
        pyorder.Discovery.load(fit_folder[0])
    shutil.copytree(search[0], tmp_path / "both" / "search")
    write_run(tmp_path / "both", "comparison", {}, {})
    with pytest.raises(ValueError, match="is a comparison, no search; those in it are '.*search'$"):
        pyorder.Discovery.load(tmp_path / "both")
    assert pyorder.Discovery.load(tmp_path / "both" / "search") == search[1]


def as_before(folder):
    """Take out of a search's folder what version 0.1 did not write."""
    path = folder / "history.safetensors"
    with safetensors.safe_open(path, "np") as file:
        stages = json.loads(file.metadata()["stages"])
    arrays = safetensors.numpy.load_file(path)
    kept = {
        name: array for name, array in arrays.items() if name.split(".")[1] in ("orders", "loss", "standard_error")
    }
    assert len(kept) < len(arrays)
    stages = [{"name": stage["name"], "seconds": stage["seconds"]} for stage in stages]
    safetensors.numpy.save_file(kept, path, {"stages": json.dumps(stages)})


def test_a_folder_of_the_first_version_is_still_read(search, tmp_path, capsys):
    folder, found = tmp_path / "run", search[1]
    shutil.copytree(search[0], folder)
    as_before(folder)
    stages = load_run(folder).history()
    assert [stage.name for stage in stages] == [stage.name for stage in found.history]
    np.testing.assert_array_equal(stages[0].loss, found.history[0].profile.loss)
    assert stages[0].step_loss is None
    with pytest.raises(ValueError, match="^run_dir: .*saved by a version of pyorder before 0.2.*load_run"):
        pyorder.Discovery.load(folder)
    assert main(["report", str(folder)]) == 0
    assert ",".join(map(str, found.order)) in capsys.readouterr().out


def test_the_device_of_the_run_is_told_and_no_other(square5, tmp_path, monkeypatch):
    """On a machine with two GPUs, as far as torch tells."""
    names = {None: "the current one", 0: "first", 1: "second"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: names[device and device.index])
    profile = pyorder.profile(square5.train, [range(5)], validation=square5.validation, **CHEAP)
    profile.save(tmp_path / "cpu")
    config = strict_json(tmp_path / "cpu" / "config.json")
    assert (config["device"], config["gpu"]) == ("cpu", None)
    replace(profile, settings={**profile.settings, "device": "cuda:1"}).save(tmp_path / "second")
    config = strict_json(tmp_path / "second" / "config.json")
    assert (config["device"], config["gpu"]) == ("cuda:1", "second")
    assert runs.environment("cuda")["gpu"] == "the current one"
    assert runs.environment("cuda:2")["gpu"] is None  # saved again where there is no such device
    unknown = runs.environment(None)
    assert (unknown["device"], unknown["gpu"]) == (None, None)


def test_settings_tell_how_and_where_it_was_run(search, square5):
    config = strict_json(search[0] / "config.json")
    assert config["settings"]["steps"] == 4
    assert config["settings"]["seeds"] == 1
    assert config["settings"]["data"] == square5.train.metadata
    assert config["versions"]["torch"] == torch.__version__
    assert config["versions"]["pyorder"] == pyorder.__version__
    assert config["cores"] == len(os.sched_getaffinity(0))
    assert config["date"].endswith("+00:00")
    assert config["cpu"]


def test_orders_take_the_smallest_type_and_losses_float64(tmp_path):
    for length, dtype in ((256, np.uint8), (257, np.uint16)):
        orders = np.stack([np.arange(length), np.arange(length)[::-1]])
        loss, error = np.array([1.0, 2.0]), np.array([0.0, np.nan])
        write_history(tmp_path / "history.safetensors", [StageRecord("all", orders, loss, error, 1.5)])
        stored = safetensors.numpy.load_file(tmp_path / "history.safetensors")
        assert stored["0.orders"].dtype == dtype
        assert stored["0.loss"].dtype == np.float64
        (read,) = Run(tmp_path, "search", {}, {}, {}).history()
        np.testing.assert_array_equal(read.orders, orders)
        np.testing.assert_array_equal(read.standard_error, error)


@pytest.mark.parametrize("tied", [False, True])
def test_the_weights_of_a_fit_make_the_same_model(square5, tmp_path, tied):
    preset = TINY.but(tied=tied)
    settings = CHEAP | {"model": preset}
    fitted = pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, run_dir=tmp_path / "fit", **settings)
    run = load_run(tmp_path / "fit")
    assert run.kind == "fit"
    assert run.result["success_rate"] == fitted.success_rate
    assert run.config["settings"]["vocabulary"] == fitted.vocabulary.tolist()
    for name, array in run.arrays().items():
        np.testing.assert_array_equal(array, getattr(fitted, name))
    module = preset(len(fitted.vocabulary), 5, 5).eval()
    safetensors.torch.load_model(module, str(tmp_path / "fit" / "model.safetensors"))
    inputs = torch.from_numpy(square5.test.encode(fitted.vocabulary)[0]).long()
    emitted = torch.zeros(len(inputs), 5, dtype=torch.long)
    with torch.inference_mode():
        torch.testing.assert_close(module(inputs, emitted), fitted.model(inputs, emitted), rtol=0, atol=0)


@pytest.fixture(scope="module")
def fit_folder(square5, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    settings = CHEAP | {"model": TINY, "validation": square5.validation}
    return folder, pyorder.fit(square5.train, [4, 0, 1, 2, 3], test=square5.test, run_dir=folder, **settings)


def test_a_fit_is_read_back_and_predicts_the_same(fit_folder, square5, tmp_path):
    folder, fitted = fit_folder
    read = pyorder.Fitted.load(folder)
    np.testing.assert_array_equal(read.predict(square5.test.inputs), fitted.predict(square5.test.inputs))
    assert read == fitted
    assert read.summary() == fitted.summary()
    assert read.settings == runs.plain(fitted.settings)
    assert not read.model.training
    np.testing.assert_array_equal(read.validation_curve, fitted.validation_curve)
    read.save(tmp_path / "again")
    for name in ("model.safetensors", "fit.safetensors", "result.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_fit_of_a_callers_module_is_read_back_with_its_build(square5, tmp_path):
    def build(*sizes):
        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = TINY(*sizes)

            def forward(self, inputs, emitted, order=None):
                return self.inner(inputs, emitted)

        return Own()

    settings = CHEAP | {"model": build, "run_dir": tmp_path / "fit"}
    fitted = pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, **settings)
    with pytest.raises(ValueError, match="^model: give the function that built it; its name was 'build'"):
        pyorder.Fitted.load(tmp_path / "fit")
    read = pyorder.Fitted.load(tmp_path / "fit", model=build)
    assert read == fitted
    np.testing.assert_array_equal(read.predict(square5.test.inputs), fitted.predict(square5.test.inputs))


def test_what_is_no_fit_is_refused(search, square5, fit_folder, tmp_path):
    with pytest.raises(ValueError, match="^run_dir: .* is a search, no final training$"):
        pyorder.Fitted.load(search[0])
    shutil.copytree(fit_folder[0], tmp_path / "runs" / "discovered")
    write_run(tmp_path / "runs", "comparison", {}, {})
    with pytest.raises(ValueError, match="is a comparison, no final training; those in it are '.*discovered'$"):
        pyorder.Fitted.load(tmp_path / "runs")
    other = lambda *sizes: TINY.but(layers=2)(*sizes)
    with pytest.raises(ValueError, match="^model: not the one whose weights are in '.*model") as refused:
        own = tmp_path / "own"
        settings = CHEAP | {"model": lambda *sizes: TINY(*sizes), "run_dir": own}
        pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, **settings)
        pyorder.Fitted.load(own, model=other)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=r"^model: not the one whose weights are in '.*model\.safetensors'$"):
        pyorder.Fitted.load(own, model="base")  # another than the function's, which config.json does not know
    with pytest.raises(
        ValueError, match=r"^model: Architecture\(layers=1, heads=4, .*with Architecture\(.*heads=2, "
    ):
        pyorder.Fitted.load(fit_folder[0], model=TINY.but(heads=4))
    weights = tmp_path / "runs" / "discovered" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="^run_dir: .*model.safetensors' cannot be read"):
        pyorder.Fitted.load(weights.parent)
    (weights.parent / "fit.safetensors").rename(tmp_path / "away")
    shutil.copy(fit_folder[0] / "model.safetensors", weights)
    with pytest.raises(ValueError, match="^run_dir: .*No such file.*fit.safetensors"):
        pyorder.Fitted.load(weights.parent)
    weights.unlink()
    with pytest.raises(ValueError, match="^run_dir: .*model.safetensors' cannot be read: No such file"):
        pyorder.Fitted.load(weights.parent)


def test_a_profile_is_saved_without_nan(square5, tmp_path):
    one_row = square5.validation.select([0])  # one row has no standard error
    profile = pyorder.profile(square5.train, [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], validation=one_row, **CHEAP)
    assert np.isnan(profile.standard_error).all()
    profile.save(tmp_path / "profile")
    result = strict_json(tmp_path / "profile" / "result.json")
    assert [candidate["standard_error"] for candidate in result["candidates"]] == [None, None]
    assert result["candidates"][0]["order"] == profile.best.tolist()
    assert np.isnan(load_run(tmp_path / "profile").history()[0].standard_error).all()


def test_a_finished_run_is_neither_overwritten_nor_joined(search, square5):
    folder, found = search
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert {path.name for path in before} >= {"asked.json", "config.json", "result.json"}

    def told(progress):
        raise AssertionError("work was begun")

    with pytest.raises(ValueError, match="run_dir: .* was asked for with another strategy"):
        pyorder.discover(square5.train, validation=square5.validation, run_dir=folder, progress=told, **CHEAP)
    with pytest.raises(ValueError, match="run_dir: .* was asked for with another kind, 'search' and not 'fit'"):
        pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, run_dir=folder, progress=told, **CHEAP)
    with pytest.raises(ValueError, match="run_dir: .* is not empty"):
        found.save(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_refused_arguments_leave_no_folder(square5, tmp_path):
    run_dir = tmp_path / "a" / "b"
    budget = pyorder.Budget(training_steps=1)
    with pytest.raises(ValueError, match="^budget:"):
        pyorder.discover(square5.train, validation=square5.validation, budget=budget, run_dir=run_dir, **CHEAP)
    bad = CHEAP | {"model": lambda vocabulary, inputs, steps: torch.nn.Linear(1, 1)}
    with pytest.raises(ValueError, match="^model:"):
        pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, run_dir=run_dir, **bad)
    assert list(tmp_path.iterdir()) == []


def test_checking_a_folder_leaves_no_trace(tmp_path):
    check_run_dir(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    check_run_dir(tmp_path / "empty" / "new")
    check_run_dir(tmp_path / "empty")
    check_run_dir(None)
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


@pytest.mark.parametrize("below", ["file/run", "file", "/proc/new/run"])
def test_a_folder_that_takes_no_files_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    for function in (check_run_dir, make_run_dir):
        with pytest.raises(ValueError, match="^--out: cannot write to ") as refused:
            function(tmp_path / below, name="--out")
        assert "\n" not in str(refused.value)
    assert [path.read_text() for path in tmp_path.rglob("*")] == ["mine"]


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    write_json(tmp_path / "result.json", {"order": [1, 0]})
    with pytest.raises(TypeError):
        write_json(tmp_path / "result.json", {"order": object()})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "result.json", {"order": [0, 1]})
    assert strict_json(tmp_path / "result.json") == {"order": [1, 0]}
    assert os.listdir(tmp_path) == ["result.json"]


def test_the_order_is_told_when_it_cannot_be_saved(search, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyorder.search.discovery.write_history", full)
    with pytest.raises(OSError, match="No space left") as failed:
        search[1].save(tmp_path / "run")
    assert failed.value.__notes__ == [f"the order that was found: {','.join(map(str, search[1].order))}"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "config.json: No such file"),
        ({"config.json": '{"kind": "search"}'}, "result.json: No such file"),
        ({"config.json": "{", "result.json": "{}"}, "not written by pyorder"),
        ({"config.json": "[]", "result.json": "{}"}, "not written by pyorder"),
        ({"config.json": "{}", "result.json": "{}"}, "not written by pyorder"),
    ],
)
def test_what_is_no_run_folder_is_refused(tmp_path, files, reason):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"^run_dir: .* is no run folder: .*{reason}"):
        load_run(tmp_path)


def test_a_search_on_shuffled_columns_is_told_in_the_datas_own_steps(square5):
    steps = np.array([3, 0, 4, 2, 1])
    shuffled = pyorder.discover(
        square5.train.reorder(steps), validation=square5.validation.reorder(steps), strategy=FEW, **CHEAP
    )
    found = shuffled.renamed(steps)
    assert found.order.tolist() == [int(steps[step]) for step in shuffled.order]
    assert shuffled.settings["data"]["order"] == "[3, 0, 4, 2, 1]"
    assert found.settings["data"] == square5.train.metadata  # of the data that the order is told in
    assert shuffled.settings["architecture"]["width"] == 32
    for before, after in zip(shuffled.history, found.history, strict=True):
        np.testing.assert_array_equal(before.profile.loss, after.profile.loss)
        for candidate in range(len(before.profile.orders)):
            for slot in range(5):
                step = before.profile.orders[candidate, slot]
                assert after.profile.orders[candidate, slot] == steps[step]
                told = after.profile.step_loss[candidate, steps[step]]
                assert told == before.profile.step_loss[candidate, step]


def test_the_revision_of_the_working_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runs.environment(None)["revision"] is None
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert runs.environment(None)["revision"] == head
    (tmp_path / "file").write_text("one")
    for words in (["add", "file"], ["commit", "-q", "-m", "second"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "file").write_text("two")
    assert runs.environment(None)["revision"].endswith("-dirty")
    monkeypatch.setenv("PATH", "")
    assert runs.environment(None)["revision"] is None
