"""The loss of permuted targets in plain PyTorch, written to be read.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def permuted_cross_entropy(
    logits: torch.Tensor,
    targets: torch.Tensor,
    orders: torch.Tensor,
    order_index: torch.Tensor,
    target_row: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of every slot, with the target looked up through an order.

    Slot j of row b is scored against ``targets[target_row[b], orders[order_index[b], j]]``.

    Parameters
    ----------
    logits : (B, L, V) floating; reduced in float32
    targets : (N, L) integer, token ids by canonical step
    orders : (T, L) int64
    order_index, target_row : (B,) int64

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
    reordered = targets[target_row].gather(1, orders[order_index])
    losses = F.cross_entropy(logits.flatten(0, 1).float(), reordered.flatten().long(), reduction="none")
    return losses.view(reordered.shape)
