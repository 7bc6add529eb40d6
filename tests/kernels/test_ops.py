import subprocess
import sys
from importlib import import_module

import pytest
import torch
from pyorder.kernels import checks, loss_statistics, ops, permuted_embedding, reference
from torch.utils._python_dispatch import TorchDispatchMode

from pyorder import embeddings, losses

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


def samples(device, dtype=torch.float32):
    """Arguments of every registered operation that has a gradient, by name."""
    weights = torch.tensor([1.0, 0, 2, 0.5, 1], device=device)
    tables = [floats(device, *shape, dtype=dtype) for shape in ((8, 3), (5, 3), (2, 6, 3))]
    logits = floats(device, 4, 5, 7, dtype=dtype)
    linear = floats(device, 6, 3, dtype=dtype), floats(device, 7, 3, dtype=dtype)
    targets = torch.tensor([0, 6, 2, 2, 1, 5], device=device)
    return {
        "permuted_cross_entropy": [
            (logits, *lookup(device), None, False, False),
            (logits, *lookup(device), weights, True, False),
        ],
        "permuted_embedding": [
            (*lookup(device), *tables, 7, False),
            (*lookup(device), *tables[:2], None, 7, False),
            (*lookup(device), floats(device, 70, 3, dtype=dtype), *tables[1:], 7, False),  # a long table
        ],
        "linear_cross_entropy": [(*linear, targets, False)],
    }


def launched(name):
    """What the operation runs on a GPU."""
    module = import_module(f"pyorder.kernels.ops._{name.removesuffix('_gradient')}")
    return getattr(module, f"_launch_{name}")


def check_outputs(given, wanted):
    given, wanted = ((out,) if torch.is_tensor(out) else out for out in (given, wanted))
    for value, true in zip(given, wanted, strict=True):
        assert (value.dtype, value.shape, value.stride()) == (true.dtype, true.shape, true.stride())
        torch.testing.assert_close(value.cpu(), true, rtol=1e-5, atol=1e-6)


CASES = [(name, number) for name, cases in samples("cpu").items() for number in range(len(cases))]
LOSSES = [case for case in CASES if case[0] != "permuted_embedding"]


def test_docstring_examples(doctests):
    for module in (checks, ops, losses, embeddings):
        doctests(module)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_registration_is_sound(device, name, number):
    torch.library.opcheck(getattr(OPERATIONS, name), samples(device)[name][number])


@pytest.mark.parametrize(("name", "number"), CASES)
def test_registration_is_sound_for_tensors_in_another_memory_layout(device, name, number):
    def turned(value):
        if not torch.is_tensor(value) or value.ndim < 2:
            return value
        return value.detach().transpose(0, -1).contiguous().transpose(0, -1).requires_grad_(value.requires_grad)

    arguments = tuple(turned(value) for value in samples(device)[name][number])
    torch.library.opcheck(getattr(OPERATIONS, name), arguments)


def test_registration_of_the_operations_without_gradients_is_sound(device):
    incoming = torch.rand(4, 5, device=device)
    logits = floats(device, 4, 5, 7).detach()
    rows = torch.rand(6, device=device)
    hidden, weight = floats(device, 6, 3).detach(), floats(device, 7, 3).detach()
    _, orders, order_index, _ = lookup(device)
    targets = torch.tensor([0, 6, 2, 2, 1, 5], device=device)
    wide = torch.rand(4, 5, 3, device=device)
    for operation, arguments in (
        (OPERATIONS.loss_statistics, (incoming, orders, order_index, False)),
        (OPERATIONS.permuted_cross_entropy_gradient, (incoming, logits, *lookup(device), None)),
        (OPERATIONS.permuted_embedding_gradient, (wide, *lookup(device), 8, 7, True, False, True)),
        (OPERATIONS.permuted_embedding_gradient, (wide, *lookup(device), 8, 7, False, True, False)),
        (OPERATIONS.linear_cross_entropy_gradient, (rows, hidden, weight, targets, rows, True, False)),
        (OPERATIONS.linear_cross_entropy_gradient, (rows, hidden, weight, targets, rows, False, True)),
    ):
        torch.library.opcheck(operation, arguments)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_what_a_gpu_runs_gives_what_a_cpu_runs(device, name, number):
    # Without a GPU the launches run in the interpreter.
    arguments = [value.detach() if torch.is_tensor(value) else value for value in samples(device)[name][number]]
    wanted = getattr(OPERATIONS, name)(*(v.cpu() if torch.is_tensor(v) else v for v in arguments))
    check_outputs(launched(name)(*arguments), wanted)


