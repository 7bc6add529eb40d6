"""Precedence-guided discovery: read the dependency graph off one any-order model, then rank its sorts.

Round by round: train the model for a while; measure on held-out rows, in uniformly random orders, what every step
is worth to every other; accept the dependencies that are significant; and let the next orders follow them, so that
contexts that matter become frequent. It ends when graph and loss have settled. Then topological sorts of the
graph, and orders that contradict it, meet in one run of ordinary loss profiling, which has the last word: among
the sorts of a graph that has settled, and among all where it has not. (A short run on long targets may have
learned little, and then prefers a reverse for no reason; the graph's edges were tested on a model that has.)

Training orders are a mixture: uniformly random ones, so that nothing is given up for good; random topological
sorts of the graph; and sorts that emit the steps that are still lost after those that are learned, so that a step
that needs several others together finds them before it.

Evidence of earlier rounds counts nothing: it is about a model that learned less, and the present model is asked
about the same rows again. Only where a step has nothing left to lose does its last verdict stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer
from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.graph import LOST, Dependency, Exploration, Round
from pyorder.dependencies.statistics import EXPLAINED, FirstLook, Support, measure, predecessors, z_threshold
from pyorder.models.architecture import Architecture
from pyorder.orders import linear_ordering
from pyorder.orders.permutations import sample
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Profile
from pyorder.search._pools import count_up_to, distinct, seed_from, sort_along
from pyorder.search.budget import BudgetSpentError
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy
from pyorder.training.presets import EXPLORER
from pyorder.training.recipe import Recipe

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Chosen on square, relu and random graphs, seeds from 1,000 on (docs/precedence.md).
UNIFORM_SHARE = 0.35  # of the training orders
LEARNED = 0.1  # a step is learned below this share of its entropy
STABLE_ROUNDS = 2  # rounds in which a settled graph does not change; one is enough where all is learned
PATIENCE, PROGRESS = 12, 0.01  # rounds in which the loss must fall by this share of the entropy

UNRANKED = (
    "The budget ended before loss profiling could rank candidates: the order rests on the exploration alone."
)
BY_ROW = "Evidence was set apart by row, since few inputs have most rows: what was memorised counts as learned."
CONTRADICTED = "In the last run an order that contradicts the graph had the lower early loss."


@dataclass(frozen=True)
class Precedence(Strategy):
    """Any-order profiling in a closed loop, then loss profiling of the graph's sorts.

    Attributes
    ----------
    error_rate : probability, in a round, that chance makes any dependency significant
    share : a benefit counts from this share of the loss that a step still has
    samples : pairs of an order and its reverse that each round's evidence rests on
    rounds : of training, at most
    candidates : orders in the last run
    architecture, recipe : of the any-order model; a round has as many training steps as the recipe

    Constraints are edges of the graph from the start, whatever the evidence says; others are looked for as ever.

    Examples
    --------
    >>> Precedence(candidates=32).pools(Poset(40))
    [32]
    """

    name: ClassVar[str] = "precedence"
    error_rate: float = 0.01
    share: float = 0.1
    samples: int = 2048
    rounds: int = 80
    candidates: int = 64
    architecture: Architecture = EXPLORER.architecture
    recipe: Recipe = EXPLORER.recipe

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("error_rate", "share"):
            value = getattr(self, option)
            if not isinstance(value, float) or not 0 < value < 1:
                raise ValueError(f"{option}: expected a number between 0 and 1, got {value!r}")
        for option, least in (("samples", 1), ("rounds", 1), ("candidates", 2)):
            check_integer(getattr(self, option), option, least)
        for option, kind in (("architecture", Architecture), ("recipe", Recipe)):
            if not isinstance(getattr(self, option), kind):
                raise TypeError(f"{option}: expected {kind.__name__}, got {type(getattr(self, option)).__name__}")
        if self.recipe.step_weights is not None:
            raise ValueError("recipe: exploration weighs no steps; give step_weights to the search")

    def pools(self, constraints: Poset) -> list[int]:
        """One run, of the final candidates."""
        return [count_up_to(constraints, self.candidates)]

    def exploration_cost(self) -> Cost:
        """A dozen rounds, or all of them if they are fewer."""
        return sum([self.round_cost()] * min(12, self.rounds), Cost())

    def round_cost(self) -> Cost:
        """Cost of a round: training, every sample in an order and its reverse, as many rows in sorts at most."""
        return Cost(self.recipe.steps, 3 * self.samples)

    def search(self, laboratory: Laboratory) -> Orders:
        """Explore, then rank."""
        loop = _Loop(self, laboratory)
        try:
            loop.run()
        finally:  # what was explored until something went wrong is worth keeping
            found, weighed = loop.result(), loop.weighed_order()
            laboratory.exploration, laboratory.best = found, weighed if loop.rounds else None
        pool = finalists(loop.graph, weighed, loop.last, laboratory.constraints, laboratory.rng)
        try:
            profile = laboratory.profile(pool, "final candidates")
        except BudgetSpentError:
            if found is None:
                raise  # not one round was explored
            laboratory.exploration = replace(found, remarks=(*found.remarks, UNRANKED))
            return weighed
        of_all = leader(profile, np.ones(len(pool), bool), weighed, self.error_rate)
        if found is None or not found.settled:
            return of_all
        if not loop.graph.is_sort(of_all[None])[0]:
            laboratory.exploration = replace(found, remarks=(*found.remarks, CONTRADICTED))
        return leader(profile, loop.graph.is_sort(pool), weighed, self.error_rate)


class _Loop:
    """The rounds of exploration, and what is known after each."""

    def __init__(self, strategy: Precedence, laboratory: Laboratory) -> None:
        self.strategy = strategy
        self.laboratory = laboratory
        self.length = laboratory.length
        self.explorer: Explorer = laboratory.explorer(strategy.samples, strategy.architecture, strategy.recipe)
        self.graph = laboratory.constraints.copy()
        (self.last,) = strategy.pools(laboratory.constraints)  # candidates of the last run
        self.supports: list[list[Support]] = [[] for _ in range(self.length)]
        self.graph_loss = self.explorer.base
        self.rounds: list[Round] = []
        self.look: FirstLook | None = None
        self.benefits = np.zeros((self.length, self.length))  # summed over rounds
        self.settled = False
        self.stable = 0

    def run(self) -> None:
        training = self.strategy.recipe.steps * self.strategy.recipe.batch_size
        cost = self.strategy.round_cost()
        for number in range(1, self.strategy.rounds + 1):
            if not self.laboratory.affords(self.last, beside=cost):
                self.laboratory.curtail()
                return
            tell = self.laboratory.teller(self.describe(number), cost, to_come=self.laboratory.run_cost(self.last))
            self.explorer.train(self.training_orders(training), partial(tell, "training"))
            self.laboratory.cost += cost
            self.weigh()
            if self.has_settled():
                self.settled = True
                return

    def describe(self, number: int) -> str:
        if not self.rounds:
            return f"round {number}"
        last = self.rounds[-1]
        return f"round {number}: {last.dependencies} dependencies, loss {last.graph_loss:.3f}"

    def training_orders(self, count: int) -> Orders:
        """Draw the orders of a round, as this module's notes say."""
        rng = self.explorer.rng
        orders = sample(self.length, count, seed=seed_from(rng))
        if len(self.graph.edges):
            kind = rng.random(count)
            sorts = kind > UNIFORM_SHARE
            orders[sorts] = self.graph.sample_sorts(int(sorts.sum()), seed=seed_from(rng))
            late = kind > (1 + UNIFORM_SHARE) / 2
            lost = self.graph_loss > LOST * self.explorer.base
            orders[late] = lost_last(self.graph, lost, rng).sample_sorts(int(late.sum()), seed=seed_from(rng))
        return orders

    def weigh(self) -> None:
        """Take the evidence of the model as it is now, and rebuild the graph from it."""
        explorer, strategy = self.explorer, self.strategy
        orders, rows, losses = explorer.antithetic(strategy.samples)
        if not np.isfinite(losses).all():
            raise RuntimeError("the exploration's training diverged: a loss is not finite")
        self.look = measure(losses, orders, rows, seed_from(explorer.rng))
        self.benefits += self.look.benefit
        threshold = z_threshold(strategy.error_rate, pairs(self.length))
        for step in range(self.length):
            if self.look.step_loss[step] > EXPLAINED * explorer.base[step]:
                self.supports[step] = predecessors(
                    step, self.look, losses, orders, rows,
                    share=strategy.share, threshold=threshold, entropy=float(explorer.base[step]),
                )  # fmt: skip
        before = edge_set(self.graph)
        supports = [support for found in self.supports for support in found]
        self.graph = assemble(self.laboratory.constraints, supports, explorer.rng)
        now = edge_set(self.graph)
        self.stable = self.stable + 1 if now == before else 0
        seen = np.arange(explorer.evidence_rows)
        sorts = self.graph.sample_sorts(len(seen), seed=seed_from(explorer.rng))
        self.graph_loss = explorer.losses(seen, sorts).mean(0)
        self.rounds.append(
            Round(
                training_steps=explorer.steps_done,
                uniform_loss=float(self.look.step_loss.mean()),
                graph_loss=float(self.graph_loss.mean()),
                dependencies=len(now),
                gained=len(now - before),
                withdrawn=len(before - now),
                seconds=self.laboratory.seconds,
            )
        )

    def has_settled(self) -> bool:
        """Whether the graph stands still and there is nothing left to learn, or nothing more is learned."""
        if self.stable and (self.graph_loss <= LEARNED * self.explorer.base).all():
            return True
        if self.stable < STABLE_ROUNDS:
            return False
        losses = [done.graph_loss for done in self.rounds]
        if len(losses) <= PATIENCE:
            return False
        return min(losses[:-PATIENCE]) - min(losses[-PATIENCE:]) < PROGRESS * float(self.explorer.base.mean())

    def weighed_order(self) -> Orders:
        """The sort of the graph that all evidence speaks for, also what is too weak to count as a dependency.

        Among the sorts it earns the largest sum of benefits, averaged over the rounds: a step that has become easy
        in any place may have been learned with another's help.
        """
        weights = self.benefits / max(1, len(self.rounds))
        weights = weights + self.graph.closure * (np.abs(weights).sum() + 1.0)
        return sort_along(self.graph, linear_ordering.solve(weights, seed=seed_from(self.explorer.rng)).order)

    def result(self) -> Exploration | None:
        if self.look is None:
            return None
        look, explorer = self.look, self.explorer
        edges, threshold = edge_set(self.graph), z_threshold(self.strategy.error_rate, pairs(self.length))
        found = []
        for support in sorted((s for group in self.supports for s in group), key=lambda s: (s.before, s.after)):
            if (support.before, support.after) in edges:
                there, back = (support.before, support.after), (support.after, support.before)
                gap = look.benefit[there] - look.benefit[back]
                gap_error = float(np.hypot(look.standard_error[there], look.standard_error[back]))
                chance = 1 - NormalDist().cdf(support.z)
                found.append(
                    Dependency(
                        before=support.before,
                        after=support.after,
                        benefit=support.benefit,
                        standard_error=support.standard_error,
                        confidence=max(0.0, 1 - pairs(self.length) * chance),
                        reversible=bool(gap < threshold * gap_error),
                    )
                )
        return Exploration(
            dependencies=tuple(found),
            settled=self.settled,
            benefit=look.benefit,
            standard_error=look.standard_error,
            uniform_loss=look.step_loss,
            graph_loss=self.graph_loss,
            entropy=explorer.base,
            samples=look.samples,
            rounds=tuple(self.rounds),
            seconds=self.laboratory.seconds,
            remarks=(
                *remarks(found, look.step_loss, self.graph_loss, explorer.base, self.settled),
                *([] if explorer.by_input or not explorer.tokens.shape.input_length else [BY_ROW]),
            ),
        )


