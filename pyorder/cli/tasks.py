"""`pyorder tasks`."""

from __future__ import annotations

from pyorder.cli import _options as options

SHOWN_LENGTHS = {"delay": 12}  # three time steps; the others show 4


def command(as_json: options.Json = False) -> None:
    """List the tasks: names, parameters, recurrences and known dependencies."""
    from pyorder.cli._terminal import print_json, print_table
    from pyorder.data.tasks import make_task, task_names

    made = [make_task(name, length=SHOWN_LENGTHS.get(name.partition("_")[0], 4)) for name in task_names()]
    if as_json:
        listed = [
            {
                "name": task.name,
                "parameters": task.parameters,
                "recurrence": task.recurrence,
                "example": {"length": task.length, "dependencies": task.dependencies},
            }
            for task in made
        ]
        print_json({"tasks": listed})
        return
    rows = []
    for task in made:
        pairs = "unknown" if task.dependencies is None else " ".join(f"{p}→{i}" for p, i in task.dependencies)
        parameters = " ".join(f"{key}={value}" for key, value in task.parameters.items())
        rows.append([task.name, parameters or "-", task.recurrence, f"L = {task.length}: {pairs}"])
    print_table(["task", "parameters", "recurrence", "dependencies"], rows)