def test_what_a_gpu_runs_backwards_gives_what_a_cpu_runs(device, monkeypatch):
    monkeypatch.setattr(loss_statistics, "PROGRAMS", 8)
    incoming = torch.rand(4, 5, device=device)
    logits, wide = floats(device, 4, 5, 7).detach(), torch.rand(4, 5, 3, device=device)
    hidden, weight = floats(device, 6, 3).detach(), floats(device, 7, 3).detach()
    targets = torch.tensor([0, 6, 2, 2, 1, 5], device=device)
    logarithms, rows = (hidden @ weight.T).logsumexp(1), torch.rand(6, device=device)
    for name, arguments in (
        ("loss_statistics", (incoming, *lookup(device)[1:3], False)),
        ("permuted_cross_entropy_gradient", (incoming, logits, *lookup(device), None)),
        ("permuted_embedding_gradient", (wide, *lookup(device), 8, 7, True, True, True)),
        ("permuted_embedding_gradient", (wide, *lookup(device), 8, 7, True, False, False)),
        ("permuted_embedding_gradient", (wide, *lookup(device), 8, 7, False, True, True)),
        ("linear_cross_entropy_gradient", (rows, hidden, weight, targets, logarithms, True, True)),
        ("linear_cross_entropy_gradient", (rows, hidden, weight, targets, logarithms, True, False)),
        ("linear_cross_entropy_gradient", (rows, hidden, weight, targets, logarithms, False, True)),
    ):
        wanted = getattr(OPERATIONS, name)(*(v.cpu() if torch.is_tensor(v) else v for v in arguments))
        check_outputs(launched(name)(*arguments), wanted)


