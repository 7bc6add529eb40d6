"""The operation as torch knows it, for eager use, `torch.compile` and CUDA graphs, and the choice of who runs it.

On CUDA tensors the registered operation launches Triton's kernel, on CPU tensors it runs the reference; Triton is
imported at the first launch. No call waits for the device.
"""

import os
import shutil
import sys
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from ..checks import FLOAT_TYPES, MOST_VALUES
from ._permuted_cross_entropy import permuted_cross_entropy

__all__ = [
    "HAS_COMPILER",
    "HAS_TRITON",
    "Implementation",
    "permuted_cross_entropy",
    "runs_triton",
]

Implementation = Literal["auto", "triton", "reference"]

HAS_TRITON = find_spec("triton") is not None


def finds_compiler() -> bool:
    """Whether Triton can build what launches its kernels: with ``CC``, or where that is not set with gcc or clang.

    Whoever replaced its way to build (``triton.knobs.build.impl``) has imported Triton.
    """
    knobs = sys.modules.get("triton.knobs")
    if knobs is not None and knobs.build.impl is not None:
        return True
    named = os.environ.get("CC")
    return any(shutil.which(name) for name in (("gcc", "clang") if named is None else (named,)))


# Looked for once, at import: `torch.compile` could not follow a search of the file system.
HAS_COMPILER = finds_compiler()

NO_COMPILER = "Triton needs a C compiler to launch a kernel, and finds none: install gcc, or name one in CC"


@cache
def _tell_once() -> None:
    warnings.warn(f"{NO_COMPILER}. Until then plain PyTorch runs instead.", RuntimeWarning, stacklevel=4)


def runs_triton(implementation: Implementation, tensor: Tensor, values: int) -> bool:
    """Decide by name; "auto" is Triton where the tensors are on a GPU and of a size that the kernel is made for.

    Where Triton finds no C compiler "auto" is the reference, and the first call that Triton would have run warns.

    Examples
    --------
    >>> runs_triton("auto", torch.zeros(3), values=16)
    False
    >>> runs_triton("triton", torch.zeros(3), values=16)
    Traceback (most recent call last):
    ValueError: implementation: 'triton' needs tensors on a CUDA device and triton installed, got tensors on cpu
    """
    if implementation not in get_args(Implementation):
        names = ", ".join(map(repr, get_args(Implementation)))
        raise ValueError(f"implementation: expected one of {names}, got {implementation!r}")
    able = HAS_TRITON and tensor.is_cuda
    if implementation == "auto":
        wanted = able and tensor.dtype in FLOAT_TYPES and values <= MOST_VALUES
        if wanted and not HAS_COMPILER and not torch.compiler.is_compiling():
            _tell_once()
        return wanted and HAS_COMPILER
    if implementation == "triton" and not able:
        raise ValueError(
            "implementation: 'triton' needs tensors on a CUDA device and triton installed, "
            f"got tensors on {tensor.device}" + ("" if HAS_TRITON else " and no triton")
        )
    if implementation == "triton" and not HAS_COMPILER:
        raise ValueError(f"implementation: 'triton' cannot run here. {NO_COMPILER}")
    return implementation == "triton"
