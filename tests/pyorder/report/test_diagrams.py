import re

import numpy as np

from pyorder.dependencies import Dependency
from pyorder.report import diagrams
from pyorder.report.diagrams import Graph, Matrix


def test_docstring_examples(doctests):
    doctests(diagrams)


def test_cells_stand_along_the_order_and_the_strongest_come_first():
    rng = np.random.default_rng(0)
    benefit, order = rng.normal(size=(6, 6)), rng.permutation(6)
    shown = Matrix.of(benefit, np.full((6, 6), 0.5), order, [], [f"n{k}" for k in range(6)])
    for cell in shown.cells:
        assert cell.benefit == benefit[order[cell.row], order[cell.column]]
        assert cell.told.startswith(f"n{order[cell.row]} before n{order[cell.column]}: ")
        assert cell.told.endswith(f"{abs(cell.benefit):.3f} ± 0.980 nats")
        assert ("saves" in cell.told) == (cell.benefit > 0)
    sizes = [abs(cell.benefit) for cell in shown.cells]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == (np.abs(benefit) > 0.01 * np.abs(benefit).max()).sum()


def test_what_is_negligible_or_unknown_is_not_drawn():
    benefit = np.array([[0.0, 5.0, np.nan], [0.01, 0.0, 0.1], [0.0, 0.0, 0.0]])
    shown = Matrix.of(benefit, np.zeros((3, 3)), np.arange(3), [Dependency(0, 1, 5.0, 0.0, 1.0, False)], "abc")
    assert [(cell.row, cell.column) for cell in shown.cells] == [(0, 1), (1, 2)]
    assert shown.rings == ((0, 1),)
    svg = shown.svg()
    assert svg.count("class='gain'") == 2
    assert svg.count("class='ring'") == 1


def test_arrows_run_from_what_is_before_to_what_is_after():
    edges = [Dependency(3, 1, 1.0, 0.1, 0.99, False), Dependency(1, 0, 0.5, 0.1, 0.99, True)]
    graph = Graph.of(edges, ["a", "b", "c", "d"])
    assert [node.told for node in graph.nodes] == ["a", "b", "d"]  # c is in none
    for edge in graph.edges:
        assert graph.nodes[edge.before].x + graph.box < graph.nodes[edge.after].x
    assert [edge.share for edge in graph.edges] == [1.0, 0.5]
    assert graph.legend == (("edge", "dependency"), ("either", "may as well point the other way"))
    svg = graph.svg()
    assert svg.count("marker-end") == 2
    labels = re.findall(r"x='([\d.]+)' y='14'>pass (\d)<", svg)  # over the steps that can be written at once
    assert [(float(x), int(number)) for x, number in labels] == [
        (round(graph.nodes[place].x, 1), number) for place, number in ((2, 1), (1, 2), (0, 3))
    ]
    width, height = graph.size
    for x, y in np.array(re.findall(r"translate\(([\d.]+) ([\d.]+)\)", svg), float):
        assert graph.box / 2 < x < width - graph.box / 2
        assert 14 < y < height - 14


def test_one_kind_of_edge_needs_no_legend():
    assert Graph.of([Dependency(0, 1, 1.0, 0.1, 0.99, False)], "ab").legend == ()
    assert len(Graph.of([Dependency(0, 1, 1.0, 0.1, 0.99, True)], "ab").legend) == 1
