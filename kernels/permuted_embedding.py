"""What a decoder reads at every slot of a permuted target, embedded in one pass, and the tables' gradients.

B  rows    L  steps    V  rows of the token table    W  width    S  parts

The gradient of a table's row is the sum of the incoming rows that read it. For a short table it is computed as a
product with a matrix of zeros and ones that only ever exists a tile at a time: the incoming rows are many and
uneven, which leaves little for a sort to gain, and the order of every sum is fixed, which atomics cannot give.
Long inputs are cut into parts whose sums are added up afterwards. The work grows with the table's rows, so above
MOST_TABLE_ROWS torch's own sorted sums take over. Since it is a product, an infinity or a NaN in an incoming row
makes its column NaN in other rows of the table too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .checks import FLOAT_TYPES, check_embedding, check_lookup, check_tensor

ROWS_A_PART = 512
MOST_PARTS = 65_535  # CUDA's limit to the third dimension of a grid
MOST_PART_VALUES = 2**23  # of all parts of a table together: 32 MiB


class Settings(NamedTuple):
    """How a launch is cut up."""

    rows: int  # slots at once
    columns: int  # of the width
    warps: int


# By bytes a value. Small tiles: the work is a few thousand slots, and must fill a device.
SETTINGS = {4: Settings(16, 64, 4), 2: Settings(16, 128, 4)}
MOST_TABLE_ROWS = 64  # that gradients are computed for here
TABLE_ROWS = 16  # of a table's gradient a program, the least that a tile product takes


def parts_for(slots: int, table_rows: int, width: int) -> int:
    """Parts that the slots are cut into: a matter of the shape alone, so that sums do not vary."""
    return max(1, min(-(-slots // ROWS_A_PART), MOST_PART_VALUES // max(1, table_rows * width), MOST_PARTS))


@triton.jit
def _steps(orders, order_index, slot, length, order_rows):
    """Canonical step emitted just before each slot, ``length`` at the first of a row, and at the slot."""
    row = slot // length
    place = slot % length
    order = tl.load(order_index + row).to(tl.int64)
    tl.device_assert((order >= 0) & (order < order_rows), "order_index out of range")
    at = orders + order * length + place
    following = tl.load(at).to(tl.int64)
    tl.device_assert((following >= 0) & (following < length), "orders out of range")
    before = tl.load(at - 1, mask=place > 0, other=0).to(tl.int64)
    return tl.where(place > 0, before, length), following


@triton.jit
def _tokens(targets, target_row, slot, before, length, target_rows, separator):
    """Token emitted just before each slot, the separator at the first of a row."""
    source = tl.load(target_row + slot // length).to(tl.int64)
    tl.device_assert((source >= 0) & (source < target_rows), "target_row out of range")
    token = tl.load(targets + source * length + before, mask=before < length, other=0).to(tl.int64)
    return tl.where(before < length, token, separator)


@triton.jit(do_not_specialize=["slots", "order_rows", "target_rows", "separator"])
def _embed(
    targets,
    orders,
    order_index,
    target_row,
    tokens,
    positions,
    steps,
    out,
    slots,
    length,
    width,
    order_rows,
    target_rows,
    token_rows,
    separator,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = slot < slots
    slot = tl.minimum(slot, slots - 1)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = column < width
    before, following = _steps(orders, order_index, slot, length, order_rows)
    token = _tokens(targets, target_row, slot, before, length, target_rows, separator)
    tl.device_assert((token >= 0) & (token < token_rows), "targets out of range")
    mask = known[None, :]
    x = tl.load(tokens + token[:, None] * width + column[None, :], mask=mask, other=0.0).to(tl.float32)
    place = (slot % length).to(tl.int64)
    x += tl.load(positions + place[:, None] * width + column[None, :], mask=mask, other=0.0).to(tl.float32)
    if steps is not None:
        x += tl.load(steps + before[:, None] * width + column[None, :], mask=mask, other=0.0).to(tl.float32)
        row = following + length + 1
        x += tl.load(steps + row[:, None] * width + column[None, :], mask=mask, other=0.0).to(tl.float32)
    to = out + slot.to(tl.int64)[:, None] * width + column[None, :]
    tl.store(to, x.to(out.dtype.element_ty), mask=inside[:, None] & mask)


@triton.jit(do_not_specialize=["slots", "order_rows", "target_rows", "separator", "part_slots"])
def _gather_gradient(
    incoming,
    targets,
    orders,
    order_index,
    target_row,
    parts,
    slots,
    length,
    width,
    order_rows,
    target_rows,
    table_rows,
    separator,
    part_slots,
    TABLE: tl.constexpr,
    TABLE_ROWS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    entry = tl.program_id(0) * TABLE_ROWS + tl.arange(0, TABLE_ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    part = tl.program_id(2)
    known = column < width
    total = tl.zeros([TABLE_ROWS, COLUMNS], tl.float32)
    start = part * part_slots
    stop = tl.minimum(start + part_slots, slots)
    for first in range(start, stop, ROWS):
        slot = first + tl.arange(0, ROWS)
        inside = slot < stop
        slot = tl.minimum(slot, slots - 1)
        before, following = _steps(orders, order_index, slot, length, order_rows)
        if TABLE == "tokens":
            key = _tokens(targets, target_row, slot, before, length, target_rows, separator)
        elif TABLE == "before":
            key = before
        else:
            key = following
        at = incoming + slot.to(tl.int64)[:, None] * width + column[None, :]
        slope = tl.load(at, mask=inside[:, None] & known[None, :], other=0.0)
        reads = (entry[:, None] == key[None, :]).to(slope.dtype)
        total = tl.dot(reads, slope, total, input_precision="ieee")
    to = parts + (part.to(tl.int64) * table_rows + entry)[:, None] * width + column[None, :]
    tl.store(to, total, mask=(entry < table_rows)[:, None] & known[None, :])


def launch(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    steps: Tensor | None,
    separator: int,
    *,
    out: Tensor,
    settings: Settings | None = None,
    debug: bool = False,
) -> None:
    """Fill ``out`` (B, L, W) of the tables' type."""
    check_embedding(targets, orders, order_index, target_row, tokens, positions, steps, separator)
    rows, length, width = len(order_index), targets.shape[1], tokens.shape[1]
    check_tensor("out", out, (tokens.dtype,), (rows, length, width), tokens.device)
    if not out.is_contiguous():
        raise ValueError(f"out: expected a contiguous tensor, got strides {out.stride()}")
    if out.numel() == 0:
        return
    cut = settings or SETTINGS[tokens.dtype.itemsize]
    slots = rows * length
    with torch.cuda.device_of(tokens):
        _embed[(triton.cdiv(slots, cut.rows), triton.cdiv(width, cut.columns))](
            targets.contiguous(),
            orders.contiguous(),
            order_index.contiguous(),
            target_row.contiguous(),
            tokens.contiguous(),
            positions.contiguous(),
            None if steps is None else steps.contiguous(),
            out,
            slots,
            length,
            width,
            len(orders),
            len(targets),
            len(tokens),
            separator,
            ROWS=cut.rows,
            COLUMNS=cut.columns,
            num_warps=cut.warps,
            debug=debug,
        )


