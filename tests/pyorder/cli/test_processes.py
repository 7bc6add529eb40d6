"""Which of several processes speaks: without any being started, as torchrun's environment tells."""

import pytest
import torch

import pyorder.cli._processes
from pyorder.cli import main
from pyorder.cli._processes import Processes
from pyorder.errors import InputError, ProcessLostError
from pyorder.world import World


@pytest.fixture
def second(monkeypatch):
    """The second of two processes, which waits for nobody."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(pyorder.cli._processes, "PATIENCE", 0.0)


def interrupted(_):
    raise KeyboardInterrupt


def test_what_the_second_process_alone_finds_wrong_it_says(second, capsys):
    assert main(["discover", "--data", "/nowhere.csv"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("pyorder: error in process 1 of 2: ")
    assert errors.count("\n") == 1


def test_what_the_first_finds_wrong_too_it_does_not(second, capsys, monkeypatch):
    monkeypatch.setattr(pyorder.cli._processes.time, "sleep", interrupted)
    assert main(["discover", "--data", "/nowhere.csv"]) == 2
    assert capsys.readouterr() == ("", "")


def test_nor_that_another_process_is_gone(second):
    processes = Processes.started()
    assert processes.refusal(ProcessLostError("gone"), "gone") is None
    assert Processes(0, 2).refusal(ProcessLostError("gone"), "gone") == "pyorder: error: gone"


@pytest.mark.parametrize("size", [None, "1"])
def test_a_process_alone_is_heard_whatever_rank_it_has(monkeypatch, capsys, size):
    """As where a queue gives every job a number."""
    monkeypatch.setenv("RANK", "3")
    if size is None:
        monkeypatch.delenv("WORLD_SIZE", raising=False)
    else:
        monkeypatch.setenv("WORLD_SIZE", size)
    assert main(["tasks"]) == 0
    assert "square" in capsys.readouterr().out


def test_results_of_the_second_are_not_heard(second, capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["generate", "tasks", "rerun", "reproduce", "report"])
def test_commands_of_one_process_are_refused_to_several(monkeypatch, capsys, command):
    monkeypatch.setenv("WORLD_SIZE", "3")
    words = {
        "generate": ["square", "--out", "x.npz"],
        "rerun": ["run"],
        "reproduce": ["table1"],
        "report": ["run"],
    }
    assert main([command, *words.get(command, [])]) == 2
    line = f"pyorder: error: torchrun: 3 processes were started for {command}, which is for one; discover, profile"
    assert capsys.readouterr().err.startswith(line)


def test_a_program_that_has_a_group_is_told_how_to_share_it(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(InputError, match=r"World\.joined"), World.launched("cpu"):
        pass


def test_examples(doctests):
    doctests(pyorder.cli._processes)
