"""The linear cross-entropy as torch knows it."""

# Annotations stay objects here: torch reads the operations' schemas from them.
from typing import Any

import torch
from torch import Tensor

from .. import reference


@torch.library.custom_op("pyorder::linear_cross_entropy", mutates_args=(), device_types="cpu")
def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool) -> tuple[Tensor, Tensor]:
    """Losses (M,), and what the backward pass needs beside the arguments: logarithms (M,) of the sums."""
    logits = reference.at_least_float32(torch.nn.functional.linear(hidden, weight))
    return reference.linear_cross_entropy(hidden, weight, targets), logits.logsumexp(1)


@linear_cross_entropy.register_kernel("cuda")
def _launch_linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool
) -> tuple[Tensor, Tensor]:
    from ..linear_cross_entropy import launch

    losses, logarithms = (hidden.new_empty(len(hidden), dtype=torch.float32) for _ in range(2))
    launch(hidden, weight, targets, losses=losses, logarithms=logarithms, debug=debug)
    return losses, logarithms


@linear_cross_entropy.register_fake
def _(hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool) -> tuple[Tensor, Tensor]:
    loss_type = torch.promote_types(hidden.dtype, torch.float32)
    losses, logarithms = (hidden.new_empty(hidden.shape[0], dtype=loss_type) for _ in range(2))
    return losses, logarithms


@torch.library.custom_op("pyorder::linear_cross_entropy_gradient", mutates_args=(), device_types="cpu")
def linear_cross_entropy_gradient(
    incoming: Tensor,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    logarithms: Tensor,
    with_hidden: bool,
    with_weight: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of hidden and weight when that of the losses is ``incoming`` (M,); empty where not asked for."""
    gradients = reference.linear_cross_entropy_gradient(incoming, hidden, weight, targets)
    of_hidden, of_weight = (
        gradient if wanted else hidden.new_empty(0)
        for gradient, wanted in zip(gradients, (with_hidden, with_weight), strict=True)
    )
    return of_hidden, of_weight


@linear_cross_entropy_gradient.register_kernel("cuda")
def _launch_linear_cross_entropy_gradient(
    incoming: Tensor,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    logarithms: Tensor,
    with_hidden: bool,
    with_weight: bool,
) -> tuple[Tensor, Tensor]:
    from ..linear_cross_entropy import launch_gradients, parts_for

    of_hidden = hidden.new_empty(hidden.shape if with_hidden else 0)
    parts = hidden.new_empty(parts_for(len(hidden)), *weight.shape, dtype=torch.float32) if with_weight else None
    launch_gradients(
        incoming.contiguous(), hidden, weight, targets, logarithms,
        hidden_gradient=of_hidden if with_hidden else None, weight_parts=parts,
    )  # fmt: skip
    return of_hidden, weight.new_empty(0) if parts is None else parts.sum(0).to(weight.dtype)


@linear_cross_entropy_gradient.register_fake
def _(
    incoming: Tensor,
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    logarithms: Tensor,
    with_hidden: bool,
    with_weight: bool,
) -> tuple[Tensor, Tensor]:
    return hidden.new_empty(hidden.shape if with_hidden else 0), weight.new_empty(
        weight.shape if with_weight else 0
    )


def _keep_linear(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *given, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*given, output[1])


def _linear_backward(ctx: Any, incoming: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if incoming is None:
        return (None,) * 4
    wanted = ctx.needs_input_grad[:2]
    gradients = linear_cross_entropy_gradient(incoming, *ctx.saved_tensors, *wanted)
    return *(gradient if needed else None for gradient, needed in zip(gradients, wanted, strict=True)), None, None


linear_cross_entropy.register_autograd(_linear_backward, setup_context=_keep_linear)
