"""What a decoder reads when targets are written in another order, embedded: a fused kernel on a GPU."""

from __future__ import annotations

from torch import Tensor

from pyorder.kernels import ops, reference
from pyorder.kernels.ops import Implementation


def permuted_embedding(
    targets: Tensor,
    orders: Tensor,
    order_index: Tensor,
    target_row: Tensor,
    tokens: Tensor,
    positions: Tensor,
    *,
    separator: int,
    steps: Tensor | None = None,
    implementation: Implementation = "auto",
    debug: bool = False,
) -> Tensor:
    """Embed the token emitted just before every slot, without writing permuted targets to memory.

    Slot 0 reads the separator, slot j the token of canonical step ``orders[order_index[b], j - 1]``. The
    embedding of the slot is added, and, where ``steps`` is given, those of the step just emitted and of the next.

    Parameters
    ----------
    targets : (N, L) integer, token ids by canonical step, none of them negative
    orders : (T, L) integer, each row a permutation of the steps
    order_index, target_row : (B,) integer
    tokens : (V, W) float32, bfloat16 or float16, of which ``separator`` is a row
    positions : (L, W)
    steps : (2, L + 1, W), of the step just emitted and of the next; ``steps[0, L]`` says that none was emitted
        yet, ``steps[1, L]`` is not read
    implementation : "auto", "triton" or "reference", as in `pyorder.losses`
    debug : check the bounds of all indices on the GPU; a bad one ends the process's use of the device

    Returns
    -------
    (B, L, W) of the embeddings' type; added in float32. Gradients flow to tokens, positions and steps, and the
    kernels' have the same bits every time.

    Raises
    ------
    TypeError, ValueError
        If a type, shape or device does not fit, or a name is unknown.

    Examples
    --------
    >>> from pyorder.embeddings import permuted_embedding
    >>> targets, orders = torch.tensor([[5, 6, 7]]), torch.tensor([[2, 0, 1]])
    >>> tokens, positions, zero = torch.arange(10.0)[:, None], torch.zeros(3, 1), torch.tensor([0])
    >>> permuted_embedding(targets, orders, zero, zero, tokens, positions, separator=9).flatten().tolist()
    [9.0, 7.0, 5.0]
    """
    lookup = (targets, orders, order_index, target_row)
    if ops.runs_triton(implementation, tokens, values=tokens.shape[0] - 1):
        embedded: Tensor = ops.permuted_embedding(*lookup, tokens, positions, steps, separator, debug)
        return embedded
    return reference.permuted_embedding(*lookup, tokens, positions, steps, separator)
