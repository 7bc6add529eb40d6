"""Reordering what a training loop has in hand, and back."""

import json
import pickle
import subprocess
import sys
from collections import OrderedDict, UserDict, namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, default_collate

import pyorder
from pyorder import Dataset, Reordering, reorder, restore
from pyorder.data import reordering
from pyorder.errors import InputError

ORDER = [2, 0, 1]


class Result:
    """What a search hands over."""

    def __init__(self, order, step_names=()):
        self.order, self.step_names = np.array(order), tuple(step_names)


NAMES = ["a", "b", "c"]
FOUND = Result(ORDER, NAMES)


def test_examples(doctests):
    doctests(reordering)
    doctests("pyorder.data._nesting")


@pytest.mark.parametrize("order", [ORDER, tuple(ORDER), np.array(ORDER, np.uint8), torch.tensor(ORDER), FOUND])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)])
def test_arrays_and_tensors_are_taken_by_slot(order, shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    wanted = np.stack([array[..., 2], array[..., 0], array[..., 1]], axis=-1)
    for batch in (array, torch.tensor(array), array.tolist()):
        moved = reorder(batch, order)
        assert type(moved) is type(batch)
        np.testing.assert_array_equal(moved, wanted)
        np.testing.assert_array_equal(restore(moved, order), array)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.lists(st.integers(0, 3), max_size=2), st.data())
def test_restore_undoes_reorder_and_the_other_way_round(widths, leading, draw):
    order = draw.draw(st.permutations(range(len(widths))))
    shape = (*leading, sum(widths))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    moved_widths = [widths[step] for step in order]
    for batch in (array, torch.tensor(array)):
        moved = reorder(batch, order, widths=widths)
        assert moved.shape == batch.shape
        np.testing.assert_array_equal(restore(moved, order, widths=widths), array)
        np.testing.assert_array_equal(reorder(restore(batch, order, widths=widths), order, widths=widths), array)
        # Backwards is the inverse order of steps as wide as they come.
        back = reorder(moved, np.argsort(order), widths=moved_widths)
        np.testing.assert_array_equal(back, array)


def test_masks_gradients_and_types_are_kept():
    masked = reorder(np.ma.masked_equal([[1, 2, 3]], 3), ORDER)
    assert masked.mask.tolist() == [[True, False, False]]
    weights = torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True)
    (reorder(weights, ORDER) * torch.tensor([1, 2, 3])).sum().backward()
    assert weights.grad.tolist() == [[2, 3, 1]] * 2
    assert weights.grad.dtype == torch.bfloat16
    assert reorder(torch.empty(2, 3, device="meta"), ORDER).device.type == "meta"


def test_wide_steps_move_as_a_dataset_moves_them():
    targets = np.arange(12).reshape(2, 6)
    data = Dataset(None, targets, widths=[2, 1, 3], names=["a", "b", "c"])
    for order in (ORDER, FOUND):
        moved = reorder(targets, order, widths=data.widths)
        np.testing.assert_array_equal(moved, data.reorder(ORDER).targets)
        np.testing.assert_array_equal(restore(moved, order, widths=data.widths), targets)
    np.testing.assert_array_equal(
        reorder(targets, ["c", "a", "b"], names=data.names, widths=data.widths), data.reorder(ORDER).targets
    )


def test_a_result_speaks_of_its_own_steps_whatever_names_are_given():
    assert reorder(np.array([1, 2, 3]), FOUND, names=["c", "b", "a"]).tolist() == [1, 3, 2]  # c, a, b
    with pytest.raises(InputError, match="^order: expected each of x, y, z once, got c, a, b$"):
        reorder(np.zeros(3), FOUND, names=["x", "y", "z"])
    assert reorder(np.array([1, 2, 3]), Result(ORDER), names=["x", "y", "z"]).tolist() == [3, 1, 2]


NAMED = Dataset([[0], [1]], [[7, 8, 9], [4, 5, 6]], names=NAMES)
DIGITS = Dataset(None, [[7, 8, 9]], names=["1", "2", "0"])


@pytest.mark.parametrize("order", [ORDER, ["c", "a", "b"], ("c", "a", "b"), np.array(["c", "a", "b"]), FOUND])
def test_data_take_an_order_in_every_form(order):
    moved = NAMED.reorder(order)
    assert moved.names == ("c", "a", "b")
    assert moved.targets.tolist() == [[9, 7, 8], [6, 4, 5]]
    assert moved.reorder(["a", "b", "c"]).targets.tolist() == NAMED.targets.tolist()
    assert moved.reorder(FOUND).names == ("c", "a", "b")  # by name, whatever the columns are


