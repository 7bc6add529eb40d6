"""Trainings that diverge: stopped, begun once more at a lower rate, and told."""

from importlib import import_module

import numpy as np
import pytest
import torch

import pyorder
from pyorder.dependencies.explorer import Explorer
from pyorder.profiling.profile import Profiler
from pyorder.training.trainer import Trainer

STEPS = 150


@pytest.fixture(scope="module")
def splits():
    return pyorder.make_task("square", length=4).splits(train=300, validation=20, test=20, seed=0)


@pytest.fixture
def steep(monkeypatch):
    """Losses that leave the finite numbers in the fifth step, above a rate; how many steps were taken at which."""
    taken, step, limit = {}, Trainer._step, [0.005]

    def watched(trainer, rows, columns):
        rate = trainer.recipe.learning_rate
        taken[rate] = taken.get(rate, 0) + 1
        loss = step(trainer, rows, columns)
        return loss * torch.nan if rate > limit[0] and taken[rate] >= 5 else loss

    monkeypatch.setattr(Trainer, "_step", watched)
    return taken, limit


def fit(splits, **named):
    named = {"steps": STEPS, "batch_size": 8, "device": "cpu", "model": "nano", "learning_rate": 0.02} | named
    return pyorder.fit(splits.train, range(4), test=splits.test, **named)


def test_a_fit_is_stopped_and_trained_at_a_lower_rate(splits, steep):
    taken, _ = steep
    told = []
    fitted = fit(splits, progress=told.append)
    assert taken[0.02] == 128  # of a part that is handed over at once, and no more
    assert taken[0.002] == STEPS
    assert not fitted.diverged
    assert (fitted.settings["diverged_at"], fitted.settings["learning_rate"]) == (0.02, 0.002)
    assert any("again at a lower rate" in report.stage for report in told)
    lower = fit(splits, learning_rate=0.002)
    assert fitted.loss_curve.tolist() == lower.loss_curve.tolist()
    assert fitted.success.tolist() == lower.success.tolist()


def test_a_fit_that_diverges_again_ends_and_says_so(splits, steep):
    taken, limit = steep
    limit[0] = 0.0
    fitted = fit(splits)
    assert taken == {0.02: 128, 0.002: 128}
    assert fitted.diverged
    assert np.isnan(fitted.loss_curve[128:]).all()


def test_a_fit_that_explodes_is_told_by_finite_losses(splits):
    fitted = fit(splits, learning_rate=100.0, steps=200)
    assert fitted.settings["diverged_at"] == 100.0


def test_a_fit_goes_on_at_the_lower_rate(splits, steep, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("pyorder.training.fit"), "SAVE_SECONDS", 0.0)
    whole = fit(splits)

    def stop(report):
        if "again" in report.stage and report.share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(splits, progress=stop, run_dir=tmp_path / "run")
    again = fit(splits, run_dir=tmp_path / "run")
    assert again.loss_curve.tolist() == whole.loss_curve.tolist()


def test_a_profile_is_repeated_at_a_lower_rate(splits, steep):
    named = {"steps": STEPS, "batch_size": 8, "device": "cpu", "model": "nano"}
    taken, _ = steep
    strategy = pyorder.search.Random(candidates=2)
    found = pyorder.discover(
        splits.train, validation=splits.validation, strategy=strategy, learning_rate=0.02, **named
    )
    assert taken == {0.02: 128, 0.002: STEPS}
    assert found.remarks == (
        "Training diverged in the run 'pool 1 of 1', which was repeated at a learning rate of 0.002.",
        *found.history[0].profile.remarks,
    )
    seeds = found.history[0].profile.settings["seeds"]
    assert found.history[0].profile.settings["diverged"] == {"seeds": seeds, "trained_at": 0.002}
    profiler = Profiler(splits.train, splits.validation, learning_rate=0.002, **named)
    assert profiler.profile(found.history[0].profile.orders, seeds=seeds).loss.tolist() == (
        found.history[0].profile.loss.tolist()
    )


def test_a_profile_that_diverges_again_names_both_rates(splits, steep):
    steep[1][0] = 0.0
    with pytest.raises(RuntimeError, match=r"with seed 3, at the learning rates 0\.02 and 0\.002"):
        pyorder.profile(
            splits.train, [range(4)], validation=splits.validation, steps=9, learning_rate=0.02, seed=3,
            device="cpu", model="nano",
        )  # fmt: skip


@pytest.mark.parametrize("again", [False, True])
def test_an_exploration_goes_on_from_its_best_state(again, splits, monkeypatch):
    antithetic, rates = Explorer.antithetic, []

    def lost(explorer, *arguments, **named):
        evidence = antithetic(explorer, *arguments, **named)
        rates.append(explorer.trainer.recipe.rate_at(1000))
        if len(rates) == 2 or (again and len(rates) > 2):
            evidence.losses[0] = np.nan
        return evidence

    monkeypatch.setattr(Explorer, "antithetic", lost)
    strategy = pyorder.search.Precedence(rounds=3, samples=64, candidates=2, racers=0)
    call = {"validation": splits.validation, "strategy": strategy, "steps": 5, "device": "cpu"}
    if again:
        with pytest.raises(RuntimeError, match=r"diverged at a learning rate of 0\.0003: .* lower one"):
            pyorder.discover(splits.train, **call)
    else:
        found = pyorder.discover(splits.train, **call)
        assert (
            "The exploration diverged at a learning rate of 0.003 and went on at a tenth of it." in found.remarks
        )
        assert len(found.exploration.rounds) == 2
    assert rates == pytest.approx([0.003, 0.003, 0.0003])


def test_an_exploration_whose_training_breaks_down_goes_back_and_on_at_half_the_rate(monkeypatch):
    """Without that a graph that was found is withdrawn, and what is learned anew need not be the same."""
    splits = pyorder.make_task("square", length=5).splits(train=8000, validation=500, test=10, seed=1000)
    train, restore, course = Explorer.train, Explorer.restore, []

    def broken(explorer, *arguments, **named):
        train(explorer, *arguments, **named)
        course.append(explorer.trainer.recipe.rate_at(1000))
        if len(course) == 2:
            with torch.no_grad():
                for parameter in explorer.trainer.module.parameters():
                    parameter.mul_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))

    def back(explorer, state):
        restore(explorer, state)
        assert all(map(torch.equal, explorer.trainer.module.state_dict().values(), state["module"].values()))
        course.append("back")

    monkeypatch.setattr(Explorer, "train", broken)
    monkeypatch.setattr(Explorer, "restore", back)
    strategy = pyorder.search.Precedence(candidates=2, racers=0)
    found = pyorder.discover(
        splits.train, validation=splits.validation, strategy=strategy, steps=5, device="cpu", seed=1000
    )
    first, second, *_ = found.exploration.rounds
    assert second.graph_loss > first.graph_loss + 0.5
    assert second.training_loss > first.training_loss + 0.5
    assert course[:4] == pytest.approx([0.003, 0.003, "back", 0.0015]), course
    assert found.exploration.settled
    task = pyorder.make_task("square", length=5)
    assert pyorder.satisfied_dependencies(found.order, task.dependencies) == 1.0
