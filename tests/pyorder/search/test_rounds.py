"""The rounds of an exploration: few rows, and what the input nearly tells."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.dependencies.explorer import DROPOUT, WEIGHT_DECAY, Explorer
from pyorder.dependencies.graph import Round
from pyorder.dependencies.statistics import Evidence, Support, measure
from pyorder.models.architecture import Architecture
from pyorder.models.learner import AnyOrderLearner
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search import Precedence, Verdict
from pyorder.search import _rounds as rounds
from pyorder.search._course import spiked
from pyorder.search._exploring import FEWEST_STEPS, Exploring
from pyorder.search._gathering import POOLED, Gathering
from pyorder.search._leanings import training_orders
from pyorder.search._pools import close_up
from pyorder.search._rounds import Rounds
from pyorder.training.presets import EXPLORER

SMALL = {
    "architecture": Architecture(
        layers=2, heads=2, width=48, feed_forward=96, dropout=0.0, embedding_std=0.5, tied=False
    ),
    "recipe": replace(EXPLORER.recipe, precision="float32"),
    "candidates": 4,
}


def search(data, **options):
    strategy = Precedence(**{**SMALL, **options})
    return pyorder.discover(data, validation=data.select(range(40)), strategy=strategy, steps=5, seed=0)


def noise(rows, length=4):
    rng = np.random.default_rng(7)
    return pyorder.Dataset(rng.integers(9, size=(rows, 5)), rng.integers(9, size=(rows, length)))


@pytest.mark.parametrize("kind", ["noise", "chain"])
def test_a_hundred_rows_or_two_are_few(kind):
    """They are learned by heart: no order is called found, and nothing independent."""
    data = noise(200) if kind == "noise" else pyorder.make_task("square", length=4).generate(100, seed=1)
    found = search(data)
    assert found.verdict is Verdict.FEW_ROWS
    assert not found.converged
    assert not found.exploration.settled
    gap, error = found.exploration.gap
    assert gap > 3 * error
    assert found.exploration.training_rows == 0.8 * len(data)
    assert f"{found.exploration.training_rows} training rows by heart" in found.exploration.remarks[0]
    assert found.cost.training_steps == found.exploration.rounds[-1].training_steps + 5


def test_what_is_told_of_few_rows_is_of_the_round_that_did_best_on_others():
    found = search(noise(300)).exploration
    best = min(found.rounds, key=lambda done: done.graph_loss)
    assert found.graph_loss.mean() == pytest.approx(best.graph_loss)
    assert found.rounds[-1].graph_loss > best.graph_loss
    assert found.rounds[-1].training_loss < best.training_loss
    assert found.rounds[0].training_steps == FEWEST_STEPS


def test_steps_that_the_input_tells_are_independent():
    """Each is a function of one input: learned in any order, so that none is worth anything to another."""
    x = np.random.default_rng(3).integers(9, size=(6000, 4))
    found = search(pyorder.Dataset(x, (3 * x + 1) % 9))
    assert found.verdict is Verdict.INDEPENDENT
    assert found.converged
    assert not found.dependencies


def test_noise_beside_a_chain_is_open_and_noise_alone_is_unresolved():
    task = pyorder.make_task("square", length=4).generate(6000, seed=1)
    random = np.random.default_rng(5).integers(-9, 10, size=(6000, 1))
    found = search(pyorder.Dataset(task.inputs, np.concatenate([random, task.targets], axis=1)), rounds=12)
    assert found.exploration.unmoved == (0,)
    assert found.verdict is Verdict.OPEN
    assert {(edge.before, edge.after) for edge in found.dependencies} >= {(2, 3), (3, 4)}
    alone = search(noise(6000), rounds=3)
    assert alone.verdict is Verdict.UNRESOLVED
    assert not alone.exploration.settled
    assert not alone.converged


def test_a_state_is_gone_back_to(square5):
    tokens = Tokens.of(square5.train, "train", torch.device("cpu"))
    learner = AnyOrderLearner(SMALL["architecture"])
    explorer = Explorer(tokens, learner=learner, recipe=SMALL["recipe"], evidence_rows=64, seed=0)
    orders = pyorder.permutations.sample(5, 5 * 128, seed=0)
    seen, rows = orders[:64], np.arange(64)
    explorer.train(orders)
    before, state = explorer.losses(rows, seen), explorer.state()
    explorer.train(orders)
    assert (explorer.losses(rows, seen) != before).any()
    for _ in range(2):  # a state can be used again: what was trained after it does not change it
        explorer.restore(state)
        assert (explorer.losses(rows, seen) == before).all()
        explorer.train(orders)
    assert explorer.trainer.optimiser.param_groups[0]["weight_decay"] < WEIGHT_DECAY
    assert explorer.regularise()
    assert not explorer.regularise()
    assert {block.dropout for block in explorer.trainer.module.blocks} == {DROPOUT}
    assert explorer.trainer.optimiser.param_groups[0]["weight_decay"] == WEIGHT_DECAY
    assert explorer.trainer.learner.draws  # so that the caller's generator is left alone
    explorer.restore(state)
    assert (explorer.losses(rows, seen) == before).all()  # no dropout where losses are measured
    assert explorer.trainer.weight_decay == WEIGHT_DECAY


def evidence(rng, benefit, rows=400):
    """A round's, of three steps: step 1 loses less by ``benefit`` nats behind step 0, beside rare large losses."""
    orders = np.argsort(rng.random((rows, 3)), axis=1)
    slots = np.argsort(orders, axis=1)
    losses = 2.0 * (rng.random((rows, 2, 3)) < 0.02)
    losses[:, 0, 1] += benefit * (slots[:, 1] < slots[:, 0])
    losses[:, 1, 1] += benefit * (slots[:, 1] > slots[:, 0])
    return Evidence(losses, orders, np.arange(rows))