def test_integers_are_places_and_texts_names_though_they_are_digits():
    assert DIGITS.reorder([2, 0, 1]).targets.tolist() == [[9, 7, 8]]
    assert DIGITS.reorder(["2", "0", "1"]).targets.tolist() == [[8, 9, 7]]
    assert Dataset(None, [[7, 8, 9]]).reorder(FOUND).targets.tolist() == [[9, 7, 8]]  # of data without names


@pytest.mark.parametrize("orders", [
    [ORDER, [0, 1, 2]], [["c", "a", "b"], ["a", "b", "c"]], [FOUND, (0, 1, 2)],
    np.array([["c", "a", "b"], ["a", "b", "c"]]), [np.array(["c", "a", "b"]), torch.tensor([0, 1, 2])],
    torch.tensor([ORDER, [0, 1, 2]]),
])  # fmt: skip
def test_lists_of_orders_may_mix_their_forms(orders):
    assert reordering.orders_of(orders, NAMED.schema).tolist() == [ORDER, [0, 1, 2]]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: NAMED.reorder(["c", "a", "x"]), InputError, "order: expected each of a, b, c once, got c, a, x"),
        (lambda: NAMED.reorder(["c", "a", "a"]), InputError, "order: expected each of a, b, c once, got c, a, a"),
        (lambda: NAMED.reorder(["c", "a"]), InputError, "order: expected each of a, b, c once, got c, a"),
        (lambda: NAMED.reorder("cab"), TypeError, "order: expected numbers, a list of names or a Discovery"),
        (lambda: NAMED.reorder(Result([0, 1])), ValueError, r"order: expected shape \(3,\), got \(2,\)"),
        (lambda: NAMED.reorder(["c", 0, 1]), TypeError, "order: expected integers"),
        (lambda: reordering.orders_of([["a", "b", "c"], ["a", "b", "d"]], NAMED.schema), InputError,
         "orders: row 1: expected each of a, b, c once, got a, b, d"),
        (lambda: reordering.orders_of(["a", "b", "c"], NAMED.schema), TypeError,
         "orders: row 0: expected numbers, a list of names or a Discovery, got 'a'"),
        (lambda: reordering.orders_of([["a", "b", "c"], [0, 1]], NAMED.schema), ValueError,
         r"orders: row 1: expected shape \(3,\), got \(2,\)"),
    ],
)  # fmt: skip
def test_what_is_no_order_of_the_datas_steps_is_refused(call, kind, message):
    with pytest.raises(kind, match=f"^{message}") as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict])
def test_fields_come_in_the_order_behind_all_others(kind):
    record = kind({"b": 2, "id": 0, "a": [1], "c": 3})
    for order in (FOUND, ["c", "a", "b"]):
        moved = reorder(record, order)
        assert list(moved.items()) == [("id", 0), ("c", 3), ("a", [1]), ("b", 2)]
        assert moved["a"] is record["a"]
    for back in (
        restore(moved, FOUND),
        restore(moved, ORDER, names=NAMES),
        restore(moved, ["c", "a", "b"], names=NAMES),
    ):
        assert list(back) == ["id", "a", "b", "c"]


def test_numbers_alone_count_all_keys():
    record = {"x": 1, "y": 2, "z": 3}
    assert list(reorder(record, ORDER)) == ["z", "x", "y"]
    assert list(restore(reorder(record, ORDER), ORDER)) == ["x", "y", "z"]
    assert reorder('{"x":1,"y":2,"z":3}', ORDER) == '{"z":3,"x":1,"y":2}'
    assert restore('{"z":3,"x":1,"y":2}', ORDER) == '{"x":1,"y":2,"z":3}'


RECORD = {"q": "2+3", "say": {"odd": True, "sum": {"tens": 0, "ones": 5}, "by": "me"}, "plan": "add"}


def test_dotted_names_lead_into_objects():
    moved = reorder(RECORD, ["say.sum.ones", "plan", "say.odd", "say.sum.tens"])
    wanted = '{"q": "2+3", "say": {"by": "me", "sum": {"ones": 5, "tens": 0}, "odd": true}, "plan": "add"}'
    assert json.dumps(moved) == wanted
    assert reorder(json.dumps(RECORD), ["say.sum.ones", "plan", "say.odd", "say.sum.tens"]) == wanted
    flat = {"say.odd": 1, "plan": 2}  # as `Dataset.to_records` gives them
    assert list(reorder(flat, ["plan", "say.odd"])) == ["plan", "say.odd"]


def test_what_stands_in_text_stays_as_it_is():
    text = ' {\n  "a" : 1.50e+2,\n  "b": "\\u00fc } , \\"c\\": ",\n  "c": [{"b": 1, "b": 2}, null]\n}\n'
    moved = reorder(text, FOUND)
    assert moved == ' {\n  "c": [{"b": 1, "b": 2}, null],\n  "a" : 1.50e+2,\n  "b": "\\u00fc } , \\"c\\": "\n}\n'
    assert restore(moved, FOUND) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(alphabet='ab."\\ü', min_size=1, max_size=3), values, min_size=1, max_size=5).flatmap(
        lambda record: st.tuples(st.just(record), st.permutations(range(len(record))))
    ),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
