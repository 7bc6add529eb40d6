import numpy as np
import pytest

from pyorder.dependencies import mutual
from pyorder.dependencies.mutual import part_mutual
from pyorder.dependencies.statistics import Evidence, Support, measure, predecessors, z_threshold
from pyorder.orders.permutations import sample


def evidence(loss, length, samples=2000):
    """Samples in which a step loses loss(steps before it, step), and a little more or less."""
    rng = np.random.default_rng(0)
    orders = sample(length, samples, seed=1)
    losses = rng.uniform(0, 0.05, size=(samples, 2, length))
    for side, seen in enumerate((orders, orders[:, ::-1])):
        for row, order in enumerate(seen.tolist()):
            for slot, step in enumerate(order):
                losses[row, side, step] += loss(set(order[:slot]), step)
    return Evidence(losses, orders, np.arange(samples))


def parted(drawn, supports=None):
    threshold = z_threshold(0.01, drawn.length * (drawn.length - 1))
    look = measure(drawn, seed=0)

    def gather(step, without=()):
        return predecessors(step, look, drawn, share=0.1, threshold=threshold, floor=0.1, without=without)

    supports = supports or [gather(step) for step in range(drawn.length)]
    found = part_mutual(supports, gather, drawn, share=0.1, threshold=threshold)
    return [[{one.before for one in group} for group in groups] for groups in (supports, found)]


def chase(before, step):
    """A path of five: its first step is known, the last is one of two, others are looked up from either side."""
    beside = {step - 1, step + 1} & before
    return 0.0 if step == 0 or beside else 0.7 if step == 4 else 2.0


def test_docstring_examples(doctests):
    doctests(mutual)


def test_a_step_that_can_be_told_otherwise_waits_for_no_end_that_has_to_be_guessed():
    drawn = evidence(chase, 5)
    backwards = [
        [],
        *([Support(step + 1, step, 1.0, 0.1, 9.0)] for step in (1, 2, 3)),
        [Support(3, 4, 1.0, 0.1, 9.0)],
    ]
    given, found = parted(drawn, backwards)
    assert given[3] == {4}
    assert found[3] == {2}
    assert found[4] == {3}


@pytest.mark.parametrize("loss", [lambda before, step: 1.0 - 0.9 * bool(before)])
def test_where_either_way_is_as_good_both_stay(loss):
    """A pair of which the second is told by the first, whichever that is."""
    given, found = parted(evidence(loss, 2))
    assert given == found == [{1}, {0}]


def test_what_is_known_without_the_other_goes_first():
    """Of a chain in which each step also tells a little about the one before it."""

    def loss(before, step):
        return 0.0 if step == 0 or step - 1 in before else 1.0 if step + 1 in before else 2.0

    given, found = parted(evidence(loss, 4), None)
    assert given[2] >= {1}
    assert found == [set(), {0}, {1}, {2}]


def test_what_was_let_go_of_stays_so_when_another_is():
    """Two steps are told by a first one, which was read off them before it was learned; that stands."""
    drawn = evidence(lambda before, step: 2.0 * (step > 0 and 0 not in before), 3)
    kept = [
        [Support(1, 0, 3.0, 0.1, 9.0), Support(2, 0, 2.9, 0.1, 9.0)],
        *([Support(0, n, 2.0, 0.1, 9.0)] for n in (1, 2)),
    ]
    gather = lambda step, without: [one for one in kept[step] if one.before not in without]
    found = part_mutual(kept, gather, drawn, share=0.1, threshold=4.0)
    assert found == [[], *kept[1:]]
