"""The published search: from coarse rearrangements of blocks to fine ones, then refinement around one order.

    L  steps    K  depth    T  initial candidates, (K + 1)!    l  block size of the local stage

Global stage, k = 1 ... K: every candidate's slots are cut into k near-equal blocks and put together again in
all k! ways; the best T / (k + 1)! of these at most T candidates go on. One is left after k = K.
Direction: that one and its reverse meet in a run of their own. Early in training, in a mixture of many orders,
a step tells about its predecessor as much as about its successor, and the global stage often ends in a chain read
backwards; in a run of two the difference is plain. This run is ours; ``direction=False`` is the published search.
Local stage, l = 2 ... L // 2: (a) all arrangements inside one block of l slots, for every block; (b) the
rotations of the sequence of blocks; each time the best of one joint run goes on.

Source: Sato, Kawamoto, Kera, arXiv 2506.23875. Where the paper is silent: the order so far takes part in every
local run; a remainder of L modulo l slots is a block of its own; (b) are cyclic rotations, which fits the
published count L // l; and past ``limit`` candidates the arrangements of (a) are drawn at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer
from pyorder.orders import moves
from pyorder.orders.permutations import check_orders
from pyorder.orders.posets import Poset
from pyorder.search._pools import count_up_to, distinct
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy, check_flag

Orders = npt.NDArray[np.int64]
INITIALISATIONS = ("Pr", "Pg", "Pf", "Pb")


@dataclass(frozen=True)
class Hierarchical(Strategy):
    """The published global and local stages.

    Attributes
    ----------
    initialisation : "Pr", uniformly random; or one of three that know the order of the data: "Pg", the identity
        and random orders; "Pf", forward and reverse with blocks swapped; "Pb", forward and reverse in blocks of
        ``block`` rearranged. Or the initial candidates themselves, (T, L) integers.
    depth : K; by default 4 at L = 8, 5 at 9, 6 from 10 on as published, less for shorter targets
    block : block length of "Pb"
    limit : most candidates in one local run
    direction : whether the order of the global stage meets its reverse, which the published search leaves out
    local : whether to run the local stage

    Examples
    --------
    >>> Hierarchical(local=False).pools(Poset(8))
    [120, 120, 120, 120, 2]
    """

    name: ClassVar[str] = "hierarchical"
    initialisation: str | npt.ArrayLike = "Pr"
    depth: int | None = None
    block: int = 5
    limit: int = 5040
    direction: bool = True
    local: bool = True

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        if not isinstance(self.initialisation, str):
            orders = check_orders(self.initialisation, name="initialisation")
            if not len(orders):
                raise ValueError("initialisation: expected at least one order, got none")
            # Tuples: strategies are compared and hashed, and the caller's array may change.
            object.__setattr__(self, "initialisation", tuple(map(tuple, orders.tolist())))
        elif self.initialisation not in INITIALISATIONS:
            known = ", ".join(map(repr, INITIALISATIONS))
            raise ValueError(f"initialisation: {self.initialisation!r} is none of {known}")
        if self.depth is not None:
            check_integer(self.depth, "depth", 1, 8)  # (depth + 1)! candidates
        for option in ("block", "limit"):
            check_integer(getattr(self, option), option, 1)
        for option in ("direction", "local"):
            check_flag(getattr(self, option), option)

    @property
    def uses_data_order(self) -> bool:
        """Pg, Pf and Pb start from the order that the data came in, and a caller's own candidates may."""
        return not isinstance(self.initialisation, str) or self.initialisation != "Pr"

    def resolved_depth(self, length: int) -> int:
        """K for orders of this length."""
        depth = self.depth if self.depth is not None else min(6, max(1, length - 4))
        if depth > length:
            raise ValueError(f"depth: {depth} given, orders of {length} steps have at most {length} blocks")
        return depth

    def pools(self, constraints: Poset) -> list[int]:
        """K runs of (K + 1)! candidates, one of two, then two for every block size."""
        length = constraints.length
        depth = self.resolved_depth(length)
        sizes = [count_up_to(constraints, math.factorial(depth + 1))] * depth
        if not isinstance(self.initialisation, str):
            sizes[0] = len(check_orders(self.initialisation, length, name="initialisation"))
        sizes += [2] if self.direction else []
        for size in range(2, length // 2 + 1) if self.local else ():
            whole, rest = divmod(length, size)
            arranged = whole * math.factorial(min(size, 20)) + math.factorial(rest)
            sizes += [min(self.limit, arranged), whole + (rest > 0)]
        return sizes

    def search(self, laboratory: Laboratory) -> Orders:
        """Run both stages."""
        depth = self.resolved_depth(laboratory.length)
        total = math.factorial(depth + 1)
        candidates = laboratory.allowed(self.initial_candidates(laboratory, total))
        if not len(candidates):
            raise ValueError("initialisation: the constraints allow none of its orders")
        for blocks in range(1, depth + 1):
            pool = laboratory.allowed(moves.block_rearrangements(candidates, blocks))
            result = laboratory.profile(pool, f"global {blocks} of {depth}")
            candidates = result.orders[result.ranking[: total // math.factorial(blocks + 1)]]
        order: Orders = candidates[0]
        if self.direction:
            both = laboratory.rng.permutation(np.stack([order, order[::-1]]))
            order = self.step(order, both, "direction", laboratory)
        return self.refine(order, laboratory) if self.local else order

    def refine(self, order: Orders, laboratory: Laboratory) -> Orders:
        """Run the local stage from ``order`` (L,)."""
        for size in range(2, laboratory.length // 2 + 1):
            seed = int(laboratory.rng.integers(2**32))
            inside = moves.within_blocks(order, size, limit=self.limit, seed=seed)
            order = self.step(order, inside, f"local, inside blocks of {size}", laboratory)
            between = moves.between_blocks(order, size)
            order = self.step(order, between, f"local, between blocks of {size}", laboratory)
        return order

    def step(self, order: Orders, pool: Orders, stage: str, laboratory: Laboratory) -> Orders:
        """Go to the best of a pool that holds ``order``, as far as the constraints allow."""
        pool = laboratory.allowed(pool)
        return laboratory.profile(pool, stage).best if len(pool) > 1 else order

    def initial_candidates(self, laboratory: Laboratory, count: int) -> Orders:
        """Draw up to ``count`` distinct initial candidates."""
        length, rng = laboratory.length, laboratory.rng
        if not isinstance(self.initialisation, str):
            return check_orders(self.initialisation, length, name="initialisation")
        if self.initialisation == "Pf":
            return swapped_blocks(length, count, rng)
        if self.initialisation == "Pb":
            return rearranged_blocks(length, count, self.block, rng)
        orders = laboratory.draw(count)
        if self.initialisation == "Pg":
            orders = distinct(np.concatenate([np.arange(length)[None], orders]))[:count]
            orders = rng.permutation(orders)
        return orders


def swapped_blocks(length: int, count: int, rng: np.random.Generator) -> Orders:
    """Pf: forward and reverse, cut into near-equal blocks of which two are swapped; more swaps where too few.

    Examples
    --------
    >>> swapped_blocks(4, 6, np.random.default_rng(0)).shape
    (6, 4)
    """
    forward = np.arange(length)
    found = np.empty((0, length), np.int64)
    latest = np.stack([forward, forward[::-1]])
    while len(found) < count:
        swapped = []
        for blocks in range(2, length + 1):
            bounds = moves.block_bounds(length, blocks)
            for first in range(blocks):
                for second in range(first + 1, blocks):
                    slots = np.split(forward, bounds[1:-1])
                    slots[first], slots[second] = slots[second], slots[first]
                    swapped.append(latest[:, np.concatenate(slots)])
        latest = distinct(np.concatenate(swapped))
        grown = distinct(np.concatenate([found, rng.permutation(latest)[:count]]))
        if len(grown) == len(found):
            break
        found = grown
        latest = rng.permutation(latest)[: max(2, count // length)]
    return rng.permutation(found[:count])


def rearranged_blocks(length: int, count: int, block: int, rng: np.random.Generator) -> Orders:
    """Pb: forward and reverse in blocks of ``block`` slots (the last may be shorter), rearranged at random.

    There are fewer than ``count`` where all rearrangements are fewer.

    Examples
    --------
    >>> sorted(rearranged_blocks(4, 100, 2, np.random.default_rng(0)).tolist())
    [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    """
    forward = np.arange(length)
    found = np.empty((0, length), np.int64)
    blocks = -(-length // block)
    most = count if blocks > 12 else min(count, 2 * math.factorial(blocks))
    barren = 0
    while len(found) < most and barren < 100:
        drawn = []
        for _ in range(count):
            start = forward if rng.integers(2) else forward[::-1]
            cut = np.split(start, range(block, length, block))
            drawn.append(np.concatenate([cut[i] for i in rng.permutation(len(cut))]))
        grown = distinct(np.concatenate([found, np.array(drawn)]))
        barren = barren + 1 if len(grown) == len(found) else 0
        found = grown
    return found[:count]
