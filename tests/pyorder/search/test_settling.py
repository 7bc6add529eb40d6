"""When the rounds of an exploration end: a graph that stands, several that agree, or none that rests."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyorder.dependencies.statistics import Evidence, Support
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search import Precedence
from pyorder.search import _rounds as rounds
from pyorder.search._known import Known
from pyorder.search._rounds import Rounds


def ends(monkeypatch, losses, stable, paired=None, supports=((), (1,), (1,)), fine=(False,) * 3):
    """Whether rounds end that have seen losses (n, 3) of steps whose entropy is 2 nats."""
    monkeypatch.setattr(Rounds, "__init__", lambda self: None)
    told = Rounds()
    told.explorer = type("Seen", (), {"base": np.full(3, 2.0)})
    told.stable, told.paired = stable, stable if paired is None else paired
    told.known = type("Known", (), {"graph_loss": np.array(losses[-1]), "supports": supports, "fine": fine})
    told.losses, told.began = [np.array(loss) for loss in losses], 0
    return told.has_settled()


def test_a_graph_that_is_learned_settles_and_one_that_gets_better_does_not(monkeypatch):
    learned, half, little = [0.01, 0.1, 0.1], [0.01, 0.4, 0.4], [0.01, 1.2, 1.2]
    assert ends(monkeypatch, [learned], stable=1)
    assert not ends(monkeypatch, [learned], stable=0)
    assert not ends(monkeypatch, [half] * 3, stable=2)
    assert ends(monkeypatch, [half] * 3, stable=3)
    assert not ends(monkeypatch, [little] * 12, stable=11)
    assert ends(monkeypatch, [little] * 13, stable=12)
    assert ends(monkeypatch, [little] * 13, stable=0, paired=2)  # directions may come and go
    assert not ends(monkeypatch, [half] * 3, stable=0, paired=3)
    falling = [[0.01, 1.2 - 0.01 * n, 1.2 - 0.01 * n] for n in range(13)]
    assert not ends(monkeypatch, falling, stable=12)


def test_steps_that_the_input_nearly_tells_are_waited_for_while_they_get_better(monkeypatch):
    nearly = {"supports": ((), (), ()), "stable": 9}
    falling = [[0.2 * 0.95**n] * 3 for n in range(10)]
    assert not ends(monkeypatch, falling, **nearly)
    assert ends(monkeypatch, [*falling, *[falling[-1]] * 6], **nearly)
    assert ends(monkeypatch, [[0.006] * 3], **nearly)
    assert not ends(monkeypatch, [[0.01] * 3], **nearly)  # carries of an addition that are not yet learned
    assert not ends(monkeypatch, falling, supports=((), (1,), (1,)), fine=(False, True, True), stable=9)
    assert ends(monkeypatch, [[0.01, 0.15, 0.15]] * 2, stable=1)
    noisy = [[0.3, 0.4 * 0.97**n, 0.4 * 0.97**n] for n in range(10)]  # the first gets no better, the others do
    assert ends(monkeypatch, noisy, stable=9)
    assert not ends(monkeypatch, noisy[:5], stable=5)
    # Two that others tell keep some, beside which what the first one gains is little.
    carries = [[0.14 * 0.88**n, 0.28, 0.28] for n in range(8)]
    assert not ends(monkeypatch, carries, stable=0, paired=7)


def test_a_round_is_stuck_where_steps_are_lost_and_nothing_changes(made):
    made.known = SimpleNamespace(graph_loss=np.array([0.0, 0.9, 1.1]))
    made.stable = rounds.STUCK_ROUNDS
    assert made.is_stuck()
    made.stable -= 1
    assert not made.is_stuck()
    made.losses = [np.ones(3)] * (rounds.PATIENCE + 1)  # edges come and go, and nothing is gained
    assert made.is_stuck()
    made.began = 1  # by the model that looks up
    assert not made.is_stuck()
    made.stable += 9
    made.known.graph_loss[2] = 0.9
    assert not made.is_stuck()


def known(loss, edges=(), supports=((), (), ())):
    """A graph of three steps that lose so much of 2 nats."""
    return Known(Poset(3, edges), [list(found) for found in supports], np.zeros(3, bool), np.zeros(3) + loss)


def test_graphs_that_do_not_rest_settle_where_they_fit_together(running):
    """A step is told as well by the one before the last as by the last, and each round finds another of them."""
    last, skipping, back, rare = (
        Support(*pair, 1.0, 0.1, z) for pair, z in (((1, 2), 9.0), ((0, 2), 9.0), ((2, 1), 9.0), ((2, 0), 5.0))
    )

    def agrees(*findings, losses=(0.9,) * 13, loss=0.9):
        running.known, running.findings = known(loss), list(findings)
        running.losses = [np.zeros(3) + one for one in losses]
        return running.agrees()

    flicker = [[last], [skipping]] * 6
    assert agrees(*flicker)
    assert running.graph == Poset(3, [[0, 2], [1, 2]])
    assert [sorted(one.before for one in found) for found in running.known.supports] == [[], [], [0, 1]]
    assert not agrees(*flicker[1:])  # too few rounds since a step back
    assert not agrees(*flicker, losses=np.linspace(1.5, 0.9, 13))  # more is learned
    assert not agrees(*[[last], [back]] * 6)
    assert agrees(*flicker[:-1], [rare])  # what one round alone has found contradicts nothing
    assert running.graph == Poset(3, [[0, 2], [1, 2]])
    assert not agrees(*[[]] * 12)  # nothing depends on anything: that is for others to say
    assert agrees(*flicker, loss=1.1)  # lost, and there is nothing to look up
    running.explorer.may_look_up = True
    assert not agrees(*flicker, loss=1.1)  # the input may tell steps 0 and 1, when it is looked up
    assert agrees(*flicker, loss=np.array([0.9, 0.9, 1.1]))  # noise is left of a step, and others tell the rest
    assert agrees(*flicker)


@pytest.mark.parametrize("rested", [0, 2])
def test_what_rounds_have_in_common_settles_before_what_the_last_of_them_found(running, rested):
    """A graph may not come to rest, or two rounds in a row find the same, less than those before."""
    last, skipping = (Support(before, 2, 1.0, 0.1, 9.0) for before in (1, 0))
    running.known = known([0.9, 0.9, 1.1], [[0, 2]], ([], [], [skipping]))
    running.findings = [*[[last]] * 9, *[[skipping]] * 3] if rested else [[last], [skipping]] * 6
    running.losses = [np.full(3, 0.9)] * 13
    running.stable = running.paired = rested
    running.explorer.may_look_up, running.explorer.look_up = True, None
    running._run()
    assert running.settled
    assert running.graph == Poset(3, [[0, 2], [1, 2]])


def test_what_is_lost_is_looked_up_before_rounds_settle(running):
    """Nothing was gained for twelve rounds; then the model that looks up has rounds of its own."""
    running.known, running.findings = known([0.1, 0.1, 1.9]), [[]] * 12
    running.losses, running.done = (
        [np.array([0.1, 0.1, 1.9])] * 13,
        [SimpleNamespace(dependencies=0, graph_loss=0.7)] * 13,
    )
    running.paired = running.stable = rounds.STUCK_ROUNDS - 1
    asked = []
    running.explorer.look_up = lambda: asked.append(True) or len(asked) == 1
    running._run()
    assert asked == [True]
    assert not running.settled
    assert (running.stable, running.paired, running.findings, running.gathering.recent) == (0, 0, [], [])
    assert running.longest == (0, running.known)
    assert running.stuck.tolist() == [False, False, True]
    stalled = [running.losses[-1]] * rounds.AFTER_LOOKING_UP
    running.losses, running.stable, running.paired = running.losses + stalled, 3, 3
    running._run()
    assert not running.settled
    running.losses = [*running.losses, stalled[0]]
    running._run()
    assert running.settled
    assert len(asked) == 1  # lost steps are asked about again where the graph has stood for long


@pytest.mark.parametrize("learned", [False, True])
def test_after_looking_up_rounds_are_few_only_where_that_was_in_vain(running, learned):
    """Six, if no lost step was learned since; twelve otherwise, since the next may take longer."""
    running.began, running.stuck = 1, np.array([False, True, True])
    running.known = known([0.1, 0.1 if learned else 1.9, 1.9])
    running.stable = running.paired = 3
    rests = []
    for count in range(1, 20):
        running.losses = [np.full(3, 1.9), *[running.known.graph_loss] * count]
        rests.append(running.has_settled())
    assert rests.index(True) == (rounds.PATIENCE if learned else rounds.AFTER_LOOKING_UP)


@pytest.mark.parametrize(
    ("high", "low", "last", "end"),
    [(1.9, 0.8, 1.9, 2 * 33), (1.9, 0.8, 0.8, 33 + 12), (1.9, 1.9, 1.9, 12), (0.9, 0.7, 1.9, 20 + 12)],
)
def test_what_took_long_to_learn_is_waited_for_as_long(running, high, low, last, end):
    """Three lost steps that are learned one after the other, thirteen rounds between the last two; of 2 nats each.

    But not where no other is lost, nor where nothing is ever learned, or only what was not lost gets better.
    """
    running.explorer.base, running.stable, running.paired = np.full(4, 2.0), 3, 3
    running.known = Known(Poset(4), [[] for _ in range(4)], np.zeros(4, bool), np.full(4, 1.9))
    learned = np.arange(4) < np.searchsorted([10, 20, 33], np.arange(120), side="right")[:, None]
    losses = np.where(learned, low, high)
    losses[:, 3] = last
    waited = (running.has_settled() for running.losses in (list(losses[: n + 1]) for n in range(120)))
    assert next(number for number, settled in enumerate(waited) if settled) == end


def test_where_training_breaks_down_after_looking_up_it_begins_there_again(running):
    running.known, running.done = known(1.9), [None]
    running.explorer.look_up = lambda: True
    assert running.look_up()
    state, gone, remarks = running.known, [], []
    running.explorer.restore, running.explorer.slow_down = gone.append, gone.append
    running.explorer.recipe = SimpleNamespace(learning_rate=1e-3)
    running.laboratory.remarks, running.calmed = remarks, False
    running.calm_down()
    assert gone == [{"a": "state"}, 0.1]
    assert running.graph == state.graph
    assert len(remarks) == 1


def test_a_graph_that_is_gone_on_with_is_scored(made):
    """Step 2 loses 1 nat without step 1 ahead; the graph of the last round did not have that edge."""
    made.evidence = Evidence(np.full((8, 2, 3), 0.5), np.tile(np.arange(3), (8, 1)), np.arange(4).repeat(2))
    room = [True]
    made.laboratory, made.last = SimpleNamespace(cost=Cost(), affords=lambda last, beside: room[0]), 1

    def losses(orders):
        slots = np.argsort(orders, axis=1)
        return np.stack([np.zeros(len(orders)), np.zeros(len(orders)), 1.0 * (slots[:, 1] > slots[:, 2])], axis=1)

    made.explorer.losses = lambda rows, orders: losses(orders)
    made.explorer.training_losses = lambda orders: (losses(orders), None)
    made.explorer.evidence_rows, made.explorer.cluster = 4, np.arange(4)
    made.adopt(known(1.9, [[1, 2]]))
    assert made.known.graph_loss.tolist() == [0.0, 0.0, 0.0]
    assert made.known.order_gain == (1.5, 0.0)
    assert made.known.gap == (0.0, 0.0)
    assert not made.lost.any()
    assert made.laboratory.cost == Precedence().scoring_cost()
    groups = np.arange(len(made.graph.sample_sorts(4, seed=0))) // 2
    made.explorer.training_losses = lambda orders: (np.repeat(groups, 3).reshape(-1, 3) * [0.0, 0.0, 2.0], groups)
    made.adopt(known(1.9, [[1, 2]]))
    assert made.known.gap == (-1.0, 1.0)  # of two groups that lose 0 and 2
    room[0] = False
    made.laboratory.cost = Precedence().scoring_cost()
    made.adopt(known(1.9, [[1, 2]]))
    assert made.known.graph_loss.tolist() == [1.9, 1.9, 1.9]
    assert made.laboratory.cost == Precedence().scoring_cost()


def test_of_graphs_that_do_not_rest_the_one_that_stood_longest_is_kept(made, monkeypatch):
    first, last, less = (
        SimpleNamespace(graph=Poset(3, edges), graph_loss=np.zeros(3))
        for edges in ([[0, 1], [1, 2]], [[0, 2], [2, 1]], [[0, 1]])
    )

    def told(settled=False, memorised=False, stood=4, stable=0, longest=first):
        made.settled, made.memorised, made.stuck = settled, memorised, np.zeros(3, bool)
        made.longest, made.known, made.stable = (stood, longest), last, stable
        made.run()
        return made.known

    monkeypatch.setattr(Rounds, "_run", lambda self: None)
    monkeypatch.setattr(made, "adopt", lambda known: setattr(made, "known", known))
    assert told() is first
    assert told(settled=True) is last
    assert told(memorised=True) is last
    assert told(stood=2) is last
    assert told(stable=4) is last  # which is that graph
    assert told(longest=less) is last  # in which more was found, as it is where the budget ends a search
