"""Final training on one order, and its success rate on rows that nothing else has seen.

    L  steps    N  training rows    R  test rows

Source: Sato, Kawamoto, Kera, arXiv 2506.23875, section on final training; success rate as in table 1.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pyorder._checks import MAX_SEED, check_integer
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.execution import RandomStream, isolated, resolve_device, resolve_precision, row_slices
from pyorder.models.learner import Learner
from pyorder.orders.permutations import check_order
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.claim import claim, fingerprint
from pyorder.runs.folder import RunDir
from pyorder.runs.journal import Journal
from pyorder.training.fitted import Fitted
from pyorder.training.generation import GENERATED_AT_ONCE, generate, look, row_losses
from pyorder.training.orders import OneOrder, RowQueue
from pyorder.training.presets import Model, resolve_model
from pyorder.training.recipe import Numbers, Recipe
from pyorder.training.trainer import STEPS_AT_ONCE, StepHook, Trainer

SAVE_SECONDS = 60.0  # between states that are kept


@isolated()
def fit(
    train: Dataset,
    order: npt.ArrayLike,
    *,
    test: Dataset,
    validation: Dataset | None = None,
    validate_every: int = 25,
    model: Model | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
    **numbers: Unpack[Numbers],
) -> Fitted:
    """Train a model to write the target in one order, and test it.

    Parameters
    ----------
    train, test : Datasets; ``test`` should be neither trained on nor used to choose the order
    order : (L,) integers
    validation : rows to look at during training, every so many steps and at the end
    model : as in `profile`; by default "base" on a CPU, "large" on a GPU
    recipe, seed, device, progress, numbers : as in `profile`; step weights say what is trained on, and nothing of
        what is measured
    run_dir : a new or empty folder for the result and the weights, as `Fitted.save` writes them, and on the way
        for the state of training: the same call on a folder where it was interrupted goes on from there, and on
        one where it has ended reads the result back

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
    check_datasets(train=train, test=test, **({} if validation is None else {"validation": validation}))
    chosen = check_order(order, train.target_length)
    check_integer(seed, "seed", 0, MAX_SEED)
    shown = resolve_progress(progress, "training")
    on = resolve_device(device)
    learner, recipe = resolve_model(model, "large" if on.type == "cuda" else "base", recipe, numbers)
    recipe.check_data(train.rows, train.target_length)
    precision = resolve_precision(recipe.precision, on)
    like = train.vocabulary, train.schema
    rows, tested = Tokens.of(train, "train", on), Tokens.of(test, "test", on, like)
    watched = None if validation is None else Tokens.of(validation, "validation", on, like)
    check_integer(validate_every, "validate_every", 1)
    learner.check_data(rows.schema)
    settings: dict[str, Any] = {
        "model": learner.name,
        "architecture": learner.record(),
        **recipe.record(on),
        "device": str(on),
        "seed": seed,
        "training_rows": len(rows),
        "test_rows": len(tested),
        "validation_rows": None if validation is None else validation.rows,
        "validate_every": None if validation is None else validate_every,
        "input_length": train.input_length,
        "data": train.metadata,
    }

    asked_precision = recipe.precision  # "auto" may come out differently in another process

    def ask() -> dict[str, Any]:
        return {
            "kind": "fit",
            "pyorder": version("pyorder"),
            "train": fingerprint(train),
            "test": fingerprint(test),
            "validation": None if validation is None else fingerprint(validation),
            "order": chosen,
            **settings,
            "device": on.type,
            "precision": asked_precision,
        }

    with claim(run_dir, ask) as claimed:
        if claimed.finished and claimed.folder is not None:
            return Fitted.load(claimed.folder, model=model, device=device)
        journal = claimed.journal
        kept = journal.told("precision", settings["precision"])
        settings["precision"], precision = kept, resolve_precision(kept, on)
        recipe = replace(recipe, precision=kept)
        stream = RandomStream(seed, on)
        with stream.lent():
            module = learner.build(rows.shape).to(on)
        looks: list[tuple[int, float, float]] = []

        def after_step(step: int) -> None:
            if watched is not None and ((step + 1) % validate_every == 0 or step + 1 == recipe.steps):
                module.eval()
                looks.append((step + 1, *look(learner, module, watched, chosen, precision)))
                module.train()
            if shown.report is not None:
                share = 0.95 * (step + 1) / recipe.steps
                shown.report(Progress("final training", share, journal.seconds))

        queue = RowQueue(len(rows), np.random.default_rng([seed, 3]))
        trainer = Trainer(learner, module, rows, recipe, queue, stream=stream)
        source = OneOrder(rows.column_orders(chosen[None])[0])
        with shown:
            curve = _train(trainer, source, after_step, looks, journal)
        learner.check(module, rows.shape)
        wrong = _wrong(learner, module, tested, chosen, precision)
        losses = row_losses(learner, module, tested, chosen, precision).cpu().numpy()
        fitted = Fitted(
            order=chosen,
            success=np.logical_not(wrong.any(1)),
            step_accuracy=(~wrong).mean(0),
            step_loss=losses.mean(0, dtype=np.float64),
            row_losses=losses.sum(1),
            loss_curve=curve.numpy(),
            model=module,
            learner=learner,
            schema=train.schema,
            vocabulary=train.vocabulary,
            validation_curve=None if watched is None else np.array(looks),
            seconds=journal.seconds,
            settings=settings,
        )
        if claimed.folder is not None:
            fitted.write(claimed.folder)
        claimed.finish()
        return fitted


def _train(
    trainer: Trainer,
    source: OneOrder,
    after_step: StepHook,
    looks: list[tuple[int, float, float]],
    journal: Journal,
) -> torch.Tensor:
    """Train to the end of the recipe, from where an earlier attempt was last kept: losses (steps,).

    What is kept every minute is kept between the parts that steps are handed over in.
    """
    losses = torch.empty(trainer.recipe.steps, dtype=torch.float32)
    if (state := journal.latest_state("training")) is not None:
        trainer.restore(state["trainer"])
        losses[: trainer.steps_done] = state["losses"]
        looks += map(tuple, state["looks"])
        journal.go_on_from(state["seconds"])
    saved = journal.seconds
    while (first := trainer.steps_done) < len(losses):
        stop = min(first + STEPS_AT_ONCE, len(losses))

        def in_all(step: int, first: int = first) -> None:
            after_step(first + step)

        losses[first:stop] = trainer.train(source, stop - first, in_all)
        if journal.folder is not None and journal.seconds - saved >= SAVE_SECONDS:
            saved = journal.seconds
            told = {"losses": losses[:stop].clone(), "looks": [list(seen) for seen in looks], "seconds": saved}
            journal.save_state("training", {"trainer": trainer.state(), **told})
    return losses


def _wrong(
    learner: Learner, module: nn.Module, tokens: Tokens, order: npt.NDArray[np.int64], precision: torch.dtype
) -> npt.NDArray[np.bool_]:
    """Which steps of which rows are not written as the targets have them: (R, L) bool."""
    wrong = np.empty((len(tokens), tokens.length), np.bool_)
    for rows in row_slices(len(tokens), 1, GENERATED_AT_ONCE):  # ids are wide: some rows at a time
        part = tokens.select(torch.arange(rows.start, rows.stop, device=tokens.device))
        written, wanted = generate(learner, module, part, order, precision), part.targets.long()
        wrong[rows] = tokens.by_step(((written != wanted) & (wanted != IGNORED)).long()).bool().cpu().numpy()
    return wrong
