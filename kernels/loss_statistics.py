"""Sums and sums of squares of losses by order and by step, the same to the last bit every time.

B  rows    L  steps    T  orders    S  parts

Rows are sorted by order, stably. A program walks through its share of one order's rows from first to last and
leaves its sums in a place of its own, and parts are added up in a fixed order: nothing depends on which program
comes first. Sums run in float64, for the variance is a small difference of large numbers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .checks import check_statistics, check_tensor

TILE = 1024  # losses at once; their float64 sums stay in registers
PROGRAMS = 512  # enough to fill a device; with fewer orders than that, an order's rows are shared out


def parts_for(orders: int) -> int:
    """Parts that an order's rows are shared out to: a matter of the shape alone, so that sums do not vary."""
    return max(1, PROGRAMS // max(1, orders))


@triton.jit(do_not_specialize=["order_count"])
def _kernel(
    losses,
    orders,
    sorted_rows,
    bounds,
    by_order,
    by_step,
    length,
    order_count,
    PARTS: tl.constexpr,
    ROWS: tl.constexpr,
    LENGTH: tl.constexpr,
):
    order = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    place = tl.arange(0, LENGTH)
    known = place < length
    total = tl.zeros([ROWS], tl.float64)
    total_square = tl.zeros([ROWS], tl.float64)
    slots = tl.zeros([ROWS, LENGTH], tl.float64)
    slots_square = tl.zeros([ROWS, LENGTH], tl.float64)
    start = tl.load(bounds + order)
    stop = tl.load(bounds + order + 1)
    for first in range(start + part * ROWS, stop, PARTS * ROWS):
        position = first + tl.arange(0, ROWS)
        row = tl.load(sorted_rows + position, mask=position < stop, other=0)
        seen = (position < stop)[:, None] & known[None, :]
        loss = tl.load(losses + row[:, None] * length + place[None, :], mask=seen, other=0.0).to(tl.float64)
        of_row = tl.sum(loss, 1)
        total += of_row
        total_square += of_row * of_row
        slots += loss
        slots_square += loss * loss
    # by_order is (S, 2, T) and by_step (S, 2, T, L): the sum, then the sum of squares.
    to = part * 2 * order_count + order
    tl.store(by_order + to, tl.sum(total, 0))
    tl.store(by_order + to + order_count, tl.sum(total_square, 0))
    step = tl.load(orders + order * length + place, mask=known, other=0).to(tl.int64)
    tl.device_assert((step >= 0) & (step < length), "orders out of range")
    tl.store(by_step + to * length + step, tl.sum(slots, 0), mask=known)
    tl.store(by_step + (to + order_count) * length + step, tl.sum(slots_square, 0), mask=known)


def launch(
    losses: Tensor,
    orders: Tensor,
    order_index: Tensor,
    *,
    rows: Tensor,
    by_order: Tensor,
    by_step: Tensor,
    debug: bool = False,
) -> None:
    """Fill ``rows`` (T,) int64, ``by_order`` (S, 2, T) and ``by_step`` (S, 2, T, L) float64; S is `parts_for`.

    The second dimension holds the sum and the sum of squares; what is wanted is their sum over the first. A step
    that is missing from a row of ``orders`` leaves its place in ``by_step`` as it was.
    """
    check_statistics(losses, orders, order_index)
    count, length = orders.shape
    parts = parts_for(count)
    check_tensor("rows", rows, (torch.int64,), (count,), losses.device)
    check_tensor("by_order", by_order, (torch.float64,), (parts, 2, count), losses.device)
    check_tensor("by_step", by_step, (torch.float64,), (parts, 2, count, length), losses.device)
    for name, tensor in (("by_order", by_order), ("by_step", by_step)):
        if not tensor.is_contiguous():
            raise ValueError(f"{name}: expected a contiguous tensor, got strides {tensor.stride()}")
    if debug:  # the kernel never reads an index that is out of range: its row would be left out
        inside = ((order_index >= 0) & (order_index < count)).all()
        torch._assert_async(inside, "order_index out of range")
    if count == 0:
        return
    places = triton.next_power_of_2(max(1, length))
    with torch.cuda.device_of(losses):
        ordered, sorted_rows = order_index.sort(stable=True)
        bounds = torch.searchsorted(
            ordered.long(), torch.arange(count + 1, device=losses.device, dtype=torch.int64)
        )
        torch.sub(bounds[1:], bounds[:-1], out=rows)
        _kernel[(count, parts)](
            losses.contiguous(),
            orders.contiguous(),
            sorted_rows,
            bounds,
            by_order,
            by_step,
            length,
            count,
            PARTS=parts,
            ROWS=max(1, TILE // places),
            LENGTH=places,
            num_warps=4,
            debug=debug,
        )
