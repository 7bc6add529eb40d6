"""Steps of several columns, rows with gaps, and targets without inputs, against plain loops over rows."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, norm, sem

import pyorder
from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.models.learner import CustomLearner, DecoderLearner
from pyorder.profiling.scoring import score
from pyorder.report.comparison import beaten, tells
from pyorder.training.generation import generate, row_losses
from pyorder.training.presets import PRESETS

CPU = torch.device("cpu")
TINY = PRESETS["nano"].but(
    layers=2, heads=2, width=16, feed_forward=32, steps=30, batch_size=32, precision="float32"
)
ORDERS = np.array(list(itertools.permutations(range(3))))


def make(inputs=3, rows=40, gaps=True, missing="symbol", widths=(2, 1, 3)):
    """Rows of three steps of unequal widths; with gaps every step may end early, or be missing."""
    rng = np.random.default_rng(0)
    targets = np.ma.array(rng.integers(5, size=(rows, sum(widths))))
    if gaps:
        starts = np.cumsum([0, *widths])
        for row in range(rows):
            for start, width in zip(starts, widths, strict=False):
                targets[row, start + rng.integers(width + 1) : start + width] = np.ma.masked
    return pyorder.Dataset(
        rng.integers(5, size=(rows, inputs)), targets if gaps else targets.data, widths=widths, missing=missing
    )


KINDS = [
    {"gaps": False},
    {"gaps": True},
    {"gaps": True, "missing": "mask"},
    {"gaps": True, "inputs": 0},
    {"gaps": False, "inputs": 0, "widths": (1, 1, 1)},
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=repr)


def built(tokens, seed=0):
    torch.manual_seed(seed)
    return TINY(*tokens.shape).eval()


def columns_of(tokens, order):
    """The columns of an order of steps, one step after the other."""
    offsets = np.cumsum([0, *tokens.schema.widths])
    return [column for step in order for column in range(offsets[step], offsets[step + 1])]


@torch.no_grad()
def write_by_hand(module, tokens, row, columns, choose):
    """Place by place, with what was emitted in the memory and nothing else; ``choose`` gives the id of a place."""
    memory = module.read(tokens.inputs[row : row + 1].long())
    last, padding = module.separator[None], False
    itself = torch.ones(1, 1, dtype=torch.bool)
    for place, column in enumerate(columns):
        logits, longer = module.write(memory, last, torch.tensor([place]), itself)
        if not padding:
            memory = longer
        chosen = choose(place, column, logits[0, 0])
        padding = chosen == IGNORED
        last = torch.tensor([[tokens.vocabulary_size - 1 if padding else chosen]])


def losses_by_hand(module, tokens, order):
    """Nats (R, L) by canonical step."""
    found = np.zeros((len(tokens), 3))
    step_of = np.repeat(np.arange(3), tokens.schema.widths)
    for row in range(len(tokens)):

        def told(place, column, logits, row=row):
            target = int(tokens.targets[row, column])
            if target != IGNORED:
                found[row, step_of[column]] -= float(logits.double().log_softmax(0)[target])
            return target

        write_by_hand(module, tokens, row, columns_of(tokens, order), told)
    return found


@kinds
def test_a_mixture_of_orders_is_emitted_as_a_plain_loop_would(kind):
    tokens = Tokens.of(make(**kind), "train", CPU)
    which = np.arange(len(tokens)) % len(ORDERS)
    batch = tokens.batch(torch.arange(len(tokens)), tokens.column_orders(ORDERS[which]))
    for row, order in enumerate(ORDERS[which]):
        columns = columns_of(tokens, order)
        assert batch.columns[row].tolist() == columns
        assert batch.order[row].tolist() == order.tolist()
        wanted = [int(tokens.targets[row, column]) for column in columns]
        emitted = [tokens.vocabulary_size - 1 if token == IGNORED else token for token in wanted]
        assert batch.emitted[row].tolist() == emitted


@kinds
def test_losses_are_those_of_a_plain_loop(kind):
    tokens = Tokens.of(make(**kind), "train", CPU)
    module, learner = built(tokens), DecoderLearner(TINY.architecture)
    for order in ORDERS[[1, 4]]:
        found = row_losses(learner, module, tokens, order, torch.float32)
        np.testing.assert_allclose(found, losses_by_hand(module, tokens, order), rtol=1e-4, atol=1e-5)


@kinds
def test_a_mixture_trains_on_the_same_losses(kind):
    """Rows in different orders, whose spans lie at different places."""
    tokens = Tokens.of(make(**kind), "train", CPU)
    module, learner = built(tokens), DecoderLearner(TINY.architecture)
    which = np.arange(len(tokens)) % len(ORDERS)
    batch = tokens.batch(torch.arange(len(tokens)), tokens.column_orders(ORDERS[which]))
    with torch.no_grad():
        found = learner.step_loss(module, batch)
    wanted = np.stack([losses_by_hand(module, tokens, order) for order in ORDERS])
    np.testing.assert_allclose(found, wanted[which, np.arange(len(tokens))], rtol=1e-4, atol=1e-5)


@kinds
def test_the_scoring_tree_gives_the_losses_of_a_plain_loop(kind):
    tokens = Tokens.of(make(**kind), "train", CPU)
    module = built(tokens)
    row_loss, step_loss, _ = score(DecoderLearner(TINY.architecture), module, tokens, ORDERS, torch.float32)
    for number, order in enumerate(ORDERS):
        wanted = losses_by_hand(module, tokens, order)
        np.testing.assert_allclose(row_loss[:, number], wanted.sum(1), rtol=1e-4)
        np.testing.assert_allclose(step_loss[number], wanted.mean(0), rtol=1e-4, atol=1e-6)


@kinds
def test_generation_is_that_of_a_plain_loop(kind):
    tokens = Tokens.of(make(**kind), "train", CPU)
    module = built(tokens)
    for order in ORDERS[[0, 3]]:
        found = generate(DecoderLearner(TINY.architecture), module, tokens, order, torch.float32)
        starts = set(np.cumsum([0, *np.array(tokens.schema.widths)[order]]).tolist())
        for row in range(len(tokens)):
            wanted, ended = {}, False

            def greedy(place, column, logits, wanted=wanted, starts=starts):
                nonlocal ended
                ended = ended and place not in starts
                wanted[column] = IGNORED if ended else int(logits.argmax())
                ended = ended or (tokens.padded and wanted[column] == tokens.vocabulary_size - 1)
                return wanted[column]

            write_by_hand(module, tokens, row, columns_of(tokens, order), greedy)
            assert found[row].tolist() == [wanted[column] for column in sorted(wanted)]


@pytest.mark.parametrize("gaps", [False, True])
def test_a_callers_module_generates_and_is_scored(gaps):
    """It is given a filler where there is nothing; without gaps it does what the decoder does."""
    tokens = Tokens.of(make(gaps=gaps), "train", CPU)
    decoder = built(tokens)

    class Wrapped(torch.nn.Module):
        def forward(self, inputs, emitted, order=None):
            assert emitted.min() >= 0
            return decoder(inputs, emitted)

    learner, module = CustomLearner(lambda *_: Wrapped()), Wrapped()
    written = generate(learner, module, tokens, ORDERS[3], torch.float32)
    losses = score(learner, module, tokens, ORDERS, torch.float32)[0]
    assert np.isfinite(losses).all()
    if not gaps:
        ours = DecoderLearner(TINY.architecture)
        assert torch.equal(written, generate(ours, decoder, tokens, ORDERS[3], torch.float32))
        np.testing.assert_allclose(losses, score(ours, decoder, tokens, ORDERS, torch.float32)[0], rtol=1e-4)


def all_targets(gaps):
    """Every target of a step of one column and one of two, over the values 3 and 5."""
    first = [[value] for value in (3, 5)] + ([[None]] if gaps else [])
    second = [list(pair) for pair in itertools.product((3, 5), repeat=2)]
    second += [[3, None], [5, None], [None, None]] if gaps else []
    rows = [one + other for one in first for other in second]
    mask = [[value is None for value in row] for row in rows]
    return np.ma.masked_array([[value or 3 for value in row] for row in rows], mask) if gaps else np.array(rows)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_likelihood_adds_up_to_one_and_samples_follow_it(gaps, order):
    rows = all_targets(gaps)
    rng = np.random.default_rng(1)
    data = pyorder.Dataset(
        None, rows[rng.integers(len(rows), size=300)], widths=[1, 2], vocabulary=[3, 5], ends=gaps
    )
    fitted = pyorder.fit(data, order, test=data, model=TINY, seed=2)
    every = pyorder.Dataset(None, rows, widths=[1, 2], vocabulary=[3, 5], ends=gaps)
    chances = np.exp(fitted.log_likelihood(every).astype(float))
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    drawn = fitted.sample(np.zeros((6000, 0), int), seed=4)
    assert np.ma.isMaskedArray(drawn) == gaps
    names = [str(row) for row in rows.tolist()]
    counts = np.array([[str(row) for row in drawn.tolist()].count(name) for name in names])
    assert counts.sum() == 6000
    assert chisquare(counts, 6000 * chances / chances.sum()).pvalue > 1e-4
    again, other = (fitted.sample(np.zeros((6000, 0), int), seed=seed) for seed in (4, 5))
    assert again.tolist() == drawn.tolist() != other.tolist()


def test_the_row_loss_of_a_final_training_is_that_of_its_test_rows():
    data = make(rows=300)
    train, test = data.select(range(200)), data.select(range(200, 300))
    fitted = pyorder.fit(train, [2, 0, 1], test=test, model=TINY)
    np.testing.assert_allclose(fitted.row_losses, -fitted.log_likelihood(test), rtol=1e-5)
    assert fitted.row_loss == pytest.approx(fitted.row_losses.mean())
    assert fitted.step_loss.sum() == pytest.approx(fitted.row_loss, rel=1e-5)
    low, high = fitted.row_loss_interval
    error = sem(fitted.row_losses.astype(float))
    assert (low, high) == pytest.approx(norm.interval(0.95, fitted.row_loss, error), rel=1e-6)
    assert fitted.summary()["row_loss"] == fitted.row_loss
    assert fitted.summary()["row_loss_interval"] == [low, high]
    predicted, wanted = (
        np.ma.filled(part, -1) for part in (fitted.predict(test.inputs), test.decode(test.encode()[1]))
    )
    assert (predicted == wanted).all(1).tolist() == fitted.success.tolist()


def test_one_test_row_tells_no_orders_apart():
    """Not even the one that it loses least in, beside one that it loses most in."""
    data = make(rows=300)
    train, test = data.select(range(200)), data.select([250])
    told = {}
    for name, loss in (("discovered", 9.0), ("reverse", 0.1)):
        fitted = pyorder.fit(train, [2, 0, 1], test=test, model=TINY)
        fitted = replace(fitted, row_losses=np.full(1, loss, np.float32))
        assert fitted.row_loss_interval == (-np.inf, np.inf)
        told[name] = json.loads(json.dumps(fitted.summary(), allow_nan=False))
    assert beaten(told) == []
    assert tells(list(told.values())) == "success"


def test_a_masked_step_is_neither_seen_nor_lost():
    """missing="mask": the row counts as if the step were not there."""
    data = make(missing="mask")
    tokens = Tokens.of(data, "train", CPU)
    module, learner = built(tokens), DecoderLearner(TINY.architecture)
    losses = row_losses(learner, module, tokens, ORDERS[0], torch.float32)
    gone = torch.from_numpy(np.asarray(data.lengths) == 0)
    assert gone.any()
    assert (losses[gone] == 0).all()
    assert (losses[~gone] > 0).all()


def test_only_steps_that_rows_have_are_counted_as_right():
    """missing="mask", against a loop over rows; no row has the middle one."""
    data = make(rows=300, missing="mask")
    train, test = data.select(range(200)), data.select(np.arange(200, 300)[data.lengths[200:, 1] == 0])
    fitted = pyorder.fit(train, [2, 0, 1], test=test, validation=test, model=TINY)
    tokens = Tokens.of(test, "test", CPU, (fitted.vocabulary, fitted.schema))
    written = generate(fitted.learner, fitted.model, tokens, fitted.order, torch.float32)
    columns = torch.from_numpy(tokens.schema.column_orders(np.array([[2, 0, 1]]))).expand(len(tokens), -1)
    batch = tokens.batch(torch.arange(len(tokens)), columns)
    with torch.no_grad():
        logits = fitted.learner.logits(fitted.model, batch, batch.emitted)
    predicted = torch.empty_like(columns).scatter(1, columns, logits.argmax(-1))
    shares, hits = [], []
    for step, span in enumerate([(0, 1), (2,), (3, 4, 5)]):
        right = []
        for row, ids in enumerate(tokens.targets.tolist()):
            wanted = [column for column in span if ids[column] != IGNORED]
            if wanted:
                right.append(all(int(written[row, column]) == ids[column] for column in wanted))
                hits.append(all(int(predicted[row, column]) == ids[column] for column in wanted))
        assert len(right) == (test.lengths[:, step] > 0).sum()
        shares.append(np.mean(right) if right else np.nan)
    assert np.isnan(shares).tolist() == [False, True, False]
    np.testing.assert_allclose(fitted.step_accuracy, shares)
    assert fitted.validation_curve[-1, 2] == pytest.approx(np.mean(hits))


@pytest.mark.parametrize("strategy", [
    pyorder.search.Precedence(rounds=2, samples=64, candidates=6), pyorder.search.Random(candidates=6, pool=6),
    pyorder.search.Hierarchical(depth=2), pyorder.search.Greedy(completions=2),
], ids=repr)  # fmt: skip
@kinds
def test_every_search_takes_spans(strategy, kind):
    data = make(rows=400, **kind)
    train, validation = data.select(range(300)), data.select(range(300, 400))
    found = pyorder.search.discover_shuffled(
        train, validation=validation, strategy=strategy, model=TINY, steps=3, seed=1
    )
    assert sorted(found.order.tolist()) == [0, 1, 2]
    assert found.history[-1].profile.step_loss.shape[1] == 3


def test_soft_search_takes_spans_of_one_width_and_no_others():
    data = make(rows=400, gaps=False, widths=(2, 2, 2))
    soft = pyorder.search.Soft(restarts=1, steps=10, candidates=6, samples=32)
    found = pyorder.discover(data, validation=data, strategy=soft, model=TINY, steps=3)
    assert sorted(found.order.tolist()) == [0, 1, 2]
    for other in (make(gaps=False), make(gaps=True, widths=(2, 2, 2))):
        with pytest.raises(ValueError, match="^strategy: 'soft' mixes steps, so all must have one width"):
            pyorder.discover(other, validation=other, strategy=soft, model=TINY, steps=3)
