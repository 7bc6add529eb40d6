"""Errors that pyorder raises for what a caller gave; anything else that escapes is a bug."""

from __future__ import annotations

__all__ = ["InputError", "ProcessLostError"]


class InputError(ValueError):
    """What was given cannot be used; the message names the argument, what was given and what is allowed.

    Examples
    --------
    >>> raise InputError("length: expected an integer of at least 2, got 1")
    Traceback (most recent call last):
    pyorder.errors.InputError: length: expected an integer of at least 2, got 1
    """


class ProcessLostError(RuntimeError):
    """One of several processes that do a piece of work together has ended, and the others cannot go on.

    Examples
    --------
    >>> raise ProcessLostError("another process of this run is gone")
    Traceback (most recent call last):
    pyorder.errors.ProcessLostError: another process of this run is gone
    """
