"""Checks of what the operation is given; errors name the argument, what was given, what is allowed.

Only shapes, types and devices are looked at: to look at a value would wait for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

INDEX_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)
WEIGHT_TYPES = (torch.float32, torch.bool)

IGNORED = -100  # the target that has loss and gradient 0, as in torch's own cross-entropy

MOST_VALUES = 1024  # that the kernel was made for: a tile holds all of them

# Row numbers are 32-bit in the kernel, and the last tile reaches past the last row.
MOST_ROWS = 2**30


def check_tensor(
    name: str,
    tensor: Tensor,
    dtypes: tuple[torch.dtype, ...],
    shape: tuple[int | str, ...],
    device: torch.device,
) -> None:
    """Refuse a tensor of another type, shape or device; an extent given as a string may be any.

    Examples
    --------
    >>> check_tensor("orders", torch.zeros(3, 4), INDEX_TYPES, ("T", 4), torch.device("cpu"))
    Traceback (most recent call last):
    TypeError: orders: expected uint8, int8, int16, int32 or int64, got float32
    >>> check_tensor("orders", torch.zeros(3, 4).long(), INDEX_TYPES, ("T", 5), torch.device("cpu"))
    Traceback (most recent call last):
    ValueError: orders: expected shape (T, 5), got (3, 4)
    """
    if tensor.dtype not in dtypes:
        *most, last = (str(dtype).removeprefix("torch.") for dtype in dtypes)
        allowed = f"{', '.join(most)} or {last}" if most else last
        raise TypeError(f"{name}: expected {allowed}, got {str(tensor.dtype).removeprefix('torch.')}")
    given = tensor.shape
    if len(given) != len(shape) or any(
        isinstance(wanted, int | torch.SymInt) and wanted != extent
        for wanted, extent in zip(shape, given, strict=True)
    ):
        expected = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(given)}")
    if tensor.device != device:
        raise ValueError(f"{name}: expected a tensor on {device}, got one on {tensor.device}")


def check_permuted(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    dtypes: tuple[torch.dtype, ...] = FLOAT_TYPES,
) -> None:
    """Check the arguments of the permuted cross-entropy."""
    device = logits.device
    check_tensor("targets", targets, INDEX_TYPES, ("N", "L"), device)
    length = targets.shape[1]
    check_tensor("orders", orders, INDEX_TYPES, ("T", length), device)
    check_tensor("order_index", order_index, INDEX_TYPES, ("B",), device)
    rows = len(order_index)
    check_tensor("target_row", target_row, INDEX_TYPES, (rows,), device)
    if rows * length > MOST_ROWS:
        raise ValueError(f"order_index: expected at most {MOST_ROWS:,} slots, got {rows} x {length}")
    check_tensor("logits", logits, dtypes, (rows, length, "V"), device)
    if logits.shape[2] < 1:
        raise ValueError(f"logits: expected at least one value, got shape {tuple(logits.shape)}")
    if weights is not None:
        check_tensor("weights", weights, WEIGHT_TYPES, (length,), device)
        if weights.requires_grad:
            raise ValueError("weights: expected constants, got a tensor that requires a gradient")
