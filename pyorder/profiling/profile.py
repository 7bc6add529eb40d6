"""Loss profiling: one small model, a mixture of orders, and the early loss of each.

Every training row is shown in one of the candidate orders, the model is not told which, and after a short run
the orders are ranked by their mean loss on validation rows: over steps, by their weights where they have some.

    T  candidate orders    L  steps    N  training rows    R  validation rows    k  seeds

Source: Sato, Kawamoto, Kera, arXiv 2506.23875, section on loss profiling (P1, P2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch

from pyorder._checks import check_memory, check_seeds
from pyorder._statistics import standard_error
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.entropy import entropies
from pyorder.data.reordering import Order, orders_of
from pyorder.data.tokens import Tokens
from pyorder.execution import Precision, RandomStream, isolated, resolve_precision
from pyorder.models.architecture import Architecture
from pyorder.models.learner import DecoderLearner
from pyorder.profiling.result import Cost, Orders, Profile, ranked
from pyorder.profiling.scoring import Scores, score
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.journal import Journal
from pyorder.training.divergence import AGAIN, diverged, guessing
from pyorder.training.memory import check_run
from pyorder.training.orders import Mixture, RowQueue, rows_and_orders
from pyorder.training.presets import Model, resolve_model
from pyorder.training.recipe import Numbers, Recipe
from pyorder.training.trainer import STEPS_AT_ONCE, StepHook, Trainer, column_weights, train_together
from pyorder.world import World

Tell = Callable[[str, float], None]

SAVE_SECONDS = 60.0  # between states that are kept of a run
RUN = "run"  # what their names begin with
MOST_SEEDS = 8  # more than these fill a GPU by themselves
MOST_ACTIVATIONS = 60_000_000  # B (X + C) W over layers and seeds: some 10 GB, at about 40 numbers for each


class Profiler:
    """Data, model and settings of loss profiling, made ready once and used for any number of pools.

    `profile` is the plain way in; a search profiles many pools on the same terms.

    Attributes
    ----------
    tokens, held : what is trained on, and what orders are scored on
    learner, recipe : what learns, and the numbers of each run; step weights and names are by the tokens' steps
    step_names : what the tokens' steps are called; none where they have no names
    entropy : (L,) nats, of the steps' values over the training rows
    world, device, settings : where it runs, and how, in values of JSON
    journal : where the state of a run is kept on the way; nowhere, unless a search has a folder
    """

    def __init__(
        self,
        train: Dataset,
        validation: Dataset,
        *,
        model: Model | None = None,
        recipe: Recipe | None = None,
        device: str | torch.device | World = "auto",
        shuffle: Orders | None = None,
        **numbers: Unpack[Numbers],
    ) -> None:
        self.world = World.of(device)
        self.device = self.world.device
        preset = "small" if self.device.type == "cuda" else "nano"
        self.learner, self.recipe = resolve_model(model, preset, recipe, numbers)
        self.recipe.check_data(train.rows, train.target_length)
        self.tokens = Tokens.of(train, "train", self.device)
        self.held = Tokens.of(validation, "validation", self.device, (train.vocabulary, train.schema))
        self.step_names = train.names if train.schema.named else ()
        if shuffle is not None:
            self.tokens, self.held = self.tokens.reordered(shuffle), self.held.reordered(shuffle)
            self.recipe = self.recipe.reordered(shuffle)
            self.step_names = tuple(self.step_names[step] for step in shuffle if self.step_names)
        self.learner.check_data(self.tokens.schema)
        check_run(self.learner, self.tokens.shape, self.recipe, self.world)
        self.precision = self.world.agreed(lambda: resolve_precision(self.recipe.precision, self.device))
        with RandomStream(0, self.device).lent():  # what cannot serve is refused before any work
            self.learner.build(self.tokens.shape)
        # Recorded steps are kept for later runs. A caller's own module may do what a CUDA graph cannot record.
        recorded = self.device.type == "cuda" and self.learner.capturable and self.world.size == 1
        self.recorded: list[Trainer] | None = [] if recorded else None
        self.journal = Journal()  # of the search that this belongs to
        self.calmed: list[int] = []  # seeds that diverged, and were trained again
        self.entropy = entropies(self.tokens)
        self.settings = {
            "model": self.learner.name,
            "architecture": self.learner.record(),
            **self.recipe.record(self.device),
            "device": str(self.device),
            "training_rows": len(self.tokens),
            "validation_rows": len(self.held),
            "entropy": float(np.average(self.entropy, weights=self.recipe.step_weights)),
            "data": train.metadata,
        }
        self.settings |= {"processes": self.world.size} if self.world.size > 1 else {}

    def multiply_in(self, precision: Precision) -> None:
        """Go on in a precision that was resolved before, maybe by another process."""
        self.recipe = replace(self.recipe, precision=precision)
        self.precision = resolve_precision(precision, self.device)
        self.settings["precision"] = precision

    @property
    def length(self) -> int:
        """L, the number of steps of an order."""
        return self.tokens.length

    def check_pool(self, candidates: int) -> None:
        """Refuse more candidates than memory holds with their losses of all validation rows; ValueError."""
        check_memory(candidates, 8 * self.length + 12 * len(self.held), "candidates", "orders and their losses")

    def cost(self, candidates: int, seeds: int = 1) -> Cost:
        """What profiling ``candidates`` orders will cost."""
        return Cost(self.recipe.steps * seeds, len(self.held) * candidates * seeds)

    def profile(
        self,
        orders: Orders,
        *,
        seeds: Sequence[int],
        on_share: Callable[[str, float], None] | None = None,
        row_loss: bool = False,
    ) -> Profile:
        """Profile the pool ``orders`` (T, L) once for each of ``seeds``; ``row_loss`` keeps the losses of rows."""
        started = time.perf_counter()
        by_row = np.zeros((len(self.held), len(orders)), np.float32)  # nats a step, weighted
        kept = np.zeros_like(by_row) if row_loss else None
        step_loss = np.zeros(orders.shape)
        seed_loss, training_loss = [], []
        at_once = 1
        if self.recorded is not None and isinstance(self.learner, DecoderLearner):
            length = self.tokens.shape.input_length + self.tokens.shape.columns
            at_once = seeds_at_once(self.learner.architecture, self.recipe.batch_size, length)
        for first in range(0, len(seeds), at_once):
            group = seeds[first : first + at_once]

            def tell(stage: str, share: float, first: int = first, size: int = len(group)) -> None:
                if on_share is not None:
                    on_share(stage, (first + size * share) / len(seeds))

            for scores, curve in self._run(orders, group, tell):
                rows = scores.weighted / self.length
                by_row += rows / len(seeds)
                step_loss += scores.step_loss / len(seeds)
                seed_loss.append(rows.mean(0, dtype=np.float64))
                if kept is not None:
                    kept += scores.row_loss / len(seeds)
                training_loss.append(curve)
        loss = np.mean(seed_loss, axis=0)
        if not np.isfinite(loss).any():
            lost = [seed for seed, losses in zip(seeds, seed_loss, strict=True) if not np.isfinite(losses).all()]
            raise RuntimeError(
                f"no candidate has a finite loss: training diverged with seed {', '.join(map(str, lost))}; "
                "give a lower learning_rate"
            )
        ranking = ranked(loss, seeds[0])
        paired = by_row - by_row[:, ranking[:1]]
        return Profile(
            orders=orders,
            loss=loss,
            step_loss=step_loss,
            standard_error=standard_error(paired, self.held.groups),
            ranking=ranking,
            seed_loss=np.array(seed_loss),
            training_loss=np.array(training_loss),
            cost=self.cost(len(orders), len(seeds)),
            seconds=time.perf_counter() - started,
            settings={**self.settings, "seeds": list(seeds), **self._calmed(seeds)},
            row_loss=kept,
            step_names=self.step_names,
        )

    def _calmed(self, seeds: Sequence[int]) -> dict[str, Any]:
        """What the settings say of seeds that diverged, and were trained at a lower rate; nothing of others."""
        calmed = [seed for seed in seeds if seed in self.calmed]
        rate = AGAIN * self.recipe.learning_rate
        return {"diverged": {"seeds": calmed, "trained_at": rate}} if calmed else {}

    def _run(
        self, orders: Orders, seeds: Sequence[int], tell: Tell
    ) -> Iterator[tuple[Scores, npt.NDArray[np.float32]]]:
        # Training a row costs about three scorings of it: forward, and twice that backward.
        trained = 3.0 * self.recipe.steps * self.recipe.batch_size
        weight = trained / (trained + len(self.held) * len(orders))
        weights = column_weights(self.recipe, self.held)
        modules, curves = self._train(
            orders, seeds, lambda step: tell("training", weight * (step + 1) / self.recipe.steps)
        )
        for number, (module, curve) in enumerate(zip(modules, curves, strict=True)):

            def tell_scored(share: float, number: int = number) -> None:
                tell("scoring", weight + (1 - weight) * (number + share) / len(seeds))

            yield (
                score(self.learner, module, self.held, orders, self.precision, tell_scored, weights, self.world),
                curve.numpy(),
            )

    def _train(
        self, orders: Orders, seeds: Sequence[int], after_step: StepHook
    ) -> tuple[list[torch.nn.Module], torch.Tensor]:
        """Train a module for each seed; the modules, and (k, steps) losses.

        If one diverges, all are trained once more at a lower rate, which `settings` then has.
        """
        guess = guessing(self.tokens.shape, self.length)
        modules, curves = self._train_at(self.recipe, orders, seeds, after_step)
        if any(diverged(curve, guess) for curve in curves):
            lower = replace(self.recipe, learning_rate=AGAIN * self.recipe.learning_rate)
            modules, curves = self._train_at(lower, orders, seeds, after_step)
            lost = [seed for seed, curve in zip(seeds, curves, strict=True) if diverged(curve, guess)]
            if lost:
                raise RuntimeError(
                    f"no candidate has a finite loss: training diverged with seed {', '.join(map(str, lost))}, at "
                    f"the learning rates {self.recipe.learning_rate:g} and {lower.learning_rate:g}; give a lower "
                    "learning_rate"
                )
            self.calmed += seeds
        for module in modules:
            self.learner.check(module, self.tokens.shape)
        return modules, curves

    def _train_at(
        self, recipe: Recipe, orders: Orders, seeds: Sequence[int], after_step: StepHook
    ) -> tuple[list[torch.nn.Module], torch.Tensor]:
        """Train a module for each seed, side by side."""
        used = self.recipe.steps * self.recipe.batch_size
        table = self.tokens.column_orders(orders)
        trainers, sources = [], []
        for place, seed in enumerate(seeds):
            subset, assigned, queue = rows_and_orders(seed, len(self.tokens), used, len(orders))
            trainer = self._trainer(place, seed, queue, torch.from_numpy(subset).to(self.device))
            trainer.recipe = recipe
            trainers.append(trainer)
            sources.append(Mixture(table, torch.from_numpy(assigned).to(self.device)))
        curves = self._trained(f"{RUN}-{seeds[0]}-{recipe.learning_rate:g}", trainers, sources, after_step)
        return [trainer.module for trainer in trainers], curves

    def _trained(
        self, name: str, trainers: Sequence[Trainer], sources: Sequence[Mixture], after_step: StepHook
    ) -> torch.Tensor:
        """Train to the end, from where an attempt that was interrupted was last kept: losses (k, steps)."""
        steps, done = self.recipe.steps, 0
        curves = torch.empty(len(trainers), steps, dtype=torch.float32)
        if (state := self.journal.latest_state(name)) is not None:
            for trainer, kept in zip(trainers, state["trainers"], strict=True):
                trainer.restore(kept)
            done = state["curves"].shape[1]
            curves[:, :done] = state["curves"]
        at_once = steps if self.journal.folder is None else STEPS_AT_ONCE
        saved = self.journal.seconds
        while done < steps:
            first, done = done, min(done + at_once, steps)

            def in_all(step: int, first: int = first) -> None:
                after_step(first + step)

            curves[:, first:done] = train_together(trainers, sources, done - first, in_all)
            if not bool(curves[:, done - 1].isfinite().any()):
                curves[:, done:] = torch.nan
                break
            if self.journal.folder is not None and (done == steps or self.journal.seconds - saved >= SAVE_SECONDS):
                saved = self.journal.seconds
                states = [trainer.state() for trainer in trainers]
                self.journal.save_state(name, {"trainers": states, "curves": curves[:, :done].clone()})
        return curves

    def _trainer(self, place: int, seed: int, queue: RowQueue, subset: torch.Tensor) -> Trainer:
        """A seed's trainer, at the start; one that was recorded at this place among the seeds if there is any."""
        drawn = RandomStream(seed, self.device)
        with drawn.lent():
            module = self.learner.build(self.tokens.shape).to(self.device)
        if self.recorded is not None and place < len(self.recorded):
            trainer = self.recorded[place]
            trainer.module.load_state_dict(module.state_dict())
            trainer.restart(queue, drawn, subset)
            return trainer
        trainer = Trainer(
            self.learner,
            module,
            self.tokens,
            self.recipe,
            queue,
            stream=drawn,
            subset=subset,
            world=self.world,
        )
        if self.recorded is not None:
            self.recorded.append(trainer)
        return trainer


