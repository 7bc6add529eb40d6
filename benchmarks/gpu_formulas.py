"""What work takes on a GPU, from its bytes, operations and launches: what predictions are made of.

`COUNTS` and `NODES` were counted on a CPU, and tests count again. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """What a GPU can do at best; times in seconds."""

    name: str
    copy: float  # bytes a second of a large copy, read and written
    matrix: float = 790e12  # operations a second of a large bfloat16 product
    plain: float = 50e12  # the same in float32, without tensor cores
    node: float = 2e-6  # a small kernel in a graph
    launch: float = 5e-6  # an operation in eager mode: the host's time
    learned: float = 8e-6  # the same with its share of autograd and optimiser, forward and backward
    custom: float = 60e-6  # an operation of pyorder's in eager mode, through torch's Python dispatch


CHIPS = (Chip("H100", copy=3.0e12), Chip("H200", copy=4.3e12))

# Counted on a CPU, bfloat16, by a dispatch mode that leaves views out.
COUNTS = {
    "step": 217,  # operations of a training step of `small`, optimiser included
    "step, float32": 181,
    "twin": 161,  # of GPT-2's: no vmap
    "explorer": 221,  # of a training step of the exploration
    "explorer, scoring": 84,  # of 128 rows in one order each
    "chunk": 71,  # of scoring one chunk of the tree of orders
}
NODES = {64: 729, 128: 1425, 720: 7580, 5040: 49_212}  # of the tree of so many random orders, L = 13
HALF = 0.5  # of the peak rate is what products of this size reach


def forward_operations(positions: int, read: int = 0) -> float:
    """Multiplications and additions of `small` (width 512) at so many positions, and at those only read.

    A position takes query, key, value and output (4 W²) and the feed-forward layer (8 W²); one of the input takes
    key and value (2 W²) alone, as nothing in the last layer looks from there.
    """
    return 2 * 512**2 * (12 * positions + 2 * read)


def step_seconds(chip: Chip, length: int = 13, seeds: int = 1, precision: str = "bfloat16") -> float:
    """A captured training step: its products, forward and twice that backward, and a node an operation."""
    operations = 3 * seeds * forward_operations(128 * length, 128 * length)
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    return operations / rate + COUNTS["step" if precision == "bfloat16" else "step, float32"] * chip.node


def twin_step_seconds(chip: Chip, precision: str) -> float:
    """A step of GPT-2 in eager mode: the longer of what the host takes to launch and the device to multiply."""
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    return max(COUNTS["twin"] * chip.learned, 3 * forward_operations(128 * 26) / rate)


def scoring_seconds(chip: Chip, nodes: float, rows: int, precision: str = "bfloat16") -> float:
    """The tree of orders, in chunks of 64 nodes, each a launch an operation or its products."""
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    chunks = nodes / 64
    return max(chunks * COUNTS["chunk"] * chip.launch, forward_operations(int(nodes) * rows) / rate)


def twin_scoring_seconds(chip: Chip, sequences: int, precision: str) -> float:
    rate = HALF * chip.matrix if precision == "bfloat16" else chip.plain
    return forward_operations(26 * sequences) / rate


def profiling_seconds(chip: Chip, orders: int, length: int = 13, seeds: int = 1) -> float:
    """A run of 800 steps and the scoring of 1,000 rows, without the capture."""
    nodes = seeds * NODES.get(orders, 0.75 * orders * length)
    return 800 * step_seconds(chip, length, seeds) + scoring_seconds(chip, nodes, 1000)


def discovery_seconds(chip: Chip, length: int, steps: int) -> float:
    """Exploration in eager mode, evidence (40 ms of the host a round at 13 steps, growing as L²), the last run."""
    rounds = steps / 100
    wide = 1 + length / 100  # attention over 2 L places, forward and backward
    train = steps * COUNTS["explorer"] * chip.learned * wide
    evidence = rounds * (48 * COUNTS["explorer, scoring"] * chip.launch + 0.04 * (length / 13) ** 2)
    return train + evidence + 2.0 + profiling_seconds(chip, 64, length)


def kernel_seconds(chip: Chip, slots: int, values: int, size: int) -> float:
    """Losses and gradient: logits read twice, a gradient written, and five nodes (two kernels, mean, slopes)."""
    return 3 * slots * values * size / chip.copy + 5 * chip.node


def search_seconds(chip: Chip, pools: list[int], length: int) -> float:
    return 2.0 + sum(profiling_seconds(chip, orders, length) for orders in pools)


def for_chip(device: str) -> Chip | None:
    """The chip of a device's name, None for one of which nothing is foretold."""
    return next((chip for chip in CHIPS if chip.name in device), None)
