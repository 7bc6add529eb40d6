"""The table of claims, as the page has it."""

from pathlib import Path

from pyorder.reproduce import claims_table, make_study, study_names

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_has_the_claims_of_the_rows():
    page = (DOCS / "reproduction.md").read_text()
    start, end = "<!-- claims -->\n", "\n<!-- -->"
    assert page[page.index(start) + len(start) : page.index(end)] == claims_table(DOCS / "results").markdown()


def test_a_claim_without_rows_is_not_run(tmp_path):
    table = claims_table(tmp_path)
    assert [line[0] for line in table.lines] == [make_study(name).claim for name in study_names()]
    assert {tuple(line[2:5]) for line in table.lines} == {("-", "0", "not run")}
