"""The any-order decoder: what a slot sees, and what it does not."""

from dataclasses import replace

import pytest
import torch

from pyorder.models import any_order
from pyorder.models.any_order import AnyOrderDecoder
from pyorder.training.presets import EXPLORER

V, X, L = 7, 4, 6


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    decoder = AnyOrderDecoder(replace(EXPLORER.architecture, width=32, feed_forward=64), V, X, L).eval()
    for link in decoder.links:
        torch.nn.init.normal_(link, std=0.1)
    return decoder


def batch(seed=0, rows=3):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(V, (rows, X), generator=generator)
    targets = torch.randint(V, (rows, L), generator=generator)
    return inputs, targets, torch.rand((rows, L), generator=generator).argsort(1)


def test_docstring_examples(doctests):
    doctests(any_order)


@pytest.mark.parametrize("learning", [False, True])  # two ways of attention
def test_a_step_sees_the_steps_before_it_and_no_others(decoder, learning):
    inputs, targets, order = batch()
    slots = order.argsort(1)
    with torch.set_grad_enabled(learning):
        logits = decoder(inputs, targets, order)
        for step in range(L):
            changed = targets.clone()
            changed[:, step] = (changed[:, step] + 1) % V
            moved = (decoder(inputs, changed, order) != logits).any(2)
            assert torch.equal(moved, slots[:, step, None] < slots)


def test_every_step_sees_the_whole_input(decoder):
    inputs, targets, order = batch()
    logits = decoder(inputs, targets, order)
    for place in range(X):
        changed = inputs.clone()
        changed[:, place] = (changed[:, place] + 1) % V
        assert (decoder(changed, targets, order) != logits).any(2).all()


def test_earlier_steps_are_a_set(decoder):
    """Emitted in another sequence, the steps before a step tell it the same."""
    inputs, targets, order = batch()
    other = torch.cat([order[:, [3, 0, 4, 2, 1]], order[:, 5:]], dim=1)
    rows = torch.arange(len(order))
    logits, others = decoder(inputs, targets, order), decoder(inputs, targets, other)
    assert torch.allclose(others[rows, order[:, -1]], logits[rows, order[:, -1]], atol=1e-6)


def test_links_decide_where_a_step_looks():
    torch.manual_seed(0)
    decoder = AnyOrderDecoder(EXPLORER.architecture, V, X, L).eval()
    inputs, targets, order = (
        torch.zeros(1, X, dtype=torch.long),
        torch.zeros(1, L, dtype=torch.long),
        torch.arange(L),
    )
    changed = inputs.clone()
    changed[0, 2] = 1
    for link in decoder.links:
        assert not link.any()  # no step or input is favoured to begin with
        torch.nn.init.constant_(link[:, 4, 2], -100 / any_order.LINK_RATE)
    moved = (decoder(changed, targets, order[None]) - decoder(inputs, targets, order[None])).abs().amax((0, 2))
    assert moved[4] < 1e-6 < moved[[0, 1, 2, 3, 5]].min()


def test_a_hidden_input_is_a_token_of_its_own(decoder):
    inputs, targets, order = batch()
    hidden = inputs.clone()
    hidden[:, 0] = decoder.hidden
    assert decoder.hidden == V
    assert not torch.allclose(decoder(hidden, targets, order), decoder(inputs, targets, order))


def test_a_column_sees_earlier_columns_of_its_own_step_and_whole_steps_before(decoder):
    """Steps of two, one and three columns, in another order in every row, against a plain loop."""
    spans = [(0, 1), (2,), (3, 4, 5)]
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]
    columns = torch.tensor([[column for step in order for column in spans[step]] for order in orders])
    inputs, targets, _ = batch()
    logits = decoder(inputs, targets, columns)
    for column in range(L):
        changed = targets.clone()
        changed[:, column] = (changed[:, column] + 1) % V
        moved = (decoder(inputs, changed, columns) != logits).any(2)
        for row, order in enumerate(orders):
            written = [one for step in order for one in spans[step]]
            after = written[written.index(column) + 1 :]
            assert sorted(moved[row].nonzero().flatten().tolist()) == sorted(after)


def test_without_inputs_the_first_column_has_something_to_look_at():
    torch.manual_seed(0)
    decoder = AnyOrderDecoder(replace(EXPLORER.architecture, width=32, feed_forward=64), V, 0, L).eval()
    targets = torch.zeros(2, L, dtype=torch.long)
    order = torch.arange(L).expand(2, -1)
    assert torch.isfinite(decoder(torch.zeros(2, 0, dtype=torch.long), targets, order)).all()


def test_nobody_looks_at_padding(decoder):
    inputs, targets, order = batch()
    padding = torch.zeros(3, L, dtype=torch.bool)
    padding[:, 2] = True
    changed = targets.clone()
    changed[:, 2] = (changed[:, 2] + 1) % V
    assert torch.equal(decoder(inputs, targets, order, padding), decoder(inputs, changed, order, padding))
    assert not torch.equal(decoder(inputs, targets, order), decoder(inputs, changed, order))
