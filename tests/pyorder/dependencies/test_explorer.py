"""Any-order profiling: which rows are used for what, and whether the losses are what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.dependencies import explorer as exploration
from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.statistics import measure
from pyorder.models.learner import AnyOrderLearner
from pyorder.training.orders import Succession
from pyorder.training.presets import EXPLORER


@pytest.fixture
def explorer():
    return make()


def make(seed=0, rows=600, evidence_rows=64, length=4):
    data = pyorder.make_task("square", length=length).generate(rows, seed=3)
    return explore(data, evidence_rows, seed)


def explore(data, evidence_rows, seed=0, device="cpu"):
    return Explorer(
        Tokens.of(data, "train", torch.device(device)),
        learner=AnyOrderLearner(EXPLORER.architecture),
        recipe=replace(EXPLORER.recipe, precision="float32"),
        evidence_rows=evidence_rows,
        seed=seed,
    )


def orders(count, length=4, seed=0):
    return pyorder.permutations.sample(length, count, seed=seed)


def test_docstring_examples(doctests):
    doctests(exploration)


def test_evidence_rows_are_not_trained_on(explorer):
    tokens = explorer.tokens
    held, kept = (
        np.concatenate([tokens.inputs[rows], tokens.targets[rows]], axis=1)
        for rows in (explorer._held, explorer._kept)
    )
    assert len(held) == 64
    assert len(held) + len(kept) == 600
    both = np.concatenate([held, kept])
    data = pyorder.make_task("square", length=4).generate(600, seed=3)
    whole = np.concatenate(data.encode(data.vocabulary), axis=1)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, whole.tolist()))


@pytest.mark.parametrize("distinct", [50, 400])
def test_rows_with_equal_inputs_are_on_one_side_and_count_as_one(distinct):
    """Noise that is repeated would look learned, and repeated evidence surer than it is."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(9, size=(distinct, 6)).repeat(4000 // distinct, axis=0)
    explorer = explore(pyorder.Dataset(inputs, rng.integers(9, size=(4000, 3))), evidence_rows=640)
    of = [set(map(tuple, explorer.tokens.inputs[rows].tolist())) for rows in (explorer._held, explorer._kept)]
    assert not of[0] & of[1]
    assert explorer.by_input
    assert 640 <= explorer.evidence_rows < 640 + 4000 // distinct
    clusters = explorer.antithetic(640).rows
    assert len(set(clusters.tolist())) == len(of[0])


def test_few_inputs_are_cut_by_row_so_that_errors_can_be_told():
    """Ten inputs: those of two or three would be one equation each, and every error infinite."""
    rng = np.random.default_rng(0)
    data = pyorder.Dataset(rng.integers(10, size=(1000, 1)), rng.integers(3, size=(1000, 5)))
    explorer = explore(data, evidence_rows=200)
    assert not explorer.by_input
    look = measure(explorer.antithetic(1000), seed=0)
    assert np.isfinite(look.standard_error).all()


def test_too_few_groups_are_refused_and_counted():
    rng = np.random.default_rng(0)
    groups = np.arange(1000) % 20
    data = pyorder.Dataset(rng.integers(9, size=(1000, 3)), rng.integers(3, size=(1000, 5)), groups=groups)
    with pytest.raises(
        ValueError, match="among 5 steps takes 6 groups as evidence at least; a fifth of the rows has 4"
    ):
        explore(data, evidence_rows=200)


@pytest.mark.parametrize("inputs", [np.zeros((500, 2), int), np.zeros((500, 0), int)])
def test_inputs_that_tell_no_rows_apart_are_split_by_row(inputs):
    targets = np.random.default_rng(0).integers(5, size=(500, 3))
    explorer = explore(pyorder.Dataset(inputs, targets), evidence_rows=64)
    assert explorer.evidence_rows == 64
    assert not explorer.by_input
    assert not set(explorer._held.tolist()) & set(explorer._kept.tolist())
    explorer.train(orders(256, length=3))
    assert np.isfinite(explorer.antithetic(64).losses).all()


def test_of_a_step_that_hardly_varies_there_is_nothing_to_learn():
    """A constant, and a truth value that is true in one row of two thousand."""
    rng = np.random.default_rng(0)
    targets = rng.integers(5, size=(4000, 3))
    targets[:, 1], targets[:, 2] = 3, np.arange(4000) % 2000 == 7
    explorer = explore(pyorder.Dataset(rng.integers(5, size=(4000, 2)), targets), evidence_rows=64)
    lost = explorer.antithetic(64).losses
    assert not lost[:, :, 1:].any()
    assert (lost[:, :, 0] > 1).all()  # ln 5 is 1.6


def test_few_rows_give_a_fifth_of_them_as_evidence():
    assert make(rows=50, evidence_rows=64).evidence_rows == 10


