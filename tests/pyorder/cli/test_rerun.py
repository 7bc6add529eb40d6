"""`pyorder rerun`: what agrees, what differs and where, and what there is no way to repeat."""

import json
import shutil
from contextlib import chdir

import numpy as np
import pytest
import safetensors.numpy
import torch

from pyorder.cli import main, rerun

SIZES = ["--train-rows", "300", "--validation-rows", "20", "--test-rows", "20", "--device", "cpu"]
SEARCH = ["--strategy", "random", "--option", "candidates=4", "--option", "pool=4", "--steps", "3"]
ASKED = ["square", "--length", "4", *SIZES, *SEARCH, "--fit-model", "nano", "--fit-steps", "2", "--seed", "5"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run of few steps."""
    folder = tmp_path_factory.mktemp("rerun") / "run"
    with chdir(folder.parent):  # as those that repeat it, in no git repository
        assert main(["discover", *ASKED, "--first", "2", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(kept, tmp_path):
    """A copy to change; the difference that one more run finds."""
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    return folder


def changed(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_run_agrees_with_itself(kept, run):
    code, out, err = run("rerun", kept)
    assert code == 0, err
    assert out.splitlines() == ["AGREES: order, losses and weights are the same in every bit."]


def test_what_comes_out_can_be_kept(kept, told, tmp_path):
    assert told("rerun", kept, "--out", "again") == {"agrees": True, "circumstances": [], "differences": []}
    weights = "discovered/model.safetensors"
    assert (tmp_path / "again" / weights).read_bytes() == (kept / weights).read_bytes()


def test_it_is_not_compared_with_itself(kept, refused):
    assert refused("rerun", kept, "--out", kept) == "--out: a new folder is needed, not the run's own"


def test_one_bit_of_a_weight_is_found(copied, run):
    path = copied / "discovered" / "model.safetensors"
    arrays = safetensors.numpy.load_file(path)
    name = sorted(arrays)[0]
    arrays[name].reshape(-1).view(np.uint32)[0] ^= 1
    safetensors.numpy.save_file(arrays, path)
    code, out, _ = run("rerun", copied)
    assert code == 1
    assert out.startswith("DIFFERS")
    assert f"discovered/model.safetensors: {name}" in out
    assert "1 of " in out


def test_what_differs_is_told_and_first_what_may_be_why(copied, run):
    changed(copied / "result.json", lambda told: told["order"].reverse())
    changed(copied / "config.json", lambda told: told["versions"].update(torch="1.0"))
    changed(copied / "search" / "config.json", lambda told: told["versions"].update(torch="1.0"))
    (copied / "search" / "history.safetensors").unlink()
    code, out, _ = run("rerun", copied, "--json")
    told = json.loads(out)
    assert code == 1
    assert not told["agrees"]
    now = json.dumps(torch.__version__)
    assert told["circumstances"] == [{"what": "versions.torch", "before": '"1.0"', "after": now}]
    assert [one["what"] for one in told["differences"]] == ["result.json: order", "search/history.safetensors"]
    assert told["differences"][1] == {
        "what": "search/history.safetensors", "before": "missing", "after": "there",
    }  # fmt: skip
    code, out, _ = run("rerun", copied)
    assert out.index("versions.torch") < out.index("DIFFERS") < out.index("result.json: order")


def test_as_many_threads_as_the_run_had_and_no_more_afterwards(copied, run, monkeypatch):
    before, asked = torch.get_num_threads(), []
    changed(copied / "search" / "config.json", lambda told: told.update(threads=before + 1))
    discover = rerun._discover

    def watched(arguments):
        asked.append(torch.get_num_threads())
        discover(arguments)

    monkeypatch.setattr(rerun, "_discover", watched)
    run("rerun", copied)
    assert asked == [before + 1]
    assert torch.get_num_threads() == before


def test_what_cannot_be_repeated_is_refused(copied, refused):
    assert "no run folder" in refused("rerun", "nowhere")
    assert "no run of `pyorder discover`" in refused("rerun", copied / "search")
    (copied / "journal").mkdir()
    assert "has not ended" in refused("rerun", copied)
    (copied / "journal").rmdir()
    changed(copied / "config.json", lambda told: told["settings"]["arguments"].update(moons=3))
    assert "'moons'" in refused("rerun", copied)


def test_a_repeated_run_that_was_interrupted_goes_on(kept, run, monkeypatch, tmp_path):
    import pyorder.training

    def stop(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pyorder.training, "fit", stop)
        for words in (("--out", "again"), ()):
            code, out, err = run("rerun", kept, *words)
            assert (code, out) == (130, "")
        assert "/pyorder-rerun-" not in err
    assert (tmp_path / "again" / "search" / "result.json").exists()
    assert run("rerun", kept, "--out", "again")[0] == 0
