"""The loss in a training loop of one's own: it trains as torch's own loss does on reordered targets."""

import pytest
import torch
from torch import nn

from pyorder import losses, reorder
from pyorder.losses import permuted_cross_entropy

ROWS, STEPS, VALUES = 12, 4, 7
ORDERS = torch.tensor([[2, 0, 3, 1], [3, 1, 0, 2], [0, 1, 2, 3]])


def test_examples(doctests):
    doctests(losses)


def step_with(loss_of):
    """One training step as a function of its batch, and the weights that it changes."""
    torch.manual_seed(0)
    model = nn.Linear(3, STEPS * VALUES)
    optimiser = torch.optim.SGD(model.parameters(), 0.5)

    def step(inputs, *batch):
        optimiser.zero_grad()
        loss = loss_of(model, inputs, *batch)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step, model


def logits_of(model, inputs):
    return model(inputs).unflatten(1, (STEPS, VALUES))


def plain(model, inputs, targets, index, rows):
    """torch's own, row by row on targets that are written in their orders."""
    moved = [
        reorder(targets[row], ORDERS[order]) for row, order in zip(rows.tolist(), index.tolist(), strict=True)
    ]
    return nn.functional.cross_entropy(logits_of(model, inputs).flatten(0, 1), torch.stack(moved).flatten().long())


def ours(model, inputs, targets, index, rows):
    return permuted_cross_entropy(logits_of(model, inputs), targets, ORDERS, index, rows)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_learns_what_it_learns_with_torchs_own_loss(compiled):
    loss = torch.compile(ours, fullgraph=True, backend="aot_eager") if compiled else ours
    (step, model), (wanted_step, wanted) = step_with(loss), step_with(plain)
    numbers = torch.Generator().manual_seed(1)
    inputs = torch.randn(ROWS, 3, generator=numbers)
    targets = torch.randint(VALUES, (ROWS, STEPS), generator=numbers, dtype=torch.uint8)
    curve = []
    for _ in range(20):
        rows = torch.randperm(ROWS, generator=numbers)[:8]
        index = torch.randint(len(ORDERS), (8,), generator=numbers)
        curve.append(step(inputs[rows], targets, index, rows))
        assert curve[-1] == pytest.approx(wanted_step(inputs[rows], targets, index, rows), rel=1e-5)
    assert curve[-1] < curve[0]
    torch.testing.assert_close(model.weight, wanted.weight)
