"""The statistics of losses as torch knows them."""

# Annotations stay objects here: torch reads the operations' schemas from them.
import torch
from torch import Tensor

from .. import reference


@torch.library.custom_op("pyorder::loss_statistics", mutates_args=(), device_types="cpu")
def loss_statistics(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rows of every order; sum and sum of squares by order (T,), then by order and canonical step (T, L)."""
    return reference.loss_statistics(losses, orders, order_index)


@loss_statistics.register_kernel("cuda")
def _launch_loss_statistics(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    from ..loss_statistics import launch, parts_for

    shape = (parts_for(len(orders)), 2, *orders.shape)
    rows = losses.new_empty(len(orders), dtype=torch.int64)
    by_order = losses.new_empty(shape[:3], dtype=torch.float64)
    by_step = losses.new_empty(shape, dtype=torch.float64)
    launch(losses, orders, order_index, rows=rows, by_order=by_order, by_step=by_step, debug=debug)
    return rows, by_order[:, 0].sum(0), by_order[:, 1].sum(0), by_step[:, 0].sum(0), by_step[:, 1].sum(0)


@loss_statistics.register_fake
def _(
    losses: Tensor, orders: Tensor, order_index: Tensor, debug: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    # Not len() in any function of this kind: it would fix a dynamic extent.
    rows = losses.new_empty(orders.shape[0], dtype=torch.int64)
    total, total_square = (losses.new_empty(orders.shape[0], dtype=torch.float64) for _ in range(2))
    step, step_square = (losses.new_empty(orders.shape, dtype=torch.float64) for _ in range(2))
    return rows, total, total_square, step, step_square
