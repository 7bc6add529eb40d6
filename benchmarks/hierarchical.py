"""The published search from a random start, through the command line a user would type.

`python benchmarks/hierarchical.py`: square L = 9 and relu L = 8, seeds 0 to 4, each
`pyorder discover TASK --length L --strategy hierarchical --seed S --json`, with the local stage in the letter of
the paper's text (`--option inside=each --option between=rotations`). The command shuffles the target columns
secretly and maps the order back at the end. Names of tasks and seeds as arguments run only these. Rows go to
docs/results/hierarchical.jsonl with the number of threads, finished ones are skipped. `published` as first
argument runs the published stages alone (also `--option direction=false`); its rows go to
docs/results/hierarchical_as_published.jsonl.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import torch
from study import run_cells


def measure(task: str, length: int, seed: int, options: tuple[str, ...]) -> dict[str, object]:
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
        *options,
    ]
    done = subprocess.run([sys.executable, "-m", "pyorder", *command], capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, object] = json.loads(done.stdout)
    return {**result, "threads": torch.get_num_threads()}


def main() -> None:
    lengths = {"square": 9, "relu": 8}
    published = sys.argv[1:2] == ["published"]
    words = sys.argv[1 + published :]
    tasks = [word for word in words if not word.isdigit()] or list(lengths)
    seeds = [int(word) for word in words if word.isdigit()] or range(5)
    cells = [{"task": task, "length": lengths[task], "seed": seed} for task in tasks for seed in seeds]
    name = "hierarchical_as_published" if published else "hierarchical"
    options: tuple[str, ...] = ("--option", "inside=each", "--option", "between=rotations")
    if published:
        options += ("--option", "direction=false")
    rows = run_cells(name, cells, partial(measure, options=options))
    print("\n| task | seed | order found | dependencies | discovered | reverse | random | search | in all |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        fits, search = row["fits"], row["search"]
        success = " | ".join(
            f"{100 * fits[name]['success_rate']:.1f} %" for name in ("discovered", "reverse", "random")
        )
        seconds = search["seconds"] + sum(fit["seconds"] for fit in fits.values())
        print(
            f"| {row['task']} L = {row['length']} | {row['seed']} | {' '.join(map(str, row['order']))} "
            f"| {100 * fits['discovered']['dependencies_satisfied']:.0f} % | {success} "
            f"| {search['seconds']:.0f} s | {seconds:.0f} s |"
        )


if __name__ == "__main__":
    main()