NOTHING = [[], [], []], np.zeros(3, bool)


@pytest.fixture
def gathering():
    return Gathering(Precedence(), np.full(3, 2.0), np.random.default_rng(0))


def gather(gathering, told, supports, fine):
    return gathering.gather(measure(told, seed=0), told, supports, fine)


def test_little_that_a_round_cannot_tell_is_told_by_several_together(gathering):
    rng, found, known = np.random.default_rng(1), [], NOTHING
    for _ in range(POOLED):
        known = gather(gathering, evidence(rng, 0.03), *known)
        found.append([(one.before, one.after) for group in known[0] for one in group])
    assert found[0] == []
    assert found[-1] == [(0, 1)]
    assert known[1].all()
    gather(gathering, evidence(rng, 0.03), *known)
    assert len(gathering.recent) == POOLED


def test_the_last_verdict_on_a_step_that_has_nothing_left_to_lose_stands(gathering):
    known = Support(2, 1, 1.5, 0.1, 9.0)
    told = evidence(np.random.default_rng(1), 0.03)
    supports, fine = gather(gathering, told, [[], [known], []], np.zeros(3, bool))
    assert supports[1] == [known]
    assert fine.tolist() == [True, False, True]
    losses = told.losses.copy()
    losses[:, :, 1] += 1.0  # until it loses again
    supports, fine = gather(gathering, replace(told, losses=losses), [[], [known], []], np.zeros(3, bool))
    assert supports[1] == []
    assert not fine[1]
    told = replace(told, losses=np.full_like(losses, 0.001))  # and what loses nothing is not looked at
    assert gather(gathering, told, *NOTHING)[0] == [[], [], []]
    assert gathering.recent == []


def test_among_sorts_a_step_stands_behind_what_helped_it_and_a_lost_step_behind_all_others(made):
    """Step 1 lost less behind step 0, over all rounds; step 2 keeps all of its entropy."""
    benefit = np.array([[0.0, 0.5, 0.0], [0.1, 0.0, 0.0], [0.3, 0.2, 0.0]])
    made.done, made.benefits = [None] * 4, 4 * benefit

    def leanings(error, edges=(), lost=(0.0, 0.0, 2.0), supports=((), (), ())):
        made.errors = np.full((3, 3), 4 * error)
        made.known = SimpleNamespace(graph=Poset(3, edges), graph_loss=np.array(lost), supports=supports)
        return sorted(map(tuple, made.leanings().reduction.tolist()))

    assert leanings(0.01) == [(0, 1), (2, 0)]  # who helps goes before who is lost
    assert leanings(10.0) == [(0, 2), (1, 2)]  # nothing is sure, and what is lost comes last
    assert leanings(10.0, lost=(0.0, 0.0, 0.0)) == []
    assert leanings(0.01, edges=[[1, 0]], lost=(0.0, 0.0, 0.0)) == [(1, 0), (2, 1)]  # the graph goes first
    known = ((), ("a predecessor",), ())  # what step 1 lost before that was found may have another reason
    assert leanings(0.01, lost=(0.0, 0.0, 0.0), supports=known) == [(2, 0)]
    assert leanings(0.01, edges=[[1, 0]], lost=(0.0, 0.0, 0.0)) == [(1, 0), (2, 1)]
    made.errors[:] = np.inf  # too few rows
    assert len(made.leanings().edges) == 1


@pytest.mark.parametrize(("lost", "last"), [([False, False, True], 0.55), ([True, True, True], 0.333)])
def test_lost_steps_come_last_before_anything_depends_on_anything(lost, last):
    """The parity of others that the input tells is learned where all of them are ahead."""
    orders = training_orders(Poset(3), Poset(3), [np.array(lost)], 3000, np.random.default_rng(0))
    assert (orders[:, -1] == 2).mean() == pytest.approx(last, abs=0.03)


