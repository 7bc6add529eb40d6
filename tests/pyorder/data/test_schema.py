"""Schemas: which columns are a step, what fields are called, and the text that keeps it in files."""

import copy
import json
import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyorder.data.schema import Field, Schema, make_schema
from pyorder.errors import InputError

RECORD = Schema((Field("a"), Field("b", 2)), (Field("sum", 2), Field("sign"), Field("rest", 3)), True, "mask")

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
fields = st.lists(st.builds(Field, names, st.integers(1, 4)), unique_by=lambda field: field.name, max_size=6)
schemas = st.builds(
    Schema, fields, fields.filter(lambda steps: len(steps) > 1), st.booleans(), st.sampled_from(["symbol", "mask"])
)


def test_docstring_examples(doctests):
    for module in ("schema", "field", "constraints"):
        doctests(f"pyorder.data.{module}")
    doctests("pyorder.errors")


def test_what_a_schema_tells():
    assert (RECORD.length, RECORD.columns, RECORD.input_length) == (3, 6, 3)
    assert RECORD.offsets.tolist() == [0, 2, 3, 6]
    assert RECORD.offsets.dtype == np.int64
    assert not RECORD.offsets.flags.writeable
    assert (RECORD.names, RECORD.widths, RECORD.input_names) == (("sum", "sign", "rest"), (2, 1, 3), ("a", "b"))
    assert RECORD.named
    assert not RECORD.plain


def test_steps_are_numbered_unless_they_have_names():
    schema = make_schema(2, 3)
    assert (schema.names, schema.input_names, schema.widths) == (("0", "1", "2"), ("0", "1"), (1, 1, 1))
    assert not schema.named
    assert schema.plain
    assert make_schema(2, 3, names=["0", "1", "2"]) == schema
    assert make_schema(2, 3, names=["1", "0", "2"]).named
    for more in ({"input_names": ["a", "b"]}, {"widths": [1, 2]}, {"ends": True}, {"missing": "mask"}):
        assert not make_schema(2, 3, **more).plain
        assert not make_schema(2, 3, **more).named


@given(schemas, st.data())
def test_column_orders_are_those_of_a_plain_loop(schema, data):
    orders = data.draw(st.lists(st.permutations(range(schema.length)), min_size=1, max_size=4))
    spans = [range(schema.offsets[s], schema.offsets[s + 1]) for s in range(schema.length)]
    columns = schema.column_orders(np.array(orders))
    assert columns.tolist() == [[column for step in order for column in spans[step]] for order in orders]
    assert columns.dtype == np.int64


def test_orders_of_steps_one_column_wide_are_returned_as_they_are():
    orders = np.array([[2, 0, 1], [0, 1, 2]])
    assert make_schema(1, 3).column_orders(orders) is orders


def test_column_orders_are_fast():
    generator = np.random.default_rng(0)
    schema = make_schema(0, 400, widths=[1, 2, 3] * 66 + [2, 2])
    orders = np.argsort(generator.random((5040, 200)), axis=1)
    start = time.perf_counter()
    columns = schema.column_orders(orders)
    assert time.perf_counter() - start < 5  # a tenth of a second; a loop takes minutes
    assert np.array_equal(np.sort(columns, axis=1), np.broadcast_to(np.arange(400), columns.shape))


@pytest.mark.parametrize(
    ("orders", "error"),
    [([[0, 1]], ValueError), ([[0, 1, 1]], ValueError), ([0, 1, 2], ValueError), ("x", TypeError)],
)
def test_column_orders_of_what_is_no_order_are_refused(orders, error):
    with pytest.raises(error, match="^orders: "):
        RECORD.column_orders(orders)


@given(schemas, st.data())
def test_reordered_and_back(schema, data):
    order = np.array(data.draw(st.permutations(range(schema.length))))
    moved = schema.reordered(order)
    assert moved.widths == tuple(schema.widths[step] for step in order)
    if schema.named:
        assert moved.names == tuple(schema.names[step] for step in order)
        assert moved.reordered(np.argsort(order)) == schema
    assert (moved.inputs, moved.ends, moved.missing) == (schema.inputs, schema.ends, schema.missing)


def test_numbers_in_place_of_names_tell_places():
    moved = make_schema(1, 4, widths=[2, 1, 1]).reordered([1, 2, 0])
    assert (moved.names, moved.widths, moved.named) == (("0", "1", "2"), (1, 1, 2), False)


