"""`pyorder discover`."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyorder.cli import _options as options

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pyorder.data.dataset import Dataset
    from pyorder.models.language_model import LanguageModel
    from pyorder.models.learner import Build
    from pyorder.orders.posets import Poset
    from pyorder.search import Strategy
    from pyorder.world import World


def command(
    context: typer.Context,
    task: options.Task = None,
    length: options.Length = None,
    parameter: options.Parameter = None,
    train_rows: options.TrainRows = None,
    validation_rows: options.ValidationRows = None,
    test_rows: options.TestRows = None,
    data: options.Data = None,
    inputs: options.Inputs = None,
    targets: options.Targets = None,
    ignore: options.Ignore = None,
    groups: options.Groups = None,
    bins: options.Bins = None,
    tokenizer: options.Tokenizer = None,
    max_width: options.MaxWidth = None,
    validation_data: options.ValidationData = None,
    test_data: options.TestData = None,
    seed: options.Seed = 0,
    strategy: Annotated[
        str, typer.Option(help="auto, or a strategy's name, such as hierarchical.", rich_help_panel="Search")
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of the strategy, such as depth=5; can be repeated.",
            metavar="KEY=VALUE",
            rich_help_panel="Search",
        ),
    ] = None,
    constraints: Annotated[
        str | None,
        typer.Option(
            help="Search topological sorts of a dependency graph only: a JSON file with a list of pairs (before, "
            "after) of steps or their names, @RUN_FOLDER for the graph that a search found, or task for the "
            "task's own.",
            metavar="FILE|@RUN|task",
            rich_help_panel="Search",
        ),
    ] = None,
    first: Annotated[
        list[str] | None,
        typer.Option(
            help="Steps that come before all others, with commas between them; can be repeated, as can the "
            "following three.",
            metavar="a,b",
            rich_help_panel="Search",
        ),
    ] = None,
    last: Annotated[
        list[str] | None,
        typer.Option(help="Steps that come after all others.", metavar="c,d", rich_help_panel="Search"),
    ] = None,
    before: Annotated[
        list[str] | None,
        typer.Option(
            help="A step and one that comes after it, such as plan:answer.",
            metavar="a:b",
            rich_help_panel="Search",
        ),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="Steps that come after all those of tiers with lower numbers, such as 1:tool,answer.",
            metavar="N:a,b",
            rich_help_panel="Search",
        ),
    ] = None,
    model: options.Model = None,
    language_model: options.LanguageModel = None,
    lora: options.Lora = None,
    built_in_explorer: options.BuiltInExplorer = False,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    seeds: options.Seeds = 1,
    resamples: options.Resamples = 0,
    budget_steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most training steps of the search.", rich_help_panel="Search"),
    ] = None,
    budget_rows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most rows scored (rows x orders).", rich_help_panel="Search"),
    ] = None,
    budget_seconds: Annotated[
        float | None, typer.Option(help="Time after which no profiling run starts.", rich_help_panel="Search")
    ] = None,
    levels: Annotated[
        bool,
        typer.Option(
            "--levels",
            help="Train one model to write all steps of a level at once, and compare with step by step.",
            rich_help_panel="Final training",
        ),
    ] = False,
    fitting: Annotated[
        bool, typer.Option("--fit/--no-fit", help="Train on the order found.", rich_help_panel="Final training")
    ] = True,
    fit_model: options.FitModel = None,
    fit_steps: options.FitSteps = None,
    step_weights: options.StepWeights = None,
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Find a learning-friendly order, train on it, and compare: its reverse, the data's own, a random one."""
    from pyorder.cli._constraints import Constraints
    from pyorder.cli._inputs import describe_data, find_task, load_data, parse_model, parse_pairs, satisfied
    from pyorder.cli._language import load_language_model, tell_model, tell_search
    from pyorder.cli._orders import given_names, parse_weights
    from pyorder.cli._pictures import draw_pictures
    from pyorder.cli._results import data_text, print_beaten, print_fits, print_levels, print_search
    from pyorder.cli._shared import warn_of_shared_inputs
    from pyorder.cli._tables import TableColumns, tell_columns, telling_left_out
    from pyorder.cli._terminal import print_json, say, show_progress, warn
    from pyorder.orders.posets import Poset
    from pyorder.report.comparison import beaten
    from pyorder.report.page import compute_page, draw_page, write_page
    from pyorder.runs.claim import claim, fingerprint
    from pyorder.runs.folder import load_run, write_json, write_run
    from pyorder.search import Budget, check_levels, discover_shuffled
    from pyorder.training import fit
    from pyorder.training.presets import resolve_model
    from pyorder.world import World

    for value, name in ((fit_model, "--fit-model"), (fit_steps, "--fit-steps")):
        if value is not None and not fitting:
            raise ValueError(f"{name}: is about final training, which --no-fit leaves out")
    own = load_language_model(language_model, lora, data=data, model=model, explores=not built_in_explorer)
    train, validation, test = load_data(
        task,
        data,
        length=length,
        parameters=parameter,
        rows={"train": train_rows, "validation": validation_rows, "test": test_rows},
        files={"validation": validation_data, "test": test_data},
        seed=seed,
        columns=TableColumns(inputs, targets, ignore, groups, bins, tokenizer or language_model, max_width),
    )
    made_by = find_task(train)
    with telling_left_out(train):
        graph = Constraints(constraints, first, last, before, tier).graph(train, made_by)
        weights = parse_weights(step_weights, train.target_length, given_names(train))
    allowed = graph or Poset(train.target_length)
    searching = _make_strategy(strategy, allowed, parse_pairs(option, "--option"))
    budget = Budget(training_steps=budget_steps, rows_scored=budget_rows, seconds=budget_seconds)
    final = own if fit_model is None and own is not None else parse_model(fit_model, "--fit-model")
    world = context.with_resource(World.launched(device))
    out = world.only_first(out)
    _check_final_training(train, test, final, fit_steps, world)
    asked = {name: value for name, value in context.params.items() if name not in ("out", "as_json")}
    claimed = context.with_resource(claim(out, lambda: {"kind": "comparison", **asked}, name="--out", world=world))
    validation.encode(train.vocabulary, name="validation")  # an unknown value is refused without a word before
    tell_columns(train, validation=validation, test=test)
    tell_model(own, train)
    if own is not None:
        preset = "small" if world.device.type == "cuda" else "nano"
        _, recipe = resolve_model(own, preset, None, {"steps": steps})
        tell_search(searching, allowed, steps=recipe.steps, rows=validation.rows, seeds=seeds)
    warn_of_shared_inputs(train, validation=validation, test=test)
    parts = {"train": train, "validation": validation, "test": test}
    kept = None if claimed.finished else out  # what has ended is told again, and stays as it is

    with show_progress("search", out) as progress:
        found = discover_shuffled(
            train,
            validation=validation,
            strategy=searching,
            constraints=graph,
            model=parse_model(model) if own is None else own,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            step_weights=weights,
            precision=precision,
            budget=budget,
            seed=seed,
            seeds=seeds,
            resamples=resamples,
            device=world,
            progress=progress,
            run_dir=None if out is None else out / "search",
        )
    result: dict[str, Any] = {
        "data": describe_data(made_by, **parts),
        "order": found.order,
        "names": found.names,
        "verdict": found.verdict.value,
        "search": found.summary(),
        "fits": {},
        "better": [],
        "left_out": [],
        "complete": not fitting,
    }
    if not as_json:  # first of all, whether or not it can be stored
        print_search(result["search"])
        say("\n" + data_text(result["data"]), end="\n\n")

    try:
        if levels and (known := world.agreed(lambda: _known_levels(out))) is not None:
            result["levels"] = known
        if kept is not None:
            told = {name: fingerprint(part) for name, part in parts.items()}
            settings: dict[str, Any] = {"arguments": context.params, "fingerprints": told}
            settings["precision"] = found.settings["precision"]
            write_run(kept, "comparison", settings, result, device=found.settings["device"])
        if levels and found.levels is None:
            warn("--levels: the search tells no levels that could be compared")
        elif levels and found.graph is not None:
            if "levels" not in result:
                with show_progress("levels", out) as progress:
                    checked = check_levels(
                        found.graph, train, test=test, seed=seed, device=world, progress=progress
                    )
                result["levels"] = checked.summary(found.step_names)
            if kept is not None:
                write_json(kept / "result.json", result)
            if not as_json:
                print_levels(result["levels"])
        orders = _orders_to_train(found.order, seed) if fitting else {}
        if fitting and not any("random" in names for names in orders):
            result["left_out"] = ["random"]
        for names, order in orders.items():
            name = names[0]
            with show_progress(f"{', '.join(names)} order", out) as progress:
                fitted = fit(
                    train,
                    order,
                    test=test,
                    validation=validation,
                    keep_best=True,
                    model=final,
                    steps=fit_steps,
                    step_weights=weights,
                    precision=precision,  # type: ignore[arg-type]
                    seed=seed,
                    device=world,
                    progress=progress,
                    run_dir=None if out is None else out / name,
                )
            result["fits"][name] = {
                "called": names,
                **fitted.summary(),
                "dependencies_satisfied": satisfied(order, made_by),
            }
            result["better"] = beaten(result["fits"])
            result["complete"] = len(result["fits"]) == len(orders)
            if kept is not None:
                write_json(kept / "result.json", result)
    finally:  # what is done is told, also when the rest fails
        if as_json:
            print_json(result)
        elif result["fits"]:
            print_beaten(result["fits"])
            print_fits(result["fits"], result["left_out"])
    claimed.finish()
    if out is not None:  # last, so that nothing is lost should a picture fail
        run = load_run(out)
        draw_pictures(run)
        try:
            write_page(run, draw_page(compute_page(run)))
        except Exception as error:
            warn(f"no page: {error}")
        if not as_json:
            say(f"saved in {out}")


