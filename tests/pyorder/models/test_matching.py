"""Look-ups: what equals what, what stands beside it, and that nothing is found before it is learned."""

from dataclasses import replace

import pytest
import torch

from pyorder.models import matching
from pyorder.models.any_order import AnyOrderDecoder
from pyorder.models.matching import RATE, WAYS, Matching, equals
from pyorder.training.presets import EXPLORER

V, X, L = 5, 6, 3
HIDDEN = V
SMALL = replace(EXPLORER.architecture, width=8, heads=2, feed_forward=16)


def given(seed=0, rows=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(V + 1, (rows, X + L), generator=generator)  # with hidden ones among them


@pytest.fixture
def trained():
    torch.manual_seed(0)
    made = Matching(SMALL, V, X)
    torch.nn.init.normal_(made.beside, std=0.1)
    return made


def test_docstring_examples(doctests):
    doctests(matching)


def test_equals_is_equality_but_of_a_place_with_itself():
    tokens = given()
    found = equals(tokens, tokens[:, :X], HIDDEN)
    for row, line in enumerate(tokens.tolist()):
        for place, token in enumerate(line):
            for other, value in enumerate(line[:X]):
                same = token == value and value != HIDDEN and place != other
                assert found[row, place, other] == same


def test_what_is_found_is_the_sum_over_equals_and_what_stands_beside_them(trained):
    tokens = given(1)
    found = trained(tokens, HIDDEN)
    table = trained.values.reshape(WAYS, V + 1, -1)
    beside = trained.beside.reshape(X, WAYS, X)
    for row, line in enumerate(tokens.tolist()):
        for place, token in enumerate(line):
            wanted = torch.zeros(SMALL.width)
            for at in (p for p in range(X) if line[p] == token != HIDDEN and p != place):
                for way in range(WAYS):
                    for there in range(X):
                        wanted += RATE * beside[at, way, there] * table[way, line[there]]
            torch.testing.assert_close(found[row, place], wanted, rtol=1e-4, atol=1e-4)


def test_a_decoder_looks_up_only_when_told_and_finds_nothing_at_first():
    torch.manual_seed(0)
    decoder = AnyOrderDecoder(SMALL, V, X, L)
    tokens = given(2).clamp(max=V - 1)
    call = tokens[:, :X], tokens[:, X:], torch.rand(len(tokens), L).argsort(1)
    before = decoder(*call)
    before.sum().backward()
    assert decoder.matching.beside.grad is None
    decoder.looks_up = True
    after = decoder(*call)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    after.square().sum().backward()
    assert decoder.matching.beside.grad.abs().sum() > 0
    torch.nn.init.normal_(decoder.matching.beside)
    assert not torch.equal(decoder(*call), before)


def test_looking_up_shows_no_later_step():
    """What is found for a step's value belongs to that step, and is seen where it is seen."""
    torch.manual_seed(0)
    decoder = AnyOrderDecoder(SMALL, V, X, L).eval()
    decoder.looks_up = True
    torch.nn.init.normal_(decoder.matching.beside)
    tokens = given(3).clamp(max=V - 1)
    order = torch.tensor([[2, 0, 1]]).expand(len(tokens), -1)
    logits = decoder(tokens[:, :X], tokens[:, X:], order)
    for step, slot in ((2, 0), (0, 1), (1, 2)):
        changed = tokens.clone()
        changed[:, X + step] = (changed[:, X + step] + 1) % V
        moved = (decoder(changed[:, :X], changed[:, X:], order) != logits).flatten(2).any(2).any(0)
        assert not moved[order[0, : slot + 1]].any()
