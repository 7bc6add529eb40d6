"""Datasets in files: what is written, what is read back, and what is refused."""

from __future__ import annotations

import difflib
import importlib.metadata
import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder._checks import check_memory
from pyorder._disk import end_of_links, open_regular
from pyorder.data import _arrays
from pyorder.data import _vocabulary as vocabularies
from pyorder.data._rows import Rows
from pyorder.data.files import list_safetensors, read_safetensors, write_safetensors
from pyorder.data.schema import Schema, make_schema
from pyorder.data.splitting import number_groups
from pyorder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from os import PathLike

    from numpy.lib.npyio import NpzFile
    from numpy.typing import NDArray

_VALUES_AT_ONCE = 2**18
_IN_SAFETENSORS = ("inputs", "targets", "lengths", "inputs_missing", "groups")
_IN_NPZ = ("inputs", "targets", "vocabulary", "widths", "names", "input_names", "groups")


def save(
    path: str | PathLike[str], rows: Rows, declared: NDArray[np.int64] | None, metadata: Mapping[str, str]
) -> None:
    """Write a file, where links lead; what is as it is by default is left out."""
    texts = {**metadata, "pyorder_version": importlib.metadata.version("pyorder")}
    if declared is not None:
        texts["vocabulary"] = vocabularies.to_text(declared)
    if not rows.schema.plain:
        texts["schema"] = rows.schema.to_json()
    arrays: dict[str, NDArray[Any]] = {}
    if rows.inputs.size:
        arrays["inputs"] = _arrays.smallest(rows.inputs)
    arrays["targets"] = _arrays.smallest(rows.targets)
    if rows.lengths is not None:
        arrays["lengths"] = rows.lengths
    if rows.inputs_missing is not None:
        arrays["inputs_missing"] = rows.inputs_missing
    if rows.groups is not None:
        arrays["groups"] = _arrays.smallest(rows.groups)
    write_safetensors(end_of_links(path), arrays, texts)


def open_safetensors(path: str | PathLike[str]) -> tuple[Rows, NDArray[np.int64] | None, dict[str, str]]:
    """Map a file into memory: the rows, the declared vocabulary and the metadata, all checked."""
    try:
        there = list_safetensors(path)
        check_names(there, _IN_SAFETENSORS)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    arrays, metadata = read_safetensors(path, [name for name in _IN_SAFETENSORS if name in there])
    try:
        text = metadata.pop("vocabulary", None)
        declared = None if text is None else vocabularies.check(vocabularies.from_text(text))
        return _rows(arrays, metadata.pop("schema", None)), declared, metadata
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def _rows(arrays: Mapping[str, NDArray[Any]], text: str | None) -> Rows:
    targets, _ = _arrays.rows_of(arrays["targets"], "targets", 2)
    inputs, _ = _arrays.rows_of(arrays.get("inputs", np.zeros((len(targets), 0), np.int8)), "inputs", 0)
    groups = None if "groups" not in arrays else number_groups(arrays["groups"])
    if text is None:  # arrays of other names are passed over
        return Rows(inputs, targets, make_schema(inputs.shape[1], targets.shape[1]), groups=groups)
    schema = Schema.from_json(text)
    for name, found, wanted in (
        ("inputs", inputs.shape[1], schema.input_length),
        ("targets", targets.shape[1], schema.columns),
    ):
        if found != wanted:
            raise InputError(f"{name}: expected {wanted} columns, as the schema of the file has, got {found}")
    lengths, missing = arrays.get("lengths"), arrays.get("inputs_missing")
    if not schema.ends and (lengths is not None or missing is not None):
        raise InputError("schema: expected ends to be true where there are the arrays lengths or inputs_missing")
    if lengths is not None:
        _check_array(lengths, "lengths", "u", (len(targets), schema.length))
        wrong = np.argwhere(lengths > np.array(schema.widths))
        if len(wrong):
            row, step = wrong[0].tolist()
            where = f"row {row}, step {schema.names[step]!r}"
            raise InputError(
                f"lengths: expected values from 0 to {schema.widths[step]}, got {lengths[row, step]} ({where})"
            )
    if missing is not None:
        _check_array(missing, "inputs_missing", "b", inputs.shape)
    return Rows(inputs, targets, schema, lengths, missing, groups)


def _check_array(array: NDArray[Any], name: str, kind: str, shape: tuple[int, ...]) -> None:
    what = {"u": "unsigned integers", "b": "bools"}[kind]
    if array.dtype.kind != kind or array.shape != shape:
        raise InputError(f"{name}: expected {what} of shape {shape}, got {array.dtype} of shape {array.shape}")


def read_npz(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the arguments of a dataset from a NumPy file; InputError without the path when it holds none."""
    with open_regular(path) as file:
        try:
            if not zipfile.is_zipfile(file):
                raise ValueError("not an .npz file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                check_names(archive, _IN_NPZ)
                return {"inputs": None} | {
                    name: _read_smallest(archive, name) for name in _IN_NPZ if name in archive
                }
        # Damaged archives and headers raise whatever the readers of zip files, compression and Python
        # literals have: SyntaxError, LZMAError, BadZipFile, OverflowError, OSError, ...
        except Exception as error:
            raise InputError(str(error)) from None


def _read_smallest(archive: NpzFile, name: str) -> NDArray[Any]:
    """Read an array, of integers in blocks and into the smallest type that holds them; read-only then."""
    member = f"{name}.npy"
    if archive.zip is None or member not in archive.zip.namelist():
        return archive[name]
    with archive.zip.open(member) as file:
        version = np.lib.format.read_magic(file)
        headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in headers:
            return archive[name]
        shape, by_column, dtype = headers[version](file)
        count = math.prod(shape)
        check_memory(count, dtype.itemsize, name, f"numbers of type {dtype}")
        if dtype.kind not in "iu" or dtype == np.uint64 or len(shape) != 2 or count < 1:
            return archive[name]
        parts: list[NDArray[np.integer[Any]]] = []
        for start in range(0, count, _VALUES_AT_ONCE):
            size = min(_VALUES_AT_ONCE, count - start) * dtype.itemsize
            data = file.read(size)
            if len(data) != size:
                return archive[name]  # which says what is wrong
            parts.append(_arrays.smallest(np.frombuffer(data, dtype)))
    low, high = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    values = np.concatenate(parts, dtype=_arrays.holding(low, high), casting="same_kind")
    del parts
    array = np.ascontiguousarray(values.reshape(shape[::-1]).T) if by_column else values.reshape(shape)
    for owner in (values, array):
        owner.flags.writeable = False
    return array


def check_names(arrays: Collection[str], known: tuple[str, ...]) -> None:
    """Refuse arrays without targets, and those with an unknown name that looks like a known one that is not there.

    Examples
    --------
    >>> check_names(["inptus", "targets"], ("inputs", "targets"))
    Traceback (most recent call last):
    pyorder.errors.InputError: unknown array 'inptus': inputs is meant?
    """
    absent = [name for name in known if name not in arrays]
    for name in arrays:
        if name in known:
            continue
        lower = name.lower()
        meant = [other for other in absent if len(lower) > 3 and other.startswith(lower)]
        meant += difflib.get_close_matches(lower, absent, n=1, cutoff=0.82)
        if meant:
            raise InputError(f"unknown array {name!r}: {meant[0]} is meant?")
    if "targets" in absent:
        found = ", ".join(arrays) or "none"
        raise InputError(f"expected the arrays inputs and targets, or targets alone, found {found}")
