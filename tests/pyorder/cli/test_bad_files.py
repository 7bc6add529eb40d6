"""Files that are damaged, hostile or of another kind: refused at once, in one line, with nothing written."""

import json
import os
import zipfile

import numpy as np
import pytest
import safetensors.numpy

SQUARE = ["square", "--length", "4", "--train-rows", "600", "--validation-rows", "40", "--test-rows", "60"]
SEARCH = ["--strategy", "random", "--option", "candidates=6", "--steps", "3", "--no-fit", "--out", "run"]
INPUTS = np.arange(150).reshape(50, 3) % 7
DEEP = "[" * 100_000
NUMBER = "9" * 5000  # more digits than Python reads


def npz(**arrays):
    def write(path):
        np.savez(path, **arrays)

    return write


def npy(array):
    return lambda path: np.save(path, array)


def tensors(metadata=None, **arrays):
    return lambda path: safetensors.numpy.save_file(arrays, path, metadata)


def text(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pipe(path):
    os.mkfifo(path)


def folder(path):
    path.mkdir()


def link(target):
    return lambda path: path.symlink_to(target)


def zipped(**members):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)

    return write


def damaged(path):
    np.savez(path, orders=[[0, 1, 2, 3]])
    content = bytearray(path.read_bytes())
    content[60:90] = b"x" * 30
    path.write_bytes(content)


def cut(path):
    np.savez(path, orders=[[0, 1, 2, 3]])
    path.write_bytes(path.read_bytes()[:200])


READERS = {"--data": (".npz", ".safetensors", ".csv", ".parquet", ".jsonl"), "--orders": (".npz", ".npy", ".json")}


@pytest.mark.parametrize(
    ("option", "suffix"), [(option, suffix) for option, suffixes in READERS.items() for suffix in suffixes]
)
@pytest.mark.parametrize(
    ("kind", "make", "message"),
    [
        ("pipe", pipe, "regular file"),
        ("endless", link("/dev/zero"), "regular file"),
        ("circle", None, "Too many levels of symbolic links"),
    ],
)
def test_what_is_no_file_is_refused(refused, tmp_path, option, suffix, kind, make, message):
    path = tmp_path / f"{kind}{suffix}"
    (link(path.name) if make is None else make)(path)
    words = ["discover", *SEARCH] if option == "--data" else ["profile", *SQUARE[:-2]]
    line = refused(*words, option, path.name)
    assert line.startswith(f"{option}: ")
    assert message in line


