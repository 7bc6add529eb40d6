"""Loss profiling against the same loop written with Hugging Face's GPT-2, in turn in one run, on a CPU.

`python benchmarks/profiling.py`: the small model, square L = 13, in float32 and bfloat16; the same rows, batches
and optimiser on both sides, losses checked to agree before anything is timed. Ratios above 1 mean that pyorder is
faster. Rows are printed, and appended to docs/results/profiling.jsonl. On a GPU: `python benchmarks/gpu.py`.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import gpt2
import numpy as np
from timing import alternate, machine, show

LENGTH, CANDIDATES, ROWS, STEPS, REPEATS, TOGETHER = 13, 720, 8, 5, 5, 128
RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "profiling.jsonl"


def record(name, precision, row):
    row = {"device": "cpu", "precision": precision, **row, **machine()}
    show(name, row)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({"benchmark": name, **row}) + "\n")


def training(precision):
    problem = gpt2.Problem("cpu", LENGTH, CANDIDATES)
    recipe = gpt2.recipe_of(precision, STEPS, gpt2.BATCH)
    theirs = problem.twin(problem.decoder(), gpt2.PRESET.architecture.dropout)

    def other():
        return gpt2.twin_training(problem, theirs, recipe)

    mine = gpt2.alone(problem, gpt2.PRESET, recipe)
    # What is dropped differs: the first losses agree, no more.
    np.testing.assert_allclose(mine()[0], other()[0], rtol=0.1)
    return {"steps": STEPS, "batch": gpt2.BATCH, **alternate(mine, other, REPEATS)}


def evaluation(precision):
    sizes = {"length": LENGTH, "candidates": CANDIDATES, "rows": ROWS}
    taken = gpt2.evaluation("cpu", precision, **sizes, together=TOGETHER, repeats=REPEATS)
    return {"rows_x_orders": ROWS * CANDIDATES, **taken}


def main() -> None:
    if find_spec("transformers") is None:
        print("Hugging Face's transformers is not installed: the comparison with GPT-2 was not measured")
        return
    for precision in ("float32", "bfloat16"):
        record("evaluation", precision, evaluation(precision))
        record("training", precision, training(precision))


if __name__ == "__main__":
    main()
