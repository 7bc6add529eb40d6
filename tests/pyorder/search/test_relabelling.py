"""What a search finds has nothing to do with the order that the columns came in."""

import itertools

import numpy as np
import pytest

import pyorder
from pyorder.search import Greedy, Random, discover_shuffled
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=8, heads=1, feed_forward=8, steps=3, warmup=0, batch_size=32)
ORDERS = [np.array(order) for order in itertools.permutations(range(3))]


@pytest.fixture(scope="module")
def splits():
    return pyorder.make_task("square", length=3).splits(train=200, validation=50, test=1, seed=0)


def outcome(discover, splits, columns, strategy, seed):
    """What a search on reordered columns says of the data's own steps: the order, and each candidate's loss."""
    train, validation = (data.reorder(columns) for data in (splits.train, splits.validation))
    found = discover(train, validation=validation, strategy=strategy, model=TINY, seed=seed).renamed(columns)
    last = found.history[-1].profile
    losses = dict(zip(map(tuple, last.orders.tolist()), last.loss.tolist(), strict=True))
    return tuple(found.order.tolist()), tuple(sorted(losses.items()))


@pytest.mark.parametrize(
    "strategy", ["exhaustive", Random(candidates=4, pool=3, finalists=2), Greedy(completions=2)]
)
def test_each_shuffle_does_what_some_sequence_of_the_columns_would_do(strategy, splits):
    """The secret shuffle is composed with the columns' own order, so over all orders the outcomes are the same."""
    plain, shuffled = (
        sorted(outcome(discover, splits, columns, strategy, seed=0) for columns in ORDERS)
        for discover in (pyorder.discover, discover_shuffled)
    )
    assert shuffled == plain
    assert len(set(plain)) > 1  # the sequence of the columns is a chance of its own, beside the seed
