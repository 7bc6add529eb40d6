"""The published tables and figures, and what reviews of them asked for, each by a name.

A study is run cell by cell; a finished cell is a row in a file and is never run again, so a study can be stopped
and taken up at any time. ``laptop`` is for two CPU cores, at reduced sizes; ``paper`` has
the published settings and wants a GPU. Target columns are shuffled in secret wherever an order is searched for.

Published figures: Sato, Kawamoto, Kera, arXiv 2506.23875 (``published.json``).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pyorder._checks import check_integer
from pyorder._disk import replacing
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.reproduce._base import Cell, Row, Study, Table, task_name
from pyorder.reproduce.claims import compare
from pyorder.runs.environment import environment
from pyorder.runs.folder import RunDir, write_json
from pyorder.runs.rows import RowFile

__all__ = ["SCALES", "Study", "Table", "claims_table", "make_study", "reproduce", "study_names"]

SCALES = ("laptop", "paper")
_STUDIES = {
    "table1": "table1",
    "table2": "table2",
    "table3": "table3",
    "figure-profile": "figure_profile",
    "prod": "prod",
    "delay": "delay",
    "baselines": "baselines",
    "structured": "structured",
    "predictive": "predictive",
    "transfer": "transfer",
    "published-settings": "published_settings",
}


def study_names() -> tuple[str, ...]:
    """Names that `reproduce` takes."""
    return tuple(_STUDIES)


def make_study(name: str, scale: str = "laptop") -> Study:
    """Make a study at a scale.

    Raises
    ------
    ValueError
        For a name or a scale that there is not.

    Examples
    --------
    >>> make_study("table2").title
    'The published search from a random start'
    """
    if name not in _STUDIES:
        raise ValueError(f"study: {name!r} is none of {', '.join(map(repr, _STUDIES))}")
    if scale not in SCALES:
        raise ValueError(f"scale: {scale!r} is none of {', '.join(map(repr, SCALES))}")
    study: Study = getattr(import_module(f"pyorder.reproduce.{_STUDIES[name]}"), scale.upper())
    return study


def reproduce(
    name: str,
    *,
    scale: str = "laptop",
    out: RunDir = "reproduce",
    only: Mapping[str, Any] | None = None,
    jobs: int = 1,
    progress: Report | bool | None = None,
) -> list[Row]:
    """Run the cells of a study that have no row yet, and write its report.

    In the folder ``out``: NAME-SCALE.jsonl, the rows; NAME-SCALE.md and .json, the tables beside the published
    figures; NAME-SCALE.png where matplotlib is installed; claims-SCALE.md, the claims of all studies beside what
    their rows in this folder say.

    Parameters
    ----------
    name : of `study_names`; scale : of `SCALES`
    only : run only the cells that have these values; a task's parameters count as factors
    jobs : processes that cells are run in, each with one thread; 1 is this process, with its threads
    progress : as in `profile`; a function is called after every cell

    Returns
    -------
    Rows of all finished cells.

    Raises
    ------
    ValueError
        If an argument is not as described, or no cell has the values of ``only``.
    ModuleNotFoundError
        If the study needs a package that is not installed. In either case nothing has been run.
    """
    study = make_study(name, scale)
    shown = resolve_progress(progress, name)
    check_integer(jobs, "jobs", 1)
    cells = _chosen(study, scale, only or {})
    for package in study.needs:
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f'study: {name!r} needs {package}; pip install "pyorder[reproduce]"', name=package
            )
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"out: cannot write to {os.fspath(out)!r}: {error.strerror}") from error
    file = _row_file(Path(out), name, scale)
    missing = file.missing(study.asked(cells))
    started = time.perf_counter()
    with shown as report:
        for done, row in enumerate(_measured(study, scale, missing, jobs), 1):
            file.append(row)
            if report is not None:
                told = f"{done} of {len(missing)} cells, the last {task_name(row['cell'])}"
                report(Progress(told, done / len(missing), time.perf_counter() - started))
    rows = file.read(study.asked(study.cells()))
    write_report(study, scale, rows, Path(out))
    with replacing(Path(out) / f"claims-{scale}.md") as temporary:
        temporary.write_text(claims_table(Path(out), scale).markdown() + "\n", encoding="utf-8")
    return rows


def claims_table(out: RunDir, scale: str = "laptop") -> Table:
    """Set the claims of all studies beside what their rows in a folder say."""
    studies = {name: make_study(name, scale) for name in study_names()}
    found = {
        name: (study, _row_file(Path(out), name, scale).read(study.asked(study.cells())))
        for name, study in studies.items()
    }
    return compare(found, scale)


def _row_file(out: Path, name: str, scale: str) -> RowFile:
    return RowFile(out / f"{name}-{scale}.jsonl")


def _chosen(study: Study, scale: str, only: Mapping[str, Any]) -> list[Cell]:
    """The cells of a study that have the values of ``only``."""
    cells = study.cells()
    factors = [{**cell, **cell.get("parameters", {})} for cell in cells]
    for factor in only:
        if not any(factor in told for told in factors):
            known = ", ".join(dict.fromkeys(name for told in factors for name in told if name != "parameters"))
            raise ValueError(f"only: {study.name} has no {factor!r}, it has {known}")
    chosen = [
        cell
        for cell, told in zip(cells, factors, strict=True)
        if all(factor in told and told[factor] == value for factor, value in only.items())
    ]
    if not chosen:
        told = " ".join(f"{factor}={value}" for factor, value in only.items())
        raise ValueError(f"only: no cell of {study.name} at scale {scale} has {told}")
    return chosen


def write_report(study: Study, scale: str, rows: Sequence[Row], out: Path) -> None:
    """Write the tables as .md and .json, and the picture if matplotlib is there."""
    tables = study.tables(rows)
    stem = f"{study.name}-{scale}"
    with replacing(out / f"{stem}.md") as temporary:
        temporary.write_text(markdown(study, scale, rows, tables), encoding="utf-8")
    content = {
        "study": study.name,
        "scale": scale,
        "settings": study.settings(),
        "verdict": study.sentence(rows),
        "cells": {"run": len(rows), "planned": len(study.cells())},
        "tables": [{"title": table.title, "columns": table.columns, "lines": table.lines} for table in tables],
    }
    write_json(out / f"{stem}.json", content)
    try:
        figure = study.draw(rows)
    except ImportError:  # pictures come with the extra "plot"
        return
    with replacing(out / f"{stem}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def markdown(study: Study, scale: str, rows: Sequence[Row], tables: Sequence[Table]) -> str:
    """Write the report: what was run, how and where, then the tables."""
    scales = {"laptop": "reduced sizes, for two CPU cores", "paper": "the published settings"}
    settings = {**study.settings(), **study.settings()["sizes"]}
    # What a study lists of several numbers each is in its cells, tables and JSON.
    lists = {name for name, value in settings.items() if isinstance(value, list) and isinstance(value[0], dict)}
    numbers = ", ".join(f"{name} {value}" for name, value in settings.items() if name not in {"sizes", *lists})
    head = [
        f"# {study.title}",
        "",
        f"`pyorder reproduce {study.name} --scale {scale}`: {scales[scale]} ({numbers}).",
        f"{len(rows)} of {len(study.cells())} cells run. {study.sentence(rows)}",
    ]
    if rows:
        dates = sorted(row["environment"]["date"][:10] for row in rows)
        minutes = sum(row["seconds"] for row in rows) / 60
        head += [f"From {dates[0]} to {dates[-1]}; {minutes:.0f} minutes, summed over the cells."]
        head += [f"Hardware: {text}." for text in sorted({machine(row) for row in rows})]
    return "\n".join([*head, *(f"\n{table.markdown()}" for table in tables)]) + "\n"


def machine(row: Row) -> str:
    """Say on what a row was measured."""
    about = row["environment"]
    device = about["gpu"] or f"{about['cpu']}, {about['cores']} cores"
    threads = "1 thread" if about["threads"] == 1 else f"{about['threads']} threads"
    return f"{device}; {threads} a cell; torch {about['versions']['torch']}"


def _measured(study: Study, scale: str, asked: Sequence[Row], jobs: int) -> Iterator[Row]:
    """Measure cells, in this process or in several, and give back each row as it is finished."""
    if jobs == 1:
        yield from (_row(study.name, scale, one) for one in asked)
        return
    failed: BaseException | None = None
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_use_one_thread) as pool:
        futures = [pool.submit(_row, study.name, scale, one) for one in asked]
        try:
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    yield future.result()
                elif failed is None:  # what runs beside it is still finished and kept
                    failed = error
                    _cancel(futures)
        finally:
            _cancel(futures)
    if failed is not None:
        raise failed


def _cancel(futures: Sequence[Future[Row]]) -> None:
    for future in futures:
        future.cancel()


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _row(name: str, scale: str, asked: Row) -> Row:
    from pyorder.execution import resolve_device

    study = make_study(name, scale)
    started = time.perf_counter()
    result = study.measure(asked["cell"])
    return {
        "study": name,
        "scale": scale,
        **asked,
        "result": result,
        "seconds": time.perf_counter() - started,
        "environment": environment(resolve_device("auto")),  # no study asks for another
    }
