"""The sections of a page, each computed from what a run holds, and left out where it holds nothing for one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pyorder._statistics import Z95
from pyorder.profiling.result import Profile
from pyorder.progress import duration
from pyorder.report.background import settings, steps_and_columns
from pyorder.report.blocks import Block, Facts, Figure, Folded, Notes, Section, Table, Text
from pyorder.report.charts import Chart, Intervals, Line
from pyorder.report.comparison import DISCOVERED, standing, tells
from pyorder.report.contents import Contents
from pyorder.report.diagrams import MOST_CELLS, Graph, Matrix
from pyorder.report.doubts import doubts
from pyorder.report.plots import LearningCurves, learning_curves
from pyorder.report.wording import UNKNOWN, number, percent, plus_minus, shortened

MOST_ROWS = 12  # of a table that stands open
MOST_LISTED, MOST_EDGES = 200, 1000  # profiling runs, and dependencies
LONGEST_LIST = 2000  # characters
MOST_RUNS = 6  # profiling runs whose candidates are shown
TOP, MOST_RANKS = 10, 100  # candidates in a table, and in a figure


def make_sections(contents: Contents) -> tuple[Section, ...]:
    """Everything there is to say of a run, in the sequence in which a reader asks."""
    wanted = {
        ("How sure it is", "sure"): _sureness,
        ("What it reaches" if contents.run.kind == "fit" else "What the order gains", "gain"): _gains,
        ("When not to trust this", "doubt"): lambda contents: [Notes(doubts(contents))],
        ("Dependencies", "dependencies"): _dependencies,
        ("On other rows", "stability"): _stability,
        ("Candidates", "candidates"): _candidates,
        ("Learning curves", "curves"): _curves,
        ("Steps and columns", "steps"): steps_and_columns,
        ("Settings", "settings"): settings,
    }
    made = (Section(*heading, tuple(compute(contents))) for heading, compute in wanted.items())
    return tuple(section for section in made if section.blocks)


def _sureness(contents: Contents) -> Iterator[Block]:
    if facts := (*_of_the_exploration(contents), *_of_the_last_run(contents)):
        yield Facts(facts)
        yield Text("± is half of a 95 % interval.")


def _of_the_exploration(contents: Contents) -> Iterator[tuple[str, str]]:
    if contents.found is None or (explored := contents.found.exploration) is None:
        return
    if edges := explored.dependencies:
        edge = min(edges, key=lambda edge: edge.benefit)
        yield (
            "Weakest dependency",
            f"{contents.name(edge.before)} before {contents.name(edge.after)}: saves "
            f"{plus_minus(edge.benefit, edge.standard_error)} nats (of {len(edges)})",
        )
        yield (
            "Lowest confidence of one",
            f"{min(edge.confidence for edge in edges):.4f}: 1 minus the family-wise error rate at which it would "
            "just be accepted",
        )
        yield (
            "Random orders lose",
            f"{plus_minus(*explored.order_gain)} nats a row more than those that satisfy the dependencies",
        )
    yield "Rows not trained on lose", f"{plus_minus(*explored.gap)} nats a row more than rows trained on"
    settled = "yes" if explored.settled else "no"
    rounds = f"{len(explored.rounds)} rounds on {explored.training_rows:,} rows, {duration(explored.seconds)}"
    yield "Settled", f"{settled}, {rounds}"
    yield "Pairs of steps left open", f"{explored.wide:,} of {math.perm(len(contents.order), 2):,}"


def _of_the_last_run(contents: Contents) -> Iterator[tuple[str, str]]:
    if not contents.profiles:
        return
    name, last = contents.profiles[-1]
    if len(last.orders) > 1 and np.isfinite(last.loss[last.ranking[1]]):
        second = last.ranking[1]
        lead = plus_minus(last.loss[second] - last.best_loss, last.standard_error[second])
        yield (
            "Lead of the best candidate",
            f"{lead} nats a step to the next of {len(last.orders):,} (profiling run “{name}”)",
        )
    if last.rank_correlation is not None and last.best_agreement is not None:
        yield (
            "Agreement of seeds",
            f"rank correlation {last.rank_correlation:.2f}; the best candidate is the best with "
            f"{100 * last.best_agreement:.0f} % of {len(last.seed_loss)} seeds",
        )


def _gains(contents: Contents) -> Iterator[Block]:
    fits = contents.fits
    if not fits:
        return
    lead = tells(list(fits.values()))
    ranked = sorted(fits.items(), key=lambda item: standing(item[1], lead))
    rows, shares, losses = [], [], []
    for name, fitted in ranked:
        called = ", ".join(fitted.get("called", ["this order"] if contents.run.kind == "fit" else [name]))
        share, loss = _interval(fitted, "success", 100), _interval(fitted, "row_loss", 1)
        if share:
            shares.append((called, *share, f"{share[0]:.2f} %"))
        if loss:
            losses.append((called, *loss, f"{loss[0]:.3f}"))
        rows.append(
            (
                called,
                f"{share[0]:.2f} %" if share else "diverged",
                f"{share[1]:.2f} to {share[2]:.2f} %" if share else UNKNOWN,
                f"{loss[0]:.3f}" if loss else UNKNOWN,
                f"{loss[1]:.3f} to {loss[2]:.3f}" if loss else UNKNOWN,
                UNKNOWN if (more := contents.more_lost(name)) is None else plus_minus(*more, sign="+"),
                percent(fitted.get("dependencies_satisfied")),
                duration(fitted["seconds"]),
            )
        )
    first = next(iter(fits.values()))
    of_what = f"{groups:,} groups of test rows" if (groups := first.get("test_groups")) else "test rows"
    marked = ", ".join(fits.get(DISCOVERED, {}).get("called", [DISCOVERED]))
    yield Text(
        f"Success is the share of {first['test_rows']:,} test rows whose whole target was generated exactly; row "
        f"loss what a test row loses, in nats, where less is better. Intervals of 95 % are of the {of_what}."
    )
    if len(fits) > 1 and lead == "row loss":
        yield Text("Success does not tell these orders apart: they are sorted by row loss.")
    figures = [
        Figure("Success", Intervals("rows right, %", tuple(shares), marked, 0.0, 100.0), "") if shares else None,
        Figure("Row loss", Intervals("nats a test row", tuple(losses), marked), "") if losses else None,
    ]
    if len(fits) > 1:
        yield from (figure for figure in (figures if lead == "success" else figures[::-1]) if figure)
    columns = ("trained on", ">success", ">95 % interval", ">row loss (nats)", ">95 % interval")
    others = (">row loss beyond the order found", ">dependencies of the task kept", ">time")
    yield Table((*columns, *others), tuple(rows)).known
    if len(fits) > 1:
        orders = ((row[0], contents.told(fitted["order"])) for row, (_, fitted) in zip(rows, ranked, strict=True))
        yield Folded("The orders that were trained on", (Facts(tuple(orders)),))
    if left := contents.run.result.get("left_out"):
        yield Text(f"Left out, since every order there is was trained on: {', '.join(left)}.")


def _dependencies(contents: Contents) -> Iterator[Block]:
    found = contents.found
    if found is None or found.exploration is None:
        return
    explored = found.exploration
    edges = sorted(explored.dependencies, key=lambda edge: -edge.benefit)[:MOST_EDGES]
    most = f" Only the {MOST_EDGES:,} strongest are drawn." if len(edges) < len(explored.dependencies) else ""
    if edges:
        graph = Graph.of(edges, contents.names)
        note = " Steps under one number can be written at once."
        if found.levels is None or most or found.constraints is not None:  # what is drawn does not say so
            graph, note = replace(graph, levels=()), most
        yield Figure(
            "Dependency graph",
            graph,
            f"An arrow points at what should be written later; wider arrows save more.{note}",
        )
        rows = tuple(
            (
                f"{contents.name(edge.before)} before {contents.name(edge.after)}",
                f"{edge.benefit:.3f}",
                f"{Z95 * edge.standard_error:.3f}",
                f"{edge.confidence:.4f}",
                "either way" if edge.reversible else "last percent only" if edge.fine else UNKNOWN,
            )
            for edge in edges
        )
        table = Table(("dependency", ">nats saved", ">±", ">confidence", "note"), rows).known
        yield table if len(rows) <= MOST_ROWS else Folded(f"Table of {len(rows)} dependencies", (table,))
    else:
        yield Text("No dependency was found.")
    if edges and explored.apart:
        apart = ", ".join(contents.name(step) for step in explored.apart)
        yield Text(f"In no dependency: {shortened(apart, LONGEST_LIST)}")
    if explored.opposed:
        told = [(contents.name(pair.one), contents.name(pair.other), pair) for pair in explored.opposed]
        rows = tuple(
            (
                f"{one} before {other}",
                f"{pair.gain:.3f}",
                percent(pair.share),
                f"{pair.other_gain:.3f}",
                " and ".join(pair.columns) or UNKNOWN,
            )
            for one, other, pair in told
        )
        yield Text("Steps that help each other in opposite directions, in different rows:")
        columns = (">nats saved", ">in rows", ">nats saved by the reverse in others", "input that tells which")
        yield Table(("order", *columns), rows).known
    yield from _levels(contents)
    matrix = Matrix.of(explored.benefit, explored.standard_error, contents.order, edges, contents.names)
    if not matrix.cells:
        return
    drawn = f" Only the {MOST_CELLS:,} strongest pairs are drawn." if len(matrix.cells) == MOST_CELLS else ""
    yield Figure(
        "Precedence matrix",
        matrix,
        "A first look, one pair at a time, steps in the sequence of the order, which makes use of what is above "
        f"the diagonal. The strongest benefit is {matrix.most:.3f} nats.{drawn}",
    )


def _stability(contents: Contents) -> Iterator[Block]:
    """What the same search finds on other rows, with other labels and from other seeds, where it was asked."""
    stability = None if contents.found is None else contents.found.stability
    if contents.found is None or stability is None:
        return
    count, name = len(stability.orders), contents.name
    if count:
        sequence = [(int(p), int(i)) for p, i in np.argwhere(stability.edges)]
        sequence.sort(key=lambda edge: -stability.edges[edge])
        rows = tuple(
            (
                f"{name(before)} before {name(after)}",
                f"{round(stability.edges[before, after] * count)} of {count}",
                percent(stability.before[before, after]),
            )
            for before, after in sequence[:MOST_EDGES]
        )
        table = Table(("dependency", ">found", ">in this sequence"), rows)
        yield Text(
            f"{count} searches, each on another half of the rows, from another seed, and with the columns in "
            f"another secret sequence; {len(stability.frequent())} of {len(sequence)} dependencies were found by "
            "at least nine of ten. “In this sequence” is the share of their orders."
        )
        yield table if len(rows) <= MOST_ROWS else Folded(f"Table of {len(rows)} dependencies", (table,))
        yield Text(f"The order that they agree on: {contents.told(stability.consensus)}")
    told = {"rows": "Other rows, labels and seeds", "labels": "Other labels", "seeds": "Other seeds"}
    distances = stability.summary(contents.found.order)["distances"]
    facts = []
    for kind, what in told.items():
        if distances[kind] is not None:
            mean, error = (100 * value for value in distances[kind])
            apart = f"{mean:.1f}" if math.isnan(error) else plus_minus(mean, error, 1)  # two orders have no error
            facts.append((what, f"orders differ in {apart} % of all pairs of steps"))
    if facts:
        yield Facts(tuple(facts))
        yield Text("Where labels play no part, other labels make no more difference than other seeds.")


def _levels(contents: Contents) -> Iterator[Block]:
    """What it costs to write whole levels at once, where that was measured."""
    checked = contents.run.result.get("levels") if contents.run.kind == "comparison" else None
    if checked is None:
        return
    yield Text(
        f"Writing all steps of a level at once takes {checked['passes']} passes instead of "
        f"{checked['passes_in_sequence']}. One model that was trained for both, on {checked['test_rows']:,} test "
        "rows:"
    )
    ways = (("level by level", ""), ("step by step", "_in_sequence"))
    rows = tuple(
        (
            way,
            str(checked[f"passes{key}"]),
            percent(checked[f"success{key}"]),
            number(checked[f"row_loss{key}"], 3),
        )
        for way, key in ways
    )
    yield Table(("written", ">passes", ">success", ">row loss (nats)"), rows)
    (points, error), (more, of_loss) = checked["success_difference"], checked["loss_difference"]
    yield Text(
        f"At once instead of in sequence: {plus_minus(100 * points, 100 * error, 2, '+')} points of success, "
        f"{plus_minus(more, of_loss, sign='+')} nats a row."
    )
    if checked["bound"]:
        yield Notes(
            tuple(
                f"{contents.name(pair['before'])} and {contents.name(pair['after'])} are not independent "
                f"given earlier levels ({plus_minus(pair['benefit'], pair['standard_error'])} nats): they are not "
                "written at once."
                for pair in checked["bound"]
            )
        )


def _candidates(contents: Contents) -> Iterator[Block]:
    profiles = contents.profiles
    if len(profiles) > 1:
        rows = tuple(
            (
                name,
                f"{len(profile.orders):,}",
                number(profile.best_loss, 4),
                f"{profile.training_loss.shape[-1]:,}",
                str(len(profile.seed_loss)),
                duration(profile.seconds),
                contents.told(profile.best),
            )
            for name, profile in profiles[-MOST_LISTED:]
        )
        columns = (">candidates", ">best loss", ">steps", ">seeds", ">time", "best order")
        table = Table(("profiling run", *columns), rows)
        yield Text("Losses are nats a step on validation rows. They compare only inside one profiling run.")
        listed = f"{'All' if len(rows) == len(profiles) else 'The last'} {len(rows)} profiling runs"
        yield table if len(rows) <= MOST_ROWS else Folded(listed, (table,))
    if profiles:
        yield from _candidates_of(contents, *profiles[-1])
    for name, profile in profiles[-2 : -MOST_RUNS - 1 : -1]:
        yield Folded(f"Candidates of “{name}”", tuple(_candidates_of(contents, name, profile)))


def _candidates_of(contents: Contents, name: str, profile: Profile) -> Iterator[Block]:
    shown = profile.ranking[:MOST_RANKS]
    spread = profile.seed_spread
    ranks = list(range(1, len(shown) + 1))
    told = tuple(
        f"rank {rank}: {profile.loss[i]:.4f} nats a step, "
        f"{plus_minus(profile.loss[i] - profile.best_loss, error, 4)} more than the best: "
        f"{contents.told(profile.orders[i])}"
        for rank, i, error in zip(ranks, shown, profile.standard_error[shown], strict=True)
    )
    losses = profile.loss[shown]
    if len(shown) > 2 and np.isfinite(losses).all():
        error = tuple((Z95 * np.nan_to_num(profile.standard_error[shown])).tolist())
        line = Line(name, tuple(map(float, ranks)), tuple(losses.tolist()), told, error, joined=False)
        first = f" The first {len(shown)} of {len(profile.orders):,}." if len(profile.orders) > len(shown) else ""
        yield Figure(
            f"Candidates of “{name}”",
            Chart("rank (1 is best)", "validation loss (nats a step)", (line,)),
            f"Bars are 95 % intervals of the difference to the best candidate, over validation rows.{first}",
        )
    origins = {
        tuple(item["order"]): item.get("origin", UNKNOWN) for item in contents.run.result.get("candidates", ())
    }
    rows = tuple(
        (
            str(rank),
            number(profile.loss[i], 4),
            number(Z95 * profile.standard_error[i], 4) if rank > 1 else UNKNOWN,
            UNKNOWN if spread is None else number(spread[i], 4),
            origins.get(tuple(profile.orders[i].tolist()), UNKNOWN),
            contents.told(profile.orders[i]),
        )
        for rank, i in zip(ranks[:TOP], shown[:TOP], strict=True)
    )
    columns = (">rank", ">loss (nats a step)", ">± to the best", ">spread over seeds", "origin", "order")
    yield Table(columns, rows).known


def _curves(contents: Contents) -> Iterator[Block]:
    explored = None if contents.found is None else contents.found.exploration
    if explored is not None and (rounds := explored.rounds):
        steps = [round_.training_steps for round_ in rounds]
        lines = tuple(
            Line.of(name, steps, [getattr(round_, field) for round_ in rounds], "nats a step")
            for name, field in (
                ("random orders", "uniform_loss"),
                ("sorts of the graph", "graph_loss"),
                ("sorts of the graph, rows trained on", "training_loss"),
            )
        )
        yield Figure(
            "Exploration",
            Chart("training step", "loss (nats a step)", lines),
            f"A point is a round of training and evidence; after the last there were {rounds[-1].dependencies} "
            "dependencies.",
        )
    if contents.profiles:
        kept = contents.profiles[-MOST_RUNS:]
        curves = learning_curves({name: profile.training_loss.mean(0).ravel() for name, profile in kept})
        apart = "Training losses of the last profiling runs; they do not compare." if len(kept) > 1 else ""
        yield _figure_of("Loss profiling", curves, apart)
    if contents.arrays:
        curves = learning_curves({name: arrays["loss_curve"] for name, arrays in contents.arrays.items()})
        yield _figure_of("Final training", curves, "")


def _figure_of(title: str, curves: LearningCurves, caption: str) -> Figure:
    lines = tuple(
        Line.of(name, steps, losses, "nats a step")
        for name, steps, losses in zip(curves.names, curves.steps, curves.losses, strict=True)
    )
    smooth = f" Each point is the mean of {curves.window} steps." if curves.window > 1 else ""
    return Figure(title, Chart("training step", "training loss (nats a step)", lines), caption + smooth)


def _interval(fitted: Mapping[str, Any], name: str, scale: float) -> tuple[float, float, float] | None:
    """A number of a final training and its interval; None where it diverged, or older folders have none."""
    value = fitted.get("success_rate" if name == "success" else name)
    if fitted.get("diverged") or value is None:
        return None
    low, high = fitted[f"{name}_interval"]
    return scale * value, scale * low, scale * high
