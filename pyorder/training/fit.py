"""Final training on one order, and its success rate on rows that nothing else has seen.

    L  steps    N  training rows    R  test rows

Source: Sato, Kawamoto, Kera, arXiv 2506.23875, section on final training; success rate as in table 1.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pyorder._checks import MAX_SEED, check_integer
from pyorder._values import ByContents
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.tokens import check_same_shape, tokens
from pyorder.execution import Precision, resolve_device, resolve_precision, seeded
from pyorder.models.decoder import Build, Decoder, Preset
from pyorder.models.learner import build_checked, check_causality, resolve_model
from pyorder.orders.permutations import check_order
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.folder import RunDir, check_run_dir, load_kind, load_weights, make_run_dir, write_fit, write_run
from pyorder.training.generation import generate, look
from pyorder.training.trainer import TrainingSettings
from pyorder.training.trainer import train as train_module

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fitted(ByContents):
    """A model trained on one order, and what it reaches on the test rows.

    Two are equal if their contents are; models are compared by their weights, wherever they lie.

    Attributes
    ----------
    order : (L,) int64, the order it was trained on
    success : (R,) bool, test rows whose whole target was generated exactly, greedily
    step_accuracy : (L,) float64, share of test rows with the right value, by canonical step; greedy generation
    loss_curve : (steps,) float32, training loss in nats a step
    validation_curve : (K, 3) float64, a row a look at the validation rows: training steps so far, loss in nats a
        step, and the share of steps predicted right, given those before them; None without validation rows
    model : the trained module, in evaluation mode, on the device it was trained on
    vocabulary : (V,) int64, the value of every token id
    seconds : wall time of training and testing
    settings : how it was run
    """

    order: Orders
    success: npt.NDArray[np.bool_]
    step_accuracy: Floats
    loss_curve: npt.NDArray[np.float32]
    model: nn.Module
    vocabulary: npt.NDArray[np.int64]
    seconds: float
    settings: dict[str, Any]
    validation_curve: Floats | None = None

    @property
    def success_rate(self) -> float:
        """Share of test rows whose whole target is right."""
        return float(self.success.mean())

    @property
    def diverged(self) -> bool:
        """Whether the training loss left the finite numbers; the success rate then tells nothing of the order."""
        return not bool(np.isfinite(self.loss_curve).all())

    @property
    def success_interval(self) -> tuple[float, float]:
        """95 % interval of the success rate over test rows (Wilson's score interval)."""
        return wilson_interval(int(self.success.sum()), len(self.success))

    def predict(self, inputs: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Generate the targets (R, L) of inputs (R, X), as values by canonical step.

        Raises
        ------
        ValueError
            If an input holds a value that training has not, or is not as long as the training inputs.
        """
        rows = np.asarray(inputs)
        wanted = self.settings["input_length"]
        if rows.ndim != 2 or rows.shape[1] != wanted:
            raise ValueError(f"inputs: expected shape (R, {wanted}), as in training, got {rows.shape}")
        blank = np.full((len(rows), len(self.order)), self.vocabulary[0])
        device = next(self.model.parameters()).device
        encoded, _ = tokens(Dataset(rows, blank), self.vocabulary, "inputs", device)
        precision = resolve_precision(self.settings["precision"], device)
        emitted = generate(self.model, encoded, len(self.order), precision)
        targets = np.empty(emitted.shape, np.int64)
        targets[:, self.order] = self.vocabulary[emitted.cpu().numpy()]
        return targets

    def contents(self) -> dict[str, Any]:
        """What is compared: the fields, with the bytes of its weights for the module."""
        weights = {name: _bits(value) for name, value in self.model.state_dict().items()}
        return {**super().contents(), "model": weights}

    def summary(self) -> dict[str, Any]:
        """What the model reaches, in values of JSON."""
        return {
            "order": self.order.tolist(),
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "test_rows": len(self.success),
            "diverged": self.diverged,
            "step_accuracy": self.step_accuracy.tolist(),
            "training_steps": len(self.loss_curve),
            "seconds": self.seconds,
        }

    def save(self, run_dir: RunDir) -> None:
        """Write a run folder, see `pyorder.runs`; ValueError if it holds something or takes no files."""
        try:
            folder = make_run_dir(run_dir)
            write_fit(folder, self.loss_curve, self.step_accuracy, self.success, self.model, self.validation_curve)
            settings = {**self.settings, "vocabulary": self.vocabulary}
            write_run(folder, "fit", settings, self.summary(), device=self.settings.get("device"))
        except Exception as error:  # a full disk, or a caller's module that cannot be stored
            error.add_note(f"the success rate was {self.success_rate}")
            raise

    @classmethod
    def load(
        cls, run_dir: RunDir, *, model: str | Preset | Build | None = None, device: str | torch.device = "auto"
    ) -> Fitted:
        """Read a run folder of a final training back, to generate with its model.

        Parameters
        ----------
        run_dir : as `save`, `fit` and the commands ``train`` and ``discover`` write it
        model : as given to `fit`; only a function of the caller's own must be given again
        device : as in `fit`

        Raises
        ------
        ValueError
            If the folder holds no final training, or ``model`` builds no module for its weights.

        Examples
        --------
        >>> Fitted.load("/nowhere")
        Traceback (most recent call last):
        ValueError: run_dir: '/nowhere' is no run folder: config.json: No such file or directory
        """
        run = load_kind(run_dir, "fit", "final training")
        settings = dict(run.config["settings"])
        vocabulary = np.array(settings.pop("vocabulary"), np.int64)
        order = np.array(run.result["order"], np.int64)
        if model is None and settings["architecture"] is None:
            raise ValueError(f"model: give the function that built it; its name was {settings['model']!r}")
        _, build, _ = resolve_model(model or Preset(**settings["architecture"]), "base")
        if settings["architecture"] not in (None, asdict(build) if isinstance(build, Preset) else None):
            raise ValueError(f"model: {build} given, it was trained with {Preset(**settings['architecture'])}")
        on = resolve_device(device)
        with seeded(0, on):
            module = build_checked(build, len(vocabulary), settings["input_length"], len(order)).to(on)
        load_weights(run.folder, module)
        try:
            arrays = run.arrays()
        except OSError as error:
            raise ValueError(f"run_dir: {error}") from error
        return cls(
            order=order,
            success=arrays["success"],
            step_accuracy=arrays["step_accuracy"],
            loss_curve=arrays["loss_curve"],
            model=module.eval(),
            vocabulary=vocabulary,
            seconds=run.result["seconds"],
            settings=settings,
            validation_curve=arrays.get("validation_curve"),
        )


def fit(
    train: Dataset,
    order: npt.ArrayLike,
    *,
    test: Dataset,
    validation: Dataset | None = None,
    validate_every: int = 25,
    model: str | Preset | Build | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    precision: Precision = "auto",
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
) -> Fitted:
    """Train a model to write the target in one order, and test it.

    Parameters
    ----------
    train, test : Datasets; ``test`` should be neither trained on nor used to choose the order
    order : (L,) integers
    validation : rows to look at during training, every so many steps and at the end
    model : as in `profile`; by default "base" on a CPU, "large" on a GPU
    steps, batch_size, learning_rate, precision, seed, device, progress : as in `profile`
    run_dir : a new or empty folder for the result and the weights, as `Fitted.save` writes them

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; nothing has been trained then.

    Source: Sato, Kawamoto, Kera, arXiv 2506.23875, final training.

    Examples
    --------
    >>> splits = make_task("square", length=4).splits(train=500, validation=50, test=50)
    >>> fitted = fit(splits.train, [0, 1, 2, 3], test=splits.test, steps=5)
    >>> fitted.step_accuracy.shape, fitted.predict(splits.test.inputs[:2]).shape
    ((4,), (2, 4))
    """
    started = time.perf_counter()
    check_datasets(train=train, test=test, **({} if validation is None else {"validation": validation}))
    chosen = check_order(order, train.target_length)
    check_integer(seed, "seed", 0, MAX_SEED)
    shown = resolve_progress(progress, "training")
    on = resolve_device(device)
    name, build, preset = resolve_model(model, "large" if on.type == "cuda" else "base")
    settings = TrainingSettings.of(
        preset,
        resolve_precision(precision, on),
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    vocabulary = train.vocabulary
    check_same_shape(train, test, "test")
    inputs, targets = tokens(train, vocabulary, "train", on)
    test_inputs, test_targets = tokens(test, vocabulary, "test", on)
    looks: list[tuple[int, float, float]] = []
    watched = None
    if validation is not None:
        check_same_shape(train, validation, "validation")
        watched = tokens(validation, vocabulary, "validation", on)
    check_integer(validate_every, "validate_every", 1)
    check_run_dir(run_dir)
    slots = torch.from_numpy(chosen).to(on)

    def after_step(step: int, _: Tensor) -> None:
        if watched is not None and ((step + 1) % validate_every == 0 or step + 1 == settings.steps):
            module.eval()
            looks.append((step + 1, *look(module, watched[0], watched[1][:, slots], settings.precision)))
            module.train()
        if shown.report is not None:
            share = 0.95 * (step + 1) / settings.steps
            shown.report(Progress("final training", share, time.perf_counter() - started))

    with shown, seeded(seed, on):
        module = build_checked(build, len(vocabulary), train.input_length, train.target_length).to(on)
        curve = train_module(
            module,
            inputs,
            targets,
            slots[None],
            torch.zeros(len(inputs), dtype=torch.long, device=on),
            settings,
            np.random.default_rng([seed, 3]),
            after_step,
        )
    if not isinstance(module, Decoder):
        with torch.no_grad():
            check_causality(module, len(vocabulary), train.input_length, train.target_length)
    emitted = generate(module, test_inputs, train.target_length, settings.precision)
    right: npt.NDArray[np.bool_] = (emitted == test_targets[:, slots]).cpu().numpy()
    accuracy = np.empty(train.target_length)
    accuracy[chosen] = right.mean(0)
    fitted = Fitted(
        order=chosen,
        success=np.asarray(right.all(1)),
        step_accuracy=accuracy,
        loss_curve=curve.numpy(),
        model=module,
        vocabulary=vocabulary,
        validation_curve=None if watched is None else np.array(looks),
        seconds=time.perf_counter() - started,
        settings={
            "model": name,
            "architecture": asdict(build) if isinstance(build, Preset) else None,
            **settings.record(),
            "device": str(on),
            "seed": seed,
            "training_rows": len(inputs),
            "test_rows": len(test_inputs),
            "validation_rows": None if validation is None else validation.rows,
            "validate_every": None if validation is None else validate_every,
            "input_length": train.input_length,
            "data": train.metadata,
        },
    )
    if run_dir is not None:
        fitted.save(run_dir)
    return fitted


def _bits(value: Any) -> Any:
    """A tensor as its type and its bytes by element; what else a module's state holds stays as it is."""
    if not isinstance(value, Tensor):
        return value
    kept = value.detach().cpu().contiguous()
    return str(kept.dtype), tuple(kept.shape), kept.flatten().view(torch.uint8).numpy()


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927).

    Examples
    --------
    >>> low, high = wilson_interval(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    z = 1.959963984540054
    centre = (successes + z * z / 2) / (trials + z * z)
    half = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4) / (trials + z * z)
    return max(0.0, centre - half), min(1.0, centre + half)
