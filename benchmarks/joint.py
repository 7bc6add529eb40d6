"""Steps that need several others together: what one of them alone tells is nothing.

`python benchmarks/joint.py STUDY ...`, with the studies below. Six steps are each a function of an input of its
own; the seventh needs `together` of them, and the eighth the seventh and an input. A cell is a whole
`pyorder.discover` with the defaults on 100,000 rows, columns shuffled in secret and mapped back at the end; and
three trainings of `base` with its defaults: in the order found, in the order in which the steps were made, and in
its reverse. Rows go to docs/results/joint.jsonl, finished cells are skipped; `python benchmarks/joint.py table`
prints what is there.

- parity: steps of two values, and the parity of 4 to 6 of them
- sum: steps of five values, and the sum of five of them modulo five

*Solved*: the order satisfies every dependency. *Edges*: how many dependencies are edges of the graph, or follow
from them; the other edges are not wrong where the input tells the step as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from precedence import reference_seconds
from study import read_rows, run_named

import pyorder
from pyorder.search import discover_shuffled

ROWS = {"train": 100_000, "validation": 1_000, "test": 2_000}
BASES = {"parity": 2, "sum": 5}
DIGITS, TOLD = 10, 6  # values of an input; steps that only need their own
TOGETHER = {"parity": (4, 5, 6), "sum": (5,)}
STUDIES = {
    kind: [{"kind": kind, "together": number, "seed": seed} for number in numbers for seed in range(3)]
    for kind, numbers in TOGETHER.items()
}


def data(kind: str, together: int, seed: int) -> tuple[list[pyorder.Dataset], list[tuple[int, int]]]:
    """Splits, and the dependencies."""
    rng = np.random.default_rng([seed, together, BASES[kind], 98])
    stops = np.cumsum(list(ROWS.values())).tolist()
    x = rng.integers(DIGITS, size=(stops[-1], TOLD + 1))
    tables = rng.permuted(np.tile(np.arange(DIGITS) % BASES[kind], (TOLD, 1)), axis=1)
    told = np.take_along_axis(tables.T, x[:, :TOLD], axis=0)
    needed = rng.permutation(TOLD)[:together]
    joint = told[:, needed].sum(1) % BASES[kind]
    last = (x[:, TOLD] + joint) % DIGITS
    whole = pyorder.Dataset(x, np.concatenate([told, joint[:, None], last[:, None]], axis=1))
    splits = [whole.select(range(start, stop)) for start, stop in zip([0, *stops], stops, strict=False)]
    return splits, [*((int(step), TOLD) for step in needed), (TOLD, TOLD + 1)]


def measure(kind: str, together: int, seed: int) -> dict[str, Any]:
    (train, validation, test), dependencies = data(kind, together, seed)
    reference = reference_seconds()
    found = discover_shuffled(train, validation=validation, seed=seed)
    assert found.exploration is not None
    forward = np.arange(train.target_length)
    orders = {"found": found.order, "forward": forward, "reverse": forward[::-1].copy()}
    closure = found.graph.closure
    return {
        "verdict": found.verdict.value,
        "order": found.order.tolist(),
        "satisfied": pyorder.satisfied_dependencies(found.order, dependencies),
        "dependencies": dependencies,
        "edges": [[edge.before, edge.after] for edge in found.exploration.dependencies],
        "edges_found": sum(bool(closure[pair]) for pair in dependencies),
        "graph_loss": found.exploration.graph_loss.tolist(),
        "success": {
            name: pyorder.fit(train, order, test=test, seed=1000 + seed).success_rate
            for name, order in orders.items()
        },
        "training_steps": found.exploration.rounds[-1].training_steps,
        "remarks": [*found.remarks, *found.exploration.remarks],
        "seconds": found.seconds,
        "multiples": found.seconds / reference,
    }


def table() -> None:
    print("| step | seed | verdict | solved | edges | order found | forward | reverse | steps | multiples |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in sorted(read_rows("joint", cells), key=lambda row: (row["together"], row["seed"])):
            success = " | ".join(f"{100 * share:.1f} %" for share in row["success"].values())
            solved = "yes" if row["satisfied"] == 1 else "no"
            print(
                f"| {row['kind']} of {row['together']} | {row['seed']} | {row['verdict']} | "
                f"{solved} | {row['edges_found']} of {len(row['dependencies'])} | {success} | "
                f"{row['training_steps']:,} | {row['multiples']:.0f} |"
            )


if __name__ == "__main__":
    run_named("joint", STUDIES, measure, table)
