import pytest

from pyorder.report import comparison


def test_docstring_examples(doctests):
    doctests(comparison)


def fit(success, loss, diverged=False):
    return {
        "success_rate": success,
        "success_interval": [success - 0.01, success + 0.01],
        "row_loss": loss,
        "row_loss_interval": [loss - 0.1, loss + 0.1],
        "diverged": diverged,
    }


@pytest.mark.parametrize(
    ("fits", "better"),
    [
        ({"discovered": fit(0.5, 1.0), "reverse": fit(0.7, 2.0), "random": fit(0.4, 0.5)}, ["reverse"]),
        ({"discovered": fit(0.0, 1.0), "reverse": fit(0.0, 2.0), "random": fit(0.0, 0.5)}, ["random"]),
        ({"discovered": fit(0.5, 1.0), "reverse": fit(0.505, 1.05)}, []),
        ({"discovered": fit(0.5, 1.0, diverged=True), "reverse": fit(0.1, 2.0)}, ["reverse"]),
        ({"reverse": fit(0.5, 1.0)}, []),
    ],
)
def test_what_was_better_is_told_by_intervals_that_lie_apart(fits, better):
    assert comparison.beaten(fits) == better
