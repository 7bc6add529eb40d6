"""The published search from a random start, through the command line a user would type.

`python benchmarks/hierarchical.py`: square L = 9 and relu L = 8, seeds 0 to 4, each
`pyorder discover TASK --length L --strategy hierarchical --seed S --json`. The command shuffles the target columns
secretly and maps the order back at the end. About six minutes a cell on two cores; rows go to
docs/results/hierarchical.jsonl, finished ones are skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys

from study import run_cells


def measure(task: str, length: int, seed: int) -> dict[str, object]:
    command = [
        "discover",
        task,
        "--length",
        str(length),
        "--strategy",
        "hierarchical",
        "--seed",
        str(seed),
        "--json",
    ]
    done = subprocess.run([sys.executable, "-m", "pyorder", *command], capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, object] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    run_cells(
        "hierarchical",
        [
            {"task": task, "length": length, "seed": seed}
            for task, length in (("square", 9), ("relu", 8))
            for seed in range(5)
        ],
        measure,
    )
