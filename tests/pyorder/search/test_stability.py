"""Searches again, on other rows, with other labels and from other seeds."""

import itertools
import re

import numpy as np
import pytest

import pyorder
from pyorder.orders.posets import Poset
from pyorder.search import Resamples, Stability, discover, discover_shuffled
from pyorder.search.resampling import resampled
from pyorder.search.stability import agree, distance

CHEAP = {"strategy": "random", "steps": 2, "model": "nano", "device": "cpu", "precision": "float32"}


@pytest.mark.parametrize("name", ["pyorder.search.stability", "pyorder.search.resampling"])
def test_docstring_examples(doctests, name):
    doctests(name)


def test_the_consensus_agrees_in_as_many_pairs_as_any_order():
    rng = np.random.default_rng(0)
    for _ in range(20):
        orders = np.array([rng.permutation(5) for _ in range(6)])
        graph = Poset(5, [rng.permutation(5)[:2]])

        def agreed(order, orders=orders):
            pairs = set(itertools.combinations(order, 2))
            return sum(len(pairs & set(itertools.combinations(other.tolist(), 2))) for other in orders)

        everything = list(itertools.permutations(range(5)))
        assert agreed(agree(orders, None, seed=1).tolist()) == max(map(agreed, everything))
        kept = agree(orders, graph, seed=1)
        assert graph.is_sort(kept[None])[0]
        assert agreed(kept.tolist()) == max(agreed(order) for order in everything if graph.is_sort([order])[0])


def test_the_distance_is_the_share_of_pairs_in_another_sequence():
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(6) for _ in range(7)])
    ahead = [set(itertools.combinations(order.tolist(), 2)) for order in orders]
    apart = np.array([[len(one - other) / 15 for other in ahead] for one in ahead])
    pairs = np.triu_indices(7, 1)
    mean, error = distance(orders)
    assert mean == pytest.approx(apart[pairs].mean())
    without = []
    for left_out in range(7):
        kept = np.delete(np.arange(7), left_out)
        without.append(apart[np.ix_(kept, kept)][np.triu_indices(6, 1)].mean())
    assert error == pytest.approx(np.sqrt(6 / 7 * ((without - np.mean(without)) ** 2).sum()))


def test_one_order_has_no_distance_and_two_have_no_error():
    assert np.isnan(distance(np.array([[0, 1, 2]]))).all()
    mean, error = distance(np.array([[0, 1, 2], [1, 0, 2]]))
    assert mean == pytest.approx(1 / 3)
    assert np.isnan(error)


def spied(square5, found, resamples, run_dir=None, progress=None):
    """What is asked of searches, and the result; each finds the places of the columns as the order."""
    asked = []

    def search(rows, places, seed, progress, run_dir):
        asked.append((rows, places, seed, run_dir))
        return pyorder.search.discovery.replace(found, order=places)

    shuffle = np.array([2, 0, 1, 4, 3])
    result = resampled(found, search, square5.train, shuffle, resamples, progress=progress, run_dir=run_dir)
    return asked, result


@pytest.fixture(scope="module")
def first(square5):
    return discover(square5.train.select(range(400)), validation=square5.validation, seed=5, **CHEAP)


def test_halves_have_no_row_in_common_and_every_search_has_its_own_seed_and_labels(square5, first):
    asked, found = spied(square5, first, Resamples(rows=4, labels=3, seeds=2))
    halves, relabelled, reseeded = asked[:4], asked[4:7], asked[7:]
    everything = np.sort(np.concatenate([square5.train.inputs, square5.train.targets], 1), axis=None)
    for one, other in ((0, 1), (2, 3)):
        parts = [np.concatenate([part.inputs, part.targets], 1) for part, *_ in (halves[one], halves[other])]
        assert abs(len(parts[0]) - len(parts[1])) <= 1
        assert np.array_equal(np.sort(np.concatenate(parts), axis=None), everything)
    assert not np.array_equal(halves[0][0].inputs, halves[2][0].inputs)
    assert len({seed for _, _, seed, _ in halves}) == 4
    assert [seed for _, _, seed, _ in relabelled] == [5, 5, 5]
    assert len({tuple(places) for _, places, _, _ in relabelled}) == 3
    assert all(rows is square5.train for rows, *_ in relabelled + reseeded)
    assert all(places.tolist() == [2, 0, 1, 4, 3] for _, places, _, _ in reseeded)
    assert len({5, *(seed for _, _, seed, _ in reseeded)}) == 3
    assert found.stability.orders.tolist() == [places.tolist() for _, places, _, _ in halves]
    assert (found.stability.before[:, 3] * 4).tolist() == [
        sum(list(places).index(step) < list(places).index(3) for _, places, _, _ in halves) for step in range(5)
    ]


