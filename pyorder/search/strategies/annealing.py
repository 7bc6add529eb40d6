"""Simulated annealing: chains of orders that move to neighbours, at first also to worse ones.

    C  chains    m  rounds    t  round, 0 ... m - 1
    δ  loss of a chain's neighbour less that of its order, both of one run    σ  median of |δ| over the chains
    τ  temperature in units of σ, falling from ``hot`` to ``cold``: τ_t = hot (cold / hot)^(t / (m - 1))

Every round is one profiling run of the orders of all chains and of a random neighbour of each: a swap, an
insertion or a block move of `pyorder.moves`. A chain takes its neighbour with probability min(1, exp(-δ / τσ))
(Metropolis' rule; Kirkpatrick, Gelatt, Vecchi, Science 220, 1983). Losses are on another scale for every task, and
fall as training gets on with fewer kinds of orders, therefore the unit σ, which is measured anew in each run.
Where chains stand and where they stood last meets in a last run, filled up with the best of the last round.

A chain has one neighbour a run, not a batch: an order in the middle of its neighbours shares most with all of
them, is trained along with each, and has the lowest loss whether it is good or not (`python
benchmarks/centre.py`). Two orders that are neighbours of each other are in the same position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyorder._checks import check_integer
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Profile
from pyorder.search._pools import Neighbours, Orders, count_up_to, distinct
from pyorder.search.laboratory import Laboratory
from pyorder.search.strategy import Strategy, check_temperatures


@dataclass(frozen=True)
class Annealing(Strategy):
    """Chains share a profiling run a round, each with a neighbour.

    Attributes
    ----------
    chains : C
    rounds : m; fewer when the budget ends first, and then the chains end warm
    hot, cold : temperatures of the first round and the last, in units of σ
    finalists : how many orders meet in the last run

    Examples
    --------
    >>> Annealing(chains=8, rounds=3, finalists=4).pools(Poset(10))
    [16, 16, 16, 4]
    """

    name: ClassVar[str] = "annealing"
    chains: int = 8
    rounds: int = 80
    hot: float = 0.5
    cold: float = 0.05
    finalists: int = 16

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("chains", "rounds", "finalists"):
            check_integer(getattr(self, option), option, 1)
        check_temperatures(self.hot, self.cold)

    def pools(self, constraints: Poset) -> list[int]:
        """One run a round, and the last one."""
        size = count_up_to(constraints, 2 * self.chains)
        return [size] * self.rounds + [count_up_to(constraints, self.finalists)]

    def search(self, laboratory: Laboratory) -> Orders:
        """Let the chains cool down."""
        last = self.pools(laboratory.constraints)[-1]
        neighbours = Neighbours(laboratory.constraints, laboratory.rng)
        chains = laboratory.draw(self.chains)
        stood = chains[:0]  # where chains stood, latest first
        ranked = chains[:0]  # the latest round's orders, best first
        for number in range(self.rounds):
            tried = np.concatenate([neighbours.draw(order, 1) for order in chains])
            pool = distinct(np.concatenate([chains, tried]))
            # The last run is kept in reserve: without it the chains' orders could not be compared.
            if number and not laboratory.affords(len(pool), last):
                laboratory.curtail()
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
        self, chains: Orders, tried: Orders, profile: Profile, temperature: float, rng: np.random.Generator
    ) -> Orders:
        """The chains' orders (C, L) after Metropolis' rule, with a neighbour tried for each (C, L)."""
        loss = {order.tobytes(): value for order, value in zip(profile.orders, profile.loss, strict=True)}
        changes = np.array(
            [loss[new.tobytes()] - loss[old.tobytes()] for new, old in zip(tried, chains, strict=True)]
        )
        heat = temperature * float(np.median(np.abs(changes)))
        taken = [accepts(change, heat, rng.random()) for change in changes.tolist()]
        return np.where(np.array(taken)[:, None], tried, chains)


def accepts(change: float, heat: float, draw: float) -> bool:
    """Metropolis' rule for a ``change`` of the loss at ``heat`` (nats), with a uniform ``draw`` from [0, 1).

    Examples
    --------
    >>> accepts(-0.1, 0.0, 0.9), accepts(0.1, 0.1, 0.3), accepts(0.1, 0.1, 0.4), accepts(0.1, 0.0, 0.0)
    (True, True, False, False)
    """
    return change <= 0 or (heat > 0 and draw < math.exp(-change / heat))