def test_text_is_what_json_writes_of_the_reordered_record(case, indent, escaped):
    record, order = case
    keys = list(record)
    wanted = {keys[step]: record[keys[step]] for step in order}
    text, moved = (json.dumps(each, indent=indent, ensure_ascii=escaped) for each in (record, wanted))
    assert reorder(text, order) == moved
    assert restore(moved, order) == text
    assert list(reorder(record, order)) == list(wanted)
    assert list(restore(wanted, order)) == keys


def test_lists_of_records_and_texts_are_reordered_one_by_one():
    assert [list(row) for row in reorder([{"a": 1, "b": 2}, {"b": 3, "a": 4}], ["b", "a"])] == [["b", "a"]] * 2
    assert reorder(['{"a":1,"b":2}'], ["b", "a"]) == ['{"b":2,"a":1}']


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: reorder(np.zeros((2, 4)), ORDER), InputError, r"batch: expected 3 columns, .* \(2, 4\)"),
        (lambda: reorder([[1, 2], [3, 4]], ORDER), InputError, r"batch: expected 3 columns, .* shape \(2,\)"),
        (lambda: reorder(np.float64(3), ORDER), TypeError, "batch: expected an array, .*got float64"),
        (lambda: reorder(np.zeros(()), ORDER), InputError, r"batch: expected 3 columns, .* shape \(\)"),
        (lambda: reorder({1, 2}, ORDER), TypeError, "batch: expected an array, .*got set"),
        (lambda: reorder(np.zeros(3), [0, 0, 1]), ValueError, "order: not a permutation of 0..2"),
        (lambda: reorder(np.zeros(3), [0.0, 1.0]), TypeError, "order: expected integers, got float64"),
        (
            lambda: reorder(np.zeros(3), "cab"),
            TypeError,
            "order: expected numbers, a list of names or a Discovery",
        ),
        (
            lambda: reorder(np.zeros(2), ["b", "a"]),
            InputError,
            "order: expected numbers, or names= with the canon",
        ),
        (lambda: reorder(np.zeros(3), ORDER, names="ab"), TypeError, "names: expected a list of texts, got 'ab'"),
        (lambda: reorder({}, ORDER, names=["a", "b"]), ValueError, r"order: expected shape \(2,\), got \(3,\)"),
        (lambda: reorder({}, ["a"], names=["a", "b"]), InputError, "order: expected each of a, b once, got a"),
        (
            lambda: reorder(np.zeros(6), ORDER, widths=[2, 2]),
            InputError,
            r"widths: expected 3 integers .* \[2, 2\]",
        ),
        (
            lambda: reorder(np.zeros(6), ORDER, widths=[0, 3, 3]),
            InputError,
            "widths: expected 3 integers of at least",
        ),
        (lambda: reorder({"a": 1}, ["a", "a"]), InputError, "order: the name 'a' is there twice"),
        (lambda: reorder({"a": 1, "d": 2}, ["b", "a"]), InputError, "batch: there is no 'b'; there are a, d"),
        (lambda: reorder({"a": {"d": 1}}, ["a.b"]), InputError, "batch: there is no 'a.b'; there are a.d"),
        (lambda: reorder({"a": 1}, ["a.b"]), InputError, "batch: there is no 'a.b': 'a' is no object"),
        (lambda: reorder('{"a": [{"b": 1}]}', ["a.b"]), InputError, "batch: there is no 'a.b': 'a' is no object"),
        (lambda: reorder({"a": {"b": 1}}, ["a.b", "a"]), InputError, "batch: 'a' is asked for, and a part "),
        (lambda: reorder({"a": {"b": 1}}, ["a", "a.b"]), InputError, "batch: 'a' is asked for, and a part "),
        (
            lambda: reorder({"a": 1, "b": 2}, ORDER),
            InputError,
            "order: expected 2 numbers for the keys a, b, got 3",
        ),
        (lambda: reorder('{"a": 1}', ["b"]), InputError, "batch: there is no 'b'; there are a"),
        (lambda: reorder("{}", ["b"]), InputError, "batch: there is no 'b'; there are none"),
        (lambda: reorder('{"a": 1, "a": 2}', ["a"]), InputError, "batch: the key 'a' is there twice"),
        (lambda: restore({"a": 1}, ["a"]), InputError, "names: expected the canonical order too, for a list"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, kind, message):
    with pytest.raises(kind, match=f"^{message}") as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "a", "[1]", '"a"', '{"a": 1', '{"a" 1}', '{"a": }', '{"a": 1,}', '{"a": 1} x', '{a: 1}', "{1: 2}",
     '{"a": 1}{"a": 1}', "{,}", '{"a": 1 "b": 2}', '{"a": ' + "[" * 100_000],
)  # fmt: skip
def test_text_that_is_no_json_object_is_refused(text):
    with pytest.raises(InputError, match="^batch: expected a JSON object as text, got "):
        reorder(text, ["a"])