def seeds_at_once(architecture: Architecture, batch_size: int, length: int) -> int:
    """How many seeds a GPU trains side by side on rows of ``length`` tokens, X and C together.

    Examples
    --------
    >>> [seeds_at_once(PRESETS[name].architecture, 128, 200) for name in ("nano", "small", "large")]
    [8, 4, 1]
    """
    one = batch_size * length * architecture.width * architecture.layers
    return max(1, min(MOST_SEEDS, MOST_ACTIVATIONS // one))


@isolated()
def profile(
    train: Dataset,
    orders: Iterable[Order] | npt.ArrayLike,
    *,
    validation: Dataset,
    model: Model | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    seeds: int = 1,
    device: str | torch.device | World = "auto",
    progress: Report | bool | None = None,
    row_loss: bool = False,
    **numbers: Unpack[Numbers],
) -> Profile:
    """Rank candidate orders by the early loss of one model that is trained on their mixture.

    Parameters
    ----------
    train, validation : Datasets; the model trains on the first, orders are scored on the second
    orders : (T, L) integers, each row an order; or a list of orders as `fit` takes them, such as names of steps
    model : a preset's name, a `Preset`, an `Architecture`, a `Learner`, or the caller's own build function; by
        default "nano" on a CPU, "small" on a GPU
    recipe : the numbers to train with; by default the preset's
    numbers : ``steps``, ``batch_size``, ``learning_rate``, ``precision`` and ``step_weights`` override the
        recipe's; the last say how much each step counts
    seed, seeds : the run is repeated with seeds ``seed``, ``seed + 1``, ... and the losses averaged
    device : "auto", "cpu", "cuda", "cuda:1", ..., or a `World` of several processes that all make this call
    progress : a function that is called with a `Progress` from time to time, or True for a bar on standard error
    row_loss : whether to keep the loss of every validation row in every order

    Returns
    -------
    Profile

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; nothing has been computed then.

    Source: Sato, Kawamoto, Kera, arXiv 2506.23875, loss profiling.

    Examples
    --------
    >>> splits = make_task("square", length=4).splits(train=500, validation=50, test=50)
    >>> result = profile(splits.train, [[0, 1, 2, 3], [3, 2, 1, 0]], validation=splits.validation, steps=5)
    >>> result.loss.shape, result.step_loss.shape
    ((2,), (2, 4))
    """
    check_datasets(train=train, validation=validation)
    pool = orders_of(orders, train.schema)
    if not len(pool):
        raise ValueError("orders: at least one order is needed, none given")
    repeated = check_seeds(seed, seeds)
    world = World.of(device)
    shown = resolve_progress(world.only_first(progress), "profile")
    profiler = Profiler(train, validation, model=model, recipe=recipe, device=world, **numbers)
    profiler.check_pool(len(pool))
    started = time.perf_counter()

    def on_share(stage: str, share: float) -> None:
        if shown.report is not None:
            shown.report(Progress(stage, share, time.perf_counter() - started))

    with shown:
        return profiler.profile(pool, seeds=repeated, on_share=on_share, row_loss=row_loss)
