"""The loss of every candidate order on the same rows.

The model is not told the order, so two orders that begin with the same steps share all its work up to where
they part. The orders are therefore scored as a tree: a node is a prefix of emitted steps, and each node
attends to X and to its ancestors.

    R  rows    T  orders    L  steps    V  vocabulary size    U  nodes of a chunk of the tree
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyorder._values import ByContents
from pyorder.execution import multiply_in, row_slices
from pyorder.models.decoder import Decoder

# Enough positions at once to fill matrix products, few enough to stay in a CPU's cache. A GPU has more to fill,
# and a launch costs it as much time as thousands of positions.
NODES_A_CHUNK = 64
POSITIONS_A_BATCH = {"cpu": 1024, "cuda": 65_536}


@dataclass(frozen=True, eq=False)
class Chunk(ByContents):
    """Orders that are scored together, and the nodes of their tree."""

    candidates: np.ndarray  # (C,) indices into the pool
    node: np.ndarray  # (C, L) the node that predicts slot j of order c
    slot: np.ndarray  # (U,) how many steps were emitted at the node
    step_before: np.ndarray  # (U,) canonical step emitted last, -1 at the root
    visible: np.ndarray  # (U, U) bool: is the second node the first or one of its ancestors


def prefix_ids(orders: np.ndarray) -> np.ndarray:
    """Number the prefixes of each length by first appearance: (T, L), entry j for the first j steps.

    Numbers depend on which prefixes are equal, never on the labels of the steps.
    """
    ids = np.zeros(orders.shape, np.int64)
    for j in range(1, orders.shape[1]):
        pairs = ids[:, j - 1] * orders.shape[1] + orders[:, j - 1]
        _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
        ids[:, j] = np.argsort(np.argsort(first))[inverse]
    return ids


def chunks(orders: np.ndarray) -> Iterator[Chunk]:
    """Split the pool (T, L) into chunks of about ``NODES_A_CHUNK`` nodes; neighbours in the tree stay together."""
    ids = prefix_ids(orders)
    walk = np.lexsort(ids.T[::-1])  # the tree depth first
    ids = ids[walk]
    new = np.ones(orders.shape, bool)
    new[1:] = ids[1:] != ids[:-1]
    grown = np.cumsum(new.sum(1))
    start = 0
    while start < len(orders):
        used = grown[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(grown, used + NODES_A_CHUNK, side="right")))
        yield _chunk(orders, walk[start:stop], new[start:stop].copy())
        start = stop


def _chunk(orders: np.ndarray, candidates: np.ndarray, new: np.ndarray) -> Chunk:
    new[0] = True
    count, length = new.shape
    numbers = np.cumsum(new.ravel()).reshape(new.shape) - 1
    node = np.maximum.accumulate(np.where(new, numbers, -1), axis=0)
    before = np.concatenate([np.full((count, 1), -1), orders[candidates, :-1]], axis=1)
    visible = np.zeros((int(new.sum()),) * 2, bool)
    for j in range(length):
        visible[node[:, j, None], node[:, : j + 1]] = True
    slots = np.broadcast_to(np.arange(length), new.shape)
    return Chunk(candidates, node, slots[new], before[new], visible)


@torch.inference_mode()
def score(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    orders: np.ndarray,
    precision: torch.dtype,
    on_share: Callable[[float], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Loss of every order on every row, and of every step in every order.

    Parameters
    ----------
    module : in evaluation mode
    inputs, targets : (R, X) and (R, L) token ids
    orders : (T, L) int64
    on_share : called with the share of the work done, from 0 to 1

    Returns
    -------
    (R, T) float32, mean nats a step, and (T, L) float64, mean nats over rows, by canonical step
    """
    device = inputs.device
    row_loss = torch.empty(len(inputs), len(orders), device=device)
    step_loss = torch.zeros(orders.shape, dtype=torch.float64, device=device)
    if isinstance(module, Decoder):
        scored = _score_tree(module, inputs, targets, orders, precision)
    else:
        scored = _score_each(module, inputs, targets, orders, precision)
    rows_done = 0
    for rows, candidates, chosen, losses in scored:
        row_loss[rows, candidates] = losses.mean(2)
        step_loss[candidates] += torch.zeros_like(chosen, dtype=torch.float64).scatter_(
            1, chosen, losses.sum(0, dtype=torch.float64)
        )
        rows_done += losses.shape[0] * losses.shape[1]
        if on_share is not None:
            on_share(rows_done / row_loss.numel())
    return row_loss.cpu().numpy(), (step_loss / len(inputs)).cpu().numpy()


# rows, candidates (C,) and their orders (C, L), losses (rows, C, L) by slot
Scored = Iterator[tuple[slice, Tensor, Tensor, Tensor]]


def _score_tree(
    module: Decoder, inputs: Tensor, targets: Tensor, orders: np.ndarray, precision: torch.dtype
) -> Scored:
    device = inputs.device
    tree = [
        (
            torch.from_numpy(chunk.candidates).to(device),
            torch.from_numpy(chunk.node).to(device),
            torch.from_numpy(chunk.slot).to(device),
            torch.from_numpy(chunk.step_before).to(device),
            torch.from_numpy(chunk.visible).to(device),
            torch.from_numpy(orders[chunk.candidates]).to(device),
        )
        for chunk in chunks(orders)
    ]
    # The separator stands behind the last step, where index -1 of a root finds it.
    emitted = torch.cat([targets, module.separator.expand(len(targets), 1)], dim=1)
    for rows in row_slices(len(inputs), max(len(slot) for _, _, slot, *_ in tree), POSITIONS_A_BATCH[device.type]):
        with multiply_in(precision, device):
            memory = module.read(inputs[rows])
        for candidates, node, slot, step_before, visible, chunk_orders in tree:
            with multiply_in(precision, device):
                logits, _ = module.write(memory, emitted[rows][:, step_before], slot, visible)
            nats = -logits.float().log_softmax(-1)  # (R, U, V)
            wanted = node * nats.shape[2] + targets[rows][:, chunk_orders]  # (R, C, L)
            yield rows, candidates, chunk_orders, nats.flatten(1).gather(1, wanted.flatten(1)).view(wanted.shape)


def _score_each(
    module: nn.Module, inputs: Tensor, targets: Tensor, orders: np.ndarray, precision: torch.dtype
) -> Scored:
    count, length = orders.shape
    device = inputs.device
    table = torch.from_numpy(orders).to(device)
    group = max(1, NODES_A_CHUNK // length)
    for rows in row_slices(len(inputs), group * length, POSITIONS_A_BATCH[device.type]):
        for start in range(0, count, group):
            candidates = torch.arange(start, min(count, start + group), device=device)
            chosen = table[candidates]
            emitted = targets[rows][:, chosen]  # (R, C, L)
            repeated = inputs[rows].repeat_interleave(len(candidates), dim=0)
            with multiply_in(precision, device):
                logits = module(repeated, emitted.flatten(0, 1))
            nats = F.cross_entropy(logits.flatten(0, 1).float(), emitted.flatten(), reduction="none")
            yield rows, candidates, chosen, nats.view(emitted.shape)
