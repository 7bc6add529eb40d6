import pytest
import torch
from pyorder.kernels import linear_cross_entropy, reference
from pyorder.kernels.linear_cross_entropy import Settings, launch, launch_gradients, parts_for


def problem(device, rows=37, values=19, width=21, dtype=torch.float32, index=torch.int64):
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=random).to(dtype)
    weight = torch.randn(values, width, generator=random).to(dtype)
    targets = torch.randint(values, (rows,), generator=random).to(index)
    incoming = torch.rand(rows, generator=random)
    return tuple(tensor.to(device) for tensor in (incoming, hidden, weight, targets))


def run(incoming, hidden, weight, targets, settings=None):
    """Losses and both gradients, into memory full of NaN."""
    losses, logarithms = (torch.full((len(hidden),), torch.nan, device=hidden.device) for _ in range(2))
    launch(hidden, weight, targets, losses=losses, logarithms=logarithms, settings=settings)
    gradient = torch.full_like(hidden, torch.nan)
    parts = torch.full((parts_for(len(hidden)), *weight.shape), torch.nan, device=hidden.device)
    launch_gradients(
        incoming, hidden, weight, targets, logarithms,
        hidden_gradient=gradient, weight_parts=parts, settings=settings,
    )  # fmt: skip
    return losses, gradient, parts.sum(0)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.gpu)]
)
@pytest.mark.parametrize(("rows", "values", "width"), [(37, 19, 21), (1, 1, 1), (33, 70, 16), (5, 33, 130)])
def test_no_further_from_float64_than_the_reference(device, dtype, rows, values, width):
    incoming, hidden, weight, targets = arguments = problem(device, rows, values, width, dtype)
    wide = (incoming.double(), hidden.double(), weight.double(), targets)
    truth = reference.linear_cross_entropy(*wide[1:]), *reference.linear_cross_entropy_gradient(*wide)
    plain = reference.linear_cross_entropy(*arguments[1:]), *reference.linear_cross_entropy_gradient(*arguments)
    for given, near, true in zip(run(*arguments), plain, truth, strict=True):
        # An error of the reference is one draw of rounding; another draw may be as large as its largest.
        budget = (near.double() - true).abs().max() + 2e-5 + torch.finfo(dtype).eps * true.abs()
        assert ((given.double() - true).abs() <= budget).all()


@pytest.mark.parametrize("index", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_index_types_and_tiles(device, index):
    arguments = problem(device, index=index)
    for given, wanted in zip(run(*arguments), run(*arguments, settings=Settings(16, 16, 4)), strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-5)


def test_same_bits_every_time_in_several_parts(device, monkeypatch):
    monkeypatch.setattr(linear_cross_entropy, "ROWS_A_PART", 20)
    arguments = problem(device, rows=110, values=5, width=4)
    assert parts_for(110) == 6
    first, second = run(*arguments), run(*arguments)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    wanted = reference.linear_cross_entropy_gradient(*arguments)
    torch.testing.assert_close(first[2], wanted[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("index", [torch.int16, torch.int64])
def test_a_target_of_minus_100_is_ignored(device, index):
    incoming, hidden, weight, targets = problem(device, index=index)
    targets[::3] = -100
    free = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    true = torch.nn.functional.cross_entropy(free[0] @ free[1].T, targets.long(), reduction="none")
    wanted = true, *torch.autograd.grad((true * incoming).sum(), free)
    of_reference = reference.linear_cross_entropy_gradient(incoming, hidden, weight, targets)
    torch.testing.assert_close(of_reference, wanted[1:], rtol=1e-4, atol=1e-4)
    given = run(incoming, hidden, weight, targets)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-4)
    assert (given[0][::3] == 0).all()
    assert (given[1][::3] == 0).all()


def test_no_rows(device):
    losses, gradient, weight_gradient = run(*problem(device, rows=0))
    assert losses.shape == (0,)
    assert gradient.shape == (0, 21)
    assert (weight_gradient == 0).all()


def test_refusals_name_the_argument(device):
    incoming, hidden, weight, targets = problem(device)
    with pytest.raises(ValueError, match=r"weight: expected shape \(V, 21\), got \(19, 20\)"):
        run(incoming, hidden, weight[:, :20], targets)
    with pytest.raises(ValueError, match="weight: expected at most 1024 values, got 1025"):
        run(incoming, hidden, torch.zeros(1025, 21, device=device), targets)
    with pytest.raises(ValueError, match="hidden: expected a width of at most 1024, got 1025"):
        run(incoming, torch.zeros(37, 1025, device=device), torch.zeros(3, 1025, device=device), targets)
