"""How searches and final trainings are printed; the input is what result.json holds.

After a ± stands half of a 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyorder._statistics import Z95
from pyorder.cli._terminal import order_text, percent, print_facts, print_table, say
from pyorder.progress import duration
from pyorder.report.comparison import beaten, standing, tells
from pyorder.search.discover import INTERRUPTED, SPENT


def data_text(data: Mapping[str, Any]) -> str:
    """Say in a line what the data was.

    Examples
    --------
    >>> data_text({"task": "index", "parameters": {"d": 4}, "target_length": 13, "rows": {"train": 1000}})
    'index d=4, 13 steps; rows: train 1,000'
    """
    name = " ".join([data["task"] or "own data", *(f"{key}={value}" for key, value in data["parameters"].items())])
    rows = ", ".join(f"{split} {count:,}" for split, count in data["rows"].items())
    return f"{name}, {data['target_length']} steps; rows: {rows}"


def print_search(search: Mapping[str, Any]) -> None:
    """Print what a search found and what it cost; the verdict first."""
    if "verdict" in search:  # older run folders have none
        say(f"{search['verdict'].upper()}: {search['conclusion']}\n")
    told = {key: value for key, value in search["options"].items() if not isinstance(value, dict)}
    options = " ".join(f"{key}={value}" for key, value in told.items() if value is not None)
    constraints = search.get("constraints")
    print_facts(
        {
            "order": order_text(search.get("names", search["order"])),
            **levels_text(search.get("levels")),
            "strategy": f"{search['strategy']} ({options})" if options else search["strategy"],
            "ended": ending(search),
            "knew the data's order": "yes" if search["uses_data_order"] else "no",
            "constraints": "none" if constraints is None else f"{len(constraints)} dependencies, all satisfied",
            "profiling runs": f"{search['runs']}, with {search['candidates_profiled']:,} candidates",
            "training steps": f"{search['training_steps']:,}",
            "rows scored": f"{search['rows_scored']:,}",
            "time": duration(search["seconds"]),
        }
    )
    if search["exploration"] is not None:
        say()
        print_exploration(search["exploration"])
    if search.get("stability") is not None:  # older run folders have none
        say()
        print_stability(search["stability"], dict(zip(search["order"], search["names"], strict=True)))
    for remark in search.get("remarks", ()):  # older run folders have none
        say(remark)


def ending(search: Mapping[str, Any]) -> str:
    """Say how a search ended, and of one that has not converged why.

    Examples
    --------
    >>> ending({"converged": False, "remarks": [SPENT], "exploration": None})
    'early: the budget was spent'
    """
    explored, remarks = search["exploration"], search.get("remarks", ())  # older run folders have none
    if search["converged"]:
        return "by itself"
    if INTERRUPTED in remarks:
        return "early: it was interrupted, or failed"
    if explored is None or SPENT in remarks:
        return "early: the budget was spent"
    if explored["memorised"]:
        return "early: rows were learned by heart"
    if explored["settled"]:
        return "by itself, with too few rows to tell"
    if explored.get("exhausted"):
        return "early: nothing more was learned, and the graph did not come to rest"
    if search.get("verdict") == "unresolved":
        return "early: half of the steps or more were not learned"
    return "early: the rounds ended before graph and loss had settled"


def levels_text(levels: Sequence[Sequence[int | str]] | None) -> dict[str, str]:
    """Say which steps can be written at once; nothing where nobody knows, and of older run folders.

    Examples
    --------
    >>> levels_text([[0, 3], [1], [2]])
    {'levels': '0 3 | 1 | 2, by the graph: 3 passes for 4 steps'}
    """
    if levels is None:
        return {}
    told = " | ".join(" ".join(map(str, level)) for level in levels)
    return {"levels": f"{told}, by the graph: {len(levels)} passes for {sum(map(len, levels))} steps"}


def print_stability(stability: Mapping[str, Any], names: Mapping[int, str]) -> None:
    """Print what other searches found: how often each edge, which order in all, and how far orders lie apart."""
    count = len(stability["orders"])
    if count:
        rows = [
            [f"{names[before]} before {names[after]}", f"{round(share * count)} of {count}"]
            for before, after, share in sorted(stability["edges"], key=lambda edge: -edge[2])
        ]
        print_table(["dependency, on other rows", ">found"], rows)
        agreed = order_text([names[step] for step in stability["consensus"]])
        say(f"the order that these {count} searches agree on: {agreed}")
    kinds = {"rows": "other rows, labels and seeds", "labels": "other labels", "seeds": "other seeds"}
    for kind, told in kinds.items():
        if (apart := stability["distances"][kind]) is not None:
            error = "" if apart[1] is None else f" ± {100 * Z95 * apart[1]:.1f}"
            say(f"{told}: orders differ in {100 * apart[0]:.1f}{error} % of all pairs of steps")


def print_levels(checked: Mapping[str, Any]) -> None:
    """Print what writing whole levels at once costs, beside writing step by step."""
    print_table(
        ["written", ">passes", ">success", ">row loss"],
        [
            ["level by level", str(checked["passes"]), percent(checked["success"]), f"{checked['row_loss']:.3f}"],
            [
                "step by step",
                str(checked["passes_in_sequence"]),
                percent(checked["success_in_sequence"]),
                f"{checked['row_loss_in_sequence']:.3f}",
            ],
        ],
    )
    points, error = (100 * value for value in checked["success_difference"])
    more, of_loss = checked["loss_difference"]
    say(
        f"one any-order model, {checked['test_rows']:,} test rows: at once {points:+.2f} ± {Z95 * error:.2f} "
        f"points of success, {more:+.3f} ± {Z95 * of_loss:.3f} nats a row"
    )
    for pair in checked["bound"]:
        before, after = (pair.get(f"{end}_name", pair[end]) for end in ("before", "after"))
        say(
            f"{before} and {after} are not independent given earlier levels ({pair['benefit']:.3f} ± "
            f"{Z95 * pair['standard_error']:.3f} nats): not written at once"
        )
    say()


def print_exploration(exploration: Mapping[str, Any]) -> None:
    """Print the dependencies that were found, and what is left open."""
    edges = sorted(exploration["dependencies"], key=lambda edge: (edge["before"], edge["after"]))
    say(
        f"{len(edges)} dependencies, settled after {duration(exploration['seconds'])}"
        if exploration["settled"]
        else f"{len(edges)} dependencies so far, after {duration(exploration['seconds'])}"
    )
    rows = [
        [
            " before ".join(str(edge.get(f"{end}_name", edge[end])) for end in ("before", "after")),
            f"{edge['benefit']:.3f}",
            f"{Z95 * edge['standard_error']:.3f}",
            f"{edge['confidence']:.4f}",
            "either way" if edge["reversible"] else "",
        ]
        for edge in edges
    ]
    if rows:
        print_table(["dependency", ">nats saved", ">±", ">confidence", "direction"], rows)
    if exploration.get("lost"):  # older run folders have none
        names = exploration.get("lost_names", exploration["lost"])
        kept = [exploration["graph_loss"][step] / exploration["entropy"][step] for step in exploration["lost"]]
        told = ", ".join(f"{name} ({percent(share)})" for name, share in zip(names, kept, strict=True))
        say(f"Steps that keep more than half of their entropy: {told}")
    for pair in exploration.get("opposed", ()):  # older run folders have none
        one, other = (pair.get(f"{end}_name", pair[end]) for end in ("one", "other"))
        say(
            f"{one} before {other} saves {pair['gain']:.3f} nats in {percent(pair['share'])} of the rows, {other} "
            f"before {one} saves {pair['other_gain']:.3f} in others"
        )
    for remark in exploration["remarks"]:
        say(remark)


def print_stages(search: Mapping[str, Any]) -> None:
    """Print the profiling runs of a search."""
    rows = [
        [
            stage["name"],
            f"{stage['candidates']:,}",
            "-" if stage["best_loss"] is None else f"{stage['best_loss']:.4f}",
            duration(stage["seconds"]),
            order_text(stage.get("best_names", stage["best_order"])),
        ]
        for stage in search["stages"]
    ]
    print_table(["profiling run", ">candidates", ">best loss", ">ended at", "best order"], rows)


def print_candidates(candidates: Sequence[Mapping[str, Any]], top: int) -> None:
    """Print the best of profiled orders, and the data's own order wherever it came."""
    columns = [">rank", ">loss (nats a step)", ">± to the best", ">over seeds", "origin", "order"]
    rows = []
    for rank, candidate in enumerate(candidates, start=1):
        origin = candidate.get("origin", "-")
        if rank <= top or origin == "forward":
            error, spread = (candidate[key] for key in ("standard_error", "seed_spread"))
            half = None if error is None else Z95 * error
            numbers = ["-" if number is None else f"{number:.4f}" for number in (candidate["loss"], half, spread)]
            rows.append([str(rank), *numbers, origin, order_text(candidate.get("names", candidate["order"]))])
    print_table(columns, rows)