def test_a_strategy_that_knows_the_datas_order_keeps_its_labels(square5, first):
    told = pyorder.search.discovery.replace(first, uses_data_order=True)
    asked, found = spied(square5, told, Resamples(rows=2, labels=1))
    assert len(asked) == 2
    assert all(places.tolist() == [2, 0, 1, 4, 3] for _, places, _, _ in asked)
    assert not len(found.stability.relabelled)  # it would be the same search again


def test_edges_are_counted_and_renamed_with_the_steps(square5, first):
    edges = np.zeros((5, 5))
    edges[0, 1], edges[2, 4] = 1.0, 0.8
    orders = np.array([[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [0, 1, 2, 4, 3]])
    stability = Stability(orders, edges, orders[0], orders[:1], orders[:0], 3.0)
    assert stability.frequent() == [(0, 1)]
    assert stability.frequent(0.5) == [(0, 1), (2, 4)]
    steps = np.array([3, 1, 0, 4, 2])
    renamed = stability.renamed(steps)
    assert renamed.frequent(0.5) == [(0, 2), (3, 1)]
    assert renamed.before[steps[0], steps[1]] == stability.before[0, 1] == pytest.approx(2 / 3)
    assert renamed.renamed(np.argsort(steps)) == stability
    assert Stability.of(stability.summary(orders[1])) == stability


def test_resamples_go_on_where_they_were_interrupted(square5, tmp_path):
    data = square5.train.select(range(400))
    again = {"validation": square5.validation, "seed": 7, "run_dir": tmp_path / "run", **CHEAP}
    stages = []

    def interrupt(told):
        stages.append(told.stage)
        if told.stage.startswith("search 3 of 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        discover_shuffled(data, resamples=Resamples(rows=3, labels=1), progress=interrupt, **again)
    first = discover_shuffled(data, **again)
    told = (
        f"that was search 3 of 4 more; the order of the first search: {','.join(map(str, first.order.tolist()))}"
    )
    assert stopped.value.__notes__[-1] == told
    assert any(re.fullmatch(r"4 more searches, some \d+ s", stage) for stage in stages)
    assert first.stability is None
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/resamples/rows-[12]/result.json")}
    assert len(written) == 2
    found = discover_shuffled(data, resamples=Resamples(rows=3, labels=1), **again)
    assert all(path.stat().st_mtime_ns == before for path, before in written.items())
    assert sorted(path.name for path in tmp_path.glob("run/resamples/*")) == [
        "labels-1", "rows-1", "rows-2", "rows-3",
    ]  # fmt: skip
    assert pyorder.Discovery.load(tmp_path / "run") == found
    assert discover_shuffled(data, resamples=Resamples(rows=3, labels=1), **again) == found
    straight = discover_shuffled(
        data, resamples=Resamples(rows=3, labels=1), **{**again, "run_dir": None}
    ).stability
    assert straight.orders.tolist() == found.stability.orders.tolist()
    assert straight.relabelled.tolist() == found.stability.relabelled.tolist()
    assert pyorder.runs.load_run(tmp_path / "run").parts == {}


def test_a_number_below_zero_is_refused_before_anything_is_searched(square5):
    for resamples in (-1, Resamples):
        with pytest.raises((ValueError, TypeError), match="resamples"):
            discover(square5.train, validation=square5.validation, resamples=resamples)
    with pytest.raises(ValueError, match="resamples: labels"):
        Resamples(labels=-2)
