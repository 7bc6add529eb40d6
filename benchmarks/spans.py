"""Steps of several columns: chains and random graphs in digits, without leading zeros, and addition with carries.

`python benchmarks/spans.py STUDY ...`, with the studies below; every cell of the first five is a whole
`pyorder.discover` with the defaults, on data whose steps were shuffled, mapped back at the end. Rows go to
docs/results/spans.jsonl, finished cells are skipped; `python benchmarks/spans.py table` prints what is there.

- one: square, L = 10, a step one column wide (the values 0 to 18 are tokens)
- two: the same values, of inputs and steps, in two decimal digits each
- varying: the steps without leading zeros, so that a step is one digit or two
- graph: random graphs of twelve steps (see random_graphs.py) whose steps are one to three columns wide: the values
  in base 19, in decimal digits, or in base 3. Seeds 0 to 9 were looked at while the search was made
- fresh: ten more of these, seeds 10 to 19, run once
- addition: the sum of two numbers of four digits, with a carry for every digit, in the order of the carries (each
  carry, then its digit, from the least significant on): trained, saved, opened, generated and sampled
- repeated: not a span: 200 rows of noise, twenty times each; nothing may look learned

*Solved*: every dependency p -> i of the task has p before i. ``multiples`` is the time of the search in reference
pieces of work (`precedence.reference_seconds`), timed just before.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from precedence import reference_seconds
from random_graphs import RandomGraph
from study import read_rows, run_named

import pyorder

ROWS = {"train": 100_000, "validation": 1_000, "test": 10_000}
LENGTHS = {"one": 10, "two": 10, "varying": 10, "graph": 12}
SEEDS = {"one": 5, "two": 5, "varying": 3, "graph": 10, "addition": 1, "repeated": 3}
STUDIES = {name: [{"study": name, "seed": seed} for seed in range(count)] for name, count in SEEDS.items()}
STUDIES["fresh"] = [{"study": "fresh", "seed": seed} for seed in range(10, 20)]


def digits(values: np.ndarray, base: int, count: int) -> np.ndarray:
    """(N, L) values from 0 on as (N, L, count) digits, the most significant first."""
    return np.stack([values // base**place % base for place in range(count - 1, -1, -1)], axis=2)


def without_leading_zeros(values: np.ndarray) -> np.ma.MaskedArray:
    """(N, L) values up to 99 as (N, 2 L) columns: one digit and nothing, or two digits."""
    tens, ones = values // 10, values % 10
    short = tens == 0
    columns = np.stack([np.where(short, ones, tens), ones], axis=2)
    return np.ma.masked_array(columns, np.stack([np.zeros_like(short), short], axis=2)).reshape(len(values), -1)


def chain(study: str, seed: int) -> tuple[list[pyorder.Dataset], list[tuple[int, int]]]:
    """Splits of square, written as the study says; and the dependencies."""
    task = pyorder.make_task("square", length=LENGTHS[study])
    made = []
    for part in task.splits(**ROWS, seed=seed):
        x, y = part.inputs.astype(int) + 9, part.targets.astype(int) + 9
        flat = digits(x, 10, 2).reshape(len(x), -1)
        if study == "one":
            made.append(pyorder.Dataset(x, y, vocabulary=range(19)))
        elif study == "two":
            columns = digits(y, 10, 2).reshape(len(y), -1)
            made.append(pyorder.Dataset(flat, columns, widths=[2] * task.length, vocabulary=range(10)))
        else:
            columns = without_leading_zeros(y)
            made.append(pyorder.Dataset(flat, columns, widths=[2] * task.length, vocabulary=range(10)))
    return made, list(task.dependencies or ())


def graph(seed: int) -> tuple[list[pyorder.Dataset], list[tuple[int, int]]]:
    """Splits of a random graph, each step in one to three columns; and the dependencies."""
    made = RandomGraph(LENGTHS["graph"], seed)
    widths = np.random.default_rng([seed, 93]).integers(1, 4, size=made.length)
    parts = []
    for number, rows in enumerate(ROWS.values()):
        x, y = made.draw(rows, seed=3 * seed + number)
        spans = [digits(y[:, [i]] + 9, {1: 19, 2: 10, 3: 3}[width], width)[:, 0] for i, width in enumerate(widths)]
        parts.append(pyorder.Dataset(x + 9, np.concatenate(spans, axis=1), widths=widths, vocabulary=range(19)))
    return parts, made.dependencies


def search(study: str, seed: int) -> dict[str, Any]:
    (train, validation, _), dependencies = graph(seed) if study in ("graph", "fresh") else chain(study, seed)
    length = train.target_length
    shuffle = np.random.default_rng([seed, length, 7]).permutation(length)
    reference = reference_seconds()
    found = pyorder.discover(
        train.reorder(shuffle), validation=validation.reorder(shuffle), strategy="precedence", seed=seed
    ).renamed(shuffle)
    assert found.exploration is not None
    race = [stage.profile for stage in found.history if stage.name.startswith("race")]
    return {
        "race": [{"orders": one.orders.tolist(), "losses": one.seed_loss.tolist()} for one in race],
        "widths": list(train.widths),
        "shuffle": shuffle.tolist(),
        "order": found.order.tolist(),
        "satisfied": pyorder.satisfied_dependencies(found.order, dependencies),
        "settled": found.exploration.settled,
        "training_steps": found.exploration.rounds[-1].training_steps,
        "edges": [[edge.before, edge.after] for edge in found.exploration.dependencies],
        "remarks": [*found.remarks, *found.exploration.remarks],
        "graph_seconds": found.exploration.seconds,
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
        "threads": torch.get_num_threads(),
    }


def addition(seed: int) -> dict[str, Any]:
    """Train on sums with carries, in the order of the carries; save, open, generate, sample."""
    rng = np.random.default_rng([seed, 94])
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in ROWS.items():
            a, b = rng.integers(0, 10_000, size=(2, rows))
            carries = [(a % 10**place + b % 10**place) // 10**place for place in range(1, 5)]
            targets = np.stack([*carries, *digits((a + b)[:, None], 10, 5)[:, 0].T], axis=1)
            inputs = np.concatenate([digits(part[:, None], 10, 4)[:, 0] for part in (a, b)], axis=1)
            fields = {"names": [*(f"carry{place}" for place in range(1, 5)), "sum"], "widths": [1, 1, 1, 1, 5]}
            pyorder.Dataset(inputs, targets, **fields, vocabulary=range(10)).save(Path(folder, name))
            parts.append(pyorder.Dataset.open(Path(folder, name)))
        train, validation, test = parts
        names = list(train.names)
        carries_first = [names.index(name) for name in ("carry1", "carry2", "carry3", "carry4", "sum")]
        sum_first = [names.index(name) for name in ("sum", "carry4", "carry3", "carry2", "carry1")]
        result: dict[str, Any] = {}
        for label, order in (("carries first", carries_first), ("sum first", sum_first)):
            fitted = pyorder.fit(train, order, test=test, validation=validation, steps=3000, seed=seed)
            drawn = fitted.sample(test.inputs[:1000], seed=seed)
            result[label] = {
                "success_rate": fitted.success_rate,
                "row_loss": fitted.row_loss,
                "generated_right": float(
                    (fitted.predict(test.inputs[:1000]) == test.targets[:1000]).all(1).mean()
                ),
                "sampled_right": float((drawn == test.targets[:1000]).all(1).mean()),
                "seconds": fitted.seconds,
            }
    return result


def repeated(seed: int) -> dict[str, Any]:
    """Noise whose rows come twenty times: what is said of it, and how much of its entropy it loses."""
    rng = np.random.default_rng([seed, 95])
    inputs, targets = (rng.integers(9, size=(200, size)).repeat(20, axis=0) for size in (5, 5))
    data = pyorder.Dataset(inputs, targets)
    found = pyorder.discover(data, validation=data.select(range(400)), strategy="precedence", seed=seed)
    explored = found.exploration
    assert explored is not None
    return {
        "settled": explored.settled,
        "lost": list(explored.lost),
        "of_entropy": (explored.graph_loss / explored.entropy).round(3).tolist(),
        "remarks": [*found.remarks, *explored.remarks],
        "seconds": found.seconds,
    }


def measure(study: str, seed: int) -> dict[str, Any]:
    if study == "addition":
        return addition(seed)
    return repeated(seed) if study == "repeated" else search(study, seed)


def table() -> None:
    print("| study | solved | columns | seconds | multiples |\n|---|---|---|---|---|")
    for study in (*LENGTHS, "fresh"):
        rows = read_rows("spans", STUDIES[study])
        if rows:
            solved = sum(row["satisfied"] == 1 for row in rows)
            columns = sorted({sum(row["widths"]) for row in rows})
            seconds, multiples = (np.median([row[key] for row in rows]) for key in ("seconds", "multiples"))
            print(f"| {study} | {solved} of {len(rows)} | {columns} | {seconds:.0f} | {multiples:.1f} |")
    for study in ("addition", "repeated"):
        for row in read_rows("spans", STUDIES[study]):
            print(row)


if __name__ == "__main__":
    run_named("spans", STUDIES, measure, table)
