"""What any-order profiling found: which steps should be emitted before which, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents
from pyorder.dependencies.opposed import Opposed
from pyorder.dependencies.statistics import EXPLAINED, pairs, z_threshold

PLAIN = ("settled", "memorised", "training_rows", "samples", "by_input", "seconds")
EVIDENCE = ("benefit", "standard_error", "uniform_loss", "graph_loss", "entropy")  # arrays kept beside a run
LOST = 0.5  # a step is lost if it still loses this share of its entropy
# If so many of all steps are lost and stand apart, what was found says nothing about most of the target.
UNRESOLVED_SHARE = 0.5
# No dependency: with this error rate over all pairs a benefit is below this share of the step's loss, or entropy.
NOTHING, NOTHING_OF_LOSS, NOTHING_OF_ENTROPY = 0.01, 0.1, 0.01
LITTLE = 0.05  # nats a row; of so much that is left an order may decide at most one row in twenty


@dataclass(frozen=True)
class Dependency:
    """One edge of the reduced dependency graph: ``before`` should be emitted before ``after``.

    Attributes
    ----------
    before, after : canonical steps
    benefit : nats that ``after`` loses less with ``before`` ahead of it, its other predecessors being ahead too
    standard_error : of the benefit, nats
    confidence : 1 minus the family-wise error rate at which the edge would just be accepted
    reversible : whether ``before`` gains as much from ``after``, so that the data do not tell the direction.
        Training follows the graph, which may leave the other direction unlearned where several steps have to be
        known: False does not say that there is none
    fine : whether the input nearly tells ``after`` already, so that this matters for the last percent only
    """

    before: int
    after: int
    benefit: float
    standard_error: float
    confidence: float
    reversible: bool
    fine: bool = False


@dataclass(frozen=True)
class Round:
    """One round of exploration: training, then evidence.

    Attributes
    ----------
    training_steps : optimiser steps since the exploration began
    uniform_loss : mean nats a step over uniformly random orders
    graph_loss : the same over random topological sorts of the round's graph
    training_loss : the same on rows that were trained on
    dependencies : edges of the reduced graph
    gained, withdrawn : how many of them are new, and how many of the last round's are gone
    seconds : wall time since the search began
    """

    training_steps: int
    uniform_loss: float
    graph_loss: float
    training_loss: float
    dependencies: int
    gained: int
    withdrawn: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Exploration(ByContents):
    """The dependency graph that was found, the evidence behind it, and how it came about.

    Attributes
    ----------
    dependencies : edges of the transitive reduction
    settled : whether it ended because graph and loss had settled, rather than by the budget or the last round, and
        on something: not where rows are known by heart, or `unresolved`
    memorised : whether the model learned the training rows by heart, so that what it loses on others rose, or
        stayed far behind; if it rose, all but ``gap`` is told of the round in which it did best on others
    benefit, standard_error : (L, L) float64, nats; ``[j, i]`` is what step i gains with j before it, one pair at a
        time: the precedence matrix
    uniform_loss, graph_loss : (L,) float64, nats; the loss of each step under uniformly random orders, and under
        topological sorts of the graph
    entropy : (L,) float64, nats; of each step's values: its loss before any learning
    order_gain : nats a row that random orders lose more than sorts of the graph, and the standard error
    gap : nats a row that evidence loses more than rows trained on, in sorts of the graph, and the standard error
    training_rows : how many the model was trained on; rows set apart as evidence are not among them
    samples : pairs of orders behind each benefit
    by_input : whether no evidence row has the input of a training row
    rounds : in sequence
    seconds : wall time to the settled graph
    opposed : pairs of steps of which each should come first in some of the rows, so that no one order fits all
    exhausted : whether it ended because nothing had been learned for long, its graph not being at rest
    """

    dependencies: tuple[Dependency, ...]
    settled: bool
    memorised: bool
    benefit: npt.NDArray[np.float64]
    standard_error: npt.NDArray[np.float64]
    uniform_loss: npt.NDArray[np.float64]
    graph_loss: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    order_gain: tuple[float, float]
    gap: tuple[float, float]
    training_rows: int
    samples: int
    by_input: bool
    rounds: tuple[Round, ...]
    seconds: float
    opposed: tuple[Opposed, ...] = ()
    exhausted: bool = False

    @property
    def lost(self) -> tuple[int, ...]:
        """Steps that keep more than half of their entropy in the best orders found: random, or hardly learned."""
        return tuple(np.flatnonzero(self.graph_loss > LOST * self.entropy).tolist())

    @property
    def apart(self) -> tuple[int, ...]:
        """Steps without a dependency from or to them."""
        tied = {step for edge in self.dependencies for step in (edge.before, edge.after)}
        return tuple(step for step in range(len(self.entropy)) if step not in tied)

    @property
    def unmoved(self) -> tuple[int, ...]:
        """Steps that are lost and stand apart: no order that was tried lowers them."""
        return tuple(sorted(set(self.lost) & set(self.apart)))

    @property
    def helped(self) -> tuple[int, ...]:
        """Steps to which another, ahead of them, is surely worth more than a hundredth of their entropy."""
        surely = self.benefit - z_threshold(NOTHING, pairs(len(self.entropy))) * self.standard_error
        return tuple(np.flatnonzero((surely > NOTHING_OF_ENTROPY * self.entropy).any(0)).tolist())

    @property
    def unresolved(self) -> bool:
        """Whether half of the steps or more are so."""
        return len(self.unmoved) >= UNRESOLVED_SHARE * len(self.entropy)

    @property
    def last_percent(self) -> float:
        """Nats a row that steps which the input nearly tells, and to which no edge leads, keep between them.

        A little is passed over, as 0. What is more may be random, or what an order decides in longer training.
        """
        led_to = {edge.after for edge in self.dependencies}
        told = [step for step in range(len(self.entropy)) if step not in led_to and step not in self.lost]
        left = float(self.graph_loss[told].sum())
        return left if left > LITTLE else 0.0

    @property
    def contradicted(self) -> bool:
        """Whether orders that keep the dependencies surely lose more than random ones, by more than a little."""
        gain, error = self.order_gain
        return bool(self.dependencies) and gain + 2 * error < -LITTLE

    @property
    def wide(self) -> int:
        """Number of pairs of steps whose benefit is not significant, and not surely negligible either."""
        return int(np.count_nonzero(self._unsure()))

    @property
    def scarce(self) -> bool:
        """Whether more rows would narrow the intervals, rather than more samples: evidence is a fifth of few."""
        return self.training_rows < 5 * self.samples

    def _left(self, steps: list[int]) -> str:
        """What steps keep of their entropy, in percent: from the least to the most."""
        shares = 100 * (self.graph_loss / self.entropy)[steps]
        return " to ".join(dict.fromkeys(f"{share:.0f}" for share in (shares.min(), shares.max())))

    def _unsure(self) -> npt.NDArray[np.float64]:
        """(L, L), of such pairs what the benefit may be as much as, nats; 0 of all others."""
        nothing = np.maximum(NOTHING_OF_LOSS * self.uniform_loss, NOTHING_OF_ENTROPY * self.entropy)
        upper = self.benefit + z_threshold(NOTHING, pairs(len(self.entropy))) * self.standard_error
        wide = upper > nothing
        np.fill_diagonal(wide, False)
        for edge in self.dependencies:
            wide[edge.before, edge.after] = False
        return np.where(wide, upper, 0.0)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know, in sentences that name no step."""
        said, edges, steps = [], self.dependencies, len(self.entropy)
        seen = f"{self.training_rows:,} rows" if self.scarce else f"{self.samples:,} samples"
        if self.memorised:
            said.append(
                f"The model learned {self.training_rows:,} training rows by heart: it loses {self.gap[0]:.2f} "
                f"(± {2 * self.gap[1]:.2f}) nats a row less on them than on others. More rows may show what these "
                "do not."
            )
        elif not self.settled and not self.unresolved:
            said.append(
                "Nothing more was learned for long, and yet the graph did not come to rest."
                if self.exhausted
                else "The exploration ended before graph and loss had settled."
            )
        if unhelped := sorted(set(self.unmoved) - set(self.helped)):
            said.append(
                f"No order that was tried lowers {len(unhelped)} of {steps} steps below {self._left(unhelped)} % "
                "of their entropy: they are random, or too difficult for this model, these rows and this time."
            )
            if (hidden := self._unsure()[:, unhelped].max()) > 0:
                said.append(
                    f"Another step may be worth up to {hidden:.3f} nats to one of these: {seen} tell it no closer."
                )
        if helped := sorted(set(self.unmoved) & set(self.helped)):
            said.append(
                f"{len(helped)} of {steps} steps keep {self._left(helped)} % of their entropy; others help them, "
                "but by too little to count."
            )
        if self.opposed:
            columns = sorted({" and ".join(pair.columns) for pair in self.opposed if pair.columns})
            which = ", or ".join(f"input {name}" for name in columns)
            said.append(
                f"{len(self.opposed)} pairs of steps help each other in opposite directions, in different rows; "
                + (f"{which} tells which." if which else "no one or two input columns tell which.")
            )
        if tied := len(self.lost) - len(self.unmoved):
            said.append(
                f"{tied} of {steps} steps keep more than half of their entropy with all that they depend on ahead."
            )
        if self.contradicted:
            said.append(
                f"Orders that keep the dependencies lose {-self.order_gain[0]:.2f} nats a row more than random "
                "ones: something about these is wrong, or missing."
            )
        if self.last_percent and self.settled:
            said.append(
                f"Steps that no other helps keep {self.last_percent:.2f} nats a row between them: that is random, "
                "or what an order decides in longer training."
            )
        if not edges and not self.lost and not self.wide and not self.last_percent:
            said.append("No step is worth anything to another: given the input the steps look independent.")
        elif not edges and not self.lost and self.wide:
            said.append(
                f"Whether {self.wide} pairs of steps matter to each other takes more than these "
                f"{seen} to tell: a benefit may be up to {self._unsure().max():.3f} nats."
            )
        fine = sum(edge.fine for edge in edges)
        if fine:
            said.append(f"{fine} of {len(edges)} dependencies matter for the last percent only.")
        early = sum(
            bool(self.uniform_loss[edge.after] <= EXPLAINED * self.entropy[edge.after] and not edge.fine)
            for edge in edges
        )
        if early:
            said.append(
                f"{early} of {len(edges)} dependencies helped early on only: in the end their steps are learned "
                "in any order."
            )
        reversible = sum(edge.reversible for edge in edges)
        if reversible:
            said.append(f"{reversible} of {len(edges)} dependencies may as well point the other way.")
        if not self.by_input:
            said.append(
                "Evidence was set apart by row, since few inputs have most rows: what was memorised counts as "
                "learned."
            )
        return tuple(said)

    def renamed(self, steps: npt.NDArray[np.int64]) -> Exploration:
        """The same with step s called ``steps[s]``."""
        back = np.argsort(steps)
        renamed = [
            replace(edge, before=int(steps[edge.before]), after=int(steps[edge.after]))
            for edge in self.dependencies
        ]
        opposed = [replace(pair, one=int(steps[pair.one]), other=int(steps[pair.other])) for pair in self.opposed]
        return replace(
            self,
            opposed=tuple(opposed),
            dependencies=tuple(sorted(renamed, key=lambda edge: (edge.before, edge.after))),
            benefit=self.benefit[np.ix_(back, back)],
            standard_error=self.standard_error[np.ix_(back, back)],
            uniform_loss=self.uniform_loss[back],
            graph_loss=self.graph_loss[back],
            entropy=self.entropy[back],
        )

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The evidence by name, as it is kept beside a run."""
        return {name: getattr(self, name) for name in EVIDENCE}

    @classmethod
    def of(cls, summary: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.float64]]) -> Exploration:
        """The exploration whose `summary` and `arrays` these are."""
        return cls(
            dependencies=tuple(
                Dependency(**{field.name: edge[field.name] for field in fields(Dependency)})
                for edge in summary["dependencies"]
            ),
            rounds=tuple(Round(**told) for told in summary["rounds"]),
            opposed=tuple(
                Opposed(
                    **{
                        **{field.name: told[field.name] for field in fields(Opposed)},
                        "columns": tuple(told["columns"]),
                    }
                )
                for told in summary.get("opposed", ())  # older folders have none
            ),
            order_gain=tuple(summary["order_gain"]),
            gap=tuple(summary["gap"]),
            exhausted=summary.get("exhausted", False),  # folders of earlier versions do not say
            **{name: summary[name] for name in PLAIN},
            **{name: arrays[name] for name in EVIDENCE},  # type: ignore[arg-type]
        )

    def summary(self, step_names: Sequence[str] = ()) -> dict[str, Any]:
        """What was found, in values of JSON; the matrices are left out. Where steps have names, so do edges."""
        edges = [asdict(edge) for edge in self.dependencies]
        for edge in edges if step_names else ():
            edge |= {f"{end}_name": step_names[edge[end]] for end in ("before", "after")}
        opposed = [asdict(pair) for pair in self.opposed]
        for pair in opposed if step_names else ():
            pair |= {f"{end}_name": step_names[pair[end]] for end in ("one", "other")}
        return {
            "dependencies": edges,
            **{name: getattr(self, name) for name in (*PLAIN, "exhausted")},
            "order_gain": list(self.order_gain),
            "gap": list(self.gap),
            "uniform_loss": self.uniform_loss.tolist(),
            "graph_loss": self.graph_loss.tolist(),
            "entropy": self.entropy.tolist(),
            "lost": list(self.lost),
            **({"lost_names": [step_names[step] for step in self.lost]} if step_names else {}),
            "opposed": opposed,
            "rounds": [asdict(round_) for round_ in self.rounds],
            "remarks": list(self.remarks),
        }
