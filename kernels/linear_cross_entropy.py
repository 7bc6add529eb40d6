"""The output layer and the loss in one: logits exist a tile at a time and are never written.

M  rows of hidden    W  width    V  vocabulary size    S  parts

The forward pass keeps a running maximum and sum over tiles of values, and leaves the losses and the logarithms of
the sums. The backward passes make the same tiles of logits again: one walks over the values for a tile of rows,
the other over the rows for a tile of values. The latter's parts are added up in a fixed order, without atomics.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .checks import IGNORED, MOST_VALUES, MOST_WIDTH, check_linear, check_tensor

_IGNORED = tl.constexpr(IGNORED)
ROWS_A_PART = 1024
MOST_PARTS = 32


class Settings(NamedTuple):
    """How a launch is cut up."""

    rows: int
    values: int
    warps: int


def settings_for(width: int, dtype: torch.dtype) -> Settings:
    """Tiles of full width, the largest that compile for compute capability 9.0 without spilling registers."""
    if dtype.itemsize == 2 and width <= 128:
        return Settings(32, 32, 4)
    return Settings(16, 16, 4 if width <= 512 else 8)


def parts_for(rows: int) -> int:
    """Parts for the weight's gradient: a matter of the shape alone, so that sums do not vary."""
    return max(1, min(MOST_PARTS, -(-rows // ROWS_A_PART)))


@triton.jit
def _tile(table, index, column, rows, width):
    """Rows of a table (rows, width), zero where there is none."""
    at = table + index.to(tl.int64)[:, None] * width + column[None, :]
    return tl.load(at, mask=(index < rows)[:, None] & (column < width)[None, :], other=0.0)


@triton.jit(do_not_specialize=["rows"])
def _forward(
    hidden,
    weight,
    targets,
    losses,
    logarithms,
    rows,
    values,
    width,
    ROWS: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    h = _tile(hidden, row, column, rows, width)
    target = tl.load(targets + row, mask=row < rows, other=0).to(tl.int64)
    tl.device_assert(((target >= 0) & (target < values)) | (target == _IGNORED), "targets out of range")
    largest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    chosen = tl.zeros([ROWS], tl.float32)
    for first in range(0, values, VALUES):
        value = first + tl.arange(0, VALUES)
        w = _tile(weight, value, column, values, width)
        x = tl.dot(h, tl.trans(w), input_precision="ieee")
        chosen += tl.sum(tl.where(value[None, :] == target[:, None], x, 0.0), 1)
        x = tl.where((value < values)[None, :], x, float("-inf"))
        larger = tl.maximum(largest, tl.max(x, 1))
        total = total * tl.exp(largest - larger) + tl.sum(tl.exp(x - larger[:, None]), 1)
        largest = larger
    logarithm = largest + tl.log(total)
    tl.store(losses + row, tl.where(target == _IGNORED, 0.0, logarithm - chosen), mask=row < rows)
    tl.store(logarithms + row, logarithm, mask=row < rows)


@triton.jit
def _slope(h, w, value, values, target, logarithm, incoming):
    """Gradient of a tile of logits: zero at values that do not exist, and at rows without a target."""
    x = tl.dot(h, tl.trans(w), input_precision="ieee")
    x = tl.where((value < values)[None, :], x, float("-inf"))
    slope = tl.exp(x - logarithm[:, None]) - tl.where(value[None, :] == target[:, None], 1.0, 0.0)
    return tl.where((target == _IGNORED)[:, None], 0.0, slope * incoming[:, None]).to(h.dtype)


@triton.jit(do_not_specialize=["rows"])
def _backward_hidden(
    incoming,
    hidden,
    weight,
    targets,
    logarithms,
    gradient,
    rows,
    values,
    width,
    ROWS: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = row < rows
    h = _tile(hidden, row, column, rows, width)
    target = tl.load(targets + row, mask=inside, other=0).to(tl.int64)
    logarithm = tl.load(logarithms + row, mask=inside, other=0.0)
    scale = tl.load(incoming + row, mask=inside, other=0.0)
    total = tl.zeros([ROWS, WIDTH], tl.float32)
    for first in range(0, values, VALUES):
        value = first + tl.arange(0, VALUES)
        w = _tile(weight, value, column, values, width)
        total = tl.dot(_slope(h, w, value, values, target, logarithm, scale), w, total, input_precision="ieee")
    to = gradient + row.to(tl.int64)[:, None] * width + column[None, :]
    tl.store(to, total.to(gradient.dtype.element_ty), mask=inside[:, None] & (column < width)[None, :])


@triton.jit(do_not_specialize=["rows", "part_rows"])
def _backward_weight(
    incoming,
    hidden,
    weight,
    targets,
    logarithms,
    parts,
    rows,
    values,
    width,
    part_rows,
    ROWS: tl.constexpr,
    VALUES: tl.constexpr,
    WIDTH: tl.constexpr,
):
    value = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    part = tl.program_id(1)
    column = tl.arange(0, WIDTH)
    w = _tile(weight, value, column, values, width)
    total = tl.zeros([VALUES, WIDTH], tl.float32)
    start = part * part_rows
    stop = tl.minimum(start + part_rows, rows)
    for first in range(start, stop, ROWS):
        row = first + tl.arange(0, ROWS)
        inside = row < stop
        h = _tile(hidden, row, column, stop, width)
        target = tl.load(targets + row, mask=inside, other=0).to(tl.int64)
        logarithm = tl.load(logarithms + row, mask=inside, other=0.0)
        scale = tl.load(incoming + row, mask=inside, other=0.0)
        slope = _slope(h, w, value, values, target, logarithm, scale)
        total = tl.dot(tl.trans(slope), h, total, input_precision="ieee")
    to = parts + (part.to(tl.int64) * values + value)[:, None] * width + column[None, :]
    tl.store(to, total, mask=(value < values)[:, None] & (column < width)[None, :])


def _check(hidden: Tensor, weight: Tensor, targets: Tensor, vectors: dict[str, Tensor]) -> None:
    check_linear(hidden, weight, targets)
    if len(weight) > MOST_VALUES:
        raise ValueError(f"weight: expected at most {MOST_VALUES} values, got {len(weight)}")
    if hidden.shape[1] > MOST_WIDTH:
        raise ValueError(f"hidden: expected a width of at most {MOST_WIDTH}, got {hidden.shape[1]}")
    for name, tensor in vectors.items():
        check_tensor(name, tensor, (torch.float32,), (len(hidden),), hidden.device)
        if not tensor.is_contiguous():
            raise ValueError(f"{name}: expected a contiguous tensor, got strides {tensor.stride()}")


def launch(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    losses: Tensor,
    logarithms: Tensor,
    settings: Settings | None = None,
    debug: bool = False,
) -> None:
    """Fill ``losses`` and ``logarithms``, of the sums of exponentials, (M,) float32 each."""
    _check(hidden, weight, targets, {"losses": losses, "logarithms": logarithms})
    rows, width = hidden.shape
    if rows == 0:
        return
    cut = settings or settings_for(width, hidden.dtype)
    with torch.cuda.device_of(hidden):
        _forward[(triton.cdiv(rows, cut.rows),)](
            hidden.contiguous(),
            weight.contiguous(),
            targets.contiguous(),
            losses,
            logarithms,
            rows,
            len(weight),
            width,
            ROWS=cut.rows,
            VALUES=cut.values,
            WIDTH=max(16, triton.next_power_of_2(width)),
            num_warps=cut.warps,
            num_stages=1,
            debug=debug,
        )


def launch_gradients(
    incoming: Tensor,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    logarithms: Tensor,
    *,
    hidden_gradient: Tensor | None = None,
    weight_parts: Tensor | None = None,
    settings: Settings | None = None,
) -> None:
    """Fill ``hidden_gradient`` (M, W) of hidden's type, ``weight_parts`` (S, V, W) float32, or both.

    S is `parts_for`; the weight's gradient is the sum over the parts.
    """
    _check(hidden, weight, targets, {"incoming": incoming, "logarithms": logarithms})
    (rows, width), values, parts = hidden.shape, len(weight), parts_for(len(hidden))
    for name, tensor, dtype, shape in (
        ("hidden_gradient", hidden_gradient, hidden.dtype, (rows, width)),
        ("weight_parts", weight_parts, torch.float32, (parts, values, width)),
    ):
        if tensor is not None:
            check_tensor(name, tensor, (dtype,), shape, hidden.device)
            if not tensor.is_contiguous():
                raise ValueError(f"{name}: expected a contiguous tensor, got strides {tensor.stride()}")
    cut = settings or settings_for(width, hidden.dtype)
    given = (incoming, hidden.contiguous(), weight.contiguous(), targets.contiguous(), logarithms)
    tiles = {"ROWS": cut.rows, "VALUES": cut.values, "WIDTH": max(16, triton.next_power_of_2(width))}
    options = {"num_warps": cut.warps, "num_stages": 1}
    with torch.cuda.device_of(hidden):
        if hidden_gradient is not None and rows:
            _backward_hidden[(triton.cdiv(rows, cut.rows),)](
                *given, hidden_gradient, rows, values, width, **tiles, **options
            )
        if weight_parts is not None:
            _backward_weight[(triton.cdiv(values, cut.values), parts)](
                *given, weight_parts, rows, values, width, triton.cdiv(rows, parts), **tiles, **options
            )
