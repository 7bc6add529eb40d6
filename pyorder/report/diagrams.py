"""What steps are worth to each other, as inline SVG: the precedence matrix and the dependency graph.

Beside `pyorder.report.plots`, whose records these are made from; as for colours and text see
`pyorder.report.charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pyorder.dependencies.graph import Dependency
from pyorder.report.charts import svg
from pyorder.report.plots import dependency_graph, precedence_matrix
from pyorder.report.wording import plus_minus, shortened

Floats = npt.NDArray[np.float64]

MOST_CELLS = 2500  # that are drawn, the strongest: all 39,800 of 200 steps would take ten megabytes
NEGLIGIBLE = 0.01  # of the strongest benefit; paler than could be seen
MOST_LABELS = 60  # steps that have names at their rows and columns
LONGEST_LABEL, LONGEST_TOLD = 16, 40  # characters of a name beside the drawing, and where it is hovered over
LETTER = 7.0  # pixels
LEAST_BOX, LEVEL, ROW = 28.0, 44.0, 40.0  # pixels: width of a step, gap between levels, distance of rows


@dataclass(frozen=True)
class Cell:
    """A pair of steps: row and column along the order, the benefit in nats, and what is said of it."""

    row: int
    column: int
    benefit: float
    told: str


@dataclass(frozen=True)
class Matrix:
    """Benefits along an order, the strongest first.

    Attributes
    ----------
    labels : what stands beside row and column k
    cells : what is drawn; all others are negligible, or beyond ``MOST_CELLS``
    rings : (row, column) of the dependencies
    most : nats, the strongest benefit
    legend : classes and names of what is drawn
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    rings: tuple[tuple[int, int], ...]
    most: float

    legend: ClassVar[tuple[tuple[str, str], ...]] = (
        ("gain", "is learned better with it before"),
        ("harm", "is learned worse"),
        ("ring", "dependency"),
    )

    @classmethod
    def of(
        cls,
        benefit: Floats,
        standard_error: Floats,
        order: npt.NDArray[np.int64],
        dependencies: Sequence[Dependency],
        names: Sequence[str],
    ) -> Matrix:
        """Lay benefits and their errors (L, L), in nats by step, out along an order (L,); ``names`` are by step.

        Examples
        --------
        >>> shown = Matrix.of(np.array([[0, 0.001], [2, 0]]), np.zeros((2, 2)), np.array([1, 0]), (), ["a", "b"])
        >>> shown.labels, shown.cells
        (('b', 'a'), (Cell(row=0, column=1, benefit=2.0, told='b before a: saves 2.000 ± 0.000 nats'),))
        """
        pairs = [[edge.before, edge.after] for edge in dependencies]
        shown = precedence_matrix(benefit, order, pairs, names)
        size = np.nan_to_num(np.abs(shown.benefit))
        most = float(size.max())
        sequence = np.argsort(-size, axis=None, kind="stable")[:MOST_CELLS]
        cells = []
        for row, column in zip(*np.unravel_index(sequence, size.shape), strict=True):
            value = float(shown.benefit[row, column])
            if size[row, column] > NEGLIGIBLE * most:
                before, after = (shortened(names[order[place]], LONGEST_TOLD) for place in (row, column))
                size_told = plus_minus(abs(value), standard_error[order[row], order[column]])
                told = f"{before} before {after}: {'saves' if value > 0 else 'costs'} {size_told} nats"
                cells.append(Cell(int(row), int(column), value, told))
        rings = tuple((row, column) for row, column in shown.edges.tolist())
        return cls(shown.labels, tuple(cells), rings, most)

    def svg(self) -> Markup:
        """The drawing."""
        length = len(self.labels)
        named = length <= MOST_LABELS
        side = 28 if length <= 12 else 22 if length <= 24 else 14 if named else max(2, 800 // length)
        edge = 30 + LETTER * max(map(len, self.labels)) if named else 80
        end = edge + side * length
        parts = [
            Markup("<rect class='frame' x='{0:.1f}' y='{0:.1f}' width='{1}' height='{1}'/>").format(
                edge, side * length
            ),
            Markup("<text class='name mid' x='{:.1f}' y='14'>this step gains</text>").format((edge + end) / 2),
            Markup("<text class='name mid' transform='translate(12 {:.1f}) rotate(-90)'>{}</text>").format(
                (edge + end) / 2, "from this one before it"
            ),
        ]
        every = 1 if named else 10 if length <= 120 else 20
        for place in range(0, length, every):
            at = edge + side * (place + 0.5)
            text = self.labels[place] if named else f"slot {place}"
            parts.append(
                Markup(
                    "<text class='end' x='{0:.1f}' y='{1:.1f}'>{2}</text>"
                    "<text transform='translate({1:.1f} {0:.1f}) rotate(-90)'>{2}</text>"
                ).format(edge - 5, at + 4, text)
            )
        shape = Markup(
            "<rect class='{kind}' x='{x:.0f}' y='{y:.0f}' width='{side}' height='{side}' opacity='{share:.2f}'>"
            "<title>{told}</title></rect>"
        )
        parts += [
            shape.format(
                kind="gain" if cell.benefit > 0 else "harm",
                x=edge + side * cell.column,
                y=edge + side * cell.row,
                side=side,
                share=abs(cell.benefit) / self.most,
                told=cell.told,
            )
            for cell in self.cells
        ]
        parts += [
            Markup("<circle class='ring' cx='{:.1f}' cy='{:.1f}' r='{:.1f}'/>").format(
                edge + side * (column + 0.5), edge + side * (row + 0.5), 0.2 * side
            )
            for row, column in self.rings
        ]
        return svg(end + 12, end + 12, "What every step gains from every other, along the order", parts)


@dataclass(frozen=True)
class Node:
    """A step of the graph: its centre in pixels, and its name, short and in full."""

    x: float
    y: float
    label: str
    told: str


@dataclass(frozen=True)
class Edge:
    """An edge between nodes by place: its share of the strongest benefit, its kind, and what is said of it."""

    before: int
    after: int
    share: float
    kind: str
    told: str


@dataclass(frozen=True)
class Graph:
    """A dependency graph from left to right, of the steps that are in a dependency.

    Attributes
    ----------
    nodes, edges : what is drawn
    box : width of every node, pixels
    size : width and height of the drawing, pixels
    levels : centres of the columns, pixels; steps of one can be written at once
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    box: float
    size: tuple[float, float]
    levels: tuple[float, ...] = ()

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """Classes and names of the kinds of edges; none where all are plain."""
        kinds = {"edge": "dependency", "either": "may as well point the other way", "fine": "for the last percent"}
        there = {edge.kind for edge in self.edges}
        return tuple((kind, name) for kind, name in kinds.items() if kind in there) if there != {"edge"} else ()

    @classmethod
    def of(cls, dependencies: Sequence[Dependency], names: Sequence[str]) -> Graph:
        """Lay dependencies, one or more, between steps with ``names`` (L,) out in the plane.

        Examples
        --------
        >>> graph = Graph.of([Dependency(2, 0, 1.5, 0.1, 0.999, False)], ["a", "b", "c"])
        >>> [node.label for node in graph.nodes], graph.edges[0].told
        (['a', 'c'], 'c before a: saves 1.500 ± 0.196 nats, confidence 0.9990')
        """
        steps = sorted({step for edge in dependencies for step in (edge.before, edge.after)})
        place = {step: k for k, step in enumerate(steps)}
        pairs = [[place[edge.before], place[edge.after]] for edge in dependencies]
        labels = [shortened(names[step], LONGEST_LABEL) for step in steps]
        shown = dependency_graph(len(steps), pairs, [edge.benefit for edge in dependencies], labels)
        box = max(LEAST_BOX, 16 + LETTER * max(map(len, labels)))
        level, height = shown.positions.T
        x = box / 2 + 8 + (box + LEVEL) * level
        y = ROW * (height.max() - height) + ROW
        most = max(float(shown.benefit.max()), 1e-9)
        nodes = tuple(
            Node(float(x[k]), float(y[k]), labels[k], shortened(names[step], 4 * LONGEST_TOLD))
            for k, step in enumerate(steps)
        )
        cut = partial(shortened, most=LONGEST_TOLD)
        edges = tuple(
            Edge(
                place[edge.before],
                place[edge.after],
                max(0.0, edge.benefit) / most,
                "either" if edge.reversible else "fine" if edge.fine else "edge",
                f"{cut(names[edge.before])} before {cut(names[edge.after])}: "
                f"saves {plus_minus(edge.benefit, edge.standard_error)} nats, "
                f"confidence {edge.confidence:.4f}",
            )
            for edge in dependencies
        )
        return cls(
            nodes, edges, box, (float(x.max()) + box / 2 + 8, float(y.max()) + ROW), tuple(np.unique(x).tolist())
        )

    def svg(self) -> Markup:
        """The drawing."""
        half = self.box / 2
        parts = [
            Markup(
                "<defs><marker id='arrow' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' "
                "orient='auto' markerUnits='userSpaceOnUse'><path d='M0 0L8 4L0 8z'/></marker></defs>"
            )
        ]
        parts += [
            Markup("<text class='name mid' x='{:.1f}' y='14'>{}</text>").format(x, f"pass {number}")
            for number, x in enumerate(self.levels, start=1)
        ]
        for edge in self.edges:
            start, stop = self.nodes[edge.before], self.nodes[edge.after]
            x, end = start.x + half, stop.x - half
            # Over more than one level it bows out, so that it is not drawn through the nodes between.
            bow = ROW * 0.7 if end - x > LEVEL + 1 else 0.0
            path = (
                f"M{x:.1f} {start.y:.1f}C{x + 0.5 * LEVEL + bow:.1f} {start.y - bow:.1f} "
                f"{end - 0.5 * LEVEL - bow:.1f} {stop.y - bow:.1f} {end:.1f} {stop.y:.1f}"
            )
            parts.append(
                Markup(
                    "<g class='{0}'><title>{1}</title><path class='grip' d='{2}'/>"
                    "<path class='arrow' stroke-width='{3:.1f}' marker-end='url(#arrow)' d='{2}'/></g>"
                ).format(edge.kind, edge.told, path, 1 + 2 * edge.share)
            )
        shape = Markup(
            "<g transform='translate({:.1f} {:.1f})'><title>{}</title><rect class='node' x='{:.1f}' y='-14' "
            "width='{:.1f}' height='28' rx='14'/><text class='mid' y='4'>{}</text></g>"
        )
        parts += [shape.format(node.x, node.y, node.told, -half, self.box, node.label) for node in self.nodes]
        return svg(*self.size, "Dependencies between steps, from left to right", parts)
