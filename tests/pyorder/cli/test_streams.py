"""Streams that fail while a command runs, in this process; and a disk that fills up under it."""

import io
import json
import os
import sys
from contextlib import contextmanager

import pytest

import pyorder
from pyorder.cli import _streams
from pyorder.cli._streams import guarded
from pyorder.progress import Progress, resolve_progress

SEARCH = [
    *("discover", "square", "--length", "4", "--train-rows", "600", "--validation-rows", "40"),
    *("--test-rows", "60", "--strategy", "random", "--option", "candidates=6", "--steps", "3"),
    *("--fit-model", "nano", "--fit-steps", "3", "--device", "cpu", "--precision", "float32"),
]


class Full(io.StringIO):
    """A stream that fails after so many writes."""

    def __init__(self, room=0, error=None):
        super().__init__()
        self.room, self.failure = room, error or OSError(28, "No space left on device")

    def write(self, text):
        if not self.room:
            raise self.failure
        self.room -= 1
        return super().write(text)


@contextmanager
def streams(monkeypatch, out, err):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        yield


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-2", "koi8-r", "cp866", "utf-8"])
def test_letters_that_a_stream_lacks_are_replaced(monkeypatch, encoding):
    raw = io.BytesIO()
    with streams(monkeypatch, io.TextIOWrapper(raw, encoding), io.StringIO()), guarded():
        print("loss \u00b1 error, \u4e16, \udc80", flush=True)
    text = raw.getvalue().decode(encoding)
    assert text.startswith("loss ")
    assert text.endswith("?\n")
    assert ("\u4e16" in text) == (encoding == "utf-8")


@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_standard_output_does_not_take_goes_to_standard_error(monkeypatch, room):
    out, err = Full(room), io.StringIO()
    with streams(monkeypatch, out, err), guarded() as terminal:
        for line in ("one", "two"):
            print(line, flush=True)
        assert isinstance(terminal.output.error, OSError)
        assert sys.stdout is terminal.output
    # Part of a line may come twice, here and there; none is missing.
    assert (out.getvalue() + err.getvalue()).replace("oneone", "one").split() == ["one", "two"]
    assert sys.stdout is not terminal.output


def test_both_streams_may_fail(monkeypatch):
    with streams(monkeypatch, Full(), Full()), guarded() as terminal:
        print("one", flush=True)
        print("two", file=sys.stderr, flush=True)
    assert terminal.output.lost
    with streams(monkeypatch, None, None), guarded() as terminal:
        print("one", flush=True)
        print("two", file=sys.stderr, flush=True)
    assert terminal.output.lost


def test_a_reader_who_is_gone_is_given_nothing_unless_work_was_done(monkeypatch):
    for working in (False, True):
        err = io.StringIO()
        with streams(monkeypatch, Full(0, BrokenPipeError(32, "Broken pipe")), err), guarded() as terminal:
            terminal.working = working
            print("one", flush=True)
        assert err.getvalue() == ("one\n" if working else "")


@pytest.mark.parametrize("stream", [None, Full(), Full(0, ValueError("I/O operation on closed file"))])
def test_progress_that_cannot_be_written_ends_no_call(monkeypatch, stream):
    out = io.StringIO()
    with streams(monkeypatch, out, stream), resolve_progress(True, "search") as report:
        report(Progress("training", 0.5, 1.0))
    assert out.getvalue() == ""


def without_times(result):
    if isinstance(result, dict):
        return {name: without_times(value) for name, value in result.items() if name != "seconds"}
    return [without_times(value) for value in result] if isinstance(result, list) else result


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr("pyorder.cli._pictures.draw_pictures", lambda run: [])
    monkeypatch.setattr("pyorder.report.page.write_page", lambda run, text: None)


def fill_up(patch, room):
    """Let files take so many bytes of the disk: more is refused as the system would, when they are renamed."""
    left, replace = [room], os.replace

    def counted(source, target):
        size = os.path.getsize(source)
        if left[0] < size:
            raise OSError(28, "No space left on device", os.fspath(target))
        left[0] -= size
        replace(source, target)

    patch.setattr(os, "replace", counted)


@pytest.mark.parametrize("room", [300, 3_000, 100_000, 3_000_000, 3_500_000])
def test_a_disk_that_fills_up_loses_nothing(run, told, tmp_path, monkeypatch, no_pictures, room):
    whole = told(*SEARCH)
    with monkeypatch.context() as patch:
        fill_up(patch, room)
        code, out, err = run(*SEARCH, "--out", "run")
    assert code == 1
    assert "No space left on device" in err.splitlines()[-1]
    again = told(*SEARCH, "--out", "run")
    assert without_times(again) == without_times(whole)
    kept = pyorder.Fitted.load(tmp_path / "run" / "reverse").summary()
    wanted = next(fitted for fitted in whole["fits"].values() if "reverse" in fitted["called"])
    assert kept["row_loss"] == wanted["row_loss"]
    order = ",".join(map(str, whole["order"]))
    searching = "'run/search/journal/" in err or room < 10_000  # nothing was found by then
    assert (order in out + err) is not searching


def test_an_order_that_was_found_is_told_when_it_cannot_be_stored(run, monkeypatch, no_pictures, told):
    order = ",".join(map(str, told(*SEARCH)["order"]))
    for stops in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def stop(*arguments, stops=stops, **options):
            raise stops

        for place in ("pyorder.search.discovery.write_run", "pyorder.runs.folder.write_run"):
            with monkeypatch.context() as patch:
                patch.setattr(place, stop)
                folder = f"{type(stops).__name__}{len(place)}"
                code, out, err = run(*SEARCH, "--out", folder)
            assert code == (1 if isinstance(stops, OSError) else 130)
            assert order in out + err
            assert json.loads(run(*SEARCH, "--json", "--out", folder)[1])["complete"]


def test_an_interrupt_in_the_conversion_of_a_path_stays_one(tmp_path):
    class Path:
        def __fspath__(self):
            raise KeyboardInterrupt

    for call in (pyorder.Dataset.open, pyorder.Dataset([[1]], [[1, 2]]).save):
        with pytest.raises(KeyboardInterrupt):
            call(Path())


def test_docstring_examples(doctests):
    doctests(_streams)
