import pytest
import torch
from pyorder.kernels import permuted_embedding, reference
from pyorder.kernels.permuted_embedding import Settings, launch, launch_gradient, parts_for

INDEX_TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)


def problem(device, rows=5, length=7, values=11, width=21, dtype=torch.float32, index=torch.int64, steps=True):
    random = torch.Generator().manual_seed(0)

    def table(*shape):
        return torch.randn(shape, generator=random).to(dtype)

    lookup = (
        torch.randint(values, (13, length), generator=random).to(index),
        torch.stack([torch.randperm(length, generator=random) for _ in range(3)]).to(index),
        torch.randint(3, (rows,), generator=random),
        torch.randint(13, (rows,), generator=random),
    )
    tables = table(values + 1, width), table(length, width), table(2, length + 1, width) if steps else None
    return [None if tensor is None else tensor.to(device) for tensor in (*lookup, *tables)]


def run(*arguments, separator, settings=None):
    """One launch into memory full of NaN."""
    targets, _, order_index, _, tokens, *_ = arguments
    shape = (len(order_index), targets.shape[1], tokens.shape[1])
    out = torch.full(shape, torch.nan, device=tokens.device, dtype=tokens.dtype)
    launch(*arguments, separator, out=out, settings=settings)
    return out


def table_gradient(incoming, lookup, separator, table, rows, settings=None):
    slots, width = incoming.shape[0] * incoming.shape[1], incoming.shape[2]
    parts = torch.full((parts_for(slots, rows, width), rows, width), torch.nan, device=incoming.device)
    launch_gradient(incoming, *lookup, separator, table, parts=parts, settings=settings)
    return parts.sum(0)


def test_the_definition_row_by_row(device):
    targets, orders, order_index, target_row, tokens, positions, steps = arguments = problem(device)
    given = run(*arguments, separator=11)
    for b in range(5):
        order = orders[order_index[b]]
        for j in range(7):
            before = tokens[targets[target_row[b], order[j - 1]]] if j else tokens[11]
            wanted = before + positions[j] + steps[0, order[j - 1] if j else 7] + steps[1, order[j]]
            torch.testing.assert_close(given[b, j], wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("rows", "length", "width"), [(5, 7, 21), (1, 1, 1), (3, 11, 130), (17, 2, 64)])
def test_no_further_from_float64_than_the_reference(device, dtype, rows, length, width):
    arguments = problem(device, rows, length, width=width, dtype=dtype)
    wide = [tensor.double() if tensor.is_floating_point() else tensor for tensor in arguments]
    truth = reference.permuted_embedding(*wide, 11)
    budget = (reference.permuted_embedding(*arguments, 11).double() - truth).abs()
    # The interpreter cuts bfloat16 off where a device rounds it: one unit in the last place rather than half.
    last_digit = torch.finfo(dtype).eps * truth.abs()
    assert ((run(*arguments, separator=11).double() - truth).abs() <= budget + last_digit + 1e-6).all()


@pytest.mark.parametrize("index", INDEX_TYPES)
def test_index_types_and_no_steps(device, index):
    arguments = problem(device, index=index, steps=False)
    arguments[3] = arguments[3].to(index)
    wanted = reference.permuted_embedding(*arguments, 3)
    torch.testing.assert_close(run(*arguments, separator=3), wanted)


@pytest.mark.parametrize(("rows", "length", "width"), [(5, 7, 21), (20, 6, 5), (0, 3, 4)])
def test_gradients_are_those_of_the_reference(device, rows, length, width):
    *lookup, tokens, _, _ = problem(device, rows, length, width=width)
    incoming = torch.randn(rows, length, width, device=device)
    wanted = reference.permuted_embedding_gradient(incoming.double(), *lookup, len(tokens), 11)
    for table, value in zip(("tokens", "before", "following"), (wanted[0], *wanted[2]), strict=True):
        given = table_gradient(incoming, lookup, 11, table, len(value))
        torch.testing.assert_close(given.double(), value, rtol=1e-5, atol=1e-5)


def test_half_gradients_add_up_in_float32(device):
    *lookup, tokens, _, _ = problem(device, rows=40)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float16  # the interpreter has no bfloat16 product
    incoming = torch.randn(40, 7, 21, device=device).to(dtype)
    wanted = reference.permuted_embedding_gradient(incoming.double(), *lookup, len(tokens), 11)[0]
    torch.testing.assert_close(
        table_gradient(incoming, lookup, 11, "tokens", 12).double(), wanted, rtol=1e-5, atol=1e-5
    )


def test_long_inputs_are_cut_into_parts_and_bits_stay(device, monkeypatch):
    *lookup, _, _, _ = problem(device, rows=20)
    monkeypatch.setattr(permuted_embedding, "ROWS_A_PART", 64)
    assert parts_for(140, 12, 21) == 3
    incoming = torch.randn(20, 7, 21, device=device)
    first, second = (table_gradient(incoming, lookup, 11, "tokens", 12) for _ in range(2))
    assert torch.equal(first, second)


def test_parts_stay_within_a_grid_and_nothing_has_a_part():
    assert parts_for(2**30, 1, 1) == 65_535
    assert parts_for(0, 12, 21) == parts_for(2**10, 2**14, 2**9) == 1


@pytest.mark.parametrize(("rows", "length", "width"), [(5, 7, 0), (0, 0, 4), (0, 3, 0)])
def test_empty_gradients(device, rows, length, width):
    lookup = (
        torch.zeros(13, length, device=device).long(),
        torch.zeros(3, length, device=device).long(),
        *(torch.zeros(rows, device=device).long() for _ in range(2)),
    )
    gradient = table_gradient(torch.zeros(rows, length, width, device=device), lookup, 11, "tokens", 12)
    assert torch.equal(gradient, torch.zeros(12, width, device=device))


def test_tiles_leave_the_answer_alone(device):
    *lookup, tokens, positions, steps = problem(device)
    tables = (tokens, positions, steps)
    wanted = run(*lookup, *tables, separator=11)
    assert torch.equal(run(*lookup, *tables, separator=11, settings=Settings(64, 16, 4)), wanted)


def test_refusals_name_the_argument(device):
    *lookup, tokens, positions, steps = problem(device)
    with pytest.raises(ValueError, match="separator: expected a row of tokens, 0 to 11, got 12"):
        run(*lookup, tokens, positions, steps, separator=12)
    with pytest.raises(ValueError, match=r"steps: expected shape \(2, 8, 21\), got \(2, 7, 21\)"):
        run(*lookup, tokens, positions, steps[:, :7], separator=11)
    with pytest.raises(TypeError, match="positions: expected float32, got float16"):
        run(*lookup, tokens, positions.half(), steps, separator=11)
