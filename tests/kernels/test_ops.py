import subprocess
import sys

import pytest
import torch
from pyorder.kernels import checks, ops, reference
from pyorder.kernels.ops import _permuted_cross_entropy as operation
from torch.utils._python_dispatch import TorchDispatchMode

from pyorder import losses

OPERATIONS = torch.ops.pyorder


def lookup(device, rows=4, length=5, values=7, index=torch.int32):
    random = torch.Generator().manual_seed(0)
    tensors = (
        torch.randint(values, (6, length), generator=random).to(index),
        torch.stack([torch.randperm(length, generator=random) for _ in range(2)]).to(torch.uint8),
        torch.tensor([0, 1, 1, 0])[:rows],
        torch.tensor([5, 0, 3, 3])[:rows],
    )
    return tuple(tensor.to(device) for tensor in tensors)


def floats(device, *shape, dtype=torch.float32):
    random = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=random).to(device, dtype).requires_grad_()


def arguments_of(device, weighted, dtype=torch.float32):
    """Logits, and what the operation takes beside them."""
    weights = torch.tensor([1.0, 0, 2, 0.5, 1], device=device) if weighted else None
    return floats(device, 4, 5, 7, dtype=dtype), (*lookup(device), weights)


weighted = pytest.mark.parametrize("weighted", [False, True])


def test_docstring_examples(doctests):
    for module in (checks, ops, losses):
        doctests(module)


def turned(value):
    """In another memory layout."""
    if not torch.is_tensor(value) or value.ndim < 2:
        return value
    return value.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_(value.requires_grad)


@weighted
@pytest.mark.parametrize("layout", [lambda value: value, turned])
def test_registration_is_sound(device, weighted, layout):
    logits, table = arguments_of(device, weighted)
    arguments = [layout(value) for value in (logits, *table)]
    torch.library.opcheck(OPERATIONS.permuted_cross_entropy, (*arguments, 0.5, False))
    arguments[0] = arguments[0].detach()
    incoming = torch.rand(4, 5, device=device)
    torch.library.opcheck(OPERATIONS.permuted_cross_entropy_gradient, (incoming, *arguments, 0.5))


