import numpy as np
import pytest
import torch
from pyorder.kernels import loss_statistics, reference
from pyorder.kernels.loss_statistics import launch, parts_for


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    monkeypatch.setattr(loss_statistics, "PROGRAMS", 8)


def run(losses, orders, order_index, debug=False):
    """The sums of one launch, into memory full of NaN and of bytes 0xFF."""
    shape = (parts_for(len(orders)), 2, *orders.shape)
    rows = torch.full((len(orders),), -1, device=losses.device)
    by_order = torch.full(shape[:3], torch.nan, device=losses.device, dtype=torch.float64)
    by_step = torch.full(shape, torch.nan, device=losses.device, dtype=torch.float64)
    launch(losses, orders, order_index, rows=rows, by_order=by_order, by_step=by_step, debug=debug)
    return rows, *by_order.sum(0), *by_step.sum(0)


def problem(device, rows, length, count, dtype=torch.int64, seed=0):
    random = torch.Generator().manual_seed(seed)
    losses = torch.rand(rows, length, generator=random)
    orders = torch.stack([torch.randperm(length, generator=random) for _ in range(count)]).to(dtype)
    order_index = torch.randint(max(1, count - 1), (rows,), generator=random)  # with several, the last has no rows
    return losses.to(device), orders.to(device), order_index.to(device)


@pytest.mark.parametrize(("rows", "length", "count"), [(70, 5, 3), (7, 11, 9), (0, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_sums_are_the_definition_in_float64(device, rows, length, count, dtype):
    losses, orders, order_index = problem(device, rows, length, count, dtype)
    given = run(losses, orders, order_index)
    loss = losses.cpu().double().numpy()
    index = order_index.cpu().numpy()
    step = np.empty_like(loss)
    np.put_along_axis(step, orders.cpu().long().numpy()[index], loss, axis=1)
    for t in range(count):
        mine = index == t
        wanted = (
            mine.sum(),
            loss[mine].sum(),
            (loss[mine].sum(1) ** 2).sum(),
            step[mine].sum(0),
            (step[mine] ** 2).sum(0),
        )
        for values, value in zip(given, wanted, strict=True):
            np.testing.assert_allclose(values[t].cpu().numpy(), value, rtol=1e-13)


def test_many_rows_of_few_orders_are_shared_out(device):
    losses, orders, order_index = problem(device, 300, 3, 2)
    assert parts_for(2) == 4
    wanted = reference.loss_statistics(losses, orders, order_index)
    for given, value in zip(run(losses, orders, order_index), wanted, strict=True):
        torch.testing.assert_close(given, value, rtol=1e-13, atol=0)


def test_same_bits_every_time_and_for_rows_in_another_memory_layout(device):
    losses, orders, order_index = problem(device, 200, 4, 5)
    first = run(losses, orders, order_index)
    for given, value in zip(run(losses.T.contiguous().T, orders, order_index), first, strict=True):
        assert torch.equal(given, value)


@pytest.mark.parametrize(("length", "count"), [(4, 0), (0, 2), (0, 0)])
def test_no_steps_and_no_orders(device, length, count):
    losses = torch.zeros(3 if count else 0, length, device=device)
    orders = torch.zeros(count, length, device=device, dtype=torch.int64)
    order_index = torch.zeros(len(losses), device=device, dtype=torch.int64)
    wanted = reference.loss_statistics(losses, orders, order_index)
    for given, value in zip(run(losses, orders, order_index), wanted, strict=True):
        assert torch.equal(given, value)


@pytest.mark.parametrize("bad", [-1, 3])
def test_bounds_are_checked_on_request(device, bad):
    if device.type == "cuda":
        pytest.skip("a failed assertion leaves a CUDA device unusable for the rest of the process")
    losses, orders, order_index = problem(device, 6, 4, 3)
    run(losses, orders, order_index, debug=True)
    order_index[2] = bad
    with pytest.raises(RuntimeError, match="order_index out of range"):
        run(losses, orders, order_index, debug=True)


def test_refusals_name_the_argument(device):
    losses, orders, order_index = problem(device, 6, 4, 2)
    with pytest.raises(TypeError, match="losses: expected float32, got float64"):
        run(losses.double(), orders, order_index)
    with pytest.raises(ValueError, match=r"losses: expected shape \(6, 4\), got \(6, 3\)"):
        run(losses[:, :3], orders, order_index)
