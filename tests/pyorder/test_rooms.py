"""Imports go one way, from the ground floor up: a room knows nothing of those above it."""

import ast
import graphlib
import importlib
import pickle
import sys
from pathlib import Path

import pytest

import pyorder
from pyorder._moved import MOVED

PACKAGE = Path(pyorder.__file__).parent
# From below; those in one line know nothing of each other.
FLOORS = [
    {"_core", "kernels"},
    {"_checks", "_disk", "_moved", "_statistics", "_values", "errors"}
    | {"execution", "losses", "progress", "streams", "world"},
    {"orders"},
    {"data"},
    {"runs"},
    {"models"},
    {"training"},
    {"profiling", "dependencies"},
    {"search"},
    {"report"},
    {"reproduce"},
    {"cli"},
]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def imported(path):
    """Modules of pyorder that a file imports anywhere in it, for types too: (module, name) pairs."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module, alias.name) for alias in node.names)


def rooms_of(path):
    for module, name in imported(path):
        if module == "pyorder":
            yield name
        elif module.startswith("pyorder."):
            yield module.split(".")[1]


SOURCES = [path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in FLOOR_OF]


def test_every_file_is_in_a_room():
    tops = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert tops - {"__init__", "__main__", "_version"} == set(FLOOR_OF) & tops
    assert len(SOURCES) > 60


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in set(rooms_of(path)) - {room, "__version__"}:
        assert other in FLOOR_OF, f"{path} imports {other}, the package's own face"
        lower = FLOOR_OF[other] < FLOOR_OF[room]
        ground = FLOOR_OF[other] == FLOOR_OF[room] == 1  # files of the ground floor, without a circle
        assert lower or ground, f"{path} imports {other}, which is not below {room}"


def module_of(path):
    return ".".join(["pyorder", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def test_no_circles():
    """Not for types either. A room's face only hands on, so what is imported from it is not looked at further."""
    files = {module_of(path): path for path in SOURCES if path.stem != "__init__"}
    arrows = {}
    for module, path in files.items():
        whole = {f"{origin}.{name}" for origin, name in imported(path)} | {origin for origin, _ in imported(path)}
        arrows[module] = whole & set(files) - {module}
    assert sum(map(len, arrows.values())) > 150
    graphlib.TopologicalSorter(arrows).prepare()  # CycleError names the circle


def test_the_drawing_in_the_docs_is_of_these_imports():
    """A room is drawn with an arrow to each room that it imports from; the ground floor is one."""
    ground = FLOORS[0] | FLOORS[1]
    arrows = set()
    for path in SOURCES:
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in ground:
            arrows |= {(room, "ground" if other in ground else other) for other in set(rooms_of(path)) - {room}}
    text = (Path(__file__).resolve().parents[2] / "docs" / "rooms.md").read_text()
    drawn = {tuple(line.strip().split(" --> ")) for line in text.splitlines() if "-->" in line}
    assert drawn == {arrow for arrow in arrows if arrow[1] in set(FLOOR_OF) | {"ground"}}


@pytest.mark.parametrize("old", MOVED)
def test_old_names_are_the_new_modules_and_say_so(old):
    sys.modules.pop(f"pyorder.{old}", None)
    vars(pyorder).pop(old, None) if old not in pyorder.__all__ else None
    with pytest.warns(DeprecationWarning, match=f"^pyorder.{old} is pyorder.{MOVED[old]} now$"):
        module = importlib.import_module(f"pyorder.{old}")
    new = importlib.import_module(f"pyorder.{MOVED[old]}")
    assert module is new
    assert new.__spec__.name == f"pyorder.{MOVED[old]}"


def test_what_was_pickled_under_an_old_name_is_read():
    data = pyorder.Dataset([[1], [2]], [[1, 2], [2, 1]])
    old = (
        pickle.dumps(data, protocol=0)
        .replace(b"cpyorder.data.dataset", b"cpyorder.dataset")
        .replace(b"pyorder.data.dataset", b"pyorder.dataset")
    )
    sys.modules.pop("pyorder.dataset", None)
    with pytest.warns(DeprecationWarning, match="pyorder.dataset is"):
        assert pickle.loads(old).targets.tolist() == [[1, 2], [2, 1]]