@given(schemas)
def test_text_and_copies_keep_everything(schema):
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.offsets.size == schema.length + 1  # kept once it has been asked for
    for again in (copy.deepcopy(schema), pickle.loads(pickle.dumps(schema))):
        assert again == schema
        assert not again.offsets.flags.writeable


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Field(3), TypeError, "names: expected text, got 3"),
        (lambda: Field(""), InputError, "names: expected text that is not empty"),
        (lambda: Field("\udc80"), InputError, "names: expected valid Unicode"),
        (lambda: Field("a", 0), ValueError, "widths: expected an integer from 1 to 2147483647, got 0"),
        (lambda: Field("a", 1.0), TypeError, "widths: expected an integer"),
        (lambda: Schema((), (Field("a"),)), InputError, "steps: expected at least 2 steps, got 1"),
        (lambda: Schema((), ("a", "b")), TypeError, "steps: expected Fields, got 'a'"),
        (
            lambda: Schema((), (Field("a"), Field("a"))),
            InputError,
            "steps: expected distinct names, got 'a' twice",
        ),
        (lambda: Schema((Field("a"),) * 2, RECORD.steps), InputError, "inputs: expected distinct names"),
        (lambda: Schema((), RECORD.steps, 1), TypeError, "ends: expected True or False, got 1"),
        (lambda: Schema((), RECORD.steps, True, "drop"), InputError, "missing: expected 'symbol' or 'mask'"),
        (lambda: make_schema(1, 3, names=["a"]), InputError, r"names: expected as many .* steps \(3\), got 1"),
        (
            lambda: make_schema(1, 2, names="ab"),
            TypeError,
            "names: expected a sequence of names, got the text 'ab'",
        ),
        (lambda: make_schema(1, 2, names=["a", "a"]), InputError, "names: expected distinct names, got 'a' twice"),
        (lambda: make_schema(1, 2, names=["a", 1]), TypeError, "names: expected text, got 1"),
        (lambda: make_schema(1, 2, names=np.array("ab")), InputError, "names: expected as many"),
        (lambda: make_schema(1, 2, input_names=[""]), InputError, "input_names: expected text that is not empty"),
        (lambda: make_schema(1, 2, input_names=["a", "b"]), InputError, r"input_names: .* inputs \(1\), got 2"),
        (lambda: make_schema(1, 3, widths=[1, 1]), InputError, "widths: expected a sum of 3, .* got a sum of 2"),
        (lambda: make_schema(1, 3, widths=[3]), InputError, "widths: .* at least 2 steps"),
        (lambda: make_schema(1, 3, widths=[3, 0]), ValueError, "widths: expected an integer from 1"),
        (lambda: make_schema(1, 3, widths=[1.0, 2.0]), TypeError, "widths: expected an integer, got 1.0"),
        (lambda: make_schema(1, 3, widths=3), TypeError, "widths: expected a sequence of integers, got 3"),
    ],
)
def test_what_is_no_schema_is_refused(build, error, message):
    with pytest.raises(error, match=f"^{message}") as caught:
        build()
    assert "\n" not in str(caught.value)


def changed(**news):
    return json.dumps(json.loads(RECORD.to_json()) | news)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON, got ''"),
        ("[" * 100_000, "expected JSON"),
        ("[]", r"expected a JSON object, got '\[\]'"),
        ("{}", "expected version 1, 2 or 3, got None"),
        (changed(version=4), "expected version 1, 2 or 3, got 4"),
        (changed(version=True), "expected version 1, 2 or 3, got True"),
        (changed(codec="x"), "expected the keys version, inputs, steps, ends, missing, got "),
        ('{"version": 1}', "expected the keys"),
        (changed(steps={}), "steps: expected a list of objects"),
        (changed(steps=["a", "b"]), "steps: expected a list of objects"),
        (changed(steps=[]), "steps: expected at least 2 steps"),
        (changed(steps=[{"name": "a"}]), "steps: expected the keys name, width, got 'name'"),
        (changed(steps=[{"name": "a", "width": 1.5}] * 2), "widths: expected an integer"),
        (changed(steps=[{"name": "a", "width": 2**70}] * 2), "widths: expected an integer from 1"),
        (changed(steps=[{"name": None, "width": 1}] * 2), "names: expected text, got None"),
        (changed(inputs=[{"name": "a", "width": 1}] * 2), "inputs: expected distinct names"),
        (changed(ends=1), "ends: expected True or False"),
        (changed(missing=[]), "missing: expected"),
    ],
)
def test_broken_text_is_refused(text, message):
    with pytest.raises(InputError, match=f"^schema: {message}") as caught:
        Schema.from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps), st.integers(0, 200))
def test_no_text_escapes_as_another_error(text, place):
    whole = RECORD.to_json()
    for broken in (text, whole[:place] + text + whole[place + 1 :]):
        try:
            Schema.from_json(broken)
        except InputError:
            continue
