"""Precedence-guided discovery: read the dependency graph off one any-order model, then rank its sorts.

Round by round: train the model for a while; measure on held-out rows, in uniformly random orders, what every step
is worth to every other; accept the dependencies that are significant; and let the next orders follow them, so that
contexts that matter become frequent (`pyorder.search._rounds`). It ends when graph and loss have settled. Then
topological sorts of the graph, and orders that contradict it, meet in one run of ordinary loss profiling: what
counts are the sorts of a graph that has settled, and all where it has not. (A short run on long targets may have
learned little, and then prefers a reverse for no reason; the graph's edges were tested on a model that has.)

The model of that run learns all its orders at once, and may well prefer one that alone is learned later. So where
the graph leaves a choice, a few finalists race: each trains a model of its own, on equal rows. After a quarter of
a run the order that all evidence speaks for and the best of the others go on to its end, with other seeds as well.
Where a step stands that the input tells, and that tells no other anything, is no such choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer, check_memory
from pyorder.dependencies.statistics import z_threshold
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Profile
from pyorder.search._exploring import Exploring
from pyorder.search._pools import count_up_to, distinct
from pyorder.search._rounds import Rounds
from pyorder.search.budget import BudgetSpentError
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy
from pyorder.streams import seed_from

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NO_LOSS = 0.02  # nats, in a step that is learned; not tuned
RACE_SEEDS = 2  # of the last two in a race
UNRANKED = (
    "The budget ended before loss profiling could rank candidates: the order rests on the exploration alone."
)
UNRACED = "The budget ended before finalists could train alone: a mixture of orders chose between them."
CONTRADICTED = "In the last run an order that contradicts the graph had the lower early loss."


@dataclass(frozen=True)
class Precedence(Exploring, Strategy):
    """Any-order profiling in a closed loop, then loss profiling of the graph's sorts.

    Attributes
    ----------
    error_rate : probability, in a round, that chance makes any dependency significant
    share : a benefit counts from this share of the loss that a step still has
    samples : pairs of an order and its reverse that each round's evidence rests on
    rounds : of training, at most
    candidates : orders in the last run of loss profiling
    racers : finalists that then train alone, where the graph leaves a choice that can matter; with 0 that run has
        the last word
    architecture, recipe : of the any-order model; a round has as many training steps as the recipe, or fewer where
        rows are few

    Constraints are edges of the graph from the start, whatever the evidence says; others are looked for as ever.

    Examples
    --------
    >>> Precedence(candidates=32).pools(Poset(40))
    [32]
    """

    name: ClassVar[str] = "precedence"
    candidates: int = 64
    racers: int = 5

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        super().__post_init__()
        check_integer(self.candidates, "candidates", 2)
        check_integer(self.racers, "racers", 0)

    def pools(self, constraints: Poset) -> list[int]:
        """One run, of the final candidates; ValueError for more samples than memory has room for."""
        # A sample is two orders, as they are and as columns, and twice the losses of all steps.
        check_memory(self.samples, 64 * constraints.length, "samples", "pairs of orders and their losses")
        return [count_up_to(constraints, self.candidates)]

    def exploration_cost(self) -> Cost:
        """A dozen rounds, or all of them if they are fewer."""
        return sum([self.round_cost()] * min(12, self.rounds), Cost())

    def search(self, laboratory: Laboratory) -> Orders:
        """Explore, then rank."""
        (last,) = self.pools(laboratory.constraints)
        rounds = Rounds(self, laboratory, last=last)
        try:
            rounds.run()
            rounds.compare_rows()
        finally:  # what was explored until something went wrong is worth keeping
            found, leanings = rounds.result(), rounds.leanings()
            weighed = rounds.weighed_order(leanings)
            laboratory.exploration, laboratory.best = found, weighed if rounds.done else None
        pool = finalists(leanings, weighed, last, laboratory.constraints, laboratory.rng)
        try:
            profile = laboratory.profile(pool, "final candidates")
        except BudgetSpentError:
            if found is None:
                raise  # not one round was explored
            laboratory.remarks.append(UNRANKED)
            return weighed
        everything = np.ones(len(pool), bool)
        of_all = leader(profile, everything, weighed, self.error_rate)
        if found is None or not found.settled:
            allowed, first = everything, of_all
        else:
            if not rounds.graph.is_sort(of_all[None])[0]:
                laboratory.remarks.append(CONTRADICTED)
            allowed = rounds.graph.is_sort(pool)
            first = leader(profile, leanings.is_sort(pool), weighed, self.error_rate)
        ranked = pool[profile.ranking][allowed[profile.ranking]]
        racers = distinct(np.concatenate([weighed[None], first[None], ranked]))
        if found and found.settled:
            racers = rivals(racers, loose(rounds.graph, found.graph_loss))
        if self.racers < 2 or len(racers) < 2 or not len(rounds.graph.edges) or (found and found.memorised):
            return first  # where nothing depends on anything any order will do, and few rows tell nothing
        if rounds.worth is not None and rounds.settled:
            return weighed  # the early loss of look-ups tells nothing before they take off
        laboratory.best = first
        try:
            return race(laboratory, racers[: self.racers], self.error_rate)
        except BudgetSpentError:
            laboratory.remarks.append(UNRACED)
            return first


def loose(graph: Poset, loss: Floats) -> npt.NDArray[np.bool_]:
    """Steps (L,) in no dependency, which keep no loss (L,): wherever they stand, they tell and cost nothing."""
    linked = np.zeros(graph.length, bool)
    linked[[step for edge in graph.edges for step in edge]] = True
    return ~linked & (loss <= NO_LOSS)


def rivals(orders: Orders, loose: npt.NDArray[np.bool_]) -> Orders:
    """Those of the orders (T, L) that differ from all before them in more than where the loose steps stand.

    Examples
    --------
    >>> rivals(np.array([[0, 1, 2], [1, 2, 0], [0, 2, 1]]), np.array([True, False, False])).tolist()
    [[0, 1, 2], [0, 2, 1]]
    """
    fixed = orders[~loose[orders]].reshape(len(orders), -1)
    _, first = np.unique(fixed, axis=0, return_index=True)
    return orders[np.sort(first)]


def finalists(graph: Poset, weighed: Orders, count: int, constraints: Poset, rng: np.random.Generator) -> Orders:
    """Draw distinct candidates of the last run: half sorts of the graph, then the rest; in random sequence.

    The rest are the reverse of ``weighed``, and it and other sorts with one step moved, which may contradict the
    graph but not the constraints.
    """
    sorts = graph.sample_sorts(4 * count, seed=seed_from(rng))
    pool = distinct(np.concatenate([weighed[None], sorts]))[: max(1, count // 2)]
    pool = distinct(np.concatenate([pool, weighed[None, ::-1]]))
    pool = pool[constraints.is_sort(pool)]
    for _ in range(100):
        if len(pool) >= count:
            break
        moved = []
        for order in (weighed, *sorts[rng.permutation(len(sorts))[:count]], weighed):
            start, stop = rng.integers(len(order), size=2)
            moved.append(np.insert(np.delete(order, start), stop, order[start]))
        allowed = np.array(moved)[constraints.is_sort(moved)]
        pool = distinct(np.concatenate([pool, allowed]))
    return rng.permutation(pool[:count])


def race(laboratory: Laboratory, orders: Orders, error_rate: float) -> Orders:
    """Let orders train alone; the first and the best of the others to the end, and with other seeds.

    The first wins unless the other's loss is lower with every seed, and on average by more than these rows can
    tell: two seeds are too few to reckon with how far they lie apart. All together take no more training steps
    than the search has taken before, so that what is cheap stays cheap.
    """
    models = 2 * RACE_SEEDS + (len(orders) - 2) / 4  # that train to the end, as it were
    most = int(laboratory.cost.training_steps / models)
    steps = max(1, min(laboratory.profiler.recipe.steps, most))
    contest = laboratory.contest(orders, steps=steps)
    early = steps // 4 if len(orders) > 2 else 0
    if early:
        ranking = laboratory.go_on(contest, early, f"race: {len(orders)} orders alone").ranking
        contest.keep(np.array([0, ranking[ranking > 0][0]]))
    rungs = [laboratory.go_on(contest, steps - early, "race: the last two")]
    again = laboratory.contest(contest.orders, steps=steps, seeds=RACE_SEEDS - 1)
    rungs.append(laboratory.go_on(again, steps, "race: the last two with other seeds"))
    leads = [losses[0] - losses[1] for rung in rungs for losses in rung.seed_loss]
    error = float(np.mean([rung.standard_error.max() for rung in rungs]))  # of the same rows in all of them
    won: Orders = contest.orders[int(min(leads) > 0 and np.mean(leads) > z_threshold(error_rate, 2) * error)]
    return won


def leader(profile: Profile, allowed: npt.NDArray[np.bool_], incumbent: Orders, error_rate: float) -> Orders:
    """The order of lowest loss among those allowed, unless chance could put it ahead of the incumbent.

    The best of many candidates that are equally good is a random one, so it has to be better by more than the best
    of so many would be by chance.
    """
    place = int(np.flatnonzero((profile.orders == incumbent).all(1))[0])
    first = int(profile.ranking[allowed[profile.ranking]][0])
    lead = profile.loss[place] - profile.loss[first]
    # Errors are of the difference to the best of all: those of two orders bound that of their own difference.
    error = profile.standard_error[place] + profile.standard_error[first]
    best: Orders = profile.orders[first if lead > z_threshold(error_rate, len(profile.orders)) * error else place]
    return best
