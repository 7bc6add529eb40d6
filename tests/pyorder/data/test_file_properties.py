"""Whatever a dataset is made of, what was saved is what is opened."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyorder import Dataset
from pyorder.errors import InputError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
names = texts.filter(lambda name: name.strip() and "." not in name)  # a dot would lead into an object
integers = st.integers(-(2**40), 2**40)
numbers = st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: number + 0.5)


def reopened(data):
    """The dataset in a file, opened; saved once more it is the same file."""
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "data.safetensors"), Path(folder, "again.safetensors")
        data.save(path)
        back = Dataset.open(path)
        back.save(again)
        assert again.read_bytes() == path.read_bytes()
        return back


def assert_same(back, data):
    assert back.schema == data.schema
    assert back.vocabulary.tolist() == data.vocabulary.tolist()
    assert {key: back.metadata[key] for key in data.metadata} == dict(data.metadata)
    assert [ids.tolist() for ids in back.encode()] == [ids.tolist() for ids in data.encode()]
    for name in ("inputs", "targets", "lengths", "inputs_missing", "groups"):
        one, other = getattr(back, name), getattr(data, name)
        assert (one is None) == (other is None)
        assert one is None or (one.tolist() == other.tolist() and not one.flags.writeable)


@st.composite
def tables(draw):
    """Columns of one kind each, with gaps: (names, rows)."""
    columns = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    kinds = [draw(st.sampled_from([integers, numbers, texts, st.booleans()])) for _ in columns]
    rows = draw(st.lists(st.tuples(*(kind | st.none() for kind in kinds)), min_size=1, max_size=8))
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


@st.composite
def arrays(draw):
    """What a dataset of integers is made of."""
    widths = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    rows, inputs = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    low, high = draw(st.sampled_from([(0, 5), (-200, 200), (-(2**63), 2**63 - 1)]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(
        low, high, (rows, inputs + sum(widths)), endpoint=True
    )
    named = draw(st.booleans())
    fields = draw(st.lists(names, min_size=len(widths) + inputs, max_size=len(widths) + inputs, unique=True))
    return Dataset(
        values[:, :inputs] if inputs else None,
        values[:, inputs:],
        widths=widths,
        names=fields[inputs:] if named else None,
        input_names=fields[:inputs] if named and inputs else None,
        missing=draw(st.sampled_from(["symbol", "mask"])),
        ends=draw(st.booleans()),
        groups=draw(st.none() | st.lists(st.integers(0, 3), min_size=rows, max_size=rows)),
        metadata=draw(st.dictionaries(texts.filter(lambda key: key not in RESERVED), texts, max_size=3)),
    )


RESERVED = ("vocabulary", "schema", "pyorder_version")


@settings(deadline=None, max_examples=60)
@given(arrays())
def test_integers(data):
    assert_same(reopened(data), data)


@settings(deadline=None, max_examples=30)
@given(tables(), st.data())
def test_categories_numbers_and_truth_values(table, draw):
    pyarrow = pytest.importorskip("pyarrow")
    columns, rows = table
    inputs = draw.draw(st.sets(st.sampled_from(columns), max_size=len(columns) - 2))
    frame = pyarrow.table({name: [row[name] for row in rows] for name in columns})
    try:
        data = Dataset.from_table(frame, inputs=sorted(inputs), bins=draw.draw(st.integers(2, 8)))
    except InputError:  # too few columns are left where some tell nothing or the same; test_tables has the words
        return
    back = reopened(data)
    assert_same(back, data)
    assert back.to_records() == data.to_records()
    for field in (*back.schema.inputs, *back.schema.steps):
        if field.codec.edges is None and field.codec.values:
            assert [record[field.name] for record in back.to_records()] == [row[field.name] for row in rows]


@settings(deadline=None, max_examples=30)
@given(tables(), st.data())
def test_fields_of_text(table, draw):
    columns, rows = table
    assume(any(value is not None for row in rows for value in row.values()))
    inputs = draw.draw(st.sets(st.sampled_from(columns), max_size=len(columns) - 2))
    data = Dataset.from_records(
        rows, inputs=sorted(inputs), targets=[name for name in columns if name not in inputs]
    )
    back = reopened(data)
    assert_same(back, data)
    records = back.to_records()
    assert records == data.to_records()
    for record, row in zip(records, rows, strict=True):
        assert all(record[name] == value for name, value in row.items() if isinstance(value, str | None))
