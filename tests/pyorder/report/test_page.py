import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import pyorder
from pyorder.cli import main
from pyorder.errors import InputError
from pyorder.report import background, blocks, contents, page, sections, wording
from pyorder.report.blocks import Facts, Folded, Table, Text

WICKED = ("<script>alert(1)</script>", '" onload="alert(2)', "' & <b>", "x" * 5000, "{{ 7 * 7 }}", "a → b")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
SMALL = ["square", "--length", 4, "--train-rows", 300, "--validation-rows", 30, "--test-rows", 40, "--seed", 3]


@pytest.mark.parametrize("module", [page, blocks, wording])
def test_docstring_examples(doctests, module):
    doctests(module)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a search with final trainings, as the command writes it."""
    folder = tmp_path_factory.mktemp("page") / "run"
    search = ["--strategy", "random", "--option", "candidates=6", "--steps", 5, "--seeds", 2, "--fit-steps", 5]
    assert main([str(word) for word in ("discover", *SMALL, *search, "--out", folder)]) == 0
    return folder


def titles(made):
    return [section.title for section in made.sections]


def test_the_page_of_a_search_has_what_was_found(saved, searched, read):
    found = searched(seeds=2)
    run = saved(seeds=2)
    made = page.compute_page(run)
    assert made.order == found.names
    assert (made.verdict, made.tone, made.sentence) == ("found", "good", found.verdict.sentence)
    assert titles(made) == [
        "How sure it is", "When not to trust this", "Dependencies", "Candidates", "Learning curves",
        "Steps and columns", "Settings",
    ]  # fmt: skip
    shown = read(page.draw_page(made))
    anchors = [attributes["href"] for tag, attributes in shown.tags if tag == "a"]
    assert anchors == [f"#{attributes['id']}" for tag, attributes in shown.tags if tag == "section"]
    weakest = min(found.dependencies, key=lambda edge: edge.benefit)
    assert f"{weakest.before} before {weakest.after}: saves 1.000 ± 0.020 nats (of 3)" in shown.said("dd")
    assert "3.000 ± 0.980 nats a row more" in shown.said("dd")
    for heading in titles(made):
        assert heading in shown.texts["h2"]


def test_a_comparison_is_told_in_numbers_that_its_arrays_have(compared, read):
    run = pyorder.runs.load_run(compared)
    made = page.compute_page(run)
    (gains,) = (section for section in made.sections if section.title == "What the order gains")
    (table,) = (block for block in gains.blocks if isinstance(block, Table))
    rows = {row[0].split(",")[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(rows) == set(run.result["fits"])
    ours = run.parts["discovered"].arrays()["row_losses"].astype(float)
    for name, row in rows.items():
        fit = run.parts[name].arrays()
        assert row[">success"] == f"{100 * fit['success'].mean():.2f} %"
        assert row[">row loss (nats)"] == f"{fit['row_losses'].mean(dtype=float):.3f}"
        more = fit["row_losses"].astype(float) - ours
        half = 1.96 * more.std() / np.sqrt(len(more))
        told = row[">row loss beyond the order found"]
        if name != "discovered":
            assert [float(number) for number in told.split(" ± ")] == pytest.approx([more.mean(), half], abs=2e-3)
    assert "What the order gains" in read((compared / "report.html").read_text()).texts["h2"]


def test_the_command_says_where_the_page_is(compared, capsys):
    (compared / "report.html").unlink()
    assert main(["report", str(compared), "--html"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"page: {compared / 'report.html'}"
    assert main(["report", str(compared), "--html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(compared / "report.html")
    assert "random orders" not in (compared / "report.html").read_text()  # nothing was explored


def test_every_part_of_a_run_has_a_page(compared, read, tmp_path):
    kinds = {}
    for part in ("search", "discovered"):
        made = page.compute_page(pyorder.runs.load_run(compared / part))
        kinds[made.kind] = titles(made)
        read(page.draw_page(made))
    assert kinds.keys() == {"search", "final training"}
    assert "What it reaches" in kinds["final training"]
    words = (
        "profile",
        *SMALL[:3],
        "--train-rows",
        300,
        "--random",
        5,
        "--forward",
        "--steps",
        5,
        "--out",
        tmp_path,
    )
    assert main([str(word) for word in words]) == 0
    profiled = page.compute_page(pyorder.runs.load_run(tmp_path))
    assert (profiled.kind, profiled.verdict, profiled.title) == ("loss profiling", None, "square, 4 steps")
    best = pyorder.Profile.load(tmp_path).best
    assert profiled.order == tuple(map(str, best))
    assert "forward" in read(page.draw_page(profiled)).said("td")


def test_what_the_columns_became_is_told(compared, read, tmp_path):
    folder = shutil.copytree(compared, tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    result["data"] |= {
        "columns": {"0": "3 categories: 'a', 'b', 'c'", "age": "20 bins"},
        "same": {"class": "pclass"},
    }
    result["data"] |= {"left_out": "2 of 9 rows: too long", "widths": [1, 2, 1, 1]}
    (folder / "result.json").write_text(json.dumps(result))
    shown = read(page.draw_page(page.compute_page(pyorder.runs.load_run(folder))))
    for text in (
        "3 categories: 'a', 'b', 'c'",
        "20 bins",
        "age",
        "class",
        "pclass",
        "Left out: 2 of 9 rows: too long.",
    ):
        assert text in shown.said()


def test_what_diverged_is_told_and_has_no_numbers(compared, read, tmp_path):
    folder = shutil.copytree(compared, tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    nothing = {"diverged": True, "row_loss": None, "row_loss_interval": [None, None]}
    result["fits"]["reverse"] |= nothing
    (folder / "result.json").write_text(json.dumps(result))
    shown = read(page.draw_page(page.compute_page(pyorder.runs.load_run(folder))))
    assert "diverged" in shown.texts["td"]
    assert not re.search(r"\b(nan|None|inf)\b", shown.said())


def test_candidates_without_a_loss_are_shown_without_numbers(saved, searched, read):
    (stage,) = searched().history
    lost = np.array([1.0, *[np.nan] * 5])
    profile = replace(stage.profile, loss=lost, standard_error=lost - 1, seed_loss=lost[None])
    shown = read(page.draw_page(page.compute_page(saved(history=(replace(stage, profile=profile),)))))
    assert not re.search(r"\bnan\b", shown.said())
    assert shown.texts["td"].count("1.0000") == 1


def test_names_from_the_data_stay_text(saved, read):
    run = saved(len(WICKED), WICKED)
    text = page.write_page(run, page.draw_page(page.compute_page(run))).read_text()
    shown = read(text)
    assert {tag for tag, _ in shown.tags} & {"script", "iframe", "img", "link", "object"} == set()
    assert "".join(shown.texts["b"]) == "found"  # and not a name
    assert not any(name.startswith("on") for _, attributes in shown.tags for name in attributes)
    assert all(name[:100] in shown.said("ol") for name in WICKED)
    assert WICKED[0] in shown.said("title")  # where an edge is hovered over
    assert "49" not in shown.said("ol")
    assert "alert(1)</script>" not in text


def test_nothing_is_fetched(saved, read):
    text = page.draw_page(page.compute_page(saved(runs=3)))
    assert not re.search(r"https?:|//|@import|src=", text)
    assert re.findall(r"url\((.)", text) == ["#"] * text.count("url(")
    policies = [attributes for tag, attributes in read(text).tags if "http-equiv" in attributes]
    assert [policy["content"] for policy in policies] == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_two_hundred_steps_are_bounded(saved, read):
    text = page.draw_page(page.compute_page(saved(200, [f"step <{k}> " + "y" * 300 for k in range(200)], runs=9)))
    shown = read(text)
    assert len(text) < 1_500_000
    kinds = [attributes.get("class") for tag, attributes in shown.tags if tag == "rect"]
    assert kinds.count("gain") + kinds.count("harm") == 2500
    assert kinds.count("node") == 200


def test_a_folder_of_an_older_version_is_refused_in_a_line(saved):
    run = saved()
    del run.result["verdict"]
    with pytest.raises(InputError, match=r"^run: '.*run0' was saved by a version of pyorder before 0.2"):
        page.compute_page(run)


def test_long_tables_are_folded(saved):
    made = page.compute_page(saved(60, runs=14))
    folded = [block.summary for block in made.blocks() if isinstance(block, Folded)]
    assert {"Table of 45 dependencies", "All 14 profiling runs", "All 60 steps"} <= set(folded)
    assert sum(summary.startswith("Candidates of") for summary in folded) == sections.MOST_RUNS - 1


def test_settings_tell_seed_versions_and_machine(saved):
    facts = dict(
        pair for block in page.compute_page(saved()).blocks() if isinstance(block, Facts) for pair in block.pairs
    )
    assert facts["Seed"] == "7"
    assert pyorder.__version__ in facts["Versions"]
    assert facts["error rate"] == "0.01"
    assert max(map(len, facts.values())) <= background.LONGEST_SETTING


def test_no_dependency_is_said_in_words(saved, searched):
    explored = searched().exploration
    lone = {"dependencies": (), "benefit": np.zeros((5, 5))}
    bare = type(explored)(**{**vars(explored), **lone})
    made = page.compute_page(saved(verdict="independent", exploration=bare))
    assert any(isinstance(block, Text) and block.text == "No dependency was found." for block in made.blocks())
    assert made.tone == "plain"
    assert "Random orders lose" not in page.draw_page(made)


def test_contents_cut_names_and_orders(saved):
    read = contents.read_contents(saved(4, ["n" * 100, "b", "c", "d"]))
    assert read.name(0) == "n" * 31 + "…"
    assert read.told([1, 3, 2]) == "b → d → c"


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_browser_shows_it_in_both_themes_and_on_a_phone(saved, theme, tmp_path):
    """What stands in an inner frame is measured from outside: the page itself runs no script."""
    run = saved(40, [*WICKED, *(f"n{k}" for k in range(34))], runs=2)
    path = page.write_page(run, page.draw_page(page.compute_page(run)))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id=f width=360 height=800 srcdoc="{html.escape(path.read_text())}"></iframe>'
        "<script>onload = () => { const d = f.contentDocument, e = d.documentElement;"
        "document.title = [e.scrollWidth <= e.clientWidth, getComputedStyle(d.body).backgroundColor, "
        "d.querySelectorAll('svg circle').length > 20, d.querySelectorAll('script').length].join('|')}</script>"
    )
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--v=0",
    ]
    options += [
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--blink-settings=preferredColorScheme={theme == 'light':d}",
    ]
    seen = [
        subprocess.run(
            [CHROMIUM, *options, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=60
        )
        for file in (path, frame)
    ]
    assert not any("CONSOLE" in done.stderr for done in seen)
    assert html.escape(WICKED[0], quote=False) in seen[0].stdout
    paper = {"dark": "rgb(22, 24, 27)", "light": "rgb(253, 253, 252)"}[theme]
    assert re.search("<title>(.*?)</title>", seen[1].stdout)[1] == f"true|{paper}|true|0"
