import pytest
import torch
from pyorder.kernels import reference
from pyorder.kernels.checks import MOST_VALUES
from pyorder.kernels.permuted_cross_entropy import SETTINGS, Settings, launch, tile_width

INDEX_TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)
FLOAT_TYPES = (torch.float32, torch.bfloat16, torch.float16)
NAMES = ("logits", "targets", "orders", "order_index", "target_row")


def problem(device, rows=5, length=7, values=19, dtype=torch.float32, label=torch.int64, step=torch.int64, seed=0):
    random = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(rows, length, values, generator=random)).to(dtype)
    targets = torch.randint(values, (11, length), generator=random).to(label)
    orders = torch.stack([torch.randperm(length, generator=random) for _ in range(3)]).to(step)
    order_index = torch.randint(3, (rows,), generator=random)
    target_row = torch.randint(11, (rows,), generator=random)
    return tuple(tensor.to(device) for tensor in (logits, targets, orders, order_index, target_row))


def run(*arguments, settings=None, incoming=None, debug=False):
    """Both outputs of one launch, into memory full of NaN."""
    logits = arguments[0]
    losses = torch.full(logits.shape[:2], torch.nan, device=logits.device)
    gradient = torch.full(logits.shape, torch.nan, device=logits.device, dtype=logits.dtype)
    launch(*arguments, incoming=incoming, losses=losses, gradient=gradient, settings=settings, debug=debug)
    return losses, gradient


def check_against_truth(losses, gradient, logits, *lookup, incoming=None):
    """No further from float64 than the reference, plus rounding; in half types the last digit of the gradient."""
    ones = torch.ones(logits.shape[:2], dtype=torch.float64, device=logits.device)
    wide = ones if incoming is None else incoming.double()
    true_losses = reference.permuted_cross_entropy(logits.double(), *lookup)
    true_gradient = reference.permuted_cross_entropy_gradient(wide, logits.double(), *lookup)
    budget = (reference.permuted_cross_entropy(logits, *lookup) - true_losses).abs()
    assert ((losses - true_losses).abs() <= budget + 4e-6 * (1 + true_losses.abs())).all()
    given = reference.permuted_cross_entropy_gradient(wide.float(), logits, *lookup)
    budget = (given.double() - true_gradient).abs()
    # The interpreter cuts bfloat16 off where a device rounds it: one unit in the last place rather than half.
    last_digit = torch.finfo(logits.dtype).eps * true_gradient.abs()
    assert ((gradient.double() - true_gradient).abs() <= budget + last_digit + 1e-6).all()


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize(
    ("rows", "length", "values"), [(5, 7, 19), (1, 1, 1), (3, 11, 10), (2, 5, 16), (17, 3, 33), (1, 2, 1000)]
)
def test_odd_shapes(device, dtype, rows, length, values):
    arguments = problem(device, rows, length, values, dtype)
    check_against_truth(*run(*arguments), *arguments)


@pytest.mark.parametrize("label", INDEX_TYPES)
@pytest.mark.parametrize("step", INDEX_TYPES)
def test_mixed_index_types(device, label, step):
    logits, targets, orders, order_index, target_row = problem(device, label=label, step=step)
    lookup = (targets, orders, order_index.to(label), target_row.to(step))
    check_against_truth(*run(logits, *lookup), logits, *lookup)


@pytest.mark.parametrize("kind", [torch.float32, torch.bool])
def test_weights_scale_and_mask_steps_whatever_their_target(device, kind):
    logits, targets, *lookup = problem(device)
    weights = torch.tensor([1.0, 0, 0.5, 2, 0, 1, 3], device=device).to(kind)
    targets[:, weights == 0] = -7
    arguments = (targets, *lookup, weights)
    losses, gradient = run(logits, *arguments)
    check_against_truth(losses, gradient, logits, *arguments)
    masked = weights[lookup[0][lookup[1]]] == 0
    assert masked.any()
    assert (losses[masked] == 0).all()
    assert (gradient[masked] == 0).all()


