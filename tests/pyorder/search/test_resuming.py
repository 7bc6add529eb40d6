"""Searches and final trainings that are interrupted anywhere end as if nothing had happened."""

import dataclasses
import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import pyorder
from pyorder.profiling.profile import Profiler
from pyorder.runs.folder import write_history
from pyorder.runs.journal import Journal
from pyorder.search import Annealing, Discovery, Precedence, Random, _rounds, discover_shuffled, strategies
from pyorder.search.laboratory import Laboratory
from pyorder.training import Fitted, fit
from pyorder.training.presets import EXPLORER, PRESETS
from pyorder.training.trainer import Trainer

TINY = PRESETS["nano"].but(width=32, heads=2, feed_forward=64)
CHEAP = {"model": TINY, "steps": 4, "batch_size": 32, "device": "cpu", "precision": "float32", "seed": 3}
SMALL = dataclasses.replace(EXPLORER.architecture, width=32, heads=2, feed_forward=64)
ROUND = dataclasses.replace(EXPLORER.recipe, steps=20)
EXPLORING = Precedence(samples=64, candidates=6, rounds=6, racers=3, architecture=SMALL, recipe=ROUND)
STRATEGIES = {
    "precedence": EXPLORING,
    "random": Random(candidates=12, pool=6, finalists=2),
    "annealing": Annealing(rounds=3, chains=2),
}


class InterruptError(Exception):
    """What stands for a signal."""


def interrupting(after):
    """A progress report that fails at its n-th call."""
    calls = iter(range(after))

    def progress(told):
        if next(calls, None) is None:
            raise InterruptError

    return progress


def search(data, strategy, run_dir=None, progress=None, **arguments):
    return discover_shuffled(
        data.train,
        validation=data.validation,
        strategy=strategy,
        run_dir=run_dir,
        progress=progress,
        **CHEAP | arguments,
    )


def same(one: Discovery, other: Discovery):
    """All but the clock is equal, in every bit."""
    assert one.order.tolist() == other.order.tolist()
    assert (one.verdict, one.converged, one.cost, one.remarks) == (
        other.verdict, other.converged, other.cost, other.remarks
    )  # fmt: skip
    assert len(one.history) == len(other.history)
    for left, right in zip(one.history, other.history, strict=True):
        for name in ("orders", "loss", "seed_loss", "step_loss", "standard_error", "ranking", "training_loss"):
            np.testing.assert_array_equal(getattr(left.profile, name), getattr(right.profile, name))
    if one.exploration is not None:
        for name in ("benefit", "standard_error", "graph_loss", "entropy"):
            np.testing.assert_array_equal(getattr(one.exploration, name), getattr(other.exploration, name))
        assert one.exploration.dependencies == other.exploration.dependencies
        told = [[dataclasses.replace(done, seconds=0) for done in x.exploration.rounds] for x in (one, other)]
        assert told[0] == told[1]


def calls_of(run):
    """How often a run reports."""
    counted = []
    run(counted.append)
    return len(counted)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_that_is_interrupted_again_and_again_finds_the_same(square5, tmp_path, name):
    strategy = STRATEGIES[name]
    whole = search(square5, strategy)
    calls = calls_of(lambda progress: search(square5, strategy, progress=progress))
    rng = np.random.default_rng(5)
    for number in range(4):
        folder, again = tmp_path / str(number), 0
        while True:
            try:  # later attempts report less before they get where nobody was: they get further
                after = int(rng.integers(1, calls)) if again < 4 else 10 * calls
                found = search(square5, strategy, run_dir=folder, progress=interrupting(after))
                break
            except InterruptError:
                again += 1
        same(found, whole)
        same(Discovery.load(folder), whole)
        assert not (folder / "journal").exists()


def test_what_is_done_is_not_done_again(square5, tmp_path, monkeypatch):
    strategy = STRATEGIES["random"]
    second = search(square5, strategy).history[1].name

    def progress(told):
        if told.stage.startswith(second):
            raise InterruptError

    with pytest.raises(InterruptError) as told:
        search(square5, strategy, run_dir=tmp_path / "run", progress=progress)
    assert told.value.__notes__[-1].startswith("saved in ")
    profiled = []
    kept = Profiler.profile
    monkeypatch.setattr(
        Profiler, "profile", lambda self, orders, **named: profiled.append(1) or kept(self, orders, **named)
    )
    found = search(square5, strategy, run_dir=tmp_path / "run")
    assert len(profiled) == len(found.history) - 1
    profiled.clear()
    same(search(square5, strategy, run_dir=tmp_path / "run"), found)  # which has ended, and is read
    assert not profiled