def check_outputs(given, wanted):
    assert (given.dtype, given.shape, given.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
    torch.testing.assert_close(given.cpu(), wanted, rtol=1e-5, atol=1e-6)


@weighted
def test_what_a_gpu_runs_gives_what_a_cpu_runs(device, weighted):
    # Without a GPU the launches run in the interpreter.
    logits, table = arguments_of(device, weighted)
    arguments = (logits.detach(), *table)
    there = [value.cpu() if torch.is_tensor(value) else value for value in arguments]
    wanted = OPERATIONS.permuted_cross_entropy(*there, 0.5, False)
    check_outputs(operation._launch_permuted_cross_entropy(*arguments, 0.5, False), wanted)
    incoming = torch.rand(4, 5, device=device)
    wanted = OPERATIONS.permuted_cross_entropy_gradient(incoming.cpu(), *there, 0.5)
    check_outputs(operation._launch_permuted_cross_entropy_gradient(incoming, *arguments, 0.5), wanted)


class Calls(TorchDispatchMode):
    """The names of all operations that torch runs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@weighted
def test_gradients_are_the_slopes_in_float64(weighted):
    logits, table = arguments_of("cpu", weighted, torch.float64)
    assert torch.autograd.gradcheck(lambda x: OPERATIONS.permuted_cross_entropy(x, *table, 0.5, False), logits)


@weighted
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_that_autograd_finds_for_the_reference(device, weighted, compiled):
    logits, table = arguments_of(device, weighted)
    scale = torch.rand(4, 5, device=device)
    (wanted,) = torch.autograd.grad((reference.permuted_cross_entropy(logits, *table) * scale).sum(), logits)

    def function(x):
        return (OPERATIONS.permuted_cross_entropy(x, *table, 0.5, False) * 2 * scale).sum()

    if compiled:
        function = torch.compile(function, fullgraph=True, backend="aot_eager")
    (given,) = torch.autograd.grad(function(logits), logits)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


def test_a_mean_is_divided_in_the_kernels(device, monkeypatch):
    """Its gradient too, and neither is an operation of its own."""
    logits, table = arguments_of(device, weighted=False)
    (targets, orders, order_index, target_row, _) = table
    wanted = reference.permuted_cross_entropy(logits, *table).mean()
    (slope,) = torch.autograd.grad(wanted, logits)
    monkeypatch.setattr(losses.ops, "runs_triton", lambda *given, **sizes: True)
    with Calls() as calls:
        given = losses.permuted_cross_entropy(logits, targets, orders, order_index, target_row)
        (found,) = torch.autograd.grad(given, logits)
    torch.testing.assert_close(given, wanted)
    torch.testing.assert_close(found, slope, rtol=1e-4, atol=1e-6)
    assert not {"mean", "div"} & set(calls.seen)


@weighted
def test_a_second_derivative_is_refused(device, weighted):
    logits, table = arguments_of(device, weighted)
    loss = OPERATIONS.permuted_cross_entropy(logits, *table, 0.5, False).sum()
    with pytest.raises(RuntimeError, match="no autograd formula"):
        (torch.autograd.grad(loss, logits, create_graph=True)[0].square().sum() + loss).backward()


def test_no_zeros_stand_for_a_gradient_that_is_not_there(device):
    class Cut(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, incoming):
            return None

    logits, table = arguments_of(device, weighted=False)
    cut = Cut.apply(OPERATIONS.permuted_cross_entropy(logits, *table, 0.5, False)).sum()
    with Calls() as calls:
        assert torch.autograd.grad(cut, logits, allow_unused=True) == (None,)
    assert "permuted_cross_entropy_gradient" not in calls.seen


@pytest.fixture
def registered(monkeypatch):
    """Let the public function call the registered operation on a CPU too."""
    monkeypatch.setattr(ops, "runs_triton", lambda *given, **sizes: True)


@pytest.mark.parametrize("direct", [False, True])
def test_extents_may_be_dynamic(device, direct, request):
    if direct:
        request.getfixturevalue("registered")

    def loss_and_gradient(function, arguments):
        loss = function(*arguments).sum()
        return loss, *torch.autograd.grad(loss, arguments[0])

    def by_slot(*arguments):
        return losses.permuted_cross_entropy(*arguments, reduction="none")

    def problem(rows):
        targets, orders, order_index, target_row = lookup(device)
        chosen = torch.arange(rows, device=device) % 4
        return [floats(device, rows, 5, 7), targets, orders, order_index[chosen], target_row[chosen]]

    compiled = torch.compile(by_slot, fullgraph=True, backend="aot_eager")
    first = problem(4)
    for place in (0, 3, 4):
        torch._dynamo.mark_dynamic(first[place], 0)
    loss_and_gradient(compiled, first)
    with torch.compiler.set_stance("fail_on_recompile"):
        for rows in (3, 9):
            given, wanted = (loss_and_gradient(function, problem(rows)) for function in (compiled, by_slot))
            torch.testing.assert_close(given, wanted)


@weighted
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_reductions(device, reduction, weighted):
    logits, (*table, weights) = arguments_of(device, weighted)
    by_slot = reference.permuted_cross_entropy(logits, *table, weights)
    weight = torch.ones(5, device=device) if weights is None else weights
    wanted = {
        "none": by_slot,
        "sum": by_slot.sum(),
        "mean": by_slot.sum() / weight[table[1].long()[table[2]]].sum(),
    }
    given = losses.permuted_cross_entropy(logits, *table, weights=weights, reduction=reduction)
    torch.testing.assert_close(given, wanted[reduction])


@weighted
@pytest.mark.parametrize("triton", [False, True])
def test_the_mean_of_no_rows_is_zero_as_that_of_ignored_targets_is(device, monkeypatch, weighted, triton):
    monkeypatch.setattr(losses.ops, "runs_triton", lambda *given, **sizes: triton)
    logits, (targets, orders, order_index, target_row, weights) = arguments_of(device, weighted)
    for rows, wanted in ((4, torch.full_like(targets, -100)), (0, targets)):
        some = logits[:rows]
        loss = losses.permuted_cross_entropy(
            some, wanted, orders, order_index[:rows], target_row[:rows], weights=weights
        )
        assert loss.item() == 0
        (slope,) = torch.autograd.grad(loss, some)
        assert slope.shape == some.shape
        assert not slope.any()


def test_the_public_function_compiles_into_one_graph(device):
    logits, (*table, _) = arguments_of(device, weighted=False)

    def function(logits):
        return losses.permuted_cross_entropy(logits, *table, weights=torch.ones(5, device=logits.device))

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits), function(logits))


def test_choices_are_by_name():
    logits, (*table, _) = arguments_of("cpu", weighted=False)
    with pytest.raises(ValueError, match="implementation: 'triton' needs tensors on a CUDA device"):
        losses.permuted_cross_entropy(logits, *table, implementation="triton")
    with pytest.raises(
        ValueError, match="implementation: expected one of 'auto', 'triton', 'reference', got 'fast'"
    ):
        losses.permuted_cross_entropy(logits, *table, implementation="fast")
    with pytest.raises(ValueError, match="reduction: expected one of 'none', 'mean', 'sum', got 'max'"):
        losses.permuted_cross_entropy(logits, *table, reduction="max")


def test_everything_but_the_kernel_works_without_triton():
    program = """
import sys
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from pyorder import losses
from pyorder.kernels import ops
assert not ops.HAS_TRITON
zero = torch.tensor([0])
print(losses.permuted_cross_entropy(torch.zeros(1, 1, 2), zero[None], zero[None], zero, zero).item())
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.6931471824645996"


@pytest.mark.gpu
@weighted
def test_nothing_waits_for_the_device_and_a_graph_replays_it(weighted, waiting_is_an_error):
    logits, table = arguments_of("cuda", weighted)

    def step():
        return torch.autograd.grad(OPERATIONS.permuted_cross_entropy(logits, *table, 0.5, False).sum(), logits)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        wanted = step()
    torch.cuda.current_stream().wait_stream(side)
    with waiting_is_an_error():
        step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    captured.fill_(torch.nan)
    graph.replay()
    assert torch.equal(captured, wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_triton_and_reference_agree_on_the_device(dtype):
    logits, table = floats("cuda", 4, 5, 7, dtype=dtype), lookup("cuda")
    given, wanted = (
        losses.permuted_cross_entropy(logits, *table, reduction="none", implementation=implementation)
        for implementation in ("triton", "reference")
    )
    torch.testing.assert_close(given, wanted)
