"""The permuted cross-entropy in plain PyTorch, written to be read.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders

Indices may be uint8, int8, int16, int32 or int64. Sums run in float32; float64 stays float64. A target of -100 has
loss and gradient 0, as in torch's own cross-entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .checks import FLOAT_TYPES, IGNORED, check_permuted

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
