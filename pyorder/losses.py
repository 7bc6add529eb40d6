"""Losses of permuted targets, for training loops of your own: fused kernels on a GPU, plain PyTorch elsewhere.

B  rows    L  steps    V  vocabulary size    N  targets    T  orders    M  rows of hidden    W  width

Indices may be uint8, int8, int16, int32 or int64. No call waits for the device, so that all of them can be
captured in CUDA graphs, and none breaks a graph of `torch.compile`. ``implementation`` is "auto" (Triton where the
tensors are on a GPU and of a size that the kernels are made for), "triton" or "reference".

A target of -100 has loss and gradient 0, as in torch's own cross-entropy; unlike there it still counts in a mean.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
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
    with_grad: bool = False,
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
    reduction : "mean" divides the sum by B times the sum of the weights
    with_grad : write the gradient of the logits in the forward pass. The logits need not be kept then; without it
        the backward pass computes the gradient from them, which moves less memory in total. Either way Triton's
        losses can be differentiated once, the reference's any number of times
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
        with_grad = with_grad and torch.is_grad_enabled() and logits.requires_grad
        losses, _ = ops.permuted_cross_entropy(logits, *lookup, with_grad, debug)
    else:
        losses = reference.permuted_cross_entropy(logits, *lookup)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.mean() if weights is None else losses.sum() / (len(losses) * weights.sum())


class LossStatistics(NamedTuple):
    """Sums over rows, from which means and standard errors follow; everything float64 but ``rows``, int64."""

    rows: Tensor
    """(T,) rows of every order."""
    total: Tensor
    """(T,) sum of the rows' totals over steps."""
    total_square: Tensor
    """(T,) sum of their squares."""
    step: Tensor
    """(T, L) sum by canonical step."""
    step_square: Tensor
    """(T, L) sum of squares by canonical step."""


def loss_statistics(
    losses: Tensor,
    orders: Tensor,
    order_index: Tensor,
    *,
    implementation: Implementation = "auto",
    debug: bool = False,
) -> LossStatistics:
    """Sum losses and their squares by order and by step; the kernels give the same bits every time.

    Parameters
    ----------
    losses : (B, L) float32, by slot; gradients do not flow through the sums
    orders : (T, L) integer, each row a permutation of the steps
    order_index : (B,) integer
    debug : check the bounds of all indices on the GPU; a bad one ends the process's use of the device

    Raises
    ------
    TypeError, ValueError
        If a type, shape or device does not fit, or a name is unknown.

    Examples
    --------
    >>> from pyorder.losses import loss_statistics
    >>> losses, orders = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1, 0]])
    >>> sums = loss_statistics(losses, orders, torch.tensor([0, 0]))
    >>> sums.total.tolist(), sums.total_square.tolist(), sums.step.tolist()
    ([10.0], [58.0], [[6.0, 4.0]])
    """
    losses = losses.detach()
    if ops.runs_triton(implementation, losses, values=1):
        return LossStatistics(*ops.loss_statistics(losses, orders, order_index, debug))
    return LossStatistics(*reference.loss_statistics(losses, orders, order_index))


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    reduction: Reduction = "mean",
    implementation: Implementation = "auto",
    debug: bool = False,
) -> Tensor:
    """Cross-entropy of ``hidden @ weight.T``, whose logits are never in memory on a GPU.

    Under autocast both are cast to its type first, as in torch's own linear layer.

    Parameters
    ----------
    hidden : (M, W) float32, bfloat16 or float16; in Triton W is at most 1,024
    weight : (V, W) of the same type; in Triton V is at most 1,024
    targets : (M,) integer, or -100 for none
    reduction : "none", "mean" over the M rows, or "sum"
    debug : check the bounds of the targets on the GPU; a bad one ends the process's use of the device

    Returns
    -------
    float32, nats: (M,) for the reduction "none", else a scalar

    Raises
    ------
    TypeError, ValueError
        If a type, shape or device does not fit, or a name is unknown.

    Examples
    --------
    >>> from pyorder.losses import linear_cross_entropy
    >>> round(linear_cross_entropy(torch.eye(2), 2 * torch.eye(2), torch.tensor([0, 1])).item(), 3)
    0.127
    """
    if reduction not in get_args(Reduction):
        names = ", ".join(map(repr, get_args(Reduction)))
        raise ValueError(f"reduction: expected one of {names}, got {reduction!r}")
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    losses: Tensor
    if ops.runs_triton(implementation, hidden, values=weight.shape[0], width=hidden.shape[-1]):
        losses, _ = ops.linear_cross_entropy(hidden, weight, targets, debug)
    else:
        losses = reference.linear_cross_entropy(hidden, weight, targets)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()
