import numpy as np
import pytest
import torch

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.execution import RandomStream
from pyorder.models import decoder as model
from pyorder.models.learner import DecoderLearner
from pyorder.profiling.profile import Profiler
from pyorder.training import ensemble
from pyorder.training.ensemble import Ensemble, Stack
from pyorder.training.orders import Mixture, rows_and_orders
from pyorder.training.presets import PRESETS
from pyorder.training.trainer import Trainer

ORDERS = pyorder.permutations.sample(5, 12, seed=0, distinct=True)
TINY = PRESETS["nano"].but(width=32, feed_forward=64, steps=30, warmup=5)
LIKE_SMALL = TINY.but(tied=True, embedding_std=0.02, heads=1)
DROPPING = TINY.but(dropout=0.3)
SEEDS = [3, 5, 9]


class Problem:
    """Token ids of a task's training rows, and what three seeds draw of them."""

    def __init__(self, train, precision="float32", preset=TINY, device="cpu"):
        self.preset = preset.but(precision=precision, batch_size=16)
        self.recipe = self.preset.recipe
        self.tokens = Tokens.of(train, "train", torch.device(device))
        self.learner = DecoderLearner(self.preset.architecture)
        self.table = self.tokens.column_orders(ORDERS)

    def build(self, seed):
        stream = RandomStream(seed, self.tokens.device)
        with stream.lent():
            return self.learner.build(self.tokens.shape).to(self.tokens.device), stream

    def draw(self, seeds):
        """The queues of the seeds, and on the device the rows and the orders (k, n) that each may use."""
        size = self.recipe.steps * self.recipe.batch_size
        drawn = [rows_and_orders(seed, len(self.tokens), size, len(ORDERS)) for seed in seeds]
        parts = (np.stack([one[part] for one in drawn]) for part in (0, 1))
        return [one[2] for one in drawn], *(torch.from_numpy(part).to(self.tokens.device) for part in parts)

    def together(self, seeds=SEEDS):
        """A trainer of stacked decoders, what it is to be fed, and the decoders."""
        queues, subset, assigned = self.draw(seeds)
        decoders = [self.build(seed)[0] for seed in seeds]
        ensemble, stream = Ensemble(self.learner), self.build(seeds[0])[1]
        trainer = Trainer(
            ensemble, Stack(decoders), self.tokens, self.recipe, queues, stream=stream, subset=subset
        )
        return trainer, Mixture(self.table, assigned), decoders

    def train(self, seeds=SEEDS):
        trainer, source, decoders = self.together(seeds)
        curves = trainer.train(source, self.recipe.steps)
        trainer.module.give(decoders)
        return decoders, curves

    def again(self, trainer, seeds):
        """Another run of a trainer that has run before."""
        queues, subset, assigned = self.draw(seeds)
        trainer.module.take([self.build(seed)[0] for seed in seeds])
        trainer.restart(queues, self.build(seeds[0])[1], subset)
        return trainer.train(Mixture(self.table, assigned), self.recipe.steps)

    def alone(self, seed):
        queues, subset, assigned = self.draw([seed])
        module, stream = self.build(seed)
        trainer = Trainer(self.learner, module, self.tokens, self.recipe, queues, stream=stream, subset=subset)
        (curve,) = trainer.train(Mixture(self.table, assigned), self.recipe.steps)
        return module, curve


def test_docstring_examples(doctests):
    doctests(ensemble)


@pytest.mark.parametrize("preset", [TINY, LIKE_SMALL, TINY.but(layers=2)])
def test_members_learn_what_they_learn_alone(square5, preset):
    problem = Problem(square5.train, preset=preset)
    decoders, curves = problem.train()
    for seed, decoder, curve in zip(SEEDS, decoders, curves, strict=True):
        module, expected = problem.alone(seed)
        torch.testing.assert_close(curve, expected, rtol=1e-4, atol=1e-4)
        for ours, theirs in zip(decoder.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        assert not decoder.training


def freeze(named_parameters, words):
    for name, parameter in named_parameters:
        parameter.requires_grad_(not any(word in name for word in words))


class Frozen(DecoderLearner):
    """A decoder of which some parameters stay as they are."""

    words = ()

    def build(self, shape):
        decoder = super().build(shape)
        freeze(decoder.named_parameters(), self.words)
        return decoder


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        (TINY, ("norm",)),
        (LIKE_SMALL, ("norm",)),
        (TINY.but(layers=2), ("norm",)),
        (PRESETS["small"].but(dropout=0.0, steps=4), ("norm", "bias")),
    ],
)
def test_two_sums_are_all_that_keeps_members_from_the_same_bits_as_alone(square5, preset, words):
    """In float32 on a CPU everything else gives a member the bits that it has alone: products, softmax, AdamW.

    These two run in another sequence under vmap, and the test does without them. A plain sum adds up the gradients
    of a layer norm's scale and shift, alone layer norm's own backward pass does: from the first step on they are
    off by 1e-7 of their size. And a bias is added after its product, alone the sum starts with it, which rounds
    differently where more than 384 numbers are summed (MKL). With both, the losses of 30 steps are off by at most
    5e-7 nats and parameters by 4e-6; `test_members_learn_what_they_learn_alone` has them in.
    """
    architecture = preset.architecture
    if not batched_products_keep_their_bits(architecture.width, architecture.feed_forward):
        pytest.skip("a batched product sums in another sequence than a single one on this processor")
    problem = Problem(square5.train, preset=preset)
    trainer, source, decoders = problem.together()
    freeze(zip(trainer.module.names, trainer.module.stacked, strict=True), words)
    curves = trainer.train(source, problem.recipe.steps)
    trainer.module.give(decoders)
    problem.learner = Frozen(architecture)
    problem.learner.words = words
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
    problem = Problem(square5.train, "bfloat16")
    _, curves = problem.train()
    for seed, curve in zip(SEEDS, curves, strict=True):
        torch.testing.assert_close(curve, problem.alone(seed)[1], rtol=0.02, atol=0)


