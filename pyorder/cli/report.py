"""`pyorder report`."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyorder.cli import _options as options

if TYPE_CHECKING:
    from pyorder.runs.folder import Run


def command(
    run_dir: Annotated[Path, typer.Argument(help="Folder that --out or run_dir= wrote.", show_default=False)],
    html: Annotated[bool, typer.Option("--html", help="Write one page of it all, report.html, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """Print what was found in a run, and draw it: PNG files in the run's folder."""
    from pyorder.cli._pictures import draw_pictures
    from pyorder.cli._terminal import print_json, say
    from pyorder.runs.folder import load_run, reading

    run = load_run(run_dir, name="RUN_DIR")
    # All that is told is made before any is printed: what a damaged folder lacks is missed anywhere.
    text = StringIO()
    with reading(run_dir, name="RUN_DIR"), redirect_stdout(text):
        _print_run(run)
    page = None
    if html:
        from pyorder.report.page import compute_page, draw_page, write_page  # results as they were take torch

        with reading(run_dir, name="RUN_DIR"):
            drawn = draw_page(compute_page(run))
        page = write_page(run, drawn)
    pictures = draw_pictures(run)
    if as_json:
        told = {"kind": run.kind, "config": run.config, "result": run.result, "pictures": pictures, "page": page}
        print_json(told)
        return
    say(text.getvalue(), end="")
    if pictures:
        say(f"drawn: {', '.join(pictures)}")
    if page is not None:
        say(f"page: {page}")


def _print_run(run: Run) -> None:
    from pyorder.cli._results import (
        data_text,
        print_beaten,
        print_candidates,
        print_fits,
        print_levels,
        print_search,
        print_stages,
    )
    from pyorder.cli._terminal import say

    searches, fits = run.searches, run.fits
    trained = run.result.get("fits") or {name: part.result for name, part in fits.items()}
    print_beaten(trained)
    if "data" in run.result:
        say(data_text(run.result["data"]), end="\n\n")
    for search in searches:
        if search.kind == "profile":
            print_candidates(search.result["candidates"], top=20)
            for remark in search.result.get("remarks", ()):  # older run folders have none
                say(remark)
        else:
            print_search(search.result)
            if search.result["stages"]:  # a budget may end before the first run
                say()
                print_stages(search.result)
    if "levels" in run.result and run.kind == "comparison":
        print_levels(run.result["levels"])
    if fits:
        if searches:
            say()
        print_fits(trained, run.result.get("left_out", ()))
    if not run.result.get("complete", True):
        say("the run ended before all orders were trained on")
