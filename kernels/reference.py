"""Every operation in plain PyTorch, written to be read.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders    M  rows of hidden    W  width

Indices may be uint8, int8, int16, int32 or int64. Sums run in float32; float64 stays float64. A target of -100 has
loss and gradient 0, as in torch's own cross-entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .checks import FLOAT_TYPES, IGNORED, check_embedding, check_linear, check_permuted, check_statistics

DTYPES = (*FLOAT_TYPES, torch.float64)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen half types."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def reorder(targets: Tensor, orders: Tensor, order_index: Tensor, target_row: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical step and target at every slot, each (B, L) int64."""
    steps = orders[order_index.long()].long()
    return steps, targets[target_row.long()].gather(1, steps).long()


def permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of every slot, with the target looked up through an order.

    Slot j of row b is scored against ``targets[target_row[b], orders[order_index[b], j]]``.

    Parameters
    ----------
    logits : (B, L, V) floating; reduced in float32
    targets : (N, L) integer, token ids by canonical step
    orders : (T, L) integer
    order_index, target_row : (B,) integer
    weights : (L,) float32 or bool, by canonical step; the target of a step of weight 0 may be anything

    Returns
    -------
    (B, L) float32, nats, by slot

    Examples
    --------
    >>> logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    >>> targets, orders = torch.tensor([[1, 0]]), torch.tensor([[0, 1], [1, 0]])
    >>> second = permuted_cross_entropy(logits, targets, orders, torch.tensor([1]), torch.tensor([0]))
    >>> [round(loss, 3) for loss in second[0].tolist()]
    [0.127, 0.127]
    """
    check_permuted(logits, targets, orders, order_index, target_row, weights, DTYPES)
    steps, wanted = reorder(targets, orders, order_index, target_row)
    if weights is not None:
        weight = weights[steps].to(torch.float32)
        wanted = wanted.masked_fill(weight == 0, IGNORED)
    flat = at_least_float32(logits.flatten(0, 1))
    losses = F.cross_entropy(flat, wanted.flatten(), reduction="none").view(wanted.shape)
    return losses if weights is None else losses * weight


def permuted_cross_entropy_gradient(
    incoming: Tensor,
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Gradient of the logits when that of the losses is ``incoming`` (B, L): (B, L, V) of the logits' type."""
    check_permuted(logits, targets, orders, order_index, target_row, weights, DTYPES)
    steps, wanted = reorder(targets, orders, order_index, target_row)
    scale = at_least_float32(incoming)
    if weights is not None:
        scale = scale * weights[steps]
        wanted = wanted.masked_fill(weights[steps] == 0, IGNORED)
    scale = scale.masked_fill(wanted == IGNORED, 0)
    probabilities = at_least_float32(logits).softmax(-1)
    slope = probabilities - F.one_hot(wanted.masked_fill(wanted == IGNORED, 0), logits.shape[2])
    return (slope * scale[..., None]).to(logits.dtype)


