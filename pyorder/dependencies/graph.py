"""What any-order profiling found: which steps should be emitted before which, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents

EVIDENCE = ("benefit", "standard_error", "uniform_loss", "graph_loss", "entropy")  # arrays kept beside a run
LOST = 0.5  # a step was hardly learned if it still loses this share of its entropy


@dataclass(frozen=True)
class Dependency:
    """One edge of the reduced dependency graph: ``before`` should be emitted before ``after``.

    Attributes
    ----------
    before, after : canonical steps
    benefit : nats that ``after`` loses less with ``before`` ahead of it, its other predecessors being ahead too
    standard_error : of the benefit, nats
    confidence : 1 minus the family-wise error rate at which the edge would just be accepted
    reversible : whether ``before`` gains as much from ``after``, so that the data do not tell the direction
    """

    before: int
    after: int
    benefit: float
    standard_error: float
    confidence: float
    reversible: bool


@dataclass(frozen=True)
class Round:
    """One round of exploration: training, then evidence.

    Attributes
    ----------
    training_steps : optimiser steps since the exploration began
    uniform_loss : mean nats a step over uniformly random orders
    graph_loss : the same over random topological sorts of the round's graph
    dependencies : edges of the reduced graph
    gained, withdrawn : how many of them are new, and how many of the last round's are gone
    seconds : wall time since the search began
    """

    training_steps: int
    uniform_loss: float
    graph_loss: float
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
    settled : whether it ended because graph and loss had settled, rather than by the budget or the last round
    benefit, standard_error : (L, L) float64, nats; ``[j, i]`` is what step i gains with j before it, one pair at a
        time: the precedence matrix
    uniform_loss, graph_loss : (L,) float64, nats; the loss of each step under uniformly random orders, and under
        topological sorts of the graph
    entropy : (L,) float64, nats; of each step's values: its loss before any learning
    samples : pairs of orders behind each benefit
    rounds : in sequence
    seconds : wall time to the settled graph
    remarks : what a reader of the result should know, in sentences
    """

    dependencies: tuple[Dependency, ...]
    settled: bool
    benefit: npt.NDArray[np.float64]
    standard_error: npt.NDArray[np.float64]
    uniform_loss: npt.NDArray[np.float64]
    graph_loss: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]
    samples: int
    rounds: tuple[Round, ...]
    seconds: float
    remarks: tuple[str, ...]

    @property
    def lost(self) -> tuple[int, ...]:
        """Steps that were hardly learned, so that what they depend on is not known."""
        return tuple(np.flatnonzero(self.graph_loss > LOST * self.entropy).tolist())

    def renamed(self, steps: npt.NDArray[np.int64]) -> Exploration:
        """The same with step s called ``steps[s]``."""
        back = np.argsort(steps)
        renamed = [
            replace(edge, before=int(steps[edge.before]), after=int(steps[edge.after]))
            for edge in self.dependencies
        ]
        return replace(
            self,
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
            remarks=tuple(summary["remarks"]),
            settled=summary["settled"],
            samples=summary["samples"],
            seconds=summary["seconds"],
            **{name: arrays[name] for name in EVIDENCE},
        )

    def summary(self, step_names: Sequence[str] = ()) -> dict[str, Any]:
        """What was found, in values of JSON; the matrices are left out. Where steps have names, so do edges."""
        edges = [asdict(edge) for edge in self.dependencies]
        for edge in edges if step_names else ():
            edge |= {f"{end}_name": step_names[edge[end]] for end in ("before", "after")}
        return {
            "dependencies": edges,
            "settled": self.settled,
            "uniform_loss": self.uniform_loss.tolist(),
            "graph_loss": self.graph_loss.tolist(),
            "entropy": self.entropy.tolist(),
            "lost": list(self.lost),
            **({"lost_names": [step_names[step] for step in self.lost]} if step_names else {}),
            "samples": self.samples,
            "seconds": self.seconds,
            "rounds": [asdict(round_) for round_ in self.rounds],
            "remarks": list(self.remarks),
        }
