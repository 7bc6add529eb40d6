"""Orders that train alone: what each learns is its own affair."""

import numpy as np
import pytest
import torch

import pyorder
from pyorder.profiling import Profiler, contest
from pyorder.profiling.contest import Contest
from pyorder.training import trainer
from pyorder.training.divergence import AGAIN
from pyorder.training.presets import PRESETS
from pyorder.training.trainer import Trainer

TINY = PRESETS["nano"].but(width=32, feed_forward=64, steps=24, warmup=5, batch_size=16, precision="float32")
ORDERS = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])


def test_docstring_examples(doctests):
    doctests(contest)


@pytest.fixture(scope="module")
def profiler(square5):
    return Profiler(square5.train, square5.validation, model=TINY, device="cpu")


def test_an_order_learns_the_same_whoever_else_is_there(profiler):
    """In every bit, also after others were dropped, and in one go."""
    several = Contest(profiler, ORDERS, seeds=[3, 5])
    several.go_on(8)
    several.keep(np.array([2, 0]))
    last = several.go_on(16)
    assert last.orders.tolist() == ORDERS[[2, 0]].tolist()
    assert several.steps_done == last.settings["steps"] == 24
    for place, order in enumerate((2, 0)):
        alone = Contest(profiler, ORDERS[[order]], seeds=[3, 5])
        once = alone.go_on(24)
        assert last.seed_loss[:, place].tolist() == once.seed_loss[:, 0].tolist()
        assert last.step_loss[place].tolist() == once.step_loss[0].tolist()


def test_its_loss_is_that_of_its_own_model_on_the_validation_rows(profiler, square5):
    """Against a plain forward pass."""
    one = Contest(profiler, ORDERS[[2]], seeds=[3])
    found = one.go_on(24)
    module = one._trainers[0][0].module
    with torch.no_grad():
        targets = torch.from_numpy(np.searchsorted(square5.train.vocabulary, square5.validation.targets[:]))
        inputs = torch.from_numpy(np.searchsorted(square5.train.vocabulary, square5.validation.inputs[:]))
        emitted = targets[:, ORDERS[2]]
        logits = module(inputs, emitted)
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), emitted.flatten(), reduction="none")
    assert found.loss[0] == pytest.approx(losses.mean().item(), rel=1e-5)
    by_slot = losses.view(emitted.shape).mean(0).numpy()
    np.testing.assert_allclose(found.step_loss[0][ORDERS[2]], by_slot, rtol=1e-4)


@pytest.fixture
def lost(monkeypatch):
    """Orders whose losses explode in the ninth step of a model, and the rates of all that were trained."""
    orders, rates, step = [], set(), Trainer._step

    def watched(one, rows, columns):
        rates.add(one.recipe.learning_rate)
        explodes = columns[0].tolist() in orders and one.steps_done > 8
        return step(one, rows, columns) * (1000 if explodes else 1)

    monkeypatch.setattr(Trainer, "_step", watched)
    monkeypatch.setattr(trainer, "STEPS_AT_ONCE", 1)  # so that a step knows its number
    return orders, rates


def test_an_order_whose_training_explodes_ranks_last_and_stays_there(profiler, lost):
    """Though its curve is level in the second part, and its weights are those of one that learns."""
    usual = Contest(profiler, ORDERS[1:], seeds=[3, 5]).go_on(24)
    lost[0].append(ORDERS[0].tolist())
    several = Contest(profiler, ORDERS, seeds=[3, 5])
    assert np.isfinite(several.go_on(8).loss).all()
    for steps in (10, 6):
        found = several.go_on(steps)
        assert found.loss[0] == np.inf
        assert found.ranking[-1] == 0
        assert found.standard_error[0] == 0  # which no other is compared by
    assert np.isinf(found.seed_loss[:, 0]).all()
    assert found.seed_loss[:, 1:].tolist() == usual.seed_loss.tolist()
    assert found.standard_error[1:].tolist() == usual.standard_error.tolist()
    several.keep(np.array([0, 1]))
    assert np.isinf(several.go_on(1).loss).tolist() == [True, False]


def test_a_contest_whose_orders_all_explode_says_so(profiler, lost):
    lost[0].extend(ORDERS.tolist())
    with pytest.raises(
        RuntimeError, match=r"with seed 3, 5, at the learning rate 0\.001; give a lower learning_r"
    ):
        Contest(profiler, ORDERS, seeds=[3, 5]).go_on(24)


def test_after_a_profile_that_diverged_it_trains_at_the_lower_rate(square5, lost):
    calmed = Profiler(square5.train, square5.validation, model=TINY, device="cpu")
    calmed.calmed.append(7)
    found = Contest(calmed, ORDERS, seeds=[3]).go_on(4)
    lower = AGAIN * TINY.recipe.learning_rate
    assert lost[1] == {found.settings["learning_rate"]} == {lower}
    preset = TINY.but(learning_rate=lower)
    usual = Profiler(square5.train, square5.validation, model=preset, device="cpu")
    assert found.loss.tolist() == Contest(usual, ORDERS, seeds=[3]).go_on(4).loss.tolist()


def test_what_it_costs(profiler):
    several = Contest(profiler, ORDERS, seeds=[3, 5])
    assert several.go_on(4).cost == several.cost(4) == pyorder.profiling.Cost(24, 6 * len(profiler.held))


def test_an_easy_order_wins():
    splits = pyorder.make_task("square", length=5).splits(train=20_000, validation=500, test=1, seed=0)
    profiler = Profiler(splits.train, splits.validation, model="nano", steps=250, device="cpu")
    found = Contest(profiler, ORDERS, seeds=[0]).go_on(250)
    assert found.best.tolist() == [0, 1, 2, 3, 4]
    assert found.loss[0] + 4 * found.standard_error.max() < np.delete(found.loss, 0).min()
