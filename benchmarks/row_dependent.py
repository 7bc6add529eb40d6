"""One order for all rows? Chains that a flag turns around, and data in which nothing turns around.

`python benchmarks/row_dependent.py STUDY ...` with the studies below; every cell is a `pyorder.discover` with
the defaults of `precedence`, but for the last run and the race, which the verdict does not depend on, on data
whose columns were shuffled. Rows go to docs/results/row_dependent.jsonl, finished cells are skipped. `python
benchmarks/row_dependent.py table` prints what is there, and `python benchmarks/row_dependent.py plot` draws
docs/results/row_dependent.png: what single rows gain by a swap, in a dependency, in a pair that is reversible,
and in a mixture.

- flag: chains of 4 and of 8 steps, turned around where one input says so
- both: of 4 steps, where two inputs differ
- rare: of 4 steps, where two inputs are both 1, a quarter of the rows
- chains: every chain at L = 13, five seeds; nothing turns around
- graphs: ten random graphs of 20 steps
- kinds: noise, coins, walks and the rest of benchmarks/verdicts.py
- short: a cell of a minute

*Right*: ROW_DEPENDENT where the flag turns the chain around, with the inputs that the flag is made of, and in no
other data.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import verdicts
from precedence import CHAINS, Problem
from study import RESULTS, read_rows, run_named

import pyorder
from pyorder import Verdict
from pyorder.data.tokens import Tokens
from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.opposed import swapped
from pyorder.models.learner import AnyOrderLearner
from pyorder.orders.permutations import sample
from pyorder.search import Precedence
from pyorder.training.presets import EXPLORER

FLAGS = {"flag": ("a",), "both": ("a", "b"), "rare": ("a", "b")}
ROWS = 40_000
MODULUS = 19

STUDIES: dict[str, list[dict[str, Any]]] = {
    "flag": [{"kind": "flag", "length": length, "seed": seed} for length in (4, 8) for seed in range(5)],
    "both": [{"kind": "both", "length": 4, "seed": seed} for seed in range(5)],
    "rare": [{"kind": "rare", "length": 4, "seed": seed} for seed in range(5)],
    "chains": [{"kind": task, "length": 13, "seed": seed} for task in CHAINS for seed in range(5)],
    "graphs": [{"kind": "graph", "length": 20, "seed": seed} for seed in range(10)],
    "kinds": [{"kind": kind, "length": 5, "seed": seed} for kind in verdicts.KINDS for seed in range(2)],
    "short": [{"kind": "flag", "length": 4, "seed": 0}],
}


def turned(kind: str, length: int, seed: int, rows: int = ROWS) -> pyorder.Dataset:
    """A chain of squares from the first step to the last, or where the flag says so from the last to the first."""
    rng = np.random.default_rng([seed, length, 98])
    a, b = rng.integers(2, size=(2, rows))
    x = rng.integers(MODULUS, size=(rows, length))
    flag = {"flag": a, "both": a ^ b, "rare": a & b, "none": 0 * a}[kind]
    y = np.empty_like(x)
    for back, steps in ((0, range(length)), (1, range(length - 1, -1, -1))):
        chosen = flag == back
        last = x[chosen, 0]
        for step in steps:
            last = (last**2 + x[chosen, step] ** 2 + step) % MODULUS
            y[chosen, step] = last
    names = ["a", "b", *(f"x{step}" for step in range(length))]
    return pyorder.Dataset(np.column_stack([a, b, x]), y, input_names=names)


def data(kind: str, length: int, seed: int) -> tuple[pyorder.Dataset, pyorder.Dataset]:
    """Rows to search on, and some that rank candidates."""
    if kind in (*CHAINS, "graph"):
        splits = Problem(kind, length, seed).splits
        return splits.train, splits.validation
    if kind in FLAGS:
        whole = turned(kind, length, seed)
    else:
        make, _ = verdicts.KINDS[kind]
        inputs, targets, _ = make(np.random.default_rng([seed, 99]), ROWS)
        whole = pyorder.Dataset(inputs, targets)
    return whole.select(range(1000, len(whole))), whole.select(range(1000))


def measure(kind: str, length: int, seed: int) -> dict[str, Any]:
    train, validation = data(kind, length, seed)
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    found = pyorder.discover(
        train.reorder(shuffle),
        validation=validation.reorder(shuffle),
        strategy=Precedence(candidates=2, racers=0),
        seed=seed,
    ).renamed(shuffle)
    explored = found.exploration
    assert explored is not None
    named = sorted({pair.columns for pair in explored.opposed})
    right = found.verdict is not Verdict.ROW_DEPENDENT and not explored.opposed
    if kind in FLAGS:
        right = found.verdict is Verdict.ROW_DEPENDENT and named == [FLAGS[kind]]
    return {
        "verdict": found.verdict.value,
        "right": right,
        "opposed": [
            [pair.one, pair.other, pair.gain, pair.other_gain, pair.share, pair.columns]
            for pair in explored.opposed
        ],
        "order": found.order.tolist(),
        "edges": [[edge.before, edge.after, edge.reversible] for edge in explored.dependencies],
        "graph_loss": explored.graph_loss.tolist(),
        "entropy": explored.entropy.tolist(),
        "settled": explored.settled,
        "training_steps": explored.rounds[-1].training_steps,
        "remarks": explored.remarks,
        "seconds": found.seconds,
    }


def table() -> None:
    print("| data | steps | right | verdicts | pairs named by |\n|---|---|---|---|---|")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for study, cells in STUDIES.items():
        for row in read_rows("row_dependent", cells) if study != "short" else ():
            groups.setdefault((row["kind"], row["length"]), []).append(row)
    for (kind, length), rows in groups.items():
        told = ", ".join(sorted({row["verdict"].upper() for row in rows}))
        named = sorted({" and ".join(pair[-1]) or "nothing" for row in rows for pair in row["opposed"]})
        right = sum(row["right"] for row in rows)
        print(f"| {kind} | {length} | {right} of {len(rows)} | {told} | {', '.join(named) or '-'} |")


def row_gains(inputs: npt.ArrayLike, targets: npt.ArrayLike, pair: tuple[int, int]) -> npt.NDArray[np.float64]:
    """What rows lose more with the second step of a pair first, by a model that has seen all orders alike."""
    device, seed = torch.device("cpu"), 1000
    tokens = Tokens.of(pyorder.Dataset(inputs, targets), "rows", device)
    explorer = Explorer(
        tokens,
        learner=AnyOrderLearner(EXPLORER.architecture),
        recipe=EXPLORER.recipe,
        evidence_rows=2048,
        seed=seed,
    )
    explorer.train(sample(tokens.length, 600 * EXPLORER.recipe.batch_size, seed=seed))
    return swapped(explorer, pair).mean(1)


def plot() -> None:
    """Draw what single rows gain, of three kinds of pairs, in data that nothing else is reported of."""
    from matplotlib.figure import Figure

    from pyorder.report.plots import COLOURS

    mixed, plain = turned("flag", 4, 1000), turned("none", 4, 1000)
    inputs, walk, _ = verdicts.walk(np.random.default_rng(1000), ROWS)
    kinds = {
        "A dependency:\none step first, in all rows": (plain.inputs, plain.targets, (1, 2)),
        "A reversible pair:\nit does not matter": (inputs, walk, (1, 2)),
        "A mixture:\neach first in some rows": (mixed.inputs, mixed.targets, (1, 2)),
    }
    figure = Figure(figsize=(10, 3), layout="constrained")
    for axes, (title, (x, y, pair)) in zip(figure.subplots(1, 3, sharex=True), kinds.items(), strict=True):
        gains = row_gains(x, y, pair)
        axes.hist(np.clip(gains, -5, 5), bins=np.linspace(-5, 5, 51), color=COLOURS[0])
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=title, xlabel="nats that a row loses more\nwith the second step first", yticks=[])
    figure.savefig(RESULTS / "row_dependent.png", dpi=100)


if __name__ == "__main__":
    if sys.argv[1:] == ["plot"]:
        plot()
    else:
        run_named("row_dependent", STUDIES, measure, table)