def remarks(
    dependencies: list[Dependency], uniform_loss: Floats, graph_loss: Floats, entropy: Floats, settled: bool
) -> tuple[str, ...]:
    """Say in sentences where the graph leaves something open."""
    said = []
    lost = int((graph_loss > LOST * entropy).sum())
    if not settled:
        said.append("The exploration ended before graph and loss had settled.")
    if lost:
        said.append(f"{lost} of {len(entropy)} steps were hardly learned, so what they depend on is not known.")
    if not dependencies and not lost:
        said.append("No step is worth anything to another: given the input the steps look independent.")
    early = sum(bool(uniform_loss[edge.after] <= EXPLAINED * entropy[edge.after]) for edge in dependencies)
    if early:
        said.append(
            f"{early} of {len(dependencies)} dependencies helped early on only: in the end their steps are "
            "learned in any order."
        )
    reversible = sum(edge.reversible for edge in dependencies)
    if reversible:
        said.append(f"{reversible} of {len(dependencies)} dependencies may as well point the other way.")
    return tuple(said)


def pairs(length: int) -> int:
    """Number of pairs (before, after) that are tested in a round."""
    return max(1, length * (length - 1))


def edge_set(graph: Poset) -> set[tuple[int, int]]:
    """Edges of the transitive reduction."""
    return {(before, after) for before, after in graph.reduction.tolist()}


