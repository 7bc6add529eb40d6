"""Spans, gaps and names in datasets: tokens and back, files and orders, against plain loops over rows."""

import pickle
import tempfile
import tracemalloc
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy as official
from hypothesis import given, settings
from hypothesis import strategies as st

import pyorder
from pyorder.data._arrays import blocks
from pyorder.data.dataset import Dataset
from pyorder.data.schema import IGNORED

FILL = -999  # under every mask: it must be in no vocabulary


class Plain:
    """Rows as lists: inputs with None where one is missing, and a list of values for every span."""

    def __init__(self, inputs, spans, widths, missing):
        self.inputs, self.spans, self.widths, self.missing = inputs, spans, widths, missing

    def dataset(self, **options):
        targets = [[*span, *[FILL] * (width - len(span))] for row in self.spans
                   for span, width in zip(row, self.widths, strict=True)]  # fmt: skip
        targets = np.array(list(chain(*targets))).reshape(len(self.spans), sum(self.widths))
        inputs = np.array([[FILL if value is None else value for value in row] for row in self.inputs], np.int16)
        inputs = inputs.reshape(len(self.inputs), -1)
        return Dataset(
            np.ma.masked_equal(inputs, FILL),
            np.ma.masked_equal(targets, FILL),
            widths=self.widths,
            missing=self.missing,
            **options,
        )

    @property
    def values(self):
        used = {value for row in self.spans for span in row for value in span}
        return sorted(used | {value for row in self.inputs for value in row if value is not None})

    @property
    def gaps(self):
        short = any(len(span) < width for row in self.spans for span, width in zip(row, self.widths, strict=True))
        return short or any(value is None for row in self.inputs for value in row)

    def tokens(self, values):
        """Token ids by the definition, one value after the other."""
        end = len(values)
        inputs = [[end if value is None else values.index(value) for value in row] for row in self.inputs]
        targets = []
        for row in self.spans:
            ids = []
            for span, width in zip(row, self.widths, strict=True):
                tail = [end] if len(span) < width and (span or self.missing == "symbol") else []
                written = [values.index(value) for value in span] + tail
                ids += written + [IGNORED] * (width - len(written))
            targets.append(ids)
        return inputs, targets


@st.composite
def plain_data(draw):
    widths = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    value = st.integers(-3, 3)
    rows = st.tuples(
        st.lists(value | st.none(), min_size=(x := draw(st.integers(0, 3))), max_size=x),
        st.tuples(
            *[st.lists(value, min_size=draw(st.sampled_from([0, width])), max_size=width) for width in widths]
        ),
    )
    inputs, spans = zip(*draw(st.lists(rows, min_size=1, max_size=6)), strict=True)
    data = Plain(list(inputs), list(spans), widths, draw(st.sampled_from(["symbol", "mask"])))
    return (
        data
        if data.values
        else Plain([[None] * x] * len(spans), [[[1]] * len(widths)] * len(spans), widths, "mask")
    )


def same(one, other):
    assert np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
    assert one.tolist() == other.tolist()  # None where masked


@settings(deadline=None, max_examples=60)
@given(plain_data())
def test_tokens_are_those_of_a_plain_loop_and_come_back(plain):
    data = plain.dataset()
    assert data.vocabulary.tolist() == plain.values
    assert data.schema.ends == plain.gaps
    inputs, targets = data.encode()
    assert (inputs.tolist(), targets.tolist()) == plain.tokens(plain.values)
    assert inputs.dtype == targets.dtype == np.int8
    values = data.decode(targets)
    spans = [[values[row][data.schema.offsets[s] : data.schema.offsets[s + 1]] for s in range(len(plain.widths))]
             for row in range(len(data))]  # fmt: skip
    assert [[np.ma.compressed(span).tolist() for span in row] for row in spans] == [
        list(row) for row in plain.spans
    ]
    assert isinstance(values, np.ma.MaskedArray) == (data.lengths is not None)
    assert FILL not in data.targets
    assert FILL not in data.inputs


