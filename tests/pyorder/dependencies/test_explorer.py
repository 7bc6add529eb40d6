"""Any-order profiling: which rows are used for what, and whether the losses are what they say."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch.nn import functional as F

import pyorder
from pyorder.dependencies import explorer as exploration
from pyorder.dependencies.explorer import Explorer, marginal_entropy


@pytest.fixture
def explorer():
    return make()


def make(seed=0, rows=600, evidence_rows=64, length=4):
    data = pyorder.make_task("square", length=length).generate(rows, seed=3)
    inputs, targets = data.encode(data.vocabulary)
    return Explorer(
        torch.from_numpy(inputs),
        torch.from_numpy(targets),
        evidence_rows=evidence_rows,
        precision=torch.float32,
        seed=seed,
    )


def orders(count, length=4, seed=0):
    return pyorder.permutations.sample(length, count, seed=seed)


def test_docstring_examples(doctests):
    doctests(exploration)


def test_evidence_rows_are_not_trained_on(explorer):
    held, kept = (np.concatenate([x, y], axis=1) for x, y in (explorer._held, explorer._train))
    assert len(held) == 64
    assert len(held) + len(kept) == 600
    both = np.concatenate([held, kept])
    data = pyorder.make_task("square", length=4).generate(600, seed=3)
    whole = np.concatenate(data.encode(data.vocabulary), axis=1)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, whole.tolist()))


def test_every_training_row_is_shown_before_any_is_shown_again(explorer):
    rows = np.concatenate([explorer._next_rows(128) for _ in range(9)])
    assert len(explorer._train[0]) == 536
    for start in (0, 536):
        assert len(set(rows[start : start + 536].tolist())) == min(536, len(rows) - start)


def test_few_rows_give_a_fifth_of_them_as_evidence():
    assert make(rows=50, evidence_rows=64).evidence_rows == 10


def test_losses_are_cross_entropies_by_canonical_step(explorer):
    explorer.train(orders(128))
    rows, drawn = np.array([5, 5, 9]), orders(3, seed=8)
    found = explorer.losses(rows, drawn)
    inputs, targets = explorer._held
    for n, (row, order) in enumerate(zip(rows, drawn, strict=True)):
        with torch.no_grad():
            logits = explorer.module(inputs[row][None], targets[row][None], torch.from_numpy(order)[None])[0]
        wanted = F.cross_entropy(logits, targets[row], reduction="none").numpy()
        assert found[n] == pytest.approx(wanted, abs=1e-5)


def test_antithetic_pairs_are_an_order_and_its_reverse(explorer):
    drawn, rows, losses = explorer.antithetic(130)
    assert drawn.shape == (128, 4)  # two pairs for each of the 64 rows
    assert losses.shape == (128, 2, 4)
    assert np.bincount(rows).tolist() == [2] * 64
    assert losses[:, 0] == pytest.approx(explorer.losses(rows, drawn), abs=1e-6)
    assert losses[:, 1] == pytest.approx(explorer.losses(rows, drawn[:, ::-1].copy()), abs=1e-6)


def test_inputs_are_hidden_in_half_of_the_rows_at_rates_up_to_a_half(explorer):
    inputs = torch.zeros((4000, 50), dtype=torch.long)
    share = (explorer._hide(inputs) == explorer.module.hidden).float().mean(1)
    assert (share == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert share.mean() == pytest.approx(0.125, abs=0.01)
    assert share.max() < 0.85


def test_training_lowers_the_loss_and_a_seed_fixes_it():
    before = torch.random.get_rng_state()
    one, again, other = make(seed=1), make(seed=1), make(seed=2)
    first = one.antithetic(64)[2].mean()
    again.antithetic(64), other.antithetic(64)
    for explorer in (one, again, other):
        explorer.train(orders(128 * 30))
    losses = [explorer.antithetic(64)[2] for explorer in (one, again, other)]
    assert losses[0].mean() < first - 0.3
    assert np.array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_entropy_is_that_of_scipy():
    tokens = np.random.default_rng(0).integers(3, size=(500, 4)) * np.array([1, 2, 0, 1])
    wanted = [entropy(np.bincount(column)) for column in tokens.T]
    assert marginal_entropy(torch.from_numpy(tokens), 5) == pytest.approx(wanted, abs=1e-9)


def test_a_vocabulary_that_is_declared_too_wide_changes_nothing():
    data = pyorder.make_task("square", length=4).generate(600, seed=3)
    inputs, targets = map(torch.from_numpy, data.encode(data.vocabulary))
    wide = [7 * part.long() + 3 for part in (inputs, targets)]
    losses = []
    for pair in ((inputs, targets), wide):
        explorer = Explorer(*pair, evidence_rows=8, precision=torch.float32, seed=0)
        explorer.train(orders(256))
        losses.append(explorer.antithetic(8)[2])
    assert np.array_equal(*losses)


def test_a_step_that_never_varies_counts_as_known():
    data = pyorder.Dataset(np.arange(200).reshape(100, 2), np.ones((100, 3), int))
    inputs, targets = data.encode(data.vocabulary)
    explorer = Explorer(
        torch.from_numpy(inputs), torch.from_numpy(targets), evidence_rows=8, precision=torch.float32, seed=0
    )
    assert explorer.base.tolist() == [exploration.LEAST_ENTROPY] * 3
