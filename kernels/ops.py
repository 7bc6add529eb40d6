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
from .checks import FLOAT_TYPES, MOST_VALUES, MOST_WIDTH

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


# ---- permuted cross-entropy ----


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
    weights: Tensor | None,
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
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rows of every order; sum and sum of squares by order (T,), then by order and canonical step (T, L)."""
    return reference.loss_statistics(losses, orders, order_index)


@loss_statistics.register_kernel("cuda")
def _launch_loss_statistics(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
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
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    rows = losses.new_empty(len(orders), dtype=torch.int64)
    total, total_square = (losses.new_empty(len(orders), dtype=torch.float64) for _ in range(2))
    step, step_square = (losses.new_empty(orders.shape, dtype=torch.float64) for _ in range(2))
    return rows, total, total_square, step, step_square


# ---- permuted embedding ----


@torch.library.custom_op("pyorder::permuted_embedding", mutates_args=(), device_types="cpu")
def permuted_embedding(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    steps: Tensor | None,
    separator: int,
    debug: bool,
) -> Tensor:
    """Sum (B, L, W) of the embeddings that a decoder reads at every slot."""
    return reference.permuted_embedding(
        targets, orders, order_index, target_row, tokens, positions, steps, separator
    )


@permuted_embedding.register_kernel("cuda")
def _launch_permuted_embedding(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    steps: Tensor | None,
    separator: int,
    debug: bool,
) -> Tensor:
    from .permuted_embedding import launch

    out = tokens.new_empty(len(order_index), targets.shape[1], tokens.shape[1])
    launch(targets, orders, order_index, target_row, tokens, positions, steps, separator, out=out, debug=debug)
    return out


@permuted_embedding.register_fake
def _(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    steps: Tensor | None,
    separator: int,
    debug: bool,
) -> Tensor:
    return tokens.new_empty(len(order_index), targets.shape[1], tokens.shape[1])


@torch.library.custom_op("pyorder::permuted_embedding_gradient", mutates_args=(), device_types="cpu")
def permuted_embedding_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of tokens, positions and steps; the last is empty without ``with_steps``."""
    return reference.permuted_embedding_gradient(
        incoming, targets, orders, order_index, target_row, token_rows, separator, with_steps
    )


@permuted_embedding_gradient.register_kernel("cuda")
def _launch_permuted_embedding_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    from .permuted_embedding import launch_gradient, parts_for

    def table(name: str, rows: int) -> Tensor:
        width = incoming.shape[2]
        parts = incoming.new_empty(
            parts_for(incoming.shape[0] * incoming.shape[1], rows, width), rows, width, dtype=torch.float32
        )
        launch_gradient(incoming, targets, orders, order_index, target_row, separator, name, parts=parts)
        return parts.sum(0).to(incoming.dtype)

    steps = incoming.new_empty(0)
    if with_steps:
        steps = torch.stack([table(name, targets.shape[1] + 1) for name in ("before", "following")])
    return table("tokens", token_rows), incoming.sum(0), steps


@permuted_embedding_gradient.register_fake
def _(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    _, length, width = incoming.shape
    steps = incoming.new_empty((2, length + 1, width) if with_steps else 0)
    return incoming.new_empty(token_rows, width), incoming.new_empty(length, width), steps


def _keep_lookup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *lookup, tokens, _, steps, separator, _ = inputs
    ctx.save_for_backward(*lookup)
    ctx.rest = (len(tokens), separator, steps is not None)


def _embedding_backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
    tokens, positions, steps = permuted_embedding_gradient(incoming, *ctx.saved_tensors, *ctx.rest)
    with_steps = ctx.rest[2]
    return *[None] * 4, tokens, positions, steps if with_steps else None, None, None


permuted_embedding.register_autograd(_embedding_backward, setup_context=_keep_lookup)


# ---- linear cross-entropy ----


@torch.library.custom_op("pyorder::linear_cross_entropy", mutates_args=(), device_types="cpu")
def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool) -> tuple[Tensor, Tensor]:
    """Losses (M,), and what the backward pass needs beside the arguments: logarithms (M,) of the sums."""
    logits = reference.at_least_float32(torch.nn.functional.linear(hidden, weight))
    return reference.linear_cross_entropy(hidden, weight, targets), logits.logsumexp(1)


@linear_cross_entropy.register_kernel("cuda")
def _launch_linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool
) -> tuple[Tensor, Tensor]:
    from .linear_cross_entropy import launch

    losses, logarithms = (hidden.new_empty(len(hidden), dtype=torch.float32) for _ in range(2))
    launch(hidden, weight, targets, losses=losses, logarithms=logarithms, debug=debug)
    return losses, logarithms


@linear_cross_entropy.register_fake
def _(hidden: Tensor, weight: Tensor, targets: Tensor, debug: bool) -> tuple[Tensor, Tensor]:
    loss_type = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.new_empty(len(hidden), dtype=loss_type), hidden.new_empty(len(hidden), dtype=loss_type)


@torch.library.custom_op("pyorder::linear_cross_entropy_gradient", mutates_args=(), device_types="cpu")
def linear_cross_entropy_gradient(
    incoming: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, logarithms: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of hidden and weight when that of the losses is ``incoming`` (M,)."""
    return reference.linear_cross_entropy_gradient(incoming, hidden, weight, targets)


@linear_cross_entropy_gradient.register_kernel("cuda")
def _launch_linear_cross_entropy_gradient(
    incoming: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, logarithms: Tensor
) -> tuple[Tensor, Tensor]:
    from .linear_cross_entropy import launch_gradients, parts_for

    hidden_gradient = hidden.new_empty(hidden.shape)
    parts = hidden.new_empty(parts_for(len(hidden)), *weight.shape, dtype=torch.float32)
    launch_gradients(
        incoming.contiguous(), hidden, weight, targets, logarithms,
        hidden_gradient=hidden_gradient, weight_parts=parts,
    )  # fmt: skip
    return hidden_gradient, parts.sum(0).to(weight.dtype)


@linear_cross_entropy_gradient.register_fake
def _(
    incoming: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, logarithms: Tensor
) -> tuple[Tensor, Tensor]:
    return hidden.new_empty(hidden.shape), weight.new_empty(weight.shape)


def _keep_linear(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *given, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*given, output[1])


def _linear_backward(ctx: Any, incoming: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    return *linear_cross_entropy_gradient(incoming, *ctx.saved_tensors), None, None


linear_cross_entropy.register_autograd(_linear_backward, setup_context=_keep_linear)