def test_losses_are_cross_entropies_by_canonical_step(explorer):
    explorer.train(orders(128))
    rows, drawn = np.array([5, 5, 9]), orders(3, seed=8)
    found = explorer.losses(rows, drawn)
    inputs, targets = (part[explorer._held].long() for part in (explorer.tokens.inputs, explorer.tokens.targets))
    module = explorer.trainer.module
    for n, (row, order) in enumerate(zip(rows, drawn, strict=True)):
        with torch.no_grad():
            logits = module(inputs[row][None], targets[row][None], torch.from_numpy(order)[None])[0]
        wanted = F.cross_entropy(logits, targets[row], reduction="none").numpy()
        assert found[n] == pytest.approx(wanted, abs=1e-5)


def test_antithetic_pairs_are_an_order_and_its_reverse(explorer):
    evidence = explorer.antithetic(130)
    drawn, losses = evidence.orders, evidence.losses
    rows = np.tile(np.arange(64), 2)
    assert drawn.shape == (128, 4)  # two pairs for each of the 64 rows
    assert losses.shape == (128, 2, 4)
    assert losses[:, 0] == pytest.approx(explorer.losses(rows, drawn), abs=1e-6)
    assert losses[:, 1] == pytest.approx(explorer.losses(rows, drawn[:, ::-1].copy()), abs=1e-6)