def test_steps_that_stay_lost_are_looked_up(monkeypatch):
    """A path of three from a shuffled list of edges, and its goal: looked up, the input tells every step."""
    rng = np.random.default_rng(0)
    labels = rng.random((20_000, 20)).argsort(1)[:, :6]
    edges = np.stack([labels[:, [0, 1, 3, 4]], labels[:, [1, 2, 4, 5]]], axis=2)
    edges = np.take_along_axis(edges, rng.random((len(edges), 4)).argsort(1)[:, :, None], axis=1)
    data = pyorder.Dataset(np.concatenate([edges.reshape(-1, 8), labels[:, 2:3]], axis=1), labels[:, [2, 0, 1]])
    asked = []
    monkeypatch.setattr(
        Explorer, "look_up", lambda self, ask=Explorer.look_up: asked.append(ask(self)) or asked[-1]
    )
    monkeypatch.setattr(rounds, "STUCK_ROUNDS", 1)
    lost = []

    def look_behind(self, look=Rounds.look_behind):
        rows, orders = np.arange(64), np.tile([2, 0, 1], (64, 1))
        lost.append(self.explorer.losses(rows, orders))
        look(self)
        lost.append(self.explorer.losses(rows, orders))

    monkeypatch.setattr(Rounds, "look_behind", look_behind)
    found = search(data, architecture=EXPLORER.architecture, rounds=10)
    assert (lost[0] == lost[1]).all()  # rounds with hidden inputs are about another model
    assert asked == [True]  # one step was lost after the first round, none after the second
    assert found.verdict is Verdict.INDEPENDENT
    assert (found.exploration.graph_loss < 0.1).all()  # of 3 nats


@pytest.mark.parametrize(
    ("stuck", "loss", "memorised", "looks"),
    [
        ([True, False, False], [0.1, 0.1, 0.1], False, True),
        ([True, False, False], [1.9, 0.1, 0.1], False, False),  # noise: what was lost is lost
        ([False, False, False], [0.1, 0.1, 0.1], False, False),
        ([True, False, False], [0.1, 0.1, 0.1], True, False),
    ],
)
def test_more_rounds_are_for_what_was_learned_by_looking_up(made, monkeypatch, stuck, loss, memorised, looks):
    seen = []
    monkeypatch.setattr(Rounds, "_run", lambda self: None)
    monkeypatch.setattr(Rounds, "look_behind", lambda self: seen.append(True))
    made.known = SimpleNamespace(graph=Poset(3), graph_loss=np.array(loss))
    made.longest, made.stable, made.settled = (0, made.known), 1, True
    made.stuck, made.memorised = np.array(stuck), memorised
    made.run()
    assert bool(seen) is looks


def test_rounds_end_where_edges_come_and_go_and_nothing_is_gained(monkeypatch):
    monkeypatch.setattr(Rounds, "has_settled", lambda self: False)
    monkeypatch.setattr(Rounds, "agrees", lambda self: False)
    monkeypatch.setattr(rounds, "PATIENCE", 2)
    data = pyorder.make_task("square", length=3).generate(3000, seed=1)
    found = search(data, recipe=replace(SMALL["recipe"], steps=30), rounds=60)
    assert len(found.exploration.rounds) < 60
    assert not found.converged
    assert found.verdict is Verdict.OPEN


def test_what_was_looked_up_is_written_behind_what_it_is_looked_up_from(made):
    made.benefits, made.done, made.settled = np.zeros((3, 3)), [], False
    orders = {tuple(made.weighed_order(Poset(3, [[2, 1]])).tolist()) for _ in range(20)}
    assert len(orders) > 1  # nothing speaks for any of them
    made.worth = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
    assert {tuple(made.weighed_order(Poset(3, [[2, 1]])).tolist()) for _ in range(20)} == {(0, 2, 1)}


def test_steps_of_a_settled_graph_stand_right_behind_what_they_are_told_from(made):
    """Of two chains that are side by side, one is written after the other."""
    made.length, made.benefits, made.done = 6, np.zeros((6, 6)), []
    chains = [[0, 2], [2, 4], [1, 3], [3, 5]]
    supports = [
        [Support(before, after, 1.0, 0.1, 9.0) for before, after in chains if after == step] for step in range(6)
    ]
    made.known = SimpleNamespace(supports=supports)

    def orders(settled):
        made.settled = settled
        return {tuple(made.weighed_order(Poset(6, chains)).tolist()) for _ in range(40)}

    assert orders(settled=True) == {(0, 2, 4, 1, 3, 5), (1, 3, 5, 0, 2, 4)}
    assert len(orders(settled=False)) > 2


