from dataclasses import replace

import numpy as np
import pytest
import torch

import pyorder
from pyorder import ensemble, model, profiling
from pyorder.ensemble import Ensemble
from pyorder.execution import seeded
from pyorder.model import PRESETS
from pyorder.profiling import Profiler
from pyorder.trainer import TrainingSettings, batches_of_rows, draw, train

ORDERS = pyorder.permutations.sample(5, 12, seed=0, distinct=True)
TINY = replace(PRESETS["nano"], width=32, feed_forward=64, steps=30, warmup=5)
LIKE_SMALL = replace(TINY, tied=True, embedding_std=0.02, heads=1)
DROPPING = replace(TINY, dropout=0.3)
SEEDS = [3, 5, 9]


class Problem:
    """Token ids of a task's training rows, and what three seeds draw of them."""

    def __init__(self, train, precision=torch.float32, preset=TINY, device="cpu"):
        self.preset = preset
        self.inputs, self.targets = profiling.tokens(train, train.vocabulary, "train", torch.device(device))
        self.values = len(train.vocabulary)
        self.settings = TrainingSettings.of(preset, precision, steps=None, batch_size=16, learning_rate=None)
        self.draws = [draw(seed, len(self.inputs), len(ORDERS), self.settings) for seed in SEEDS]

    def ensemble(self):
        return Ensemble(self.preset, self.values, self.inputs, self.targets, self.settings, len(SEEDS))

    def batches(self):
        """Rows and assigned orders of every step, (steps, k, B)."""
        draws = [draw(seed, len(self.inputs), len(ORDERS), self.settings) for seed in SEEDS]
        numbers = [np.stack(list(batches_of_rows(len(one.rows), self.settings, one.rng))) for one in draws]
        rows = [one.rows[number] for one, number in zip(draws, numbers, strict=True)]
        assigned = [one.assigned[number] for one, number in zip(draws, numbers, strict=True)]
        return np.stack(rows, 1), np.stack(assigned, 1)

    def alone(self, seed):
        drawn = draw(seed, len(self.inputs), len(ORDERS), self.settings)
        rows, device = torch.from_numpy(drawn.rows), self.inputs.device
        with seeded(seed, device):
            module = self.preset(self.values, self.inputs.shape[1], self.targets.shape[1]).to(device)
            curve = train(
                module,
                self.inputs[rows],
                self.targets[rows],
                torch.from_numpy(ORDERS).to(device),
                torch.from_numpy(drawn.assigned).to(device),
                self.settings,
                drawn.rng,
            )
        return module, curve


def test_docstring_examples(doctests):
    doctests(ensemble)


