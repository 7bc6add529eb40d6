"""`pyorder generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyorder.cli import _options as options


def command(
    task: Annotated[str, typer.Argument(help="Name of a task (see `pyorder tasks`).", show_default=False)],
    length: Annotated[int, typer.Option(metavar="L", help="Steps of the target, at least 2.")],
    out: Annotated[
        Path, typer.Option(help="With --rows a new .safetensors file, else a new folder for three of them.")
    ],
    rows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Rows of the one file. Without it: the splits that discover uses."),
    ] = None,
    train_rows: options.TrainRows = None,
    validation_rows: options.ValidationRows = None,
    test_rows: options.TestRows = None,
    parameter: options.Parameter = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Write a task's data: one file, or a folder with train, validation and test that share no input."""
    from pyorder.cli._inputs import load_data, naming, parse_pairs
    from pyorder.cli._terminal import print_json, say
    from pyorder.data.dataset import Dataset
    from pyorder.data.tasks import make_task
    from pyorder.runs.folder import make_run_dir

    sizes = {"train": train_rows, "validation": validation_rows, "test": test_rows}
    parts: dict[Path, Dataset]
    if rows is not None:
        for name, size in sizes.items():
            if size is not None:
                raise ValueError(f"--{name}-rows: goes without --rows")
        if out.suffix != ".safetensors":
            raise ValueError(f"--out: {str(out)!r} does not end in .safetensors")
        if out.exists():
            raise ValueError(f"--out: {str(out)!r} is there already, and nothing is overwritten")
        made = make_task(task, length, **parse_pairs(parameter, "--parameter"))
        parts = {out: made.generate(rows, seed=seed)}
    else:
        splits = load_data(
            task,
            None,
            length=length,
            parameters=parameter,
            rows=sizes,
            files={"validation": None, "test": None},
            seed=seed,
        )
        parts = {out / f"{name}.safetensors": split for name, split in zip(sizes, splits, strict=True)}
        make_run_dir(out, name="--out")
    for path, part in parts.items():
        with naming("--out"):
            part.save(path)
    if as_json:
        print_json({"files": {str(path): part.rows for path, part in parts.items()}})
        return
    for path, part in parts.items():
        say(f"{path}  {part.rows:,} rows, {part.input_length} inputs, {part.target_length} steps")
