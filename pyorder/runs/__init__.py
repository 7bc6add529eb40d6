"""Run folders: what a long call leaves on disk, and how it is read back."""

from pyorder.runs.folder import Run, StageRecord, load_run

__all__ = ["Run", "StageRecord", "load_run"]
