"""Find the order in which an autoregressive model learns to write its steps, from the data alone.

An order is an integer array of length L: ``order[j]`` is the canonical step that is emitted at slot j,
so the reordered target is ``targets[:, order]``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import pyorder._core.permutation  # noqa: F401
except ImportError as error:
    raise ImportError(
        "pyorder's compiled part (pyorder._core) cannot be loaded. Install the package with `pip install .`; "
        "if it is installed, Python is importing the source folder in the current directory instead of it: "
        f"run from another directory, or run scripts by path. The cause: {error}"
    ) from error

from pyorder._moved import MOVED, keep_old_names

if TYPE_CHECKING:
    from pyorder import losses, report, runs, search
    from pyorder.cli.sweeping.cell import Cell
    from pyorder.cli.sweeping.sweep import sweep
    from pyorder.cli.sweeping.table import SweepTable
    from pyorder.data import (
        Dataset,
        Reordering,
        Splits,
        Task,
        make_task,
        reorder,
        restore,
        satisfied_dependencies,
        task_names,
    )
    from pyorder.models import Architecture, JsonRecords, LanguageModel, Learner
    from pyorder.orders import linear_ordering, moves, permutations, posets
    from pyorder.profiling.field_orders import FieldOrders
    from pyorder.profiling.profile import profile
    from pyorder.profiling.result import Profile
    from pyorder.progress import Progress
    from pyorder.search import Budget, Discovery, Verdict, strategy_names
    from pyorder.search.discover import discover
    from pyorder.training import PRESETS, Preset, Recipe
    from pyorder.training.fit import fit
    from pyorder.training.fitted import Fitted
    from pyorder.world import World

keep_old_names()

__all__ = [
    "PRESETS",
    "Architecture",
    "Budget",
    "Cell",
    "Dataset",
    "Discovery",
    "FieldOrders",
    "Fitted",
    "JsonRecords",
    "LanguageModel",
    "Learner",
    "Preset",
    "Profile",
    "Progress",
    "Recipe",
    "Reordering",
    "Splits",
    "SweepTable",
    "Task",
    "Verdict",
    "World",
    "discover",
    "fit",
    "linear_ordering",
    "losses",
    "make_task",
    "moves",
    "permutations",
    "posets",
    "profile",
    "reorder",
    "report",
    "restore",
    "runs",
    "satisfied_dependencies",
    "search",
    "strategy_names",
    "sweep",
    "task_names",
]

# All is imported when it is first asked for: help comes at once, making data needs no torch, and a command is soon
# where it can answer Ctrl-C.
_FROM = {
    "PRESETS": "pyorder.training",
    "Architecture": "pyorder.models",
    "Budget": "pyorder.search",
    "Cell": "pyorder.cli.sweeping.cell",
    "Dataset": "pyorder.data",
    "Discovery": "pyorder.search",
    "FieldOrders": "pyorder.profiling",
    "Fitted": "pyorder.training",
    "JsonRecords": "pyorder.models",
    "LanguageModel": "pyorder.models",
    "Learner": "pyorder.models",
    "Preset": "pyorder.training",
    "Profile": "pyorder.profiling",
    "Progress": "pyorder.progress",
    "Recipe": "pyorder.training",
    "Reordering": "pyorder.data",
    "Splits": "pyorder.data",
    "SweepTable": "pyorder.cli.sweeping.table",
    "Task": "pyorder.data",
    "Verdict": "pyorder.search",
    "World": "pyorder.world",
    "discover": "pyorder.search",
    "fit": "pyorder.training",
    "make_task": "pyorder.data",
    "profile": "pyorder.profiling",
    "reorder": "pyorder.data",
    "restore": "pyorder.data",
    "satisfied_dependencies": "pyorder.data",
    "strategy_names": "pyorder.search",
    "sweep": "pyorder.cli.sweeping.sweep",
    "task_names": "pyorder.data",
}
_MODULES = {name: f"pyorder.{name}" for name in ("data", "errors", "losses", "orders", "report", "runs", "search")}
_MODULES |= {name: f"pyorder.orders.{name}" for name in ("linear_ordering", "moves", "permutations", "posets")}
__version__: str


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _FROM:
        return getattr(import_module(_FROM[name]), name)
    if name == "__version__":
        from importlib import metadata

        return metadata.version("pyorder")
    if name in MOVED:
        return import_module(f"pyorder.{name}")
    raise AttributeError(f"module 'pyorder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