@pytest.mark.parametrize("preset", [TINY, LIKE_SMALL, replace(TINY, layers=2)])
def test_members_learn_what_they_learn_alone(square5, preset):
    problem = Problem(square5.train, preset=preset)
    decoders, curves = problem.ensemble().train(SEEDS, ORDERS, *problem.batches())
    for seed, decoder, curve in zip(SEEDS, decoders, curves, strict=True):
        module, expected = problem.alone(seed)
        torch.testing.assert_close(curve, expected, rtol=1e-4, atol=1e-4)
        for ours, theirs in zip(decoder.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        assert not decoder.training


FREEZE_NORMS, FREEZE_BIASES_TOO = ("norm",), ("norm", "bias")


@pytest.mark.parametrize(
    ("preset", "frozen"),
    [
        (TINY, FREEZE_NORMS),
        (LIKE_SMALL, FREEZE_NORMS),
        (replace(TINY, layers=2), FREEZE_NORMS),
        (replace(PRESETS["small"], dropout=0.0, steps=4), FREEZE_BIASES_TOO),
    ],
)
def test_two_sums_are_all_that_keeps_members_from_the_same_bits_as_alone(square5, preset, frozen):
    """In float32 on a CPU everything else gives a member the bits that it has alone: products, softmax, AdamW.

    These two run in another sequence under vmap, and the test does without them. A plain sum adds up the gradients
    of a layer norm's scale and shift, alone layer norm's own backward pass does: from the first step on they are
    off by 1e-7 of their size. And a bias is added after its product, alone the sum starts with it, which rounds
    differently where more than 384 numbers are summed (MKL). With both, the losses of 30 steps are off by at most
    5e-7 nats and parameters by 4e-6; `test_members_learn_what_they_learn_alone` has them in.
    """
    if not batched_products_keep_their_bits(preset.width, preset.feed_forward):
        pytest.skip("a batched product sums in another sequence than a single one on this processor")
    problem = Problem(square5.train, preset=preset)

    def freeze(parameters):
        for name, parameter in parameters:
            parameter.requires_grad_(not any(word in name for word in frozen))

    together = problem.ensemble()
    freeze(together.parameters.items())
    decoders, curves = together.train(SEEDS, ORDERS, *problem.batches())

    def build(*sizes):
        module = preset(*sizes)
        freeze(module.named_parameters())
        return module

    problem.preset = build
    for seed, decoder, curve in zip(SEEDS, decoders, curves, strict=True):
        module, expected = problem.alone(seed)
        assert torch.equal(curve, expected)
        for ours, theirs in zip(decoder.parameters(), module.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        assert expected[-1] != expected[0]  # it does learn


def batched_products_keep_their_bits(*widths):
    random = torch.Generator().manual_seed(0)
    for inner in widths:
        left = torch.randn(3, 80, inner, generator=random)
        right = torch.randn(3, inner, 32, generator=random)
        if not torch.equal(left @ right, torch.stack([a @ b for a, b in zip(left, right, strict=True)])):
            return False
    return True


def test_members_learn_nearly_the_same_in_bfloat16(square5):
    problem = Problem(square5.train, torch.bfloat16)
    _, curves = problem.ensemble().train(SEEDS, ORDERS, *problem.batches())
    for seed, curve in zip(SEEDS, curves, strict=True):
        torch.testing.assert_close(curve, problem.alone(seed)[1], rtol=0.02, atol=0)


def test_bfloat16_reaches_everything_between_products(square5, monkeypatch):
    """A bias that is added in float32 would make activations of twice the size."""
    seen, real = [], model.attend

    def attend(queries, *rest):
        seen.append(queries.dtype)
        return real(queries, *rest)

    monkeypatch.setattr("pyorder.model.attend", attend)
    problem = Problem(square5.train, torch.bfloat16)
    problem.ensemble().train(SEEDS, ORDERS, *(part[:1] for part in problem.batches()))
    assert set(seen) == {torch.bfloat16}


@pytest.mark.parametrize("preset", [TINY, DROPPING])
def test_a_second_run_starts_from_nothing(square5, preset):
    """The optimiser's moments and the parameters stay in place between runs; nothing of the first may be left."""
    problem = Problem(square5.train, preset=preset)
    again = problem.ensemble()
    first = problem.ensemble().train(SEEDS, ORDERS, *problem.batches())[1]
    again.train([1, 2, 4], ORDERS[::-1].copy(), *problem.batches())
    assert torch.equal(again.train(SEEDS, ORDERS, *problem.batches())[1], first)


def test_members_drop_different_units(square5):
    problem = Problem(square5.train, preset=DROPPING)
    rows, assigned = problem.batches()
    same = [np.repeat(part[:, :1], 3, axis=1) for part in (rows, assigned)]
    _, curves = problem.ensemble().train([3, 3, 3], ORDERS, *same)
    assert len(set(curves[:, 0].tolist())) == 3


def test_the_callers_generators_are_left_alone(square5):
    problem = Problem(square5.train, preset=DROPPING)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    problem.ensemble().train(SEEDS, ORDERS, *problem.batches())
    assert torch.equal(torch.rand(3), expected)


def test_a_wrong_number_of_seeds_is_refused(square5):
    problem = Problem(square5.train)
    with pytest.raises(ValueError, match="seeds: 2 given for 3 members"):
        problem.ensemble().train([0, 1], ORDERS, *problem.batches())


@pytest.fixture
def profiler(square5):
    return Profiler(
        square5.train, square5.validation, model=TINY, batch_size=16, precision="float32", device="cpu"
    )


def test_seeds_together_give_the_profile_of_seeds_alone(profiler, monkeypatch):
    alone = profiler.profile(ORDERS, seeds=range(5))
    monkeypatch.setattr(ensemble, "MOST_MEMBERS", 3)  # so that the last group is smaller
    profiler.ensembles = {}
    shares = []
    together = profiler.profile(ORDERS, seeds=range(5), on_share=lambda stage, share: shares.append(share))
    assert sorted(profiler.ensembles) == [2, 3]
    np.testing.assert_allclose(together.seed_loss, alone.seed_loss, rtol=1e-3)
    np.testing.assert_allclose(together.training_loss, alone.training_loss, rtol=1e-3)
    assert together.ranking.tolist() == alone.ranking.tolist()
    assert together.cost == alone.cost
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [TINY, replace(TINY, layers=2), PRESETS["small"]])
def test_members_of_a_captured_step_learn_what_they_learn_alone(square5, preset):
    problem = Problem(square5.train, preset=replace(preset, dropout=0.0, steps=30), device="cuda")
    captured = problem.ensemble()
    curves = captured.train(SEEDS, ORDERS, *problem.batches())[1]
    assert captured.graph is not None
    for seed, curve in zip(SEEDS, curves, strict=True):
        torch.testing.assert_close(curve, problem.alone(seed)[1], rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
def test_a_graph_serves_every_pool_and_gives_the_same_bits(square5):
    problem = Problem(square5.train, torch.bfloat16, preset=DROPPING, device="cuda")
    one, other = problem.ensemble(), problem.ensemble()
    first = one.train(SEEDS, ORDERS, *problem.batches())[1]
    graph = one.graph
    one.train([1, 2, 4], ORDERS[::-1].copy(), *problem.batches())
    assert torch.equal(one.train(SEEDS, ORDERS, *problem.batches())[1], first)
    assert one.graph is graph
    assert torch.equal(other.train(SEEDS, ORDERS, *problem.batches())[1], first)


@pytest.mark.gpu
def test_a_replay_drops_other_units_and_leaves_the_callers_generator_alone(square5):
    """The same rows in every step and nothing learned: only what is dropped can change the loss."""
    problem = Problem(square5.train, preset=replace(DROPPING, learning_rate=1e-30), device="cuda")
    rows, assigned = (np.repeat(part[:1], 5, axis=0) for part in problem.batches())
    torch.cuda.manual_seed(0)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(0)
    curves = problem.ensemble().train(SEEDS, ORDERS, rows, assigned)[1]
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert all(len(set(curve.tolist())) == 5 for curve in curves)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_second_device_trains_too(square5):
    first, second = (Problem(square5.train, device=device) for device in ("cuda:0", "cuda:1"))
    curves = [problem.ensemble().train(SEEDS, ORDERS, *problem.batches())[1] for problem in (first, second)]
    assert torch.equal(*curves)


@pytest.mark.gpu
def test_a_gpu_ranks_as_a_cpu_does():
    splits = pyorder.make_task("square", length=5).splits(train=20_000, validation=500, test=1, seed=0)
    orders = [[4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [0, 1, 2, 3, 4], [3, 1, 4, 2, 0]]
    ranked = [
        pyorder.profile(
            splits.train, orders, validation=splits.validation, model="nano", precision="float32", device=device
        )
        for device in ("cpu", "cuda")
    ]
    assert ranked[0].ranking.tolist() == ranked[1].ranking.tolist()
    np.testing.assert_allclose(ranked[0].loss, ranked[1].loss, rtol=0.05)
