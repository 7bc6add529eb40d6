"""The result of a final training: a model trained on one order, and what it reaches on the test rows.

L  steps    C  columns    R  test rows    V  vocabulary size
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pyorder._checks import MAX_SEED, check_integer, integer_array
from pyorder._statistics import mean_interval, share_interval
from pyorder._values import ByContents
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.files import list_safetensors
from pyorder.data.schema import IGNORED, Schema
from pyorder.data.tokens import Shape, Tokens
from pyorder.errors import InputError
from pyorder.execution import RandomStream, isolated, resolve_device, resolve_precision
from pyorder.models.architecture import Architecture
from pyorder.models.learner import DecoderLearner, Learner
from pyorder.orders.permutations import check_order
from pyorder.runs.folder import RunDir, load_kind, load_weights, make_run_dir, reading, write_fit, write_run
from pyorder.training.divergence import diverged, guessing
from pyorder.training.generation import Choose, at_random, generate, greedily, row_losses
from pyorder.training.presets import Model, resolve_model

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
    step_accuracy : (L,) float64, share of the test rows that have the step in which its value is right, by
        canonical step; greedy generation
    step_loss : (L,) float64, mean loss of each canonical step on the test rows, in nats
    row_losses : (R,) float32, what each test row loses, in nats: the negative logarithm of its likelihood
    loss_curve : (steps,) float32, training loss in nats a step, weighted as the recipe says
    validation_curve : (K, 3) float64, a row a look at the validation rows: training steps so far, loss in nats a
        step, and the share of steps predicted right of those that rows have, given those before them; None
        without validation rows
    groups : (R,) int64, which group each test row is of; None where rows have none. Rows of one group may fail
        together, so intervals are over groups
    model : the trained module, in evaluation mode, on the device it was trained on
    learner, schema : what the module is one of, and the data's steps and inputs
    vocabulary : (V,) int64, the value of every token id
    seconds : wall time of training and testing
    settings : how it was run
    """

    order: Orders
    success: npt.NDArray[np.bool_]
    step_accuracy: Floats
    step_loss: Floats
    row_losses: npt.NDArray[np.float32]
    loss_curve: npt.NDArray[np.float32]
    model: nn.Module
    learner: Learner
    schema: Schema
    vocabulary: npt.NDArray[np.int64]
    seconds: float
    settings: dict[str, Any]
    validation_curve: Floats | None = None
    groups: npt.NDArray[np.int64] | None = None

    @property
    def success_rate(self) -> float:
        """Share of test rows whose whole target is right."""
        return float(self.success.mean())

    @property
    def diverged(self) -> bool:
        """Whether training diverged, at a lower rate too; the success rate then tells nothing of the order."""
        return diverged(
            torch.tensor(self.loss_curve), guessing(_shape(self.vocabulary, self.schema), self.schema.length)
        )

    @property
    def success_interval(self) -> tuple[float, float]:
        """95 % interval of the success rate over test rows, or over their groups (Wilson's score interval)."""
        return share_interval(self.success, self.groups)

    @property
    def row_loss(self) -> float:
        """Mean loss on the test rows, in nats a row; where targets are random, what orders compare by."""
        return float(self.row_losses.mean(dtype=np.float64))

    @property
    def row_loss_interval(self) -> tuple[float, float]:
        """95 % interval of the row loss over test rows, or over their groups; of one without bounds."""
        return mean_interval(self.row_losses, self.groups)

    @property
    def step_names(self) -> tuple[str, ...]:
        """What the steps are called, by canonical step; none where they have no names."""
        return self.schema.names if self.schema.named else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The order it was trained on, as names; as numbers where the steps have none."""
        return tuple(self.schema.names[step] for step in self.order)

    def predict(self, inputs: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Generate the likeliest targets (R, C) of inputs (R, X), column by column, as values by canonical step.

        A masked array where steps may end early.

        Raises
        ------
        ValueError
            If an input holds a value that training has not, or is not as long as the training inputs.
        """
        return self._write(inputs, greedily)

    def sample(self, inputs: npt.ArrayLike, *, seed: int = 0) -> npt.NDArray[np.int64]:
        """Draw targets (R, C) of inputs (R, X) from the model, as values by canonical step.

        Without inputs, X = 0: ``numpy.zeros((R, 0), int)``. Errors are those of `predict`.
        """
        check_integer(seed, "seed", 0, MAX_SEED)
        return self._write(inputs, at_random(seed, self.device))

    @isolated()
    def log_likelihood(self, data: Dataset) -> npt.NDArray[np.float32]:
        """Logarithm of the probability, (R,) nats, that the model gives the target of each row.

        Raises
        ------
        ValueError
            If the data hold a value that training has not, or rows of another shape.
        """
        check_datasets(data=data)
        losses = row_losses(self.learner, self.model, self._tokens(data, "data"), self.order, self.precision)
        return -losses.sum(1).cpu().numpy()

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        return next(self.model.parameters()).device

    @property
    def precision(self) -> torch.dtype:
        """What the module's products run in."""
        return resolve_precision(self.settings["precision"], self.device)

    def _tokens(self, data: Dataset, name: str) -> Tokens:
        return Tokens.of(data, name, self.device, (self.vocabulary, self.schema))

    @isolated()
    def _write(self, inputs: npt.ArrayLike, choose: Choose) -> npt.NDArray[np.int64]:
        rows, wanted = np.asanyarray(inputs), self.schema.input_length
        if rows.ndim != 2 or rows.shape[1] != wanted:
            raise ValueError(f"inputs: expected shape (R, {wanted}), as in training, got {rows.shape}")
        blank = np.full((len(rows), self.schema.columns), self.vocabulary[0])
        tokens = self._tokens(Dataset(rows, blank, widths=self.schema.widths), "inputs")
        ids = generate(self.learner, self.model, tokens, self.order, self.precision, choose).cpu().numpy()
        if not self.schema.ends:
            values: npt.NDArray[np.int64] = self.vocabulary[ids]
            return values
        there = (ids != IGNORED) & (ids < len(self.vocabulary))
        return np.ma.masked_array(self.vocabulary[np.where(there, ids, 0)], ~there)

    def contents(self) -> dict[str, Any]:
        """What is compared: the fields, with the bytes of its weights for the module."""
        weights = {name: _bits(value) for name, value in self.model.state_dict().items()}
        return {**super().contents(), "model": weights, "learner": (self.learner.name, self.learner.record())}

    def summary(self) -> dict[str, Any]:
        """What the model reaches, in values of JSON.

        Where one row was tested, or losses are not finite, nothing compares by row loss: it is None.
        """
        compares = all(map(math.isfinite, self.row_loss_interval))
        return {
            "order": self.order.tolist(),
            "names": list(self.names),
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "row_loss": self.row_loss if compares else None,
            "row_loss_interval": list(self.row_loss_interval) if compares else [None, None],
            "test_rows": len(self.success),
            "test_groups": None if self.groups is None else len(np.unique(self.groups)),
            "diverged": self.diverged,
            "diverged_at": self.settings.get("diverged_at"),
            "step_accuracy": self.step_accuracy.tolist(),
            "step_loss": self.step_loss.tolist(),
            "training_steps": len(self.loss_curve),
            "kept_step": self.settings.get("kept_step"),
            "seconds": self.seconds,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, as they are kept beside a run."""
        names = ("loss_curve", "step_accuracy", "step_loss", "row_losses", "success", "validation_curve", "groups")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def save(self, run_dir: RunDir) -> None:
        """Write a run folder, see `pyorder.runs`; ValueError if it holds something or takes no files."""
        self.write(make_run_dir(run_dir))

    def write(self, folder: Path) -> None:
        """Write the files of a run into a folder that is there; see `save`."""
        try:
            write_fit(folder, self.arrays(), self.model)
            write_run(
                folder,
                "fit",
                {**self.settings, "vocabulary": self.vocabulary, "schema": self.schema.to_json()},
                self.summary(),
                device=self.settings.get("device"),
            )
        except BaseException as error:  # a full disk, Ctrl-C, or a caller's module that cannot be stored
            error.add_note(f"the success rate was {self.success_rate}")
            raise

    @classmethod
    def load(cls, run_dir: RunDir, *, model: Model | None = None, device: str | torch.device = "auto") -> Fitted:
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
        pyorder.errors.InputError: run_dir: '/nowhere' is no run folder: config.json: No such file or directory
        """
        run = load_kind(run_dir, "fit", "final training")
        on = resolve_device(device)
        with reading(run.folder):
            settings = dict(run.config["settings"])
            vocabulary = integer_array(settings.pop("vocabulary"), "vocabulary").astype(np.int64)
            schema = Schema.from_json(settings.pop("schema"))
            order = check_order(run.result["order"], schema.length)
            kept = None if settings["architecture"] is None else Architecture(**settings["architecture"])
            shape = _shape(vocabulary, schema)
            name = settings["model"]
        learner: Learner
        if model is not None:
            learner, _ = resolve_model(model, "base", None, {})
        elif kept is None:
            raise InputError(f"model: give the function that built it; its name was {name!r}")
        else:
            learner = DecoderLearner(kept, name)
        if kept is not None and learner.record() != asdict(kept):
            given = learner.architecture if isinstance(learner, DecoderLearner) else learner.name
            raise InputError(f"model: {given} given, it was trained with {kept}")
        if isinstance(learner, DecoderLearner) and not _fits(run.folder, learner, shape):
            if kept is None:  # a function built it
                path = run.folder / "model.safetensors"
                raise InputError(f"model: not the one whose weights are in {str(path)!r}")
            raise InputError(
                f"run_dir: {str(run.folder)!r} is damaged: its weights are of no model as config.json has it"
            )
        with isolated(), RandomStream(0, on).lent():
            module = learner.build(shape).to(on)
        load_weights(run.folder, module)
        with reading(run.folder):
            arrays = run.arrays()
            return cls(
                order=order,
                **{field.name: arrays[field.name] for field in fields(cls) if field.name in arrays},
                model=module.eval(),
                learner=learner,
                schema=schema,
                vocabulary=vocabulary,
                seconds=run.result["seconds"],
                settings=settings,
            )


def _shape(vocabulary: npt.NDArray[np.int64], schema: Schema) -> Shape:
    return Shape(len(vocabulary) + schema.ends, schema.input_length, schema.columns)


def _fits(folder: Path, learner: DecoderLearner, shape: Shape) -> bool:
    """Whether the weights of a folder are of an architecture, before a module of its size is made."""
    path = folder / "model.safetensors"
    try:
        told = {name: size for name, (_, size) in list_safetensors(path).items()}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"run_dir: {str(path)!r} cannot be read: {reason}") from error
    with suppress(TypeError, ValueError, RuntimeError):  # numbers that are none, or overflow
        if learner.architecture.layers <= len(told):
            with isolated(), torch.device("meta"):  # sizes alone, no memory
                wanted = {name: tuple(value.shape) for name, value in learner.build(shape).state_dict().items()}
            return all(wanted.get(name) == size for name, size in told.items())
    return False


def _bits(value: Any) -> Any:
    """A tensor as its type and its bytes by element; what else a module's state holds stays as it is."""
    if not isinstance(value, Tensor):
        return value
    kept = value.detach().cpu().contiguous()
    return str(kept.dtype), tuple(kept.shape), kept.flatten().view(torch.uint8).numpy()
