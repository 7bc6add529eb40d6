"""Whether one order fits all rows: swaps, sides and columns, and a search in a chain that turns around."""

from dataclasses import replace

import numpy as np
import pytest

import pyorder
from pyorder.dependencies import opposed
from pyorder.dependencies.opposed import opposed_pairs, splitting, suspects, swapped, take_sides
from pyorder.dependencies.statistics import FirstLook
from pyorder.models.architecture import Architecture
from pyorder.search import Precedence, Verdict
from pyorder.training.presets import EXPLORER


def test_docstring_examples(doctests):
    doctests(opposed)


class Oracle:
    """Losses that are known: in rows whose flag is 0 step 2 needs step 0, in others step 0 needs step 2.

    Both need step 1 as well. What is missing costs two nats.
    """

    length, evidence_rows = 4, 400
    base = np.full(4, 2.0)

    def __init__(self, flag):
        self.rng = np.random.default_rng(5)
        self.cluster = np.arange(self.evidence_rows)
        self.inputs = np.random.default_rng(6).integers(2, size=(self.evidence_rows, 3))
        self.turned = flag(self.inputs).astype(bool)

    def losses(self, rows, orders):
        slots, turned = orders.argsort(1), self.turned[rows]
        after = np.where(turned, 0, 2)
        needed = np.where(turned, 2, 0)
        found = np.zeros((len(rows), 4))
        place = slots[rows, after]
        found[rows, after] = 2.0 * ((slots[rows, needed] > place) | (slots[:, 1] > place))
        return found

    def evidence_inputs(self):
        return self.inputs

    def input_name(self, column):
        return "abc"[column]


def test_a_side_that_is_one_group_is_none():
    """Its rows are one observation, whose error nobody knows."""
    swaps = np.repeat([[2.0], [-3.0]], [80, 20], axis=0) * np.ones(4)
    cluster = np.concatenate([np.arange(80), np.full(20, 80)])
    assert take_sides(swaps, cluster, worth=0.1, threshold=3.0) is None
    assert take_sides(swaps, np.arange(100), worth=0.1, threshold=3.0) is not None


def test_swaps_say_what_a_row_loses_with_the_second_step_first():
    oracle = Oracle(lambda inputs: inputs[:, 0])
    swaps = swapped(oracle, (0, 2))
    assert swaps.shape == (400, opposed.CONTEXTS)
    assert set(np.unique(swaps[~oracle.turned])) == {0.0, 2.0}  # nothing where step 1 is missing both ways
    assert set(np.unique(swaps[oracle.turned])) == {0.0, -2.0}
    assert np.abs(swaps).mean() == pytest.approx(1.0, abs=0.15)  # step 1 is ahead in half of the contexts
    assert not swapped(oracle, (1, 3)).any()


@pytest.mark.parametrize(
    ("flag", "columns"),
    [
        (lambda inputs: inputs[:, 1], ("b",)),
        (lambda inputs: inputs[:, 0] ^ inputs[:, 2], ("a", "c")),
        (lambda inputs: inputs[:, 0] & inputs[:, 1], ("a", "b")),
        (lambda inputs: np.random.default_rng(0).integers(2, size=len(inputs)), ()),
    ],
)
def test_what_tells_the_sides_is_named(flag, columns, monkeypatch):
    monkeypatch.setattr(opposed, "CONTEXTS", 40)  # else many rows are silent, whose losses are exactly equal
    oracle = Oracle(flag)
    (found,) = opposed_pairs(oracle, [(0, 2)], error_rate=0.01)
    assert (found.one, found.other, found.columns) == (0, 2, columns)
    assert found.share == pytest.approx(1 - oracle.turned.mean(), abs=0.01)
    assert found.gain == pytest.approx(1.0, abs=0.1)
    assert found.other_gain == pytest.approx(1.0, abs=0.1)


def test_a_dependency_is_no_mixture():
    assert opposed_pairs(Oracle(lambda inputs: 0 * inputs[:, 0]), [(0, 2), (1, 2)], error_rate=0.01) == ()


def test_noise_of_a_rows_own_contexts_has_no_sides():
    """A reversible pair, by a model that is wrong at random: what half of the contexts say the others do not."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        swaps = rng.normal(0, 1.0, (500, 4))
        assert take_sides(swaps, np.arange(500), worth=0.2, threshold=3.0) is None


def test_columns_that_tell_nothing_are_hardly_ever_named():
    named = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        swaps, inputs = rng.choice([-1.0, 1.0], size=300), rng.integers(5, size=(300, 6))
        named += bool(splitting(swaps, inputs, np.arange(300), 0.01, rng))
    assert named <= 2


def test_the_pairs_that_help_each_other_most_are_looked_at():
    rng = np.random.default_rng(0)
    benefit = rng.uniform(1, 2, (6, 6))
    look = FirstLook(benefit, np.full((6, 6), 0.01), np.ones(6), 100, 1.0)
    found = suspects(look, np.full(6, 1.0), np.full(6, 2.0), share=0.1, threshold=3.0)
    worth = {(a, b): min(benefit[a, b], benefit[b, a]) for a in range(6) for b in range(a + 1, 6)}
    assert found == sorted(worth, key=worth.get, reverse=True)[: opposed.MOST_PAIRS]


def turned_chain(rows, seed, turned=True):
    """A chain of four; the flag turns it around."""
    rng = np.random.default_rng(seed)
    flag, other = rng.integers(2, size=(2, rows))
    x = rng.integers(11, size=(rows, 4))
    y = np.empty_like(x)
    for back, steps in ((0, range(4)), (1, range(3, -1, -1))):
        chosen = (flag if turned else 0 * flag) == back
        last = x[chosen, 0]
        for step in steps:
            last = (last**2 + x[chosen, step] ** 2 + step) % 11
            y[chosen, step] = last
    names = ["other", "flag", "x0", "x1", "x2", "x3"]
    return pyorder.Dataset(np.column_stack([other, flag, x]), y, input_names=names)


@pytest.mark.parametrize("turned", [True, False])
def test_a_chain_that_a_flag_turns_around_has_no_one_order(turned, tmp_path):
    data = turned_chain(6000, 1, turned)
    strategy = Precedence(
        rounds=4,
        samples=600,
        candidates=2,
        racers=0,
        architecture=Architecture(
            layers=2, heads=2, width=64, feed_forward=128, dropout=0.0, embedding_std=0.5, tied=False
        ),
        recipe=replace(EXPLORER.recipe, precision="float32"),
    )
    found = pyorder.discover(
        data, validation=data.select(range(40)), strategy=strategy, steps=2, seed=1, run_dir=tmp_path / "run"
    )
    if not turned:
        assert found.verdict is Verdict.FOUND
        assert found.exploration.opposed == ()
        return
    assert found.verdict is Verdict.ROW_DEPENDENT
    assert found.exploration.opposed
    for pair in found.exploration.opposed:
        assert abs(pair.one - pair.other) == 1
        assert pair.columns == ("flag",)
        assert 0.3 < pair.share < 0.7
    assert any("input flag tells which" in remark for remark in found.exploration.remarks)
    assert pyorder.Discovery.load(tmp_path / "run") == found
    steps = np.array([2, 0, 3, 1])
    renamed = found.renamed(steps).exploration.opposed
    assert [(pair.one, pair.other) for pair in renamed] == [
        (steps[pair.one], steps[pair.other]) for pair in found.exploration.opposed
    ]