@settings(deadline=None, max_examples=60)
@given(plain_data())
def test_another_vocabulary_and_end_symbol_are_taken(plain):
    values = [*range(-3, 4), 200]
    inputs, targets = plain.dataset().encode(values, ends=True, name="validation")
    assert (inputs.tolist(), targets.tolist()) == plain.tokens(values)
    if plain.gaps:
        with pytest.raises(
            ValueError, match="^validation: (inputs|targets): row .* has no value, and the training"
        ):
            plain.dataset().encode(values, ends=False, name="validation")


@settings(deadline=None, max_examples=60)
@given(plain_data(), st.booleans())
def test_files_keep_everything(plain, named):
    names = {"names": [f"é{s}" for s in range(len(plain.widths))]} if named else {}
    data = plain.dataset(**names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.safetensors")
        data.save(path)
        back = Dataset.open(path)
        assert back.schema == data.schema
        assert back.vocabulary.tolist() == data.vocabulary.tolist()
        assert [ids.tolist() for ids in back.encode()] == [ids.tolist() for ids in data.encode()]
        for name in ("lengths", "inputs_missing"):
            one, other = getattr(data, name), getattr(back, name)
            assert (one is None) == (other is None)
            assert one is None or (one.tolist() == other.tolist() and not other.flags.writeable)
        theirs = official.load_file(path)
        assert ("lengths" in theirs) == (data.lengths is not None)
        assert ("inputs" in theirs) == (data.input_length > 0)
        assert ("schema" in metadata_of(path)) == (not data.schema.plain)
        back.save(again := Path(folder, "again.safetensors"))
        assert path.read_bytes() == again.read_bytes()


def metadata_of(path):
    with official.safe_open(path, "np") as file:
        return file.metadata()


@settings(deadline=None, max_examples=60)
@given(plain_data(), st.data())
def test_reorder_moves_whole_spans_and_back(plain, draw):
    order = draw.draw(st.permutations(range(len(plain.widths))))
    data = plain.dataset(names=[f"s{s}" for s in range(len(plain.widths))])
    moved = data.reorder(order)
    spans = [[row[step] for step in order] for row in plain.spans]
    expected = Plain(plain.inputs, spans, [plain.widths[step] for step in order], plain.missing)
    assert [ids.tolist() for ids in moved.encode()] == list(expected.tokens(plain.values))
    assert moved.names == tuple(f"s{step}" for step in order)
    back = moved.reorder(np.argsort(order))
    assert back.schema == data.schema
    same(back.decode(back.encode()[1]), data.decode(data.encode()[1]))


@settings(deadline=None, max_examples=60)
@given(plain_data(), st.data())
def test_select_takes_gaps_along_and_forgets_other_values(plain, draw):
    rows = draw.draw(st.lists(st.integers(0, len(plain.spans) - 1), min_size=1, max_size=4))
    chosen = Plain([plain.inputs[r] for r in rows], [plain.spans[r] for r in rows], plain.widths, plain.missing)
    if not chosen.values:
        with pytest.raises(ValueError, match="at least one value that is not missing"):
            plain.dataset().select(rows)
        return
    for part in (plain.dataset().select(rows), pickle.loads(pickle.dumps(plain.dataset())).select(rows)):
        assert part.vocabulary.tolist() == chosen.values
        assert np.isin(part.targets, part.vocabulary).all()
        assert [ids.tolist() for ids in part.encode()] == list(chosen.tokens(chosen.values))
        assert part.schema.ends == plain.gaps  # whether there can be gaps is told by the whole


def test_rows_in_many_blocks(monkeypatch):
    monkeypatch.setattr("pyorder.data._arrays._BLOCK", 7)
    assert [(part.start, part.stop) for part in blocks(5, 3)] == [(0, 2), (2, 4), (4, 5)]
    generator = np.random.default_rng(0)
    spans = [[list(generator.integers(0, 9, generator.integers(0, 4))), [1]] for _ in range(50)]
    plain = Plain([[row % 5] for row in range(50)], spans, [3, 1], "symbol")
    assert [ids.tolist() for ids in plain.dataset().encode()] == list(plain.tokens(plain.values))
    message = r"targets hold the value 8 \(row 49, column 3\), which is not"
    with pytest.raises(ValueError, match=message):
        Plain([[0]] * 50, [*[[[], [1]]] * 49, [[], [8]]], [3, 1], "symbol").dataset().encode(range(8))


@pytest.mark.parametrize(
    ("size", "ends", "kind"),
    [
        (128, False, np.int8),
        (127, True, np.int8),
        (128, True, np.int16),
        (32768, False, np.int16),
        (32768, True, np.int32),
    ],
)
def test_tokens_have_the_smallest_signed_type(size, ends, kind):
    data = Dataset([[0]], [[1, 2]], vocabulary=range(size), ends=ends)
    assert {ids.dtype for ids in data.encode()} == {np.dtype(kind)}


def test_encoding_needs_little_memory_beyond_its_result():
    data = Dataset(None, np.ma.array(np.ones((200_000, 20), np.int8), mask=np.eye(200_000, 20, 19, dtype=bool)))
    assert data.vocabulary.size == 1
    tracemalloc.start()
    data.encode()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000 + 20_000_000  # the result, and blocks; int64 of everything would be 32 MB more


def test_data_without_inputs():
    for nothing in (None, np.zeros((3, 0)), np.zeros((3, 0), np.uint64), [[], [], []]):
        data = Dataset(nothing, [[1, 2], [3, 1], [2, 2]])
        assert (data.input_length, data.inputs.shape, data.schema.inputs) == (0, (3, 0), ())
        assert data.vocabulary.tolist() == [1, 2, 3]
        assert data.encode()[0].shape == (3, 0)
        assert data.reorder([1, 0]).select([2, 0]).inputs.shape == (2, 0)
        assert data.schema.plain
    with pytest.raises(ValueError, match="as many rows as inputs"):
        Dataset(np.zeros((2, 0)), [[1, 2]])


def test_masks_are_kept_and_what_is_under_them_is_not():
    data = Dataset([[0], [1], [2]], np.ma.masked_equal([[1, FILL], [2, 3], [3, FILL]], FILL))
    assert data.vocabulary.tolist() == [0, 1, 2, 3]
    assert data.lengths.tolist() == [[1, 0], [1, 1], [1, 0]]
    assert data.lengths.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        data.lengths[0, 0] = 1
    rows = [np.ma.masked_equal([1, FILL], FILL), np.ma.masked_equal([2, 3], FILL)]
    assert Dataset(None, rows).lengths.tolist() == [[1, 0], [1, 1]]
    wide = np.ma.array(np.ones((1, 301), int), mask=[[False] * 299 + [True, False]])
    assert Dataset(None, wide, widths=[300, 1]).lengths.dtype == np.uint16
    unmasked = np.ma.array([[1, 2]], mask=False)
    assert Dataset(None, unmasked).schema.plain
    assert Dataset(None, unmasked).lengths is None


def test_a_value_under_a_mask_may_be_anything():
    big = np.ma.array(np.array([[2**64 - 1, 5]], np.uint64), mask=[[True, False]])
    assert Dataset(None, big).vocabulary.tolist() == [5]
    empty = np.ma.array([[1, 1]], mask=True)
    assert Dataset([[-5]], empty.astype(np.uint8)).targets.tolist() == [[-5, -5]]
    assert Dataset(None, empty, vocabulary=[7, 9]).targets.tolist() == [[7, 7]]
    with pytest.raises(ValueError, match="^targets: expected at least one value that is not missing"):
        Dataset(None, empty)


@pytest.mark.parametrize(("named", "where"), [(False, "row 1, column 2"), (True, "row 1, column 2, step 'b'")])
def test_a_gap_in_the_middle_of_a_span_is_refused(named, where):
    targets = np.ma.masked_equal([[1, 1, 1, 1], [1, 1, 0, 1]], 0)
    with pytest.raises(ValueError, match=rf"^targets: expected gaps at the end .* before a value \({where}\)"):
        Dataset(None, targets, widths=[2, 2], names=["a", "b"] if named else None)


def test_errors_speak_of_names():
    data = Dataset([[1]], [[1, 2, 3]], widths=[2, 1], names=["sum", "sign"], input_names=["age"])
    assert (data.names, data.widths, data.columns, data.target_length) == (("sum", "sign"), (2, 1), 3, 2)
    assert repr(data) == "Dataset(rows=1, input_length=1, target_length=2, columns=3)"
    with pytest.raises(ValueError, match=r"targets hold the value 2 \(row 0, column 1, step 'sum'\), which"):
        data.encode([1, 3])
    with pytest.raises(ValueError, match=r"inputs hold the value 1 \(row 0, column 0, input 'age'\), which"):
        data.encode([2, 3])


def test_training_data_can_say_that_there_may_be_gaps():
    train = Dataset(None, [[1, 2]], ends=True)
    test = Dataset(None, np.ma.masked_equal([[1, 0]], 0))
    assert test.encode(train.vocabulary, ends=train.schema.ends, name="test")[1].tolist() == [[0, 2]]
    assert train.encode()[1].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([[0, 0]], ValueError, r"tokens: expected shape \(N, 3\), got \(1, 2\)"),
        ([[0, 0, 4]], ValueError, r"tokens: expected ids 0 to 3 and -100, got 4 \(row 0, column 2, step 'b'\)"),
        ([[0, 0, -1]], ValueError, r"tokens: expected ids 0 to 3 and -100, got -1"),
        ([[0, 0, 1.0]], TypeError, "tokens: expected integers"),
    ],
)
def test_tokens_that_there_are_none_of_are_refused(tokens, error, message):
    data = Dataset(None, [[1, 2, 3]], widths=[2, 1], names=["a", "b"], ends=True)
    with pytest.raises(error, match=f"^{message}"):
        data.decode(tokens)
    assert data.decode([[3, 1, 0], [IGNORED, 3, 3], [2, 0, 1]]).tolist() == [
        [None, None, 1],
        [None] * 3,
        [3, 1, 2],
    ]
    plain = Dataset(None, [[1, 2, 3]])
    for other in (3, IGNORED):
        with pytest.raises(ValueError, match="tokens: expected ids 0 to 2, got"):
            plain.decode([[0, 1, other]])


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ([["S", "C"]], r"encode text as integers first, .* np.unique\(column, return_inverse=True\)"),
        ([[True, False]], r"call .astype\(int\)"),
        ([[1.0, 2.0]], r"the values are whole: call .astype\(int\)"),
        ([[1.5, 2.0]], "round what is continuous"),
        ([[1.0, np.inf]], "round what is continuous"),
        (
            [[1.0, np.nan]],
            r"there is NaN at \(0, 1\): .* np.ma.array\(np.nan_to_num\(a\).astype\(int\), mask=np.isnan",
        ),
        (
            np.array([[1, None]], object),
            r"encode every column .* masked array, np.ma.array\(values, mask=where_mis",
        ),
    ],
)
def test_what_a_table_may_hold_is_refused_with_a_way_out(values, hint):
    for name in ("inputs", "targets"):
        with pytest.raises(TypeError, match=f"^{name}: expected integers, got .*; {hint}") as caught:
            Dataset(**{"inputs": [[1, 2]], "targets": [[1, 2]]} | {name: values})
        assert "\n" not in str(caught.value)


def test_the_ways_out_work():
    a = np.array([[1.0, np.nan], [2.0, 3.0]])
    data = Dataset(None, np.ma.array(np.nan_to_num(a).astype(int), mask=np.isnan(a)))
    assert (data.vocabulary.tolist(), data.lengths.tolist()) == ([1, 2, 3], [[1, 0], [1, 1]])


def test_what_was_pickled_before_there_were_schemas_is_read():
    data = Dataset([[1], [2]], [[1, 2], [2, 1]])
    old = Dataset.__new__(Dataset)
    old.__setstate__(
        {
            "_inputs": data.inputs.copy(),
            "_targets": data.targets.copy(),
            "_declared": None,
            "_metadata": {"k": "v"},
        }
    )
    assert old.reorder([1, 0]).targets.tolist() == [[2, 1], [1, 2]]
    assert not old.targets.flags.writeable


def test_public_names():
    assert issubclass(pyorder.errors.InputError, ValueError)
    assert pyorder.data.IGNORED == -100
