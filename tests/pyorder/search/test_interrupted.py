"""Searches that end before their time: what they had found until then is kept and told."""

import importlib

import numpy as np
import pytest
import torch

import pyorder
from pyorder.dependencies.explorer import Explorer
from pyorder.runs.folder import load_run
from pyorder.search import Precedence, Random, discover_shuffled
from pyorder.search.discover import INTERRUPTED
from pyorder.search.strategies import soft
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=32, heads=2, feed_forward=64)
CHEAP = {"model": TINY, "steps": 4, "batch_size": 32, "device": "cpu", "precision": "float32", "seed": 3}
FEW = Random(candidates=12, pool=6, finalists=2)
EXPLORING = Precedence(samples=64, candidates=6, rounds=3)


def interrupting(stage, error):
    """A progress report that fails when a stage begins."""

    def progress(told):
        if told.stage.startswith(stage):
            raise error

    return progress


def search(splits, **arguments):
    return discover_shuffled(splits.train, validation=splits.validation, **CHEAP | arguments)


def test_a_shuffled_search_saves_the_order_of_the_datas_own_columns(square5, tmp_path):
    found = search(square5, strategy=FEW, run_dir=tmp_path / "run")
    kept = load_run(tmp_path / "run")
    assert kept.result["order"] == found.order.tolist()
    np.testing.assert_array_equal(kept.history()[0].orders, found.history[0].profile.orders)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of luck")])
def test_the_best_order_so_far_is_saved_and_told(square5, tmp_path, error):
    whole = search(square5, strategy=FEW)
    second = whole.history[1].name
    progress = interrupting(second, error)
    with pytest.raises(type(error)) as failed:
        search(square5, strategy=FEW, progress=progress, run_dir=tmp_path / "run")
    kept = load_run(tmp_path / "run").result
    assert kept["order"] == whole.history[0].profile.best.tolist()
    assert not kept["converged"]
    assert kept["remarks"] == [INTERRUPTED, *whole.history[0].profile.remarks]
    assert len(kept["remarks"]) == 2
    told = ",".join(map(str, kept["order"]))
    assert failed.value.__notes__ == [f"the best order so far: {told}", f"saved in {tmp_path / 'run'}"]


@pytest.mark.parametrize(("stage", "rounds"), [("round 2", 1), ("final candidates", 2)])
def test_an_exploration_is_kept(square5, tmp_path, stage, rounds):
    progress = interrupting(stage, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as failed:
        search(square5, strategy=EXPLORING, progress=progress, run_dir=tmp_path / "run")
    kept = load_run(tmp_path / "run")
    assert kept.history() == ()
    assert len(kept.result["exploration"]["rounds"]) == rounds
    edges = [(edge["before"], edge["after"]) for edge in kept.result["exploration"]["dependencies"]]
    assert pyorder.posets.Poset(5, edges).is_sort([kept.result["order"]])[0]
    assert len(failed.value.__notes__) == 2


@pytest.mark.parametrize("strategy", [FEW, EXPLORING])
def test_where_nothing_was_found_nothing_is_saved(square5, tmp_path, strategy):
    with pytest.raises(KeyboardInterrupt) as failed:
        search(
            square5, strategy=strategy, progress=interrupting("", KeyboardInterrupt()), run_dir=tmp_path / "run"
        )
    assert not hasattr(failed.value, "__notes__")
    assert not (tmp_path / "run").exists()


def test_an_error_while_saving_does_not_hide_the_first_one(square5, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyorder.search.discovery.write_history", full)
    second = search(square5, strategy=FEW).history[1].name
    with pytest.raises(RuntimeError, match="out of luck") as failed:
        progress = interrupting(second, RuntimeError("out of luck"))
        search(square5, strategy=FEW, progress=progress, run_dir=tmp_path / "run")
    assert len(failed.value.__notes__) == 1


def test_an_exploration_that_diverges_says_so(square5, monkeypatch):
    losses = Explorer.losses

    def diverge(explorer, rows, orders, hidden=None):
        return losses(explorer, rows, orders, hidden) * (np.nan if explorer.steps_done > 100 else 1)

    monkeypatch.setattr(Explorer, "losses", diverge)
    with pytest.raises(RuntimeError, match=r"^the exploration's training diverged") as failed:
        search(square5, strategy=EXPLORING)
    assert failed.value.__notes__[0].startswith("the best order so far: ")


def test_a_relaxation_that_diverges_says_so(square5, monkeypatch):
    relax = soft.relax

    def diverge(*arguments):
        scores, looks = relax(*arguments)
        return scores * np.nan, looks

    monkeypatch.setattr(soft, "relax", diverge)
    with pytest.raises(RuntimeError, match=r"^relaxation 1: training diverged"):
        search(square5, strategy=pyorder.search.Soft(restarts=1, steps=10))


@pytest.mark.parametrize(("samples", "rows"), [(5, 400), (64, 29), (64, 1)])
def test_too_few_rows_to_tell_anything_are_refused(square5, samples, rows):
    few = square5.train.select(np.arange(rows))
    with pytest.raises(
        ValueError, match=rf"at least 30 rows and 6 samples; {rows} rows and {samples} samples given$"
    ):
        pyorder.discover(few, validation=square5.validation, strategy=Precedence(samples=samples), **CHEAP)


@pytest.mark.parametrize(("option", "value"), [("steps", 4.0), ("batch_size", 32.0)])
def test_a_number_that_is_not_whole_is_refused_before_anything_is_done(square5, option, value):
    told = []
    with pytest.raises(TypeError, match=f"^{option}: expected an integer, got {value}"):
        search(square5, strategy=EXPLORING, progress=told.append, **{option: value})
    assert not told


def test_the_seed_that_diverged_is_named(square5, monkeypatch):
    module = importlib.import_module("pyorder.profiling.profile")  # a function, to those who ask the room
    score = module.score
    scored = []

    def diverge(*arguments):
        scored.append(score(*arguments))
        factor = np.nan if len(scored) == 2 else 1.0
        return type(scored[-1])(*(part * factor for part in scored[-1]))

    monkeypatch.setattr(module, "score", diverge)
    with pytest.raises(RuntimeError, match="training diverged with seed 8;"):
        pyorder.profile(square5.train, [range(5)], validation=square5.validation, seeds=3, **CHEAP | {"seed": 7})


def test_a_fit_says_that_it_diverged(square5):
    fitted = pyorder.fit(square5.train, range(5), test=square5.test, **CHEAP | {"learning_rate": 1e30})
    assert fitted.diverged
    assert fitted.summary()["diverged"] is True
    calm = pyorder.fit(square5.train, range(5), test=square5.test, **CHEAP)
    assert not calm.diverged


def test_the_success_rate_is_told_when_it_cannot_be_saved(square5, tmp_path):
    class Odd(torch.nn.Module):
        """A module whose state no safetensors file takes."""

        def __init__(self, *sizes):
            super().__init__()
            self.inner = TINY(*sizes)

        def get_extra_state(self):
            return {"told": 1}

        def forward(self, inputs, emitted, order=None):
            return self.inner(inputs, emitted)

    with pytest.raises(AttributeError) as failed:
        pyorder.fit(square5.train, range(5), test=square5.test, run_dir=tmp_path / "fit", **CHEAP | {"model": Odd})
    assert failed.value.__notes__[0].startswith("the success rate was ")