def test_what_all_evidence_speaks_for_stays_where_no_other_sort_brings_more_together():
    worth = np.zeros((6, 6))
    worth[[0, 2, 4], [1, 3, 5]] = 0.3, 0.2, 0.1  # 0.1 + 0.3 + 0.2 comes to more, by rounding
    graph = Poset(6, [[0, 1], [2, 3], [4, 5]])
    assert close_up(graph, np.arange(6), worth).tolist() == [0, 1, 2, 3, 4, 5]
    assert close_up(graph, np.array([2, 0, 3, 4, 1, 5]), worth).tolist() == [2, 3, 0, 1, 4, 5]


@pytest.mark.parametrize("looked_up", [False, True])
def test_orders_that_were_looked_up_do_not_race(monkeypatch, looked_up, side_by_side):
    def run(self, run=Rounds.run):
        run(self)
        assert self.settled
        self.worth = np.zeros((6, 6)) if looked_up else None

    monkeypatch.setattr(Rounds, "run", run)
    found = search(side_by_side)
    names = [stage.name.split(":")[0] for stage in found.history]
    assert names == ["final candidates"] + ["race"] * (0 if looked_up else len(names) - 1)
    assert looked_up or len(names) > 1


@pytest.mark.parametrize(
    ("stood", "left", "bound", "doubts"),
    [(3, 0.6, [], True), (2, 0.6, [], False), (3, 0.1, [], False), (3, 1.2, [], False), (3, 0.6, [[4, 0]], True)],
)
def test_what_is_read_off_a_step_that_is_learned_in_part_is_trained_with_all_others_ahead(
    made, stood, left, bound, doubts
):
    """Step 3 is read off step 4, of which the input leaves a part open."""
    constraints, seen = Poset(5, bound), []
    made.length, made.stable, made.doubted, made.options = 5, stood, np.zeros(5, bool), Exploring()
    supports = [[], [], [], [Support(4, 3, 1.5, 0.1, 9.0)], []]
    loss = np.array([0.01, 0.01, 0.01, 0.01, left])
    made.known = SimpleNamespace(supports=supports, graph_loss=loss, graph=Poset(5, [[4, 3], *bound]))
    made.explorer = SimpleNamespace(
        base=np.full(5, 2.0),
        rng=np.random.default_rng(0),
        train=lambda orders, told: seen.append(orders),
    )
    made.laboratory = SimpleNamespace(
        constraints=constraints, teller=lambda *told, **named: print, cost=Cost(0, 0), run_cost=lambda last: None
    )
    made.last, made.done, made.round_cost = 1, [], made.options.round_cost(100_000)
    made.train("a round")
    (orders,) = seen
    last_two = (orders[:, -2] == 3) & (orders[:, -1] == 4)
    if not doubts:
        assert 0.005 < last_two.mean() < 0.05  # of the uniform ones
        return
    slots = np.argsort(orders, axis=1)
    behind = last_two if not bound else (slots[:, 3] > slots[:, 1]) & (slots[:, 3] > slots[:, 2])
    assert behind.mean() > 0.32
    assert constraints.is_sort(orders).mean() > 0.75  # all but half of the uniform ones


@pytest.mark.parametrize(("looks", "back"), [(False, [3]), (True, [])])
def test_a_rise_that_comes_with_looking_up_is_no_breakdown(running, monkeypatch, looks, back):
    """The model is another one then. After two rounds the loss rises by half of the entropy, and stays there."""
    losses, gone, summed = [0.2, 0.2, 1.2, 1.2], [], []

    def weigh():
        loss = losses[len(running.done)]
        running.done.append(Round(100, 1.5 + loss, loss, loss, 2, 0, 0, 1.0))
        return True

    running.options, running.losses = Exploring(rounds=4), [np.zeros(3)]
    running.known = SimpleNamespace(graph_loss=np.full(3, 1.9), loss=(1.0, 0.1))
    running.explorer.look_up, running.explorer.slow_down = (
        lambda: looks and len(running.done) == 2,
        lambda share: None,
    )
    monkeypatch.setattr(rounds, "replace", lambda known, loss: known)
    monkeypatch.setattr(rounds, "spiked", spiked)
    monkeypatch.setattr(running, "weigh", weigh)
    monkeypatch.setattr(running, "go_back", lambda: gone.append(len(running.done)))
    monkeypatch.setattr(running, "sum_up", lambda: summed.append(len(running.done)))
    for question, answer in (("has_settled", False), ("overfits", False), ("is_stuck", True), ("agrees", False)):
        monkeypatch.setattr(running, question, lambda answer=answer: answer)
    running._run()
    assert gone[:1] == back
    assert sorted(gone + summed) == [1, 2, 3, 4]  # what a round that broke down tells counts nothing
