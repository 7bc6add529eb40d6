from dataclasses import replace

import numpy as np
import pytest

from pyorder.orders.posets import Poset
from pyorder.report.contents import read_contents
from pyorder.report.doubts import doubts
from pyorder.runs import load_run


@pytest.fixture
def told(saved):
    return lambda **replaced: " ".join(doubts(read_contents(saved(**replaced))))


def fit(success, loss, **more):
    return {
        "success_rate": success,
        "success_interval": [max(0.0, success - 0.02), success + 0.02],
        "row_loss": loss,
        "row_loss_interval": [loss - 0.1, loss + 0.1],
        "test_rows": 1000,
        **more,
    }


@pytest.fixture
def compared(saved):
    def compared(complete=True, data=None, **fits):
        contents = read_contents(saved())
        run = replace(contents.run, kind="comparison", result={"complete": complete, "data": data or {}})
        return " ".join(doubts(replace(contents, run=run, fits=fits)))

    return compared


def test_a_clear_result_has_few_doubts_and_they_are_true(told):
    said = told(runs=1, seeds=2)
    assert "No model was trained to the end" in said
    assert "read off one model" in said
    for absent in (
        "may be right in part",
        "budget",
        "rank",
        "one seed.\n",
        "does not tell",
        "compare only",
        "against",
    ):
        assert absent not in said


@pytest.mark.parametrize(
    "verdict", ["indifferent", "open", "few rows", "unresolved", "independent", "row dependent"]
)
def test_every_verdict_but_found_says_what_the_order_is_worth(told, verdict):
    assert told(verdict=verdict).startswith("The order shown ")
    assert not told().startswith("The order shown ")


def test_remarks_and_what_ended_early_are_told(told):
    assert "This is a remark." in told(remarks=("This is a remark.",))
    assert "budget" not in told(converged=False)  # nobody knows; what ended a search early is a remark of its own
    assert "The search was told the order" in told(uses_data_order=True)
    assert "the 1 dependencies that were given" in told(constraints=Poset(5, [[0, 1]]))
    assert "Losses compare only inside one profiling run" in told(runs=2)
    assert "The strategy random looks for no dependencies" in told(strategy="random", exploration=None)


def test_an_order_against_the_dependencies_is_told(told, searched):
    backwards = searched().order[::-1].copy()
    assert told(order=backwards).startswith("The order shown goes against 3 of the 3 dependencies")


def test_weak_dependencies_are_counted_and_the_weakest_named(told, searched):
    found = searched().exploration
    first, second, *rest = found.dependencies
    edges = (replace(first, confidence=0.98), replace(second, confidence=0.97), *rest)
    said = told(exploration=replace(found, dependencies=edges))
    assert "2 of 3 dependencies have a confidence below 0.999" in said
    assert f"the least sure is {second.before} before {second.after}, 0.9700" in said


def test_candidates_within_chance_are_counted(told, searched):
    (stage,) = searched().history
    near = np.array([0.0, 1.0, 1.0, 0.01, 0.01, 0.01])  # of losses that are a tenth apart
    profile = replace(stage.profile, standard_error=near)
    said = told(history=(replace(stage, profile=profile),))
    assert "does not tell the best candidate from 2 of the 5 others" in said
    ranked = replace(stage.profile, ranking=np.array([1, 0, 2, 3, 4, 5]))
    assert "has rank 2 of 6" in told(history=(replace(stage, profile=ranked),))


def test_what_losses_of_a_profile_cannot_tell_is_told(searched, tmp_path):
    (stage,) = searched().history
    for entropy, learned in ((2.0, False), (1.1, True)):  # the best loss is 1.0 to 1.01
        profile = replace(stage.profile, settings={**stage.profile.settings, "entropy": entropy})
        profile.save(folder := tmp_path / str(entropy))
        said = " ".join(doubts(read_contents(load_run(folder))))
        assert ("% of its steps' entropy: where that is so little" in said) == learned


def test_final_trainings_tell_what_they_cannot(compared):
    better = compared(discovered=fit(0.5, 2.0), reverse=fit(0.9, 1.0, called=["reverse", "as given"]))
    assert better.startswith("Trained better than the order found, by more than chance: reverse, as given.")
    same = compared(discovered=fit(0.9, 1.0), reverse=fit(0.91, 1.0), random=fit(0.1, 5.0))
    assert "does not tell the order found from: reverse." in same
    assert "Hardly a row is right" in compared(discovered=fit(0.0, 1.0), reverse=fit(0.0, 2.0))
    assert "Most rows are wrong" in compared(discovered=fit(0.3, 1.0), reverse=fit(0.1, 2.0))
    assert "diverged" in compared(discovered=fit(0.9, 1.0), reverse=fit(0.1, 2.0, diverged=True))
    assert "ended before all orders" in compared(complete=False, discovered=fit(0.9, 1.0))
    assert "There are 30 test rows only" in compared(discovered=fit(0.9, 1.0, test_rows=30))
    assert "67 % of the dependencies that the task" in compared(
        discovered=fit(0.9, 1.0, dependencies_satisfied=0.67)
    )
    clear = compared(discovered=fit(0.99, 0.1), reverse=fit(0.1, 2.0))
    for absent in ("does not tell", "better", "wrong", "Hardly", "diverged", "No model was", "test rows only"):
        assert absent not in clear


@pytest.mark.parametrize(("shift", "told"), [(0.2, False), (-0.2, True), (0.0, None)])
def test_row_losses_are_compared_row_by_row(saved, shift, told):
    """Rows differ by more than orders do, so that intervals of means overlap."""
    rng = np.random.default_rng(0)
    ours = rng.normal(5.0, 3.0, 400)
    theirs = ours + shift + rng.normal(0, 0.1, 400)
    losses = {"discovered": ours, "reverse": theirs}
    fits = {
        name: fit(0.0, rows.mean()) | {"row_loss_interval": [rows.mean() - 0.3, rows.mean() + 0.3]}
        for name, rows in losses.items()
    }
    arrays = {name: {"row_losses": rows} for name, rows in losses.items()}
    contents = replace(read_contents(saved()), fits=fits, arrays=arrays)
    said = " ".join(doubts(contents))
    assert ("Trained better than the order found, by more than chance: reverse." in said) == (told is True)
    assert ("does not tell the order found from: reverse." in said) == (told is None)
    mean, error = contents.more_lost("reverse")
    assert mean == pytest.approx((theirs - ours).mean())
    assert error == pytest.approx((theirs - ours).std(ddof=1) / 20)
    pairs = np.arange(400) // 2
    sums = np.add.reduceat(theirs - ours - mean, np.arange(0, 400, 2))
    grouped = {name: one | {"groups": pairs} for name, one in arrays.items()}
    error = replace(contents, arrays=grouped).more_lost("reverse")[1]
    assert error == pytest.approx(sums.std(ddof=1) * np.sqrt(200) / 400)
    one = {name: {"row_losses": rows[:1]} for name, rows in losses.items()}
    assert replace(contents, arrays=one).more_lost("reverse") is None  # of one row there is no error


def test_how_rows_were_split_is_told_where_it_matters(compared):
    by_row = {"split_by": "row", "input_length": 2}
    assert "Rows were split one by one" in compared(data=by_row, discovered=fit(0.9, 1.0))
    assert "Rows were split" not in compared(data=by_row | {"input_length": 0}, discovered=fit(0.9, 1.0))
    assert "of which nothing is known: 1 of 9 rows" in compared(data={"left_out": "1 of 9 rows"}, a=fit(0.9, 1.0))
