"""What work takes on a GPU, from its bytes, operations and launches: what predictions are made of.

`COUNTS` and `NODES` were counted on a CPU, and tests count again. The times of an operation are those that the
first rows of an H100 gave (docs/gpu.md). Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """What a GPU can do at best; times in seconds."""

    name: str
    copy: float  # bytes a second of a large copy, read and written
    matrix: float = 790e12  # operations a second of a large bfloat16 product
    plain: float = 40e12  # the same in float32, without tensor cores
    node: float = 3.5e-6  # an operation in a graph, of the size that they have here
    launch: float = 15e-6  # an operation in eager mode: the host's time
    learned: float = 40e-6  # the same with its share of autograd and optimiser, forward and backward


CHIPS = (Chip("H100", copy=3.0e12), Chip("H200", copy=4.3e12))

# Counted on a CPU, bfloat16, by a dispatch mode that leaves views out.
COUNTS = {
    "step": 132,  # operations of a training step of `small`, optimiser included
    "step, float32": 100,
    "twin": 161,  # of GPT-2's
    "explorer": 156,  # of a training step of the exploration, in float32
    "chunk": 70,  # of scoring one chunk of the tree of orders
}
NODES = {64: 729, 128: 1425, 720: 7580, 5040: 49_212}  # of the tree of so many random orders, L = 13
BESIDE = 0.54  # of a step's time is what one beside another adds, in a stream of its own
HALF = 0.5  # of the peak rate is what products of this size reach
SCORED = 106e3  # bytes that move for a node of the tree and a row, in some fifty passes over W float32 numbers


def forward_operations(positions: int, read: int = 0) -> float:
    """Multiplications and additions of `small` (width 512) at so many positions, and at those only read.

    A position takes query, key, value and output (4 W²) and the feed-forward layer (8 W²); one of the input takes
    key and value (2 W²) alone, as nothing in the last layer looks from there.
    """
    return 2 * 512**2 * (12 * positions + 2 * read)


def step_seconds(chip: Chip, length: int = 13, seeds: int = 1, precision: str = "bfloat16") -> float:
    """A captured training step: its products, forward and twice that backward, and a node an operation."""
    operations = 3 * forward_operations(128 * length, 128 * length)
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    count = COUNTS["step" if precision == "bfloat16" else "step, float32"]
    return (operations / rate + count * chip.node) * (1 + BESIDE * (seeds - 1))


def twin_step_seconds(chip: Chip, precision: str) -> float:
    """A step of GPT-2 in eager mode: the longer of what the host takes to launch and the device to multiply."""
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    return max(COUNTS["twin"] * chip.learned, 3 * forward_operations(128 * 26) / rate)


def scoring_seconds(chip: Chip, nodes: float, rows: int, precision: str = "bfloat16") -> float:
    """The tree of orders, in chunks of 64 nodes: launches of the host, or what the device multiplies and moves."""
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    moved = nodes * rows * SCORED
    device = forward_operations(int(nodes) * rows) / rate + moved / chip.copy
    return max(nodes / 64 * COUNTS["chunk"] * chip.launch, device)


def twin_scoring_seconds(chip: Chip, sequences: int, precision: str) -> float:
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    return forward_operations(26 * sequences) / rate + 26 * sequences * SCORED / chip.copy


def profiling_seconds(chip: Chip, orders: int, length: int = 13, seeds: int = 1) -> float:
    """A run of 800 steps and the scoring of 1,000 rows, without the capture."""
    nodes = seeds * NODES.get(orders, 0.75 * orders * length)
    return 800 * step_seconds(chip, length, seeds) + scoring_seconds(chip, nodes, 1000)


def discovery_seconds(chip: Chip, length: int, steps: int) -> float:
    """Exploration in a graph, its evidence, capture and compilation of both graphs, and the last run."""
    rounds = steps / 100
    train = steps * (COUNTS["explorer"] * chip.node + 26e-6 * length)  # as measured at 13 and at 100 steps
    evidence = rounds * (0.36e-3 + 1.5e-3) * length  # losses, and a joint fit for every step
    return train + evidence + 1.5 + profiling_seconds(chip, 64, length)


LITTLE = 2.2e-6  # a node that does next to nothing


def kernel_seconds(chip: Chip, slots: int, values: int, size: int) -> float:
    """Losses and gradient: logits read twice, a gradient written, and four nodes (two kernels, a sum, a slope)."""
    return 3 * slots * values * size / chip.copy + 4 * LITTLE


def search_seconds(chip: Chip, pools: list[int], length: int) -> float:
    return 2.0 + sum(profiling_seconds(chip, orders, length) for orders in pools)


def for_chip(device: str) -> Chip | None:
    """The chip of a device's name, None for one of which nothing is foretold."""
    return next((chip for chip in CHIPS if chip.name in device), None)
