"""Datasets in files: what comes back, and what is refused."""

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy as official
import safetensors.torch
import torch

import pyorder
from pyorder.data.dataset import Dataset
from pyorder.data.tasks import make_task


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-128, 127, "int8"),
        (0, 127, "int8"),
        (0, 255, "uint8"),
        (-1, 128, "int16"),
        (0, 65535, "uint16"),
        (-1, 65535, "int32"),
        (0, 2**32 - 1, "uint32"),
        (-1, 2**32 - 1, "int64"),
        (-(2**63), 2**63 - 1, "int64"),
    ],
)
def test_files_use_the_smallest_type(tmp_path, low, high, dtype):
    path = tmp_path / "data.safetensors"
    Dataset([[low, high]], [[high, low]]).save(path)
    data = Dataset.open(path)
    assert data.inputs.dtype == data.targets.dtype == dtype
    assert (data.inputs.tolist(), data.targets.tolist()) == ([[low, high]], [[high, low]])


@pytest.mark.parametrize(
    "vocabulary",
    [
        None,
        range(-5, 30),
        [0, 1, 2, 3, 4, 5, 6, 7, 9, 11],
        [-(2**63), 2**63 - 1],
        [2**62],
        [2**63 - 2, 2**63 - 1],
        [-(2**63), 1 - 2**63],
    ],
)
def test_files_keep_everything(tmp_path, vocabulary):
    path = tmp_path / "data.safetensors"
    data = Dataset([[1, 2]], [[3, 4]], vocabulary=vocabulary, metadata={"é": "ü\n"})
    data.save(path)
    back = Dataset.open(str(path))
    assert back.inputs.tolist() == [[1, 2]]
    assert back.targets.tolist() == [[3, 4]]
    assert back.vocabulary.tolist() == data.vocabulary.tolist()
    assert back.metadata == {"é": "ü\n", "pyorder_version": pyorder.__version__}
    back.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("values", [8, 9])
def test_what_is_saved_can_be_opened_however_many_values_there_are(tmp_path, monkeypatch, values):
    monkeypatch.setattr("pyorder.data._vocabulary._MAX_RANGE", 8)  # of a range; more values are a list
    path = tmp_path / "data.safetensors"
    Dataset([[1]], [[1, 2]], vocabulary=range(values)).save(path)
    assert Dataset.open(path).vocabulary.tolist() == list(range(values))


def test_files_are_read_only_and_read_by_the_official_package(tmp_path):
    path = tmp_path / "relu13.safetensors"
    data = make_task("relu", length=13).generate(2000, seed=1)
    data.save(path)
    back = Dataset.open(path)
    assert not back.inputs.flags.owndata
    assert not back.inputs.flags.writeable
    assert back.metadata == data.metadata | {"pyorder_version": pyorder.__version__}
    theirs = official.load_file(path)
    assert set(theirs) == {"inputs", "targets"}
    assert np.array_equal(theirs["inputs"], data.inputs)
    assert np.array_equal(theirs["targets"], data.targets)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float32])
def test_arrays_of_any_type_beside_the_data_are_passed_over(tmp_path, dtype):
    arrays = {
        "inputs": torch.tensor([[1, 2]], dtype=torch.int16),
        "targets": torch.tensor([[3, 4]]),
        "weights": torch.ones(5, 3, dtype=dtype),
    }
    safetensors.torch.save_file(arrays, tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    assert (data.inputs.tolist(), data.targets.tolist()) == ([[1, 2]], [[3, 4]])
    del arrays["targets"]
    safetensors.torch.save_file(arrays, tmp_path / "data")
    with pytest.raises(
        ValueError,
        match=r"data: expected the arrays inputs and targets, or targets alone, found (inputs|weights), ",
    ):
        Dataset.open(tmp_path / "data")
    arrays["targets"] = torch.ones(1, 2, dtype=torch.bfloat16)
    safetensors.torch.save_file(arrays, tmp_path / "data")
    with pytest.raises(ValueError, match=r"data': array 'targets' has the dtype BF16, which NumPy lacks$"):
        Dataset.open(tmp_path / "data")


def test_a_failing_save_keeps_the_old_file(tmp_path):
    Dataset([[1, 2], [3, 4]], [[1, 3, 5], [3, 7, 0]]).save(tmp_path / "data")
    before = (tmp_path / "data").read_bytes()
    with pytest.raises(ValueError, match="valid Unicode"):
        Dataset([[1]], [[1, 2]], metadata={"k": "\udc80"}).save(tmp_path / "data")
    with pytest.raises(FileNotFoundError):
        Dataset([[1, 2], [3, 4]], [[1, 3, 5], [3, 7, 0]]).save(tmp_path / "missing" / "data")
    assert (tmp_path / "data").read_bytes() == before
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        ({"inputs": [[1]]}, {}, "expected the arrays inputs and targets, or targets alone, found inputs"),
        ({"x": [1], "y": [2]}, {}, "expected the arrays inputs and targets, or targets alone, found x, y"),
        ({"inputs": [[1.5]], "targets": [[1, 2]]}, {}, "inputs: expected integers, got float64"),
        ({"inputs": [[1]], "targets": [1, 2]}, {}, "targets: expected shape"),
        ({}, {"vocabulary": "1..x"}, "vocabulary: expected 'low..high' or a JSON list, got '1..x'"),
        ({}, {"vocabulary": "0..999999999999"}, "vocabulary: expected 'low..high'"),
        ({}, {"vocabulary": "5..3"}, "vocabulary: expected shape"),
        ({}, {"vocabulary": "[1.5]"}, "vocabulary: expected 'low..high'"),
        ({}, {"vocabulary": "[18446744073709551615]"}, "vocabulary: expected values within int64"),
        ({}, {"vocabulary": "{}"}, "vocabulary: expected 'low..high'"),
        ({}, {"vocabulary": "[" * 100_000}, "vocabulary: expected 'low..high'"),
    ],
)
def test_files_that_hold_no_dataset_are_refused(tmp_path, arrays, metadata, message):
    path = tmp_path / "bad"
    if metadata:
        arrays = {"inputs": [[1]], "targets": [[1, 2]]}
    official.save_file({name: np.array(array) for name, array in arrays.items()}, path, metadata)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        Dataset.open(path)


