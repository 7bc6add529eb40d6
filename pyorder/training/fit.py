"""Final training on one order, and its success rate on rows that nothing else has seen.

    L  steps    N  training rows    R  test rows

Source: Sato, Kawamoto, Kera, arXiv 2506.23875, section on final training; success rate as in table 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pyorder._checks import MAX_SEED, check_integer
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.reordering import Order, order_of
from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.errors import InputError
from pyorder.execution import RandomStream, isolated, resolve_precision, row_slices, threads
from pyorder.models.learner import Learner
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.claim import claim, fingerprint
from pyorder.runs.folder import RunDir
from pyorder.runs.journal import Journal
from pyorder.streams import stream
from pyorder.training.divergence import AGAIN, diverged, guessing
from pyorder.training.fitted import Fitted
from pyorder.training.generation import GENERATED_AT_ONCE, generate, row_losses, steps_there
from pyorder.training.memory import check_run
from pyorder.training.orders import OneOrder, RowQueue
from pyorder.training.presets import Model, resolve_model
from pyorder.training.recipe import Numbers, Recipe
from pyorder.training.trainer import STEPS_AT_ONCE, Trainer
from pyorder.training.validation import Validation
from pyorder.world import World

SAVE_SECONDS = 60.0  # between states that are kept


@isolated()
def fit(
    train: Dataset,
    order: Order,
    *,
    test: Dataset,
    validation: Dataset | None = None,
    validate_every: int = 50,
    keep_best: bool = False,
    model: Model | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device | World = "auto",
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
    **numbers: Unpack[Numbers],
) -> Fitted:
    """Train a model to write the target in one order, and test it.

    Parameters
    ----------
    train, test : Datasets; ``test`` should be neither trained on nor used to choose the order
    order : (L,) integers, a list of the steps' names, or a result that has an order, such as a `Discovery`
    validation : rows to look at during training, every so many steps and at the end
    keep_best : end with the weights of the look that lost least, not with the last ones; few rows are learned by
        heart, and the last ones then tell less of an order than of how it overfits
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
    chosen = order_of(order, train.schema)
    check_integer(seed, "seed", 0, MAX_SEED)
    world = World.of(device)
    shown, on = resolve_progress(world.only_first(progress), "training"), world.device
    learner, recipe = resolve_model(model, "large" if on.type == "cuda" else "base", recipe, numbers)
    if not learner.writes:
        raise InputError(f"model: expected one that writes targets in an order, got {learner.name}")
    recipe.check_data(train.rows, train.target_length)
    like = train.vocabulary, train.schema
    rows, tested = Tokens.of(train, "train", on), Tokens.of(test, "test", on, like)
    watched = None if validation is None else Tokens.of(validation, "validation", on, like)
    check_integer(validate_every, "validate_every", 1)
    if keep_best and watched is None:
        raise InputError("keep_best: no validation rows are given, which tell what is best")
    learner.check_data(rows.schema)
    check_run(learner, rows.shape, recipe, world)
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
        "keep_best": keep_best,
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

    with (
        claim(run_dir, ask, world=world) as claimed,
        threads(claimed.journal.told("threads", torch.get_num_threads())),
    ):
        if claimed.finished and claimed.folder is not None:
            return Fitted.load(claimed.folder, model=model, device=on)
        journal = claimed.journal
        kept = journal.told("precision", world.agreed(lambda: settings["precision"]))
        settings["precision"], precision = kept, resolve_precision(kept, on)
        settings |= {"processes": world.size} if world.size > 1 else {}
        recipe = replace(recipe, precision=kept)

        def start(rate: float) -> tuple[Trainer, Validation | None]:
            drawn = RandomStream(seed, on)
            with drawn.lent():
                module = learner.build(rows.shape).to(on)
            queue = RowQueue(len(rows), stream(seed, "final training"))
            at_rate = replace(recipe, learning_rate=rate)
            watch = None
            if watched is not None:
                watch = Validation(learner, module, watched, chosen, precision, validate_every, keep_best, world)
            return Trainer(learner, module, rows, at_rate, queue, stream=drawn, world=world), watch

        def tell(step: int, again: bool) -> None:
            if shown.report is not None:
                share = 0.95 * (step + 1) / recipe.steps
                stage = "final training, again at a lower rate" if again else "final training"
                shown.report(Progress(stage, share, journal.seconds))

        source = OneOrder(rows.column_orders(chosen[None])[0])
        with shown:
            trainer, watch, curve = _train(start, recipe.learning_rate, source, tell, journal)
        module = trainer.module
        if trainer.recipe != recipe:
            settings |= {"learning_rate": trainer.recipe.learning_rate, "diverged_at": recipe.learning_rate}
        if watch is not None and watch.best is not None:
            watch.go_back()
            settings["kept_step"] = watch.best[0]
        learner.check(module, rows.shape)
        share = tested.part(world.share(len(tested)))
        wrong, losses = (
            world.gather(of_rows(learner, module, share, chosen, precision), len(tested)).cpu().numpy()
            for of_rows in (_wrong, row_losses)
        )
        there = steps_there(tested, tested.targets)
        fitted = Fitted(
            order=chosen,
            success=np.logical_not(wrong.any(1)),
            step_accuracy=np.ma.masked_array(wrong == 0, ~there.cpu().numpy()).mean(0).filled(np.nan),
            step_loss=losses.mean(0, dtype=np.float64),
            row_losses=losses.sum(1),
            loss_curve=curve.numpy(),
            model=module,
            learner=learner,
            schema=train.schema,
            vocabulary=train.vocabulary,
            validation_curve=None if watch is None else watch.curve,
            groups=tested.groups,
            seconds=journal.seconds,
            settings=settings,
        )
        if claimed.folder is not None:
            fitted.write(claimed.folder)
        claimed.finish()
        return fitted


