"""The permuted embedding as torch knows it."""

# Annotations stay objects here: torch reads the operations' schemas from them.
from typing import Any

import torch
from torch import Tensor

from .. import reference


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
    from ..permuted_embedding import launch

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
    return tokens.new_empty(order_index.shape[0], targets.shape[1], tokens.shape[1])


@torch.library.custom_op("pyorder::permuted_embedding_gradient", mutates_args=(), device_types="cpu")
def permuted_embedding_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_tokens: bool,
    with_positions: bool,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of tokens, positions and steps; empty where not asked for."""
    gradients = reference.permuted_embedding_gradient(
        incoming, targets, orders, order_index, target_row, token_rows, separator
    )
    tokens, positions, steps = (
        gradient if wanted else incoming.new_empty(0)
        for gradient, wanted in zip(gradients, (with_tokens, with_positions, with_steps), strict=True)
    )
    return tokens, positions, steps


@permuted_embedding_gradient.register_kernel("cuda")
def _launch_permuted_embedding_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_tokens: bool,
    with_positions: bool,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    from ..permuted_embedding import MOST_TABLE_ROWS, launch_gradient, parts_for

    lookup = (targets, orders, order_index, target_row)
    incoming = incoming.contiguous()
    rows, length, width = incoming.shape

    def table(name: str, table_rows: int) -> Tensor:
        if table_rows > MOST_TABLE_ROWS:
            read = reference.rows_read(*lookup, separator)[name]
            gradient: Tensor = torch.ops.aten.embedding_dense_backward(incoming, read, table_rows, -1, False)
            return gradient
        parts = incoming.new_empty(
            parts_for(rows * length, table_rows, width), table_rows, width, dtype=torch.float32
        )
        launch_gradient(incoming, *lookup, separator, name, parts=parts)
        return parts.sum(0).to(incoming.dtype)

    tokens, positions, steps = (incoming.new_empty(0) for _ in range(3))
    if with_tokens:
        tokens = table("tokens", token_rows)
    if with_positions:
        positions = incoming.sum(0)
    if with_steps:
        steps = torch.stack([table(name, length + 1) for name in ("before", "following")])
    return tokens, positions, steps


@permuted_embedding_gradient.register_fake
def _(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    token_rows: int,
    separator: int,
    with_tokens: bool,
    with_positions: bool,
    with_steps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    _, length, width = incoming.shape
    tokens = incoming.new_empty((token_rows, width) if with_tokens else 0)
    positions = incoming.new_empty((length, width) if with_positions else 0)
    return tokens, positions, incoming.new_empty((2, length + 1, width) if with_steps else 0)


def _keep_lookup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *lookup, tokens, _, _, separator, _ = inputs
    ctx.save_for_backward(*lookup)
    ctx.rest = (tokens.shape[0], separator)


def _embedding_backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[4:7]
    gradients = permuted_embedding_gradient(incoming, *ctx.saved_tensors, *ctx.rest, *wanted)
    tables = (gradient if needed else None for gradient, needed in zip(gradients, wanted, strict=True))
    return *[None] * 4, *tables, None, None


permuted_embedding.register_autograd(_embedding_backward, setup_context=_keep_lookup)