def loss_statistics(
    losses: Tensor, orders: Tensor, order_index: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Sums and sums of squares of losses, for means and their standard errors.

    Parameters
    ----------
    losses : (B, L) float32, by slot
    orders : (T, L) integer, each row a permutation of the steps
    order_index : (B,) integer

    Returns
    -------
    rows of every order : (T,) int64
    sum and sum of squares of the rows' totals, by order : (T,) float64 each
    sum and sum of squares of the losses, by order and canonical step : (T, L) float64 each

    Examples
    --------
    >>> losses, orders = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1, 0]])
    >>> rows, total, total_square, step, step_square = loss_statistics(losses, orders, torch.tensor([0, 0]))
    >>> rows.tolist(), total.tolist(), total_square.tolist()
    ([2], [10.0], [58.0])
    >>> step.tolist(), step_square.tolist()
    ([[6.0, 4.0]], [[20.0, 10.0]])
    """
    check_statistics(losses, orders, order_index)
    index, count = order_index.long(), len(orders)
    by_step = torch.zeros_like(losses, dtype=torch.float64)
    by_step.scatter_(1, orders[index].long(), losses.double())
    totals = losses.double().sum(1)

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(count, *values.shape[1:]).index_add_(0, index, values)

    rows = sums(torch.ones_like(index))
    return rows, sums(totals), sums(totals.square()), sums(by_step), sums(by_step.square())


def permuted_embedding(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    steps: Tensor | None,
    separator: int,
) -> Tensor:
    """What a decoder reads at every slot: the token emitted just before, embedded.

    Slot 0 reads the separator, slot j the token of canonical step ``orders[order_index[b], j - 1]``. The
    embedding of the slot is added, and, where ``steps`` is given, those of the step just emitted and of the next.

    Parameters
    ----------
    targets : (N, L) integer, token ids by canonical step
    orders : (T, L) integer
    order_index, target_row : (B,) integer
    tokens : (V, W) floating, of which ``separator`` is a row
    positions : (L, W)
    steps : (2, L + 1, W), of the step just emitted and of the next; ``steps[0, L]`` says that none was emitted
        yet, ``steps[1, L]`` is not read

    Returns
    -------
    (B, L, W) of the embeddings' type; added in float32

    Examples
    --------
    >>> targets, orders = torch.tensor([[5, 6, 7]]), torch.tensor([[2, 0, 1]])
    >>> tokens, positions, zero = torch.arange(10.0)[:, None], torch.zeros(3, 1), torch.tensor([0])
    >>> permuted_embedding(targets, orders, zero, zero, tokens, positions, None, 9).flatten().tolist()
    [9.0, 7.0, 5.0]
    """
    check_embedding(targets, orders, order_index, target_row, tokens, positions, steps, separator, DTYPES)
    read = rows_read(targets, orders, order_index, target_row, separator)
    embedded = at_least_float32(tokens)[read["tokens"]] + positions
    if steps is not None:
        embedded = embedded + steps[0, read["before"]] + steps[1, read["following"]]
    return embedded.to(tokens.dtype)


def rows_read(
    targets: Tensor, orders: Tensor, order_index: Tensor, target_row: Tensor, separator: int
) -> dict[str, Tensor]:
    """Row that every slot reads of the tokens, and of the steps "before" and "following", (B, L) int64 each."""
    following, emitted = reorder(targets, orders, order_index, target_row)

    def shifted(values: Tensor, first: int) -> Tensor:
        return F.pad(values[:, :-1], (1, 0), value=first)

    before = shifted(following, targets.shape[1])
    return {"tokens": shifted(emitted, separator), "before": before, "following": following}


def permuted_embedding_gradient(
    incoming: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: int,
    separator: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the ``tokens`` token rows, the positions and the steps from that of the result (B, L, W)."""
    read = rows_read(targets, orders, order_index, target_row, separator)
    wide = at_least_float32(incoming)

    def gathered(table: str, rows: int) -> Tensor:
        zeros = wide.new_zeros(rows, wide.shape[2])
        return zeros.index_add_(0, read[table].flatten(), wide.flatten(0, 1)).to(incoming.dtype)

    steps = torch.stack([gathered(table, targets.shape[1] + 1) for table in ("before", "following")])
    return gathered("tokens", tokens), wide.sum(0).to(incoming.dtype), steps


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of ``hidden @ weight.T``.

    Parameters
    ----------
    hidden : (M, W) floating
    weight : (V, W) of the same type
    targets : (M,) integer

    Returns
    -------
    (M,) float32, nats

    Examples
    --------
    >>> losses = linear_cross_entropy(torch.eye(2), 2 * torch.eye(2), torch.tensor([0, 1]))
    >>> [round(loss, 3) for loss in losses.tolist()]
    [0.127, 0.127]
    """
    check_linear(hidden, weight, targets, DTYPES)
    return F.cross_entropy(at_least_float32(F.linear(hidden, weight)), targets.long(), reduction="none")


def linear_cross_entropy_gradient(
    incoming: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of hidden and weight when that of the losses is ``incoming`` (M,)."""
    check_linear(hidden, weight, targets, DTYPES)
    probabilities = at_least_float32(F.linear(hidden, weight)).softmax(-1)
    wanted = targets.long()
    slope = probabilities - F.one_hot(wanted.masked_fill(wanted == IGNORED, 0), len(weight))
    slope = (slope * incoming.masked_fill(wanted == IGNORED, 0)[:, None]).to(hidden.dtype)
    return slope @ weight, slope.T @ hidden
