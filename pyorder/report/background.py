"""What a page says of steps, columns and settings: what the result was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyorder.data.schema import Schema
from pyorder.progress import duration
from pyorder.report.blocks import Block, Facts, Folded, Table, Text
from pyorder.report.comparison import DISCOVERED
from pyorder.report.contents import Contents
from pyorder.report.wording import UNKNOWN, number, percent, shortened

MOST_STEPS = 40  # of a table of steps that stands open
LONGEST_INPUT, LONGEST_SETTING = 60, 300  # characters
Settings = Mapping[str, Any]


def steps_and_columns(contents: Contents) -> Iterator[Block]:
    """What became of each column, and how well each step is learned."""
    data, fit = contents.data, next(iter(contents.run.fits.values()), None)
    kept = None if fit is None else fit.config["settings"].get("schema")  # older folders have none
    schema = None if kept is None else Schema.from_json(kept)
    codings: Settings = data.get("columns") or ({} if schema is None else schema.describe())
    widths = data.get("widths") or (None if schema is None else schema.widths)
    explored = None if contents.found is None else contents.found.exploration
    fitted = contents.fits.get(DISCOVERED) or (next(iter(contents.fits.values())) if contents.fits else {})
    per_step: dict[str, Any] = {
        ">entropy": None if explored is None else explored.entropy,
        ">loss, random orders": None if explored is None else explored.uniform_loss,
        ">loss, sorts of the graph": None if explored is None else explored.graph_loss,
        ">validation loss": None
        if contents.profile is None
        else contents.profile.step_loss[contents.profile.ranking[0]],
        ">test loss": fitted.get("step_loss"),
    }
    right = fitted.get("step_accuracy")
    rows = []
    for slot, step in enumerate(contents.order.tolist()):
        name = contents.names[step]
        rows.append(
            (
                str(slot),
                contents.name(step),
                UNKNOWN if widths is None or max(widths) == 1 else str(widths[step]),
                *(UNKNOWN if values is None else number(values[step], 3) for values in per_step.values()),
                UNKNOWN if right is None else percent(right[step]),
                shortened(codings.get(name, UNKNOWN), LONGEST_SETTING),
            )
        )
    table = Table((">slot", "step", ">columns", *per_step, ">right", "values"), tuple(rows)).known
    if len(table.columns) > 2:
        if any(column in table.columns for column in per_step):
            first = " Entropy is what is lost before any learning." if explored is not None else ""
            yield Text(f"In the sequence of the order. Losses are nats, of rows that were not trained on.{first}")
        yield table if len(rows) <= MOST_STEPS else Folded(f"All {len(rows)} steps", (table,))
    given = {name: said for name, said in codings.items() if name not in contents.names}
    if given:
        told = tuple((shortened(name, LONGEST_INPUT), said) for name, said in given.items())
        yield Table(("input", "values"), told)
    if data.get("same"):
        told = tuple(
            (shortened(name, LONGEST_INPUT), shortened(other, LONGEST_INPUT))
            for name, other in data["same"].items()
        )
        yield Table(("left out", "since it is one to one with"), told)
    if "left_out" in data:
        yield Text(f"Left out: {data['left_out']}.")


def settings(contents: Contents) -> Iterator[Block]:
    """How it was run, with what, and where."""
    run, found = contents.run, contents.found
    config, fit = run.config, run.fits.get(DISCOVERED, next(iter(run.fits.values()), None))
    machine = [f"{key} {config[key]}" for key in ("device", "gpu", "cpu", "cores", "threads") if config.get(key)]
    facts: list[tuple[str, str]] = []
    if found is not None:
        facts += [
            ("Strategy", found.strategy),
            ("Seed", str(found.seed)),
            ("Knew the data's order", "yes" if found.uses_data_order else "no"),
            ("Cost", f"{found.cost.training_steps:,} training steps, {found.cost.rows_scored:,} rows scored"),
            ("Time of the search", duration(found.seconds)),
        ]
    elif contents.profile is not None:
        cost = contents.profile.cost
        facts.append(("Cost", f"{cost.training_steps:,} training steps, {cost.rows_scored:,} rows scored"))
        facts.append(("Seeds", ", ".join(map(str, contents.profile.settings["seeds"]))))
    if fit is not None:
        facts.append(("Seed of final training", str(fit.config["settings"].get("seed", UNKNOWN))))
    if rows := contents.data.get("rows"):
        facts.append(("Rows", ", ".join(f"{split} {count:,}" for split, count in rows.items())))
    facts += [
        ("Versions", ", ".join(f"{name} {version}" for name, version in config["versions"].items())),
        ("Machine", ", ".join(machine)),
        ("Date", config["date"]),
    ]
    yield Facts(tuple(facts))
    groups: dict[str, Settings] = {"Command": config["settings"].get("arguments", {})}
    if found is not None:
        groups |= {"Strategy": found.options, "Profiling runs": found.settings}
    elif contents.profile is not None:
        groups["Profiling run"] = contents.profile.settings
    if fit is not None:
        left = ("vocabulary", "schema")
        groups["Final training"] = {key: value for key, value in fit.config["settings"].items() if key not in left}
    for title, values in groups.items():
        if told := tuple(_told(values)):
            yield Folded(title, (Facts(told),))


def _told(values: Settings) -> Iterator[tuple[str, str]]:
    """Settings in words; none that was not given."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {inner}" for name, inner in value.items() if inner is not None)
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        if value is not None and value != "":
            yield key.replace("_", " "), shortened(str(value), LONGEST_SETTING)
