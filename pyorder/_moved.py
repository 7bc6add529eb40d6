"""Modules that have moved: their old names work until version 0.3, with a warning that names the new one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Old name -> new name, below pyorder. `training`, `profiling` and `dependencies` are rooms of the same name now,
# which hand on their public names.
MOVED = {
    "any_order": "models.any_order",
    "attention": "models.attention",
    "contract": "models.learner",
    "dataset": "data.dataset",
    "exploration": "dependencies.explorer",
    "linear_ordering": "orders.linear_ordering",
    "model": "models.decoder",
    "moves": "orders.moves",
    "permutations": "orders.permutations",
    "plots": "report.plots",
    "posets": "orders.posets",
    "precedence": "dependencies.statistics",
    "safetensors": "data.files",
    "scoring": "profiling.scoring",
    "soft_permutations": "search.soft_permutations",
    "tasks": "data.tasks",
    "trainer": "training.trainer",
}


class Mover(MetaPathFinder, Loader):
    """Finds a moved module under its old name, as the same object: what is set in one is set in the other."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the names in the table only."""
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "pyorder" and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Warn, and give the module under its new name."""
        new = f"pyorder.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(f"{spec.name} is {new} now", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing; undo what the import system has just done to the module's specification."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def keep_old_names() -> None:
    """Let Python ask for a moved module last, when nothing else knows its name."""
    sys.meta_path.append(Mover())
