import numpy as np
import pytest
import torch
from scipy.stats import entropy

import pyorder
from pyorder.data import entropy as module
from pyorder.data.entropy import entropies
from pyorder.data.tokens import Tokens


def test_docstring_examples(doctests):
    doctests(module)


def test_entropy_is_that_of_scipy():
    values = np.random.default_rng(0).integers(3, size=(500, 4)) * np.array([1, 2, 0, 1])
    wanted = [entropy(np.bincount(column)) for column in values.T]
    tokens = Tokens.of(pyorder.Dataset(None, values), "train", torch.device("cpu"))
    assert entropies(tokens, torch.arange(500)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("most", [0, 2**20])
def test_entropy_of_a_wide_step_is_that_of_its_columns_each_given_the_last(monkeypatch, most):
    """Of two columns it is that of the pairs; here the third copies the second, and tells nothing more."""
    monkeypatch.setattr(module, "MOST_COUNTED", most)
    rng = np.random.default_rng(0)
    pairs = rng.integers(3, size=(500, 2))
    values = np.concatenate([pairs, pairs[:, 1:], rng.integers(2, size=(500, 1))], axis=1)
    tokens = Tokens.of(pyorder.Dataset(None, values, widths=[3, 1]), "train", torch.device("cpu"))
    wanted = [entropy(np.bincount(3 * pairs[:, 0] + pairs[:, 1])), entropy(np.bincount(values[:, 3]))]
    assert entropies(tokens, torch.arange(500)) == pytest.approx(wanted, abs=1e-9)


def test_a_step_that_is_left_out_where_it_is_missing_has_entropy_only_where_it_is_there():
    """As its loss counts: nothing of rows without it, in the mean over all rows. One step is in no row."""
    rng = np.random.default_rng(0)
    values = np.ma.array(rng.integers(4, size=(500, 4)))
    gone = rng.random((500, 2)) < [0.5, 0.2]
    values[gone[:, 0], 0] = np.ma.masked
    values[gone[:, 1], 1:3] = np.ma.masked
    values[rng.random(500) < 0.3, 2] = np.ma.masked  # some of the wide ones end early, by a symbol
    values[:, 3] = np.ma.masked
    ended = np.ma.filled(values, 4)
    there = ~gone
    wanted = [
        there[:, 0].mean() * entropy(np.bincount(ended[there[:, 0], 0])),
        there[:, 1].mean() * entropy(np.bincount(5 * ended[there[:, 1], 1] + ended[there[:, 1], 2])),
        0,
    ]
    data = pyorder.Dataset(None, values, widths=[1, 2, 1], missing="mask")
    assert entropies(Tokens.of(data, "train", torch.device("cpu"))) == pytest.approx(wanted, abs=1e-9)
    data = pyorder.Dataset(None, values, widths=[1, 2, 1])
    wanted = [entropy(np.bincount(ended[:, 0])), entropy(np.bincount(5 * ended[:, 1] + ended[:, 2])), 0]
    assert entropies(Tokens.of(data, "train", torch.device("cpu"))) == pytest.approx(wanted, abs=1e-9)