def launch_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    separator: int,
    table: str,
    *,
    parts: Tensor,
    settings: Settings | None = None,
    debug: bool = False,
) -> None:
    """Fill ``parts`` (S, rows of the table, W) float32, of which the sum over S is the table's gradient.

    ``table`` is "tokens", or "before" or "following" for the two tables of steps.
    """
    rows, length = check_lookup(targets, orders, order_index, target_row, targets.device)
    check_tensor("incoming", incoming, FLOAT_TYPES, (rows, length, "W"), targets.device)
    slots = rows * length
    width, table_rows = incoming.shape[2], parts.shape[1]
    expected = (parts_for(slots, table_rows, width), table_rows, width)
    check_tensor("parts", parts, (torch.float32,), expected, targets.device)
    if not parts.is_contiguous():
        raise ValueError(f"parts: expected a contiguous tensor, got strides {parts.stride()}")
    if parts.numel() == 0:
        return
    cut = settings or SETTINGS[incoming.dtype.itemsize]
    with torch.cuda.device_of(incoming):
        _gather_gradient[(triton.cdiv(table_rows, TABLE_ROWS), triton.cdiv(width, cut.columns), len(parts))](
            incoming.contiguous(),
            targets.contiguous(),
            orders.contiguous(),
            order_index.contiguous(),
            target_row.contiguous(),
            parts,
            slots,
            length,
            width,
            len(orders),
            len(targets),
            table_rows,
            separator,
            triton.cdiv(slots, len(parts)),
            TABLE=table,
            TABLE_ROWS=TABLE_ROWS,
            ROWS=cut.rows,
            COLUMNS=cut.columns,
            num_warps=cut.warps,
            debug=debug,
        )