def _train(
    start: Callable[[float], tuple[Trainer, Validation | None]],
    rate: float,
    source: OneOrder,
    tell: Callable[[int, bool], None],
    journal: Journal,
) -> tuple[Trainer, Validation | None, torch.Tensor]:
    """Train to the end of the recipe, from where an earlier attempt was last kept; the losses are (steps,).

    What is kept every minute is kept between the parts that steps are handed over in. A training that diverges
    begins once more at a lower rate; if it diverges again it ends, and the losses of steps left out are NaN.
    """
    state = journal.latest_state("training")
    trainer, watch = start(rate if state is None else state["rate"])
    steps = trainer.recipe.steps
    losses = torch.full((steps,), torch.nan, dtype=torch.float32)
    if state is not None:
        trainer.restore(state["trainer"])
        losses[: trainer.steps_done] = state["losses"]
        if watch is not None:
            watch.restore(state["watch"])
    saved, guess = journal.seconds, guessing(trainer.tokens.shape, trainer.tokens.length)
    while (first := trainer.steps_done) < steps:
        stop, again = min(first + STEPS_AT_ONCE, steps), trainer.recipe.learning_rate < rate

        def after_step(
            step: int, watch: Validation | None = watch, first: int = first, again: bool = again
        ) -> None:
            if watch is not None:
                watch.look(first + step + 1, last=first + step + 1 == steps)
            tell(first + step, again)

        losses[first:stop] = trainer.train(source, stop - first, after_step)
        if diverged(losses[:stop], guess):
            if again:
                break
            trainer, watch = start(AGAIN * rate)
            losses.fill_(torch.nan)
        elif journal.folder is not None and journal.seconds - saved >= SAVE_SECONDS:
            saved = journal.seconds
            told = {"losses": losses[:stop].clone(), "watch": watch and watch.state()}
            at = {"trainer": trainer.state(), "rate": trainer.recipe.learning_rate}
            journal.save_state("training", at | told)
    return trainer, watch, losses


def _wrong(
    learner: Learner, module: nn.Module, tokens: Tokens, order: npt.NDArray[np.int64], precision: torch.dtype
) -> torch.Tensor:
    """Which steps of which rows are not written as the targets have them: (R, L) uint8, 1 or 0."""
    wrong = torch.empty(len(tokens), tokens.length, dtype=torch.uint8, device=tokens.device)
    for rows in row_slices(len(tokens), 1, GENERATED_AT_ONCE):  # ids are wide: some rows at a time
        part = tokens.select(torch.arange(rows.start, rows.stop, device=tokens.device))
        written, wanted = generate(learner, module, part, order, precision), part.targets.long()
        wrong[rows] = tokens.by_step(((written != wanted) & (wanted != IGNORED)).long()).bool().byte()
    return wrong