def test_what_a_budget_in_seconds_allowed_is_not_asked_of_another_clock(square5, tmp_path, monkeypatch):
    """The first attempt has no time for another round; the second one has used none yet."""
    clock = [0.0]
    monkeypatch.setattr(Journal, "seconds", property(lambda self: clock[0]))
    budget = pyorder.search.Budget(seconds=50.0)

    def slow(told):
        if told.stage.startswith("round 2"):
            clock[0] = 40.0

    def interrupted(*arguments):
        raise InterruptError

    whole = search(square5, EXPLORING, progress=slow, budget=budget)
    assert len(whole.exploration.rounds) == 2
    clock[0] = 0.0
    with monkeypatch.context() as patched, pytest.raises(InterruptError):
        patched.setattr(strategies.precedence, "leader", interrupted)  # which follows the last run
        search(square5, EXPLORING, run_dir=tmp_path / "run", progress=slow, budget=budget)
    clock[0] = 0.0
    same(search(square5, EXPLORING, run_dir=tmp_path / "run", budget=budget), whole)


def test_a_profile_that_is_read_back_tells_that_training_had_diverged(square5, tmp_path):
    profile = pyorder.profile(square5.train, [[0, 1, 2, 3, 4]], validation=square5.validation, **CHEAP)
    profile = dataclasses.replace(
        profile, settings={**profile.settings, "diverged": {"seeds": [3], "trained_at": 1e-4}}
    )
    made = object.__new__(Laboratory)
    made.journal, made.profiler = Journal(tmp_path), SimpleNamespace(calmed=[])
    made.journal.record("profile", lambda path: write_history(path, [profile.record("a stage", 1.0)]))
    made.journal = Journal(tmp_path)
    assert made._recalled(profile.orders) == profile
    assert made.profiler.calmed == [3]


def test_an_exploration_goes_back_to_a_state_from_before_the_interruption(tmp_path):
    """Few rows of noise: the model goes back to its best round, with dropout."""
    rng = np.random.default_rng(7)
    data = pyorder.Dataset(rng.integers(9, size=(300, 5)), rng.integers(9, size=(300, 4)))
    held = data.select(range(40))
    strategy = dataclasses.replace(EXPLORING, rounds=40, recipe=EXPLORER.recipe)
    whole = discover_shuffled(data, validation=held, strategy=strategy, **CHEAP)
    rounds = len(whole.exploration.rounds)
    assert whole.exploration.memorised
    assert rounds > 4
    for stop in range(2, rounds + 1):

        def progress(told, stop=stop):
            if told.stage.startswith(f"round {stop}"):
                raise InterruptError

        folder = tmp_path / str(stop)
        with pytest.raises(InterruptError):
            discover_shuffled(data, validation=held, strategy=strategy, run_dir=folder, progress=progress, **CHEAP)
        found = discover_shuffled(data, validation=held, strategy=strategy, run_dir=folder, **CHEAP)
        same(found, whole)


