"""Safetensors files of NumPy arrays: large ones read without a copy, all written all or nothing.

The format is that of https://github.com/huggingface/safetensors, and files go both ways between it and this
module. The element types are those that NumPy has too: bool, int8 to int64, uint8 to uint64, float16 to
float64 and complex64; what has another is passed over where it is not asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pyorder import _core
from pyorder._disk import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["list_safetensors", "read_safetensors", "write_safetensors"]


def list_safetensors(path: str | PathLike[str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the element type, as the format calls it, and the shape of every array in a file.

    Arrays of types that NumPy lacks are among them.

    Raises
    ------
    OSError
        When the file cannot be opened; FileNotFoundError when there is none.
    ValueError
        When the file breaks the format in any way.

    Examples
    --------
    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "result.safetensors")
    ...     write_safetensors(path, {"losses": [0.5, 0.25]})
    ...     list_safetensors(path)
    {'losses': ('F64', (2,))}
    """
    return _core.safetensors.list(os.fspath(path))  # a conversion in C++ would swallow Ctrl-C


def read_safetensors(
    path: str | PathLike[str], names: Iterable[str] | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays of a file, or those of the given names, and its metadata.

    Arrays are read-only, in the sequence of their data. Of those that are not asked for, only what the header
    says is checked, and they may have types that NumPy lacks, such as BF16.

    Up to 64 MiB of data are copied, and safe from whatever other programs do to the file. More is mapped into
    memory until the last array is gone. Replacing a mapped file, as write_safetensors does, is safe: the arrays
    keep the old contents. But they show what is written into it, and one that is cut short ends the process when
    a missing part is read. A tensor that shares the memory of such an array can write to it, and changes no file.

    Raises
    ------
    OSError
        When the file cannot be opened; FileNotFoundError when there is none.
    ValueError
        When the file breaks the format in any way, lacks a name, or what is asked for has a type that NumPy
        lacks.

    Examples
    --------
    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "result.safetensors")
    ...     write_safetensors(path, {"losses": [0.5, 0.25]}, {"task": "relu"})
    ...     read_safetensors(path)
    ({'losses': array([0.5 , 0.25])}, {'task': 'relu'})
    """
    if isinstance(names, str):
        raise TypeError(f"names: expected names, got the text {names!r}")
    return _core.safetensors.read(os.fspath(path), None if names is None else list(names))


def write_safetensors(
    path: str | PathLike[str], arrays: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays and metadata to a file, which holds the whole of them or what it held before.

    The contents go to a temporary file in the same directory, are forced to the disk and renamed. A link is
    replaced itself, and what it leads to stays as it is.

    Raises
    ------
    OSError
        When the directory or the disk refuses; nothing is left behind.
    TypeError
        For an array of a type that the format or NumPy lacks, or metadata that is not text.
    ValueError
        For a name that is reserved (``__metadata__``) or not valid Unicode, and where the path is a pipe or a
        device.

    Examples
    --------
    >>> write_safetensors("result.safetensors", {"names": ["relu", "square"]})
    Traceback (most recent call last):
    TypeError: array 'names' has dtype <U6, which safetensors files do not hold
    """
    texts = dict(metadata or {})
    for text in [*arrays, *texts, *texts.values()]:
        if not isinstance(text, str):
            raise TypeError(f"names and metadata: expected text, got {text!r}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"names and metadata: expected valid Unicode, got {text!r}") from None
    contents = {name: _storable(array) for name, array in arrays.items()}
    with replacing(path) as temporary:
        try:
            _core.safetensors.write(os.fspath(temporary), contents, texts)
        except ValueError as error:
            raise ValueError(str(error).replace(str(temporary), os.fspath(path))) from None


def _storable(value: ArrayLike) -> NDArray[Any]:
    array = np.asarray(value, order="C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
