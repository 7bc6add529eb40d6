"""Find the order in which an autoregressive model learns to write its steps, from the data alone.

An order is an integer array of length L: ``order[j]`` is the canonical step that is emitted at slot j,
so the reordered target is ``targets[:, order]``.
"""

try:
    from pyorder import _core  # noqa: F401
except ImportError as error:
    raise ImportError(
        "pyorder's compiled part (pyorder._core) cannot be loaded. Install the package with `pip install .`; "
        "if it is installed, Python is importing the source folder in the current directory instead of it: "
        f"run from another directory, or run scripts by path. The cause: {error}"
    ) from error

__version__ = "0.1.0"
