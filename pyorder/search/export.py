"""What was found, in the terms of other tools: JSON schemas, pydantic models, pairs of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from types import UnionType, new_class
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from pyorder.data._nesting import by_key
from pyorder.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

__all__ = ["ordered_model", "ordered_schema"]

_CHOICES = ("anyOf", "oneOf", "allOf")


def ordered_schema(schema: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A JSON schema whose ``properties`` and ``required`` are in the sequence of names, behind all others.

    A name with dots leads into properties that are objects; where that goes through a ``$ref``, a copy of what it
    refers to takes its place. Of ``anyOf``, ``oneOf`` and ``allOf`` the one member that has properties is taken.

    Raises
    ------
    TypeError, InputError
        For what is no schema of an object, and a name that is no property.

    Examples
    --------
    >>> schema = {"properties": {"answer": {}, "plan": {}, "id": {}}, "required": ["answer", "id", "plan"]}
    >>> ordered_schema(schema, ["plan", "answer"])
    {'properties': {'id': {}, 'plan': {}, 'answer': {}}, 'required': ['id', 'plan', 'answer']}
    """
    if not isinstance(schema, Mapping):
        raise TypeError(f"schema: expected a JSON schema as a mapping, got {type(schema).__name__}")
    return _ordered(schema, names, schema, "")


def _ordered(
    schema: Mapping[str, Any], names: Sequence[str], root: Mapping[str, Any], inside: str
) -> dict[str, Any]:
    made = dict(_resolved(schema, root, inside))
    if "properties" not in made:
        keyword, place = _object_among(made, root, inside)
        members = list(made[keyword])
        members[place] = _ordered(members[place], names, root, inside)
        return made | {keyword: members}
    properties = made["properties"]
    parts = by_key(names, properties, "schema", inside)
    ordered = {key: told for key, told in properties.items() if key not in parts}
    for key, within in parts.items():
        told = properties[key]
        ordered[key] = _ordered(told, within, root, f"{inside}{key}.") if within else told
    made["properties"] = ordered
    if "required" in made:
        place_of = {key: place for place, key in enumerate(ordered)}
        made["required"] = sorted(made["required"], key=lambda key: place_of.get(key, -1))
    return made


def _resolved(schema: Mapping[str, Any] | bool, root: Mapping[str, Any], inside: str) -> Mapping[str, Any]:
    """A schema with what it refers to in its place; what stands beside a reference counts too."""
    if not isinstance(schema, Mapping):  # true and false are schemas too
        return {}
    followed: set[str] = set()
    while isinstance(told := schema.get("$ref"), str):
        target: Any = root
        for key in told.split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        if told in followed or not told.startswith("#/") or not isinstance(target, Mapping):
            raise InputError(f"schema: {_called(inside)} refers to {told!r}, which leads to nothing in it")
        followed.add(told)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _object_among(schema: Mapping[str, Any], root: Mapping[str, Any], inside: str) -> tuple[str, int]:
    """The keyword and place of the one member of a choice that is an object."""
    there = [
        (keyword, place)
        for keyword in _CHOICES
        for place, member in enumerate(schema.get(keyword, ()))
        if "properties" in _resolved(member, root, inside)
    ]
    if len(there) != 1:
        found = f"{len(there)} of them" if there else "none"
        raise InputError(f"schema: expected an object with properties as {_called(inside)}, got {found}")
    return there[0]


def _called(inside: str) -> str:
    return repr(inside[:-1]) if inside else "the schema"


def ordered_model(model: type[Model], names: Sequence[str]) -> type[Model]:
    """A pydantic model like another, its subclass, with fields in the sequence of names, behind all others.

    See `pyorder.Discovery.model`.
    """
    try:
        from pydantic import BaseModel
    except ImportError:
        raise ImportError("model: needs pydantic (pip install pydantic)") from None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"model: expected a class of pydantic's BaseModel, got {model!r:.80}")
    return _ordered_model(model, names, BaseModel, "")


def _ordered_model(model: type[Model], names: Sequence[str], base: type[BaseModel], inside: str) -> type[Model]:
    told = {name: getattr(model, name) for name in ("__module__", "__qualname__", "__doc__")}
    made: type[Model] = new_class(model.__name__, (model,), exec_body=lambda namespace: namespace.update(told))
    # A subclass begins with its parent's fields, in copies of its own: sorting those is all that is left to do.
    fields = made.model_fields
    called = {
        alias: name
        for name, field in fields.items()
        for alias in (name, field.alias, field.validation_alias, field.serialization_alias)
        if isinstance(alias, str)
    }
    for key, within in by_key(names, called, "model", inside).items():
        name = called[key]
        field = fields.pop(name)
        if within:
            field.annotation = _ordered_annotation(field.annotation, within, base, f"{inside}{key}.")
        fields[name] = field
    made.model_rebuild(force=True)
    return made


def _ordered_annotation(annotation: Any, names: Sequence[str], base: type[BaseModel], inside: str) -> Any:
    """The type of a field that is a model, or a model or something else, with that model's fields in sequence."""
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    models = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, base)]
    if len(models) != 1:
        raise InputError(f"model: expected a model as the type of {inside[:-1]!r}, got {annotation!r:.80}")
    ordered: Any = _ordered_model(models[0], names, base, inside)
    return reduce(or_, (ordered if choice is models[0] else choice for choice in choices))