def test_look_ups_go_on_with_the_inputs_hidden_that_were(tmp_path, monkeypatch):
    """The middle of a path from a shuffled list of edges, and its goal, which the input repeats."""
    monkeypatch.setattr(_rounds, "STUCK_ROUNDS", 1)
    monkeypatch.setattr(_rounds, "LOST", 0.2)  # of two middles
    rng = np.random.default_rng(0)
    labels = rng.random((8000, 12)).argsort(1)[:, :6]
    edges = labels[:, [0, 1, 1, 2, 3, 4, 4, 5]].reshape(-1, 4, 2)
    edges = np.take_along_axis(edges, rng.random((len(edges), 4)).argsort(1)[:, :, None], axis=1)
    data = pyorder.Dataset(np.concatenate([edges.reshape(-1, 8), labels[:, 2:3]], axis=1), labels[:, [2, 1]])
    strategy = Precedence(samples=128, candidates=2, rounds=3)
    stages = []

    def run(**options):
        return discover_shuffled(data, validation=data.select(range(40)), strategy=strategy, **CHEAP | options)

    whole = run(progress=lambda told: stages.append(told.stage.split(":")[0]))
    assert {"look-ups 1", "look-ups 2", "look-ups 3"} <= set(stages)

    def progress(told):
        if told.stage.startswith("look-ups 2"):
            raise InterruptError

    with pytest.raises(InterruptError):
        run(run_dir=tmp_path / "run", progress=progress)
    same(run(run_dir=tmp_path / "run"), whole)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 4}, "another seed, 3 and not 4"),
        ({"steps": 5}, "another recipe"),
        ({"strategy": "greedy"}, "another strategy, 'random' and not 'greedy'"),
        ({"data": "other"}, "another train"),
    ],
)
def test_a_folder_of_another_search_is_refused(square5, tmp_path, changed, told):
    strategy = STRATEGIES["random"]
    search(square5, strategy, run_dir=tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    data = square5
    if changed.pop("data", None):
        data = SimpleNamespace(train=square5.train.select(range(300)), validation=square5.validation)
    with pytest.raises(ValueError, match=f"run_dir: the run in .* was asked for with {told}"):
        search(data, changed.pop("strategy", strategy), run_dir=tmp_path / "run", **changed)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_profiling_run_goes_on_from_its_last_state(square5, tmp_path, monkeypatch, seeds):
    """Of two seeds, the one that has ended is not trained again either."""
    monkeypatch.setattr(importlib.import_module("pyorder.profiling.profile"), "SAVE_SECONDS", 0.0)
    strategy, numbers = pyorder.search.Random(candidates=12, pool=12), {"steps": 300, "seeds": seeds}
    whole = search(square5, strategy, **numbers)
    steps = []
    taking = Trainer._taking

    def counting(self, rows, columns, losses):
        steps.append(len(rows))
        return taking(self, rows, columns, losses)

    monkeypatch.setattr(Trainer, "_taking", counting)
    told = calls_of(lambda progress: search(square5, strategy, progress=progress, **numbers))
    assert sum(steps) == seeds * 300
    for after, kept in ((150, 128), (290, 256), (told - 2, seeds * 300)):
        folder = tmp_path / str(after)
        with pytest.raises(InterruptError):
            search(square5, strategy, run_dir=folder, progress=interrupting(after), **numbers)
        steps.clear()
        same(search(square5, strategy, run_dir=folder, **numbers), whole)
        assert sum(steps) == seeds * 300 - kept
        assert not (folder / "journal").exists()


def test_the_clock_goes_on_with_a_state(tmp_path):
    journal = Journal(tmp_path)
    journal.go_on_from(1000.0)
    journal.save_state("run", {"steps": 3})
    again = Journal(tmp_path)
    assert again.latest_state("run")["steps"] == 3
    assert 1000.0 <= again.seconds < 1100.0


def train(data, **arguments):
    numbers = {**CHEAP, "steps": 400, "validation": data.validation, "validate_every": 50, "keep_best": True}
    return fit(data.train, range(5), test=data.test, **numbers | arguments)


def test_a_final_training_goes_on_from_its_last_state(square5, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("pyorder.training.fit"), "SAVE_SECONDS", 0.0)
    whole = train(square5)
    for after in (60, 200, 390):
        folder = tmp_path / str(after)
        with pytest.raises(InterruptError):
            train(square5, run_dir=folder, progress=interrupting(after))
        seen = []
        found = train(square5, run_dir=folder, progress=seen.append)
        assert len(seen) == 400 - after // 128 * 128
        for name in ("loss_curve", "success", "row_losses", "validation_curve"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        for mine, theirs in zip(found.model.parameters(), whole.model.parameters(), strict=True):
            assert torch.equal(mine, theirs)
        read = train(square5, run_dir=folder, progress=lambda told: pytest.fail("it has ended"))
        assert isinstance(read, Fitted)
        np.testing.assert_array_equal(read.success, whole.success)


@pytest.mark.parametrize("call", ["discover", "fit"])
def test_what_goes_on_has_as_many_threads_as_at_first(call, square5, tmp_path, monkeypatch):
    before, seen = torch.get_num_threads(), []

    def run(progress):
        if call == "fit":
            arguments = {name: value for name, value in CHEAP.items() if name != "steps"}
            return fit(square5.train, range(5), test=square5.test, steps=200, run_dir=tmp_path / "run",
                       progress=progress, **arguments)  # fmt: skip
        return search(square5, STRATEGIES["random"], run_dir=tmp_path / "run", progress=progress)

    monkeypatch.setattr(importlib.import_module("pyorder.training.fit"), "SAVE_SECONDS", 0.0)
    with pytest.raises(InterruptError):
        run(interrupting(150 if call == "fit" else 12))
    torch.set_num_threads(before + 1)
    try:
        run(lambda told: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {before}
