"""`pyorder report`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyorder.cli import _options as options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyorder.runs import Run


def command(
    run_dir: Annotated[Path, typer.Argument(help="Folder that --out or run_dir= wrote.", show_default=False)],
    as_json: options.Json = False,
) -> None:
    """Print what was found in a run, and draw it: PNG files in the run's folder."""
    from pyorder.cli._results import data_text, print_candidates, print_fits, print_search, print_stages
    from pyorder.cli._terminal import print_json
    from pyorder.runs import load_run, replacing

    run = load_run(run_dir, name="RUN_DIR")
    searches = [part for part in (run, *run.parts.values()) if part.kind in ("search", "profile")]
    fits = {name: part for name, part in {"fit": run, **run.parts}.items() if part.kind == "fit"}
    pictures = []
    try:
        for name, figure in _figures(searches, fits):
            with replacing(run_dir / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png")
            pictures.append(str(run_dir / f"{name}.png"))
    except (ImportError, OSError) as error:
        print(f"pyorder: no more pictures: {error}", file=sys.stderr)
    if as_json:
        print_json({"kind": run.kind, "config": run.config, "result": run.result, "pictures": pictures})
        return
    if "data" in run.result:
        print(data_text(run.result["data"]), end="\n\n")
    for search in searches:
        if search.kind == "profile":
            print_candidates(search.result["candidates"], top=20)
        else:
            print_search(search.result)
            print()
            print_stages(search.result)
    if fits:
        if searches:
            print()
        print_fits(run.result.get("fits") or {name: part.result for name, part in fits.items()})
    if not run.result.get("complete", True):
        print("the run ended before all orders were trained on")
    if pictures:
        print(f"drawn: {', '.join(pictures)}")


def _figures(searches: list[Run], fits: dict[str, Run]) -> Iterator[tuple[str, Figure]]:
    from pyorder import plots

    for search in searches:
        losses = {f"{number}. {stage.name}": stage.loss for number, stage in enumerate(search.history(), start=1)}
        yield "candidates", plots.draw_ranked_losses(plots.ranked_losses(losses))
    for run in [search for search in searches if search.kind == "search"] or list(fits.values()):
        yield "order", plots.draw_order_grid(plots.order_grid(run.result["order"]))
    if fits:
        curves = {name: run.arrays()["loss_curve"] for name, run in fits.items()}
        yield "learning_curves", plots.draw_learning_curves(plots.learning_curves(curves))
