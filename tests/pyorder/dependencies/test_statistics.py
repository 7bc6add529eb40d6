"""The statistics of precedence against what is known: simulated losses, NumPy's least squares, chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pyorder.dependencies import statistics as precedence
from pyorder.dependencies.statistics import Evidence, measure, predecessors, z_threshold


def draw(loss, length, samples, seed=0, rows=None):
    """Losses of random orders and their reverses; ``loss(before, step, rng)`` takes (samples, L) indicators."""
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(length), (samples, 1)), axis=1)
    losses = np.empty((samples, 2, length))
    for side, seen in enumerate((orders, orders[:, ::-1])):
        slots = np.argsort(seen, axis=1)
        for step in range(length):
            losses[:, side, step] = loss(slots < slots[:, step : step + 1], step, rng)
    return Evidence(losses, orders, np.arange(samples) if rows is None else rows)


def gather(drawn, step, share=0.1, entropy=1.0, error_rate=0.01, look=None):
    threshold = z_threshold(error_rate, drawn.length * (drawn.length - 1))
    look = look or measure(drawn, seed=0)
    return predecessors(step, look, drawn, share=share, threshold=threshold, floor=0.05 * entropy)


def named(supports):
    return {support.before for support in supports}


def test_docstring_examples(doctests):
    doctests(precedence)


def test_additive_benefits_are_found_within_their_errors():
    benefits = np.random.default_rng(1).uniform(-0.5, 1, size=(6, 6))
    np.fill_diagonal(benefits, 0)
    row_effect = np.random.default_rng(2).normal(size=(3000, 1)) * 5

    def loss(before, step, rng):
        return 3 + row_effect[:, 0] - before @ benefits[:, step] + rng.normal(size=len(before)) * 0.3

    z, off = [], ~np.eye(6, dtype=bool)
    for seed in range(20):
        look = measure(draw(loss, 6, 3000, seed=seed), seed=0)
        z.append((look.benefit - benefits)[off] / look.standard_error[off])
        assert look.standard_error[off].max() < 0.02  # the row effects of size 5 have cancelled
    assert np.abs(z).max() < 5
    assert 0.85 < np.std(z) < 1.1  # errors are widened a little by the gauge of chance


def test_coefficients_and_clustered_errors_equal_those_of_numpy():
    drawn = draw(lambda before, step, rng: before[:, 0] * rng.random(len(before)), 4, 60, rows=np.arange(60) // 3)
    losses, orders, rows = drawn.losses, drawn.orders, drawn.rows
    look = measure(drawn, seed=0)
    slots = np.argsort(orders, axis=1)
    step, others = 2, [0, 1, 3]
    design = np.where(slots[:, others] < slots[:, [step]], 1.0, -1.0)
    saved = losses[:, 1, step] - losses[:, 0, step]
    expected, *_ = np.linalg.lstsq(design, saved, rcond=None)
    assert look.benefit[others, step] == pytest.approx(expected, abs=1e-6)
    bread = np.linalg.inv(design.T @ design)
    residual = saved - design @ expected
    meat = sum(np.outer(s, s) for s in (design[rows == row].T @ residual[rows == row] for row in np.unique(rows)))
    errors = np.sqrt(np.diag(bread @ meat @ bread) * 20 / (20 - 3)) * max(1.0, look.inflation)
    assert look.standard_error[others, step] == pytest.approx(errors, rel=1e-6)


def test_repeating_the_same_samples_adds_no_certainty():
    drawn = draw(lambda before, step, rng: before[:, 0] + rng.normal(size=len(before)), 4, 500)
    once = measure(drawn, seed=0)
    thrice = measure(Evidence.together([drawn] * 3), seed=0)
    off = ~np.eye(4, dtype=bool)
    assert thrice.benefit == pytest.approx(once.benefit, abs=1e-6)
    ratio = thrice.standard_error[off] / once.standard_error[off]
    assert ratio / np.median(ratio) == pytest.approx(1.0, rel=1e-6)
    assert 0.8 < np.median(ratio) < 1.6  # but for the widening by chance, which is drawn anew


def test_chance_makes_edges_no_more_often_than_stated():
    """Losses that no order changes, unequal variances: over 100 draws, some edge in at most about 10 %."""
    false = 0
    for seed in range(100):
        drawn = draw(lambda before, step, rng: rng.exponential(size=len(before)) * (1 + step), 5, 300, seed=seed)
        look = measure(drawn, seed=0)
        false += any(gather(drawn, step, share=1e-9, error_rate=0.1, look=look) for step in range(5))
    assert false <= 19  # binomial(100, 0.1) exceeds it with probability 0.002


def test_steps_needed_together_are_found_and_nothing_else():
    def loss(before, step, rng):
        together = before[:, 1] & before[:, 3] & before[:, 4]
        return np.where(together & (step == 0), 0.0, 1.0) + rng.normal(size=len(before)) * 0.1

    assert named(gather(draw(loss, 7, 2000), 0)) == {1, 3, 4}


def test_ancestors_and_descendants_are_explained_away():
    """0 -> 1 -> 2 -> 3: step 2 is known with 1 before it, and half known with 0 or 3 alone."""

    def loss(before, step, rng):
        half = np.where(before[:, 0] | before[:, 3], 0.5, 1.0)
        return np.where(before[:, 1], 0.0, half) * (step == 2) + rng.normal(size=len(before)) * 0.05

    drawn = draw(loss, 5, 2000)
    look = measure(drawn, seed=0)
    assert look.benefit[[0, 3], 2].min() > 0.05
    assert named(gather(drawn, 2)) == {1}


def test_a_benefit_below_the_share_does_not_count():
    def loss(before, step, rng):
        return 1 - 0.05 * before[:, 1] * (step == 0) + rng.normal(size=len(before)) * 0.01

    assert named(gather(draw(loss, 4, 2000), 0, share=0.1)) == set()
    assert named(gather(draw(loss, 4, 2000), 0, share=0.02)) == {1}


def test_labels_play_no_part():
    def loss(before, step, rng):
        return 1 - 0.8 * before[:, 1] * (step == 0) - 0.5 * before[:, 2] * (step == 1)

    drawn = draw(loss, 5, 400)
    names = np.random.default_rng(5).permutation(5)
    renamed = np.empty_like(drawn.losses)
    renamed[:, :, names] = drawn.losses
    one = measure(drawn, seed=0)
    other = measure(replace(drawn, losses=renamed, orders=names[drawn.orders]), seed=0)
    assert other.benefit[np.ix_(names, names)] == pytest.approx(one.benefit, abs=1e-9)


def test_too_few_rows_prove_nothing():
    drawn = draw(lambda before, step, rng: 1.0 - before[:, 1], 6, 5)
    assert named(gather(drawn, 0)) == set()


def noisy_chain(before, step, rng):
    return 1 - 0.5 * before[:, step - 1] * (step > 0) + 0.1 * rng.random(len(before))


def test_steps_that_are_looked_at_together_change_nothing(monkeypatch):
    drawn = draw(noisy_chain, 30, 400)
    together = measure(drawn, seed=0)
    monkeypatch.setitem(precedence.NUMBERS_AT_ONCE, "cpu", 1)
    alone = measure(drawn, seed=0)
    np.testing.assert_allclose(together.benefit, alone.benefit, atol=1e-12)
    np.testing.assert_allclose(together.standard_error, alone.standard_error, rtol=1e-9)


@pytest.mark.gpu
def test_a_gpu_sums_as_a_cpu_does():
    drawn = draw(noisy_chain, 30, 600)
    both = [replace(drawn, device=torch.device(device)) for device in ("cpu", "cuda")]
    on_cpu, on_gpu = (measure(evidence, seed=0) for evidence in both)
    np.testing.assert_allclose(on_gpu.benefit, on_cpu.benefit, atol=1e-9)
    np.testing.assert_allclose(on_gpu.standard_error, on_cpu.standard_error, rtol=1e-6)
    for step in (0, 7):
        for look, evidence in zip((on_cpu, on_gpu), both, strict=True):
            found = predecessors(step, look, evidence, share=0.1, threshold=4.0, floor=0.05)
            assert [one.before for one in found] == [step - 1] * (step > 0)
