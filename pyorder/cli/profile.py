"""`pyorder profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pyorder.cli import _options as options


def command(
    context: typer.Context,
    task: options.Task = None,
    length: options.Length = None,
    parameter: options.Parameter = None,
    train_rows: options.TrainRows = None,
    validation_rows: options.ValidationRows = None,
    data: options.Data = None,
    inputs: options.Inputs = None,
    targets: options.Targets = None,
    ignore: options.Ignore = None,
    groups: options.Groups = None,
    bins: options.Bins = None,
    tokenizer: options.Tokenizer = None,
    max_width: options.MaxWidth = None,
    validation_data: options.ValidationData = None,
    random: Annotated[int, typer.Option(min=0, help="Number of random orders.", metavar="T")] = 0,
    orders: Annotated[
        Path | None,
        typer.Option(
            help="Orders (T, L) from .npy, .npz, .safetensors (array orders) or .json (steps or their names)."
        ),
    ] = None,
    forward: Annotated[bool, typer.Option("--forward", help="Add the order that the data came in.")] = False,
    seed: options.Seed = 0,
    model: options.Model = None,
    language_model: options.LanguageModel = None,
    lora: options.Lora = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    seeds: options.Seeds = 1,
    step_weights: options.StepWeights = None,
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Rows of the table.")] = 20,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Rank orders by the early loss of one model that learns all of them."""
    import numpy as np

    from pyorder.cli._inputs import load_data, naming, parse_model
    from pyorder.cli._language import load_language_model, tell_model
    from pyorder.cli._orders import given_names, parse_weights, read_orders
    from pyorder.cli._results import print_candidates
    from pyorder.cli._shared import warn_of_shared_inputs
    from pyorder.cli._tables import TableColumns, tell_columns, telling_left_out
    from pyorder.cli._terminal import print_json, say, show_progress
    from pyorder.orders.permutations import sample
    from pyorder.profiling import profile
    from pyorder.progress import duration
    from pyorder.runs.claim import claim, fingerprint
    from pyorder.runs.folder import load_run, write_json
    from pyorder.world import World

    own = load_language_model(language_model, lora, data=data, model=model)
    train, validation = load_data(
        task,
        data,
        length=length,
        parameters=parameter,
        rows={"train": train_rows, "validation": validation_rows},
        files={"validation": validation_data},
        seed=seed,
        columns=TableColumns(inputs, targets, ignore, groups, bins, tokenizer or language_model, max_width),
    )
    steps_of_order = train.target_length
    with telling_left_out(train):
        given = [] if orders is None else read_orders(orders, steps_of_order, given_names(train)).tolist()
        weights = parse_weights(step_weights, train.target_length, given_names(train))
    # By order: one that came twice would get twice the training rows.
    origins = dict.fromkeys(map(tuple, given), "given")
    if forward:
        origins[tuple(range(steps_of_order))] = "forward"
    with naming("--random"):
        drawn = sample(steps_of_order, random + len(origins) if random else 0, seed=seed, distinct=True)
    others = [tuple(order) for order in drawn.tolist() if tuple(order) not in origins][:random]
    origins |= dict.fromkeys(others, "random")
    if not origins:
        raise ValueError("--random: no order to profile; give --random, --orders or --forward")
    asked = {name: value for name, value in context.params.items() if name not in ("out", "as_json", "top")}

    def ask() -> dict[str, Any]:
        rows = {"train": fingerprint(train), "validation": fingerprint(validation)}
        return {"kind": "profile", **asked, **rows, "profiled": list(origins)}

    world = context.with_resource(World.launched(device))
    out = world.only_first(out)
    claimed = context.with_resource(claim(out, ask, name="--out", world=world))
    tell_columns(train, validation=validation)
    tell_model(own, train)
    warn_of_shared_inputs(train, validation=validation)
    if claimed.finished and claimed.folder is not None:
        run = load_run(claimed.folder, name="--out")
        told, settings = run.result, run.config["settings"]
    else:
        with show_progress("profile", out) as progress:
            result = profile(
                train,
                np.array(list(origins)),
                validation=validation,
                model=parse_model(model) if own is None else own,
                steps=steps,
                batch_size=batch_size,
                learning_rate=learning_rate,
                step_weights=weights,
                precision=precision,  # type: ignore[arg-type]
                seed=seed,
                seeds=seeds,
                device=world,
                progress=progress,
            )
        told, settings = result.summary(), result.settings
        for candidate in told["candidates"]:
            candidate["origin"] = origins[tuple(candidate["order"])]
    if as_json:  # told first, whether or not it can be stored
        print_json({**told, "settings": settings})
    else:
        print_candidates(told["candidates"], top)
        for remark in told.get("remarks", ()):
            say(remark)
        say(f"{len(origins):,} orders, {told['training_steps']:,} training steps, {duration(told['seconds'])}")
        if forward:
            say("the order of the data was among them (--forward)")
    if claimed.folder is not None and not claimed.finished:
        result.write(claimed.folder)
        write_json(claimed.folder / "result.json", told)
        claimed.finish()
    if out is not None and not as_json:
        say(f"saved in {out}")
