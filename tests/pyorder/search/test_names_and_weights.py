"""What a search calls its steps, and how it weighs them, through the secret shuffle and the run folder."""

import json

import numpy as np
import pytest

import pyorder
from pyorder.search import discover_shuffled
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=32, feed_forward=64, steps=30, warmup=5)
NAMES = ("first", "second", "third", "fourth", "fifth")


def named(part, names=NAMES):
    return pyorder.Dataset(part.inputs, part.targets, names=names, vocabulary=part.vocabulary)


def constant(rows):
    """Every step always has a value of its own, which is soon learned where it counts."""
    return pyorder.Dataset(np.arange(rows)[:, None] % 7, np.tile(np.arange(5), (rows, 1)), vocabulary=range(7))


def search(splits, names=NAMES, **arguments):
    train, validation = named(splits.train, names), named(splits.validation, names)
    arguments = {"strategy": "random", "model": TINY, "seed": 1} | arguments
    return discover_shuffled(train, validation=validation, **arguments)


def test_names_follow_their_steps(square5, tmp_path):
    strategy = pyorder.search.make_strategy("random", 5, candidates=8)
    found = search(square5, strategy=strategy)
    assert found.step_names == NAMES
    assert found.names == tuple(NAMES[step] for step in found.order)
    assert found.history[0].profile.step_names == NAMES
    told = found.summary()
    assert told["names"] == list(found.names)
    assert [NAMES.index(name) for name in told["stages"][0]["best_names"]] == told["stages"][0]["best_order"]
    found.save(tmp_path / "run")
    assert pyorder.Discovery.load(tmp_path / "run") == found


def test_names_that_are_numbers_of_other_steps_survive_the_shuffle(square5):
    strategy = pyorder.search.make_strategy("random", 5, candidates=4)
    for seed in range(3):
        found = search(square5, names=list("43210"), strategy=strategy, steps=1, seed=seed)
        assert found.step_names == tuple("43210")


def test_without_names_steps_are_told_by_their_numbers(square5, tmp_path):
    strategy = pyorder.search.make_strategy("random", 5, candidates=4)
    found = search(square5, names=None, strategy=strategy, steps=1)
    assert found.step_names == ()
    assert found.names == tuple(map(str, found.order))
    assert "best_names" not in found.summary()["stages"][0]
    found.save(folder := tmp_path / "run")
    assert pyorder.Discovery.load(folder) == found
    told = json.loads((folder / "result.json").read_text())
    del told["names"]  # as in folders from before there were names
    (folder / "result.json").write_text(json.dumps(told))
    assert pyorder.Discovery.load(folder) == found


def test_dependencies_are_told_by_name(square5, tmp_path):
    strategy = pyorder.search.make_strategy("precedence", 5, candidates=4, rounds=4)
    found = search(square5, strategy=strategy)
    assert found.dependencies
    for edge in found.summary()["exploration"]["dependencies"]:
        assert (edge["before_name"], edge["after_name"]) == (NAMES[edge["before"]], NAMES[edge["after"]])
    found.save(tmp_path / "run")
    assert pyorder.Discovery.load(tmp_path / "run") == found


def test_the_secret_shuffle_moves_weights_with_their_steps(square5):
    strategy = pyorder.search.make_strategy("random", 5, candidates=8)
    weights = (0.0, 0.0, 1.0, 0.0, 2.0)
    splits = pyorder.data.Splits(constant(500), constant(40), constant(40))
    found = search(splits, strategy=strategy, step_weights=weights, learning_rate=0.01)
    profile = found.history[0].profile
    np.testing.assert_allclose(profile.loss, profile.step_loss @ weights / 3, rtol=1e-5)
    assert (
        profile.step_loss[:, [2, 4]].max() < profile.step_loss[:, [0, 1, 3]].min() - 0.1
    )  # those are not trained
    assert profile.settings["step_weights"] == found.settings["step_weights"] == list(weights)
    with pytest.raises(ValueError, match="^step_weights: 3 given, the data has 5 steps$"):
        search(square5, strategy=strategy, step_weights=(1, 1, 1))


def test_exploration_takes_no_weights():
    with pytest.raises(ValueError, match="^recipe: exploration weighs no steps"):
        pyorder.search.make_strategy("precedence", 5, recipe=TINY.but(step_weights=(1,) * 5).recipe)


def test_fit_trains_by_weight_and_measures_plainly():
    arguments = {
        "test": named(constant(40)),
        "model": TINY,
        "learning_rate": 0.01,
        "step_weights": (0, 0, 0, 0, 1),
    }
    told = pyorder.fit(named(constant(500)), [4, 3, 2, 1, 0], **arguments)
    assert told.row_loss == pytest.approx(told.step_loss.sum(), rel=1e-5)
    assert told.step_loss[4] < told.step_loss[:4].min() - 0.1
    assert told.loss_curve[-1] < told.step_loss[:4].min() - 0.1  # of what counts
    assert told.success_rate == 0.0
    assert told.summary()["names"] == list(told.names) == list(NAMES[::-1])
