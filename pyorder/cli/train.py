"""`pyorder train`."""

from __future__ import annotations

from typing import Annotated

import typer

from pyorder.cli import _options as options


def command(
    context: typer.Context,
    order: Annotated[
        str,
        typer.Option(
            help="Steps like 0,2,1 or their names, or forward, reverse, random, or @RUN_FOLDER for the order "
            "found there."
        ),
    ],
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
    model: options.FitModel = None,
    language_model: options.LanguageModel = None,
    lora: options.Lora = None,
    steps: options.FitSteps = None,
    batch_size: options.FitBatchSize = None,
    learning_rate: options.FitLearningRate = None,
    step_weights: options.StepWeights = None,
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Train a model to write the target in one order, and test it."""
    from pyorder.cli._inputs import describe_data, find_task, load_data, parse_model, satisfied
    from pyorder.cli._language import load_language_model, tell_model
    from pyorder.cli._orders import given_names, parse_order, parse_weights
    from pyorder.cli._results import data_text, print_fits
    from pyorder.cli._shared import warn_of_shared_inputs
    from pyorder.cli._tables import TableColumns, tell_columns, telling_left_out
    from pyorder.cli._terminal import print_json, say, show_progress
    from pyorder.runs.folder import check_run_dir
    from pyorder.training import fit
    from pyorder.world import World

    own = load_language_model(language_model, lora, data=data, model=model)
    files = {"validation": validation_data, "test": test_data}
    if test_data is not None and validation_data is None:  # then the last weights are tested
        del files["validation"]
    train, *validation, test = load_data(
        task,
        data,
        length=length,
        parameters=parameter,
        rows={"train": train_rows, "validation": validation_rows, "test": test_rows},
        files=files,
        seed=seed,
        columns=TableColumns(inputs, targets, ignore, groups, bins, tokenizer or language_model, max_width),
    )
    with telling_left_out(train):
        chosen = parse_order(order, train.target_length, seed, given_names(train))
        weights = parse_weights(step_weights, train.target_length, given_names(train))
    world = context.with_resource(World.launched(device))
    out = world.only_first(out)
    world.agreed(lambda: check_run_dir(out, name="--out"))
    tell_columns(train, test=test)
    tell_model(own, train)
    warn_of_shared_inputs(train, test=test)
    with show_progress("training", out) as progress:
        fitted = fit(
            train,
            chosen,
            test=test,
            validation=validation[0] if validation else None,
            keep_best=bool(validation),
            model=parse_model(model) if own is None else own,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            step_weights=weights,
            precision=precision,  # type: ignore[arg-type]
            seed=seed,
            device=world,
            progress=progress,
            run_dir=out,
        )
    made_by = find_task(train)
    result = {
        "data": describe_data(made_by, train=train, test=test),
        **fitted.summary(),
        "dependencies_satisfied": satisfied(chosen, made_by),
        "settings": fitted.settings,
    }
    if as_json:
        print_json(result)
        return
    say(data_text(result["data"]), end="\n\n")
    told = order in ("forward", "reverse", "random") or order.startswith("@")
    print_fits({order if told else "given order": result})
    if out is not None:
        say(f"saved in {out}")
