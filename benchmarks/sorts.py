"""Among many valid sorts: how well the order that a search ends with trains, beside sixteen uniform ones.

`python benchmarks/sorts.py graph0 delay_ring0 ...` for single problems, `again` for two more training seeds of
the sorts of some, all without a name; with `table` it prints what is there. A cell is a whole `pyorder.discover`
with defaults on columns that were shuffled in secret, or one final training of `base` on 100,000 rows, judged on
10,000: of a sort that was drawn, of the order found, or of the one that all evidence spoke for before the race.
Training seeds are none of the search's. A training has 500 steps at a rate of 0.003: of three sorts of graph 0 it
reached 39, 64 and 0 %, with the defaults (1,500 at 0.001) 62, 67 and 19 % in three times the time. Rows go to
docs/results/sorts.jsonl, finished cells are skipped.

What is wanted: the mean of three trainings of the order found at or above the 75th percentile of the sorts drawn.
Success after so short a training is in large part chance of its seed: the mean loss over all of the training, in
nats a step, says with less of it which is learned sooner. How much of either is the sort's own, and would be the
same with another seed, `again` measures: the intraclass correlation, by a one-way analysis of variance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from precedence import Problem, reference_seconds
from study import read_rows, run_cells, run_named

import pyorder
from pyorder.orders.posets import Poset
from pyorder.search import discover_shuffled

Floats = npt.NDArray[np.float64]

SORTS, SEEDS = 16, 3
TRAINING: dict[str, Any] = {"model": "base", "steps": 500, "learning_rate": 3e-3}
DELAYS = ("delay_chain", "delay_ring", "delay_slow")
PROBLEMS = [
    *({"task": "graph", "length": 20, "seed": seed} for seed in range(10)),
    *({"task": task, "length": 20, "seed": 0} for task in DELAYS),
]


def cells(problem: dict[str, Any]) -> list[dict[str, Any]]:
    trained = [{"order": name, "training_seed": seed} for name in ("found", "weighed") for seed in range(SEEDS)]
    drawn = [{"order": f"sort {number}", "training_seed": 0} for number in range(SORTS)]
    return [{**problem, "order": "search"}, *({**problem, **cell} for cell in trained + drawn)]


AGAIN = [PROBLEMS[0], PROBLEMS[11]]
STUDIES = {f"{problem['task']}{problem['seed']}": cells(problem) for problem in PROBLEMS} | {
    "again": [
        {**problem, "order": f"sort {number}", "training_seed": seed}
        for problem in AGAIN
        for seed in range(1, SEEDS)
        for number in range(SORTS)
    ]
}


def measure(task: str, length: int, seed: int, order: str, training_seed: int = 0) -> dict[str, Any]:
    problem = Problem(task, length, seed)
    if order == "search":
        return search(problem, seed)
    if order.startswith("sort"):
        truth = Poset(length, problem.dependencies)
        chosen = truth.sample_sorts(SORTS, seed=seed)[int(order.split()[1])]
    else:
        (row,) = run_cells("sorts", [{"task": task, "length": length, "seed": seed, "order": "search"}], measure)
        chosen = np.array(row[order])
        if row["found"] == row["weighed"] and order == "weighed":
            return {"same_as": "found"}
    # Seeds from 1,000 on: searches draw theirs from hashes of small numbers.
    train, test = problem.splits.train, problem.splits.test
    fitted = pyorder.fit(train, chosen, test=test, seed=1000 + training_seed, **TRAINING)
    return {
        "steps": chosen.tolist(),
        "success": fitted.success_rate,
        "mean_loss": float(fitted.loss_curve.mean()),
        "seconds": fitted.seconds,
    }


def search(problem: Problem, seed: int) -> dict[str, Any]:
    reference = reference_seconds()
    found = discover_shuffled(
        problem.splits.train, validation=problem.splits.validation, strategy="precedence", seed=seed
    )
    assert found.exploration is not None
    race = [stage for stage in found.history if stage.name.startswith("race")]
    # The first in the race is the order that all evidence speaks for.
    weighed = race[0].profile.orders[0] if race else found.order
    return {
        "found": found.order.tolist(),
        "weighed": weighed.tolist(),
        "satisfied": {
            name: pyorder.satisfied_dependencies(steps, problem.dependencies)
            for name, steps in (("found", found.order), ("weighed", weighed))
        },
        "race": [
            {"orders": stage.profile.orders.tolist(), "losses": stage.profile.seed_loss.tolist()} for stage in race
        ],
        "settled": found.exploration.settled,
        "graph_seconds": found.exploration.seconds,
        "mixture_seconds": found.history[0].seconds,
        "seconds": found.seconds,
        "reference_seconds": reference,
        "threads": torch.get_num_threads(),
    }


def own(values: Floats) -> float:
    """Share of the variance of values (sorts, seeds) that is the sorts' own: the intraclass correlation.

    Examples
    --------
    >>> float(own(np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]))), own(np.array([[0.0, 2.0], [2.0, 0.0]]))
    (1.0, -1.0)
    """
    seeds = values.shape[1]
    between = seeds * values.mean(1).var(ddof=1)
    within = values.var(1, ddof=1).mean()
    return float((between - within) / (between + (seeds - 1) * within))


def again_table() -> None:
    heads = "problem", "by", "sorts", "seeds", "share of the variance that is the sorts' own"
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for problem in AGAIN:
        rows = [row for row in read_rows("sorts", STUDIES["again"]) if row["task"] == problem["task"]]
        rows += [row for row in read_rows("sorts", cells(problem)) if row["order"].startswith("sort")]
        seeds = sorted({row["training_seed"] for row in rows})
        for measure in ("success", "mean_loss"):
            told = {(row["order"], row["training_seed"]): row[measure] for row in rows if measure in row}
            names = dict.fromkeys(order for order, _ in told)
            orders = [order for order in names if all((order, seed) in told for seed in seeds)]
            if len(seeds) > 1 and len(orders) > 1:
                values = np.array([[told[order, seed] for seed in seeds] for order in orders])
                name = f"{problem['task']} {problem['seed']}"
                print(f"| {name} | {measure} | {len(orders)} | {len(seeds)} | {own(values):.2f} |")


def table() -> None:
    heads = "problem", "by", "found, mean of 3", "before the race", "sorts: 25, 50, 75 %, best", "time / no race"
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for problem in PROBLEMS:
        rows = read_rows("sorts", cells(problem))
        if not rows or rows[0]["order"] != "search":
            continue
        ratio = rows[0]["seconds"] / rows[0]["mixture_seconds"]
        # Of a loss, which is better lower, quantiles are taken from above.
        for measure, name, sign, form in (("success", "success", 1, ".1%"), ("mean_loss", "mean loss", -1, ".3f")):
            told: dict[str, list[float]] = {"found": [], "weighed": [], "sort": []}
            for row in rows[1:]:
                if measure in row:
                    told[row["order"].split()[0]].append(sign * row[measure])
            means = [f"{sign * np.mean(some):{form}} ({len(some)})" if some else "-" for some in told.values()][:2]
            drawn = np.quantile(told["sort"], (0.25, 0.5, 0.75, 1)) if told["sort"] else ()
            sorts = ", ".join(f"{sign * share:{form}}" for share in drawn) + f" ({len(told['sort'])})"
            print(
                f"| {problem['task']} {problem['seed']} | {name} | {' | '.join(means)} | {sorts} | {ratio:.2f} |"
            )
    again_table()


if __name__ == "__main__":
    run_named("sorts", STUDIES, measure, table)
