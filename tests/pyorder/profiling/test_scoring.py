import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pyorder.data.schema import make_schema
from pyorder.data.tokens import Tokens
from pyorder.execution import row_slices
from pyorder.models.decoder import Decoder
from pyorder.models.learner import AnyOrderLearner, CustomLearner, DecoderLearner
from pyorder.profiling import scoring
from pyorder.profiling.scoring import chunks, prefix_ids, score
from pyorder.training.presets import PRESETS

VALUES, INPUTS, STEPS = 9, 4, 6
TINY = PRESETS["nano"].but(layers=2, heads=2, width=16, feed_forward=32)
LEARNER = DecoderLearner(TINY.architecture)
ORDERS = np.random.default_rng(0).permuted(np.tile(np.arange(STEPS), (50, 1)), axis=1)


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(0)
    return TINY(VALUES, INPUTS, STEPS).eval()


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(VALUES, (37, INPUTS), generator=generator)
    targets = torch.randint(VALUES, (37, STEPS), generator=generator)
    return Tokens(inputs, targets, make_schema(INPUTS, STEPS), VALUES)


def by_definition(module, rows, order):
    """Loss (R, L) by slot, from one plain forward pass in this order."""
    emitted = rows.targets[:, torch.from_numpy(order)]
    with torch.no_grad():
        logits = module(rows.inputs, emitted)
    return F.cross_entropy(logits.transpose(1, 2), emitted, reduction="none").numpy()


def test_prefixes_are_numbered_by_first_appearance():
    ids = prefix_ids(np.array([[2, 0, 1], [2, 1, 0], [0, 2, 1], [2, 0, 1]]))
    assert ids.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 0]]


@pytest.mark.parametrize("nodes", [1, 20, 10_000])
def test_chunks_hold_every_order_once_and_share_equal_prefixes(monkeypatch, nodes):
    monkeypatch.setattr(scoring, "NODES_A_CHUNK", nodes)
    seen = []
    for chunk in chunks(ORDERS):
        seen += chunk.candidates.tolist()
        orders = ORDERS[chunk.candidates]
        prefixes = {tuple(order[:j]) for order in orders for j in range(STEPS)}
        assert len(chunk.slot) == len(prefixes)  # one node for each distinct prefix
        for order, nodes_of_order in zip(orders, chunk.node, strict=True):
            assert chunk.slot[nodes_of_order].tolist() == list(range(STEPS))
            assert chunk.step_before[nodes_of_order].tolist() == [-1, *order[:-1]]
            for j, node in enumerate(nodes_of_order):
                assert np.flatnonzero(chunk.visible[node]).tolist() == sorted(nodes_of_order[: j + 1])
    assert sorted(seen) == list(range(len(ORDERS)))


@pytest.mark.parametrize("orders", [ORDERS, ORDERS[:1], np.repeat(ORDERS[:2], 3, axis=0)])
def test_the_tree_gives_the_loss_of_a_plain_forward_pass(decoder, rows, orders):
    row_loss, step_loss, _ = score(LEARNER, decoder, rows, orders, torch.float32)
    for t, order in enumerate(orders):
        wanted = by_definition(decoder, rows, order)
        np.testing.assert_allclose(row_loss[:, t], wanted.sum(1), rtol=1e-4)
        np.testing.assert_allclose(step_loss[t, order], wanted.mean(0), rtol=1e-4)


def test_a_callers_module_is_scored_the_same(decoder, rows):
    class Wrapped(torch.nn.Module):
        def forward(self, inputs, emitted, order=None):
            return decoder(inputs, emitted)

    tree = score(LEARNER, decoder, rows, ORDERS, torch.float32)
    plain = score(CustomLearner(lambda *_: Wrapped()), Wrapped(), rows, ORDERS, torch.float32)
    for one, other in zip(tree, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_module_that_is_told_the_order_is_scored_by_step(rows):
    """Its logits are by canonical column: with weights, so that each must meet its own step."""
    learner = AnyOrderLearner(TINY.architecture)
    torch.manual_seed(0)
    module = learner.build(rows.shape).eval()
    for link in module.links:
        torch.nn.init.normal_(link)
    weights = torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
    found = score(learner, module, rows, ORDERS[:5], torch.float32, weights=weights)
    for t, order in enumerate(ORDERS[:5]):
        with torch.no_grad():
            logits = module(rows.inputs, rows.targets, torch.from_numpy(order).expand(len(rows), -1))
        wanted = F.cross_entropy(logits.transpose(1, 2), rows.targets, reduction="none")
        np.testing.assert_allclose(found.row_loss[:, t], wanted.sum(1), rtol=1e-4)
        np.testing.assert_allclose(found.step_loss[t], wanted.mean(0), rtol=1e-4)
        np.testing.assert_allclose(found.weighted[:, t], wanted @ weights, rtol=1e-4)


def test_the_share_of_work_done_rises_to_one(decoder, rows):
    shares = []
    score(LEARNER, decoder, rows, ORDERS, torch.float32, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_relabelled_steps_give_identical_losses(decoder, rows):
    """Bit for bit: nothing may depend on how the steps are called."""
    shuffle = np.random.default_rng(5).permutation(STEPS)
    relabelled = np.argsort(shuffle)[ORDERS]
    row_loss, step_loss, _ = score(LEARNER, decoder, rows, ORDERS, torch.float32)
    row_again, step_again, _ = score(LEARNER, decoder, rows.reordered(shuffle), relabelled, torch.float32)
    assert np.array_equal(row_loss, row_again)
    assert np.array_equal(step_loss[:, shuffle], step_again)


def test_many_orders_take_bounded_memory(monkeypatch):
    """T = 5,040 orders: the model never works on more positions at once than for a few orders."""
    orders = np.array(list(itertools.permutations(range(7))))
    module = PRESETS["nano"].but(width=16, feed_forward=32)(VALUES, INPUTS, 7).eval()
    positions = []

    def write(memory, before, slots, visible):
        positions.append((before.numel(), visible.numel()))
        return Decoder.write(module, memory, before, slots, visible)

    monkeypatch.setattr(module, "write", write)
    given = torch.randint(VALUES, (40, INPUTS)), torch.randint(VALUES, (40, 7))
    tokens = Tokens(*given, make_schema(INPUTS, 7), VALUES)
    row_loss, *_ = score(LEARNER, module, tokens, orders, torch.float32)
    assert row_loss.shape == (40, 5040)
    assert np.max(positions, axis=0)[0] <= scoring.POSITIONS_A_BATCH["cpu"]
    # a chunk may have to repeat the path to its first order
    assert np.max(positions, axis=0)[1] <= (scoring.NODES_A_CHUNK + 7) ** 2
    # 8,660 prefixes are evaluated instead of 7 x 5,040 positions, but for those that a cut between chunks repeats.
    assert sum(done for done, _ in positions) < 40 * 8660 * 1.15


@pytest.mark.parametrize(("rows", "positions", "at_once", "sizes"), [
    (1000, 69, 65_536, [500, 500]), (10, 3, 12, [4, 4, 2]), (3, 50, 10, [1, 1, 1]), (0, 5, 10, []),
])  # fmt: skip
def test_rows_are_cut_alike(rows, positions, at_once, sizes):
    slices = list(row_slices(rows, positions, at_once))
    assert [part.stop - part.start for part in slices] == sizes
    assert [part.start for part in slices] == [sum(sizes[:place]) for place in range(len(sizes))]
