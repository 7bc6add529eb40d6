"""What explores: the built-in model with numbers of one's own, or a caller's module that takes the order."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import pyorder
from pyorder.models.learner import AnyOrderLearner, CustomLearner
from pyorder.search import Precedence
from pyorder.training.presets import EXPLORER

SMALL = replace(EXPLORER.architecture, width=32, heads=2, feed_forward=64)
BRIEF = replace(EXPLORER.recipe, steps=7, batch_size=16, precision="float32")
STRATEGY = Precedence(rounds=2, samples=64, candidates=6, architecture=SMALL, recipe=BRIEF)


class OfTheOrder(nn.Module):
    """A caller's module that looks at the steps before a slot, and may be told which step each slot is."""

    def __init__(self, values, inputs, steps, width=32):
        super().__init__()
        self.value, self.step = nn.Embedding(values + 1, width), nn.Embedding(steps, width)
        self.place = nn.Embedding(inputs, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, values)
        self.orders_seen = 0

    def forward(self, inputs, emitted, order=None):
        steps = torch.zeros_like(emitted) if order is None else order
        self.orders_seen += order is not None
        written = self.value(emitted) + self.step(steps)
        memory = torch.cat([self.value(inputs) + self.place.weight, written], 1)
        count, length = inputs.shape[1], emitted.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=inputs.device).triu()
        hidden = torch.cat([later.new_zeros(length, count), later], 1)
        asked, _ = self.attention(self.step(steps), memory, memory, attn_mask=hidden, need_weights=False)
        return self.head(asked)


class Untold(OfTheOrder):
    def forward(self, inputs, emitted, order=None):
        return super().forward(inputs, emitted)


def discover(data, **options):
    return pyorder.discover(data.train, validation=data.validation, strategy=STRATEGY, steps=3, **options)


def test_the_explorers_numbers_can_be_set(square5, explorers):
    found = discover(square5)
    (explorer,) = explorers
    assert isinstance(explorer.learner, AnyOrderLearner)
    assert explorer.trainer.module.query_embedding.weight.shape == (5, 32)
    assert [round_.training_steps for round_ in found.exploration.rounds] == [7, 14]
    assert found.cost.training_steps == 2 * 7 + 3
    assert found.options["recipe"]["steps"] == 7
    assert found.options["architecture"]["width"] == 32


def test_an_explorer_multiplies_as_the_ranking_does_unless_told(square5, explorers):
    for model, precision in ((None, "auto"), (None, "float32"), (OfTheOrder, "auto"), (OfTheOrder, "float32")):
        strategy = replace(STRATEGY, recipe=replace(BRIEF, precision=precision))
        data = {"validation": square5.validation, "strategy": strategy, "device": "cpu"}
        pyorder.discover(square5.train, **data, model=model, steps=2, precision="bfloat16")
    float32, bfloat16 = torch.float32, torch.bfloat16
    assert [one.trainer.precision for one in explorers] == [bfloat16, float32, bfloat16, float32]


@pytest.mark.gpu
def test_on_a_gpu_the_built_in_explorer_multiplies_in_float32(square5, explorers):
    for model in (None, OfTheOrder):
        strategy = replace(STRATEGY, recipe=replace(BRIEF, precision="auto"))
        data = {"validation": square5.validation, "strategy": strategy, "device": "cuda"}
        pyorder.discover(square5.train, **data, model=model, steps=2, precision="bfloat16")
    assert [one.trainer.precision for one in explorers] == [torch.float32, torch.bfloat16]


def test_a_callers_module_that_takes_the_order_explores_and_ranks(square5, explorers):
    found = discover(square5, model=OfTheOrder)
    (explorer,) = explorers
    assert isinstance(explorer.learner, CustomLearner)
    assert explorer.trainer.module.orders_seen > 14  # also in every look at the evidence
    assert sorted(found.order.tolist()) == [0, 1, 2, 3, 4]
    assert found.settings["model"] == "OfTheOrder"


def test_what_it_learns_is_read_off():
    """Step 0 is half of step 1, whatever the input, and step 2 has nothing to do with either."""
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randint(7, (6000, 4), generator=rng)
    targets = torch.stack([drawn[:, 2] // 2, drawn[:, 2], drawn[:, 3]], 1)
    data = pyorder.Dataset(drawn[:, :2], targets)
    strategy = Precedence(rounds=4, samples=512, candidates=6, recipe=replace(EXPLORER.recipe, steps=100))
    train, validation = data.select(range(5500)), data.select(range(5500, 6000))
    found = pyorder.discover(train, validation=validation, strategy=strategy, model=OfTheOrder, steps=20)
    assert {frozenset((edge.before, edge.after)) for edge in found.dependencies} == {frozenset((0, 1))}
    assert min(found.exploration.benefit[1, 0], found.exploration.benefit[0, 1]) > 0.5


def test_a_callers_module_that_ignores_the_order_ranks_alone(square5, explorers):
    discover(square5, model=Untold)
    assert isinstance(explorers[0].learner, AnyOrderLearner)


@pytest.mark.parametrize(("option", "value"), [("architecture", "big"), ("recipe", {"steps": 3})])
def test_other_numbers_are_refused(option, value):
    with pytest.raises(TypeError, match=f"^{option}: expected {option.title()}, got"):
        Precedence(**{option: value})
