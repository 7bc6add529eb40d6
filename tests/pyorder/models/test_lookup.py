"""The gradient of a short table as a product, against torch's own embedding."""

import pytest
import torch
from torch.nn import functional as F

from pyorder.models import lookup as module
from pyorder.models.lookup import _Lookup


def test_docstring_examples(doctests):
    doctests(module)


def gradient(find, ids, table):
    table = table.clone().requires_grad_()
    found = find(ids, table)
    (found * torch.linspace(-1, 1, found.numel()).view(found.shape)).sum().backward()
    return found.detach(), table.grad


@pytest.mark.parametrize("shape", [(7,), (4, 6), (2, 3, 5)])
def test_values_and_gradient_are_those_of_an_embedding(shape):
    ids, table = torch.randint(5, shape), torch.randn(9, 3)  # rows 5 to 8 are never looked up
    (found, slope), (wanted, true) = (gradient(find, ids, table) for find in (_Lookup.apply, F.embedding))
    assert torch.equal(found, wanted)
    torch.testing.assert_close(slope, true)
