"""The loss of every candidate order on the same rows.

The model is not told the order, so two orders that begin with the same columns share all its work up to where
they part. The orders are therefore scored as a tree: a node is a prefix of emitted columns, and each node
attends to X and to its ancestors. Orders are of columns here; where a step is one column wide they are its steps.

    R  rows    T  orders    C  columns    L  steps    V  vocabulary size    U  nodes of a chunk of the tree
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pyorder._values import ByContents
from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.execution import LOGITS_AT_ONCE, in_parts, multiply_in
from pyorder.models.decoder import sees_shown
from pyorder.models.learner import Incremental, Learner
from pyorder.world import World

# Enough positions at once to fill matrix products, few enough to stay in a CPU's cache. A GPU has more to fill,
# and a launch costs it as much time as thousands of positions.
NODES_A_CHUNK = 64
POSITIONS_A_BATCH = {"cpu": 1024, "cuda": 65_536}


@dataclass(frozen=True, eq=False)
class Chunk(ByContents):
    """Orders that are scored together, and the nodes of their tree."""

    candidates: np.ndarray  # (orders,) indices into the pool
    node: np.ndarray  # (orders, C) the node that predicts place j of an order
    slot: np.ndarray  # (U,) how many columns were emitted at the node
    step_before: np.ndarray  # (U,) canonical column emitted last, -1 at the root
    visible: np.ndarray  # (U, U) bool: is the second node the first or one of its ancestors


class Scores(NamedTuple):
    """What `score` finds.

    Attributes
    ----------
    row_loss : (R, T) float32, nats a row
    step_loss : (T, L) float64, mean nats over rows, by canonical step
    weighted : (R, T) float32, nats a row, each column's times its weight; the row loss itself without weights
    """

    row_loss: np.ndarray
    step_loss: np.ndarray
    weighted: np.ndarray


def prefix_ids(orders: np.ndarray) -> np.ndarray:
    """Number the prefixes of each length by first appearance: (T, C), entry j for the first j columns.

    Numbers depend on which prefixes are equal, never on the labels of the columns.
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
    learner: Learner,
    module: nn.Module,
    tokens: Tokens,
    orders: np.ndarray,
    precision: torch.dtype,
    on_share: Callable[[float], None] | None = None,
    weights: Tensor | None = None,
    world: World | None = None,
) -> Scores:
    """Loss of every order on every row, and of every step in every order.

    Parameters
    ----------
    module : one of the learner's, in evaluation mode
    tokens : R rows
    orders : (T, L) int64, orders of steps
    on_share : called with the share of the work done, from 0 to 1
    weights : (C,) float32 by canonical column, on the tokens' device
    world : the processes that score a share of the rows each, and all get all of it; this one alone without it
    """
    device, count, rows_in_all = tokens.device, len(orders), len(tokens)
    world = World(device) if world is None else world
    tokens = tokens.part(world.share(rows_in_all))
    row_loss = torch.empty(len(tokens), count, dtype=torch.float32, device=device)
    weighted = row_loss if weights is None else torch.empty_like(row_loss)
    column_loss = torch.zeros(count, tokens.schema.columns, dtype=torch.float64, device=device)
    columns = tokens.schema.column_orders(orders)
    incremental = learner.incremental(module)
    if incremental is not None:
        positions, scored = _tree(incremental, tokens, columns, precision)
    else:
        positions, scored = _each(learner, module, tokens, columns, precision)
    at_once = min(POSITIONS_A_BATCH[device.type], LOGITS_AT_ONCE // tokens.vocabulary_size)

    def work(rows: slice) -> None:
        nonlocal column_loss
        of_rows, done = torch.zeros_like(column_loss), rows.start * count
        for candidates, chosen, losses in scored(rows):
            row_loss[rows, candidates] = losses.sum(2)
            if weights is not None:
                weighted[rows, candidates] = (losses * weights[chosen]).sum(2)
            of_rows[candidates] = torch.zeros_like(chosen, dtype=torch.float64).scatter_(
                1, chosen, losses.sum(0, dtype=torch.float64)
            )
            done += losses.shape[0] * losses.shape[1]
            if on_share is not None:
                on_share(done / row_loss.numel())
        column_loss += of_rows

    in_parts(len(tokens), positions, at_once, work)
    step_loss = tokens.by_step(world.sum(column_loss)) / rows_in_all
    whole = world.gather(row_loss, rows_in_all)
    whole_weighted = whole if weights is None else world.gather(weighted, rows_in_all)
    return Scores(*(found.cpu().numpy() for found in (whole, step_loss, whole_weighted)))


# Of some rows: candidates (orders,), their column orders (orders, C), losses (rows, orders, C) by place
Scored = Callable[[slice], Iterator[tuple[Tensor, Tensor, Tensor]]]


def _tree(module: Incremental, tokens: Tokens, columns: np.ndarray, precision: torch.dtype) -> tuple[int, Scored]:
    """The positions that a row takes at once, and what scores rows."""
    device = tokens.device
    tree = [
        (
            torch.from_numpy(chunk.candidates).to(device),
            torch.from_numpy(chunk.node).to(device),
            torch.from_numpy(chunk.slot).to(device),
            torch.from_numpy(chunk.step_before).to(device),
            torch.from_numpy(chunk.visible).to(device),
            torch.from_numpy(columns[chunk.candidates]).to(device),
        )
        for chunk in chunks(columns)
    ]

    def scored(rows: slice) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        targets = tokens.targets[rows].long()
        # The separator stands behind the last column, where index -1 of a root finds it.
        separator = module.separator.expand(len(targets), 1)
        emitted = torch.cat([tokens.filled(targets), separator], dim=1)
        shown = torch.cat([targets != IGNORED, separator >= 0], dim=1) if tokens.padded else None
        with multiply_in(precision, device):
            memory = module.read(tokens.inputs[rows].long())
        for candidates, node, slot, column_before, visible, order in tree:
            seen = visible if shown is None else sees_shown(visible, shown[:, column_before])
            with multiply_in(precision, device):
                logits, _ = module.write(memory, emitted[:, column_before], slot, seen)
            nats = -logits.float().log_softmax(-1)  # (R, U, V)
            wanted = node * nats.shape[2] + emitted[:, order]  # (R, orders, C)
            losses = nats.flatten(1).gather(1, wanted.flatten(1)).view(wanted.shape)
            if shown is not None:
                losses = losses * shown[:, order]
            yield candidates, order, losses

    return max(len(slot) for _, _, slot, *_ in tree), scored


def _each(
    learner: Learner, module: nn.Module, tokens: Tokens, columns: np.ndarray, precision: torch.dtype
) -> tuple[int, Scored]:
    """As `_tree`, of a module that reads rows as wholes."""
    count, width = columns.shape
    device = tokens.device
    table = torch.from_numpy(columns).to(device)
    group = max(1, NODES_A_CHUNK // width)

    def scored(rows: slice) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        numbers = torch.arange(rows.start, rows.stop, device=device)
        for start in range(0, count, group):
            candidates = torch.arange(start, min(count, start + group), device=device)
            chosen = table[candidates]
            batch = tokens.batch(numbers.repeat_interleave(len(candidates)), chosen.repeat(len(numbers), 1))
            with multiply_in(precision, device):
                losses = learner.losses(module, batch)
            yield candidates, chosen, losses.float().view(len(numbers), len(candidates), width)

    return group * width, scored
