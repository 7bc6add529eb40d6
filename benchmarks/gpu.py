"""One command for a GPU that is there for minutes: build, measure what matters most first, and stop in time.

    python benchmarks/gpu.py --minutes 8                on a machine with a GPU
    python benchmarks/gpu.py --rehearse                 all of it, tiny, on a CPU; rows in a temporary folder
    python benchmarks/gpu.py --predictions              what is foretold of each measurement, for docs/gpu.md

    --out FOLDER         where rows, table and logs go; docs/results if not given
    --wheels FOLDER      wheels to install for the run (Liger's, or one of pyorder that saves building it)
    --without NAME       leave out what needs liger, transformers, pytest or (a C) compiler; can be repeated
    --commit NAME        what the rows are of, where git cannot tell

Each result is a row in gpu.jsonl as soon as it is known, of this commit, card and settings. What has a row is not
measured again; what failed is, after all that has none. The table of all rows is written to gpu.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gpu_plan
import gpu_setup
from gpu_formulas import for_chip
from gpu_plan import Measurement
from supervisor import Worker, WorkerError, supervise

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results"
TABLE_SECONDS = 2.0  # kept back before the end


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--predictions", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--without", action="append", default=[], choices=gpu_setup.LEAVE_OUT)
    parser.add_argument("--commit")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    deadline = time.monotonic() + 60 * (given := parse(words)).minutes - TABLE_SECONDS
    if given.predictions:
        print(gpu_plan.predictions_table())
        return 0
    if lines := gpu_setup.missing(given.without, given.wheels):
        print("\n".join(lines), file=sys.stderr)
        return 2
    out = given.out or (Path(tempfile.mkdtemp(prefix="gpu-rehearsal-")) if given.rehearse else RESULTS)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        gpu_setup.install(Path(folder), given.wheels, deadline - time.monotonic())
        return measure(given, out.resolve(), Path(folder), deadline)


def measure(given: argparse.Namespace, out: Path, site: Path, deadline: float) -> int:
    """Measure what has no row yet, and write the table; 1 if anything failed."""
    rows, started = out / "gpu.jsonl", time.monotonic()

    def start() -> Worker:
        command = [sys.executable, str(HERE / "gpu_measure.py")]
        return Worker(command, environment(site, given.rehearse), out / "gpu.log", deadline, cwd=out)

    try:
        worker = start()
    except WorkerError as error:
        print(f"the process that measures does not start: {error}", file=sys.stderr)
        return 1
    if given.rehearse != (worker.about["device"] == "cpu"):
        worker.stop()
        print("no GPU is visible: --rehearse runs without one", file=sys.stderr)
        return 2
    key = {"commit": given.commit or gpu_setup.revision(), "device": worker.about["device"]}
    chip = for_chip(worker.about["device"])

    def record(one: Measurement, row: dict[str, Any]) -> None:
        said = one.prediction
        foretold = {"figure": said.figure, "unit": said.unit, "predicted": said.of(chip) if chip else None}
        of = {"measurement": one.name, "settings": one.settings, **key, "rehearsed": given.rehearse}
        append(rows, {**of, **foretold, **row, "about": worker.about})
        print(f"{time.monotonic() - started:5.0f} s  {one.name}: {summary({**foretold, **row})}", flush=True)

    whole = gpu_plan.rehearsal() if given.rehearse else gpu_plan.PLAN
    plan = [one for one in whole if not set(one.needs) & set(given.without)]
    left = supervise(still_to_do(plan, read(rows), key), worker, start, record, deadline)
    (out / "gpu.md").write_text(table(read(rows)))
    print(f"\n{table(read(rows))}\nrows: {rows}")
    if left:
        print(f"no time was left for: {'; '.join(one.name for one in left)}")
    return int(any("failed" in row for row in read(rows) if key.items() <= row.items()))


def environment(site: Path, rehearse: bool) -> dict[str, str]:
    """The worker's environment: what was installed for it comes first, and it takes no GPU to rehearse."""
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = os.pathsep.join([str(site), *map(os.path.abspath, named)])
    hidden = {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "1"} if rehearse else {}
    return {**os.environ, "PYTHONPATH": paths, **hidden}


def read(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []


def append(rows: Path, row: dict[str, Any]) -> None:
    """Write a row so that it is there whatever happens next."""
    with rows.open("a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def still_to_do(plan: list[Measurement], rows: list[dict[str, Any]], key: dict[str, str]) -> list[Measurement]:
    """What has no row of this commit, card and settings; then what failed."""

    def found(one: Measurement) -> list[dict[str, Any]]:
        wanted = {"measurement": one.name, "settings": one.settings, **key}
        return [row for row in rows if wanted.items() <= row.items()]

    missing = [one for one in plan if not found(one)]
    return missing + [one for one in plan if found(one) and all("failed" in row for row in found(one))]


def summary(row: dict[str, Any]) -> str:
    if "failed" in row:
        return "failed: " + row["failed"].splitlines()[-1]
    return f"{gpu_plan.digits(median(row))} {row['unit']}"


def median(row: dict[str, Any]) -> float:
    value = row[row["figure"]]
    return float(value[1] if isinstance(value, list) else value)


def table(rows: list[dict[str, Any]]) -> str:
    """Everything there is, as Markdown: a table for each card and commit, predictions beside what was measured."""
    parts = []
    for device, commit in dict.fromkeys((row["device"], row["commit"]) for row in rows):
        lines = [
            f"## {device}, {commit}\n",
            "| measurement | what | predicted | measured | measured / predicted | seconds taken | more |",
            "|---|---|---:|---:|---:|---:|---|",
        ]
        lines += [table_line(row) for row in rows if (row["device"], row["commit"]) == (device, commit)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def table_line(row: dict[str, Any]) -> str:
    predicted = row["predicted"]
    foretold = "-" if predicted is None else gpu_plan.digits(predicted)
    start = f"| {row['measurement']} | {row['figure']}, {row['unit']} | {foretold} | "
    if "failed" in row:
        return start + f"failed | - | {row.get('seconds', '-')} | {row['failed'].splitlines()[-1]} |"
    measured = median(row)
    share = "-" if not predicted else gpu_plan.digits(measured / predicted)
    return start + f"{gpu_plan.digits(measured)} | {share} | {row['seconds']} | {more(row)} |"


def more(row: dict[str, Any]) -> str:
    """What else a row says, briefly."""
    kept = set(row) - {"measurement", "settings", "commit", "device", "rehearsed", "figure", "unit", "predicted"}
    said = []
    for name in sorted(kept - {"seconds", "about", row["figure"], "order", "must_move", "course"}):
        value = row[name]
        if isinstance(value, dict):  # by side
            value = ", ".join(
                f"{side} {gpu_plan.digits(v[1] if isinstance(v, list) else v)}" for side, v in value.items()
            )
        elif name == "costliest":
            value = "; ".join(f"{one['name'].replace('|', '/')[:60]} {100 * one['share']:.0f} %" for one in value)
        elif isinstance(value, list) and value and isinstance(value[0], float):
            value = " / ".join(map(gpu_plan.digits, value))
        elif isinstance(value, float):
            value = gpu_plan.digits(value)
        elif name == "peak_bytes" and value is not None:
            value = f"{value / 2**30:.2f} GiB"
        if value not in (None, []):
            said.append(f"{name.replace('_', ' ')}: {value}")
    return "; ".join(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
