import ast
import inspect
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest

import pyorder


def run(code, cwd):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True)


def test_the_installed_package_is_tested_not_the_checkout():
    checkout = Path(__file__).resolve().parents[2]
    assert not Path(pyorder.__file__).resolve().is_relative_to(checkout / "pyorder")


def test_the_version_stands_in_one_place():
    """pyproject.toml has it; the package, the build and the docs take it from there, and the changes are of it."""
    checkout = Path(__file__).resolve().parents[2]
    version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    assert pyorder.__version__ == version
    newest = next(line for line in (checkout / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.removeprefix("## ").partition(",")[0] == version.partition(".dev")[0]
    sources = ("CMakeLists.txt", "pyorder/**/*.py", "docs/conf.py")
    again = [path for kind in sources for path in checkout.glob(kind) if version in path.read_text()]
    assert again == []


def own_docstrings(tree):
    """Docstrings that stand in a module's source, by the name of the class or function; the module's under ""."""
    found = {"": ast.get_docstring(tree)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = ast.get_docstring(node)
    return found


@pytest.mark.parametrize("name", [name for name in pyorder.__all__ if name not in ("PRESETS",)])
def test_every_public_name_is_documented_in_the_package(name):
    """In its own source: not by a dataclass's signature, nor by what it inherits."""
    value = getattr(pyorder, name)
    module = value if inspect.ismodule(value) else sys.modules[value.__module__]
    text = own_docstrings(ast.parse(Path(module.__file__).read_text()))["" if module is value else name]
    assert text
    assert value.__doc__.split() == text.split()
    first, _, rest = text.partition("\n")
    assert first.endswith((".", ":"))
    if module is not value and not hasattr(value, "_fields"):  # the fields of a named tuple say all
        sections = ("Examples\n---", "Attributes\n---", "Parameters\n---")
        assert any(section in rest for section in sections), text


def test_the_presets_are_what_their_names_say():
    assert sorted(pyorder.PRESETS) == ["base", "large", "nano", "small"]
    assert all(isinstance(preset, pyorder.Preset) for preset in pyorder.PRESETS.values())


def test_it_imports_without_triton(tmp_path):
    done = run("import sys; sys.modules['triton'] = None; import pyorder; pyorder.task_names()", tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_missing_compiled_part_says_how_to_get_it(tmp_path):
    source = Path(pyorder.__file__).read_text()
    (tmp_path / "pyorder").mkdir()
    (tmp_path / "pyorder" / "__init__.py").write_text(source)
    done = run("import pyorder", tmp_path)
    assert done.returncode == 1
    assert "pip install ." in done.stderr.splitlines()[-1]
    assert "source folder in the current directory" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_arrays_in_place_of_a_dataset_are_refused(square5, name):
    given = {"train": square5.train, "validation": square5.validation, "test": square5.test} | {
        name: np.zeros((3, 2))
    }
    calls = {
        "validation": [
            lambda: pyorder.discover(given["train"], validation=given["validation"]),
            lambda: pyorder.search.discover_shuffled(given["train"], validation=given["validation"]),
            lambda: pyorder.profile(given["train"], [[0, 1, 2, 3, 4]], validation=given["validation"]),
        ],
        "test": [lambda: pyorder.fit(given["train"], [0, 1, 2, 3, 4], test=given["test"])],
    }
    for call in calls.get(name, [*calls["validation"], *calls["test"]]):
        with pytest.raises(TypeError, match=f"^{name}: a Dataset is needed, ndarray given"):
            call()