def test_a_file_that_is_cut_while_it_is_open_does_no_harm(tmp_path):
    make_task("relu", length=13).generate(20_000, seed=1).save(tmp_path / "data")
    code = """
import os
from pyorder import Dataset
data = Dataset.open("data")
before = data.targets.sum()
os.truncate("data", 100)
print(data.targets.sum() == before, data.select([19_999]).rows)
try:
    Dataset.open("data")
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "True 1"
    assert second.startswith("cannot read 'data': the header length of ")


def test_broken_and_missing_files_are_refused(tmp_path):
    (tmp_path / "bad").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"cannot read .*bad': the file has 5 bytes"):
        Dataset.open(tmp_path / "bad")
    for read in (Dataset.open, Dataset.load_npz):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "missing")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_are_read(tmp_path, save):
    path = tmp_path / "mine.npz"
    save(path, inputs=np.array([[1, 2]], dtype=np.int8), targets=np.array([[3, 4]]), other=np.zeros(3))
    data = Dataset.load_npz(path)
    assert data.inputs.dtype == np.int8
    assert (data.inputs.tolist(), data.targets.tolist()) == ([[1, 2]], [[3, 4]])


def saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy_header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HEADER = "{'descr': '<i8', 'fortran_order': False"
GOOD = saved(np.save, np.array([[1, 2]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npz file"),
        (b"text", "not an .npz file"),
        (GOOD, "not an .npz file"),
        (saved(np.savez, inputs=[[1]]), "expected the arrays inputs and targets, or targets alone, found inputs"),
        (saved(np.savez, inputs=[[1.5]], targets=[[1, 2]]), "inputs: expected integers, got float64"),
        (saved(np.savez, inputs=np.array([[None]]), targets=[[1, 2]]), "Object arrays cannot be loaded"),
        (zipped(inputs=GOOD, targets=GOOD[:-3]), ""),
        (zipped(inputs=GOOD, targets=b"\x93NUMPY\x01\x00\x02\x00{}"), ""),
        (zipped(inputs=GOOD, targets=b"hello"), ""),
        (zipped(inputs=GOOD, targets=npy_header("{'descr': '<i8', ")), ""),
        (zipped(inputs=GOOD, targets=npy_header(HEADER.replace("i8", "i8,,") + ", 'shape': (1, 2)}")), ""),
        (zipped(inputs=GOOD, targets=npy_header(f"{HEADER}, 'shape': ({2**70},)}}")), ""),
        (zipped(inputs=GOOD, targets=npy_header(f"{HEADER}, 'shape': ({2**44},)}}")), ""),
        (saved(np.savez_compressed, inputs=[[1, 2]], targets=[[1, 2]]).replace(b"\x93", b"\x94"), ""),
        (zipped(inputs=GOOD, targets=GOOD).replace(b"\x93NUMPY", b"\x93numpy"), ""),
    ],
)
def test_bad_npz_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: {message}") as error:
        Dataset.load_npz(path)
    assert "\n" not in str(error.value)


def test_damaged_npz_files_never_escape_as_other_errors(tmp_path):
    whole = bytearray(saved(np.savez_compressed, inputs=[[1, 2]], targets=[[1, 2]]))
    path = tmp_path / "bad.npz"
    refused = 0
    for place in range(len(whole)):
        damaged = whole.copy()
        damaged[place] ^= 0x5A
        path.write_bytes(damaged)
        try:
            data = Dataset.load_npz(path)
        except ValueError:
            refused += 1
        else:
            assert data.targets.shape == (1, 2)
    assert refused > 100
