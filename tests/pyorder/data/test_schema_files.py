"""Files with schemas, gaps and arrays of other names: what is read and what is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy as official

from pyorder.data.dataset import Dataset
from pyorder.errors import InputError

SCHEMA = {
    "version": 1,
    "inputs": [{"name": "0", "width": 1}],
    "steps": [{"name": "a", "width": 2}, {"name": "b", "width": 1}],
    "ends": True,
    "missing": "symbol",
}
ARRAYS = {
    "inputs": np.array([[1], [2]]),
    "targets": np.array([[1, 2, 3], [1, 1, 1]]),
    "lengths": np.array([[2, 1], [1, 0]], np.uint8),
    "inputs_missing": np.array([[False], [True]]),
}


@pytest.fixture
def written(tmp_path):
    def write(schema=SCHEMA, **replaced):
        path = tmp_path / "data.safetensors"
        arrays = {name: array for name, array in (ARRAYS | replaced).items() if array is not None}
        text = schema if isinstance(schema, str) else json.dumps(schema)
        official.save_file(arrays, path, {} if schema is None else {"schema": text})
        return path

    return write


def test_docstring_examples(doctests):
    doctests("pyorder.data._coding")
    doctests("pyorder.data._dataset_files")


def test_a_file_that_another_program_wrote_is_mapped(written):
    data = Dataset.open(written())
    assert data.names == ("a", "b")
    assert data.lengths.tolist() == [[2, 1], [1, 0]]
    assert data.inputs_missing.tolist() == [[False], [True]]
    assert data.vocabulary.tolist() == [1, 2, 3]
    assert data.encode()[1].tolist() == [[0, 1, 2], [0, 3, 3]]
    for array in (data.inputs, data.targets, data.lengths, data.inputs_missing):
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_without_a_schema_other_arrays_are_passed_over(written):
    data = Dataset.open(written(None, names=np.zeros(3), embedding=np.zeros((2, 2))))
    assert data.schema.plain
    assert (data.lengths, data.inputs_missing) == (None, None)


def test_values_under_gaps_of_a_file_count_for_nothing(written):
    data = Dataset.open(written(targets=np.array([[1, 2, 3], [1, -999, -999]]), inputs=np.array([[1], [-999]])))
    assert data.vocabulary.tolist() == [1, 2, 3]
    assert data.encode()[0].tolist() == [[0], [3]]
    assert data.decode(data.encode()[1]).tolist() == [[1, 2, 3], [1, None, None]]
    nothing = Dataset.open(written(lengths=np.zeros((2, 2), np.uint8), inputs_missing=np.ones((2, 1), bool)))
    with pytest.raises(InputError, match="^vocabulary: expected at least one value that is not missing"):
        _ = nothing.vocabulary


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"schema": "{"}, "schema: expected JSON"),
        ({"schema": SCHEMA | {"version": 9}}, "schema: expected version 1, 2 or 3, got 9"),
        ({"schema": SCHEMA | {"inputs": []}}, "inputs: expected 0 columns, as the schema of the file has, got 1"),
        ({"inputs": None}, "inputs: expected 1 columns, as the schema of the file has, got 0"),
        ({"targets": np.ones((2, 4), int)}, "targets: expected 3 columns, as the schema of the file has, got 4"),
        ({"schema": SCHEMA | {"ends": False}}, "schema: expected ends to be true where"),
        ({"lengths": np.ones((2, 3), np.uint8)}, r"lengths: expected unsigned integers of shape \(2, 2\), got"),
        ({"lengths": np.ones((1, 2), np.uint8)}, r"lengths: expected unsigned integers of shape \(2, 2\)"),
        ({"lengths": np.ones((2, 2), np.int8)}, "lengths: expected unsigned integers .* got int8"),
        ({"lengths": np.array([[2, 1], [0, 2]], np.uint8)}, "lengths: expected values from 0 to 1, got 2"),
        ({"lengths": np.full((2, 2), 2**64 - 1, np.uint64)}, "lengths: expected values from 0 to 2, got 18446"),
        ({"inputs_missing": np.ones((2, 2), bool)}, r"inputs_missing: expected bools of shape \(2, 1\), got bool"),
        ({"inputs_missing": np.ones((2, 1), np.uint8)}, "inputs_missing: expected bools of shape"),
        ({"inputs": None, "input": np.ones((2, 1), int)}, "unknown array 'input': inputs is meant?"),
        ({"targets": None, "Targets": np.ones((2, 3), int)}, "unknown array 'Targets': targets is meant?"),
        ({"lengths": None, "length": np.ones((2, 2), int)}, "unknown array 'length': lengths is meant?"),
    ],
)  # fmt: skip
def test_files_that_contradict_themselves_are_refused(written, replaced, message):
    path = written(**replaced)
    with pytest.raises(InputError, match=f"^{path}: {message}") as caught:
        Dataset.open(path)
    assert "\n" not in str(caught.value)


def test_default_data_is_written_as_ever(tmp_path):
    path = tmp_path / "data.safetensors"
    Dataset([[1]], [[1, 2]]).reorder([1, 0]).save(path)
    with official.safe_open(path, "np") as file:
        assert set(file.metadata()) == {"order", "pyorder_version"}
        assert set(file.keys()) == {"inputs", "targets"}


def test_a_schema_is_no_metadata_of_ones_own():
    with pytest.raises(InputError, match="^metadata: the key 'schema' is reserved; give widths and names instead"):
        Dataset([[1]], [[1, 2]], metadata={"schema": "{}"})


def test_npz_files_have_all_arguments_that_are_arrays(tmp_path):
    path = tmp_path / "mine.npz"
    arguments = {"vocabulary": range(5), "widths": [2, 1], "names": ["sum", "é"], "input_names": ["x"]}
    np.savez(path, inputs=[[1]], targets=[[1, 2, 3]], **arguments, seed=3, other=np.zeros(2))
    data = Dataset.load_npz(path)
    assert data.schema == Dataset([[1]], [[1, 2, 3]], **arguments).schema
    assert (data.names, data.widths, data.vocabulary.tolist()) == (("sum", "é"), (2, 1), [0, 1, 2, 3, 4])
    np.savez(path, targets=[[1, 2, 3]])
    assert Dataset.load_npz(path).input_length == 0


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"input": [[1]]}, "unknown array 'input': inputs is meant?"),
        ({"inptus": [[1]]}, "unknown array 'inptus': inputs is meant?"),
        ({"vocab": [1, 2]}, "unknown array 'vocab': vocabulary is meant?"),
        ({"width": [1, 1]}, "unknown array 'width': widths is meant?"),
        ({"Names": ["a", "b"]}, "unknown array 'Names': names is meant?"),
        ({"input_name": ["a"]}, "unknown array 'input_name': input_names is meant?"),
        ({"vocabulary": [[1, 2]]}, r"vocabulary: expected shape \(V,\)"),
        ({"widths": [1, 2]}, "widths: expected a sum of 2"),
        ({"widths": [1.0, 1.0]}, "widths: expected an integer, got 1.0"),
        ({"names": ["a"]}, "names: expected as many names as there are steps"),
        ({"names": [1, 2]}, "names: expected text, got 1"),
        ({"names": np.array(["a", "b"], object)}, "Object arrays cannot be loaded"),
    ],
)
def test_npz_files_that_hold_no_dataset_are_refused(tmp_path, arrays, message):
    path = tmp_path / "mine.npz"
    np.savez(path, targets=[[1, 2]], **arrays)
    with pytest.raises(InputError, match=f"^{path}: {message}") as caught:
        Dataset.load_npz(path)
    assert "\n" not in str(caught.value)


def test_damaged_files_never_escape_as_other_errors(written):
    path = written()
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            data = Dataset.open(path)
            data.encode()
        except ValueError:
            refused += 1
        else:
            assert data.targets.shape[0] == len(data.lengths if data.lengths is not None else data)
    assert refused > 300
