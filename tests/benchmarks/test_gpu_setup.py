import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyorder


@pytest.fixture
def setup(benchmark):
    return benchmark("gpu_setup")


def test_what_is_missing_is_said_in_a_line_each(setup, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    gone = ("liger_kernel", "typer", "transformers")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    everything_but = ["pytest"]
    said = setup.missing(everything_but, None)
    assert [line.split()[0] for line in said] == ["typer", "transformers", "liger-kernel"]
    assert "pip install liger-kernel" in said[2]
    assert said[2].endswith("or leave it out: --without liger")
    assert "--without" not in said[0]
    (tmp_path / "liger_kernel-0.6.0-py3-none-any.whl").touch()
    said = setup.missing([*everything_but, "transformers"], tmp_path)
    assert [line.split()[0] for line in said] == ["typer"]
    (tmp_path / "empty").mkdir()
    assert setup.missing([*everything_but, "transformers", "liger"], tmp_path / "empty")[0].startswith("--wheels ")


def test_a_compiler_is_among_what_is_needed(setup, monkeypatch):
    without = ["pytest", "transformers", "liger"]
    monkeypatch.setenv("CC", "/nowhere/cc")
    (said,) = setup.missing(without, None)
    assert said.startswith("a C compiler is missing")
    assert setup.missing([*without, "compiler"], None) == []


def test_a_package_counts_as_installed_if_its_files_are_this_checkouts(setup, tmp_path):
    package = tmp_path / "pyorder"
    shutil.copytree(Path(pyorder.__file__).parent, package)
    assert setup.is_installed(tmp_path)
    with (package / "kernels" / "reference.py").open("a") as file:
        file.write("# changed\n")
    assert not setup.is_installed(tmp_path)
    assert not setup.is_installed(tmp_path / "nothing")


def test_a_wheel_of_another_checkout_is_refused(setup, monkeypatch, tmp_path):
    (tmp_path / "pyorder-0.1.0-py3-none-any.whl").touch()
    commands = []

    def run(command, **rest):
        commands.append(command)
        (tmp_path / "site" / "pyorder").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(setup.subprocess, "run", run)
    with pytest.raises(SystemExit, match="the wheel of pyorder is not of this checkout"):
        setup.install(tmp_path / "site", tmp_path, 10.0)
    assert commands[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-build-isolation" in commands[0]


def test_a_revision_is_told_without_git(setup, monkeypatch, tmp_path):
    for name in setup.SOURCES:
        (tmp_path / name).mkdir()
    (tmp_path / "pyorder" / "one.py").write_text("1")
    monkeypatch.setattr(setup, "CHECKOUT", tmp_path)
    first = setup.revision()
    assert first.startswith("sources-")
    assert setup.revision() == first
    (tmp_path / "pyorder" / "one.py").write_text("2")
    assert setup.revision() != first


def test_a_revision_is_the_commit_and_says_what_was_changed_since(setup, monkeypatch, tmp_path):
    monkeypatch.setattr(setup, "CHECKOUT", tmp_path)
    for name in setup.SOURCES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.py").write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert setup.revision() == head
    (tmp_path / "csrc" / "one.py").write_text("2")
    assert setup.revision().startswith(f"{head}+sources-")
