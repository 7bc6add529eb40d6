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
