"""The published search: from coarse rearrangements of blocks to fine ones, then refinement around one order.

    L  steps    K  depth    T  initial candidates, (K + 1)!    l  block size of the local stage

Global stage, k = 1 ... K: every candidate's slots are cut into k near-equal blocks and put together again in
all k! ways; the best T / (k + 1)! of these at most T candidates go on. One is left after k = K.
Direction: that one and its reverse meet in a run of their own. Early in training, in a mixture of many orders,
a step tells about its predecessor as much as about its successor, and the global stage often ends in a chain read
backwards; in a run of two the difference is plain. This run is ours; ``direction=False`` is the published search.
Local stage, l = 2 ... L // 2: (a) inside blocks of l slots, (b) between them; each time the best of one joint run
goes on. The paper's text leaves open what is rearranged, and both readings of both are here by name:

    inside="together"     the same arrangement in every block at once: l! candidates
    inside="each"         all arrangements inside one block, for every block; the letter of the text
    between="all"         all sequences of the blocks: ceil(L / l)! candidates
    between="rotations"   the sequence's rotations, which fits the published count L // l

Only the first of each can turn a chain that was found backwards, block by block: 8 7 6 5 4 3 2 1 0 becomes
7 8 5 6 3 4 1 2 0 inside blocks of two, and 0 1 2 3 4 5 6 7 8 between them. The published search does that, and its
misses are what these two leave: chains that are cut and rotated. In the company of other rotations one can have a
lower loss than the forward order, by more than chance; in the run of two that ``significance`` adds, it has not.

Source: Sato, Kawamoto, Kera, arXiv 2506.23875. Where the paper is silent: the order so far takes part in every
local run; a remainder of L modulo l slots is a block of its own, which "together" leaves as it is; and past
``limit`` candidates the order so far and a uniformly random choice of the others take part.
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
from pyorder.profiling.result import Profile
from pyorder.search._pools import count_up_to, distinct
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy, check_flag
from pyorder.streams import seed_from

Orders = npt.NDArray[np.int64]
INITIALISATIONS = ("Pr", "Pg", "Pf", "Pb")
INSIDE = {"together": moves.within_every_block, "each": moves.within_blocks}
BETWEEN = ("all", "rotations")


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
    inside, between : what the local stage rearranges: "together" or "each", "all" or "rotations"; see this module
    significance : a level such as 0.01: the best other order of a local run meets the order so far in a run of
        two, and takes its place only if it leads there and chance explains that at most at this level, by the
        paired difference on the validation rows that picked it (one-sided, normal; at this level in every such
        run, of one training). None: the best goes on, as published

    Examples
    --------
    >>> Hierarchical(local=False).pools(Poset(8))
    [120, 120, 120, 120, 2]
    >>> Hierarchical(direction=False, inside="each", between="rotations").pools(Poset(8))[4:]
    [5, 4, 12, 3, 47, 2]
    """

    name: ClassVar[str] = "hierarchical"
    initialisation: str | npt.ArrayLike = "Pr"
    depth: int | None = None
    block: int = 5
    limit: int = 5040
    direction: bool = True
    local: bool = True
    inside: str = "together"
    between: str = "all"
    significance: float | None = None

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
        for option, readings in (("inside", tuple(INSIDE)), ("between", BETWEEN)):
            if getattr(self, option) not in readings:
                allowed = " or ".join(map(repr, readings))
                raise ValueError(f"{option}: expected {allowed}, got {getattr(self, option)!r}")
        level = self.significance
        if level is not None and (
            isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1
        ):
            raise ValueError(f"significance: expected a number between 0 and 1, or None, got {level!r}")

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
            inside, blocks = math.factorial(size), whole + (rest > 0)
            if self.inside == "each":
                inside = 1 + whole * (inside - 1) + math.factorial(rest) - 1
            between = blocks if self.between == "rotations" else min(self.limit, math.factorial(blocks))
            meeting = [] if self.significance is None else [2]
            sizes += [min(self.limit, inside), *meeting, between, *meeting]
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
            both = laboratory.allowed(laboratory.rng.permutation(np.stack([order, order[::-1]])))
            if len(both) > 1:
                order = laboratory.profile(both, "direction").best
        return self.refine(order, laboratory) if self.local else order

    def refine(self, order: Orders, laboratory: Laboratory) -> Orders:
        """Run the local stage from ``order`` (L,)."""
        for size in range(2, laboratory.length // 2 + 1):
            inside = INSIDE[self.inside](order, size, limit=self.limit, seed=seed_from(laboratory.rng))
            order = self.step(order, inside, f"local, inside blocks of {size}", laboratory)
            if self.between == "rotations":
                between = moves.between_blocks(order, size)
            else:
                between = moves.permuted_blocks(order, size, limit=self.limit, seed=seed_from(laboratory.rng))
            order = self.step(order, between, f"local, between blocks of {size}", laboratory)
        return order

    def step(self, order: Orders, pool: Orders, stage: str, laboratory: Laboratory) -> Orders:
        """Go to the best of a pool that holds ``order``, as far as the constraints and the significance allow."""
        pool = laboratory.allowed(pool)
        if len(pool) == 1:
            return order
        profile = laboratory.profile(pool, stage)
        if self.significance is None:
            return profile.best
        laboratory.best = order  # what a budget that ends here leaves
        ranked = profile.orders[profile.ranking]
        other = ranked[(ranked != order).any(1)][0]
        both = laboratory.rng.permutation(np.stack([order, other]))
        met = laboratory.profile(both, f"{stage}, against the order so far")
        laboratory.best = other if chance_of_lead(met, order) < self.significance else order
        return laboratory.best

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


def chance_of_lead(profile: Profile, order: Orders) -> float:
    """How likely chance puts the best order of a run so far ahead of ``order``; 1 if that is the best itself.

    And where nobody can tell, since one row has no error.
    """
    place = int(np.flatnonzero((profile.orders == order).all(1))[0])
    lead, error = profile.loss[place] - profile.best_loss, profile.standard_error[place]
    if not lead > 0 or math.isnan(error):
        return 1.0
    return math.erfc(lead / error / math.sqrt(2)) / 2 if error > 0 else 0.0


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
