"""The raw reader and writer of safetensors files against the official package."""

import json
import os
import struct
import time

import numpy as np
import pytest
import safetensors
import safetensors.numpy as official

from pyorder._core import safetensors as core

DTYPES = ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8"]


def arrays_of_every_kind():
    generator = np.random.default_rng(0)
    arrays = {f"values of {dtype}": generator.integers(0, 2, (3, 5)).astype(dtype) for dtype in DTYPES}
    arrays["bytes"] = generator.integers(0, 256, 7).astype(np.uint8)
    arrays["scalar"] = np.array(2.5)
    arrays["empty"] = np.zeros((4, 0, 2), dtype=np.int32)
    arrays['"\\\n\t\x01/é€𝄞'] = np.arange(-3, 3, dtype=np.int64)
    return arrays


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert array.shape == theirs[name].shape
        assert array.tobytes() == theirs[name].tobytes()


def write_raw(path, header, data=b"", *, length=None):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def tensor(shape=(2,), begin=0, end=4, dtype="I16", **others):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **others}


def test_the_official_package_reads_what_is_written(tmp_path):
    arrays, path = arrays_of_every_kind(), tmp_path / "ours.safetensors"
    core.write(path, arrays, {"task": "relu", 'é"\\\n': "𝄞\x00"})
    assert_same(official.load_file(path), arrays)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"task": "relu", 'é"\\\n': "𝄞\x00"}


def test_what_the_official_package_writes_is_read(tmp_path):
    arrays, path = arrays_of_every_kind(), tmp_path / "theirs.safetensors"
    official.save_file(arrays, path, {"task": "relu", 'é"\\\n': "𝄞\x00"})
    ours, metadata = core.read(path)
    assert_same(ours, arrays)
    assert metadata == {"task": "relu", 'é"\\\n': "𝄞\x00"}


