"""Orders that each train a model of their own, on equal rows.

In a mixture one model learns all orders at once, and what it learns in one helps another. Which of several orders
that are all easy trains best shows only alone, and that takes a training run for each: few are let in.

    T  orders    L  steps    R  validation rows    k  seeds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from pyorder._statistics import standard_error
from pyorder.execution import RandomStream
from pyorder.profiling.profile import Profiler
from pyorder.profiling.result import Cost, Orders, Profile, ranked
from pyorder.profiling.scoring import score
from pyorder.streams import stream
from pyorder.training.divergence import AGAIN, diverged, guessing
from pyorder.training.orders import OneOrder, RowQueue
from pyorder.training.trainer import Trainer, column_weights, train_together


class Contest:
    """Models in training, one for each order and seed, which go on together until they are dropped.

    Of one seed all start from the same parameters and see the same rows in the same sequence. They learn at the
    rate that the profiler came down to, where its runs diverged.

    Parameters
    ----------
    profiler : data, model and numbers
    orders : (T, L)
    seeds : k of them
    steps : of the whole contest, at whose end the rate has fallen to zero; the recipe's if not given

    Examples
    --------
    >>> splits = make_task("square", length=3).splits(train=500, validation=50, test=50)
    >>> profiler = Profiler(splits.train, splits.validation, model="nano", steps=8, device="cpu")
    >>> contest = Contest(profiler, np.array([[0, 1, 2], [2, 1, 0], [1, 0, 2]]), seeds=[0])
    >>> contest.keep(contest.go_on(4).ranking[:2])
    >>> contest.go_on(4).loss.shape, contest.steps_done
    ((2,), 8)
    """

    def __init__(
        self, profiler: Profiler, orders: Orders, *, seeds: Sequence[int], steps: int | None = None
    ) -> None:
        self.profiler, self.orders, self.seeds = profiler, orders, list(seeds)
        self.recipe = profiler.recipe if steps is None else replace(profiler.recipe, steps=steps)
        if profiler.calmed:
            self.recipe = replace(self.recipe, learning_rate=AGAIN * self.recipe.learning_rate)
        self.steps_done = self.behind = 0
        self._curves = torch.empty(len(self.seeds), len(orders), 0, dtype=torch.float32)
        self._trainers = [[self._trainer(seed) for _ in orders] for seed in seeds]

    def cost(self, steps: int) -> Cost:
        """What going on for so many steps will cost."""
        models = len(self.orders) * len(self.seeds)
        return Cost(steps * models, len(self.profiler.held) * models)

    def go_on(self, steps: int, on_share: Callable[[str, float], None] | None = None) -> Profile:
        """Train all that are left for some more steps, and score each in its order on the validation rows.

        An order whose training diverged has an infinite loss.

        Raises
        ------
        RuntimeError
            If all diverged.
        """
        started, profiler = time.perf_counter(), self.profiler
        columns = profiler.tokens.column_orders(self.orders)
        trainers = [trainer for of_seed in self._trainers for trainer in of_seed]
        sources = [OneOrder(order) for _ in self.seeds for order in columns]

        def after_step(step: int) -> None:
            if on_share is not None:
                on_share("training", (step + 1) / steps)

        passed = train_together(trainers, sources, self.behind)
        self.behind = 0
        now = train_together(trainers, sources, steps, after_step)
        curves = now.view(len(self.seeds), len(self.orders), steps)
        self._curves = torch.cat([self._curves, passed.view(*curves.shape[:2], -1), curves], dim=2)
        self.steps_done += steps
        rows = np.zeros((len(self.seeds), len(profiler.held), len(self.orders)))
        step_loss = np.zeros(self.orders.shape)
        weights = column_weights(profiler.recipe, profiler.held)
        for of_seed, losses in zip(self._trainers, rows, strict=True):
            for place, trainer in enumerate(of_seed):
                own = self.orders[place : place + 1]
                found = score(
                    profiler.learner,
                    trainer.module,
                    profiler.held,
                    own,
                    profiler.precision,
                    weights=weights,
                    world=profiler.world,
                )
                losses[:, place] = found.weighted[:, 0] / profiler.length
                step_loss[place] += found.step_loss[0] / len(self.seeds)
        seed_loss = rows.mean(1)
        lost = self._diverged() | ~np.isfinite(seed_loss)
        seed_loss[lost] = np.inf
        step_loss[lost.any(0)] = np.inf
        loss = seed_loss.mean(0)
        if not np.isfinite(loss).any():
            seeds = [seed for seed, of_seed in zip(self.seeds, lost, strict=True) if of_seed.any()]
            raise RuntimeError(
                f"no candidate has a finite loss: training diverged with seed {', '.join(map(str, seeds))}, at "
                f"the learning rate {self.recipe.learning_rate:g}; give a lower learning_rate"
            )
        ranking = ranked(loss, self.seeds[0])
        by_row = rows.mean(0)
        paired = by_row - by_row[:, ranking[:1]]
        paired[:, lost.any(0)] = 0  # what is lost is so whatever the rows
        return Profile(
            orders=self.orders,
            loss=loss,
            step_loss=step_loss,
            standard_error=standard_error(paired, profiler.held.groups),
            ranking=ranking,
            seed_loss=seed_loss,
            training_loss=curves.mean(1).numpy(),
            cost=self.cost(steps),
            seconds=time.perf_counter() - started,
            settings={
                **profiler.settings,
                "learning_rate": self.recipe.learning_rate,
                "steps": self.steps_done,
                "seeds": self.seeds,
                "alone": True,
            },
            step_names=profiler.step_names,
        )

    def pass_over(self, steps: int) -> None:
        """Leave out steps whose result is known; they are trained should more be needed."""
        self.behind += steps
        self.steps_done += steps

    def keep(self, places: npt.NDArray[np.int64]) -> None:
        """Let only the orders at these places go on."""
        self.orders = self.orders[places]
        self._trainers = [[of_seed[place] for place in places] for of_seed in self._trainers]
        self._curves = self._curves[:, places]

    def _diverged(self) -> npt.NDArray[np.bool_]:
        """Whether the training of each order (k, T) diverged, from its first step on."""
        tokens = self.profiler.tokens
        guess = guessing(tokens.shape, tokens.length)
        return np.array([[diverged(curve, guess) for curve in of_seed] for of_seed in self._curves])

    def _trainer(self, seed: int) -> Trainer:
        profiler = self.profiler
        drawn = RandomStream(seed, profiler.device)
        with drawn.lent():
            module = profiler.learner.build(profiler.tokens.shape).to(profiler.device)
        queue = RowQueue(len(profiler.tokens), stream(seed, "contest"))
        return Trainer(
            profiler.learner, module, profiler.tokens, self.recipe, queue, stream=drawn, world=profiler.world
        )
