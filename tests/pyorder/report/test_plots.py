import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from pyorder.report import plots


def test_docstring_examples(doctests):
    doctests(plots)


def picture(figure):
    """The figure's pixels, (height, width, 4), as a PNG file holds them."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    file.seek(0)
    return imread(file)


def test_losses_are_sorted_run_by_run():
    shown = plots.ranked_losses({"first": [3.0, 1.0, 2.0], "second": np.array([5, 4])})
    assert shown.names == ("first", "second")
    assert [losses.tolist() for losses in shown.losses] == [[1.0, 2.0, 3.0], [4.0, 5.0]]


def test_the_grid_has_the_step_of_every_slot():
    cells = plots.order_grid([2, 0, 1]).cells
    assert np.argwhere(cells.T).tolist() == [[0, 2], [1, 0], [2, 1]]  # slot, step
    with pytest.raises(ValueError, match="^order: "):
        plots.order_grid([0, 0])


def test_curves_are_smoothed_without_running_over_the_ends():
    shown = plots.learning_curves({"a": [5.0, 1.0, 3.0, 2.0, 4.0]}, window=3)
    assert shown.window == 3
    assert shown.steps[0].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(shown.losses[0], [3.0, 3.0, 2.0, 3.0, 3.0])


def test_the_usual_window_grows_with_the_curve_and_is_odd():
    assert plots.learning_curves({"short": np.ones(30)}).window == 1
    long = plots.learning_curves({"long": np.ones(1000), "short": np.ones(10)})
    assert long.window == 25
    np.testing.assert_allclose(np.concatenate(long.losses), 1.0)
    assert [len(losses) for losses in long.losses] == [1000, 10]


def test_precedence_is_laid_out_along_the_order():
    benefit = np.arange(9.0).reshape(3, 3)
    shown = plots.precedence_matrix(benefit, [2, 0, 1], [[2, 1], [0, 1]])
    for row, column in np.ndindex(3, 3):
        assert shown.benefit[row, column] == benefit[shown.steps[row], shown.steps[column]]
    assert shown.edges.tolist() == [[0, 2], [1, 2]]


def test_a_graph_runs_from_left_to_right_and_no_two_steps_meet():
    edges = [[4, 1], [1, 0], [4, 3], [3, 0], [2, 5]]
    shown = plots.dependency_graph(6, edges, np.ones(5))
    assert shown.positions[:, 0].tolist() == [2, 1, 0, 1, 0, 1]
    assert len(np.unique(shown.positions, axis=0)) == 6


def test_chains_that_run_side_by_side_do_not_cross():
    heights = plots.dependency_graph(6, [[0, 3], [1, 4], [2, 5]], np.ones(3)).positions[:, 1]
    assert heights[:3].tolist() == heights[3:].tolist() == [1.0, 0.0, -1.0]


def test_labels_stand_beside_their_steps():
    labels = ["sum", "sign", "a name of some length"]
    short = "a name of some …"
    assert plots.precedence_matrix(np.eye(3), [2, 0, 1], labels=labels).labels == (short, "sum", "sign")
    assert plots.precedence_matrix(np.eye(3), [2, 0, 1]).labels == ("2", "0", "1")
    figure = plots.draw_order_grid(plots.order_grid([2, 0, 1], labels))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["sum", "sign", short]
    figure = plots.draw_dependency_graph(plots.dependency_graph(3, [[0, 2]], [1.0], labels))
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == ["sum", "sign", short]


FIGURES = {
    "one run": lambda: plots.draw_ranked_losses(plots.ranked_losses({"all": np.linspace(2, 3, 500)})),
    "many runs": lambda: plots.draw_ranked_losses(
        plots.ranked_losses({f"{k}. global {k} of 16": np.linspace(2, 3, 50 * k) for k in range(1, 17)})
    ),
    "order": lambda: plots.draw_order_grid(plots.order_grid([2, 0, 1, 3])),
    "long order": lambda: plots.draw_order_grid(plots.order_grid(np.arange(100)[::-1])),
    "precedence": lambda: plots.draw_precedence_matrix(
        plots.precedence_matrix(np.random.default_rng(0).normal(size=(6, 6)), [3, 1, 0, 2, 5, 4], [[3, 1], [0, 2]])
    ),
    "dependencies": lambda: plots.draw_dependency_graph(
        plots.dependency_graph(5, [[0, 1], [1, 2], [0, 3]], [1.0, 0.5, 0.2])
    ),
    "no dependencies": lambda: plots.draw_dependency_graph(plots.dependency_graph(60, [], [])),
    "curves": lambda: plots.draw_learning_curves(
        plots.learning_curves({"discovered": np.geomspace(3, 0.001, 400), "random": np.zeros(400)})
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_have_axes_with_units_and_something_on_them(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure.get_size_inches().tolist() == [6, 4]
    axes = figure.axes[0]  # a colour scale is another
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    pixels = picture(figure)
    assert pixels.shape[:2] == (600, 900)
    drawn = (pixels[..., :3] < 0.9).any(2)
    assert 0.01 < drawn.mean() < 0.6
    assert not drawn[:3].any()  # nothing is cut off at the edges
    assert not drawn[-3:].any()
    assert not drawn[:, :3].any()
    assert not drawn[:, -3:].any()


def test_lines_carry_the_values_and_differ_in_colour_and_dash():
    shown = plots.learning_curves({"discovered": [3.0, 2.0], "reverse": [3.0, 2.5], "random": [3.0, 2.75]})
    (axes,) = plots.draw_learning_curves(shown).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[3.0, 2.0], [3.0, 2.5], [3.0, 2.75]]
    assert [line.get_label() for line in axes.lines] == ["discovered", "reverse", "random"]
    assert len({to_hex(line.get_color()) for line in axes.lines}) == 3
    assert len({line.get_linestyle() for line in axes.lines}) == 3


def test_they_draw_on_axes_that_are_given():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.draw_order_grid(plots.order_grid([1, 0]), left) is figure
    assert plots.draw_ranked_losses(plots.ranked_losses({"all": [1.0, 2.0]}), right) is figure
    assert left.images
    assert right.lines


def test_matplotlib_is_asked_for_late_and_pyplot_never(tmp_path):
    code = """
        import sys
        from pyorder.report import plots
        shown = plots.order_grid([1, 0])
        assert "matplotlib" not in sys.modules
        plots.draw_order_grid(shown).savefig("order.png")
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "order.png").stat().st_size > 1000


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "pyorder\[plot\]"'):
        plots.draw_order_grid(plots.order_grid([1, 0]))
