"""The operations as torch knows them, for eager use, `torch.compile` and CUDA graphs, and the choice between them.

On CUDA tensors a registered operation launches Triton kernels, on CPU tensors it runs the reference; Triton is
imported at the first launch. No call waits for the device.
"""

from importlib.util import find_spec
from typing import Literal, get_args

from torch import Tensor

from ..checks import FLOAT_TYPES, MOST_VALUES, MOST_WIDTH
from ._linear_cross_entropy import linear_cross_entropy
from ._loss_statistics import loss_statistics
from ._permuted_cross_entropy import permuted_cross_entropy
from ._permuted_embedding import permuted_embedding

__all__ = [
    "HAS_TRITON",
    "Implementation",
    "linear_cross_entropy",
    "loss_statistics",
    "permuted_cross_entropy",
    "permuted_embedding",
    "runs_triton",
]

Implementation = Literal["auto", "triton", "reference"]

HAS_TRITON = find_spec("triton") is not None


def runs_triton(implementation: Implementation, tensor: Tensor, values: int, width: int = 1) -> bool:
    """Decide by name; "auto" is Triton where the tensors are on a GPU and of a size that the kernels are made for.

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
        return able and tensor.dtype in FLOAT_TYPES and values <= MOST_VALUES and width <= MOST_WIDTH
    if implementation == "triton" and not able:
        raise ValueError(
            "implementation: 'triton' needs tensors on a CUDA device and triton installed, "
            f"got tensors on {tensor.device}" + ("" if HAS_TRITON else " and no triton")
        )
    return implementation == "triton"
