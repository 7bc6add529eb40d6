"""Bayesian networks with published structures, without inputs: what is found, and how well that order trains.

`python benchmarks/networks.py NAME ...` of the networks below, which pgmpy brings along (`pip install
pgmpy==0.1.24`), or `NAME-fresh` on rows that are drawn from another seed; with `table` it prints what is there. A
cell is a `pyorder.discover` with defaults on 50,000 rows that are drawn from the network, columns shuffled in
secret, or a training of `nano` for 600 steps: of the order found with three seeds, and of twenty random orders.
*Excess*: nats a row on 10,000 others, beyond those of the network itself. Rows go to docs/results/networks.jsonl,
finished cells are skipped.

What is wanted: in the best quarter of the twenty where orders differ beyond seeds, INDIFFERENT where they do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from precedence import reference_seconds
from study import read_rows, run_cells, run_named

import pyorder
from pyorder.search import discover_shuffled

NETWORKS = ("asia", "sachs", "child", "insurance", "alarm")
ORDERS, SEEDS = 20, 3
TRAIN, VALIDATION, TEST = 50_000, 1_000, 10_000
STUDIES = {
    f"{name}{fresh}": [
        {"network": name, "seed": seed, "what": what}
        for what in ("search", *(f"found {seed}" for seed in range(SEEDS)), *(f"order {n}" for n in range(ORDERS)))
    ]
    for seed, fresh in enumerate(("", "-fresh"))
    for name in NETWORKS
}


def draw(name: str, rows: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rows (N, L) of a network, columns in an order that says nothing, and their likelihood (N,) in nats."""
    from pgmpy.utils import get_example_model

    rng = np.random.default_rng([seed, 31])
    network = get_example_model(name)
    waiting = {table.variable: table for table in network.get_cpds()}
    values: dict[str, npt.NDArray[np.int64]] = {}
    nats = np.zeros(rows)
    while waiting:
        ready = [node for node, table in waiting.items() if set(table.get_evidence()) <= set(values)]
        for node in ready:
            table = waiting.pop(node)
            parents = [values[parent] for parent in table.variables[1:]]
            chance = np.moveaxis(table.values, 0, -1)[tuple(parents)]  # (N, states), or (states,) without parents
            chance = np.broadcast_to(chance, (rows, table.variable_card))
            state = (rng.random((rows, 1)) > chance.cumsum(1)[:, :-1]).sum(1)
            nats -= np.log(chance[np.arange(rows), state])
            values[node] = state
    columns = rng.permutation(sorted(values))
    return np.stack([values[column] for column in columns], axis=1), nats


def measure(network: str, seed: int, what: str) -> dict[str, Any]:
    rows, nats = draw(network, TRAIN + VALIDATION + TEST, seed)
    whole = pyorder.Dataset(np.empty((len(rows), 0), np.int64), rows)
    train, validation, test = (
        whole.select(np.arange(first, stop))
        for first, stop in ((0, TRAIN), (TRAIN, TRAIN + VALIDATION), (TRAIN + VALIDATION, len(rows)))
    )
    if what == "search":
        reference = reference_seconds()
        found = discover_shuffled(train, validation=validation, strategy="precedence", seed=seed)
        assert found.exploration is not None
        return {
            "order": found.order.tolist(),
            "verdict": found.verdict.value,
            "order_gain": found.exploration.order_gain,
            "edges": len(found.exploration.dependencies),
            "training_steps": found.exploration.rounds[-1].training_steps,
            "seconds": found.seconds,
            "multiples": found.seconds / reference,
        }
    kind, number = what.split()
    if kind == "found":
        (row,) = run_cells("networks", [{"network": network, "seed": seed, "what": "search"}], measure)
        order, training_seed = np.array(row["order"]), 1000 + int(number)
    else:
        order, training_seed = np.random.default_rng([seed, 32, int(number)]).permutation(rows.shape[1]), 1000
    fitted = pyorder.fit(train, order, test=test, model="nano", steps=600, seed=training_seed)
    return {"row_loss": fitted.row_loss, "excess": fitted.row_loss - float(nats[-TEST:].mean())}


def table() -> None:
    print("| network | steps | verdict | excess, order found (3 seeds) | of twenty: best, 1/4, 1/2, worst |")
    print("|---|---|---|---|---|")
    for name, cells in STUDIES.items():
        rows = read_rows("networks", cells)
        if not rows or rows[0]["what"] != "search":
            continue
        found = [row["excess"] for row in rows if row["what"].startswith("found")]
        random = [row["excess"] for row in rows if row["what"].startswith("order")]
        mean = f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})" if found else "-"
        told = ", ".join(f"{x:.3f}" for x in np.quantile(random, (0, 0.25, 0.5, 1))) if random else "-"
        steps, verdict = len(rows[0]["order"]), rows[0]["verdict"].upper()
        print(f"| {name} | {steps} | {verdict} | {mean} | {told} ({len(random)}) |")


if __name__ == "__main__":
    run_named("networks", STUDIES, measure, table)
