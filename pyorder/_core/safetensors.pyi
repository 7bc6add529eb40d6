from collections.abc import Mapping
from os import PathLike
from typing import Any

from numpy.typing import NDArray

def read(path: str | PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]: ...
def write(path: str | PathLike[str], arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None: ...