def _known_levels(out: Path | None) -> dict[str, Any] | None:
    """What an earlier attempt at the same call has found of the levels, which are not checked again."""
    from pyorder._disk import read_json

    path = None if out is None else out / "result.json"
    return None if path is None or not path.exists() else read_json(path).get("levels")


def _orders_to_train(found: npt.NDArray[np.int64], seed: int) -> dict[tuple[str, ...], npt.NDArray[np.int64]]:
    """Name the orders that are compared, each once with all its names; no random one where none is left."""
    import numpy as np

    from pyorder.cli._orders import random_order

    length = len(found)
    named: dict[tuple[int, ...], tuple[str, ...]] = {}
    for name, steps in (("discovered", found), ("reverse", found[::-1]), ("as given", np.arange(length))):
        order = tuple(steps.tolist())
        named[order] = (*named.get(order, ()), name)
    if math.factorial(length) > len(named):
        draws = (tuple(random_order(length, seed + again).tolist()) for again in count())
        named[next(order for order in draws if order not in named)] = ("random",)
    return {names: np.array(order) for order, names in named.items()}


def _make_strategy(name: str, constraints: Poset, given: dict[str, Any]) -> Strategy:
    from pyorder.search import make_strategy

    try:
        made = make_strategy(name, constraints.length, constraints=constraints, **given)
        made.pools(constraints)  # takes every number that the strategy will use
    except TypeError as error:
        values = " ".join(f"{key}={value}" for key, value in given.items())
        raise ValueError(f"--option: {values}: {error}") from error
    return made


def _check_final_training(
    train: Dataset, test: Dataset, model: str | Build | LanguageModel | None, steps: int | None, world: World
) -> None:
    """Refuse before the search what final training would refuse after it."""
    import torch

    from pyorder.data.tokens import Tokens
    from pyorder.execution import RandomStream
    from pyorder.training.memory import check_run
    from pyorder.training.presets import resolve_model

    cpu = torch.device("cpu")
    shape = Tokens.of(test, "test", cpu, (train.vocabulary, train.schema)).shape
    usual = "large" if world.device.type == "cuda" else "base"
    learner, recipe = resolve_model(model, usual, None, {"steps": steps})
    recipe.check_data(train.rows, train.target_length)
    learner.check_data(train.schema)
    check_run(learner, shape, recipe, world)
    with RandomStream(0, cpu).lent():
        learner.build(shape)
