from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

import pyorder
from pyorder.profiling import Profiler
from pyorder.profiling.contest import Contest
from pyorder.profiling.result import Cost
from pyorder.training.presets import PRESETS

ORDERS = pyorder.permutations.sample(5, 12, seed=0, distinct=True)
TINY = PRESETS["nano"].but(width=32, feed_forward=64, steps=30, warmup=5)


@pytest.mark.parametrize("module", ["pyorder.profiling.profile", "pyorder.profiling.result"])
def test_docstring_examples(module, doctests):
    doctests(module)


@pytest.fixture(scope="module")
def result(square5):
    return pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY, seeds=3)


def test_the_easy_order_has_the_lowest_loss():
    splits = pyorder.make_task("square", length=5).splits(train=20_000, validation=500, test=1, seed=0)
    orders = [[4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [0, 1, 2, 3, 4], [3, 1, 4, 2, 0]]
    result = pyorder.profile(splits.train, orders, validation=splits.validation, steps=600)
    assert result.best.tolist() == [0, 1, 2, 3, 4]
    assert result.loss[2] + 4 * result.standard_error.max() < np.delete(result.loss, 2).min()
    assert result.step_loss[2, 1] < result.step_loss[0, 1] - 1  # step 1 after step 0, and before it


def repeated(data, times):
    """Every row so often, in groups of its own."""
    rows = np.tile(np.arange(len(data)), times)
    return pyorder.Dataset(data.inputs[rows], data.targets[rows], groups=1000 - rows, vocabulary=data.vocabulary)


@pytest.mark.parametrize("alone", [False, True])
def test_rows_that_belong_together_are_no_more_evidence_than_one(square5, alone):
    """Each three times, and no smaller error."""

    def found(validation):
        if not alone:
            return pyorder.profile(square5.train, ORDERS[:4], validation=validation, model=TINY)
        return Contest(Profiler(square5.train, validation, model=TINY), ORDERS[:4], seeds=[0]).go_on(30)

    once, often = found(square5.validation), found(repeated(square5.validation, 3))
    np.testing.assert_allclose(often.loss, once.loss)
    assert (once.standard_error > 0).sum() == 3
    np.testing.assert_allclose(often.standard_error, once.standard_error, rtol=1e-5)


def test_the_numbers_fit_together(result, square5):
    np.testing.assert_allclose(result.loss, result.step_loss.mean(1), rtol=1e-5)
    np.testing.assert_allclose(result.loss, result.seed_loss.mean(0))
    assert result.seed_loss.shape == (3, 12)
    assert (np.diff(result.loss[result.ranking]) >= 0).all()
    assert result.standard_error[result.ranking[0]] == 0.0
    assert (np.delete(result.standard_error, result.ranking[0]) > 0).all()
    assert result.training_loss.shape == (3, 30)
    assert result.cost == Cost(3 * 30, 3 * 200 * 12)
    assert result.settings["seeds"] == [0, 1, 2]
    assert result.settings["precision"] in ("float32", "bfloat16")


def test_seeds_say_how_stable_the_ranking_is(result):
    from scipy.stats import spearmanr

    pairs = [spearmanr(result.seed_loss[a], result.seed_loss[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert result.rank_correlation == pytest.approx(np.mean(pairs))
    leaders = [result.orders[losses.argmin()] for losses in result.seed_loss]
    assert result.best_agreement == np.mean([np.array_equal(leader, result.best) for leader in leaders])
    shifted = replace(result, seed_loss=result.seed_loss + np.array([[0.0], [5.0], [-2.0]]))
    np.testing.assert_allclose(shifted.seed_spread, result.seed_spread)  # a run's own level means nothing


def made(result, seed_loss):
    """The result with other losses, ranked."""
    seed_loss = np.array(seed_loss)
    loss = seed_loss.mean(0)
    ranking = np.argsort(loss, kind="stable")
    return replace(result, orders=result.orders[: len(loss)], loss=loss, seed_loss=seed_loss, ranking=ranking)


def test_the_best_of_all_agrees_with_the_seeds_in_which_none_is_better(result):
    assert made(result, [[1.0, 2.0, 3.0], [1.0, 2.0, 0.5], [2.0, 2.0, 5.0]]).best_agreement == 2 / 3
    assert made(result, [[1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [2.0, 1.5, 5.0]]).best_agreement == 2 / 3
    assert made(result, [[4.0, 1.0], [1.0, 5.0]]).best_agreement == 1 / 2
    assert made(result, [[1.0, 1.0], [1.0, 1.0]]).best_agreement == 1.0


@pytest.mark.parametrize("tied", [[2.0, 2.0, 2.0], [np.nan, np.nan, np.nan]])
def test_where_all_losses_of_a_seed_tie_there_is_no_rank_correlation(result, tied):
    """No warning either: the test run makes errors of warnings."""
    told = made(result, [[1.0, 2.0, 3.0], tied, [1.0, 3.0, 2.0]])
    assert told.rank_correlation is None
    assert told.summary()["rank_correlation"] is None
    assert made(result, [[1.0, 2.0, 2.0], [5.0, 7.0, 6.0]]).rank_correlation == pytest.approx(3**0.5 / 2)
    assert made(result, [[1.0], [2.0]]).rank_correlation is None


def test_the_best_loss_is_told_beside_one_that_diverged(result):
    told = made(result, [[np.nan, 2.0, 1.5]])
    assert told.best_loss == 1.5
    assert told.best.tolist() == result.orders[2].tolist()


def test_what_is_learned_is_told_and_so_is_that_it_is_little(result, square5):
    from scipy.stats import entropy

    columns = np.asarray(square5.train.targets).T
    every = np.mean([entropy(np.unique(column, return_counts=True)[1]) for column in columns])
    assert result.settings["entropy"] == pytest.approx(every)
    assert [made(result, [[share * every]]).learned for share in (0.25, 1.0)] == pytest.approx([0.75, 0.0])
    assert "has learned 5 % of its steps' entropy" in made(result, [[0.95 * every, 2 * every]]).remarks[0]
    assert made(result, [[0.75 * every, 2 * every]]).remarks == ()
    assert made(result, [[0.95 * every]]).remarks == ()  # nothing to tell apart
    older = {name: value for name, value in result.settings.items() if name != "entropy"}
    assert (replace(result, settings=older).learned, replace(result, settings=older).remarks) == (None, ())


def test_weights_of_steps_weigh_their_entropy(square5):
    halves = Profiler(square5.train, square5.validation, model=TINY, device="cpu", step_weights=[1, 0, 0, 0, 3])
    alone = [
        Profiler(square5.train, square5.validation, model=TINY, device="cpu", step_weights=weights)
        for weights in ([1, 0, 0, 0, 0], [0, 0, 0, 0, 1])
    ]
    first, last = (profiler.settings["entropy"] for profiler in alone)
    assert halves.settings["entropy"] == pytest.approx(0.25 * first + 0.75 * last)


def test_one_seed_has_no_spread(square5):
    result = pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY)
    assert result.seed_spread is None
    assert result.rank_correlation is None
    assert result.best_agreement is None


def test_the_same_seed_gives_the_same_result(result, square5):
    again = pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY, seed=1)
    assert np.array_equal(again.loss, result.seed_loss[1])


def test_relabelled_steps_give_identical_losses(square5):
    """Shuffled target columns and a pool relabelled to match: nothing may tell the two apart."""
    shuffle = np.random.default_rng(3).permutation(5)
    relabelled = np.argsort(shuffle)[ORDERS]
    train, validation = square5.train.reorder(shuffle), square5.validation.reorder(shuffle)
    one = pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY)
    other = pyorder.profile(train, relabelled, validation=validation, model=TINY)
    assert np.array_equal(one.loss, other.loss)
    assert np.array_equal(one.ranking, other.ranking)
    assert np.array_equal(one.step_loss[:, shuffle], other.step_loss)


def test_weighted_losses_are_those_of_a_plain_computation(square5):
    """Weights follow their steps; losses of rows and of steps stay plain."""
    weights = (0.0, 1.0, 0.0, 3.0, 0.5)
    arguments = {"validation": square5.validation, "model": TINY, "row_loss": True}
    told = pyorder.profile(square5.train, ORDERS, step_weights=weights, **arguments)
    np.testing.assert_allclose(told.loss, told.step_loss @ weights / 4.5, rtol=1e-5)
    np.testing.assert_allclose(told.row_loss.mean(0), told.step_loss.sum(1), rtol=1e-5)
    assert told.row_loss.dtype == np.float32
    assert told.settings["step_weights"] == list(weights)
    plain = pyorder.profile(square5.train, ORDERS, **arguments)
    np.testing.assert_allclose(plain.row_loss.mean(0) / 5, plain.loss, rtol=1e-5)


def test_weights_for_another_number_of_steps_are_refused(square5):
    with pytest.raises(ValueError, match="^step_weights: 2 given, the data has 5 steps$"):
        pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY, step_weights=(0, 1))


def test_losses_of_rows_and_names_are_saved_with_the_profile(square5, tmp_path):
    names = ["a", "b", "c", "d", "e"]
    train, validation = (
        pyorder.Dataset(part.inputs, part.targets, names=names, vocabulary=part.vocabulary)
        for part in (square5.train, square5.validation)
    )
    told = pyorder.profile(train, ORDERS, validation=validation, model=TINY, steps=2, row_loss=True)
    best = told.summary()["candidates"][0]
    assert best["names"] == [names[step] for step in best["order"]]
    told.save(tmp_path / "run")
    assert pyorder.Profile.load(tmp_path / "run") == told
    assert told.step_names == tuple(names)


def test_ties_are_not_broken_towards_the_first(square5):
    same = np.tile(ORDERS[:1], (6, 1))
    first = {
        int(
            pyorder.profile(
                square5.train, same, validation=square5.validation, model=TINY, steps=1, seed=s
            ).ranking[0]
        )
        for s in range(12)
    }
    assert len(first) > 2


def test_nothing_global_is_touched(square5):
    torch.manual_seed(7)
    wanted = torch.rand(2), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    torch.manual_seed(7)
    pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=TINY, steps=2)
    found = torch.rand(2), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    assert torch.equal(wanted[0], found[0])
    assert wanted[1:] == found[1:]