def test_inputs_are_hidden_in_half_of_the_rows_at_rates_up_to_a_half(explorer):
    batch = replace(
        explorer.tokens.batch(torch.zeros(4000, dtype=torch.long), torch.arange(4).expand(4000, -1)),
        inputs=torch.zeros((4000, 50), dtype=torch.long),
    )
    share = (explorer.trainer.augment(batch).inputs == explorer.trainer.module.hidden).float().mean(1)
    assert (share == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert share.mean() == pytest.approx(0.125, abs=0.01)
    assert share.max() < 0.85


def test_training_lowers_the_loss_and_a_seed_fixes_it():
    before = torch.random.get_rng_state()
    one, again, other = make(seed=1), make(seed=1), make(seed=2)
    first = one.antithetic(64).losses.mean()
    again.antithetic(64), other.antithetic(64)
    for explorer in (one, again, other):
        explorer.train(orders(128 * 30))
    losses = [explorer.antithetic(64).losses for explorer in (one, again, other)]
    assert losses[0].mean() < first - 0.3
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_vocabulary_that_is_declared_too_wide_changes_nothing():
    data = pyorder.make_task("square", length=4).generate(600, seed=3)
    values = np.arange(-9, 10)
    narrow, wide = (
        pyorder.Dataset(data.inputs.astype(int), data.targets.astype(int), vocabulary=vocabulary)
        for vocabulary in (values, np.arange(-500, 700))
    )
    losses = []
    for one in (narrow, wide):
        explorer = explore(one, evidence_rows=8)
        explorer.train(orders(256))
        losses.append(explorer.antithetic(8).losses)
    assert np.array_equal(*losses)


def test_a_step_that_never_varies_counts_as_known():
    data = pyorder.Dataset(np.arange(200).reshape(100, 2), np.ones((100, 3), int))
    assert explore(data, evidence_rows=8).base.tolist() == [exploration.LEAST_ENTROPY] * 3


def test_losses_do_not_depend_on_how_many_rows_are_scored_at_once(explorer, monkeypatch):
    rows, shown = np.arange(64), orders(64)
    whole = explorer.losses(rows, shown)
    monkeypatch.setattr(exploration, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(explorer.losses(rows, shown), whole, rtol=1e-5, atol=1e-6)


def test_training_losses_are_those_of_training_rows(explorer, monkeypatch):
    seen = []
    monkeypatch.setattr(explorer, "_losses", lambda rows, shown: seen.append((rows, shown)))
    explorer.training_losses(orders(100))
    explorer.training_losses(orders(1000))
    (some, shown), (every, _) = seen
    assert len(set(some.tolist())) == len(shown) == 100
    assert set(some.tolist()) <= set(explorer._kept.tolist())
    assert sorted(every.tolist()) == sorted(explorer._kept.tolist())


def test_training_losses_come_with_the_rows_groups(monkeypatch):
    data = pyorder.make_task("square", length=4).generate(400, seed=3)
    explorer = explore(pyorder.Dataset(data.inputs, data.targets, groups=np.arange(400) // 4), 80)
    seen = []
    monkeypatch.setattr(explorer, "_losses", lambda rows, shown: seen.append(rows))
    _, groups = explorer.training_losses(orders(50))
    assert groups.tolist() == (seen[0].numpy() // 4).tolist()
    # Of one group nobody could tell an error: then rows are counted.
    explorer.tokens = replace(explorer.tokens, groups=np.full(400, 7))
    assert explorer.training_losses(orders(50))[1] is None


@pytest.mark.gpu
def test_a_captured_exploration_hides_the_same_inputs_and_learns_the_same(monkeypatch):
    data = pyorder.make_task("square", length=4).generate(2000, seed=3)
    curves = []
    for captured in (True, False):
        monkeypatch.setattr(AnyOrderLearner, "capturable", captured)
        trainer = explore(data, 64, device="cuda").trainer
        curves.append(trainer.train(Succession(torch.from_numpy(orders(128 * 30)).cuda()), 30))
        assert (trainer._graph is not None) == captured
    torch.testing.assert_close(*curves, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
def test_a_captured_exploration_goes_back_and_changes_what_it_is_trained_with():
    data = pyorder.make_task("square", length=4).generate(2000, seed=3)
    explorer, sorts = explore(data, 64, device="cuda"), orders(64)
    explorer.train(orders(128 * 20))
    state, before = explorer.state(), explorer.losses(np.arange(64), sorts)
    explorer.train(orders(128 * 20, seed=1))
    after = explorer.losses(np.arange(64), sorts)
    assert after.mean() < before.mean() - 0.01
    explorer.restore(state)
    np.testing.assert_allclose(explorer.losses(np.arange(64), sorts), before, atol=1e-5)
    assert explorer.regularise()
    explorer.train(orders(128 * 20, seed=1))
    assert explorer.trainer._graph is not None
    dropped = explorer.losses(np.arange(64), sorts)
    assert np.isfinite(dropped).all()
    assert before.mean() > dropped.mean()
    assert abs(dropped.mean() - after.mean()) > 1e-4  # dropout is in the step that was recorded anew


@pytest.mark.gpu
def test_a_round_waits_for_nothing_until_its_losses_are_read(waiting_is_an_error, take_steps):
    data = pyorder.make_task("square", length=4).generate(2000, seed=3)
    trainer = explore(data, 64, device="cuda").trainer
    source = Succession(torch.from_numpy(orders(128 * 30)).cuda())
    trainer.train(source, 5)
    trainer.module.train()
    torch.cuda.synchronize()
    with waiting_is_an_error():
        places = trainer._places(20)
        take_steps(trainer, trainer._rows(places), source.columns(places))


def test_looking_up_learns_a_list_that_is_shuffled_in_every_row():
    """Step 1 stands beside step 0 in one of three pairs; without looking up nothing is learned in that time."""
    rng = np.random.default_rng(0)
    labels = rng.random((20_000, 20)).argsort(1)[:, :6]
    pairs = labels.reshape(-1, 3, 2)
    asked = pairs[np.arange(len(pairs)), rng.integers(3, size=len(pairs))]
    data = pyorder.Dataset(labels, asked)
    losses = {}
    for looks_up in (False, True):
        explorer = explore(data, 256)
        assert explorer.look_up() if looks_up else True
        explorer.train(np.tile([0, 1], (80 * explorer.recipe.batch_size, 1)))
        losses[looks_up] = explorer.losses(np.arange(256), np.tile([0, 1], (256, 1))).mean(0)[1]
    assert losses[False] > 1.2  # ln 6 is 1.8
    assert losses[True] < 0.2
    assert not explorer.look_up()  # it does already


def test_without_inputs_or_with_a_module_of_the_callers_nothing_is_looked_up():
    assert not explore(pyorder.Dataset(np.empty((200, 0), int), np.arange(400).reshape(200, 2) % 9), 16).look_up()


def test_a_state_from_before_looking_up_can_be_gone_back_to(explorer):
    explorer.train(orders(10 * explorer.recipe.batch_size))
    state = explorer.state()
    before = explorer.losses(np.arange(64), orders(64))
    explorer.look_up()
    explorer.train(orders(10 * explorer.recipe.batch_size))
    assert (explorer.losses(np.arange(64), orders(64)) != before).any()
    explorer.restore(state)
    np.testing.assert_allclose(explorer.losses(np.arange(64), orders(64)), before, rtol=1e-5)
    explorer.train(orders(explorer.recipe.batch_size))


def test_inputs_that_a_step_repeats_can_be_hidden_from_the_evidence():
    rng = np.random.default_rng(0)
    x = rng.integers(9, size=(4000, 3))
    data = pyorder.Dataset(x, np.stack([x[:, 1], rng.integers(9, size=4000)], axis=1))
    explorer = explore(data, 256)
    repeated, copies = explorer.repeated()
    assert repeated.tolist() == [False, True, False]
    assert copies.tolist() == [True, False]
    explorer.train(orders(60 * explorer.recipe.batch_size, length=2))
    hidden = [explorer.antithetic(256, which).losses.mean((0, 1)) for which in (None, repeated)]
    assert hidden[0][0] < 0.3
    assert hidden[1][0] > 1.5  # of ln 9 = 2.2
    assert hidden[1][1] == pytest.approx(hidden[0][1], abs=0.3)  # noise all the same
    explorer.hide(repeated)
    batch = explorer.trainer.augment(explorer.tokens.batch(torch.arange(99), torch.arange(2).expand(99, 2)))
    assert (batch.inputs[:, 1] == explorer.tokens.vocabulary_size).all()
    assert (batch.inputs[:, 0] != explorer.tokens.vocabulary_size).any()
