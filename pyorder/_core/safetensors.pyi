from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from numpy.typing import NDArray

def list(path: str | PathLike[str]) -> dict[str, tuple[str, tuple[int, ...]]]: ...
def read(
    path: str | PathLike[str], names: Sequence[str] | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]: ...
def write(path: str | PathLike[str], arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None: ...