DATA = [
    # what the file is called, what is in it, and what the line has to say
    ("empty.npz", text(""), "not an .npz file"),
    ("letters.npz", text("hello"), "not an .npz file"),
    ("empty.safetensors", text(""), "0 bytes"),
    ("deep.safetensors", text((100_000).to_bytes(8, "little") + DEEP.encode()), "does not start with"),
    ("member.npz", zipped(targets=b"no array"), "magic string"),
    ("header.npz", zipped(targets=b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': object"), "header.npz"),
    ("object.npz", npz(inputs=np.array([{}, {}]), targets=INPUTS), "Object arrays"),
    ("floats.npz", npz(inputs=INPUTS + 0.5, targets=INPUTS), "inputs: expected integers"),
    ("flat.npz", npz(inputs=INPUTS[:, 0], targets=INPUTS), "inputs: "),
    ("cube.npz", npz(inputs=INPUTS, targets=INPUTS[None]), "targets: "),
    ("narrow.npz", npz(inputs=INPUTS, targets=INPUTS[:, :1]), "targets: "),
    ("rows.npz", npz(inputs=INPUTS[:9], targets=INPUTS), "rows"),
    ("none.npz", npz(inputs=INPUTS[:0], targets=INPUTS[:0]), "N >= 1"),
    ("unnamed.npz", npz(a=INPUTS, b=INPUTS), "found a, b"),
    ("misspelt.npz", npz(inptus=INPUTS, targets=INPUTS), "inputs is meant"),
    ("widths.npz", npz(targets=INPUTS, widths=[2, 2]), "widths: "),
    ("zero.npz", npz(targets=INPUTS, widths=[0, 3]), "widths: "),
    ("names.npz", npz(targets=INPUTS, names=["a", "a", "b"]), "'a' twice"),
    ("fewer.npz", npz(targets=INPUTS, names=["a", "b"]), "names: "),
    ("twice.npz", npz(targets=INPUTS, vocabulary=[[0, 1]]), "vocabulary"),
    ("groups.npz", npz(targets=INPUTS, groups=[1, 2]), "groups: "),
    ("schema.safetensors", tensors({"schema": DEEP}, targets=INPUTS), "schema: expected JSON"),
    ("words.safetensors", tensors({"vocabulary": DEEP}, targets=INPUTS), "vocabulary: expected"),
    ("digits.safetensors", tensors({"vocabulary": f"[{NUMBER}]"}, targets=INPUTS), "vocabulary: expected"),
    ("version.safetensors", tensors({"schema": '{"version": 9}'}, targets=INPUTS), "version"),
    ("empty.csv", text(""), "empty.csv"),
    ("heads.csv", text("a,b,c\n"), "row"),
    ("ragged.csv", text("a,b,c\n1,2\n"), "ragged.csv"),
    ("bytes.csv", text(b"a,b,c\n\xff\xfe,1,2\n"), "column 'a'"),
    ("twice.csv", text("a,a,b\n1,2,3\n"), "'a'"),
    ("letters.parquet", text("hello"), "letters.parquet"),
    ("cut.parquet", text(b"PAR1xxxxPAR1"), "cut.parquet"),
    ("empty.jsonl", text(""), "at least one line"),
    ("list.jsonl", text("[1, 2]\n"), "line 1: expected an object, got a list"),
    ("deep.jsonl", text('{"a": ' + DEEP + "\n"), "line 1"),
    ("half.jsonl", text('{"a": "x", "b"'), "line 1"),
    ("bytes.jsonl", text(b'{"a": "\xff"}'), "line 1"),
    ("twice.jsonl", text('{"a": "x", "a": "y"}'), "twice"),
    ("one.jsonl", text('{"a": "x"}\n' * 30), "target"),
    ("folder.npz", folder, "Is a directory"),
    ("folder.jsonl", folder, "Is a directory"),
    ("data", text("hello"), "ends in 'nothing'"),
    ("data.npy", npy(INPUTS), "ends in '.npy'"),
    ("data.xlsx", text("hello"), "ends in '.xlsx'"),
    ("data.NPZ", npz(targets=INPUTS), "ends in '.NPZ'"),
]


@pytest.mark.parametrize(("name", "write", "message"), DATA, ids=[case[0] for case in DATA])
def test_data_is_refused(refused, tmp_path, name, write, message):
    write(tmp_path / name)
    line = refused("discover", *SEARCH, "--data", name)
    assert line.startswith("--data: ")
    assert message in line
    assert len(line) < 500


ORDERS = [
    ("empty.npy", text(""), "cannot be read"),
    ("letters.npy", text("hello"), "cannot be read"),
    ("none.npy", npy(np.zeros((0, 4), int)), "at least one order"),
    ("floats.npy", npy(np.zeros((2, 4))), "expected integers"),
    ("flat.npy", npy(np.arange(4)), "expected shape (T, 4)"),
    ("short.npy", npy([[0, 1, 2]]), "expected shape (T, 4)"),
    ("twice.npy", npy([[0, 1, 1, 2]]), "row 0 is not a permutation"),
    ("object.npy", npy(np.array([{}])), "cannot be read"),
    ("damaged.npz", damaged, "cannot be read"),
    ("cut.npz", cut, "cannot be read"),
    ("none.npz", npz(), "has no array 'orders', it has none"),
    ("others.npz", npz(a=[1], b=[2]), "has no array 'orders', it has a, b"),
    ("letters.safetensors", text("hello"), "letters.safetensors"),
    ("empty.json", text(""), "Expecting value"),
    ("deep.json", text(DEEP), "nested too deep"),
    ("nested.json", text("[" * 600 + "]" * 600), "--orders: "),
    ("digits.json", text(f"[[0, 1, 2, {NUMBER}]]"), "digits"),
    ("large.json", text("[[0, 1, 2, 1" + "0" * 30 + "]]"), "at most 64 bits"),
    ("object.json", text('{"order": [0, 1, 2, 3]}'), "expected integers"),
    ("none.json", text("[]"), "orders"),
    ("null.json", text("[[0, 1, null, 3]]"), "expected integers"),
    ("nan.json", text("[[0, 1, 2, NaN]]"), "expected integers"),
    ("bytes.json", text(b"\xff\xfe"), "utf-8"),
    ("names.json", text('[["a", "b", "c", "d"]]'), "expected integers"),
    ("missing.json", lambda path: None, "No such file"),
]


@pytest.mark.parametrize(("name", "write", "message"), ORDERS, ids=[case[0] for case in ORDERS])
def test_orders_are_refused(refused, tmp_path, name, write, message):
    write(tmp_path / name)
    line = refused("profile", *SQUARE[:-2], "--steps", 1, "--orders", name, "--out", "run")
    assert line.startswith("--orders: ")
    assert message in line


EDGES = [
    ("", "Expecting value"),
    (DEEP, "nested too deep"),
    ("[" * 600 + "]" * 600, "--constraints: "),
    ("[0, 1]", "expected shape (E, 2)"),
    ("[[0, 1, 2]]", "expected shape (E, 2)"),
    ("[[0, 9]]", "edges"),
    ("[[0, -1]]", "edges"),
    ("[[1, 1]]", "edges"),
    ("[[0, 1], [1, 0]]", "cycle"),
    ("[[0, 1.5]]", "expected integers"),
    (f"[[0, {NUMBER}]]", "digits"),
    ('[["a", "b"]]', "expected integers"),
    ("null", "holds no list of pairs"),
    (b"\xff", "utf-8"),
]


@pytest.mark.parametrize(("content", "message"), EDGES, ids=range(len(EDGES)))
def test_constraints_are_refused(refused, tmp_path, content, message):
    text(content)(tmp_path / "edges.json")
    line = refused("discover", *SQUARE, *SEARCH, "--constraints", "edges.json")
    assert line.startswith("--constraints: ")
    assert message in line


def test_metadata_of_another_program_is_passed_over(told, tmp_path):
    inputs = np.random.default_rng(0).integers(0, 5, (80, 3))
    metadata = {"task": "square", "length": "3", "parameters": DEEP, "same": DEEP, "left_out": "\x1b[2J"}
    arrays = {"inputs": inputs, "targets": inputs.cumsum(1) % 5}
    safetensors.numpy.save_file(arrays, tmp_path / "d.safetensors", metadata)
    found = told("discover", "--data", "d.safetensors", *SEARCH)
    assert sorted(found["order"]) == [0, 1, 2]
    assert json.loads(json.dumps(found))["data"]["task"] is None
