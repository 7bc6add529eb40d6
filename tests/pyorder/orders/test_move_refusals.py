"""What moves refuse, in one line each."""

import pytest

from pyorder.orders import moves


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: moves.block_bounds(0, 1), ValueError, "length: expected an integer from 1 to 65535, got 0"),
        (lambda: moves.block_bounds(5, 6), ValueError, "blocks: expected an integer from 1 to 5, got 6"),
        (lambda: moves.block_bounds(5, 2.0), TypeError, r"blocks: expected an integer, got 2\.0"),
        (
            lambda: moves.block_rearrangements([0, 1], 1),
            ValueError,
            r"orders: expected shape \(T, L\), got \(2,\)",
        ),
        (
            lambda: moves.block_rearrangements([[0, 1]], 0),
            ValueError,
            "blocks: expected an integer from 1 to 2",
        ),
        (
            lambda: moves.block_rearrangements([[0, 0]], 1),
            ValueError,
            r"orders: row 0 is not a permutation of 0\.\.1",
        ),
        (
            lambda: moves.block_rearrangements([range(16)], 16),
            ValueError,
            "blocks: 20,922,789,888,000 orders of 16 slots do not fit",
        ),
        (
            lambda: moves.block_rearrangements([range(900)], 900),
            ValueError,
            r"blocks: about 10\^2270 orders of 900 slots do not fit",
        ),
        (
            lambda: moves.within_blocks([0, 1, 2], 1),
            ValueError,
            "block_size: expected an integer from 2 to 3, got 1",
        ),
        (
            lambda: moves.within_blocks([0, 1, 2], 4),
            ValueError,
            "block_size: expected an integer from 2 to 3, got 4",
        ),
        (
            lambda: moves.within_blocks([0, 1, 2], 2, limit=0),
            ValueError,
            "limit: expected an integer of at least 1",
        ),
        (
            lambda: moves.within_blocks([0, 1, 2], 2, limit=1, seed=-1),
            ValueError,
            "seed: expected an integer from 0",
        ),
        (lambda: moves.within_blocks([0, 1, 1], 2), ValueError, r"order: not a permutation of 0\.\.2"),
        (
            lambda: moves.within_blocks(range(100), 50),
            ValueError,
            r"block_size, without a limit: about 10\^65 orders of 100 slots do not fit",
        ),
        (
            lambda: moves.within_blocks(range(100), 50, limit=10**14),
            ValueError,
            "limit: 100,000,000,000,000 orders of 100 slots do not fit",
        ),
        (
            lambda: moves.within_every_block([0, 1, 2], 4),
            ValueError,
            "block_size: expected an integer from 2 to 3, got 4",
        ),
        (
            lambda: moves.within_every_block(range(100), 50),
            ValueError,
            r"block_size, without a limit: about 10\^64 orders of 100 slots do not fit",
        ),
        (
            lambda: moves.permuted_blocks(range(100), 2, limit=10**14),
            ValueError,
            "limit: 100,000,000,000,000 orders of 100 slots do not fit",
        ),
        (
            lambda: moves.permuted_blocks([0, 1], 2, limit=0),
            ValueError,
            "limit: expected an integer of at least 1",
        ),
        (
            lambda: moves.permuted_blocks([0, 1, 2], 2, limit=1, seed=-1),
            ValueError,
            "seed: expected an integer from 0",
        ),
        (
            lambda: moves.between_blocks([0], 2),
            ValueError,
            "block_size: expected an integer from 2 to 1, got 2",
        ),
        (
            lambda: moves.between_blocks(range(65_536), 2),
            ValueError,
            "order: an order has from 1 to 65535 slots",
        ),
        (lambda: moves.swaps([[0, 1]]), ValueError, r"order: expected shape \(L,\), got \(1, 2\)"),
        (lambda: moves.swaps([0.0, 1.0]), TypeError, "order: expected integers, got float64"),
        (
            lambda: moves.swaps(range(65_535)),
            ValueError,
            "order: 2,147,385,345 orders of 65535 slots do not fit",
        ),
        (
            lambda: moves.sample_neighbours([0], 1, seed=0),
            ValueError,
            "order: expected at least 2 slots, got 1, which has no neighbours",
        ),
        (
            lambda: moves.sample_neighbours([0, 0], 1, seed=0),
            ValueError,
            r"order: not a permutation of 0\.\.1",
        ),
        (
            lambda: moves.sample_neighbours([0, 1], -1, seed=0),
            ValueError,
            "count: expected an integer of at least 0",
        ),
        (
            lambda: moves.sample_neighbours([0, 1], 1, seed=-1),
            ValueError,
            "seed: expected an integer from 0",
        ),
        (
            lambda: moves.sample_neighbours(range(100), 10**14, seed=0),
            ValueError,
            "count: 100,000,000,000,000 orders of 100 slots do not fit",
        ),
        (lambda: moves.insertions([0, 2]), ValueError, r"order: not a permutation of 0\.\.1"),
        (
            lambda: moves.block_moves([0, 1, 2], 0),
            ValueError,
            "max_size: expected an integer from 1 to 2, got 0",
        ),
        (
            lambda: moves.block_moves([0, 1, 2], 3),
            ValueError,
            "max_size: expected an integer from 1 to 2, got 3",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
