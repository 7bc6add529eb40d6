"""Stubs of the compiled part say what pybind11 says of its functions: stubtest sees names, and no arguments."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import pyorder

FOLDER = Path(pyorder.__file__).parent / "_core"
SIGNATURE = re.compile(r"^(?:\d+\. )?(\w+\((?!\*args).*\) -> .+)$", re.MULTILINE)


def stubbed(stub):
    """Functions and methods in a stub file: the path of names to it, and its definition."""
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if not member.decorator_list:  # a property
                    yield f"{node.name}.{member.name}", member


FUNCTIONS = [
    pytest.param(file.stem, name, node, id=f"{file.stem}.{name}")
    for file in sorted(FOLDER.glob("[!_]*.pyi"))
    for name, node in stubbed(ast.parse(file.read_text()))
]


def plain(annotation):
    """An annotation without modules' names, and without what pybind11 does not say."""
    text = re.sub(r"\b(?:np|numpy|typing|pyorder|_core|poset|tasks)\.", "", ast.unparse(annotation))
    text = text.replace("bool_", "bool")
    text = re.sub(r"\b(dict|list|tuple|Mapping|Sequence)\[.*\]$", r"\1", text)
    return re.sub(r"^NDArray\[Any\]$", "ndarray", text)


@pytest.mark.parametrize(("module", "name", "stub"), FUNCTIONS)
def test_a_stub_has_the_arguments_and_the_result_of_the_function(module, name, stub):
    value = import_module("pyorder._core").__dict__[module]
    for part in name.split("."):
        value = getattr(value, part)
    told = [ast.parse(f"def {line}: ...").body[0] for line in SIGNATURE.findall(value.__doc__)]
    assert told
    for function in told:
        assert [argument.arg for argument in function.args.args] == [argument.arg for argument in stub.args.args]
        assert list(map(ast.unparse, function.args.defaults)) == list(map(ast.unparse, stub.args.defaults))
        assert plain(function.returns) == plain(stub.returns)


def test_every_file_of_stubs_was_read():
    assert {param.values[0] for param in FUNCTIONS} == {file.stem for file in FOLDER.glob("[!_]*.pyi")}
    assert len(FUNCTIONS) > 40
