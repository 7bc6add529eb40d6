import pytest
import torch
from torch import nn

import pyorder
from pyorder.data.tokens import Shape
from pyorder.models import learner as contract
from pyorder.models.learner import CustomLearner, takes_order
from pyorder.training.presets import PRESETS, resolve_model


def build_checked(build, *shape):
    return CustomLearner(build).build(Shape(*shape))


class Recurrent(nn.Module):
    """A caller's own module: reads X, then the steps so far, with a GRU."""

    def __init__(self, values, shift=1, width=16):
        super().__init__()
        self.shift = shift
        self.embedding = nn.Embedding(values + 1, width)
        self.recurrence = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, values)

    def forward(self, inputs, emitted, order=None):
        start = torch.full((len(inputs), self.shift), self.head.out_features)
        before = torch.cat([start, emitted[:, : emitted.shape[1] - self.shift]], 1)
        hidden, _ = self.recurrence(self.embedding(torch.cat([inputs, before], 1)))
        return self.head(hidden[:, inputs.shape[1] :])


def test_docstring_examples(doctests):
    doctests(contract)


def test_a_module_that_keeps_the_contract_is_taken():
    module = build_checked(lambda values, _x, _l: Recurrent(values), 9, 4, 5)
    assert isinstance(module, Recurrent)
    assert module.training


def test_a_module_that_sees_its_own_step_is_refused():
    with pytest.raises(ValueError, match=r"^model: the logits of slot 0 change with the step emitted at slot 0"):
        build_checked(lambda values, _x, _l: Recurrent(values, shift=0), 9, 4, 5)


def test_a_module_that_sees_only_the_last_step_is_refused():
    class Peeks(Recurrent):
        def forward(self, inputs, emitted, order=None):
            return super().forward(inputs, emitted) + 0.01 * emitted[:, -1, None, None]

    with pytest.raises(ValueError, match="^model: the logits of slot"):
        build_checked(lambda values, _x, _l: Peeks(values), 9, 4, 5)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda v, x, l: 3, TypeError, "^model: build returned int"),
        (lambda v, x, l: nn.Identity(), ValueError, "^model: the module has no parameter"),
        (
            lambda v, x, l: PRESETS["nano"](v, x + 1, l - 1),
            ValueError,
            "^model: the module fails on 4 inputs and 5 steps",
        ),
        (
            lambda v, x, l: PRESETS["nano"](v + 2, x, l),
            ValueError,
            r"^model: forward returned logits of shape \(6, 5, 11\)",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build_checked(build, 9, 4, 5)


@pytest.mark.parametrize(("given", "error"), [("tiny", ValueError), (3, TypeError), (nn.Linear(1, 1), TypeError)])
def test_what_is_no_model_is_refused(given, error):
    with pytest.raises(error, match="^model: "):
        resolve_model(given, "nano", None, {})


class Told(Recurrent):
    """A module that adds what it is told of the order."""

    def __init__(self, values, steps):
        super().__init__(values)
        self.place = nn.Embedding(steps, values)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.place.weight)

    def forward(self, inputs, emitted, order=None):
        logits = super().forward(inputs, emitted)
        return logits if order is None else logits + self.place(order)


def test_a_module_that_takes_the_order_is_told_from_one_that_does_not():
    """Also behind layers that start at zero; one that takes no third argument, or refuses it, is not told."""
    shape = Shape(9, 4, 5)
    assert takes_order(Told(9, 5), shape, 5)
    assert not takes_order(Recurrent(9), shape, 5)
    assert not takes_order(PRESETS["nano"](*shape), shape, 5)


def test_checking_long_targets_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(contract, "MOST_LOGITS", 9 * 30 * 4)
    seen = []

    def build(values, _inputs, _steps):
        module = Recurrent(values)
        module.register_forward_pre_hook(lambda _, given: seen.append(len(given[1])))
        return module

    build_checked(build, 9, 4, 30)
    assert max(seen) == 5  # four changes, beside the row itself
    assert sum(seen) == 30 + len(seen)


def test_a_leak_that_shows_only_after_training_is_refused(square5):
    """An output layer that starts at zero hides that the module sees its own step."""

    def build(values, _inputs, _steps):
        module = Recurrent(values, shift=0)
        nn.init.zeros_(module.head.weight)
        nn.init.zeros_(module.head.bias)
        return module

    build_checked(build, 9, 4, 5)
    with pytest.raises(ValueError, match="^model: the logits of slot"):
        pyorder.profile(square5.train, [[0, 1, 2, 3, 4]], validation=square5.validation, model=build, steps=3)
    with pytest.raises(ValueError, match="^model: the logits of slot"):
        pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, model=build, steps=3)
