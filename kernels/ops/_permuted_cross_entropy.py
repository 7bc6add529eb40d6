"""The permuted cross-entropy as torch knows it."""

# Annotations stay objects here: torch reads the operations' schemas from them.
from typing import Any

import torch
from torch import Tensor

from .. import reference


@torch.library.custom_op("pyorder::permuted_cross_entropy", mutates_args=(), device_types="cpu")
def permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
    debug: bool,
) -> Tensor:
    """Losses (B, L) times ``scale``."""
    return reference.permuted_cross_entropy(logits, targets, orders, order_index, target_row, weights) * scale


@permuted_cross_entropy.register_kernel("cuda")
def _launch_permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
    debug: bool,
) -> Tensor:
    from ..permuted_cross_entropy import launch

    losses = logits.new_empty(logits.shape[:2], dtype=torch.float32)
    launch(logits, targets, orders, order_index, target_row, weights, scale=scale, losses=losses, debug=debug)
    return losses


@permuted_cross_entropy.register_fake
def _(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
    debug: bool,
) -> Tensor:
    return logits.new_empty(logits.shape[:2], dtype=torch.promote_types(logits.dtype, torch.float32))


@torch.library.custom_op("pyorder::permuted_cross_entropy_gradient", mutates_args=(), device_types="cpu")
def permuted_cross_entropy_gradient(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
) -> Tensor:
    """Gradient of the logits (B, L, V) when that of the losses is ``incoming`` (B, L)."""
    return reference.permuted_cross_entropy_gradient(
        incoming * scale, logits, targets, orders, order_index, target_row, weights
    )


@permuted_cross_entropy_gradient.register_kernel("cuda")
def _launch_permuted_cross_entropy_gradient(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
) -> Tensor:
    from ..permuted_cross_entropy import launch

    gradient = logits.new_empty(logits.shape)
    launch(
        logits, targets, orders, order_index, target_row, weights,
        scale=scale, incoming=incoming, gradient=gradient,
    )  # fmt: skip
    return gradient


@permuted_cross_entropy_gradient.register_fake
def _(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    scale: float,
) -> Tensor:
    return logits.new_empty(logits.shape)


def _keep_cross_entropy(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:-2])
    ctx.scale = inputs[-2]


def _cross_entropy_backward(ctx: Any, incoming: Tensor | None) -> tuple[Tensor | None, ...]:
    slope = None if incoming is None else permuted_cross_entropy_gradient(incoming, *ctx.saved_tensors, ctx.scale)
    return (slope, *[None] * 7)


permuted_cross_entropy.register_autograd(_cross_entropy_backward, setup_context=_keep_cross_entropy)
