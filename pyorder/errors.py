"""Errors that pyorder raises for what a caller gave; anything else that escapes is a bug."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """What was given cannot be used; the message names the argument, what was given and what is allowed.

    Examples
    --------
    >>> raise InputError("length: expected an integer of at least 2, got 1")
    Traceback (most recent call last):
    pyorder.errors.InputError: length: expected an integer of at least 2, got 1
    """
