"""Simulated annealing: chains of orders that move to neighbours, at first also to worse ones.

    C  chains    n  neighbours a chain    m  rounds    t  round, 0 ... m - 1
    δ  loss of a neighbour less that of its chain's order, both of one run    Δ  the smallest δ of a chain
    σ  median of |δ| over all chains and neighbours of a round: what a move is worth there
    τ  temperature in units of σ, falling from ``hot`` to ``cold``: τ_t = hot (cold / hot)^(t / (m - 1))

Every round is one profiling run of the orders of all chains and of n random neighbours of each: swaps, insertions
and block moves of `pyorder.moves`. The best neighbour of a chain is proposed to it, and taken with probability
min(1, exp(-Δ / τσ)) (Metropolis' rule; Kirkpatrick, Gelatt, Vecchi, Science 220, 1983). Losses are on another
scale for every task and fall as training gets on with fewer kinds of orders, therefore the unit σ, which is
measured anew in each run. Where chains stand and where they stood last meets in a last run, filled up with the
best of the last round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyorder._checks import check_integer
from pyorder.profiling import Profile
from pyorder.search._base import Laboratory, Strategy, check_temperatures
from pyorder.search._pools import Neighbours, Orders, at_most, distinct, random_orders


@dataclass(frozen=True)
class Annealing(Strategy):
    """Chains share a profiling run a round, with a batch of neighbours each.

    Attributes
    ----------
    chains : C
    neighbours : n
    rounds : m; fewer when the budget ends first, and then the chains end warm
    hot, cold : temperatures of the first round and the last, in units of σ
    finalists : how many orders meet in the last run

    Examples
    --------
    >>> Annealing(chains=2, neighbours=7, rounds=3, finalists=8).pools(10)
    [16, 16, 16, 8]
    """

    name: ClassVar[str] = "annealing"
    chains: int = 4
    neighbours: int = 15
    rounds: int = 40
    hot: float = 1.0
    cold: float = 0.05
    finalists: int = 16

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("chains", "neighbours", "rounds", "finalists"):
            check_integer(getattr(self, option), option, 1)
        check_temperatures(self.hot, self.cold)

    def pools(self, length: int) -> list[int]:
        """One run a round, and the last one."""
        size = at_most(self.chains * (1 + self.neighbours), length)
        return [size] * self.rounds + [at_most(self.finalists, length)]

    def search(self, laboratory: Laboratory) -> Orders:
        """Let the chains cool down."""
        last = self.pools(laboratory.length)[-1]
        neighbours = Neighbours(laboratory.length, laboratory.rng)
        chains = random_orders(laboratory.length, self.chains, laboratory.rng)
        stood = chains[:0]  # where chains stood, latest first
        ranked = chains[:0]  # the latest round's orders, best first
        for number in range(self.rounds):
            tried = [neighbours.draw(order, self.neighbours) for order in chains]
            pool = distinct(np.concatenate([chains, *tried]))
            # The last run is kept in reserve: without it the chains' orders could not be compared.
            if number and not laboratory.affords(len(pool), last):
                break
            profile = laboratory.profile(pool, f"round {number + 1} of {self.rounds}")
            chains = self.step(chains, tried, profile, self.temperature(number), laboratory.rng)
            stood = np.concatenate([chains, stood])
            ranked = profile.orders[profile.ranking]
        finalists = distinct(np.concatenate([stood, ranked]))[:last]
        return laboratory.profile(laboratory.rng.permutation(finalists), "finalists").best

    def temperature(self, number: int) -> float:
        """τ of round ``number``, from 0 on."""
        return self.hot * math.pow(self.cold / self.hot, number / max(1, self.rounds - 1))

    def step(
        self, chains: Orders, tried: list[Orders], profile: Profile, temperature: float, rng: np.random.Generator
    ) -> Orders:
        """The chains' orders after Metropolis' rule."""
        loss = {order.tobytes(): value for order, value in zip(profile.orders, profile.loss, strict=True)}
        changes = [
            np.array([loss[order.tobytes()] for order in orders]) - loss[chain.tobytes()]
            for chain, orders in zip(chains, tried, strict=True)
        ]
        # A loss that is not a number is never the smallest change, and never a reason to move.
        changes = [np.nan_to_num(change, nan=np.inf) for change in changes]
        sizes = np.abs(np.concatenate(changes))
        heat = temperature * float(np.median(sizes)) if len(sizes) else 0.0
        moved = chains.copy()
        for chain, (orders, change) in enumerate(zip(tried, changes, strict=True)):
            # Neighbours are in random sequence, so of equal ones none is favoured.
            if len(change) and accepts(float(change.min()), heat, rng.random()):
                moved[chain] = orders[change.argmin()]
        return moved


def accepts(change: float, heat: float, draw: float) -> bool:
    """Metropolis' rule for a ``change`` of the loss at ``heat`` (nats), with a uniform ``draw`` from [0, 1).

    Examples
    --------
    >>> accepts(-0.1, 0.0, 0.9), accepts(0.1, 0.1, 0.3), accepts(0.1, 0.1, 0.4), accepts(0.1, 0.0, 0.0)
    (True, True, False, False)
    """
    return change <= 0 or (heat > 0 and draw < math.exp(-change / heat))
