"""The loss of permuted targets, for training loops of your own: a fused kernel on a GPU, plain PyTorch elsewhere.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders

Indices may be uint8, int8, int16, int32 or int64. A call does not wait for the device, so that it can be captured
in a CUDA graph, and does not break a graph of `torch.compile`. ``implementation`` is "auto" (Triton where the
tensors are on a GPU and of a size that the kernel is made for), "triton" or "reference".

A target of -100 has loss and gradient 0, as in torch's own cross-entropy; unlike there it still counts in a mean.
Triton's losses can be differentiated once, the reference's any number of times.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from pyorder.kernels import ops, reference
from pyorder.kernels.ops import Implementation

Reduction = Literal["none", "mean", "sum"]


def permuted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    *,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
    implementation: Implementation = "auto",
    debug: bool = False,
) -> Tensor:
    """Cross-entropy of every slot, with the target looked up through an order.

    Slot j of row b is scored against ``targets[target_row[b], orders[order_index[b], j]]``.

    Parameters
    ----------
    logits : (B, L, V) float32, bfloat16 or float16; a strided view is not copied
    targets : (N, L) integer, token ids by canonical step, or -100 for none
    orders : (T, L) integer, each row a permutation of the steps
    order_index, target_row : (B,) integer
    weights : (L,) float32 or bool, by canonical step; the target of a step of weight 0 may be anything
    reduction : "mean" divides the sum by B times the sum of the weights; of no rows it is 0
    debug : check the bounds of all indices on the GPU; a bad one ends the process's use of the device

    Returns
    -------
    float32, nats: (B, L) by slot for the reduction "none", else a scalar

    Raises
    ------
    TypeError, ValueError
        If a type, shape or device does not fit, or a name is unknown.

    Examples
    --------
    >>> from pyorder.losses import permuted_cross_entropy
    >>> logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    >>> targets, orders = torch.tensor([[1, 0]]), torch.tensor([[0, 1], [1, 0]])
    >>> second, first = torch.tensor([1]), torch.tensor([0])
    >>> loss = permuted_cross_entropy(logits, targets, orders, second, first)
    >>> round(loss.item(), 3)
    0.127
    """
    if reduction not in get_args(Reduction):
        names = ", ".join(map(repr, get_args(Reduction)))
        raise ValueError(f"reduction: expected one of {names}, got {reduction!r}")
    lookup = (targets, orders, order_index, target_row, weights)
    losses: Tensor
    if ops.runs_triton(implementation, logits, values=logits.shape[-1]):
        if reduction == "mean" and weights is None:  # divided in the kernels, a mean is a launch more in each pass
            scale = 1 / max(1, logits.shape[0] * logits.shape[1])
            mean: Tensor = ops.permuted_cross_entropy(logits, *lookup, scale, debug).sum()
            return mean
        losses = ops.permuted_cross_entropy(logits, *lookup, 1.0, debug)
    else:
        losses = reference.permuted_cross_entropy(logits, *lookup)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if weights is None:
        return losses.sum() / max(1, losses.numel())
    return losses.sum() / (max(1, len(losses)) * weights.sum())
