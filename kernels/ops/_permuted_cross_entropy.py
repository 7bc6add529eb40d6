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
    with_grad: bool,
    debug: bool,
) -> tuple[Tensor, Tensor]:
    """Losses (B, L), and the gradient of the logits, which is empty without ``with_grad``."""
    lookup = (targets, orders, order_index, target_row, weights)
    losses = reference.permuted_cross_entropy(logits, *lookup)
    if not with_grad:
        return losses, logits.new_empty(0)
    return losses, reference.permuted_cross_entropy_gradient(torch.ones_like(losses), logits, *lookup)


@permuted_cross_entropy.register_kernel("cuda")
def _launch_permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None,
    with_grad: bool,
    debug: bool,
) -> tuple[Tensor, Tensor]:
    from ..permuted_cross_entropy import launch

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
    weights: Tensor | None,
    with_grad: bool,
    debug: bool,
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
    weights: Tensor | None,
) -> Tensor:
    """Gradient of the logits (B, L, V) when that of the losses is ``incoming`` (B, L)."""
    return reference.permuted_cross_entropy_gradient(
        incoming, logits, targets, orders, order_index, target_row, weights
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
) -> Tensor:
    from ..permuted_cross_entropy import launch

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
    weights: Tensor | None,
) -> Tensor:
    return logits.new_empty(logits.shape)


def _keep_cross_entropy(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, targets, orders, order_index, target_row, weights, with_grad, _ = inputs
    gradient = output[1]
    ctx.mark_non_differentiable(gradient)
    ctx.set_materialize_grads(False)  # or every backward pass fills zeros for the second output
    ctx.with_grad = with_grad
    # With the gradient at hand the logits need not live on.
    kept = (gradient,) if with_grad else (logits, targets, orders, order_index, target_row, weights)
    ctx.save_for_backward(*kept)


def _cross_entropy_backward(ctx: Any, incoming: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if incoming is None:
        return (None,) * 8
    if ctx.with_grad:
        if torch.is_grad_enabled():  # the saved gradient is a constant: differentiated, it would count as zero
            raise RuntimeError(
                "permuted_cross_entropy: not twice differentiable, got create_graph=True; "
                "implementation='reference' is"
            )
        (gradient,) = ctx.saved_tensors
        # Multiplied in float32 and rounded once, in one pass.
        slope = torch.mul(gradient, incoming[..., None], out=torch.empty_like(gradient))
    else:
        slope = permuted_cross_entropy_gradient(incoming, *ctx.saved_tensors)
    return (slope, *[None] * 7)


permuted_cross_entropy.register_autograd(_cross_entropy_backward, setup_context=_keep_cross_entropy)
