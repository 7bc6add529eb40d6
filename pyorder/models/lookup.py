"""Rows of a short table, whose gradient is a product with ones and zeros where that is faster.

torch adds up the gradient of an embedding by sorting the ids, or in a single pass that waits for equal ids. With
some twenty ids for thousands of positions a lookup and its gradient take a GPU 48 µs so, and 28 with the product
(docs/gpu.md). On a CPU the sums of torch are faster.

    V  rows of the table    W  width
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_ROWS = 64


def lookup(ids: Tensor, table: Tensor) -> Tensor:
    """Look ids (...) up in a table (V, W): (..., W).

    Examples
    --------
    >>> lookup(torch.tensor([[1, 0]]), torch.tensor([[0.5], [2.0]]))
    tensor([[[2.0000],
             [0.5000]]])
    """
    if table.device.type == "cuda" and len(table) <= MOST_ROWS and torch.is_grad_enabled():
        found: Tensor = _Lookup.apply(ids, table)  # type: ignore[no-untyped-call]
        return found
    return F.embedding(ids, table)


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ids: Tensor, table: Tensor) -> Tensor:
        return F.embedding(ids, table)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ids, table = inputs
        ctx.save_for_backward(ids)
        ctx.rows = len(table)

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[None, Tensor]:
        (ids,) = ctx.saved_tensors
        chosen = ids.flatten()[:, None] == torch.arange(ctx.rows, device=ids.device)
        return None, chosen.to(incoming.dtype).mT @ incoming.flatten(0, -2)
