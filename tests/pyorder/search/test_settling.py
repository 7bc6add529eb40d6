"""When the rounds of an exploration end: a graph that stands, several that agree, or none that rests."""

from types import SimpleNamespace

import numpy as np

from pyorder.dependencies.statistics import Support
from pyorder.orders.posets import Poset
from pyorder.search import Precedence
from pyorder.search import _rounds as rounds
from pyorder.search._rounds import Rounds
from pyorder.search._rounds import _Known as Known


def ends(monkeypatch, losses, stable, paired=None, supports=((), (1,), (1,)), fine=(False,) * 3):
    """Whether rounds end that have seen losses (n, 3) of steps whose entropy is 2 nats."""
    monkeypatch.setattr(Rounds, "__init__", lambda self: None)
    told = Rounds()
    told.explorer = type("Seen", (), {"base": np.full(3, 2.0)})
    told.stable, told.paired = stable, stable if paired is None else paired
    told.known = type("Known", (), {"graph_loss": np.array(losses[-1]), "supports": supports, "fine": fine})
    told.losses = [np.array(loss) for loss in losses]
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


def test_graphs_that_do_not_rest_settle_where_they_fit_together(made):
    """A step is told as well by the one before the last as by the last, and each round finds another of them."""
    last, skipping, back, rare = (
        Support(*pair, 1.0, 0.1, z) for pair, z in (((1, 2), 9.0), ((0, 2), 9.0), ((2, 1), 9.0), ((2, 0), 5.0))
    )
    made.laboratory = SimpleNamespace(constraints=Poset(3))

    def agrees(*findings, losses=(0.9,) * 13, loss=0.9):
        made.known = Known(Poset(3), [[], [], []], np.zeros(3, bool), np.zeros(3) + loss)
        made.findings, made.losses = list(findings), [np.full(3, loss) for loss in losses]
        return made.agrees()

    flicker = [[last], [skipping]] * 6
    assert agrees(*flicker)
    assert made.known.graph == Poset(3, [[0, 2], [1, 2]])
    assert [sorted(one.before for one in found) for found in made.known.supports] == [[], [], [0, 1]]
    assert not agrees(*flicker[1:])  # too few rounds since a step back
    assert not agrees(*flicker, losses=np.linspace(1.5, 0.9, 13))  # more is learned
    assert not agrees(*[[last], [back]] * 6)
    assert agrees(*flicker[:-1], [rare])  # what one round alone has found contradicts nothing
    assert made.known.graph == Poset(3, [[0, 2], [1, 2]])
    assert not agrees(*[[]] * 12)  # nothing depends on anything: that is for others to say
    assert agrees(*flicker, loss=1.1)  # lost, and there is nothing to look up
    made.explorer.may_look_up = True
    assert not agrees(*flicker, loss=1.1)  # the input may tell steps 0 and 1, when it is looked up
    assert agrees(*flicker, loss=np.array([0.9, 0.9, 1.1]))  # noise is left of a step, and others tell the rest
    assert agrees(*flicker)


def test_what_rounds_have_in_common_settles_before_what_the_last_of_them_found(made, monkeypatch):
    """A graph may not come to rest, or two rounds in a row find the same, less than those before."""
    last, skipping = (Support(before, 2, 1.0, 0.1, 9.0) for before in (1, 0))
    made.options, made.last, made.done = Precedence(rounds=1), 1, []
    made.laboratory = SimpleNamespace(constraints=Poset(3), affords=lambda last, beside: True)
    made.explorer.may_look_up, made.explorer.look_up = True, lambda: False
    monkeypatch.setattr(rounds, "spiked", lambda done, entropy: False)
    monkeypatch.setattr(Rounds, "round_cost", None)
    monkeypatch.setattr(made, "train", lambda stage: None)
    monkeypatch.setattr(made, "weigh", lambda: True)
    for findings, rested in (([[last], [skipping]] * 6, 0), ([*[[last]] * 9, *[[skipping]] * 3], 2)):
        made.known = Known(Poset(3, [[0, 2]]), [[], [], [skipping]], np.zeros(3, bool), np.array([0.9, 0.9, 1.1]))
        made.findings, made.losses = findings, [np.full(3, 0.9)] * 13
        made.stable = made.paired = rested
        made.settled = False
        made._run()
        assert made.settled
        assert made.known.graph == Poset(3, [[0, 2], [1, 2]])


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
    assert told() is first
    assert told(settled=True) is last
    assert told(memorised=True) is last
    assert told(stood=2) is last
    assert told(stable=4) is last  # which is that graph
    assert told(longest=less) is last  # in which more was found, as it is where the budget ends a search
