"""Folders that a run has to itself, and what is said of others who come."""

import json
import multiprocessing
import shutil

import pytest

import pyorder
from pyorder.errors import InputError
from pyorder.runs import claim as claiming
from pyorder.runs import journal as journals
from pyorder.runs.claim import claim, fingerprint
from pyorder.runs.folder import write_json
from pyorder.runs.journal import Journal


@pytest.mark.parametrize("module", [claiming, journals])
def test_docstring_examples(module, doctests):
    doctests(module)


def begin(folder, asked=None):
    """Begin a run, and be interrupted after one entry."""
    with claim(folder, lambda: asked or {"seed": 0}) as claimed:
        claimed.journal.record("sum", lambda path: write_json(path, 3))


def test_what_was_begun_is_there_when_it_is_asked_for_again(tmp_path):
    begin(tmp_path / "run")
    with claim(tmp_path / "run", lambda: {"seed": 0}) as claimed:
        assert not claimed.finished
        assert json.loads(claimed.journal.recall("sum").read_text()) == 3
        assert claimed.journal.recall("sum") is None


def test_another_run_is_told_the_difference(tmp_path):
    begin(tmp_path, {"seed": 0, "model": "nano"})
    with pytest.raises(InputError, match=r"asked for with another seed, 0 and not 1: ") as refused:
        begin(tmp_path, {"seed": 1, "model": "base"})
    assert str(refused.value).startswith(f"run_dir: the run in '{tmp_path}'")
    with pytest.raises(InputError, match="another recipe, None and not"):
        begin(tmp_path, {"seed": 0, "model": "nano", "recipe": {"steps": 3}})


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_run_that_keeps_nothing_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), claim(tmp_path / "run", dict) as claimed:
        claimed.journal.told("precision", "float32")
        raise RuntimeError
    assert not (tmp_path / "run").exists()


def hold(folder, ready, done):
    with claim(folder, lambda: {"seed": 0}) as claimed:
        claimed.journal.record("sum", lambda path: write_json(path, 3))
        ready.set()
        done.wait(60)


def test_two_cannot_work_in_one_folder_and_a_dead_one_is_followed(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "run", ready, done))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InputError, match=f"run_dir: process {process.pid} is at work in "):
            begin(tmp_path / "run")
    finally:
        process.kill()
        process.join(60)
    with claim(tmp_path / "run", lambda: {"seed": 0}) as claimed:
        assert claimed.journal.recall("sum") is not None


def test_what_a_killed_process_was_writing_is_swept(tmp_path):
    begin(tmp_path)
    for folder in (tmp_path, tmp_path / "journal"):
        (folder / ".pyorder-77.tmp").write_text("half")
    begin(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("left", [[], ["journal/"], ["journal/", ".pyorder-77.tmp"], [".pyorder-77.tmp"]])
@pytest.mark.parametrize("locked", [True, False])
def test_a_process_that_is_killed_as_it_claims_is_followed(tmp_path, left, locked):
    for name in [".lock"] * locked + left * (locked or left == [".pyorder-77.tmp"]):
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    begin(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_lock_that_leads_elsewhere_is_not_written_to(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"^run_dir: cannot write to '.*\.lock': "):
        begin(tmp_path / "run")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_full_disk_as_it_claims_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(claiming, "write_json", full)
        with pytest.raises(OSError, match="No space"):
            begin(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    begin(tmp_path / "new" / "run")


@pytest.mark.parametrize("text", ["", "[]", '{"seed": ', "[" * 100_000])
def test_a_damaged_folder_is_refused_in_a_line(tmp_path, text):
    begin(tmp_path)
    (tmp_path / "asked.json").write_text(text)
    with pytest.raises(InputError, match=r"asked\.json' cannot be read"):
        begin(tmp_path)


def test_a_journal_of_another_program_is_refused(tmp_path):
    Journal(tmp_path).record("losses", lambda path: write_json(path, 3))
    with pytest.raises(InputError, match="is not what this run does next, which is 'train'"):
        Journal(tmp_path).recall("train")


def test_the_clock_goes_on(tmp_path):
    journal = Journal(tmp_path)
    journal.go_on_from(1000.0)
    assert 1000.0 <= journal.seconds < 1100.0


def test_a_fingerprint_tells_rows_vocabularies_and_names_apart():
    one = pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]])
    others = [
        pyorder.Dataset([[0], [1]], [[1, 0], [0, 0]]),
        pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]], vocabulary=range(3)),
        pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]], names=["a", "b"]),
    ]
    others += [pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]], groups=groups) for groups in ([0, 0], [0, 1])]
    assert fingerprint(one) == fingerprint(pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]]))
    assert len({fingerprint(data) for data in (one, *others)}) == 6


def test_a_fingerprint_stays_what_it_was_where_there_are_no_groups():
    assert fingerprint(pyorder.Dataset([[0], [1]], [[1, 0], [0, 1]])) == "9f1964ac4228dc3f"


def test_a_lock_makes_no_folder_ours(tmp_path):
    for name in ("note", ".lock"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        begin(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"note": "mine", ".lock": "mine"}


def test_a_folder_that_is_gone_hides_no_error(tmp_path):
    with pytest.raises(RuntimeError, match="the first"), claim(tmp_path / "run", dict) as claimed:
        shutil.rmtree(claimed.folder)
        raise RuntimeError("the first")


def test_nothing_is_asked_where_nothing_is_kept():
    with claim(None, lambda: pytest.fail("rows were read for nothing")) as claimed:
        assert claimed.folder is None
