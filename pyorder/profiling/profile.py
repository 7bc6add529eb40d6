"""Loss profiling: one small model, a mixture of orders, and the early loss of each.

Every training row is shown in one of the candidate orders, the model is not told which, and after a short run
the orders are ranked by their mean loss on validation rows.

    T  candidate orders    L  steps    N  training rows    R  validation rows    k  seeds

Source: Sato, Kawamoto, Kera, arXiv 2506.23875, section on loss profiling (P1, P2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pyorder._checks import MAX_SEED, check_integer
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.tokens import check_same_shape, tokens
from pyorder.execution import Precision, resolve_device, resolve_precision, seeded
from pyorder.models.decoder import Build, Decoder, Preset
from pyorder.models.learner import build_checked, check_causality, resolve_model
from pyorder.orders.permutations import check_orders
from pyorder.profiling.result import Cost, Floats, Orders, Profile
from pyorder.profiling.scoring import score
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.training.ensemble import Ensemble, most_members
from pyorder.training.trainer import TrainingSettings, batches_of_rows, draw, train

Tell = Callable[[str, float], None]


class Profiler:
    """Data, model and settings of loss profiling, made ready once and used for any number of pools.

    `profile` is the plain way in; a search profiles many pools on the same terms.
    """

    def __init__(
        self,
        train: Dataset,
        validation: Dataset,
        *,
        model: str | Preset | Build | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        precision: Precision = "auto",
        device: str | torch.device = "auto",
    ) -> None:
        self.device = resolve_device(device)
        name, self.build, preset = resolve_model(model, "small" if self.device.type == "cuda" else "nano")
        self.training = TrainingSettings.of(
            preset,
            resolve_precision(precision, self.device),
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        vocabulary = train.vocabulary
        self.vocabulary_size = len(vocabulary)
        self.length = train.target_length
        check_same_shape(train, validation, "validation")
        self.inputs, self.targets = tokens(train, vocabulary, "train", self.device)
        self.held_inputs, self.held_targets = tokens(validation, vocabulary, "validation", self.device)
        with seeded(0, self.device):  # a module that cannot serve is refused before any work is done
            build_checked(self.build, self.vocabulary_size, train.input_length, self.length)
        # By number of members. A caller's own module may do what a CUDA graph cannot record.
        together = self.device.type == "cuda" and isinstance(self.build, Preset)
        self.ensembles: dict[int, Ensemble] | None = {} if together else None
        self.settings = {
            "model": name,
            "architecture": asdict(self.build) if isinstance(self.build, Preset) else None,
            **self.training.record(),
            "device": str(self.device),
            "training_rows": len(self.inputs),
            "validation_rows": len(self.held_inputs),
            "data": train.metadata,
        }

    def cost(self, candidates: int, seeds: int = 1) -> Cost:
        """What profiling ``candidates`` orders will cost."""
        return Cost(self.training.steps * seeds, len(self.held_inputs) * candidates * seeds)

    def profile(
        self, orders: Orders, *, seeds: Sequence[int], on_share: Callable[[str, float], None] | None = None
    ) -> Profile:
        """Profile the pool ``orders`` (T, L) once for each of ``seeds``."""
        started = time.perf_counter()
        row_loss = np.zeros((len(self.held_inputs), len(orders)), np.float32)
        step_loss = np.zeros(orders.shape)
        seed_loss, training_loss = [], []
        at_once = 1
        if self.ensembles is not None and isinstance(self.build, Preset):
            at_once = most_members(self.build, self.training.batch_size, self.inputs.shape[1] + self.length)
        for first in range(0, len(seeds), at_once):
            group = seeds[first : first + at_once]

            def tell(stage: str, share: float, first: int = first, size: int = len(group)) -> None:
                if on_share is not None:
                    on_share(stage, (first + size * share) / len(seeds))

            for rows, steps, curve in self._run(orders, group, tell):
                row_loss += rows / len(seeds)
                step_loss += steps / len(seeds)
                seed_loss.append(rows.mean(0, dtype=np.float64))
                training_loss.append(curve)
        loss = np.mean(seed_loss, axis=0)
        if not np.isfinite(loss).any():
            lost = [seed for seed, losses in zip(seeds, seed_loss, strict=True) if not np.isfinite(losses).all()]
            raise RuntimeError(
                f"no candidate has a finite loss: training diverged with seed {', '.join(map(str, lost))}; "
                "a lower learning_rate may help"
            )
        ties = np.random.default_rng([seeds[0], 1]).permutation(len(orders))
        ranking = np.lexsort((ties, loss))
        paired = row_loss - row_loss[:, ranking[:1]]
        return Profile(
            orders=orders,
            loss=loss,
            step_loss=step_loss,
            standard_error=standard_error(paired),
            ranking=ranking,
            seed_loss=np.array(seed_loss),
            training_loss=np.array(training_loss),
            cost=self.cost(len(orders), len(seeds)),
            seconds=time.perf_counter() - started,
            settings={**self.settings, "seeds": list(seeds)},
        )

    def _run(
        self, orders: Orders, seeds: Sequence[int], tell: Tell
    ) -> Iterator[tuple[npt.NDArray[np.float32], Floats, npt.NDArray[np.float32]]]:
        # Training a row costs about three scorings of it: forward, and twice that backward.
        trained = 3.0 * self.training.steps * self.training.batch_size
        weight = trained / (trained + len(self.held_inputs) * len(orders))
        train_all = self._train if self.ensembles is None else self._train_together
        modules, curves = train_all(
            orders, seeds, lambda step: tell("training", weight * (step + 1) / self.training.steps)
        )
        for number, (module, curve) in enumerate(zip(modules, curves, strict=True)):

            def tell_scored(share: float, number: int = number) -> None:
                tell("scoring", weight + (1 - weight) * (number + share) / len(seeds))

            row_loss, step_loss = score(
                module, self.held_inputs, self.held_targets, orders, self.training.precision, tell_scored
            )
            yield row_loss, step_loss, curve.numpy()

    def _train(
        self, orders: Orders, seeds: Sequence[int], after_step: Callable[[int], None]
    ) -> tuple[list[torch.nn.Module], list[torch.Tensor]]:
        """Train one module after the other, on any device and of any kind."""
        modules: list[torch.nn.Module] = []
        curves = []
        for seed in seeds:
            drawn = draw(seed, len(self.inputs), len(orders), self.training)
            rows = torch.from_numpy(drawn.rows).to(self.device)
            with seeded(seed, self.device):
                module = self.build(self.vocabulary_size, self.inputs.shape[1], self.length).to(self.device)
                curve = train(
                    module,
                    self.inputs[rows],
                    self.targets[rows],
                    torch.from_numpy(orders).to(self.device),
                    torch.from_numpy(drawn.assigned).to(self.device),
                    self.training,
                    drawn.rng,
                    lambda step, _: after_step(step),
                )
            if not isinstance(module, Decoder):
                with torch.no_grad():
                    check_causality(module, self.vocabulary_size, self.inputs.shape[1], self.length)
            modules.append(module)
            curves.append(curve)
        return modules, curves

    def _train_together(
        self, orders: Orders, seeds: Sequence[int], after_step: Callable[[int], None]
    ) -> tuple[list[Decoder], torch.Tensor]:
        """Train built-in decoders side by side, on the rows and orders that each would see alone."""
        assert self.ensembles is not None
        assert isinstance(self.build, Preset)
        if len(seeds) not in self.ensembles:
            self.ensembles[len(seeds)] = Ensemble(
                self.build, self.vocabulary_size, self.inputs, self.targets, self.training, len(seeds)
            )
        rows, assigned = [], []
        for seed in seeds:
            drawn = draw(seed, len(self.inputs), len(orders), self.training)
            batches = np.stack(list(batches_of_rows(len(drawn.rows), self.training, drawn.rng)))
            rows.append(drawn.rows[batches])
            assigned.append(drawn.assigned[batches])
        return self.ensembles[len(seeds)].train(
            seeds, orders, np.stack(rows, 1), np.stack(assigned, 1), after_step
        )


def profile(
    train: Dataset,
    orders: npt.ArrayLike,
    *,
    validation: Dataset,
    model: str | Preset | Build | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    precision: Precision = "auto",
    seed: int = 0,
    seeds: int = 1,
    device: str | torch.device = "auto",
    progress: Report | bool | None = None,
) -> Profile:
    """Rank candidate orders by the early loss of one model that is trained on their mixture.

    Parameters
    ----------
    train, validation : Datasets; the model trains on the first, orders are scored on the second
    orders : (T, L) integers, each row an order
    model : preset name, `Preset`, or the caller's own build function; by default "nano" on a CPU, "small" on a GPU
    steps, batch_size, learning_rate : override the preset's
    precision : "auto", "float32" or "bfloat16" matrix products
    seed, seeds : the run is repeated with seeds ``seed``, ``seed + 1``, ... and the losses averaged
    device : "auto", "cpu", "cuda", "cuda:1", ...
    progress : a function that is called with a `Progress` from time to time, or True for a bar on standard error

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
    pool = check_orders(orders, train.target_length)
    if not len(pool):
        raise ValueError("orders: at least one order is needed, none given")
    check_integer(seeds, "seeds", 1)
    check_integer(seed, "seed", 0, MAX_SEED)
    shown = resolve_progress(progress, "profile")
    profiler = Profiler(
        train,
        validation,
        model=model,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        device=device,
    )
    started = time.perf_counter()

    def on_share(stage: str, share: float) -> None:
        if shown.report is not None:
            shown.report(Progress(stage, share, time.perf_counter() - started))

    with shown:
        return profiler.profile(pool, seeds=range(seed, seed + seeds), on_share=on_share)


def standard_error(values: npt.NDArray[np.floating[Any]]) -> Floats:
    """Standard error of the mean over axis 0.

    Examples
    --------
    >>> standard_error(np.array([[1.0], [3.0]])).tolist()
    [1.0]
    """
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan)
    error: Floats = values.std(0, ddof=1, dtype=np.float64) / np.sqrt(len(values))
    return error