def print_fits(fits: Mapping[str, Mapping[str, Any]], left_out: Sequence[str] = ()) -> None:
    """Print what final trainings reached, best first; ``left_out`` names orders of which there was no other left.

    First stands what can tell the orders apart, see `tells`.
    """
    lead = tells(list(fits.values()))
    rows = []
    for name, fitted in sorted(fits.items(), key=lambda item: standing(item[1], lead)):
        numbers = {"success": ["diverged", "-"], "row loss": ["-", "-"]}
        if not fitted.get("diverged"):
            low, high = fitted["success_interval"]
            numbers["success"] = [percent(fitted["success_rate"]), f"{100 * low:.2f} to {100 * high:.2f} %"]
            if fitted.get("row_loss") is not None:  # older run folders have none
                low, high = fitted["row_loss_interval"]
                numbers["row loss"] = [f"{fitted['row_loss']:.3f}", f"{low:.3f} to {high:.3f}"]
        rows.append(
            [
                ", ".join(fitted.get("called", [name])),  # older run folders have none
                *numbers.pop(lead),
                *next(iter(numbers.values())),
                percent(fitted.get("dependencies_satisfied")),
                duration(fitted["seconds"]),
                order_text(fitted.get("names", fitted["order"])),
            ]
        )
    interval = ">95 % interval"
    other = "success" if lead == "row loss" else "row loss"
    columns = ["trained on", f">{lead}", interval, f">{other}", interval, ">dependencies", ">time", "order"]
    print_table(columns, rows)
    first = next(iter(fits.values()))
    grouped = f", and intervals over their {groups:,} groups" if (groups := first.get("test_groups")) else ""
    say(f"success: share of {first['test_rows']:,} test rows whose whole target was generated exactly{grouped}")
    if any(fitted.get("row_loss") is not None for fitted in fits.values()):
        say("row loss: nats lost on a test row, less is better")
    if len(fits) > 1:
        why = "" if lead == "success" else ": success does not tell these orders apart"
        say(f"sorted by {lead}{why}")
    for name in left_out:
        say(f"{name}: left out, every order there is was trained on")
    kept = [(fitted.get("kept_step"), fitted.get("training_steps", 0)) for fitted in fits.values()]
    if early := sorted({step for step, steps in kept if step is not None and step < steps}):
        told = f"{early[0]:,}" if len(early) == 1 else f"{early[0]:,} to {early[-1]:,}"
        say(f"weights: those that lost least on validation rows, in part after {told} of {kept[0][1]:,} steps")
    if any(fitted.get("diverged") for fitted in fits.values()):
        say("diverged: training did, at a tenth of its learning rate too; a lower one may help")
    for name, fitted in fits.items():
        if fitted.get("diverged_at") is not None and not fitted.get("diverged"):
            say(f"{name}: diverged at a rate of {fitted['diverged_at']:g}, and was trained again at a lower one")


def print_beaten(fits: Mapping[str, Mapping[str, Any]]) -> None:
    """Say in a line that another order trained better than the one found, if one did."""
    if better := [told for name in beaten(fits) for told in fits[name].get("called", [name])]:
        say(f"Trained better than the order found: {', '.join(better)}\n")
