"""Results compare by what they hold."""

import copy
import importlib
import importlib.util
import pickle
from collections.abc import Hashable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import pyorder
from pyorder import _values
from pyorder._values import ByContents, same
from pyorder.search import Hierarchical

ARRAYS = ("NDArray", "ndarray", "Floats", "Orders", "Ints", "Tensor", "Profile", "Exploration", "dict")


def dataclasses():
    """Every dataclass of the package, but for its kernels."""
    for path in sorted(Path(pyorder.__file__).parent.rglob("*.py")):
        parts = path.relative_to(Path(pyorder.__file__).parent).with_suffix("").parts
        if parts[0] in ("kernels", "__main__", "__init__"):
            continue
        if parts[-1] == "hugging_face" and importlib.util.find_spec("transformers") is None:
            continue  # which it is a part of
        module = importlib.import_module(".".join(["pyorder", *parts]).removesuffix(".__init__"))
        for value in vars(module).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__:
                yield value


def test_docstring_examples(doctests):
    doctests(_values)


RESULTS = {
    "Chunk", "DependencyGraph", "Discovery", "Exploration", "FirstLook", "Fitted", "Leakage", "LearningCurves",
    "LinearOrdering", "OrderGrid", "PrecedenceMatrix", "Profile", "RankedLosses", "Run", "Stage", "StageRecord",
    "SweepTable",
}  # fmt: skip


def test_no_dataclass_compares_its_arrays_as_a_tuple_would():
    """Results compare by contents and are not hashable; what else holds arrays is equal to itself alone."""
    found = set()
    for kind in dataclasses():
        if any(word in str(field.type) for field in fields(kind) for word in ARRAYS):
            if kind is Hierarchical:  # it keeps tuples
                continue
            assert kind.__eq__ in (ByContents.__eq__, object.__eq__), kind
            if issubclass(kind, ByContents):
                assert not issubclass(kind, Hashable), kind
                found.add(kind.__name__)
    assert found >= RESULTS


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1, 2]), np.array([1.0, 2.0]), True),
        (np.zeros((1, 2)), np.zeros(2), False),
        (np.array(["a"]), np.array(["a"]), True),
        (np.array([None]), np.array([None]), True),
        (np.zeros(1), [0.0], False),
        ([np.nan, {"a": np.zeros(2)}], [np.nan, {"a": np.zeros(2)}], True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1], False),
        ("1", 1, False),
        (None, 0, False),
    ],
)
def test_same(one, other, equal):
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_other_types_are_not_equal():
    @dataclass(frozen=True, eq=False)
    class One(ByContents):
        value: np.ndarray

    class Other(One):
        pass

    assert One(np.zeros(2)) == One(np.zeros(2))
    assert One(np.zeros(2)) != One(np.ones(2))
    assert One(np.zeros(2)) != Other(np.zeros(2))
    assert One(np.zeros(2)) != "zeros"


def test_results_compare(square5):
    found = pyorder.discover(
        square5.train, validation=square5.validation, strategy=pyorder.search.Random(6, 6), steps=3
    )
    fitted = pyorder.fit(square5.train, found.order, test=square5.test, model="nano", steps=3)
    (stage,) = found.history
    for result in (found, stage, stage.profile, fitted):
        twin = copy.deepcopy(result)
        assert twin == result
        assert twin in [None, result]
        assert pickle.loads(pickle.dumps(result)) == result
        assert result != replace(result, **{"name": "x"} if result is stage else {"seconds": -1.0})
        with pytest.raises(TypeError, match="unhashable"):
            hash(result)
    step_loss = stage.profile.step_loss + 1e-9
    assert replace(stage, profile=replace(stage.profile, step_loss=step_loss)) != stage
    other = copy.deepcopy(fitted)
    next(other.model.parameters()).data[0] += 1e-3
    assert other != fitted


def test_a_strategy_with_its_own_candidates_compares_and_is_hashable():
    orders = np.array([[0, 1, 2], [2, 1, 0]])
    one, other = Hierarchical(initialisation=orders), Hierarchical(initialisation=orders.tolist())
    assert one == other
    assert len({one, other, Hierarchical(initialisation=orders[::-1]), Hierarchical()}) == 3
    orders[0] = [1, 0, 2]
    assert one == other