def assemble(constraints: Poset, supports: list[Support], rng: np.random.Generator) -> Poset:
    """Add edges that may contradict each other to a graph, so that it stays acyclic and the benefit kept is large.

    The strongest edge goes first, and one that would close a cycle is left out. Where that loses benefit, a linear
    ordering of all edges is tried as well; edges of equal benefit come in random sequence.

    Examples
    --------
    >>> edges = [Support(0, 1, 2.0, 0.1, 9.0), Support(1, 2, 1.5, 0.1, 9.0), Support(2, 0, 1.0, 0.1, 9.0)]
    >>> assemble(Poset(3), edges, np.random.default_rng(0))
    Poset(3, [[0, 1], [1, 2]])
    """
    graph = constraints.copy()
    weights = np.zeros((graph.length, graph.length))
    kept = 0.0
    for index in sorted(rng.permutation(len(supports)), key=lambda index: -supports[index].benefit):
        edge = supports[index]
        weights[edge.before, edge.after] = edge.benefit
        kept += edge.benefit if graph.add(edge.before, edge.after) else 0.0
    if kept < weights.sum() * (1 - 1e-9):
        binding = constraints.closure * (weights.sum() + 1.0)
        order = linear_ordering.solve(weights + binding, seed=seed_from(rng)).order
        slots = np.argsort(order)
        ahead = (weights > 0) & (slots[:, None] < slots)
        if weights[ahead].sum() > kept * (1 + 1e-9) and constraints.is_sort(order[None])[0]:
            graph = Poset(graph.length, np.concatenate([constraints.edges, np.argwhere(ahead)]))
    return graph


def lost_last(graph: Poset, lost: npt.NDArray[np.bool_], rng: np.random.Generator) -> Poset:
    """The graph with every step that is lost after those that are not, as far as the graph allows.

    Examples
    --------
    >>> lost = np.array([False, True, False])
    >>> lost_last(Poset(3, [[1, 2]]), lost, np.random.default_rng(0)).edges.tolist()
    [[0, 1], [1, 2]]
    """
    extended = graph.copy()
    for before in rng.permutation(np.flatnonzero(~lost)):
        for after in rng.permutation(np.flatnonzero(lost)):
            extended.add(int(before), int(after))
    return extended


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