def test_progress_rises_to_one(square5):
    reports = []
    pyorder.profile(
        square5.train, ORDERS, validation=square5.validation, model=TINY, seeds=2, progress=reports.append
    )
    shares = [report.share for report in reports]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert {report.stage for report in reports} == {"training", "scoring"}


def test_a_callers_own_model(square5):
    def build(values, inputs_n, steps_n):
        class Embed(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = PRESETS["nano"](values, inputs_n, steps_n)

            def forward(self, inputs, emitted, order=None):
                return self.inner(inputs, emitted)

        return Embed()

    own = pyorder.profile(square5.train, ORDERS, validation=square5.validation, model=build, steps=5)
    built_in = pyorder.profile(square5.train, ORDERS, validation=square5.validation, model="nano", steps=5)
    np.testing.assert_allclose(own.loss, built_in.loss, rtol=0.02)
    assert own.settings["model"] == "build"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orders": [[0, 1, 2, 3, 3]]}, "^orders: "),
        ({"orders": [[0, 1, 2, 3]]}, "^orders: "),
        ({"orders": np.empty((0, 5), int)}, "^orders: "),
        ({"seeds": 0}, "^seeds: expected an integer from 1 to 10000, got 0"),
        ({"steps": 0}, "^steps: expected an integer of at least 1, got 0"),
        ({"batch_size": -1}, "^batch_size: expected an integer of at least 1, got -1"),
        ({"learning_rate": -1.0}, "^learning_rate: "),
        ({"model": "huge"}, "^model: 'huge' is none of"),
        ({"device": "tpu"}, "^device: "),
    ],
)
def test_bad_arguments_are_named(square5, change, message):
    arguments = {"orders": ORDERS, "validation": square5.validation, **change}
    with pytest.raises(ValueError, match=message):
        pyorder.profile(square5.train, **arguments)


