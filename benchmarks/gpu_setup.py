"""What has to be there before a GPU's minutes are spent: packages, a compiler, and pyorder as it is here."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SOURCES = ("csrc", "kernels", "pyorder", "CMakeLists.txt", "pyproject.toml")

NEEDED = ("torch", "triton", "numpy", "safetensors", "typer", "rich", "matplotlib", "scipy")
FOR_TESTS = ("pytest", "hypothesis")
TO_BUILD = ("scikit_build_core", "pybind11")
PACKAGES = {"liger_kernel": "liger-kernel", "scikit_build_core": "scikit-build-core"}  # names on PyPI that differ
LEAVE_OUT = ("liger", "transformers", "pytest", "compiler")


def missing(without: list[str], wheels: Path | None) -> list[str]:
    """Say of each thing that is missing, in a line, how to bring it; ``without`` names what is not wanted."""
    carried = {wheel.name.split("-")[0].lower() for wheel in sorted(wheels.glob("*.whl"))} if wheels else set()
    wanted = list(NEEDED)
    if "pytest" not in without:
        wanted += FOR_TESTS
    if "transformers" not in without:
        wanted.append("transformers")
    if "liger" not in without:
        wanted.append("liger_kernel")
    if "pyorder" not in carried and not is_installed():
        wanted += TO_BUILD
    said = [f"--wheels {wheels}: there is no wheel in that folder"] if wheels and not carried else []
    for module in wanted:
        if importlib.util.find_spec(module) is None and module.lower() not in carried:
            package = PACKAGES.get(module, module)
            leave = next((word for word in LEAVE_OUT if module.startswith(word)), None)
            otherwise = f", or leave it out: --without {leave}" if leave else ""
            said.append(
                f"{package} is missing: pip install {package}, or bring its wheel in a folder "
                f"(pip download --no-deps {package}) and name that: --wheels FOLDER{otherwise}"
            )
    named = os.environ.get("CC")
    if "compiler" not in without and not any(
        shutil.which(name) for name in (("gcc", "clang") if named is None else (named,))
    ):
        said.append(
            "a C compiler is missing, with which Triton and torch.compile launch their kernels: install gcc, "
            "name one in CC, or leave the kernels out: --without compiler"
        )
    return said


def python_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def is_installed(path: Path | None = None) -> bool:
    """Whether the package that is imported, or lies in ``path``, has a compiled part and this checkout's files."""
    if path is None:
        spec = importlib.util.find_spec("pyorder")
        if spec is None or spec.origin is None:
            return False
        path = Path(spec.origin).parent.parent
    package = path / "pyorder"
    if not list(package.glob("_core*.so")):
        return False
    here = python_files(CHECKOUT / "pyorder")
    here |= {f"kernels/{name}": text for name, text in python_files(CHECKOUT / "kernels").items()}
    return python_files(package) == here


def install(target: Path, wheels: Path | None, seconds: float) -> None:
    """Put what is carried, and pyorder where it is not among that, into a folder; SystemExit says what failed."""
    carried = [str(wheel) for wheel in sorted(wheels.glob("*.whl"))] if wheels else []
    if not any(Path(wheel).name.startswith("pyorder-") for wheel in carried) and not is_installed():
        carried.append(str(CHECKOUT))
    if not carried:
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    command = [*pip, "--disable-pip-version-check", "--target", str(target), *carried]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"pip was not done within {seconds:.0f} s: {' '.join(carried)}") from None
    if done.returncode:
        raise SystemExit(f"pip failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    if (target / "pyorder").exists() and not is_installed(target):
        raise SystemExit("the wheel of pyorder is not of this checkout: its files differ. Build it again")


def revision() -> str:
    """The commit, and a mark of the sources where they are not the commit's; the mark alone where git is not."""
    digest = hashlib.sha256()
    for name in SOURCES:
        root = CHECKOUT / name
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so":
                digest.update(f"{path.relative_to(CHECKOUT)}\n".encode() + path.read_bytes())
    mark = f"sources-{digest.hexdigest()[:12]}"
    head, changed = git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain", "--", *SOURCES)
    if head is None or changed is None:
        return mark
    return f"{head}+{mark}" if changed else head


def git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
