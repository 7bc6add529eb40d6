import numpy as np
import torch
from pyorder.kernels import reference


def test_docstring_examples(doctests):
    doctests(reference)


def test_permuted_cross_entropy_is_the_definition_in_float64():
    rng = np.random.default_rng(0)
    rows, length, values, targets_n, orders_n = 7, 5, 11, 20, 3
    logits = rng.normal(size=(rows, length, values))
    targets = rng.integers(values, size=(targets_n, length))
    orders = np.array([rng.permutation(length) for _ in range(orders_n)])
    order_index, target_row = rng.integers(orders_n, size=rows), rng.integers(targets_n, size=rows)
    wanted = np.empty((rows, length))
    for b in range(rows):
        for j in range(length):
            step = orders[order_index[b], j]
            exponentials = np.exp(logits[b, j])
            wanted[b, j] = -np.log(exponentials[targets[target_row[b], step]] / exponentials.sum())
    given = reference.permuted_cross_entropy(
        *(
            torch.from_numpy(array)
            for array in (logits.astype(np.float32), targets, orders, order_index, target_row)
        )
    )
    assert given.dtype == torch.float32
    np.testing.assert_allclose(given.numpy(), wanted, rtol=1e-5)
