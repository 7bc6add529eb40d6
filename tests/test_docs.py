"""Guides whose examples are run."""

import doctest
import inspect
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pyorder

DOCS = Path(__file__).resolve().parents[1] / "docs"
NEEDS = re.compile(r"^<!-- needs (.+?) -->$(.+?)^<!-- -->$", re.DOTALL | re.MULTILINE)


def without_what_is_missing(text):
    """A guide without the parts that say that they need a package which is not installed."""

    def kept(part):
        return part[0] if all(map(find_spec, part[1].split())) else "\n" * part[0].count("\n")

    return NEEDS.sub(kept, text)


needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
GUIDES = ["first_order.md", "data.md", "interrupting.md", "training_loop.md"]


@pytest.mark.parametrize("name", [*GUIDES, pytest.param("language_models.md", marks=needs_transformers)])
def test_examples(name):
    run_examples(without_what_is_missing((DOCS / name).read_text()), name, least=11)


def run_examples(text, name, least):
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, name, str(DOCS / name), 0)
    result = doctest.DocTestRunner().run(test, clear_globs=False)  # which torch.compile holds on to
    assert result.failed == 0
    assert result.attempted >= least


def test_cluster(tmp_path, monkeypatch):
    """The commands that one machine can run, and the examples, in the folder that they leave."""
    text = (DOCS / "cluster.md").read_text()
    command = (
        f'pyorder() {{ {sys.executable} -P -m pyorder "$@"; }}\n'
        f"torchrun() {{ {sys.executable} -P -m torch.distributed.run --rdzv-backend=c10d "
        '--rdzv-endpoint=127.0.0.1:0 "$@"; }'
    )
    commands = re.findall(r"^<!-- run -->\n```sh\n(.+?)^```$", text, re.DOTALL | re.MULTILINE)
    script = "\n".join(["set -eu", command, *commands])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "sbatch --array=0-1 " in done.stdout
    assert len(list(tmp_path.glob("*/square-3-random-*/result.json"))) == 3
    monkeypatch.chdir(tmp_path)
    run_examples(text, "cluster.md", least=5)


def test_every_public_name_stands_in_the_reference_once():
    """Under its public name, or, of a module, under its own."""
    listed = re.findall(
        r"^\.\. (?:auto\w+|data):: (\S+)$",
        "".join(map(Path.read_text, DOCS.glob("reference/*.rst"))),
        re.MULTILINE,
    )
    assert len(listed) == len(set(listed))
    for name in pyorder.__all__:
        value = getattr(pyorder, name)
        if inspect.ismodule(value) and name in ("report", "runs", "search"):  # rooms, by what is in them
            assert any(entry.startswith(f"pyorder.{name}.") for entry in listed)
        else:
            assert (value.__name__ if inspect.ismodule(value) else f"pyorder.{name}") in listed