class Calls(TorchDispatchMode):
    """Every operation that torch runs: its name, arguments and result."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.seen.append((function.overloadpacket.__name__, args, result))
        return result


def test_gradients_of_long_tables_do_not_multiply_all_their_rows(device, monkeypatch):
    targets, *rest = lookup(device, values=100)
    wide = torch.rand(4, 3, 5, device=device).transpose(1, 2)
    wanted = OPERATIONS.permuted_embedding_gradient(
        wide.cpu(), *(tensor.cpu() for tensor in (targets, *rest)), 101, 100, True, True, True
    )
    launch, tables = permuted_embedding.launch_gradient, []

    def launch_gradient(*arguments, **rest):
        tables.append(arguments[6])
        launch(*arguments, **rest)

    monkeypatch.setattr(permuted_embedding, "launch_gradient", launch_gradient)
    given = launched("permuted_embedding_gradient")(wide, targets, *rest, 101, 100, True, True, True)
    check_outputs(given, wanted)
    assert tables == ["before", "following"]


def first_output(name, arguments):
    out = getattr(OPERATIONS, name)(*arguments)
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize(("name", "number"), CASES)
def test_gradients_are_the_slopes_in_float64(name, number):
    arguments = samples("cpu", torch.float64)[name][number]
    free = [place for place, value in enumerate(arguments) if torch.is_tensor(value) and value.requires_grad]

    def function(*values):
        given = list(arguments)
        for place, value in zip(free, values, strict=True):
            given[place] = value
        return first_output(name, given)

    assert torch.autograd.gradcheck(function, tuple(arguments[place] for place in free))


@pytest.mark.parametrize(("name", "number"), CASES)
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_that_autograd_finds_for_the_reference(device, name, number, compiled):
    arguments = samples(device)[name][number]
    free = [value for value in arguments if torch.is_tensor(value) and value.requires_grad]
    plain = arguments[:-2] if name == "permuted_cross_entropy" else arguments[:-1]
    wanted = getattr(reference, name)(*plain)
    scale = torch.rand_like(wanted)
    wanted_gradients = torch.autograd.grad((wanted * scale).sum(), free)

    def function(*values):
        return (first_output(name, values) * scale).sum()

    if compiled:
        function = torch.compile(function, fullgraph=True, backend="aot_eager")
    given = torch.autograd.grad(function(*arguments), free)
    for gradient, true in zip(given, wanted_gradients, strict=True):
        torch.testing.assert_close(gradient, true, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "number"), LOSSES)
def test_a_second_derivative_is_refused(device, name, number):
    arguments = samples(device)[name][number]
    free = [value for value in arguments if torch.is_tensor(value) and value.requires_grad]
    loss = first_output(name, arguments).sum()
    with pytest.raises(RuntimeError, match="not twice differentiable|no autograd formula"):
        (torch.autograd.grad(loss, free, create_graph=True)[0].square().sum() + loss).backward()


@pytest.mark.parametrize(("name", "number"), CASES)
def test_only_gradients_that_are_asked_for_are_computed(device, name, number):
    arguments = samples(device)[name][number]
    free = [value for value in arguments if torch.is_tensor(value) and value.requires_grad]
    wanted = torch.autograd.grad(first_output(name, arguments).sum(), free)
    for value, true in zip(free, wanted, strict=True):
        for other in free:
            other.requires_grad_(other is value)
        loss = first_output(name, arguments).sum()
        with Calls() as calls:
            (given,) = torch.autograd.grad(loss, value)
        torch.testing.assert_close(given, true)
        for called, _, result in calls.seen:
            if called == f"{name}_gradient" and isinstance(result, tuple):
                assert [out.shape for out in result if out.numel()] == [value.shape]


@pytest.mark.parametrize(("name", "number"), LOSSES)
def test_no_zeros_stand_for_a_gradient_that_is_not_there(device, name, number):
    arguments = samples(device)[name][number]
    free = [value for value in arguments if torch.is_tensor(value) and value.requires_grad]
    loss = first_output(name, arguments).sum()
    with Calls() as calls:
        torch.autograd.grad(loss, free)
    assert not [called for called, *_ in calls.seen if called.startswith("zeros")]

    class Cut(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, incoming):
            return None

    cut = Cut.apply(first_output(name, arguments)).sum()
    assert torch.autograd.grad(cut, free, allow_unused=True) == (None,) * len(free)


@pytest.fixture
def registered(monkeypatch):
    """Let the public functions call the registered operations on a CPU too."""
    monkeypatch.setattr(ops, "runs_triton", lambda *given, **sizes: True)


def test_a_gradient_is_written_forwards_only_where_it_can_flow(device, registered):
    logits, table = floats(device, 4, 5, 7), lookup(device)
    with Calls() as calls:
        losses.permuted_cross_entropy(logits, *table, with_grad=True)
        losses.permuted_cross_entropy(logits.detach(), *table, with_grad=True)
        with torch.no_grad():
            losses.permuted_cross_entropy(logits, *table, with_grad=True)
    written = [result[1].shape for called, _, result in calls.seen if called == "permuted_cross_entropy"]
    assert written == [(4, 5, 7), (0,), (0,)]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_linear_loss_follows_autocast(device, direct, dtype, request):
    if direct:
        request.getfixturevalue("registered")
    hidden, weight = floats(device, 6, 3, dtype=dtype), floats(device, 7, 3)
    targets = torch.tensor([0, 6, 2, 2, 1, 5], device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        given = losses.linear_cross_entropy(hidden, weight, targets)
        wanted = torch.nn.functional.cross_entropy(torch.nn.functional.linear(hidden, weight).float(), targets)
    torch.testing.assert_close(given, wanted, rtol=1e-2, atol=1e-2)
    for gradient, true in zip(
        torch.autograd.grad(given, (hidden, weight)), torch.autograd.grad(wanted, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(gradient, true, rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize("direct", [False, True])
def test_extents_may_be_dynamic(device, direct, request):
    if direct:
        request.getfixturevalue("registered")

    def everything(logits, targets, orders, order_index, target_row, tokens, positions):
        lookup = (targets, orders, order_index, target_row)
        by_slot = losses.permuted_cross_entropy(logits, *lookup, reduction="none", with_grad=True)
        embedded = embeddings.permuted_embedding(*lookup, tokens, positions, separator=7)
        linear = losses.linear_cross_entropy(embedded.flatten(0, 1), tokens, order_index.repeat_interleave(5))
        total = losses.loss_statistics(by_slot, orders, order_index).total.sum()
        return by_slot.sum() + linear + total

    def gradients(function, arguments):
        loss = function(*arguments)
        return loss, *torch.autograd.grad(loss, (arguments[0], *arguments[5:]))

    def problem(rows):
        targets, orders, order_index, target_row = lookup(device)
        chosen = torch.arange(rows, device=device) % 4
        return [
            floats(device, rows, 5, 7), targets, orders, order_index[chosen], target_row[chosen],
            floats(device, 5 + rows, 3), floats(device, 5, 3),
        ]  # fmt: skip

    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    first = problem(4)
    for place in (0, 3, 4, 5):
        torch._dynamo.mark_dynamic(first[place], 0)
    gradients(compiled, first)
    with torch.compiler.set_stance("fail_on_recompile"):
        for rows in (3, 9):
            given, wanted = (gradients(function, problem(rows)) for function in (compiled, everything))
            torch.testing.assert_close(given, wanted)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions(device, reduction, weighted):
    logits, table = floats(device, 4, 5, 7), lookup(device)
    weights = torch.tensor([1.0, 0, 2, 0.5, 1], device=device) if weighted else None
    by_slot = reference.permuted_cross_entropy(logits, *table, weights)
    weight = torch.ones(5, device=device) if weights is None else weights
    wanted = {
        "none": by_slot,
        "sum": by_slot.sum(),
        "mean": by_slot.sum() / weight[table[1].long()[table[2]]].sum(),
    }
    given = losses.permuted_cross_entropy(logits, *table, weights=weights, reduction=reduction)
    torch.testing.assert_close(given, wanted[reduction])


def test_public_functions_compile_into_one_graph(device):
    logits, table = floats(device, 4, 5, 7), lookup(device)
    tables = floats(device, 8, 3), floats(device, 5, 3)

    def everything(logits, *tables):
        loss = losses.permuted_cross_entropy(logits, *table, weights=torch.ones(5, device=logits.device))
        embedded = embeddings.permuted_embedding(*table, *tables, separator=7)
        linear = losses.linear_cross_entropy(embedded.flatten(0, 1), tables[0], table[0].flatten()[:20])
        by_slot = losses.permuted_cross_entropy(logits, *table, reduction="none")
        return loss + linear + losses.loss_statistics(by_slot, table[1], table[2]).total.sum()

    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, *tables), everything(logits, *tables))


def test_choices_are_by_name():
    logits, table = floats("cpu", 4, 5, 7), lookup("cpu")
    with pytest.raises(ValueError, match="implementation: 'triton' needs tensors on a CUDA device"):
        losses.permuted_cross_entropy(logits, *table, implementation="triton")
    with pytest.raises(
        ValueError, match="implementation: expected one of 'auto', 'triton', 'reference', got 'fast'"
    ):
        losses.permuted_cross_entropy(logits, *table, implementation="fast")
    for call in (
        lambda: losses.permuted_cross_entropy(logits, *table, reduction="max"),
        lambda: losses.linear_cross_entropy(logits[0], logits[1], table[0][0], reduction="max"),
    ):
        with pytest.raises(ValueError, match="reduction: expected one of 'none', 'mean', 'sum', got 'max'"):
            call()


def test_everything_but_the_kernels_works_without_triton():
    program = """
