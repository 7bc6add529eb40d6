"""The any-order decoder: what a slot sees, and what it does not."""

from dataclasses import replace

import pytest
import torch

from pyorder import any_order
from pyorder.any_order import EXPLORER, AnyOrderDecoder

V, X, L = 7, 4, 6


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return AnyOrderDecoder(replace(EXPLORER, width=32, feed_forward=64), V, X, L).eval()


def batch(seed=0, rows=3):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(V, (rows, X), generator=generator)
    emitted = torch.randint(V, (rows, L), generator=generator)
    return inputs, emitted, torch.rand((rows, L), generator=generator).argsort(1)


def test_docstring_examples(doctests):
    doctests(any_order)


def test_a_slot_sees_no_own_or_later_value_and_no_later_step(decoder):
    inputs, emitted, order = batch()
    logits = decoder(inputs, emitted, order)
    for slot in range(L):
        changed = emitted.clone()
        changed[:, slot:] = (changed[:, slot:] + 1) % V
        assert torch.equal(decoder(inputs, changed, order)[:, : slot + 1], logits[:, : slot + 1])
        other = order.clone()
        other[:, slot + 1 :] = other[:, slot + 1 :].flip(1)
        assert torch.equal(decoder(inputs, emitted, other)[:, : slot + 1], logits[:, : slot + 1])
        if slot:  # what was emitted before does count
            assert not torch.allclose(decoder(inputs, changed.roll(1, 1), order)[:, slot], logits[:, slot])


def test_earlier_steps_are_a_set(decoder):
    """Emitted in another sequence, with the same values: the last slot predicts the same."""
    inputs, emitted, order = batch()
    shuffle = torch.tensor([3, 0, 4, 2, 1, 5])
    logits = decoder(inputs, emitted, order)
    other = decoder(inputs, emitted[:, shuffle], order[:, shuffle])
    assert torch.allclose(other[:, -1], logits[:, -1], atol=1e-5)


def test_it_knows_the_step_to_come_and_the_steps_before(decoder):
    inputs, emitted, order = batch()
    logits = decoder(inputs, emitted, order)
    swapped = order.clone()
    swapped[:, [0, 1]] = order[:, [1, 0]]  # the same values under other names
    moved = (decoder(inputs, emitted, swapped) - logits).abs().amax((0, 2))
    assert (moved > 1e-6).all()


def test_a_hidden_input_is_a_token_of_its_own(decoder):
    inputs, emitted, order = batch()
    hidden = inputs.clone()
    hidden[:, 0] = decoder.hidden
    assert decoder.hidden == V
    assert not torch.allclose(decoder(hidden, emitted, order), decoder(inputs, emitted, order))
