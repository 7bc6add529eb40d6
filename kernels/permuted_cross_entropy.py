"""The loss of permuted targets and the gradient of its logits, each in one pass over the logits.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders

A program holds a tile of several slots, each with all its logits, in registers. The target is looked up through
the order on the way, so that permuted targets, log-probabilities and copies of a strided view are never written.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .checks import IGNORED, MOST_VALUES, check_permuted, check_tensor

_IGNORED = tl.constexpr(IGNORED)


class Settings(NamedTuple):
    """How a launch is cut up."""

    rows: int  # slots a program
    warps: int


# By bytes a logit and tile width, the smallest power of two that holds V. L plays no part: a tile is cut from the
# B * L slots in a row. On an H100 these have the smallest product of times at 1,664 and at 262,144 slots, loss and
# gradient; that of 512 values in float32 was not measured, and is its neighbours'.
SETTINGS = {
    4: {16: Settings(64, 4), 32: Settings(32, 4), 64: Settings(16, 4), 128: Settings(4, 1),
        256: Settings(2, 1), 512: Settings(1, 1), 1024: Settings(1, 1)},
    2: {16: Settings(64, 4), 32: Settings(32, 4), 64: Settings(16, 4), 128: Settings(8, 4),
        256: Settings(4, 4), 512: Settings(2, 1), 1024: Settings(1, 1)},
}  # fmt: skip


def tile_width(values: int) -> int:
    """Smallest power of two that holds all values, and a warp's worth of work."""
    return max(16, 1 << (values - 1).bit_length())


@triton.jit(do_not_specialize=["slots", "target_rows", "order_rows"])
def _kernel(
    logits,
    targets,
    orders,
    order_index,
    target_row,
    weights,
    incoming,
    losses,
    gradient,
    slots,
    target_rows,
    order_rows,
    length,
    values,
    logits_row,
    logits_slot,
    incoming_row,
    incoming_slot,
    scale,
    ROWS: tl.constexpr,
    VALUES: tl.constexpr,
):
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = slot < slots
    # Lanes past the end repeat the last slot, and store nothing: every row of the tile is a true one.
    slot = tl.minimum(slot, slots - 1)
    row = slot // length
    place = slot % length
    far_row, far_place = row.to(tl.int64), place.to(tl.int64)  # either may have the larger stride
    value = tl.arange(0, VALUES)
    known = value < values
    at = far_row * logits_row + far_place * logits_slot
    # Before the lookups, each of which waits for the one before it.
    x = tl.load(logits + at[:, None] + value[None, :], mask=known[None, :], other=float("-inf"))
    order = tl.load(order_index + row).to(tl.int64)
    tl.device_assert((order >= 0) & (order < order_rows), "order_index out of range")
    step = tl.load(orders + order * length + place).to(tl.int64)
    tl.device_assert((step >= 0) & (step < length), "orders out of range")
    source = tl.load(target_row + row).to(tl.int64)
    tl.device_assert((source >= 0) & (source < target_rows), "target_row out of range")
    target = tl.load(targets + source * length + step).to(tl.int64)

    x = x.to(tl.float32)
    x -= tl.max(x, 1)[:, None]
    exponential = tl.exp(x)
    total = tl.sum(exponential, 1)
    chosen = value[None, :] == target[:, None]

    weight = tl.full([ROWS], 1.0, tl.float32) * scale
    if weights is not None:
        weight *= tl.load(weights + step).to(tl.float32)
    weight = tl.where(target == _IGNORED, 0.0, weight)
    tl.device_assert(((target >= 0) & (target < values)) | (weight == 0), "targets out of range")
    if losses is not None:
        loss = tl.log(total) - tl.sum(tl.where(chosen, x, 0.0), 1)
        tl.store(losses + slot, tl.where(weight == 0, 0.0, loss * weight), mask=inside)
    if gradient is not None:
        factor = weight
        if incoming is not None:
            factor = weight * tl.load(incoming + far_row * incoming_row + far_place * incoming_slot)
        slope = (exponential / total[:, None] - tl.where(chosen, 1.0, 0.0)) * factor[:, None]
        slope = tl.where((weight == 0)[:, None], 0.0, slope)
        to = gradient + slot.to(tl.int64)[:, None] * values + value[None, :]
        tl.store(to, slope.to(gradient.dtype.element_ty), mask=inside[:, None] & known[None, :])


def launch(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
    *,
    scale: float = 1.0,
    incoming: Tensor | None = None,
    losses: Tensor | None = None,
    gradient: Tensor | None = None,
    settings: Settings | None = None,
    debug: bool = False,
) -> None:
    """Fill ``losses`` (B, L) float32, ``gradient`` (B, L, V) of the logits' type, or both, in one launch.

    ``scale`` multiplies both, ``incoming`` (B, L) float32 the gradient; 1 where it is not given. It and ``logits``
    may be strided.
    """
    check_permuted(logits, targets, orders, order_index, target_row, weights)
    rows, length, values = logits.shape
    if values > MOST_VALUES:
        raise ValueError(f"logits: expected at most {MOST_VALUES} values, got {values}")
    for name, tensor in (("incoming", incoming), ("losses", losses)):
        if tensor is not None:
            check_tensor(name, tensor, (torch.float32,), (rows, length), logits.device)
    if gradient is not None:
        check_tensor("gradient", gradient, (logits.dtype,), (rows, length, values), logits.device)
    for name, tensor in (("losses", losses), ("gradient", gradient)):
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"{name}: expected a contiguous tensor, got strides {tensor.stride()}")
    slots = rows * length
    if slots == 0:
        return
    if logits.stride(2) != 1:
        logits = logits.contiguous()
    cut = settings or SETTINGS[logits.dtype.itemsize][tile_width(values)]
    with torch.cuda.device_of(logits):
        _kernel[(triton.cdiv(slots, cut.rows),)](
            logits,
            targets.contiguous(),
            orders.contiguous(),
            order_index.contiguous(),
            target_row.contiguous(),
            None if weights is None else weights.contiguous(),
            incoming,
            losses,
            gradient,
            slots,
            len(targets),
            len(orders),
            length,
            values,
            logits.stride(0),
            logits.stride(1),
            0 if incoming is None else incoming.stride(0),
            0 if incoming is None else incoming.stride(1),
            scale,
            ROWS=cut.rows,
            VALUES=tile_width(values),
            num_warps=cut.warps,
            debug=debug,
        )