import sys
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from pyorder import embeddings, losses
from pyorder.kernels import ops
assert not ops.HAS_TRITON
zero = torch.tensor([0])
print(losses.permuted_cross_entropy(torch.zeros(1, 1, 2), zero[None], zero[None], zero, zero).item())
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.6931471824645996"


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "number"), CASES)
def test_nothing_waits_for_the_device_and_a_graph_replays_it(name, number, waiting_is_an_error):
    arguments = samples("cuda")[name][number]
    free = [value for value in arguments if torch.is_tensor(value) and value.requires_grad]

    def step():
        return torch.autograd.grad(first_output(name, arguments).sum(), free)

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
    for gradient in captured:
        gradient.fill_(torch.nan)
    graph.replay()
    for gradient, true in zip(captured, wanted, strict=True):
        assert torch.equal(gradient, true)


@pytest.mark.gpu
def test_statistics_wait_for_nothing_and_a_graph_replays_them(waiting_is_an_error):
    by_slot, (_, orders, order_index, _) = torch.rand(4, 5, device="cuda"), lookup("cuda")
    wanted = losses.loss_statistics(by_slot, orders, order_index)
    with waiting_is_an_error():
        losses.loss_statistics(by_slot, orders, order_index)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = losses.loss_statistics(by_slot, orders, order_index)
    graph.replay()
    for given, true in zip(captured, wanted, strict=True):
        assert torch.equal(given, true)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_triton_and_reference_agree_on_the_device(dtype):
    logits, table = floats("cuda", 4, 5, 7, dtype=dtype), lookup("cuda")
    given, wanted = (
        losses.permuted_cross_entropy(logits, *table, reduction="none", implementation=implementation)
        for implementation in ("triton", "reference")
    )
    torch.testing.assert_close(given, wanted)
