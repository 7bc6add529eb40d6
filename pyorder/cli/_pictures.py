"""The pictures of a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyorder._disk import replacing
from pyorder.cli._terminal import tell
from pyorder.runs.folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def step_labels(run: Run) -> tuple[str, ...]:
    """What the steps of a search or fit are called, by canonical step; none where they have no names."""
    by_step = sorted(zip(run.result["order"], run.result.get("names", ()), strict=False))
    return tuple(name for _, name in by_step) if any(name != str(step) for step, name in by_step) else ()


def draw_pictures(run: Run) -> list[str]:
    """Draw a run into PNG files in its folder, and return their paths; say on standard error if one fails."""
    paths = []
    try:
        for name, figure in _figures(run.searches, run.fits):
            path = run.folder / f"{name}.png"
            with replacing(path) as temporary:
                figure.savefig(temporary, format="png")
            paths.append(str(path))
    except Exception as error:  # of matplotlib's too, which may know nothing of the backend it is told to take
        tell(f"pyorder: no more pictures: {error}")
    return paths


def _figures(searches: list[Run], fits: dict[str, Run]) -> Iterator[tuple[str, Figure]]:
    from pyorder.report import plots

    for search in searches:
        losses = {f"{number}. {stage.name}": stage.loss for number, stage in enumerate(search.history(), start=1)}
        if losses:
            yield "candidates", plots.draw_ranked_losses(plots.ranked_losses(losses))
    for search in searches:
        evidence = search.precedence()
        if evidence is not None:
            found = search.result["exploration"]["dependencies"]
            edges = [[edge["before"], edge["after"]] for edge in found]
            labels = step_labels(search)
            shown = plots.precedence_matrix(evidence["benefit"], search.result["order"], edges, labels)
            yield "precedence", plots.draw_precedence_matrix(shown)
            graph = plots.dependency_graph(len(shown.steps), edges, [edge["benefit"] for edge in found], labels)
            yield "dependencies", plots.draw_dependency_graph(graph)
    for run in [search for search in searches if search.kind == "search"] or list(fits.values()):
        yield "order", plots.draw_order_grid(plots.order_grid(run.result["order"], step_labels(run)))
    if fits:
        curves = {name: run.arrays()["loss_curve"] for name, run in fits.items()}
        yield "learning_curves", plots.draw_learning_curves(plots.learning_curves(curves))
