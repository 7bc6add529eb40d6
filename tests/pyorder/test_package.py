import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import pyorder


def run(code, cwd):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True)


def test_the_installed_package_is_tested_not_the_checkout():
    checkout = Path(__file__).resolve().parents[2]
    assert not Path(pyorder.__file__).resolve().is_relative_to(checkout / "pyorder")


def test_every_public_name_is_there_and_documented():
    for name in pyorder.__all__:
        value = getattr(pyorder, name)
        assert getattr(value, "__doc__", None), name


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