@pytest.mark.parametrize("names", [["a"], ["a", "b"], list("abcdefg")])
def test_the_header_is_padded_to_eight_bytes_and_data_is_aligned(tmp_path, names):
    path = tmp_path / "file"
    core.write(path, {name: np.zeros(3, dtype) for name, dtype in zip(names, DTYPES, strict=False)}, {})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert length % 8 == 0
    for entry in json.loads(content[8 : 8 + length]).values():
        assert entry["data_offsets"][0] % (int(entry["dtype"].strip("BOLUIFC") or 8) // 8) == 0


def test_no_arrays_make_a_file_of_a_header_only(tmp_path):
    core.write(tmp_path / "file", {}, {})
    assert (tmp_path / "file").read_bytes() == struct.pack("<Q", 8) + b"{}      "
    assert core.read(tmp_path / "file") == ({}, {})


def test_misaligned_data_is_copied(tmp_path):
    data = b"\x07" + np.arange(3, dtype="<i8").tobytes()
    header = {"a": tensor([1], 0, 1, "U8"), "b": tensor([3], 1, 25, "I64")}
    arrays, _ = core.read(write_raw(tmp_path / "file", header, data))
    assert arrays["b"].tolist() == [0, 1, 2]
    assert arrays["b"].flags.aligned
    assert not arrays["b"].flags.writeable


def with_shape(text):
    return f'{{"a":{{"dtype":"I16","shape":{text},"data_offsets":[0,4]}}}}'.encode()


def twice(name):
    described = '{"dtype":"I16","shape":[2],"data_offsets":[0,4]}'
    return f'{{"a":{described},"{name}":{described}}}'.encode()


def nested(depth):
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


# (header, data, reason, whether the official package refuses it too)
BROKEN = {
    "no brace": (b" {}", b"", "does not start with '{'", False),
    "no header": (b"", b"", "does not start with '{'", True),
    "cut": (b'{"a"', b"", "expected ':' at byte 4", True),
    "open string": (b'{"a', b"", "a string without end", True),
    "no key": (b"{1:2}", b"", "expected a key", True),
    "trailing comma": (b"{},", b"", "text after the end", True),
    "comma in object": (b'{"__metadata__":{},}', b"", "expected a key", True),
    "newline at the end": (b"{}\n", b"", "text after the end", False),
    "second object": (b"{}{}", b"", "text after the end", True),
    "zero byte at the end": (b"{}\0", b"", "text after the end", True),
    "UTF-8, lone byte": (b'{"\x80":[]}', b"", "invalid UTF-8", True),
    "UTF-8, overlong": (b'{"\xc0\xaf":[]}', b"", "invalid UTF-8", True),
    "UTF-8, overlong three": (b'{"\xe0\x9f\xbf":[]}', b"", "invalid UTF-8", True),
    "UTF-8, overlong four": (b'{"\xf0\x8f\xbf\xbf":[]}', b"", "invalid UTF-8", True),
    "UTF-8, surrogate": (b'{"\xed\xa0\x80":[]}', b"", "invalid UTF-8", True),
    "UTF-8, too large": (b'{"\xf4\x90\x80\x80":[]}', b"", "invalid UTF-8", True),
    "UTF-8, cut": (b'{"\xe2\x82":[]}', b"", "invalid UTF-8", True),
    "control character": (b'{"\n":[]}', b"", "a control character", True),
    "escape": (b'{"\\x":[]}', b"", "an unknown escape", True),
    "hexadecimal": (b'{"\\u12g4":[]}', b"", "an invalid .u escape", True),
    "high surrogate": (b'{"\\ud834":[]}', b"", "a lone surrogate", True),
    "low surrogate": (b'{"\\udd1e":[]}', b"", "a lone surrogate", True),
    "two high surrogates": (b'{"\\ud834\\ud834":[]}', b"", "a lone surrogate", True),
    "depth": (nested(10_000), b"", "not described by an object", True),
    "depth of a shape": (with_shape("[" * 10_000), b"1234", "else than unsigned integers", True),
    "depth of metadata": (b'{"__metadata__":{"k":' + b'{"k":' * 10_000, b"", "is not a string", True),
    "null": (b'{"a":null}', b"", "expected an object", True),
    "duplicate tensor": (twice("a"), b"1234", 'duplicate key "a"', False),
    "duplicate escaped": (twice("\\u0061"), b"1234", 'duplicate key "a"', False),
    "duplicate metadata": (b'{"__metadata__":{},"__metadata__":{}}', b"", "duplicate key", True),
    "duplicate dtype": (b'{"a":{"dtype":"U8","dtype":"U8"}}', b"", 'duplicate key "dtype"', True),
    "duplicate text": (b'{"__metadata__":{"k":"","k":""}}', b"", 'duplicate key "k"', False),
    "metadata list": ({"__metadata__": []}, b"", "__metadata__ is not an object", True),
    "metadata number": ({"__metadata__": {"k": 1}}, b"", 'value of "k" is not a string', True),
    "no object": ({"a": [1]}, b"", "not described by an object", True),
    "lacking": ({"a": {"dtype": "I16", "shape": [2]}}, b"1234", "lacks one of", True),
    "unknown key": ({"a": tensor(strides="")}, b"1234", 'the unknown key "strides"', False),
    "dtype unknown": ({"a": tensor(dtype="I15")}, b"1234", 'the unknown dtype "I15"', True),
    "dtype number": ({"a": tensor(dtype=16)}, b"1234", "is not a string", True),
    "BF16": ({"a": tensor(dtype="BF16")}, b"1234", "the dtype BF16, which NumPy lacks", False),
    "BF16 too wide": ({"a": tensor([3], dtype="BF16")}, b"1234", "of 6 bytes, but data_offsets of 4", True),
    "F4 within a byte": ({"a": tensor([3], 0, 1, "F4")}, b"1", "a shape that ends within a byte", True),
    "F6 overlap": ({"a": tensor([4], 0, 3, "F6_E2M3"), "b": tensor((1,), 2, 4)}, b"1234", "overlaps", True),
    "F8 overflow": ({"a": tensor([2**40, 2**40], dtype="F8_E4M3")}, b"1234", "overflows", True),
    "shape negative": ({"a": tensor([-2])}, b"1234", "expected an object, an array", True),
    "shape fraction": (with_shape("[2.0]"), b"1234", "not an int", True),
    "shape exponent": (with_shape("[2e0]"), b"1234", "not an int", True),
    "shape zero first": (with_shape("[02]"), b"1234", "leading zero", True),
    "shape text": ({"a": tensor(["2"])}, b"1234", "else than unsigned integers", True),
    "shape no list": (with_shape("2"), b"1234", "not an array", True),
    "shape 65 bits": ({"a": tensor([2**64])}, b"1234", "beyond 64 bits", True),
    "shape overflow": ({"a": tensor([2**32, 2**32])}, b"1234", "overflows", True),
    "shape overflow in bytes": ({"a": tensor([2**62, 4])}, b"1234", "overflows", True),
    "shape overflow with zero": ({"a": tensor([2**62, 4, 0], 0, 0)}, b"", "overflows", True),
    "dimensions": ({"a": tensor([1] * 33, 0, 2)}, b"12", "holds more than 32 numbers", False),
    "offset 65 bits": ({"a": tensor(end=2**64)}, b"1234", "beyond 64 bits", True),
    "offsets three": ({"a": tensor() | {"data_offsets": [0, 4, 8]}}, b"1234", "holds more than 2 numbers", True),
    "offset alone": ({"a": tensor() | {"data_offsets": [0]}}, b"1234", "begin, end", True),
    "offsets backwards": ({"a": tensor(begin=4, end=0)}, b"1234", "begin, end", True),
    "offsets too wide": ({"a": tensor(end=6)}, b"123456", "of 4 bytes, but data_offsets of 6 bytes", True),
    "hole at first": ({"a": tensor(begin=2, end=6)}, b"123456", 'hole before the data of tensor "a"', True),
    "hole": ({"a": tensor(), "b": tensor((1,), 6, 8)}, b"12345678", 'hole before the data of .* "b"', True),
    "overlap": ({"a": tensor(), "b": tensor((1,), 2, 4)}, b"1234", 'tensor "b" overlaps', True),
    "same data": ({"a": tensor(), "b": tensor()}, b"1234", 'tensor "b" overlaps', True),
    "too long": ({"a": tensor()}, b"12345", "declares 4 bytes of data, but the file holds 5 bytes", True),
    "too short": ({"a": tensor()}, b"123", "ends at byte 4, but the file holds 3 bytes", True),
    "data without tensors": ({}, b"1", "declares 0 bytes of data, but the file holds 1 bytes", True),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(tmp_path, case):
    header, data, reason, refused_officially = BROKEN[case]
    path = write_raw(tmp_path / "broken", header, data)
    with pytest.raises(ValueError, match=reason) as error:
        core.read(path)
    assert type(error.value) is ValueError
    assert str(error.value).startswith(f"cannot read '{path}': ")
    assert "\n" not in str(error.value)
    if refused_officially:
        with pytest.raises((safetensors.SafetensorError, ValueError, OverflowError)):
            official.load_file(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file has 0 bytes"),
        (b"1234567", "the file has 7 bytes"),
        (struct.pack("<Q", 100_000_001) + b"{}", "over the limit"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "over the limit"),
        (struct.pack("<Q", 3) + b"{}", "goes beyond the file of 10 bytes"),
    ],
)
def test_broken_lengths_are_refused(tmp_path, content, reason):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        core.read(path)
    with pytest.raises(safetensors.SafetensorError):
        official.load(content)


def test_long_names_are_cut_in_messages(tmp_path):
    for name, shown in (("x" * 10_000, "x" * 80), ("é" * 10_000, "é" * 40), ("x" + "é" * 10_000, "x" + "é" * 39)):
        with pytest.raises(ValueError, match=f'tensor "{shown}"[.][.][.] is not described') as error:
            core.read(write_raw(tmp_path / "file", json.dumps({name: []}, ensure_ascii=False).encode()))
        assert len(str(error.value)) < 1000


# What makes most of few bytes, where every value is kept, at the start of a header and over and over.
GREEDY = {
    "numbers": (b'{"a":{"dtype":"U8","shape":[0', b",0"),
    "arrays": (b'{"a":[[]', b",[]"),
    "depth": (b'{"a":', b"["),
    "long name": (b'{"', b"a"),
    "long text": (b'{"__metadata__":{"k":"', b"a"),
    "number of many digits": (b'{"a":{"data_offsets":[1', b"0"),
}


@pytest.mark.parametrize("case", [*GREEDY, "metadata", "tensors"])
def test_memory_is_a_small_multiple_of_the_header(run_python, tmp_path, case):
    size = 4_000_000
    if case == "metadata":
        header = b'{"__metadata__":{' + b",".join(b'"%x":""' % number for number in range(size // 10))
    elif case == "tensors":
        described = b'"%x":{"dtype":"U8","shape":[],"data_offsets":[0,1]}'
        header = b"{" + b",".join(described % number for number in range(size // 55))
    else:
        begin, again = GREEDY[case]
        header = begin + again * (size // len(again))
    path = write_raw(tmp_path / "file", header)
    code = f"""
from pyorder._core import safetensors
def memory(what):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(what))
before = memory("VmRSS")
try:
    safetensors.list({str(path)!r})
except ValueError:
    print((memory("VmHWM") - before) / {len(header)})
"""
    assert float(run_python(code, tmp_path)) < 24


def test_many_arrays_are_read_in_time_that_grows_with_their_number(tmp_path):
    names = [f"{number:05}" for number in range(30_000)]
    described = {name: tensor([1], place, place + 1, "U8") for place, name in enumerate(names)}
    path = write_raw(tmp_path / "file", described, bytes(len(names)))
    start = time.perf_counter()
    assert [*core.read(path)[0]] == names
    assert [*core.read(path, names)[0]] == names
    assert time.perf_counter() - start < 5  # a tenth of a second; by pairs it was a minute


def test_escapes_and_space_are_read_as_in_python(tmp_path):
    name = b'"\\ud834\\udd1e\\u20ac\\/\\"\\\\\\b\\f\\n\\r\\t"'
    header = b"{ " + name + b' :\t{"dtype":"U8","shape":[ ],\n"data_offsets":[0,\r1]} }  '
    arrays, _ = core.read(write_raw(tmp_path / "file", header, b"\x05"))
    assert list(arrays) == list(json.loads(header))
    assert official.load(struct.pack("<Q", len(header)) + header + b"\x05").keys() == arrays.keys()


def test_damaged_files_never_crash_and_never_differ_from_the_official_reader(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "é": np.ones(3, np.float32), "s": np.array(1)}
    core.write(tmp_path / "whole", arrays, {"k": "v\n"})
    whole = (tmp_path / "whole").read_bytes()
    generator = np.random.default_rng(7)
    path = tmp_path / "damaged"
    accepted = 0
    for trial in range(3000):
        damaged = bytearray(whole)
        for _ in range(generator.integers(1, 4)):
            place = generator.integers(0, len(damaged))
            kind = generator.integers(0, 4)
            if kind == 0:
                damaged[place] = generator.integers(0, 256)
            elif kind == 1:
                damaged[place] ^= 1 << generator.integers(0, 8)
            elif kind == 2:
                damaged.insert(place, generator.choice(list(b'{}[]",:\\u0123 -')))
            elif trial % 4 == 0:
                del damaged[place:]
                break
            else:
                del damaged[place]
        path.write_bytes(damaged)
        try:
            ours, _ = core.read(path)
        except ValueError:
            continue
        accepted += 1
        assert_same(ours, official.load(bytes(damaged)))
    assert 50 < accepted < 2950


def test_names_of_missing_files_and_folders_are_os_errors(tmp_path):
    missing = tmp_path / "missing"
    for call in (lambda: core.read(missing), lambda: core.write(missing / "file", {}, {})):
        with pytest.raises(FileNotFoundError) as error:
            call()
        assert error.value.filename.startswith(str(missing))
    with pytest.raises(IsADirectoryError):
        core.read(tmp_path)
    with pytest.raises(IsADirectoryError):
        core.write(tmp_path, {}, {})
    assert os.listdir(tmp_path) == []


def test_a_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        core.read(tmp_path / "pipe")


def test_names_that_are_not_text_to_the_system_are_shown(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    core.write(path, {"a": np.arange(3)}, {})
    assert core.read(path)[0]["a"].tolist() == [0, 1, 2]
    with open(path, "wb") as file:
        file.write(b"1")
    with pytest.raises(ValueError, match=r"udcff': the file has 1 bytes"):
        core.read(path)
