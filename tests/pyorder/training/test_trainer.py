"""The one training loop: what it is fed, and that it can be stopped, written, and taken up."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pyorder.data.tokens import Tokens
from pyorder.execution import RandomStream
from pyorder.models.learner import AnyOrderLearner, DecoderLearner
from pyorder.training import orders, presets, recipe, trainer
from pyorder.training.orders import Mixture, OneOrder, RowQueue, Succession, assign_orders
from pyorder.training.presets import EXPLORER, PRESETS
from pyorder.training.recipe import Recipe
from pyorder.training.trainer import Trainer, train_together

CPU = torch.device("cpu")
TINY = PRESETS["nano"].but(
    width=16, feed_forward=32, steps=40, batch_size=8, learning_rate=0.01, precision="float32"
)
DROPPING = TINY.but(dropout=0.3)


@pytest.mark.parametrize("module", [trainer, orders, recipe, presets])
def test_docstring_examples(doctests, module):
    doctests(module)


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


@pytest.mark.parametrize("sizes", [[320], [8] * 40, [1, 63, 65, 191]])
def test_every_pass_shows_every_row_once(sizes):
    queue = RowQueue(64, np.random.default_rng(0))
    passes = np.concatenate([queue.take(size) for size in sizes]).reshape(5, 64)
    assert all(sorted(one) == list(range(64)) for one in passes)
    assert (passes[0] != passes[1]).any()


def test_the_rate_rises_then_falls_to_zero():
    numbers = PRESETS["nano"].but(steps=40, learning_rate=0.5).recipe
    rates = [numbers.rate_at(step) for step in range(60)]
    assert numbers.record(CPU)["warmup"] == 10  # a quarter of the steps, not the preset's 50
    assert np.argmax(rates) == 10
    assert rates[10] == 0.5
    assert set(rates[40:]) == {0.0}  # past the end nothing is unlearned
    assert all(np.diff(rates[:11]) > 0)
    assert all(np.diff(rates[10:41]) < 0)


def test_a_constant_rate_rises_and_stays():
    rates = [EXPLORER.recipe.rate_at(step) for step in range(500)]
    assert all(np.diff(rates[:26]) > 0)
    assert set(rates[25:]) == {EXPLORER.recipe.learning_rate}


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
@pytest.mark.parametrize("given", ["1e-3", None, [0.1]])
def test_a_rate_that_is_no_number_is_refused_by_name(name, given):
    with pytest.raises(TypeError, match=f"^{name}: expected a number, got "):
        Recipe(**{"steps": 1, "learning_rate": 1.0, name: given})


def make(tokens, preset=TINY, seed=0, learner=None, **options):
    learner = learner or DecoderLearner(preset.architecture)
    stream = RandomStream(seed, CPU)
    with stream.lent():
        module = learner.build(tokens.shape)
    rows = len(options["subset"]) if "subset" in options else len(tokens)
    queue = RowQueue(rows, np.random.default_rng(seed))
    return Trainer(learner, module, tokens, preset.recipe, queue, stream=stream, **options)


@pytest.fixture(scope="module")
def tokens(square5):
    return Tokens.of(square5.train.select(range(200)), "train", CPU)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.8)])
def test_steps_are_adamws_on_the_mean_loss_of_their_rows(tokens, betas, take_steps):
    """Against the same written out with a plain forward pass."""
    trainer = make(tokens, TINY.but(betas=betas))
    module = copy.deepcopy(trainer.module)
    optimiser = torch.optim.AdamW(module.parameters(), betas=betas, weight_decay=0.01)
    for step in range(3):
        rows = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6]) + step
        columns = torch.stack(
            [torch.randperm(5, generator=torch.Generator().manual_seed(row)) for row in rows.tolist()]
        )
        emitted = tokens.targets[rows].long().gather(1, columns)
        logits = module(tokens.inputs[rows].long(), emitted)
        loss = F.cross_entropy(logits.flatten(0, 1), emitted.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = TINY.recipe.rate_at(step)
        optimiser.step()
        trainer.module.train()
        assert take_steps(trainer, rows[None], columns[None]).item() == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs in zip(trainer.module.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("betas", "error"),
    [((0.9,), ValueError), ((0.9, 1.0), ValueError), ((-0.1, 0.9), ValueError), (0.9, TypeError)],
)
def test_betas_that_are_none_are_refused(betas, error):
    with pytest.raises(error, match="betas: two numbers from 0 to below 1 are needed, "):
        TINY.but(betas=betas)


@pytest.mark.parametrize("learner", [None, AnyOrderLearner(TINY.architecture)])
def test_a_batch_that_is_learned_in_parts_takes_the_step_of_the_whole(tokens, learner, monkeypatch, take_steps):
    rows, columns = torch.arange(30, 47), torch.stack([torch.randperm(5) for _ in range(17)])
    preset = TINY.but(batch_size=17)
    whole = make(tokens, preset, learner=learner)
    scores = whole.learner.scores(tokens.shape)
    assert scores == TINY.architecture.heads * 5 * 10
    monkeypatch.setattr(trainer, "SCORES_AT_ONCE", 4 * scores)
    monkeypatch.setattr(trainer, "FEWEST_ROWS", 1)
    parts = make(tokens, preset, learner=learner)
    assert (whole.rows_at_once, parts.rows_at_once) == (17, 4)
    for one in (whole, parts):
        one.module.train()
    assert take_steps(parts, rows[None], columns[None]).item() == pytest.approx(
        take_steps(whole, rows[None], columns[None]).item(), rel=1e-6
    )
    for ours, theirs in zip(parts.module.parameters(), whole.module.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("preset", [TINY, DROPPING])
@pytest.mark.parametrize("learner", [None, AnyOrderLearner(TINY.architecture)])
def test_a_run_that_is_written_down_and_taken_up_is_the_run_that_was_not(tokens, preset, learner, tmp_path):
    source = OneOrder(torch.tensor([2, 0, 1, 4, 3]))
    whole = make(tokens, preset, learner=learner)
    expected = whole.train(source, 40)
    first = make(tokens, preset, learner=learner)
    losses = first.train(source, 13)
    torch.save(first.state(), tmp_path / "state")
    second = make(tokens, preset, seed=5, learner=learner)
    second.restore(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(torch.cat([losses, second.train(source, 27)]), expected)
    for ours, theirs in zip(second.module.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_rows_and_orders_are_those_that_were_asked_for(tokens, monkeypatch):
    seen = []
    trainer = make(tokens, subset=torch.arange(100, 150))

    def taking(rows, columns, losses):
        seen.append((rows.flatten(), columns.flatten(0, 1)))
        yield from range(len(rows))

    monkeypatch.setattr(trainer, "_taking", taking)
    table = torch.tensor([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    assigned = torch.arange(50) % 2
    trainer.train(Mixture(table, assigned), 25)
    rows, columns = (torch.cat(part) for part in zip(*seen, strict=True))
    assert rows.sort().values.tolist() == sorted([*range(100, 150)] * 4)
    assert torch.equal(columns, table[(rows - 100) % 2])


def test_many_steps_are_handed_over_in_parts(tokens, monkeypatch):
    expected = make(tokens).train(OneOrder(torch.arange(5)), 30)
    monkeypatch.setattr(trainer, "STEPS_AT_ONCE", 7)
    assert torch.equal(make(tokens).train(OneOrder(torch.arange(5)), 30), expected)


def test_step_weights_make_the_loss_a_weighted_mean_over_steps(tokens):
    source = OneOrder(torch.arange(5))
    weighted = make(tokens, TINY.but(step_weights=(0, 0, 3, 0, 1))).train(source, 1)
    rows = make(tokens).queue.take(8)
    trainer = make(tokens)
    with torch.no_grad():
        batch = tokens.batch(torch.from_numpy(rows), torch.arange(5).expand(8, -1))
        by_step = trainer.learner.step_loss(trainer.module, batch)
    plain = (3 * by_step[:, 2] + by_step[:, 4]).mean().item() / 4
    assert weighted.item() == pytest.approx(plain, rel=1e-5)
    with pytest.raises(ValueError, match="^step_weights: 4 given, the data has 5 steps$"):
        make(tokens, TINY.but(step_weights=(1,) * 4))


@pytest.mark.parametrize(
    ("weights", "error"),
    [((0, 0), ValueError), ((1, -1), ValueError), ((1, np.nan), ValueError), ((), ValueError), (3, TypeError)],
)
def test_step_weights_that_weigh_nothing_are_refused(weights, error):
    with pytest.raises(error, match="^step_weights: "):
        TINY.but(step_weights=weights)


def test_a_succession_goes_on_where_it_was(tokens):
    shown = torch.stack([torch.randperm(5) for _ in range(8 * 6)])
    whole = make(tokens).train(Succession(shown), 6)
    parts = make(tokens)
    source = Succession(shown)
    assert torch.equal(torch.cat([parts.train(source, 2), parts.train(source, 4)]), whole)


def test_the_callers_generators_are_left_alone(tokens):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    make(tokens, DROPPING).train(OneOrder(torch.arange(5)), 3)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("preset", [TINY, DROPPING])
def test_several_side_by_side_learn_what_each_learns_alone(tokens, preset):
    """In every bit, with orders and random numbers of their own."""
    sources = [OneOrder(torch.randperm(5)) for _ in range(3)]
    told = []
    together = [make(tokens, preset, seed) for seed in range(3)]
    losses = train_together(together, sources, 15, told.append)
    assert told == list(range(15))
    for seed, one in enumerate(together):
        alone = make(tokens, preset, seed)
        assert torch.equal(losses[seed], alone.train(sources[seed], 15))
        assert not one.module.training
        for ours, theirs in zip(one.module.parameters(), alone.module.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def begin(tokens, preset, seed, kind=None):
    """A trainer on the GPU."""
    device = torch.device("cuda")
    on_gpu = replace(tokens, inputs=tokens.inputs.to(device), targets=tokens.targets.to(device))
    learner, stream = kind or DecoderLearner(preset.architecture), RandomStream(seed, device)
    with stream.lent():
        module = learner.build(on_gpu.shape).to(device)
    queue = RowQueue(len(on_gpu), np.random.default_rng(seed))
    return Trainer(learner, module, on_gpu, preset.recipe, queue, stream=stream)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [TINY, DROPPING, PRESETS["small"].but(steps=300, learning_rate=1e-3)])
def test_steps_that_are_replayed_side_by_side_learn_what_each_learns_alone(tokens, preset):
    """Also where each draws what it drops; on a CPU the same but for rounding."""
    sources = [OneOrder(torch.randperm(5).to("cuda")) for _ in range(8)]
    losses = train_together([begin(tokens, preset, seed) for seed in range(8)], sources, 300)
    for seed in range(8):
        alone = begin(tokens, preset, seed).train(sources[seed], 300)
        torch.testing.assert_close(losses[seed], alone, rtol=1e-4, atol=1e-5)
    if not preset.architecture.dropout:
        trainer = make(tokens, preset)
        trainer.module.load_state_dict(begin(tokens, preset, 0).module.state_dict())
        on_cpu = trainer.train(OneOrder(sources[0].order.cpu()), 30)
        torch.testing.assert_close(losses[0, :30], on_cpu, rtol=1e-2, atol=1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [TINY, DROPPING])
def test_a_captured_step_waits_for_nothing(tokens, preset, waiting_is_an_error, take_steps):
    """Drawing rows, looking orders up, a step and its loss."""
    trainer = begin(tokens, preset, 0)
    trainer.subset = torch.arange(len(tokens), device="cuda")
    table = trainer.tokens.column_orders(np.array([np.arange(5), np.arange(5)[::-1]]))
    source = Mixture(table, trainer.subset % 2)
    trainer.train(source, 2)
    graph = trainer._graph
    assert graph is not None
    trainer.module.train()
    torch.cuda.synchronize()
    with waiting_is_an_error():
        places = trainer._places(20)
        losses = take_steps(trainer, trainer._rows(places), source.columns(places))
    assert trainer._graph is graph
    assert losses.isfinite().all()
    assert len(losses.unique()) == losses.numel()


@pytest.mark.gpu
def test_a_recorded_step_serves_every_run_and_gives_the_same_bits(tokens):
    source = OneOrder(torch.arange(5, device="cuda"))
    trainer = begin(tokens, DROPPING, 0)
    parameters = copy.deepcopy(trainer.module.state_dict())
    first = trainer.train(source, 40)
    graph = trainer._graph
    for seed, same in ((1, False), (0, True)):
        trainer.module.load_state_dict(parameters)
        stream = RandomStream(seed, trainer.device)
        with stream.lent():
            trainer.learner.build(tokens.shape)  # what `begin` drew
        queue = RowQueue(len(tokens), np.random.default_rng(seed))
        trainer.restart(queue, stream, torch.arange(len(tokens), device="cuda"))
        assert torch.equal(trainer.train(source, 40), first) is same
    assert trainer._graph is graph


@pytest.mark.gpu
def test_a_replay_drops_other_units_and_leaves_the_callers_generator_alone(tokens, take_steps):
    """The same rows in every step and nothing learned: only what is dropped can change the loss."""
    trainer = begin(tokens, DROPPING.but(learning_rate=1e-30), 0)
    rows, columns = torch.arange(48, device="cuda"), torch.arange(5, device="cuda").repeat(48, 1)
    torch.cuda.manual_seed(0)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(0)
    trainer.module.train()
    losses = take_steps(trainer, rows.repeat(5, 1), columns.repeat(5, 1, 1))
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert len(set(losses.tolist())) == 5


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [TINY, DROPPING])
@pytest.mark.parametrize("learner", [None, AnyOrderLearner(TINY.architecture)])
def test_a_captured_run_that_is_taken_up_goes_on_at_its_rates(tokens, preset, learner):
    source = OneOrder(torch.tensor([2, 0, 1, 4, 3], device="cuda"))
    expected = begin(tokens, preset, 0, learner).train(source, 40)
    first = begin(tokens, preset, 0, learner)
    losses = first.train(source, 13)
    second = begin(tokens, preset, 5, learner)
    second.train(source, 2)  # so that a graph and moments are there
    second.restore(first.state())
    torch.testing.assert_close(torch.cat([losses, second.train(source, 27)]), expected, rtol=1e-3, atol=1e-4)
