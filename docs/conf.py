"""Settings of the docs: guides in Markdown, and a reference made from docstrings."""

import re
from importlib import metadata

from sphinx.application import Sphinx

project = "pyorder"
author = "The pyorder developers"
release = metadata.version("pyorder")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
]
html_theme = "furo"
html_title = f"pyorder {release}"
html_show_copyright = False

suppress_warnings = ["myst.header"]  # tables of results may begin with a second-level heading
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]

default_role = "py:obj"  # docstrings name objects in single backticks
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True

SECTION = re.compile(r"(?:Parameters|Attributes|Returns)\n-+\n(?:.+\n?)+")
ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.+(?:\n .*)*)$", re.MULTILINE)


def descriptions_below(docstring: str) -> str:
    """A docstring with "names : what they are" as a line for every name, with the description below.

    That is how napoleon takes what is no type. Where a sentence follows below, it is a type, and stays.
    """

    def entry(found: re.Match[str]) -> str:
        first, _, rest = found[2].partition("\n")
        if rest.lstrip()[:1].isupper():
            return found[0]
        return "\n".join(f"{name}\n    {first}\n{rest}".rstrip() for name in found[1].split(", "))

    return SECTION.sub(lambda section: ENTRY.sub(entry, section[0]), docstring)


def rewrite(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Put descriptions below names, in place, as Sphinx wants it."""
    lines[:] = descriptions_below("\n".join(lines)).split("\n")


def setup(app: Sphinx) -> None:
    """Rewrite docstrings before napoleon, whose priority is 500, reads them."""
    app.connect("autodoc-process-docstring", rewrite, priority=400)
