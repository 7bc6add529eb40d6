"""The operations as torch knows them, for eager use, `torch.compile` and CUDA graphs, and the choice between them.

On CUDA tensors a registered operation launches Triton kernels, on CPU tensors it runs the reference; Triton is
imported at the first launch. No call waits for the device.
"""

# Annotations stay objects here: torch reads the operations' schemas from them.
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from . import reference
from .checks import FLOAT_TYPES

Implementation = Literal["auto", "triton", "reference"]

HAS_TRITON = find_spec("triton") is not None
MOST_VALUES = 1024  # up to here kernels were made for
MOST_WIDTH = 1024


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
    able = HAS_TRITON and tensor.is_cuda
    if implementation == "auto":
        return able and tensor.dtype in FLOAT_TYPES and values <= MOST_VALUES and width <= MOST_WIDTH
    if implementation == "triton":
        if not able:
            raise ValueError(
                "implementation: 'triton' needs tensors on a CUDA device and triton installed, "
                f"got tensors on {tensor.device}" + ("" if HAS_TRITON else " and no triton")
            )
        return True
    if implementation != "reference":
        names = ", ".join(map(repr, get_args(Implementation)))
        raise ValueError(f"implementation: expected one of {names}, got {implementation!r}")
    return False


# ---- permuted cross-entropy ----


@torch.library.custom_op("pyorder::permuted_cross_entropy", mutates_args=(), device_types="cpu")
def permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
    with_grad: bool = False,
    debug: bool = False,
) -> tuple[Tensor, Tensor]:
    """Losses (B, L), and the gradient of the logits, which is empty without ``with_grad``."""
    lookup = (targets, orders, order_index, target_row, weights)
    losses = reference.permuted_cross_entropy(logits, *lookup)
    if not with_grad:
        return losses, logits.new_empty(0)
    return losses, reference.permuted_cross_entropy_gradient(torch.ones_like(losses), logits, *lookup)


@permuted_cross_entropy.register_kernel("cuda")
def _(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
    with_grad: bool = False,
    debug: bool = False,
) -> tuple[Tensor, Tensor]:
    from .permuted_cross_entropy import launch

    losses = logits.new_empty(logits.shape[:2], dtype=torch.float32)
    gradient = logits.new_empty(logits.shape if with_grad else 0)
    launch(
        logits, targets, orders, order_index, target_row, weights,
        losses=losses, gradient=gradient if with_grad else None, debug=debug,
    )  # fmt: skip
    return losses, gradient


@permuted_cross_entropy.register_fake
def _(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
    with_grad: bool = False,
    debug: bool = False,
) -> tuple[Tensor, Tensor]:
    loss_type = torch.promote_types(logits.dtype, torch.float32)
    losses = logits.new_empty(logits.shape[:2], dtype=loss_type)
    return losses, logits.new_empty(logits.shape if with_grad else 0)


@torch.library.custom_op("pyorder::permuted_cross_entropy_gradient", mutates_args=(), device_types="cpu")
def permuted_cross_entropy_gradient(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Gradient of the logits (B, L, V) when that of the losses is ``incoming`` (B, L)."""
    return reference.permuted_cross_entropy_gradient(
        incoming, logits, targets, orders, order_index, target_row, weights
    )


@permuted_cross_entropy_gradient.register_kernel("cuda")
def _(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    from .permuted_cross_entropy import launch

    gradient = logits.new_empty(logits.shape)
    launch(logits, targets, orders, order_index, target_row, weights, incoming=incoming, gradient=gradient)
    return gradient


@permuted_cross_entropy_gradient.register_fake
def _(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    return logits.new_empty(logits.shape)


def _keep_cross_entropy(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, targets, orders, order_index, target_row, weights, with_grad, _ = inputs
    gradient = output[1]
    ctx.mark_non_differentiable(gradient)
    ctx.with_grad = with_grad
    # With the gradient at hand the logits need not live on.
    kept = (gradient,) if with_grad else (logits, targets, orders, order_index, target_row, weights)
    ctx.save_for_backward(*kept)


def _cross_entropy_backward(ctx: Any, incoming: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if ctx.with_grad:
        (gradient,) = ctx.saved_tensors
        # Multiplied in float32 and rounded once, in one pass.
        slope = torch.mul(gradient, incoming[..., None], out=torch.empty_like(gradient))
    else:
        slope = permuted_cross_entropy_gradient(incoming, *ctx.saved_tensors)
    return (slope, *[None] * 7)


permuted_cross_entropy.register_autograd(_cross_entropy_backward, setup_context=_keep_cross_entropy)


# ---- statistics of losses ----


@torch.library.custom_op("pyorder::loss_statistics", mutates_args=(), device_types="cpu")
def loss_statistics(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rows of every order; sum and sum of squares by order (T,), then by order and canonical step (T, L)."""
    return reference.loss_statistics(losses, orders, order_index)


@loss_statistics.register_kernel("cuda")
def _(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from .loss_statistics import launch, parts_for

    shape = (parts_for(len(orders)), 2, *orders.shape)
    rows = losses.new_empty(len(orders), dtype=torch.int64)
    by_order = losses.new_empty(shape[:3], dtype=torch.float64)
    by_step = losses.new_empty(shape, dtype=torch.float64)
    launch(losses, orders, order_index, rows=rows, by_order=by_order, by_step=by_step, debug=debug)
    return rows, by_order[:, 0].sum(0), by_order[:, 1].sum(0), by_step[:, 0].sum(0), by_step[:, 1].sum(0)


@loss_statistics.register_fake
def _(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    def wide(shape: torch.Size) -> Tensor:
        return losses.new_empty(shape, dtype=torch.float64)

    by_order, by_step = orders.shape[:1], orders.shape
    rows = losses.new_empty(by_order, dtype=torch.int64)
    return rows, wide(by_order), wide(by_order), wide(by_step), wide(by_step)
