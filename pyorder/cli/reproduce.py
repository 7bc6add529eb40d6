"""`pyorder reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pyorder.cli import _options as options


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The study; without one, they are listed.", show_default=False)
    ] = "",
    scale: Annotated[
        str,
        typer.Option(help="laptop: two CPU cores, reduced sizes; paper: as published, on a GPU."),
    ] = "laptop",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run only cells like task=relu or seed=0; can be repeated.", metavar="KEY=VALUE"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes, each with one thread; 1 is this process with all threads.",
            show_default="one for every core; 1 with a GPU",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder of NAME-SCALE.jsonl (finished cells, never run again), .md, .json and .png."),
    ] = Path("reproduce"),
    as_json: options.Json = False,
) -> None:
    """Run a published table or figure, cell by cell, and set it beside the published figures."""
    import torch

    from pyorder.cli._inputs import parse_pairs
    from pyorder.cli._terminal import print_facts, print_json, print_table, say, show_progress
    from pyorder.reproduce import make_study, reproduce, study_names

    if not name and only:
        raise ValueError("--only: goes with the NAME of a study")
    if not name:
        titles = {known: make_study(known, scale).title for known in study_names()}
        print_json(titles) if as_json else print_facts(titles)
        return
    study = make_study(name, scale)
    with show_progress(name, out) as progress:
        rows = reproduce(
            name,
            scale=scale,
            out=out,
            only=parse_pairs(only, "--only"),
            jobs=jobs or (1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))),
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "study": name,
                "scale": scale,
                "cells": len(study.cells()),
                "verdict": study.sentence(rows),
                "rows": rows,
            }
        )
        return
    say(f"{study.title}: {len(rows)} of {len(study.cells())} cells run at scale {scale}")
    say(study.sentence(rows))
    for table in study.tables(rows):
        say(f"\n{table.title}")
        print_table(table.columns, table.lines)
    say(f"\nsaved in {out}")
