"""Order sources: which order each row of the next batch is shown in.

n  steps    B  rows a step    T  candidate orders    C  columns
places  (n, B) numbers of rows among those that are trained on
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pyorder.streams import stream


class OrderSource(ABC):
    """Says in which order of its columns each row is shown; works on the device, and waits for nothing there."""

    @abstractmethod
    def columns(self, places: Tensor) -> Tensor:
        """Orders (n, B, C) for the rows of the next n steps, at ``places`` (n, B)."""


class OneOrder(OrderSource):
    """Every row in one order.

    Examples
    --------
    >>> OneOrder(torch.tensor([1, 0])).columns(torch.tensor([[5, 6]]))
    tensor([[[1, 0],
             [1, 0]]])
    """

    def __init__(self, order: Tensor) -> None:
        self.order = order

    def columns(self, places: Tensor) -> Tensor:
        """As `OrderSource.columns`."""
        return self.order.expand(*places.shape, -1)


class Mixture(OrderSource):
    """Every row in an order of its own, the same in every pass.

    Parameters
    ----------
    table : (T, C), orders of columns
    assigned : (rows,) which of them each row is shown in

    Examples
    --------
    >>> mixture = Mixture(torch.tensor([[0, 1], [1, 0]]), torch.tensor([1, 0, 1]))
    >>> mixture.columns(torch.tensor([[2, 1]]))
    tensor([[[1, 0],
             [0, 1]]])
    """

    def __init__(self, table: Tensor, assigned: Tensor) -> None:
        self.table, self.assigned = table, assigned

    def columns(self, places: Tensor) -> Tensor:
        """As `OrderSource.columns`."""
        return self.table[self.assigned[places].long()]


class Succession(OrderSource):
    """Orders (n, C) one after the other, whatever the rows.

    Examples
    --------
    >>> succession = Succession(torch.tensor([[0, 1], [1, 0]]))
    >>> succession.columns(torch.tensor([[7]])), succession.columns(torch.tensor([[9]]))
    (tensor([[[0, 1]]]), tensor([[[1, 0]]]))
    """

    def __init__(self, orders: Tensor) -> None:
        self.orders, self.next = orders, 0

    def columns(self, places: Tensor) -> Tensor:
        """As `OrderSource.columns`."""
        start, self.next = self.next, self.next + places.numel()
        return self.orders[start : self.next].long().view(len(places), -1, self.orders.shape[1])


class RowQueue:
    """Numbers of rows, pass after pass over all of them, each pass in a new random sequence.

    Examples
    --------
    >>> queue = RowQueue(3, np.random.default_rng(0))
    >>> sorted(queue.take(3).tolist()), len(queue.take(4))
    ([0, 1, 2], 4)
    """

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self.rows, self.rng = rows, rng
        self.waiting = np.empty(0, np.int64)

    def take(self, count: int) -> npt.NDArray[np.int64]:
        """The next ``count``."""
        taken = np.empty(count, np.int64)
        done = 0
        while True:
            part = self.waiting[: count - done]
            taken[done : done + len(part)] = part
            self.waiting = self.waiting[len(part) :]
            done += len(part)
            if done == count:
                return taken
            self.waiting = self.rng.permutation(self.rows)


def assign_orders(rows: int, orders: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give each of ``rows`` rows one of ``orders`` orders: counts differ by at most one, places are random.

    Examples
    --------
    >>> assigned = assign_orders(7, 3, np.random.default_rng(0))
    >>> sorted(np.bincount(assigned).tolist())
    [2, 2, 3]
    """
    # Which orders get one row more is drawn too, so that no place in the pool is favoured.
    whole, extra = divmod(rows, orders)
    indices = np.concatenate([np.tile(np.arange(orders), whole), rng.permutation(orders)[:extra]])
    return rng.permutation(indices)


def rows_and_orders(
    seed: int, rows: int, used: int, orders: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], RowQueue]:
    """What a seed of loss profiling decides: the rows trained on, the order of each, and the queue of them.

    At most ``used`` of ``rows`` rows; one of ``orders`` orders for each.

    Examples
    --------
    >>> subset, assigned, queue = rows_and_orders(0, rows=100, used=8, orders=8)
    >>> len(subset), sorted(assigned.tolist()), sorted(queue.take(8).tolist())
    (8, [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7])
    """
    rng = stream(seed, "mixture")
    used = min(rows, used)
    return rng.permutation(rows)[:used].copy(), assign_orders(used, orders, rng), RowQueue(used, rng)
