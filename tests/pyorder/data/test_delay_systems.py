"""Delay systems against their recurrences written out in plain Python."""

import numpy as np
import pytest

from pyorder._core import tasks as core
from pyorder.data.tasks import make_task, satisfied_dependencies
from pyorder.orders.posets import Poset


def partner(name, v, variables, delay):
    """Return a, u, b of the module's table; u is None where there is no second term."""
    if name == "delay_chain":
        return 1, (v - 1 if v else None), delay
    if name == "delay_ring":
        return 1, (v - 1) % variables, 1 + v % delay
    return (delay, None, 0) if v == 0 else (1, 0, 1)


def simulate(name, x, variables, delay, coupling):
    z = {}
    for t in range(len(x) // variables):
        for v in range(variables):
            own, other, late = partner(name, v, variables, delay)
            number = int(x[t * variables + v]) + abs(z.get((v, t - own), 0))
            if other is not None:
                number += coupling * abs(z.get((other, t - late), 0))
            while abs(number) > 9:
                number = 18 - number if number > 9 else -18 - number
            z[v, t] = number
    return [z[v, t] for t in range(len(x) // variables) for v in range(variables)]


SYSTEMS = [
    (name, variables, delay, coupling)
    for name in ("delay_chain", "delay_ring", "delay_slow")
    for variables, delay, coupling in ((4, 3, 1), (3, 1, 5), (2, 2, 9))
]


def make(name, length, variables, delay, coupling):
    late = "delays" if name == "delay_ring" else "delay"
    return make_task(name, length, variables=variables, coupling=coupling, **{late: delay})


@pytest.mark.parametrize(("name", "variables", "delay", "coupling"), SYSTEMS)
def test_they_follow_the_recurrence(name, variables, delay, coupling):
    task = make(name, 24, variables, delay, coupling)
    data = task.generate(50, seed=1)
    assert set(np.unique(data.inputs)) == set(range(-9, 10))
    for x, y in zip(data.inputs, data.targets, strict=True):
        assert y.tolist() == simulate(name, x, variables, delay, coupling)


@pytest.mark.parametrize(("name", "variables", "delay", "coupling"), SYSTEMS)
def test_dependencies_are_the_terms_of_the_recurrence(name, variables, delay, coupling):
    task = make(name, 24, variables, delay, coupling)
    terms = set()
    for i in range(24):
        t, v = divmod(i, variables)
        own, other, late = partner(name, v, variables, delay)
        terms |= {(u, when, i) for u, when in ((v, t - own), (other, t - late)) if u is not None and when >= 0}
    computed = {i for _, _, i in terms}
    pairs = {(when * variables + u, i) for u, when, i in terms}
    assert set(task.dependencies) == {(p, i) for p, i in pairs if p in computed}
    assert len(task.dependencies) == len(set(task.dependencies))


@pytest.mark.parametrize(("name", "variables", "delay", "coupling"), SYSTEMS)
def test_designed_orders_are_different_sorts_of_the_graph(name, variables, delay, coupling):
    task = make(name, 24, variables, delay, coupling)
    orders = task.designed_orders()
    assert {satisfied_dependencies(order, task.dependencies) for order in orders.values()} == {1.0}
    assert orders["forward"].tolist() == list(range(24))
    assert ("variable by variable" in orders) == (name != "delay_ring")
    assert Poset(24, task.dependencies).count_sorts() > 1000


def test_the_wavefront_emits_every_step_as_soon_as_it_can():
    task = make_task("delay_slow", length=12, variables=2, delay=4)
    # The slow variable is free for four time steps, so three of its values wait for nothing.
    assert task.designed_orders()["wavefront"].tolist() == [0, 1, 2, 4, 6, 3, 8, 10, 5, 7, 9, 11]


def test_chains_have_the_forward_order_only():
    assert list(make_task("relu", length=5).designed_orders()) == ["forward"]


@pytest.mark.parametrize(
    ("name", "length", "parameters", "message"),
    [
        ("delay_chain", 10, {}, r"^length of delay_chain must be a multiple of its 4 variables, got 10$"),
        ("delay_ring", 8, {"variables": 1}, r"^variables of delay_ring must be at least 2, got 1$"),
        ("delay_slow", 8, {"coupling": 10}, r"^coupling of delay_slow must be in \[1, 9\], got 10$"),
        ("delay_slow", 8, {"variables": 9}, r"^variables of delay_slow must be in \[1, 8\], got 9$"),
        (
            "delay_ring",
            8,
            {"delay": 2},
            r"^unknown parameter 'delay': delay_ring takes coupling, delays, variables$",
        ),
    ],
)
def test_bad_parameters_are_named(name, length, parameters, message):
    with pytest.raises(ValueError, match=message):
        make_task(name, length, **parameters)


@pytest.mark.parametrize(("name", "which"), [("chain", "delay"), ("ring", "delays"), ("slow", "delay")])
@pytest.mark.parametrize("value", [0, -1, -(10**9), 2**15, 2**62])
def test_the_core_refuses_delays_that_would_read_ahead(name, which, value):
    name = f"delay_{name}"
    with pytest.raises(ValueError, match=rf"{which} of {name} must be in \[1, 32767\], got {value}"):
        core.Task(name, 8, {"variables": 4, which: value, "coupling": 1})
    with pytest.raises(ValueError, match=rf"length of {name} must be in"):
        core.Task(name, -8, {"variables": 4, which: 1, "coupling": 1})
