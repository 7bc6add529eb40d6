"""Data: what a user holds, the tasks that make it, and the files that keep it."""

from pyorder.data.dataset import Dataset, Splits
from pyorder.data.field import Field
from pyorder.data.files import read_safetensors, write_safetensors
from pyorder.data.reordering import Reordering, reorder, restore
from pyorder.data.schema import IGNORED, Schema
from pyorder.data.tasks import Task, make_task, satisfied_dependencies, task_names

__all__ = [
    "IGNORED",
    "Dataset",
    "Field",
    "Reordering",
    "Schema",
    "Splits",
    "Task",
    "make_task",
    "read_safetensors",
    "reorder",
    "restore",
    "satisfied_dependencies",
    "task_names",
    "write_safetensors",
]
