"""One page of a run: what was found, how sure that is, what it gains, and when not to trust it.

The page is a single file of HTML: drawings are inline SVG, and nothing is fetched and no script runs, which its
own content policy also forbids. It follows the reader's theme, fits a phone, and prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyorder._disk import replacing
from pyorder.dependencies.verdict import Verdict
from pyorder.report.blocks import Page
from pyorder.report.contents import Contents, read_contents
from pyorder.report.sections import make_sections
from pyorder.report.wording import shortened
from pyorder.runs.folder import Run

FILE = "report.html"
LONGEST_NAME = 200  # characters of a name in the heading
TONES = {
    Verdict.FOUND: "good",
    Verdict.INDIFFERENT: "plain",
    Verdict.INDEPENDENT: "plain",
    Verdict.OPEN: "open",
    Verdict.ROW_DEPENDENT: "open",
    Verdict.FEW_ROWS: "bad",
    Verdict.UNRESOLVED: "bad",
}


def compute_page(run: Run) -> Page:
    """Compute what a page shows of a run that `pyorder.runs.load_run` read.

    Raises
    ------
    InputError
        For a folder of a version before 0.2, which kept less.

    Examples
    --------
    >>> import tempfile
    >>> splits = make_task("square", length=3).splits(train=500, validation=50, test=50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = discover(splits.train, validation=splits.validation, steps=5, run_dir=folder)
    ...     page = compute_page(runs.load_run(folder))
    >>> page.order == found.names, [section.title for section in page.sections[:2]]
    (True, ['How sure it is', 'When not to trust this'])
    """
    contents = read_contents(run)
    verdict, tone, sentence = _conclusion(contents)
    return Page(
        title=_title(contents),
        kind=_kind(contents),
        date=run.config["date"][:10],
        verdict=verdict,
        tone=tone,
        sentence=sentence,
        order=tuple(shortened(contents.names[step], LONGEST_NAME) for step in contents.order),
        sections=make_sections(contents),
    )


def draw_page(page: Page) -> str:
    """Write a page as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pyorder.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(page=page)


def write_page(run: Run, text: str) -> Path:
    """Write the page of a run, as `draw_page` made it, into its folder, and return the file's path."""
    path = run.folder / FILE
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _conclusion(contents: Contents) -> tuple[str | None, str, str]:
    """The verdict, its tone, and the sentence behind it."""
    found, profile = contents.found, contents.profile
    if found is not None:
        return found.verdict.value, TONES.get(found.verdict, "open"), found.verdict.sentence
    if profile is not None:
        return None, "plain", f"The order of the lowest early loss, of {len(profile.orders):,} that were compared."
    return None, "plain", "The order that was trained on."


def _kind(contents: Contents) -> str:
    if contents.found is not None:
        return "search and final training" if contents.fits else "search"
    return "loss profiling" if contents.profile is not None else "final training"


def _title(contents: Contents) -> str:
    """What the data was, as far as the folder tells."""
    about: dict[str, Any] = dict(contents.data)
    for part in (*contents.run.searches, *contents.run.fits.values()):
        about = about or part.config["settings"].get("data") or {}
    file = contents.run.config["settings"].get("arguments", {}).get("data")
    name = about.get("task") or (Path(file).name if file else "Own data")
    return f"{name}, {len(contents.order)} steps"
