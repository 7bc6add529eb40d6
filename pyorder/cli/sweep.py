"""`pyorder sweep`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyorder.cli import _options as options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyorder.cli.sweeping.cell import Cell
    from pyorder.cli.sweeping.table import SweepTable
    from pyorder.progress import Progress


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.toml",
            help="Lists of tasks (or data), lengths, strategies and seeds, and a table of options of `pyorder "
            "discover`; their product is searched.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the cells' run folders.", show_default="FILE without .toml"),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Cells at once, which share the cores.",
            show_default="one for every core; 1 with a GPU; all of a cluster",
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="local, or the cluster that runs the cells: dask (DASK_SCHEDULER_ADDRESS) or ray (RAY_ADDRESS)."
        ),
    ] = "local",
    cell: Annotated[
        int | None, typer.Option(metavar="N", help="Run one cell alone, by its number, from 0 on.")
    ] = None,
    job_array: Annotated[
        bool,
        typer.Option("--job-array", help="Print the command of a SLURM job array, a job a cell; run nothing."),
    ] = False,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table: .csv, .parquet (needs pyarrow) or .md.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run many searches, each in its own run folder; the same command goes on, and tries again what failed."""
    from pyorder.cli._terminal import print_json, say, tell
    from pyorder.cli.sweeping.cell import check_cells
    from pyorder.cli.sweeping.plan import read_cells
    from pyorder.cli.sweeping.table import check_table

    cells = read_cells(file)
    folder = file.with_suffix("") if out is None else out
    if job_array:
        check_cells(cells)
        say(_job_array(file, folder, len(cells)))
        return
    if cell is not None and (jobs is not None or backend != "local"):
        raise ValueError("--cell: runs one cell in this process; --jobs and --backend are of a whole sweep")
    if table is not None:
        check_table(table)
    found = _run(cells, folder, cell, backend, jobs)
    print_json({"cells": found.records}) if as_json else say(found.markdown())
    if table is not None:  # after it was told, whether or not it can be stored
        found.save(table)
    if found.unfinished:
        tell(
            f"pyorder: {len(found.unfinished)} of {len(found.records)} cells failed; the same command tries them "
            f"again, and what each said is in {folder}/CELL.log"
        )
        raise typer.Exit(1)


def _run(cells: Sequence[Cell], folder: Path, number: int | None, backend: str, jobs: int | None) -> SweepTable:
    """Run all cells, or the one of a number, and say a line of each that ends."""
    from pyorder.cli._terminal import TERMINAL, tell
    from pyorder.cli.sweeping.sweep import run_alone, sweep
    from pyorder.progress import duration

    terminal = TERMINAL.get()

    def show(told: Progress) -> None:
        if terminal is not None:
            terminal.working = True
        left = "" if told.share == 1 or told.seconds_left is None else f", {duration(told.seconds_left)} left"
        tell(f"sweep: {told.stage}{left}")

    try:
        if number is not None:
            return run_alone(cells, number, folder)
        return sweep(cells, folder=folder, backend=backend, jobs=jobs, progress=show)
    except KeyboardInterrupt as stop:  # typer lets it through without the notes that say how to go on
        raise typer.Abort from stop


def _job_array(file: Path, folder: Path, count: int) -> str:
    """The command of a job array, from the folder that this one is given in."""
    words = ["pyorder", "sweep", str(file), "--out", str(folder), "--cell"]
    script = f"{shlex.join(words)} $SLURM_ARRAY_TASK_ID"
    return f"sbatch --array=0-{count - 1} --cpus-per-task=1 --wrap={shlex.quote(script)}"
