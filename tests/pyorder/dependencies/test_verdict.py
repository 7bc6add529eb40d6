"""What is concluded from an exploration, on explorations of known truth."""

from dataclasses import replace

import numpy as np
import pytest

from pyorder.dependencies import graph, verdict
from pyorder.dependencies.graph import Dependency, Exploration
from pyorder.dependencies.opposed import Opposed
from pyorder.dependencies.verdict import Verdict, judge

EDGE = Dependency(1, 2, 1.3, 0.02, 0.999, reversible=False)
NOTHING = np.zeros((4, 4))


def explored(**changes):
    """A settled exploration of four steps, all learned and worth nothing to each other, but for changes."""
    told = {
        "dependencies": (), "settled": True, "memorised": False, "benefit": NOTHING,
        "standard_error": np.full((4, 4), 0.002), "uniform_loss": np.full(4, 0.01), "graph_loss": np.full(4, 0.01),
        "entropy": np.full(4, 2.0), "order_gain": (0.0, 0.01), "gap": (0.0, 0.01), "training_rows": 1000,
        "samples": 2048, "by_input": True, "rounds": (), "seconds": 1.0,
    }  # fmt: skip
    return Exploration(**{**told, **changes})


@pytest.mark.parametrize("module", [verdict])
def test_docstring_examples(doctests, module):
    doctests(module)


OPPOSED = Opposed(1, 2, 1.5, 1.25, 0.4, ("flag",))
LOST_TWO = np.array([0.01, 0.01, 1.6, 1.9])
LOST_ONE = np.array([0.01, 0.01, 0.01, 1.9])
AT_RANDOM = np.array([0.01, 0.01, 1.5, 0.01])
CHAIN = {"dependencies": (EDGE,), "uniform_loss": AT_RANDOM, "order_gain": (1.5, 0.02)}
RESTLESS = {
    **CHAIN, "order_gain": (0.001, 0.001), "graph_loss": LOST_ONE, "settled": False, "exhausted": True,
}  # fmt: skip
HELPED = np.zeros((4, 4))
HELPED[0, 3] = 0.06


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Verdict.INDEPENDENT),
        ({"standard_error": np.full((4, 4), 0.2)}, Verdict.FEW_ROWS),
        ({"standard_error": np.full((4, 4), 0.2), "training_rows": 100_000}, Verdict.OPEN),  # more would not help
        # products of digits: what is left of each is small beside its entropy, and carries may tell it yet
        ({"graph_loss": np.full(4, 0.06), "uniform_loss": np.full(4, 0.06)}, Verdict.OPEN),
        ({"memorised": True, "settled": False}, Verdict.FEW_ROWS),
        ({**CHAIN, "memorised": True}, Verdict.FEW_ROWS),
        (CHAIN, Verdict.FOUND),
        ({**CHAIN, "settled": False}, Verdict.OPEN),
        ({**CHAIN, "opposed": (OPPOSED,)}, Verdict.ROW_DEPENDENT),
        ({**CHAIN, "opposed": (OPPOSED,), "settled": False}, Verdict.ROW_DEPENDENT),
        ({**CHAIN, "opposed": (OPPOSED,), "memorised": True}, Verdict.FEW_ROWS),
        ({**CHAIN, "graph_loss": LOST_ONE}, Verdict.OPEN),
        ({"graph_loss": LOST_ONE}, Verdict.OPEN),
        ({"graph_loss": LOST_TWO, "uniform_loss": LOST_TWO}, Verdict.UNRESOLVED),
        ({"graph_loss": np.full(4, 2.0), "settled": False}, Verdict.UNRESOLVED),
        # what depends on something is not called difficult for being random as well
        ({**CHAIN, "graph_loss": np.array([0.01, 1.1, 1.1, 0.01])}, Verdict.FOUND),
        # steps tell each other, and yet all orders lose the same
        ({**CHAIN, "uniform_loss": np.full(4, 1.0), "order_gain": (0.01, 0.02)}, Verdict.INDIFFERENT),
        ({**CHAIN, "uniform_loss": np.full(4, 1.0), "order_gain": (0.01, 0.2)}, Verdict.FOUND),
        ({**CHAIN, "order_gain": (0.001, 0.001), "graph_loss": LOST_ONE}, Verdict.INDIFFERENT),
        # worse than random orders is not alike
        ({**CHAIN, "order_gain": (-0.5, 0.02)}, Verdict.OPEN),
        ({**CHAIN, "order_gain": (-0.5, 0.3)}, Verdict.FOUND),
        ({**CHAIN, "order_gain": (-0.04, 0.001)}, Verdict.FOUND),
        ({**CHAIN, "uniform_loss": np.full(4, 9.0), "order_gain": (-0.5, 0.02)}, Verdict.INDIFFERENT),
        ({**CHAIN, "order_gain": (0.001, 0.001), "graph_loss": LOST_ONE, "settled": False}, Verdict.OPEN),
        # no graph was at rest, for orders are alike; but a lost step may need one that was not tried
        ({**CHAIN, "order_gain": (0.001, 0.001), "settled": False, "exhausted": True}, Verdict.INDIFFERENT),
        ({**CHAIN, "settled": False, "exhausted": True}, Verdict.OPEN),
        (RESTLESS, Verdict.OPEN),
        # one that others surely tell a little about is random but for that
        ({**RESTLESS, "benefit": HELPED}, Verdict.INDIFFERENT),
        ({**RESTLESS, "benefit": HELPED, "standard_error": np.full((4, 4), 0.02)}, Verdict.OPEN),
        ({**RESTLESS, "benefit": HELPED.T}, Verdict.OPEN),
    ],
)
def test_verdicts(changes, expected):
    assert judge(explored(**changes)) is expected


