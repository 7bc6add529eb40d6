"""Constraints in the names of steps: which orders they leave, and what is refused."""

from itertools import permutations

import numpy as np
import pytest

from pyorder import Dataset
from pyorder.errors import InputError

DATA = Dataset(None, [[0, 1, 2, 3]], names=["plan", "tool", "call", "answer"])


def allowed(graph):
    return {order for order in permutations(range(4)) if graph.is_sort([order])[0]}


def orders(keep):
    """The orders of which a plain function of the slots of the steps is true."""
    return {order for order in permutations(range(4)) if keep(*(order.index(step) for step in range(4)))}


def test_docstring_examples(doctests):
    doctests("pyorder.data.constraints")


@pytest.mark.parametrize(
    ("given", "keep"),
    [
        ({}, lambda plan, tool, call, answer: True),
        ({"first": ["plan"]}, lambda plan, tool, call, answer: plan == 0),
        ({"first": ["plan", "call"]}, lambda plan, tool, call, answer: {plan, call} == {0, 1}),
        ({"last": ["answer"]}, lambda plan, tool, call, answer: answer == 3),
        ({"last": [3, np.int64(1)]}, lambda plan, tool, call, answer: {answer, tool} == {2, 3}),
        ({"before": [("plan", "answer"), (1, 2)]}, lambda plan, tool, call, answer: plan < answer and tool < call),
        ({"tiers": [["plan"], ["answer", "tool"]]}, lambda plan, tool, call, answer: plan < min(answer, tool)),
        (
            {"tiers": [[3], [], [1], [0, 2]]},
            lambda plan, tool, call, answer: answer == 0 and tool == 1,
        ),
        (
            {"first": ["plan"], "last": ["answer"], "before": [("call", "tool")]},
            lambda plan, tool, call, answer: (plan, call, tool, answer) == (0, 1, 2, 3),
        ),
        ({"first": DATA.names}, lambda plan, tool, call, answer: True),
    ],
)
def test_what_is_left(given, keep):
    assert allowed(DATA.constraints(**given)) == orders(keep)


def test_steps_without_names_have_numbers():
    data = Dataset(None, [[0, 1, 2]])
    assert data.constraints(first=[2]) == data.constraints(first=["2"])
    assert data.constraints(before=iter([(2, 0)])).edges.tolist() == [[2, 0]]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"first": ["name"]},
            InputError,
            "first: there is no step 'name'; steps are plan, tool, call, answer, or 0 to",
        ),
        ({"last": [4]}, InputError, "last: there is no step 4; steps are plan"),
        ({"last": [-1]}, InputError, "last: there is no step -1; steps are plan"),
        ({"first": "plan"}, TypeError, "first: expected a list of steps, got 'plan'"),
        ({"first": 3}, TypeError, "first: expected a list of steps, got 3"),
        ({"first": [True]}, TypeError, "first: expected names or numbers of steps, got True"),
        ({"first": [1.5]}, TypeError, "first: expected names or numbers of steps, got 1.5"),
        ({"first": ["plan", 0]}, InputError, "first: the step 'plan' is named twice"),
        ({"tiers": [["plan"], ["tool", "plan"]]}, InputError, "tiers: the step 'plan' is named twice"),
        ({"tiers": ["plan"]}, TypeError, "tiers: expected a list of steps, got 'plan'"),
        ({"before": ["plan"]}, TypeError, "before: expected pairs of steps, got 'plan'"),
        ({"before": [("plan", "tool", "call")]}, TypeError, "before: expected pairs of steps, got ('plan', "),
        ({"before": [("plan", 0)]}, InputError, "before: the step 'plan' cannot come before itself"),
        (
            {"before": [("call", "answer"), ("answer", "tool"), ("tool", "call")]},
            InputError,
            "constraints: no order has tool before call before answer before tool",
        ),
        (
            {"first": ["plan"], "before": [("answer", "plan")]},
            InputError,
            "constraints: no order has plan before answer before plan",
        ),
        ({"first": ["call"], "last": ["call"]}, InputError, "constraints: no order has "),
    ],
)
def test_refusals_are_one_line(given, error, message):
    with pytest.raises(error) as raised:
        DATA.constraints(**given)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