def test_orders_may_be_names_or_results():
    digits = np.random.default_rng(0).integers(0, 3, (20, 1))
    data = pyorder.Dataset(digits, np.tile(digits, 3), names=["sum", "sign", "rest"])
    orders = [["rest", "sum", "sign"], [0, 1, 2]]
    result = pyorder.profile(data, orders, validation=data, model="nano", steps=1)
    assert result.orders.tolist() == [[2, 0, 1], [0, 1, 2]]


def test_a_validation_value_that_training_lacks_is_named(square5):
    targets = np.array(square5.validation.targets)
    targets[3, 2] = 77
    train = pyorder.Dataset(square5.train.inputs, square5.train.targets)
    validation = pyorder.Dataset(square5.validation.inputs, targets)
    with pytest.raises(ValueError, match="validation.*77"):
        pyorder.profile(train, ORDERS, validation=validation)


def test_a_run_that_diverged_is_no_result(square5):
    with pytest.raises(RuntimeError, match="no candidate has a finite loss"):
        pyorder.profile(
            square5.train, [[0, 1, 2, 3, 4]], validation=square5.validation, steps=20, learning_rate=1e30
        )


def test_seeds_side_by_side_give_the_profile_of_seeds_alone(square5, monkeypatch):
    """As on a GPU, where trainers are used again, some more often than others."""
    profiler = Profiler(
        square5.train, square5.validation, model=TINY, batch_size=16, precision="float32", device="cpu"
    )
    alone = profiler.profile(ORDERS, seeds=range(5))
    monkeypatch.setattr(import_module("pyorder.profiling.profile"), "MOST_SEEDS", 3)
    profiler.recorded = []
    shares = []
    together = profiler.profile(ORDERS, seeds=range(5), on_share=lambda stage, share: shares.append(share))
    assert len(profiler.recorded) == 3
    assert together.seed_loss.tolist() == alone.seed_loss.tolist()
    assert together.training_loss.tolist() == alone.training_loss.tolist()
    assert together.cost == alone.cost
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_second_device_trains_too(square5):
    first, second = (
        Profiler(square5.train, square5.validation, model=TINY, device=device).profile(ORDERS, seeds=range(2))
        for device in ("cuda:0", "cuda:1")
    )
    assert first.training_loss.tolist() == second.training_loss.tolist()


@pytest.mark.gpu
def test_a_gpu_ranks_as_a_cpu_does():
    splits = pyorder.make_task("square", length=5).splits(train=20_000, validation=500, test=1, seed=0)
    orders = [[4, 3, 2, 1, 0], [2, 4, 0, 3, 1], [0, 1, 2, 3, 4], [3, 1, 4, 2, 0]]
    ranked = [
        pyorder.profile(
            splits.train, orders, validation=splits.validation, model="nano", precision="float32", device=device
        )
        for device in ("cpu", "cuda")
    ]
    assert ranked[0].ranking.tolist() == ranked[1].ranking.tolist()
    np.testing.assert_allclose(ranked[0].loss, ranked[1].loss, rtol=0.05)