def test_a_pair_that_may_matter_is_no_independence():
    """One wide interval among narrow ones is enough; that of a dependency is not asked for."""
    error = np.full((4, 4), 0.002)
    error[3, 0] = 0.1
    assert explored(standard_error=error).wide == 1
    assert explored(standard_error=error, dependencies=(replace(EDGE, before=3, after=0),)).wide == 0
    benefit = NOTHING.copy()
    benefit[0, 1] = 0.5
    assert explored(benefit=benefit).wide == 1


def test_every_verdict_has_a_sentence():
    assert {one.sentence for one in Verdict} == set(verdict.SENTENCES.values())
    assert all(one.sentence.endswith(".") for one in Verdict)


def test_remarks_say_what_is_open():
    assert explored().remarks == (
        "No step is worth anything to another: given the input the steps look independent.",
    )
    (wide,) = explored(standard_error=np.full((4, 4), 0.2)).remarks
    assert wide == (
        "Whether 12 pairs of steps matter to each other takes more than these 1,000 rows to tell: a benefit may "
        "be up to 0.629 nats."  # 3.14 standard errors, which chance exceeds in one of 1,200 pairs
    )
    (wide,) = explored(standard_error=np.full((4, 4), 0.2), training_rows=100_000).remarks
    assert "takes more than these 2,048 samples to tell" in wide
    told = np.array([0.06, 0.01, 0.04, 0.0])
    (percent,) = explored(graph_loss=told, uniform_loss=told).remarks
    assert percent.startswith("Steps that no other helps keep 0.11 nats a row between them: that is random, or")
    (unsettled,) = explored(graph_loss=told, uniform_loss=told, settled=False).remarks
    assert unsettled.startswith("The exploration ended before")
    assert explored(graph_loss=told, dependencies=(EDGE, replace(EDGE, after=0))).last_percent == 0
    unsettled, lost = explored(settled=False, graph_loss=LOST_ONE).remarks
    assert unsettled.startswith("The exploration ended before")
    assert lost.startswith("No order that was tried lowers 1 of 4 steps below 95 % of their entropy: they")
    (restless, *_) = explored(settled=False, exhausted=True, graph_loss=told, uniform_loss=told).remarks
    assert restless == "Nothing more was learned for long, and yet the graph did not come to rest."
    (unresolved,) = explored(settled=False, graph_loss=LOST_TWO).remarks
    assert unresolved.startswith("No order that was tried lowers 2 of 4 steps below 80 to 95 % of their entropy: ")
    error = np.array([[0.2, 9.0, 0.2, 0.2]] * 4)  # step 1 is learned
    _, hidden = explored(settled=False, graph_loss=LOST_TWO, standard_error=error).remarks
    assert hidden == "Another step may be worth up to 0.629 nats to one of these: 1,000 rows tell it no closer."
    given = {
        "settled": False,
        "graph_loss": LOST_TWO,
        "benefit": HELPED,
        "samples": 100,
        "standard_error": error / 20,
    }
    alone, hidden, helped = explored(**given).remarks
    assert alone.startswith("No order that was tried lowers 1 of 4 steps below 80 % of their entropy: they")
    assert hidden.endswith("100 samples tell it no closer.")
    assert helped == "1 of 4 steps keep 95 % of their entropy; others help them, but by too little to count."
    (heart,) = explored(
        memorised=True, settled=False, gap=(1.234, 0.1), dependencies=(EDGE,), uniform_loss=AT_RANDOM
    ).remarks
    assert "1,000 training rows by heart: it loses 1.23 (± 0.20) nats a row less on them" in heart
    (fine,) = explored(dependencies=(replace(EDGE, fine=True),)).remarks
    assert fine == "1 of 1 dependencies matter for the last percent only."
    (early,) = explored(dependencies=(EDGE,)).remarks
    assert early.startswith("1 of 1 dependencies helped early on only")
    (opposed, *_) = explored(opposed=(OPPOSED, replace(OPPOSED, columns=())), **CHAIN).remarks
    assert opposed.endswith("in opposite directions, in different rows; input flag tells which.")
    (opposed, *_) = explored(opposed=(replace(OPPOSED, columns=()),), **CHAIN).remarks
    assert opposed.endswith("no one or two input columns tell which.")
    (by_row,) = explored(by_input=False, **CHAIN).remarks
    assert by_row.startswith("Evidence was set apart by row")


def test_an_exploration_is_read_back_as_it_was_written():
    told = explored(opposed=(OPPOSED,), exhausted=True, **CHAIN)
    assert graph.Exploration.of(told.summary(), told.arrays()) == told
    earlier = {name: value for name, value in told.summary().items() if name != "exhausted"}
    assert not graph.Exploration.of(earlier, told.arrays()).exhausted


def test_dependencies_that_random_orders_contradict_are_said_to_be():
    (said,) = [one for one in explored(**CHAIN | {"order_gain": (-0.5, 0.02)}).remarks if "keep the" in one]
    assert said.startswith("Orders that keep the dependencies lose 0.50 nats a row more than random ones")
    assert not any("keep the dependencies" in one for one in explored(**CHAIN).remarks)
