"""What searches conclude about data of known truth: few rows, noise, independence, look-ups.

`python benchmarks/verdicts.py STUDY ...`, with the studies below; every cell is a whole `pyorder.discover` with
the defaults, on data whose steps were shuffled, mapped back at the end. Rows go to docs/results/verdicts.jsonl,
finished cells are skipped; `python benchmarks/verdicts.py table` prints what is there.

- rows: noise, and the chain square, L = 5, with 200, 2,000 and 20,000 rows
- kinds: 20,000 rows of each kind in `KINDS`
- noise: the chain square, L = 13, whose steps are replaced by a random value with some probability, before the
  next step reads them or after
- fresh: the same with five other seeds, where steps are replaced after they are read; the rule that finds these
  chains was made on one of the first five
- star: path-star graphs, as in benchmarks/best_known.py, of 16,000 rows

*Right*: the verdict is one of those that are true of the data. *Solved*: the order satisfies every dependency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from best_known import star
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder import Verdict

Ints = npt.NDArray[np.int64]
Pairs = list[tuple[int, int]]

FEW, NO, OPEN = {Verdict.FEW_ROWS}, {Verdict.UNRESOLVED}, {Verdict.OPEN}
FOUND, ANY, APART = {Verdict.FOUND}, {Verdict.INDIFFERENT}, {Verdict.INDEPENDENT}


def square(rng: np.random.Generator, rows: int, length: int = 5, noise: float = 0.0, read: bool = True) -> Any:
    """The chain square; a share of steps is replaced at random, before the next one reads them or after."""
    x = rng.integers(-9, 10, size=(rows, length))
    y = np.empty_like(x)
    true = y[:, 0] = x[:, 0]
    for step in range(length):
        if step:
            true = (x[:, step] ** 2 + (y[:, step - 1] if read else true) ** 2 + 9) % 19 - 9
        replaced = rng.random(rows) < noise
        y[:, step] = np.where(replaced, rng.integers(-9, 10, size=rows), true)
    # Without noise the input tells step 0, so that nothing has to stand behind it.
    return x, y, [(step, step + 1) for step in range(0 if noise and read else 1, length - 1)]


def noise(rng: np.random.Generator, rows: int) -> Any:
    """Nothing tells anything."""
    return *rng.integers(19, size=(2, rows, 5)), []


def own(rng: np.random.Generator, rows: int) -> Any:
    """Each step is a function of an input of its own."""
    x = rng.integers(19, size=(rows, 5))
    tables = rng.permuted(np.tile(np.arange(19), (5, 1)), axis=1)
    return x, np.take_along_axis(tables.T, x, axis=0), []


def beside(rng: np.random.Generator, rows: int) -> Any:
    """A chain of four, and a step of noise."""
    x, y, pairs = square(rng, rows, 4)
    return x, np.concatenate([y, rng.integers(-9, 10, size=(rows, 1))], axis=1), pairs


def coin(rng: np.random.Generator, rows: int) -> Any:
    """A random step that the others are computed from."""
    x = rng.integers(10, size=(rows, 4))
    coin = rng.integers(10, size=rows)
    y = [coin]
    for step in range(4):
        y.append((x[:, step] * 3 + y[-1] * y[-1]) % 10)
    return x, np.stack(y, axis=1), [(step, step + 1) for step in range(4)]


def walk(rng: np.random.Generator, rows: int) -> Any:
    """Without inputs: a Markov chain in equilibrium, as likely backwards as forwards."""
    y = np.empty((rows, 5), np.int64)
    y[:, 0] = rng.integers(6, size=rows)
    for step in range(1, 5):
        y[:, step] = (y[:, step - 1] + rng.choice([0, 0, 0, 1, 5], size=rows)) % 6
    return np.empty((rows, 0), np.int64), y, []


Make = Callable[[np.random.Generator, int], Any]
KINDS: dict[str, tuple[Make, set[Verdict]]] = {
    "chain": (square, FOUND),
    "noise": (noise, NO | FEW),
    "own": (own, APART),
    "beside": (beside, OPEN),
    "coin": (coin, FOUND),
    "walk": (walk, ANY),
}
STUDIES: dict[str, list[dict[str, Any]]] = {
    "rows": [
        {"kind": kind, "rows": rows, "seed": seed}
        for rows in (200, 2_000, 20_000)
        for kind in ("noise", "chain")
        for seed in range(10)
    ],
    "kinds": [{"kind": kind, "rows": 20_000, "seed": seed} for kind in KINDS for seed in range(10, 15)],
    "noise": [
        {"kind": kind, "rows": 100_000, "probability": probability, "seed": seed}
        for kind in ("read", "written")
        for probability in (0.05, 0.1, 0.2)
        for seed in range(5)
    ],
    "fresh": [
        {"kind": "written", "rows": 100_000, "probability": probability, "seed": seed}
        for probability in (0.2, 0.1)
        for seed in range(5, 10)
    ],
    "star": [{"kind": "star", "rows": 16_000, "seed": seed} for seed in range(3)],
}


def data(kind: str, rows: int, seed: int, probability: float) -> tuple[Ints, Ints, Pairs, set[Verdict]]:
    """Inputs, targets, dependencies, and the verdicts that are true."""
    rng = np.random.default_rng([seed, rows, int(1000 * probability), 96])
    if kind == "star":
        return *star(rng, rows), [(3, 2), (2, 1)], FOUND | FEW  # the input tells steps 0, 3 and 4
    if probability:
        return *square(rng, rows, 13, probability, kind == "read"), FOUND
    make, true = KINDS[kind]
    # Of few rows of a chain more may be known than that they are few, but nothing else may be said.
    return *make(rng, rows), true if rows >= 20_000 else true | FEW | (OPEN if kind == "chain" else set())


def measure(kind: str, rows: int, seed: int, probability: float = 0.0) -> dict[str, Any]:
    inputs, targets, pairs, true = data(kind, rows + max(40, rows // 20), seed, probability)
    whole = pyorder.Dataset(inputs, targets)
    shuffle = np.random.default_rng([seed, 7]).permutation(whole.target_length)
    reference = reference_seconds()
    found = pyorder.discover(
        whole.select(range(rows)).reorder(shuffle),
        validation=whole.select(range(rows, min(len(whole), rows + 1000))).reorder(shuffle),
        strategy="precedence",
        seed=seed,
    ).renamed(shuffle)
    explored = found.exploration
    assert explored is not None
    return {
        "verdict": found.verdict.value,
        "true": sorted(verdict.value for verdict in true),
        "right": found.verdict in true,
        "satisfied": pyorder.satisfied_dependencies(found.order, pairs) if pairs else None,
        "settled": explored.settled,
        "order": found.order.tolist(),
        "edges": [[edge.before, edge.after] for edge in explored.dependencies],
        "graph_loss": explored.graph_loss.tolist(),
        "entropy": explored.entropy.tolist(),
        "gap": explored.gap,
        "order_gain": explored.order_gain,
        "training_steps": explored.rounds[-1].training_steps,
        "remarks": [*found.remarks, *explored.remarks],
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
    }


def table() -> None:
    print("| data | rows | seeds | verdicts | right | solved | multiples |\n|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for study, cells in STUDIES.items():
        for row in read_rows("verdicts", cells):
            name = f"{study}: {row['kind']}" + (f", {row['probability']}" if "probability" in row else "")
            groups.setdefault((name, row["rows"]), []).append(row)
    for (name, rows), group in groups.items():
        verdicts = ", ".join(
            f"{count} {verdict}" for verdict, count in Counter(row["verdict"] for row in group).items()
        )
        right = sum(row["right"] for row in group)
        solved = [row["satisfied"] == 1 for row in group if row["satisfied"] is not None]
        told = f"{sum(solved)} of {len(solved)}" if solved else "-"
        multiples = np.median([row["multiples"] for row in group])
        of = len(group)
        print(f"| {name} | {rows:,} | {of} | {verdicts} | {right} of {of} | {told} | {multiples:.1f} |")


if __name__ == "__main__":
    run_named("verdicts", STUDIES, measure, table)
