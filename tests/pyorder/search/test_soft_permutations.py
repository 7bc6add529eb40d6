"""Soft permutations against brute force, and what leaks through a decoder."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.nn import functional as F

import pyorder
from pyorder.cli._results import print_search
from pyorder.data.schema import make_schema
from pyorder.data.tokens import Tokens
from pyorder.models.decoder import Decoder
from pyorder.orders.permutations import lexicographic
from pyorder.orders.posets import Poset
from pyorder.profiling.profile import Profiler
from pyorder.runs.folder import load_run
from pyorder.search import Budget, Soft, soft_permutations
from pyorder.search.discover import SPENT
from pyorder.search.soft_permutations import harden, leaked_mass, sinkhorn
from pyorder.search.strategies import soft
from pyorder.search.strategies.soft import SoftDecoder, diagnose, hardenings, relax
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=16, feed_forward=32, steps=8, warmup=2, batch_size=32)


@pytest.mark.parametrize("module", [soft_permutations, soft])
def test_docstring_examples(module, doctests):
    doctests(module)


def test_sinkhorn_makes_scores_doubly_stochastic():
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    weights = sinkhorn(scores)
    assert bool((weights > 0).all())
    assert weights.sum(0).numpy() == pytest.approx(1, abs=1e-5)
    assert weights.sum(1).numpy() == pytest.approx(1, abs=1e-3)
    offsets = scores + torch.arange(12.0) - 3 * torch.arange(12.0)[:, None]
    assert sinkhorn(offsets, 100).numpy() == pytest.approx(sinkhorn(scores, 100).numpy(), abs=1e-5)


def test_hardening_is_the_best_assignment():
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 5, 7):
        every = lexicographic(size)
        for scores in (rng.normal(size=(size, size)), rng.integers(3, size=(size, size)).astype(float)):
            order = harden(scores, rng)
            assert sorted(order) == list(range(size))
            assert scores[np.arange(size), order].sum() == pytest.approx(
                scores[np.arange(size), every].sum(1).max()
            )


def test_scores_and_their_weights_have_one_hardening():
    rng = np.random.default_rng(1)
    for _ in range(10):
        scores = rng.normal(size=(9, 9))
        weights = sinkhorn(torch.from_numpy(scores)).log().numpy()
        assert np.array_equal(harden(scores, rng), harden(weights, rng))


def test_a_permutation_matrix_hardens_to_its_order():
    rng = np.random.default_rng(2)
    for size in (1, 4, 20):
        order, names = rng.permutation(size), rng.permutation(size)
        matrix = np.eye(size)[order]
        assert np.array_equal(harden(matrix, rng), order)
        assert np.array_equal(harden(matrix[:, np.argsort(names)], rng), names[order])


def test_a_uniform_matrix_hardens_to_any_order_alike():
    rng = np.random.default_rng(3)
    found = Counter(tuple(harden(np.full((4, 4), 0.25), rng)) for _ in range(2400))
    assert len(found) == 24
    assert chisquare(list(found.values())).pvalue > 0.01


def test_nothing_leaks_through_an_order_and_much_through_the_mean_of_all():
    order = np.random.default_rng(4).permutation(7)
    assert leaked_mass(np.eye(7)[order], order).tolist() == [0] * 7
    slots = np.arange(7)
    assert leaked_mass(np.full((7, 7), 1 / 7), order) == pytest.approx(slots * (7 - slots) / 7)
    halfway = (np.eye(7)[order] + 1 / 7) / 2
    assert leaked_mass(halfway, order) == pytest.approx(slots * (7 - slots) / 14)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return SoftDecoder(TINY(11, 5, 5), length=5, learning_rate=1e-3)


def test_under_a_permutation_matrix_it_is_the_ordinary_loss(module):
    rng = np.random.default_rng(5)
    inputs, targets = (torch.from_numpy(rng.integers(11, size=(6, 5))) for _ in range(2))
    order = torch.from_numpy(rng.permutation(5))
    emitted = targets[:, order]
    assert isinstance(module.decoder, Decoder)
    ordinary = F.cross_entropy(module.decoder(inputs, emitted).transpose(1, 2), emitted, reduction="none")
    relaxed = module(inputs, targets, torch.eye(5)[order])
    assert relaxed.detach().numpy() == pytest.approx(ordinary.detach().numpy(), abs=1e-5)


def test_relabelled_steps_have_the_same_loss(module):
    rng = np.random.default_rng(9)
    inputs, targets = (torch.from_numpy(rng.integers(11, size=(6, 5))) for _ in range(2))
    weights = sinkhorn(torch.from_numpy(rng.normal(size=(5, 5))).float())
    names = torch.from_numpy(rng.permutation(5))
    renamed = module(inputs, targets[:, names], weights[:, names])
    assert renamed.detach().numpy() == pytest.approx(module(inputs, targets, weights).detach().numpy(), abs=1e-5)


def test_the_diagnosis_tells_soft_from_hard(module):
    rng = np.random.default_rng(6)
    inputs, targets = (torch.from_numpy(rng.integers(11, size=(40, 5))) for _ in range(2))
    order = rng.permutation(5)
    with torch.no_grad():
        module.parameter.copy_(torch.eye(5)[torch.from_numpy(order)])
    held = Tokens(inputs, targets, make_schema(5, 5), 11)
    cold = diagnose(module, held, 0.5, 0, rng)
    assert cold.share == pytest.approx(0, abs=1e-6)
    assert cold.soft_loss == pytest.approx(cold.hard_loss, abs=1e-5)
    hot = diagnose(module, held, 1e6, 0, rng)
    assert hot.mass == pytest.approx(np.arange(5) * (5 - np.arange(5)) / 5, abs=1e-3)
    assert hot.share == pytest.approx(0.4, abs=1e-3)


def test_a_soft_order_leaks_what_no_order_can_tell():
    """Steps are random bits of their own: no order beats their entropy, and a soft one does."""
    rng = np.random.default_rng(7)
    data = pyorder.Dataset(np.zeros((4000, 1), np.int64), rng.integers(2, size=(4000, 4)))
    profiler = Profiler(data, data.select(np.arange(10)), model=TINY.but(width=32), learning_rate=1e-2)
    _, looks = relax(profiler, Soft(steps=200, hot=1.0, cold=0.5), 0, lambda share: None)
    assert [look.training_steps for look in looks] == [20 * (number + 1) for number in range(10)]
    assert min(look.soft_loss for look in looks) < 0.95 * np.log(2)
    assert all(look.hard_loss > 0.98 * np.log(2) for look in looks)
    worst = max(looks, key=lambda look: look.hard_loss - look.soft_loss)
    assert worst.share > 0.1


def test_training_leaves_the_callers_generator_alone(square5):
    profiler = Profiler(square5.train, square5.validation, model=TINY)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, _ = relax(profiler, Soft(steps=10), 3, lambda share: None)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    again, _ = relax(profiler, Soft(steps=10), 3, lambda share: None)
    assert np.array_equal(one, again)


def test_hardenings_are_distinct_and_begin_without_noise():
    rng = np.random.default_rng(8)
    scores = [3 * rng.normal(size=(6, 6)) for _ in range(2)]
    pool = hardenings(scores, 10, Poset(6), rng)
    assert len(np.unique(pool, axis=0)) == len(pool) == 10
    for each in scores:
        assert (pool == harden(each, rng)).all(1).any()
    assert len(hardenings([np.eye(3)[[2, 0, 1]] * 1e3], 4, Poset(3), rng)) == 1


def test_the_result_tells_what_leaked(square5, tmp_path, capsys):
    strategy = Soft(restarts=2, steps=10, samples=16, candidates=4)
    found = pyorder.discover(
        square5.train, validation=square5.validation, strategy=strategy, model=TINY, run_dir=tmp_path / "run"
    )
    assert [text.split(":")[0] for text in found.remarks[:2]] == ["Relaxation 1", "Relaxation 2"]
    assert found.remarks[2:] == found.history[-1].profile.remarks
    assert "nats a step soft" in found.remarks[0]
    assert load_run(tmp_path / "run").result["remarks"] == list(found.remarks)
    print_search(found.summary())
    assert found.remarks[1] in capsys.readouterr().out.splitlines()
    assert found.renamed(np.arange(5)).remarks == found.remarks


def test_without_scipy_it_says_what_to_install_before_any_work(square5, monkeypatch):
    monkeypatch.setattr(soft, "find_spec", lambda name: None)
    heard = []
    with pytest.raises(ModuleNotFoundError, match=r'pip install "pyorder\[soft\]"'):
        pyorder.discover(
            square5.train, validation=square5.validation, strategy=Soft(), model=TINY, progress=heard.append
        )
    assert heard == []


def test_a_budget_for_the_last_run_alone_ranks_random_orders(square5):
    found = pyorder.discover(
        square5.train,
        validation=square5.validation,
        strategy=Soft(steps=10, candidates=4),
        model=TINY,
        budget=Budget(training_steps=17),
    )
    assert found.cost.training_steps == 8
    assert not found.converged
    assert found.remarks == (SPENT, *found.history[-1].profile.remarks)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("restarts", 0, "an integer of at least 1"),
        ("steps", 9, "an integer of at least 10"),
        ("candidates", 1, "an integer of at least 2"),
        ("hot", -1.0, "a positive number"),
        ("cold", 2.0, "at most hot=1.0"),
    ],
)
def test_options_out_of_range_are_refused(option, value, allowed):
    with pytest.raises(ValueError, match=f"^{option}: expected {allowed}, got {value}"):
        Soft(**{option: value})


@pytest.mark.parametrize("learning_rate", [1e-3, 5e-5])
def test_scores_move_as_far_at_every_learning_rate_of_the_decoder(square5, learning_rate):
    profiler = Profiler(square5.train, square5.validation, model=TINY, learning_rate=learning_rate)
    strategy = Soft(steps=60)
    (start, _), (end, _) = (
        relax(profiler, replace(strategy, steps=steps), 3, lambda share: None) for steps in (10, 60)
    )
    assert 0.03 < np.abs(end - start).mean() < 0.3


def test_a_single_training_row_is_refused():
    data = pyorder.Dataset([[1, 2]], [[0, 1]])
    with pytest.raises(ValueError, match="^train: 'soft' sets rows apart"):
        pyorder.discover(data, validation=data, strategy="soft", model=TINY)
