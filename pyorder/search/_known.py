"""What is known after a round: a graph, what speaks for it, and what the model loses in its sorts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.statistics import Evidence, FirstLook, Support, difference, mean_and_error
from pyorder.orders.posets import Poset
from pyorder.search._exploring import MEMORY_ROWS
from pyorder.streams import seed_from

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Known:
    """A graph, and what is known of it.

    Attributes
    ----------
    supports : of each step, what stands before it
    fine : (L,) steps whose supports matter for the last percent only
    graph_loss : (L,) nats, of each step in sorts of the graph
    look : at all pairs, by which it was found; None before the first round
    order_gain : nats a row that random orders lose more than sorts, and the error
    gap : nats a row that evidence loses more than rows trained on, and the error
    loss : nats a row in sorts, and the error
    training_loss : the same of rows trained on, in nats a step
    """

    graph: Poset
    supports: list[list[Support]]
    fine: npt.NDArray[np.bool_]
    graph_loss: Floats
    look: FirstLook | None = None
    order_gain: tuple[float, float] = (0.0, 0.0)
    gap: tuple[float, float] = (0.0, 0.0)
    loss: tuple[float, float] = (0.0, 0.0)
    training_loss: float = 0.0

    def scored(self, explorer: Explorer, evidence: Evidence) -> Known:
        """The same, with what the model loses now in sorts of the graph, and lost as evidence in random orders."""
        seen = np.arange(explorer.evidence_rows)
        sorts = self.graph.sample_sorts(len(seen), seed=seed_from(explorer.rng))
        held = explorer.losses(seen, sorts)
        # All evidence rows, again and again.
        at_random = evidence.losses.mean(1).sum(1).reshape(-1, len(seen)).mean(0)
        by_step, groups = explorer.training_losses(sorts[:MEMORY_ROWS])
        kept = by_step.sum(1)
        loss = mean_and_error(held.sum(1), explorer.cluster)
        return replace(
            self,
            graph_loss=held.mean(0),
            order_gain=mean_and_error(at_random - held.sum(1), explorer.cluster),
            gap=difference(loss, mean_and_error(kept, groups)),
            loss=loss,
            training_loss=float(kept.mean() / self.graph.length),
        )