def test_bfloat16_reaches_everything_between_products(square5, monkeypatch):
    """A bias that is added in float32 would make activations of twice the size."""
    seen, real = [], model.attend

    def attend(queries, *rest):
        seen.append(queries.dtype)
        return real(queries, *rest)

    monkeypatch.setattr("pyorder.models.decoder.attend", attend)
    trainer, source, _ = Problem(square5.train, "bfloat16").together()
    trainer.train(source, 1)
    assert set(seen) == {torch.bfloat16}


@pytest.mark.parametrize("preset", [TINY, DROPPING])
def test_a_second_run_starts_from_nothing(square5, preset):
    """The optimiser's moments and the parameters stay in place between runs; nothing of the first may be left."""
    problem = Problem(square5.train, preset=preset)
    trainer, source, _ = problem.together([1, 2, 4])
    trainer.train(source, problem.recipe.steps)
    assert torch.equal(problem.again(trainer, SEEDS), problem.train()[1])


def test_members_drop_different_units(square5):
    _, curves = Problem(square5.train, preset=DROPPING).train([3, 3, 3])
    assert len(set(curves[:, 0].tolist())) == 3


def test_the_callers_generators_are_left_alone(square5):
    problem = Problem(square5.train, preset=DROPPING)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    problem.train()
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def profiler(square5):
    return Profiler(
        square5.train, square5.validation, model=TINY, batch_size=16, precision="float32", device="cpu"
    )


def test_seeds_together_give_the_profile_of_seeds_alone(profiler, monkeypatch):
    alone = profiler.profile(ORDERS, seeds=range(5))
    monkeypatch.setattr(ensemble, "MOST_MEMBERS", 3)  # so that the last group is smaller
    profiler.together = {}
    shares = []
    together = profiler.profile(ORDERS, seeds=range(5), on_share=lambda stage, share: shares.append(share))
    assert sorted(profiler.together) == [2, 3]
    np.testing.assert_allclose(together.seed_loss, alone.seed_loss, rtol=1e-3)
    np.testing.assert_allclose(together.training_loss, alone.training_loss, rtol=1e-3)
    assert together.ranking.tolist() == alone.ranking.tolist()
    assert together.cost == alone.cost
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [TINY, TINY.but(layers=2), PRESETS["small"]])
def test_members_of_a_captured_step_learn_what_they_learn_alone(square5, preset):
    preset = preset.but(dropout=0.0, steps=30)
    on_gpu, on_cpu = (Problem(square5.train, preset=preset, device=device) for device in ("cuda", "cpu"))
    trainer, source, _ = on_gpu.together()
    curves = trainer.train(source, 30)
    assert trainer._graph is not None
    for seed, curve in zip(SEEDS, curves, strict=True):
        torch.testing.assert_close(curve, on_gpu.alone(seed)[1], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(curve, on_cpu.alone(seed)[1], rtol=1e-2, atol=1e-2)


@pytest.mark.gpu
def test_a_graph_serves_every_pool_and_gives_the_same_bits(square5):
    problem = Problem(square5.train, "bfloat16", preset=DROPPING, device="cuda")
    trainer, source, _ = problem.together()
    first = trainer.train(source, problem.recipe.steps)
    graph = trainer._graph
    problem.again(trainer, [1, 2, 4])
    assert torch.equal(problem.again(trainer, SEEDS), first)
    assert trainer._graph is graph
    assert torch.equal(problem.train()[1], first)


@pytest.mark.gpu
def test_a_replay_drops_other_units_and_leaves_the_callers_generator_alone(square5):
    """The same rows in every step and nothing learned: only what is dropped can change the loss."""
    problem = Problem(square5.train, preset=DROPPING.but(learning_rate=1e-30), device="cuda")
    trainer, _, _ = problem.together()
    rows, columns = torch.arange(48, device="cuda"), torch.arange(5, device="cuda").repeat(48, 1)
    torch.cuda.manual_seed(0)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(0)
    trainer.module.train()
    losses = trainer.take_steps(rows.repeat(5, 1), columns.repeat(5, 1, 1)).clone().T
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert all(len(set(curve.tolist())) == 5 for curve in losses)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_second_device_trains_too(square5):
    curves = [Problem(square5.train, device=device).train()[1] for device in ("cuda:0", "cuda:1")]
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