PAIR = namedtuple("PAIR", "inputs targets")
TARGETS = torch.arange(12).reshape(4, 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_reorders_its_batches(workers):
    samples = [{"inputs": row.sum(), "targets": row, "mask": row > 3} for row in TARGETS]
    loader = DataLoader(
        samples, batch_size=2, collate_fn=Reordering(FOUND, "targets", "mask"), num_workers=workers
    )
    batches = list(loader)
    assert [list(batch) for batch in batches] == [["inputs", "targets", "mask"]] * 2
    assert torch.equal(torch.cat([batch["targets"] for batch in batches]), TARGETS[:, ORDER])
    assert torch.equal(torch.cat([batch["mask"] for batch in batches]), TARGETS[:, ORDER] > 3)
    assert torch.equal(torch.cat([batch["inputs"] for batch in batches]), TARGETS.sum(1))


@pytest.mark.parametrize("make", [tuple, list, PAIR._make])
def test_samples_may_be_pairs(make):
    samples = [make([row.sum(), row]) for row in TARGETS]
    inputs, targets = Reordering(ORDER, 1)(samples)
    assert torch.equal(inputs, TARGETS.sum(1))
    assert torch.equal(targets, TARGETS[:, ORDER])
    assert type(Reordering(ORDER, 1)(samples)) is type(default_collate(samples))


def test_a_collate_function_of_ones_own_comes_first():
    moved = Reordering(ORDER, collate=torch.stack)(list(TARGETS))
    assert torch.equal(moved, TARGETS[:, ORDER])


def test_fields_of_a_batch_are_reordered_where_no_key_is_named():
    samples = [{"c": 3, "a": 1, "b": 2}] * 2
    assert list(Reordering(["b", "a", "c"])(samples)) == ["b", "a", "c"]
    assert torch.equal(Reordering(["b", "a", "c"])(samples)["b"], torch.tensor([2, 2]))


def test_a_key_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="^keys: there is no 'target' in the batch; there are targets$"):
        Reordering(ORDER, "target")({"targets": [[1, 2, 3]]})
    with pytest.raises(InputError, match="^keys: there is no 2 in the batch; there are 0, 1$"):
        Reordering(ORDER, 2)([(1, torch.zeros(3))])
    with pytest.raises(TypeError, match="^batch: expected a mapping or a sequence, got int$"):
        Reordering(ORDER, 0, collate=len)([1])


def test_it_is_pickled_without_what_was_searched():
    """A search's result may be large, and workers need none of it."""
    again = pickle.loads(pickle.dumps(Reordering(FOUND, "text", "numbers")))
    batch = {"text": ['{"a":1,"b":2,"c":3}'], "numbers": [[1, 2, 3]]}
    assert again(batch) == {"text": ['{"c":3,"a":1,"b":2}'], "numbers": [[3, 1, 2]]}
    assert b"Result" not in pickle.dumps(again)


def test_datasets_of_hugging_face_are_mapped():
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(
        {"text": ['{"a": 1, "b": 2, "c": 3}', '{"c": 1, "b": 2, "a": 3}'], "targets": [[1, 2, 3], [4, 5, 6]]}
    )
    transform = Reordering(FOUND, "text", "targets")
    wanted = {
        "text": ['{"c": 3, "a": 1, "b": 2}', '{"c": 1, "a": 3, "b": 2}'],
        "targets": [[3, 1, 2], [6, 4, 5]],
    }
    datasets.disable_progress_bars()
    assert rows.map(transform, batched=True, new_fingerprint="whole")[:] == wanted
    assert rows.map(transform, new_fingerprint="single")[:] == wanted
    rows.set_transform(transform)
    assert rows[:] == wanted


def test_torch_is_not_imported_for_arrays(tmp_path):
    code = "import sys, numpy, pyorder; pyorder.reorder(numpy.zeros(2), [1, 0]); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_result_of_a_search_is_an_order(square5):
    found = pyorder.discover(
        square5.train, validation=square5.validation, strategy="random", steps=1, model="nano", seed=0
    )
    moved = reorder(square5.train.targets, found)
    np.testing.assert_array_equal(moved, square5.train.reorder(found.order).targets)
    np.testing.assert_array_equal(restore(moved, found), square5.train.targets)
