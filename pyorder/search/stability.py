"""How far a result depends on rows, seed and labels, and the order that most searches agree on.

==========  ================  =====================================================================
symbol      shape             meaning
==========  ================  =====================================================================
k                             searches of a group: on other rows, with other labels, or other seeds
orders      (k, L) int64      what they found, in the data's own steps
edges       (L, L) float64    ``[p, i]``: share of the searches on other rows whose graph has p -> i
before      (L, L) float64    ``[p, i]``: share of them whose order has p before i
==========  ================  =====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents
from pyorder.orders import linear_ordering
from pyorder.orders.permutations import kendall_tau
from pyorder.orders.posets import Poset

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

OFTEN = 0.9  # of the searches, that find an edge which is to be believed


@dataclass(frozen=True, eq=False)
class Stability(ByContents):
    """What searches on other rows, with other labels and from other seeds found.

    Attributes
    ----------
    orders : (k, L) int64, of searches on other rows, with seeds and labels of their own
    edges : (L, L) float64, the share of them whose reduced graph has an edge from row to column
    consensus : (L,) int64, the order that agrees with them in the most pairs of steps; constraints kept
    relabelled : (k, L) int64, orders of the same rows and seed with other labels, mapped back
    reseeded : (k, L) int64, orders of the same rows and labels from other seeds
    seconds : wall time of all these searches together
    """

    orders: Orders
    edges: Floats
    consensus: Orders
    relabelled: Orders
    reseeded: Orders
    seconds: float

    @property
    def before(self) -> Floats:
        """Share (L, L) of the searches on other rows whose order has the row's step before the column's."""
        slots = self.orders.argsort(1)
        return np.asarray((slots[:, :, None] < slots[:, None]).mean(0))

    def frequent(self, share: float = OFTEN) -> list[tuple[int, int]]:
        """Edges that at least this share of the searches on other rows found."""
        return [(int(p), int(i)) for p, i in np.argwhere(self.edges >= max(share, 1e-9) - 1e-9)]

    def renamed(self, steps: Orders) -> Stability:
        """The same with step s called ``steps[s]``."""
        back = np.argsort(steps)
        named = {name: steps[getattr(self, name)] for name in ("orders", "consensus", "relabelled", "reseeded")}
        return replace(self, edges=self.edges[np.ix_(back, back)], **named)

    def summary(self, order: Orders, step_names: Sequence[str] = ()) -> dict[str, Any]:
        """The same in values of JSON, with distances that take the ``order`` of the first search in.

        With names, where steps have some.
        """
        names = {"consensus_names": [step_names[step] for step in self.consensus]} if step_names else {}
        return {
            **names,
            "orders": self.orders.tolist(),
            "edges": [[int(p), int(i), float(self.edges[p, i])] for p, i in np.argwhere(self.edges)],
            "consensus": self.consensus.tolist(),
            "relabelled": self.relabelled.tolist(),
            "reseeded": self.reseeded.tolist(),
            "seconds": self.seconds,
            "distances": {
                name: None if len(group) == 0 else list(distance(np.concatenate([order[None], group])))
                for name, group in (("rows", self.orders), ("labels", self.relabelled), ("seeds", self.reseeded))
            },
        }

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Stability:
        """The stability whose `summary` this is."""
        length = len(summary["consensus"])
        edges = np.zeros((length, length))
        for p, i, share in summary["edges"]:
            edges[p, i] = share
        named = {
            name: np.array(summary[name], np.int64).reshape(-1, length)
            for name in ("orders", "relabelled", "reseeded")
        }
        consensus = np.array(summary["consensus"], np.int64)
        return cls(edges=edges, consensus=consensus, seconds=summary["seconds"], **named)


def agree(orders: Orders, constraints: Poset | None, seed: int) -> Orders:
    """The order (L,) that agrees with orders (k, L) in the most pairs of steps; the seed breaks ties.

    Examples
    --------
    >>> agree(np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2]]), None, seed=0)
    array([0, 1, 2])
    """
    slots = orders.argsort(1)
    weights = (slots[:, :, None] < slots[:, None]).sum(0).astype(np.float64)
    if constraints is not None:
        weights += constraints.closure * (weights.sum() + 1.0)
    return linear_ordering.solve(weights, seed=seed).order


def distance(orders: Orders) -> tuple[float, float]:
    """Mean share of the pairs of steps that two of the orders (k, L) have in another sequence, and its error.

    Kendall's tau, as a distance between 0 (equal) and 1 (reversed). The error is the jackknife's, over orders. NaN
    where orders are too few: two have no error, and one has no distance.

    Examples
    --------
    >>> mean, error = distance(np.array([[0, 1, 2], [0, 1, 2], [2, 1, 0]]))
    >>> round(mean, 3), round(error, 3)
    (0.667, 0.667)
    """
    count = len(orders)
    apart = np.zeros((count, count))
    if orders.shape[1] > 1:
        for row, order in enumerate(orders):
            apart[row] = (1.0 - kendall_tau(order, orders)) / 2
    if count < 2:
        return math.nan, math.nan
    mean = apart.sum() / (count * (count - 1))
    if count < 3:
        return float(mean), math.nan
    without = (apart.sum() - 2 * apart.sum(1)) / ((count - 1) * (count - 2))
    return float(mean), float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
