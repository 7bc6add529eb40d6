"""Published studies at tiny sizes: cells, rows and reports."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import pyorder
import pyorder.reproduce
from pyorder.cli import main
from pyorder.orders.posets import Poset
from pyorder.reproduce import _base as base
from pyorder.reproduce import (
    baselines,
    claims,
    delay,
    figure_profile,
    make_study,
    predictive,
    prod,
    published_settings,
    reproduce,
    structured,
    study_names,
    table1,
    table2,
    table3,
    transfer,
)
from pyorder.runs.rows import RowFile

LAPTOP_BASELINES = baselines.LAPTOP
TINY = base.Sizes(400, 30, 20, "nano", 3, "nano", 4)
MODULES = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "figure-profile": figure_profile,
    "prod": prod,
    "delay": delay,
    "baselines": baselines,
    "structured": structured,
    "predictive": predictive,
    "transfer": transfer,
    "published-settings": published_settings,
}
READINGS = (
    replace(table2.LETTER, seeds=1),
    replace(table2.TOGETHER, seeds=2),
    table2.Reading("steady", "together", "all", seeds=1, significance=0.01, steps=2, tasks=("relu",)),
)
SYSTEMS = (delay.System("delay_chain", 2, 2, sampled=2), delay.System("delay_slow", 2, 3, sampled=0, delay=2))
SMALL = {
    "table1": replace(table1.LAPTOP, sizes=TINY, longest=13, seeds=1),
    "table2": replace(table2.LAPTOP, sizes=TINY, readings=READINGS, depth=2, limit=6),
    "table3": replace(table3.LAPTOP, sizes=TINY, longest=13, seeds=1),
    "figure-profile": replace(figure_profile.LAPTOP, sizes=TINY, length=5, candidates=33, best=9),
    "prod": replace(
        prod.LAPTOP, sizes=TINY, products=(prod.Product("3x1", 10, "by_length", 4),), seeds=1, depth=1, limit=4
    ),
    "delay": replace(delay.LAPTOP, sizes=TINY, systems=SYSTEMS, candidates=4, seeds=2),
    "baselines": replace(baselines.LAPTOP, sizes=TINY, tasks=("relu",), length=5, runs=21, seeds=1),
    "structured": replace(structured.LAPTOP, sizes=TINY, lengths=(10, 20), depth=1, limit=4),
    "predictive": replace(predictive.LAPTOP, sizes=TINY, stratified=6, chunk=60, run_lengths=(2,), seeds=1),
    "transfer": replace(transfer.LAPTOP, sizes=TINY, length=5, trainers=("base",), seeds=1, depth=1),
    "published-settings": replace(published_settings.LAPTOP, sizes=TINY, readings=READINGS[1:2], depth=1, limit=4),
}
# Cells to run of each: enough to fill a line of every table.
SOME = {
    "table1": {"task": "index"},
    "table2": {"length": 8},
    "table3": {"task": "index"},
    "figure-profile": {"task": "relu"},
    "prod": {"order": "hierarchical"},
    "structured": {"length": 10},
    "predictive": {"length": 8},
    "transfer": {"task": "relu"},
    "published-settings": {"length": 8},
}


@pytest.fixture(autouse=True)
def tiny_studies(monkeypatch):
    for name, study in SMALL.items():
        monkeypatch.setattr(MODULES[name], "LAPTOP", study)


def without_losses(result):
    """What a result is in JSON where training diverged."""
    lost = dict.fromkeys(("mean_loss", "last_loss", "entropy"))
    if "final_loss" in result:
        lost["final_loss"] = [None] * len(result["final_loss"])
    return result | {name: value for name, value in lost.items() if name in result}


def test_every_study_is_tested():
    assert set(SMALL) == set(study_names())


@pytest.mark.parametrize("module", [base, claims, table2, delay, predictive, prod])
def test_docstring_examples(module, doctests):
    doctests(module)


@pytest.mark.parametrize("name", study_names())
def test_a_study_runs_resumes_and_reports(name, tmp_path, monkeypatch):
    study = make_study(name)
    heard = []
    rows = reproduce(name, out=tmp_path, only=SOME.get(name, {}), progress=heard.append)
    wanted = [cell for cell in study.cells() if SOME.get(name, {}).items() <= cell.items()]
    assert [row["cell"] for row in rows] == json.loads(json.dumps(wanted))
    assert len(heard) == len(wanted)
    assert heard[-1].share == 1
    assert len({json.dumps(cell, sort_keys=True) for cell in study.cells()}) == len(study.cells())

    monkeypatch.setattr(type(study), "measure", None)  # nothing is measured twice
    assert reproduce(name, out=tmp_path, only=SOME.get(name, {})) == rows

    report = (tmp_path / f"{name}-laptop.md").read_text()
    assert f"`pyorder reproduce {name} --scale laptop`" in report
    assert f"{len(rows)} of {len(study.cells())} cells run" in report
    assert "torch" in report
    published_beyond = name in ("table1", "table3", "prod")  # rows that this scale never runs
    assert ("not run" in report) == (published_beyond or len(rows) < len(study.cells()))
    written = json.loads((tmp_path / f"{name}-laptop.json").read_text())
    assert written["cells"] == {"run": len(rows), "planned": len(study.cells())}
    for table in study.tables(rows):
        assert table.lines
        assert all(len(line) == len(table.columns) for line in table.lines)
        assert table.markdown() in report
    assert (tmp_path / f"{name}-laptop.png").read_bytes().startswith(b"\x89PNG")
    diverged = [{**row, "result": without_losses(row["result"])} for row in rows]
    for told in study.tables(diverged):
        assert all(len(line) == len(told.columns) for line in told.lines)
    study.draw(diverged)
    assert study.sentence(rows) in report
    assert study.sentence(diverged).endswith(".")
    assert study.sentence([]) == f"{study.claim}: not run."
    told = (tmp_path / "claims-laptop.md").read_text().splitlines()[4:]
    assert [line.split(" | ")[0] for line in told] == [f"| {make_study(known).claim}" for known in study_names()]
    nothing = study.tables([])
    assert all("not run" in table.markdown() for table in nothing[:1])


def test_rows_of_other_settings_are_passed_over_and_broken_ones_named(tmp_path):
    cells = {"task": "prod", "order": "random 1"}
    rows = reproduce("prod", out=tmp_path, only=cells)
    path = tmp_path / "prod-laptop.jsonl"
    other = replace(SMALL["prod"], seeds=2)
    assert RowFile(path).read(other.asked(other.cells())) == []
    assert RowFile(path).read(SMALL["prod"].asked(SMALL["prod"].cells())) == rows
    whole = path.read_text()
    path.write_text(whole + '{"cell": {"task": "prod", "le')  # cut off while it was written
    assert reproduce("prod", out=tmp_path, only=cells) == rows
    RowFile(path).append(rows[0])
    assert path.read_text() == whole + json.dumps(rows[0]) + "\n"
    path.write_text(whole + "[1]\n")
    with pytest.raises(ValueError, match=r"line 2 is no row of a study"):
        reproduce("prod", out=tmp_path, only=cells)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "table9"}, "^study: 'table9' is none of 'table1'"),
        ({"name": "prod", "scale": "desk"}, "^scale: 'desk' is none of 'laptop', 'paper'"),
        ({"name": "prod", "only": {"length": 7}}, "^only: no cell of prod at scale laptop has length=7"),
        ({"name": "prod", "jobs": 0}, "^jobs: "),
        (
            {"name": "prod", "only": {"ordr": None}},
            "^only: prod has no 'ordr', it has task, length, order, seed, factors, base, rows",
        ),
        ({"name": "prod", "only": {"order": None}}, "^only: no cell of prod at scale laptop has order=None"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        reproduce(**arguments, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_published_row_has_cells_at_paper_scale():
    for name in ("table1", "table2"):
        cells = make_study(name, "paper").cells()
        told = {base.task_name(cell) for cell in cells}
        assert told == {base.task_name(row) for row in base.published(name)}


def test_the_published_summary_is_that_of_the_paper():
    summary = SMALL["table2"].tables([])[1]
    assert summary.lines[0][:5] == ["published", "1", "10 of 16", "11 of 16", "0 of 16"]


def test_only_exactly_forward_counts_as_reproduced_and_the_best_reading_speaks():
    study = SMALL["table2"]
    rotated = [4, 5, 6, 7, 0, 1, 2, 3]
    ends = {("letter", 0): rotated, ("together", 0): rotated[::-1], ("together", 1): sorted(rotated)}
    rows = [
        {"cell": {**base.published_cell({"task": "relu", "length": 8}), "reading": reading, "seed": seed},
         "result": {"forward_distance": table2.forward_distance(np.array(order)), "success_rate": 1.0,
                    "rotated": table2.is_rotation(np.array(order)), "final": order, "global": order,
                    "broken_links": table2.broken_links(np.array(order)), "satisfied": 1.0, "search_seconds": 1.0}}
        for (reading, seed), order in ends.items()
    ]  # fmt: skip
    assert study.finding(rows) == base.Finding("1 of 1 by the reading 'together'", [True])
    assert study.finding(rows[:2]).verdict == "not reproduced"
    told = {line[0]: line[1:6] for line in study.tables(rows)[1].lines}
    assert told["letter"] == ["1", "0 of 1", "1 of 1", "0 of 1", "1.0"]
    assert told["together"][:4] == ["2", "1 of 1", "1 of 1", "0 of 1"]  # reversed rotations are no reverse


def test_full_products_fill_their_room_and_are_unseen():
    product = prod.Product("2x1", 3, "by_length", 1)
    seen = pyorder.make_task("prod", 3, factors="2x1", base=3).generate(8, seed=5)
    full = prod.full_width(product, seen, 40, seed=1)
    told = {tuple(row) for row in full.inputs.tolist()}
    everything = set(itertools.product((1, 2), (0, 1, 2), (0, 1, 2)))  # a number of one digit may be zero
    assert told == everything - {tuple(row) for row in seen.inputs.tolist()}
    assert len(full) == len(told)
    assert prod.full_width(product, full, 40, seed=1).rows == len(everything) - len(told)


def test_products_are_judged_by_what_their_orders_reach():
    def rows(found, rest, seed):
        rates = dict.fromkeys(prod.RANDOM, rest) | {prod.LEAST: 1.0, prod.MOST: 0.9, prod.SEARCH: found}
        return [{"cell": {**SMALL["prod"].products[0].cell, "order": order, "seed": seed},
                 "result": {"success_rate": rate}} for order, rate in rates.items()]  # fmt: skip

    judge = lambda *seeds: SMALL["prod"].finding([row for seed in seeds for row in seed]).holds
    assert judge(rows(0.99, 0.9, 0)) == [True]
    assert judge(rows(0.99, 0.96, 0)) == [False]
    assert judge(rows(0.98, 0.9, 0)) == [False]
    assert judge(rows(0.98, 0.9, 0), rows(1.0, 0.9, 1), rows(0.995, 0.9, 2)) == [True]
    assert judge(rows(0.98, 0.9, 0)[:-1]) == []


@pytest.mark.parametrize(
    ("choice", "searched", "holds"),
    [
        ("forward", 0.5, [True, True, True]),
        ("drawn 1", 0.5, [True, False, True]),
        ("forward", 1.5, [True, True, False]),
    ],
)
def test_delay_systems_are_judged_by_sorts_choice_and_search(choice, searched, holds):
    """Losses that differ by sort alone; the search is judged by the designed sorts."""
    study = replace(SMALL["delay"], seeds=4)
    sorts = study.systems[0].sorts()
    assert next(iter(sorts)) == "forward"
    losses = {sort: 1.0 + place for place, sort in enumerate(sorts)} | {delay.SEARCHED: searched}
    rows = [
        {"cell": {**study.systems[0].cell, "sort": sort, "seed": seed}, "result": {"mean_loss": loss}}
        for sort, loss in losses.items()
        for seed in range(4)
    ] + [
        {"cell": {**study.systems[0].cell, "sort": delay.PROFILED, "seed": seed}, "result": {"choice": choice}}
        for seed in range(4)
    ]
    assert study.finding(rows).holds == holds
    assert study.finding(rows[4:]).holds == []  # one sort is missing


# What a cell of prod comes to; nothing in it was measured.
PRODUCT = {
    "success_rate": 0.5,
    "step_accuracy": [0.75],
    "found": [0],
    "forward_distance": 0.0,
    "by_digits": [[3, 1, 4, 2], [2, 1, 1, 1]],
    "full_width": None,
    "full_width_rows": 0,
    "distinct_inputs": 9,
    "possible_inputs": 10_000,
    "search_seconds": 1.0,
    "early_loss": dict.fromkeys(("found", "least significant first", "most significant first"), 2.0),
    "early_rank": dict.fromkeys(("found", "least significant first", "most significant first"), 0),
}


def test_lengths_that_were_not_run_are_shown_as_not_run():
    rows = [{"cell": cell, "result": PRODUCT} for cell in SMALL["prod"].cells()]
    table = SMALL["prod"].tables(rows)[0]
    (ours,) = [line for line in table.lines if "L = 4" in line[0]]
    assert ours[1:] == ["50.0 %", "50.0 %", "50.0 % (n = 3)", "50.0 %", "-"]
    (theirs,) = [line for line in table.lines if line[0] == "prod L = 12"]
    assert theirs == ["prod L = 12", *["not run"] * 4, "51.4 %"]


def test_a_tasks_parameters_select_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(table1.Table1, "measure", lambda study, cell: {"success_rate": 0.5})
    rows = reproduce("table1", out=tmp_path, only={"d": 4})
    assert [row["cell"]["parameters"] for row in rows] == [{"d": 4}] * 2


def test_what_ran_beside_a_failing_cell_is_kept(tmp_path, monkeypatch):
    orders = [order for shown in prod.SHOWN.values() for order in shown]
    begun = threading.Barrier(len(orders))

    def measure(study, cell):
        begun.wait(timeout=30)  # a cell that has not begun is not run
        if cell["order"] == "random 1":
            raise RuntimeError("out of luck")
        time.sleep(0.2)
        return PRODUCT

    monkeypatch.setattr(prod.Prod, "measure", measure)
    in_threads = lambda jobs, mp_context, initializer: ThreadPoolExecutor(jobs)
    monkeypatch.setattr("pyorder.reproduce.ProcessPoolExecutor", in_threads)
    with pytest.raises(RuntimeError, match="out of luck"):
        reproduce("prod", out=tmp_path, jobs=len(orders))
    study = SMALL["prod"]
    kept = RowFile(tmp_path / "prod-laptop.jsonl").read(study.asked(study.cells()))
    assert {row["cell"]["order"] for row in kept} == set(orders) - {"random 1"}


def test_nothing_is_run_where_nothing_can_be_written_or_a_package_is_missing(monkeypatch, tmp_path):
    for study in (prod.Prod, predictive.Predictive):
        monkeypatch.setattr(study, "measure", None)
    with pytest.raises(ValueError, match="^out: cannot write to '/proc/nowhere': No such file"):
        reproduce("prod", out="/proc/nowhere")
    monkeypatch.setattr("pyorder.reproduce.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"^study: 'predictive' needs scipy; pip install \"pyorder"):
        reproduce("predictive", out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_study_prints_in_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pyorder.reproduce, "_measured", lambda *arguments: iter(()))
    for name in study_names():
        assert main(["reproduce", name, "--out", str(tmp_path)]) == 0
        assert "not run" in capsys.readouterr().out
    assert main(["reproduce"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(study_names())


def test_directions_are_compared_seed_by_seed():
    index = base.published_cell({"task": "index", "length": 13, "d": 2})
    entropies = [("forward", 0, 1.0), ("forward", 1, 9.0), ("reverse", 1, 5.0)]
    rows = [
        {"cell": {**index, "direction": direction, "seed": seed}, "result": {"entropy": entropy, "map": None}}
        for direction, seed, entropy in entropies
    ]
    (table,) = SMALL["table3"].tables(rows)
    (line,) = [line for line in table.lines if line[0] == "index L = 13, d = 2"]
    assert line[-1] == "0 of 1 seeds"


def test_diverged_trainings_are_told_apart_from_those_not_run():
    assert base.over_seeds([None, None]) == "2 of 2 diverged"


@pytest.mark.parametrize("study", [LAPTOP_BASELINES, baselines.PAPER])
def test_every_baseline_can_pay_for_its_runs(study):
    for name in baselines.SEARCHES:
        pools = study.strategy(name).pools(Poset(study.length))
        assert max(pools) <= 66 * study.runs / 2