@pytest.mark.parametrize("label", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_target_of_minus_100_is_ignored(device, label, weighted):
    logits, targets, *lookup = problem(device, label=label)
    targets[::2, 3] = -100
    weights = torch.arange(7.0, device=device) if weighted else None
    steps, wanted = reference.reorder(targets, *lookup)
    free = logits.clone().requires_grad_()
    true = torch.nn.functional.cross_entropy(free.flatten(0, 1), wanted.flatten(), reduction="none").view(5, 7)
    true = true if weights is None else true * weights[steps]
    (true_gradient,) = torch.autograd.grad(true.sum(), free)
    ignored = wanted == -100
    assert ignored.any()
    ones = torch.ones(5, 7, device=device)
    for losses, gradient in (
        run(logits, targets, *lookup, weights),
        (
            reference.permuted_cross_entropy(logits, targets, *lookup, weights),
            reference.permuted_cross_entropy_gradient(ones, logits, targets, *lookup, weights),
        ),
    ):
        torch.testing.assert_close(losses, true)
        torch.testing.assert_close(gradient, true_gradient)
        assert (losses[ignored] == 0).all()
        assert (gradient[ignored] == 0).all()


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_masked_steps_stay_finite_where_logits_do_not(device):
    logits, *lookup = problem(device)
    weights = torch.tensor([1.0, 0, 1, 1, 1, 1, 1], device=device)
    masked = weights[lookup[1][lookup[2]]] == 0
    logits[masked] = torch.nan
    losses, gradient = run(logits, *lookup, weights)
    assert (losses[masked] == 0).all()
    assert (gradient[masked] == 0).all()
    assert losses.isfinite().all()


@pytest.mark.parametrize("strided", [False, True])
def test_incoming_gradient_and_weights_multiply_in_float32(device, strided):
    weights = torch.tensor([1.0, 0, 0.5, 2, 0, 1, 3], device=device)
    arguments = (*problem(device, dtype=torch.bfloat16), weights)
    shape = arguments[0].shape[:2]
    incoming = torch.tensor(1 / 3000, device=device).expand(shape) if strided else torch.rand(shape, device=device)
    losses, gradient = run(*arguments, incoming=incoming)
    check_against_truth(losses, gradient, *arguments, incoming=incoming)


def test_logits_may_be_a_view_of_wider_ones(device):
    wide, *lookup = problem(device, values=20)
    lookup[0].clamp_(max=17)
    view = wide[..., 1:19]
    assert not view.is_contiguous()
    check_against_truth(*run(view, *lookup), view, *lookup)


@pytest.mark.parametrize("settings", [Settings(1, 1), Settings(2, 1), Settings(64, 4)])
def test_tiles_leave_the_answer_alone(device, settings):
    arguments = problem(device, rows=6)
    for given, wanted in zip(run(*arguments, settings=settings), run(*arguments), strict=True):
        torch.testing.assert_close(given, wanted, rtol=1e-6, atol=1e-7)


def test_large_logits_and_minus_infinity(device):
    logits, *lookup = problem(device, rows=2, values=4)
    logits *= 1e4
    logits[..., 3] = -torch.inf
    lookup[0].clamp_(max=2)
    losses, gradient = run(logits, *lookup)
    torch.testing.assert_close(losses, reference.permuted_cross_entropy(logits, *lookup))
    assert (gradient[..., 3] == 0).all()


def test_same_bits_every_time(device):
    arguments = problem(device, rows=9)
    for first, second in zip(run(*arguments), run(*arguments), strict=True):
        assert torch.equal(first, second)


def test_each_output_alone_and_no_rows(device):
    arguments = problem(device)
    losses, gradient = run(*arguments)
    alone = torch.full_like(losses, torch.nan)
    launch(*arguments, losses=alone)
    assert torch.equal(alone, losses)
    alone = torch.full_like(gradient, torch.nan)
    launch(*arguments, gradient=alone)
    assert torch.equal(alone, gradient)
    logits, targets, orders, order_index, target_row = arguments
    assert run(logits[:0], targets, orders, order_index[:0], target_row[:0])[0].shape == (0, 7)


def test_every_size_has_launch_settings():
    for values in range(1, MOST_VALUES + 1):
        for dtype in FLOAT_TYPES:
            settings = SETTINGS[dtype.itemsize][tile_width(values)]
            assert settings.rows & (settings.rows - 1) == 0
            assert settings.warps in (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"logits": torch.zeros(5, 7, 19).int()}, TypeError, "logits: expected float32, bfloat16 or float16, got"),
        ({"logits": torch.zeros(5, 6, 19)}, ValueError, r"logits: expected shape \(5, 7, V\), got \(5, 6, 19\)"),
        ({"logits": torch.zeros(5, 7, 0)}, ValueError, "logits: expected at least one value"),
        ({"logits": torch.zeros(5, 7, 1025)}, ValueError, "logits: expected at most 1024 values, got 1025"),
        ({"targets": torch.zeros(11, 7)}, TypeError, "targets: expected uint8, int8, int16, int32 or int64, got"),
        ({"orders": torch.zeros(3, 6).long()}, ValueError, r"orders: expected shape \(T, 7\), got \(3, 6\)"),
        ({"order_index": torch.zeros(5, 1).int()}, ValueError, r"order_index: expected shape \(B,\), got"),
        ({"target_row": torch.zeros(4).long()}, ValueError, r"target_row: expected shape \(5,\), got \(4,\)"),
        ({"weights": torch.ones(7).long()}, TypeError, "weights: expected float32 or bool, got int64"),
        ({"weights": torch.ones(7, requires_grad=True)}, ValueError, "weights: expected constants"),
        ({"losses": torch.zeros(5, 7).half()}, TypeError, "losses: expected float32, got float16"),
        ({"losses": torch.zeros(7, 5).T}, ValueError, "losses: expected a contiguous tensor"),
        ({"target_row": torch.zeros(5, device="meta").long()}, ValueError, "target_row: expected a tensor on"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(device, change, error, message):
    arguments = dict(zip(NAMES, problem(device), strict=True)) | {"losses": torch.zeros(5, 7, device=device)}
    arguments |= {name: value if value.is_meta else value.detach().to(device).requires_grad_(value.requires_grad)
                  for name, value in change.items()}  # fmt: skip
    if "losses" in change:
        arguments["losses"] = change["losses"] if device.type == "cpu" else change["losses"].to(device)
    with pytest.raises(error, match=message):
        launch(**arguments)


@pytest.mark.parametrize("which", ["targets", "orders", "order_index", "target_row"])
def test_bounds_are_checked_on_request(device, which, monkeypatch):
    if device.type == "cuda":
        pytest.skip("a failed assertion leaves a CUDA device unusable for the rest of the process")
    from dataclasses import replace

    from triton.runtime.interpreter import interpreter_builder

    # The interpreter has no launch option for it.
    monkeypatch.setattr(interpreter_builder, "options", replace(interpreter_builder.options, debug=True))
    arguments = dict(zip(NAMES, problem(device), strict=True))
    arguments["targets"][0, 0] = -100
    launch(**arguments, losses=torch.empty(5, 7), debug=True)
    arguments[which].fill_(100)
    with pytest.raises(Exception, match=f"{which} out of range"):
        launch(**arguments, losses=torch.empty(5, 7), debug=True)
