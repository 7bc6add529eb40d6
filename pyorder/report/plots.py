"""Pictures of a run: losses by rank, the order as a grid, learning curves, precedence and dependencies.

Each is a function that computes what to show, from arrays to a small record of arrays, and one that draws such a
record. matplotlib is imported by the second kind only, and its global state is left alone. It comes with
``pip install "pyorder[plot]"``.

    T  candidates of a profiling run    L  steps of an order
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents
from pyorder.orders.permutations import check_order
from pyorder.orders.posets import Poset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

# Okabe and Ito's colours, which stay apart under every common colour blindness; dashes tell lines apart without.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MOST_IN_LEGEND = 18
LONGEST_LABEL = 16  # characters
LOWEST_LOSS = 1e-6  # a logarithmic axis has no zero


@dataclass(frozen=True, eq=False)
class RankedLosses(ByContents):
    """Losses of profiling runs, sorted; entry k belongs to run k.

    Attributes
    ----------
    names : of the runs
    losses : (T_k,) each, nats a step, rising; the candidate of rank r, from 1, is at r - 1
    """

    names: tuple[str, ...]
    losses: tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class OrderGrid(ByContents):
    """An order as a picture: ``cells[step, slot]`` (L, L) bool, whether that step is emitted at that slot.

    ``labels`` say what the steps are called; none where they are numbered.
    """

    cells: npt.NDArray[np.bool_]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LearningCurves(ByContents):
    """Smoothed training losses; entry k belongs to the curve ``names[k]``.

    Attributes
    ----------
    names : of the curves
    steps : training steps, from 1
    losses : nats a step, mean over ``window`` training steps around each, fewer at the ends
    window : odd number of steps averaged
    """

    names: tuple[str, ...]
    steps: tuple[npt.NDArray[np.int64], ...]
    losses: tuple[Floats, ...]
    window: int


@dataclass(frozen=True, eq=False)
class PrecedenceMatrix(ByContents):
    """What every step gains from every other, laid out along an order.

    Attributes
    ----------
    steps : (L,) int64, the order; row and column k stand for its k-th step
    benefit : (L, L) float64, nats; ``benefit[a, b]`` is what step ``steps[b]`` gains with ``steps[a]`` before it,
        so that above the diagonal stands what the order makes use of
    edges : (E, 2) int64, rows and columns of the accepted dependencies
    labels : (L,) what stands beside row and column k
    """

    steps: npt.NDArray[np.int64]
    benefit: Floats
    edges: npt.NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DependencyGraph(ByContents):
    """A dependency graph laid out in the plane.

    Attributes
    ----------
    positions : (L, 2) float64; x is the step's level, the length of the longest chain that ends there
    edges : (E, 2) int64, (before, after)
    benefit : (E,) float64, nats
    labels : what the steps are called; none where they are numbered
    """

    positions: Floats
    edges: npt.NDArray[np.int64]
    benefit: Floats
    labels: tuple[str, ...] = ()


def precedence_matrix(
    benefit: npt.ArrayLike, order: npt.ArrayLike, edges: npt.ArrayLike = (), labels: Sequence[str] = ()
) -> PrecedenceMatrix:
    """Lay the benefits (L, L) out along an order (L,), with the dependencies (E, 2) marked.

    ``labels`` (L,) say what the steps are called, here and below; they are numbered without.

    Examples
    --------
    >>> shown = precedence_matrix([[0, 0], [2, 0]], order=[1, 0], edges=[[1, 0]])
    >>> shown.benefit.tolist(), shown.edges.tolist()
    ([[0.0, 2.0], [0.0, 0.0]], [[0, 1]])
    """
    steps = check_order(order)
    slots = np.argsort(steps)
    pairs = np.asarray(edges, np.int64).reshape(-1, 2)
    told = _shortened(labels) or tuple(map(str, range(len(steps))))
    return PrecedenceMatrix(
        steps,
        np.asarray(benefit, np.float64)[np.ix_(steps, steps)],
        slots[pairs],
        tuple(told[step] for step in steps),
    )


def dependency_graph(
    length: int, edges: npt.ArrayLike, benefit: npt.ArrayLike, labels: Sequence[str] = ()
) -> DependencyGraph:
    """Lay a graph of ``length`` steps and edges (E, 2) out from left to right.

    Steps of a column stand in the sequence of the mean height of their predecessors.

    Examples
    --------
    >>> dependency_graph(3, [[0, 1], [1, 2]], [1.0, 1.0]).positions[:, 0].tolist()
    [0.0, 1.0, 2.0]
    """
    pairs = np.asarray(edges, np.int64).reshape(-1, 2)
    before = [pairs[pairs[:, 1] == step, 0] for step in range(length)]
    depth = np.zeros(length, np.int64)
    for level, steps in enumerate(Poset(length, pairs).levels):
        depth[list(steps)] = level
    height = np.zeros(length)
    for column in range(depth.max() + 1):
        inside = np.flatnonzero(depth == column)
        wished = np.array([height[before[step]].mean() if len(before[step]) else 0.0 for step in inside])
        ranks = np.argsort(np.argsort(-wished, kind="stable"))
        height[inside] = (len(inside) - 1) / 2 - ranks
    positions = np.stack([depth, height], axis=1).astype(np.float64)
    return DependencyGraph(positions, pairs, np.asarray(benefit, float), _shortened(labels))


def ranked_losses(losses: Mapping[str, npt.ArrayLike]) -> RankedLosses:
    """Sort the losses of each profiling run, (T,) by name.

    Examples
    --------
    >>> ranked_losses({"global 1 of 4": [2.0, 1.5, 1.75]}).losses
    (array([1.5 , 1.75, 2.  ]),)
    """
    return RankedLosses(tuple(losses), tuple(np.sort(np.asarray(loss, np.float64)) for loss in losses.values()))


def order_grid(order: npt.ArrayLike, labels: Sequence[str] = ()) -> OrderGrid:
    """Lay an order (L,) out as a grid.

    Examples
    --------
    >>> order_grid([1, 0, 2]).cells.astype(int)
    array([[0, 1, 0],
           [1, 0, 0],
           [0, 0, 1]])
    """
    steps = check_order(order)
    return OrderGrid(np.arange(len(steps))[:, None] == steps, _shortened(labels))


def learning_curves(curves: Mapping[str, npt.ArrayLike], window: int | None = None) -> LearningCurves:
    """Smooth training losses, one a step, by a running mean of ``window`` steps, by default a fortieth of all.

    Examples
    --------
    >>> learning_curves({"forward": [4.0, 1.0, 1.0, 1.0]}, window=3).losses
    (array([2.5, 2. , 1. , 1. ]),)
    """
    if window is None:
        window = max((np.size(curve) for curve in curves.values()), default=0) // 40
    half = window // 2
    smoothed = []
    for curve in curves.values():
        values = np.asarray(curve, np.float64)
        total = np.concatenate([[0.0], np.cumsum(values)])
        centre = np.arange(len(values))
        first, last = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(values))
        smoothed.append((total[last] - total[first]) / (last - first))
    steps = tuple(np.arange(1, len(curve) + 1) for curve in smoothed)
    return LearningCurves(tuple(curves), steps, tuple(smoothed), 2 * half + 1)


def draw_ranked_losses(shown: RankedLosses, axes: Axes | None = None) -> Figure:
    """Draw losses over ranks, a line a run; early runs pale, the last one dark."""
    axes = _axes() if axes is None else axes
    shades = _shades(len(shown.names))
    for name, losses, shade in zip(shown.names, shown.losses, shades, strict=True):
        marker = "o" if len(losses) < 40 else None
        axes.plot(np.arange(1, len(losses) + 1), losses, color=shade, marker=marker, markersize=3, label=name)
    if max((len(losses) for losses in shown.losses), default=0) > 100:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel="rank (1 is best)", ylabel="validation loss (nats a step)", title="Candidates by loss")
    if len(shown.names) > 1:
        every = -(-len(shown.names) // MOST_IN_LEGEND)
        axes.legend(
            handles=axes.lines[::-every][::-1],  # the last run is always among them
            title="profiling run\n(losses compare\ninside one only)",
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            alignment="left",
            frameon=False,
            fontsize=7,
            title_fontsize=7,
        )
    return _finished(axes)


def draw_order_grid(shown: OrderGrid, axes: Axes | None = None) -> Figure:
    """Draw an order: slots from left to right, canonical steps from bottom to top; forward is the diagonal."""
    axes = _axes() if axes is None else axes
    length = len(shown.cells)
    axes.imshow(shown.cells, origin="lower", cmap="Blues", vmin=0, vmax=1.2, interpolation="nearest")
    if length <= 40:
        axes.set_xticks(np.arange(length + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(length + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#cccccc", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.locator_params(integer=True, nbins=max(1, length) if length <= 20 else 10)
    if shown.labels and length <= 40:
        axes.yaxis.set_ticks(np.arange(length), shown.labels, fontsize=min(8, 240 // length))
    axes.set(xlabel="slot (when)", ylabel="canonical step (what)", title="Order")
    return _finished(axes)


def draw_precedence_matrix(shown: PrecedenceMatrix, axes: Axes | None = None) -> Figure:
    """Draw benefits, steps in the sequence of the order; accepted dependencies are ringed."""
    axes = _axes() if axes is None else axes
    length = len(shown.steps)
    bound = float(np.abs(shown.benefit).max()) or 1.0
    image = axes.imshow(shown.benefit, cmap="RdBu", vmin=-bound, vmax=bound, interpolation="nearest")
    size = min(12.0, 120 / length)
    axes.plot(shown.edges[:, 1], shown.edges[:, 0], "o", markersize=size, fillstyle="none", color="black")
    if length <= 40:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(np.arange(length), shown.labels, fontsize=min(8, 240 // length))
        if max(map(len, shown.labels)) > 3:
            axes.tick_params(axis="x", rotation=90)
    figure = _finished(axes)
    figure.colorbar(image, ax=axes, label="nats saved (first look, one pair at a time)")
    axes.set(
        xlabel="this step gains", ylabel="from this step before it", title="Precedence, along the order found"
    )
    return figure


def draw_dependency_graph(shown: DependencyGraph, axes: Axes | None = None) -> Figure:
    """Draw the reduced dependency graph, from left to right; wider lines are worth more."""
    axes = _axes() if axes is None else axes
    most = float(shown.benefit.max()) if len(shown.benefit) else 1.0
    for (before, after), benefit in zip(shown.edges, shown.benefit, strict=True):
        axes.annotate(
            "",
            shown.positions[after],
            shown.positions[before],
            arrowprops={
                "arrowstyle": "-|>",
                "color": COLOURS[0],
                "linewidth": 0.5 + 1.5 * benefit / most,
                "shrinkA": 6,
                "shrinkB": 6,
            },
        )
    x, y = shown.positions.T
    small = len(x) <= 40
    axes.plot(x, y, "o", markersize=12 if small else 3, color="white" if small else COLOURS[0])
    for step in range(len(x)) if small else ():
        label, above = (
            (shown.labels[step], 8) if shown.labels else (str(step), 0)
        )  # names do not fit into the dots
        axes.annotate(
            label,
            (x[step], y[step]),
            (0, above),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            va="bottom" if above else "center",
        )
    axes.margins(0.1, 0.2)
    axes.set(xlabel="level: the longest chain of dependencies before it", ylabel="steps", yticks=[])
    axes.set_title("Dependencies between steps")
    axes.locator_params(axis="x", integer=True)
    axes.spines["left"].set_visible(False)
    return _finished(axes)


def draw_learning_curves(shown: LearningCurves, axes: Axes | None = None) -> Figure:
    """Draw training losses over steps, on a logarithmic axis."""
    axes = _axes() if axes is None else axes
    for k, (name, steps, losses) in enumerate(zip(shown.names, shown.steps, shown.losses, strict=True)):
        axes.plot(
            steps,
            np.maximum(losses, LOWEST_LOSS),
            color=COLOURS[k % len(COLOURS)],
            linestyle=DASHES[k % len(DASHES)],
            label=name,
        )
    axes.set_yscale("log")
    averaged = f", mean of {shown.window} steps" if shown.window > 1 else ""
    axes.set(xlabel="training step", ylabel=f"training loss (nats a step{averaged})", title="Learning curves")
    if shown.names:
        axes.legend(title="order")
    return _finished(axes)


def _shortened(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…" for label in labels)


def _axes() -> Axes:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: install it with `pip install "pyorder[plot]"`') from error
    return Figure(figsize=(6, 4), dpi=150, layout="constrained").add_subplot()


def _shades(count: int) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis_r"](np.linspace(0.1, 1.0, count)) if count > 1 else COLOURS[:count]


def _finished(axes: Axes) -> Figure:
    axes.spines[["top", "right"]].set_visible(False)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure
