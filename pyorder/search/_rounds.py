"""The rounds of an exploration: train, weigh the evidence, follow what it says, and know when to stop.

Training orders are a mixture: uniformly random ones, so that nothing is given up for good; random topological
sorts of the graph; and sorts that emit the steps that are still lost after those that are learned, so that a step
that needs several others together finds them before it.

Evidence of earlier rounds counts nothing: it is about a model that learned less, and the present model is asked
about the same rows again. Only where a step has nothing left to lose does its last verdict stand.

Where the input nearly tells a step, in whatever order, what others are worth to it is small beside its entropy and
yet all that is left to gain. Such a step is looked at more closely, and the rounds go on while it gets better.

Few rows are learned by heart: the loss on others rises while that on the training rows falls. Then the model goes
back to where it was best and goes on with dropout; when that, too, learns nothing more, the rounds end there. Nor
is anything called settled that holds for rows known by heart, or says nothing about most steps. Where training
breaks down it goes back in the same way, and on at half the rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.assembly import assemble, dependencies, edge_set
from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.graph import LOST, Exploration, Round
from pyorder.dependencies.opposed import Opposed, cost_in_rows, opposed_pairs, suspects
from pyorder.dependencies.statistics import Evidence, Support, measure, pairs, z_threshold
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost
from pyorder.search._course import PATIENCE, exhausted, settled, spiked
from pyorder.search._exploring import Exploring
from pyorder.search._gathering import Gathering, agreed
from pyorder.search._known import Known
from pyorder.search._leanings import as_matrix, doubtful, lean, set_free, training_orders, weighed
from pyorder.search.laboratory import Laboratory
from pyorder.streams import seed_from
from pyorder.training.divergence import AGAIN

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Chosen on square, relu and random graphs, seeds from 1,000 on (docs/precedence.md).
STANDING = 3  # rounds that a graph has to have stood to be preferred to one that came later and did not
STUCK_ROUNDS = 6  # without a change of the graph, after which lost steps are looked up in the input
AFTER_LOOKING_UP = 6  # rounds in which a lost step must be learned then; not tuned, look-ups took two or three
LOOKS_BEHIND = 3  # rounds
SURE = 3.0  # standard errors
BY_HEART = 0.05  # of the entropy, by which evidence loses more
WORSE_ROUNDS = 2  # in which the loss lies above the best one
AFTER_SPIKE = 0.5  # of the learning rate; not tuned


class Rounds:
    """Rounds of exploration, and what is known after them; the budget is to leave room for a last run."""

    def __init__(self, options: Exploring, laboratory: Laboratory, *, last: int) -> None:
        self.options = options
        self.laboratory = laboratory
        self.length = laboratory.length
        self.explorer: Explorer = laboratory.explorer(options.samples, options.architecture, options.recipe)
        self.last = last  # candidates of the last run
        self.round_cost = options.round_cost(self.explorer.training_rows)
        nothing: list[list[Support]] = [[] for _ in range(self.length)]
        base = self.explorer.base
        self.known = Known(laboratory.constraints.copy(), nothing, np.zeros(self.length, bool), base)
        self.evidence: Evidence | None = None  # of the last round
        self.done: list[Round] = []
        self.losses: list[Floats] = []  # of each round, (L,) in sorts of its graph
        self.findings: list[list[Support]] = []  # of each round since the last step back, what its graph keeps
        self.benefits, self.errors = np.zeros((2, self.length, self.length))  # summed over rounds
        self.settled = self.exhausted = self.memorised = False
        self.calmed = False  # whether it diverged and goes on at a lower rate
        self.stable = self.paired = 0  # rounds in which no edge has changed, or but for its direction
        self.longest = 0, self.known  # the most that it was, and of which graph
        self.stuck = np.zeros(self.length, bool)  # steps that were lost when looking up began
        self.doubted = np.zeros(self.length, bool)  # steps that others may only have been read off
        self.began = 0  # round from which on the model is what it is: another looks values up
        self.best: tuple[Known, Mapping[str, Any]] | None = None  # and the state that the model was in
        self.worse = 0
        self.gathering = Gathering(options, base, self.explorer.rng)
        # After look-ups: of steps to others, where inputs are hidden that say the same as steps.
        self.worth: Floats | None = None
        self.opposed: tuple[Opposed, ...] = ()

    @property
    def graph(self) -> Poset:
        """The dependency graph so far, with the constraints in it."""
        return self.known.graph

    @property
    def lost(self) -> npt.NDArray[np.bool_]:
        """Steps (L,) of which hardly anything is learned."""
        lost: npt.NDArray[np.bool_] = self.known.graph_loss > LOST * self.explorer.base
        return lost

    @property
    def found_by_looking_up(self) -> npt.NDArray[np.bool_]:
        """Steps (L,) that were lost when looking up began, and are not any more."""
        return self.stuck & ~self.lost

    def run(self) -> None:
        """Go on until the graph has settled, rows are known by heart, nothing comes of it, or the budget is spent.

        Where values are noisy every other step tells about as much once all is learned, and edges come and go:
        then the graph that stood longest is the one to keep, of what was learned first, unless more was found
        since.
        """
        self._run()
        stood, known = self.longest
        more = len(edge_set(self.graph)) > len(edge_set(known.graph))
        if not (self.settled or self.memorised or more) and stood >= max(STANDING, self.stable + 1):
            self.adopt(known)
        if self.found_by_looking_up.any() and not self.memorised:
            self.look_behind()

    def compare_rows(self) -> None:
        """Ask whether steps help each other in opposite directions, where one order has not taught them all."""
        known, options = self.known, self.options
        if known.look is None or self.memorised or not self.explorer.tokens.shape.input_length:
            return
        left, z = known.graph_loss, z_threshold(options.error_rate, pairs(self.length))
        found = suspects(known.look, left, self.explorer.base, share=options.share, threshold=z)
        cost = Cost(0, cost_in_rows(self.explorer, found))
        if not found:
            return
        if not self.laboratory.affords(self.last, beside=cost):
            self.laboratory.curtail()
            return
        self.opposed = opposed_pairs(self.explorer, found, error_rate=options.error_rate)
        self.laboratory.cost += cost

    def look_behind(self) -> None:
        """Learn for a few rounds what steps are worth to each other where the input does not say the same.

        A step that repeats an input is worth nothing to others while that is shown, and a decoder may yet look up
        from it what comes next. It depends on nothing: what was worth a little to it was so while it was learned.
        """
        repeated, copies = self.explorer.repeated()
        rounds = LOOKS_BEHIND if repeated.any() else 0
        asking = Cost(0, 2 * self.options.samples)
        if not self.laboratory.affords(self.last, beside=sum([self.round_cost] * rounds, asking)):
            self.laboratory.curtail()
            return
        model = self.explorer.state()
        self.explorer.hide(repeated)
        for number in range(1, rounds + 1):
            self.train(f"look-ups {number}")
        evidence = self.explorer.antithetic(self.options.samples, hidden=repeated)
        self.explorer.restore(model)  # what all else is about
        self.laboratory.cost += asking
        if not np.isfinite(evidence.losses).all():  # these rounds diverged, and tell nothing
            return
        worth = measure(evidence, seed_from(self.explorer.rng)).benefit
        self.worth = np.where(worth > self.options.share * self.explorer.base, worth, 0.0)
        supports = [[] if copies[step] else found for step, found in enumerate(self.known.supports)]
        graph = assemble(
            self.laboratory.constraints, [one for found in supports for one in found], self.explorer.rng
        )
        self.adopt(replace(self.known, supports=supports, graph=graph))

    def train(self, stage: str) -> None:
        """Train for a round."""
        cost = self.round_cost
        tell = self.laboratory.teller(stage, cost, to_come=self.laboratory.run_cost(self.last))
        count = cost.training_steps * self.options.recipe.batch_size
        known, rng = self.known, self.explorer.rng
        self.doubted = doubtful(
            known.supports, known.graph_loss / self.explorer.base, self.doubted, standing=self.stable >= STANDING
        )
        freed, late = self.graph, [self.lost]
        if self.doubted.any():
            freed, late = set_free(self.laboratory.constraints, known.supports, self.doubted, self.lost, rng)
        orders = training_orders(self.graph, freed, late, count, rng)
        self.explorer.train(orders, partial(tell, "training"))
        self.laboratory.cost += cost

    def _run(self) -> None:
        for number in range(1, self.options.rounds + 1):
            if not self.laboratory.affords(self.last, beside=self.round_cost):
                self.laboratory.curtail()
                return
            self.train(self.describe(number))
            if not self.weigh():
                self.calm_down()
                continue
            if spiked(self.done[self.began :], self.explorer.base):
                self.go_back()
                self.explorer.slow_down(AFTER_SPIKE)
                continue
            self.sum_up()
            agrees = self.agrees()  # what rounds have in common is more than what the last one found
            if not agrees and self.is_stuck() and self.look_up():
                continue
            if agrees or self.has_settled():
                gap, error = self.known.gap
                self.memorised = gap > SURE * error and gap > BY_HEART * float(self.explorer.base.sum())
                self.settled = not self.memorised
                return
            if self.has_stalled(2 * PATIENCE):
                self.exhausted = True
                return
            if self.overfits():
                seen = self.known.gap  # that is what is said of few rows
                self.go_back()
                self.known = replace(self.known, gap=seen)
                if not self.explorer.regularise():
                    self.memorised = True
                    return

    def go_back(self) -> None:
        """Go back to the model and the graph of the round that lost least."""
        assert self.best is not None
        self.known, state = self.best
        self.explorer.restore(state)
        self.begin_anew()

    def look_up(self) -> bool:
        """Go on with a model that looks values up, of which nothing is known yet; False where that cannot be."""
        if not self.explorer.look_up():
            return False
        self.stuck, self.began = self.lost, len(self.done)
        self.best = replace(self.known, loss=(math.inf, 0.0)), self.explorer.state()
        self.begin_anew()
        return True

    def begin_anew(self) -> None:
        """Forget what is about another state of the model."""
        self.worse = self.stable = self.paired = 0
        self.longest = 0, self.known
        self.gathering.recent, self.findings = [], []

    def describe(self, number: int) -> str:
        """Say what round is being done."""
        if not self.done:
            return f"round {number}"
        last = self.done[-1]
        return f"round {number}: {last.dependencies} dependencies, loss {last.graph_loss:.3f}"

    def weigh(self) -> bool:
        """Take the evidence of the model as it is now, and rebuild the graph from it; False if it diverged."""
        explorer = self.explorer
        evidence = explorer.antithetic(self.options.samples)
        if not np.isfinite(evidence.losses).all():
            return False
        look = measure(evidence, seed_from(explorer.rng))
        supports, fine = self.gathering.gather(look, evidence, self.known.supports, self.known.fine)
        before = edge_set(self.graph)
        graph = assemble(self.laboratory.constraints, [one for found in supports for one in found], explorer.rng)
        now = edge_set(graph)
        self.stable = self.stable + 1 if now == before else 0
        same_pairs = {frozenset(edge) for edge in now} == {frozenset(edge) for edge in before}
        self.paired = self.paired + 1 if same_pairs else 0
        self.evidence = evidence
        self.known = Known(graph, supports, fine, explorer.base, look).scored(explorer, evidence)
        self.losses.append(self.known.graph_loss)
        self.findings.append([one for found in supports for one in found if graph.precedes(one.before, one.after)])
        self.done.append(
            Round(
                training_steps=explorer.steps_done,
                uniform_loss=float(look.step_loss.mean()),
                graph_loss=float(self.known.graph_loss.mean()),
                training_loss=self.known.training_loss,
                dependencies=len(now),
                gained=len(now - before),
                withdrawn=len(before - now),
                seconds=self.laboratory.seconds,
            )
        )
        if self.stable > self.longest[0]:
            self.longest = self.stable, self.known
        if self.best is None or self.known.loss[0] < self.best[0].loss[0]:
            self.best = self.known, explorer.state()
        least, error = self.best[0].loss
        self.worse = self.worse + 1 if self.known.loss[0] > least + 2 * error else 0
        return True

    def sum_up(self) -> None:
        """Add what the round tells to the sums over rounds, of which those that broke down are no part."""
        assert self.known.look is not None
        self.benefits += self.known.look.benefit
        self.errors += self.known.look.standard_error

    def adopt(self, known: Known) -> None:
        """Go on with another graph, and what the model loses in its sorts, if the budget has room for asking."""
        cost = self.options.scoring_cost()
        if self.evidence is not None and self.laboratory.affords(self.last, beside=cost):
            known = known.scored(self.explorer, self.evidence)
            self.laboratory.cost += cost
        self.known = known

    def calm_down(self) -> None:
        """Go back to the best state and on from there at a lower rate, once.

        Raises
        ------
        RuntimeError
            If that was done before, or there is no such state.
        """
        rate = self.explorer.recipe.learning_rate
        if self.best is None or self.calmed:
            raise RuntimeError(
                f"the exploration's training diverged at a learning rate of {rate:g}: a loss is not finite; give "
                "the strategy a recipe with a lower one"
            )
        self.calmed = True
        self.go_back()
        self.explorer.slow_down(AGAIN)
        told = f"The exploration diverged at a learning rate of {rate:g} and went on at a tenth of it."
        self.laboratory.remarks.append(told)

    def has_settled(self) -> bool:
        """Whether the graph stands still and there is nothing left to learn, or nothing more is learned."""
        supports, fine = self.known.supports, self.known.fine
        told = np.array([fine or not found for found, fine in zip(supports, fine, strict=True)])
        losses, base = self.losses[self.began :], self.explorer.base
        patience = AFTER_LOOKING_UP if self.began and not self.found_by_looking_up.any() else PATIENCE
        return settled(losses, base, told, stable=self.stable, paired=self.paired, patience=patience)

    def agrees(self) -> bool:
        """Whether nothing more is learned, and the graphs since then fit into one, which stands from then on."""
        if len(self.findings) < PATIENCE or not self.has_stalled(PATIENCE):
            return False
        together = agreed(self.findings[-PATIENCE:], self.laboratory.constraints)
        if together is None or not any(together[1]):
            return False
        untold = self.lost & [not found for found in together[1]]  # an input that is looked up may tell them
        if untold.any() and self.explorer.may_look_up:
            return False
        self.adopt(replace(self.known, graph=together[0], supports=together[1]))
        return True

    def is_stuck(self) -> bool:
        """Whether steps are lost, and nothing new has been found out for a while."""
        return bool(self.lost.any()) and (self.stable >= STUCK_ROUNDS or self.has_stalled(PATIENCE))

    def has_stalled(self, patience: int) -> bool:
        """Whether the model, in the form that it has now, has gained nothing for so many rounds."""
        return exhausted(self.losses[self.began :], self.explorer.base, patience)

    def overfits(self) -> bool:
        """Whether the model gets worse on rows that it is not trained on, and knows the others better."""
        gap, error = self.known.gap
        return self.worse >= WORSE_ROUNDS and gap > SURE * error

    def leanings(self) -> Poset:
        """The graph, and what the rounds tell beside dependencies, for the choice among its sorts: see `lean`."""
        return lean(
            self.graph,
            self.benefits,
            self.errors,
            max(1, len(self.done)),
            supported=np.array([bool(found) for found in self.known.supports]),
            lost=self.lost,
            threshold=z_threshold(self.options.error_rate, pairs(self.length)),
            rng=self.explorer.rng,
        )

    def weighed_order(self, graph: Poset) -> Orders:
        """The sort of a graph that all evidence speaks for: see `weighed`."""
        weights, worth = self.benefits / max(1, len(self.done)), self.worth
        if worth is None and self.settled:
            worth = as_matrix(self.known.supports)
        return weighed(graph, weights, worth, seed_from(self.explorer.rng))

    def result(self) -> Exploration | None:
        """What was found; None before the first round has ended."""
        known, explorer, look = self.known, self.explorer, self.known.look
        if look is None:
            return None
        explored = Exploration(
            dependencies=dependencies(
                self.graph, known.supports, look, known.fine, explorer.base, error_rate=self.options.error_rate
            ),
            settled=self.settled,
            memorised=self.memorised,
            benefit=look.benefit,
            standard_error=look.standard_error,
            uniform_loss=look.step_loss,
            graph_loss=known.graph_loss,
            entropy=explorer.base,
            order_gain=known.order_gain,
            gap=known.gap,
            training_rows=explorer.training_rows,
            samples=look.samples,
            by_input=explorer.by_input or not explorer.tokens.shape.input_length,
            rounds=tuple(self.done),
            seconds=self.laboratory.seconds,
            opposed=self.opposed,
            exhausted=self.exhausted,
        )
        return replace(explored, settled=explored.settled and not explored.unresolved)
