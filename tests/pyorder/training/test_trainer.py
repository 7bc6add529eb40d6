import numpy as np
import pytest
import torch

from pyorder.training import trainer
from pyorder.training.presets import PRESETS
from pyorder.training.trainer import TrainingSettings, assign_orders, batches_of_rows

SETTINGS = TrainingSettings.of(PRESETS["nano"], torch.float32, steps=40, batch_size=8, learning_rate=0.5)


def test_docstring_examples(doctests):
    doctests(trainer)


@pytest.mark.parametrize(("rows", "orders"), [(100, 7), (5, 9), (12, 4)])
def test_counts_of_assigned_orders_differ_by_at_most_one(rows, orders):
    counts = np.bincount(assign_orders(rows, orders, np.random.default_rng(0)), minlength=orders)
    assert counts.sum() == rows
    assert counts.max() - counts.min() <= 1


def test_orders_are_assigned_independently_of_the_row():
    rng = np.random.default_rng(0)
    drawn = np.array([assign_orders(10, 4, rng) for _ in range(8000)])
    shares = np.stack([(drawn == order).mean(0) for order in range(4)])
    assert np.abs(shares - 0.25).max() < 0.02  # every row, every order: also those that get one row more


def test_every_pass_shows_every_row_once():
    batches = np.concatenate(list(batches_of_rows(64, SETTINGS, np.random.default_rng(0))))
    passes = batches.reshape(5, 64)
    assert all(sorted(one) == list(range(64)) for one in passes)
    assert (passes[0] != passes[1]).any()


def test_the_rate_rises_then_falls_to_zero():
    rates = [SETTINGS.rate_at(step) for step in range(41)]
    assert SETTINGS.warmup == 10  # a quarter of the steps, not the preset's 50
    assert np.argmax(rates) == 10
    assert rates[10] == 0.5
    assert rates[40] == 0.0
    assert all(np.diff(rates[:11]) > 0)
    assert all(np.diff(rates[10:]) < 0)
