import subprocess
import sys
import textwrap
from pathlib import Path

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
