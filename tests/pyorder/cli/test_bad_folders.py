"""Run folders that were cut, edited or prepared by others: one line about the folder, whoever reads it."""

import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyorder
from pyorder.cli import main
from pyorder.errors import InputError

SQUARE = ["square", "--length", "4", "--train-rows", "600", "--validation-rows", "40", "--test-rows", "60"]
CHEAP = ["--steps", "3", "--device", "cpu", "--precision", "float32"]
DEEP = "[" * 100_000
REPORT = ["report", "run"]
HTML = ["report", "run", "--html"]
ORDER = ["train", *SQUARE, "--order", "@run", "--model", "nano", "--steps", 1]
EDGES = ["discover", *SQUARE, "--strategy", "random", "--steps", 3, "--no-fit", "--constraints", "@run"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A comparison, whose search explored, and a final training; made once."""
    folder = tmp_path_factory.mktemp("made")
    search = ["--strategy", "precedence", "--option", "rounds=1", "--fit-model", "nano", "--fit-steps", "3"]
    assert main(["discover", *SQUARE, *search, *CHEAP, "--out", str(folder / "whole")]) == 0
    fit = ["train", *SQUARE, "--order", "forward", "--model", "nano", *CHEAP, "--out", str(folder / "fit")]
    assert main(fit) == 0
    return folder


def changed(path, change):
    """Change a file: text in its place, or a function of what its JSON holds."""
    if isinstance(change, bytes):
        path.write_bytes(change)
        return
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(key, value):
    *above, last = key.split(".")

    def change(content):
        for name in above:
            content = content[name]
        content[last] = value

    return change


def drop(key):
    *above, last = key.split(".")

    def change(content):
        for name in above:
            content = content[name]
        del content[last]

    return change


FOLDERS = [
    # which file, what becomes of it, and what refuses it
    ("config.json", b"", REPORT),
    ("config.json", b"[]", REPORT),
    ("config.json", b"NaN", REPORT),
    ("config.json", b"\xff", REPORT),
    ("config.json", DEEP.encode(), REPORT),
    ("config.json", put("kind", "study"), REPORT),
    ("config.json", put("kind", ["search"]), REPORT),
    ("config.json", drop("kind"), REPORT),
    ("config.json", drop("settings"), REPORT),
    ("config.json", put("settings", 3), REPORT),
    ("config.json", put("date", None), HTML),
    ("result.json", b"null", REPORT),
    ("result.json", DEEP.encode(), ORDER),
    ("result.json", put("order", "0,1"), ORDER),
    ("result.json", put("order", None), ORDER),
    ("result.json", put("order", [0, 1]), ORDER),
    ("result.json", put("order", [0, 1, 2, 10**30]), ORDER),
    ("result.json", put("order", {"0": 1}), ORDER),
    ("result.json", put("search", []), EDGES),
    ("result.json", put("search.order", None), EDGES),
    ("result.json", put("search.exploration", 3), EDGES),
    ("result.json", put("search.exploration", {"dependencies": [{"before": 0}]}), EDGES),
    ("result.json", put("search.exploration", {"dependencies": [{"before": 0, "after": 9}]}), EDGES),
    ("result.json", put("search.constraints", 5), EDGES),
    ("result.json", put("fits", [1]), REPORT),
    ("result.json", put("fits", {"discovered": "x"}), REPORT),
    ("result.json", put("data", None), REPORT),
    ("result.json", put("data", {"rows": 3}), REPORT),
    ("search/config.json", b"{", REPORT),
    ("search/result.json", drop("order"), REPORT),
    ("search/result.json", drop("stages"), REPORT),
    ("search/result.json", put("stages", "x"), REPORT),
    ("search/result.json", put("options", None), REPORT),
    ("search/result.json", put("seconds", "x"), REPORT),
    ("search/result.json", put("exploration", {"dependencies": 3}), REPORT),
    ("search/result.json", put("verdict", "surely"), HTML),
    ("search/history.safetensors", b"", HTML),
    ("search/precedence.safetensors", b"\0" * 100, HTML),
    ("reverse/result.json", b"[]", REPORT),
]


@pytest.mark.parametrize(("name", "change", "words"), FOLDERS, ids=range(len(FOLDERS)))
def test_damaged_run_folders_are_refused(refused, tmp_path, made, name, change, words):
    shutil.copytree(made / "whole", tmp_path / "run")
    changed(tmp_path / "run" / name, change)
    line = refused(*words)
    assert line.startswith(("RUN_DIR: ", "run_dir: ", "--order: ", "--constraints: "))
    assert len(line) < 700


@pytest.mark.parametrize("name", ["config.json", "result.json", "search/result.json"])
@pytest.mark.parametrize(
    "put_there", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()]
)
def test_what_is_no_file_in_a_run_folder_is_refused(refused, tmp_path, made, name, put_there):
    shutil.copytree(made / "whole", tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    put_there(tmp_path / "run" / name)
    assert "is no run folder" in refused(*REPORT)


def test_a_folder_that_links_to_itself_is_read_once(run, tmp_path, made):
    shutil.copytree(made / "whole", tmp_path / "run")
    for name in ("itself", "again"):
        (tmp_path / "run" / name).symlink_to(".")
    (tmp_path / "run" / "above").symlink_to("..")
    code, out, _ = run(*REPORT)
    assert code == 0
    assert "discovered" in out
    assert set(pyorder.runs.load_run("run").parts) > {"search", "itself"}
    assert not any(part.parts for part in pyorder.runs.load_run("run").parts.values())


def test_links_in_a_prepared_folder_lead_no_picture_and_no_result_elsewhere(run, tmp_path, made):
    shutil.copytree(made / "whole", tmp_path / "run")
    (tmp_path / "mine").write_text("mine")
    for name in ("order.png", "precedence.png", "learning_curves.png", "report.html"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
        (tmp_path / "run" / name).symlink_to(tmp_path / "mine")
    code, out, _ = run(*HTML)
    assert code == 0
    assert "report.html" in out
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "run" / "report.html").is_symlink()


def test_what_a_terminal_would_obey_is_spelt(run, tmp_path, made):
    shutil.copytree(made / "whole", tmp_path / "run")
    for change in (put("data.task", "\x1b[2J\x9b8m"), put("left_out", ["\x07"])):
        changed(tmp_path / "run" / "result.json", change)
    changed(tmp_path / "run" / "search" / "result.json", put("remarks", ["\x1b]0;mine\x07 \u202e"]))
    _, out, err = run(*REPORT)
    assert "\\x1b[2J\\x9b8m" in out
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & {*out, *err}


ARCHITECTURE = "settings.architecture"
FITTED = [
    ("config.json", put(f"{ARCHITECTURE}.layers", 10**9)),
    ("config.json", put(f"{ARCHITECTURE}.layers", 2)),
    ("config.json", put(f"{ARCHITECTURE}.width", 10**9)),
    ("config.json", put(f"{ARCHITECTURE}.width", 10**18)),
    ("config.json", put(f"{ARCHITECTURE}.feed_forward", 10**15)),
    ("config.json", put(f"{ARCHITECTURE}.heads", 0)),
    ("config.json", put(f"{ARCHITECTURE}.heads", "2")),
    ("config.json", put(f"{ARCHITECTURE}.dropout", "x")),
    ("config.json", put(f"{ARCHITECTURE}.embedding_std", "x")),
    ("config.json", put(f"{ARCHITECTURE}.psychic", 1)),
    ("config.json", put(ARCHITECTURE, "nano")),
    ("config.json", drop(ARCHITECTURE)),
    ("config.json", drop(f"{ARCHITECTURE}.width")),
    ("config.json", drop("settings.vocabulary")),
    ("config.json", put("settings.vocabulary", "abc")),
    ("config.json", put("settings.vocabulary", [0.5])),
    ("config.json", put("settings.vocabulary", [10**30])),
    ("config.json", put("settings.vocabulary", list(range(5000)))),
    ("config.json", drop("settings.schema")),
    ("config.json", put("settings.schema", "{}")),
    ("config.json", put("settings.schema", DEEP)),
    ("config.json", drop("settings.model")),
    ("result.json", drop("order")),
    ("result.json", put("order", [0, 0, 1, 2])),
    ("result.json", put("order", [0, 1])),
    ("result.json", put("order", "x")),
    ("result.json", drop("seconds")),
    ("fit.safetensors", b""),
    ("model.safetensors", b"\0" * 64),
]


@pytest.mark.parametrize(("name", "change"), FITTED, ids=range(len(FITTED)))
def test_edited_final_trainings_are_refused(tmp_path, made, name, change):
    shutil.copytree(made / "fit", tmp_path / "run")
    changed(tmp_path / "run" / name, change)
    with pytest.raises(InputError, match=r"^(run_dir|model): .*run") as refused:
        pyorder.Fitted.load(tmp_path / "run")
    assert "\n" not in str(refused.value)


def test_final_trainings_without_an_array_or_with_other_weights_are_refused(tmp_path, made):
    shutil.copytree(made / "fit", tmp_path / "run")
    arrays = load_file(tmp_path / "run" / "fit.safetensors")
    save_file(
        {name: array for name, array in arrays.items() if name != "success"}, tmp_path / "run" / "fit.safetensors"
    )
    with pytest.raises(InputError, match="is damaged.*success"):
        pyorder.Fitted.load(tmp_path / "run")
    save_file({"weight": np.zeros(3)}, tmp_path / "run" / "model.safetensors")
    with pytest.raises(InputError, match="its weights are of no model"):
        pyorder.Fitted.load(tmp_path / "run")
