"""What was found, in the terms of other tools: they read it, and keep to it."""

import copy
import json
from dataclasses import replace
from typing import Annotated

import numpy as np
import pytest

import pyorder
from pyorder import Dataset
from pyorder.dependencies.graph import Dependency
from pyorder.errors import InputError
from pyorder.orders.posets import Poset
from pyorder.search import export
from pyorder.search.export import ordered_model, ordered_schema

pydantic = pytest.importorskip("pydantic")
from pydantic import BaseModel, Field, field_validator  # noqa: E402


class Answer(BaseModel):
    unit: str = "m"
    value: int = Field(gt=0)


class Reply(BaseModel):
    """What a model writes."""

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    question: str
    answer: Answer
    plan: str = Field(alias="thePlan", default="none")
    tools: list[str] = Field(default_factory=list)

    @field_validator("plan")
    @classmethod
    def _stripped(cls, value):
        return value.strip()

    @property
    def short(self):
        return f"{self.plan}: {self.answer.value}"


ORDER = ["tools", "thePlan", "answer.value", "answer.unit"]
GIVEN = {"question": "?", "answer": {"value": 3}, "thePlan": " add "}


def test_examples(doctests):
    doctests(export)
    doctests("pyorder.search.discovery")


def test_a_model_writes_its_fields_in_the_order():
    made = ordered_model(Reply, ORDER)
    reply = made.model_validate(GIVEN)
    wanted = '{"question":"?","tools":[],"thePlan":"add","answer":{"value":3,"unit":"m"}}'
    assert reply.model_dump_json(by_alias=True) == wanted
    assert list(made.model_json_schema()["properties"]) == ["question", "tools", "thePlan", "answer"]
    assert made.model_validate_json(wanted) == reply
    assert made(question="?", answer={"value": 1}).short == "none: 1"


def test_a_model_keeps_what_the_given_one_has():
    made = ordered_model(Reply, ORDER)
    assert issubclass(made, Reply)
    assert (made.__name__, made.__doc__, made.__module__) == ("Reply", "What a model writes.", Reply.__module__)
    for wrong in ({**GIVEN, "answer": {"value": 0}}, {**GIVEN, "more": 1}, {"question": "?"}):
        with pytest.raises(pydantic.ValidationError):
            made.model_validate(wrong)
    one, other = made.model_validate(GIVEN), made.model_validate(GIVEN)
    assert one.tools is not other.tools
    assert list(Reply.model_fields) == ["question", "answer", "plan", "tools"]  # the given one is left alone
    assert list(Answer.model_fields) == ["unit", "value"]
    assert Reply.model_validate(GIVEN).model_dump_json().startswith('{"question":"?","answer":{"unit":"m"')
    assert list(ordered_model(Reply, ["plan", "answer"]).model_fields) == ["question", "tools", "plan", "answer"]


def test_models_inside_of_unions_are_ordered_too():
    class Maybe(BaseModel):
        answer: Answer | None = None
        name: Annotated[str, Field(max_length=3)] = "x"

    made = ordered_model(Maybe, ["answer.value", "answer.unit", "name"])
    assert made(answer={"value": 1}).model_dump_json() == '{"answer":{"value":1,"unit":"m"},"name":"x"}'
    assert made().answer is None
    with pytest.raises(pydantic.ValidationError):
        made(name="long")

    class Several(BaseModel):
        answers: list[Answer]

    with pytest.raises(InputError, match=r"^model: expected a model as the type of 'answers', got list\["):
        ordered_model(Several, ["answers.value"])


@pytest.mark.parametrize(
    ("model", "names", "kind", "message"),
    [
        (dict, ORDER, TypeError, "model: expected a class of pydantic's BaseModel, got <class 'dict'>"),
        (Answer(value=1), ORDER, TypeError, "model: expected a class of pydantic's BaseModel, got Answer"),
        (
            Reply,
            ["plans"],
            InputError,
            "model: there is no 'plans'; there are question, answer, plan, thePlan, tools",
        ),
        (
            Reply,
            ["answer.size"],
            InputError,
            "model: there is no 'answer.size'; there are answer.unit, answer.value",
        ),
        (Reply, ["plan.x"], InputError, "model: expected a model as the type of 'plan', got <class 'str'>"),
    ],
)
def test_models_that_do_not_fit_are_refused(model, names, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        ordered_model(model, names)


def test_a_schema_tells_the_order_through_references():
    given = Reply.model_json_schema()
    before = copy.deepcopy(given)
    made = ordered_schema(given, ORDER)
    assert json.dumps(given) == json.dumps(before)
    assert list(made["properties"]) == ["question", "tools", "thePlan", "answer"]
    assert list(made["properties"]["answer"]["properties"]) == ["value", "unit"]
    assert made["properties"]["answer"]["type"] == "object"
    assert made["required"] == ["question", "answer"]
    assert made["additionalProperties"] is False
    whole = ordered_schema(given, ["answer", "tools"])["properties"]
    assert whole["answer"] == given["properties"]["answer"]  # nothing inside of it is named


def test_a_schema_and_a_model_say_the_same():
    def bare(schema):
        return json.dumps(schema["properties"]["answer"]["properties"]), list(schema["properties"])

    of_model = ordered_model(Reply, ORDER).model_json_schema()
    of_model["properties"]["answer"] = of_model["$defs"]["Answer"]
    assert bare(of_model) == bare(ordered_schema(Reply.model_json_schema(), ORDER))


def test_what_is_required_is_in_the_order():
    schema = {"properties": {"c": {}, "b": {}, "id": {}, "a": {}}, "required": ["c", "x", "a", "id"]}
    assert ordered_schema(schema, ["a", "b", "c"])["required"] == ["x", "id", "a", "c"]


def test_a_choice_is_ordered_where_it_is_an_object():
    inside = {"type": "object", "properties": {"x": {}, "y": {}}}
    schema = {
        "$ref": "#/$defs/top",
        "$defs": {
            "top": {"properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/in~1side"}]}}},
            "in/side": inside,
        },
    }
    made = ordered_schema(schema, ["a.y", "a.x"])
    null, ordered = made["properties"]["a"]["anyOf"]
    assert null == {"type": "null"}
    assert list(ordered["properties"]) == ["y", "x"]
    assert made["$defs"] == schema["$defs"]


@pytest.mark.parametrize(
    ("schema", "names", "kind", "message"),
    [
        ("{}", ["a"], TypeError, "schema: expected a JSON schema as a mapping, got str"),
        (
            {"type": "string"},
            ["a"],
            InputError,
            "schema: expected an object with properties as the schema, got none",
        ),
        (
            {"properties": {"a": True}},
            ["a.b"],
            InputError,
            "schema: expected an object with properties as 'a', got none",
        ),
        ({"properties": {"a": {}}}, ["b"], InputError, "schema: there is no 'b'; there are a"),
        (
            {"properties": {"a": {"properties": {}}}},
            ["a.b"],
            InputError,
            "schema: there is no 'a.b'; there are none",
        ),
        (
            {"properties": {"a": {}}},
            ["a.b"],
            InputError,
            "schema: expected an object with properties as 'a', got none",
        ),
        (
            {"anyOf": [{"properties": {}}, {"properties": {}}]},
            ["a"],
            InputError,
            "schema: .* the schema, got 2 of th",
        ),
        (
            {"$ref": "#/$defs/x"},
            ["a"],
            InputError,
            "schema: the schema refers to '#/.defs/x', which leads to nothing",
        ),
        (
            {"$ref": "other.json"},
            ["a"],
            InputError,
            "schema: the schema refers to 'other.json', which leads to noth",
        ),
        (
            {"$ref": "#/a", "a": {"$ref": "#/a"}},
            ["a"],
            InputError,
            "schema: the schema refers to '#/a', which leads",
        ),
    ],
)
def test_schemas_that_do_not_fit_are_refused(schema, names, kind, message):
    with pytest.raises(kind, match=f"^{message}"):
        ordered_schema(schema, names)


@pytest.fixture(scope="module")
def found():
    rows = np.random.default_rng(0).integers(0, 2, (60, 3))
    data = Dataset(None, rows, names=["plan", "call", "answer"])
    quick = pyorder.search.Precedence(rounds=1, samples=8)
    return pyorder.discover(data, validation=data, strategy=quick, steps=1, model="nano", seed=0)


def edge(before, after):
    return Dependency(before, after, benefit=1.0, standard_error=0.1, confidence=1.0, reversible=False)


def test_edges_are_those_of_the_reduced_graph(found):
    networkx = pytest.importorskip("networkx")
    told = replace(found.exploration, dependencies=(edge(1, 2), edge(0, 2)))
    chain = replace(found, exploration=told, constraints=Poset(3, [[0, 1]]))
    assert chain.edges() == [("plan", "call"), ("call", "answer")]  # plan before answer follows from them
    graph = networkx.DiGraph(chain.edges())
    assert list(networkx.topological_sort(graph)) == ["plan", "call", "answer"]
    assert replace(chain, step_names=()).edges() == [(0, 1), (1, 2)]
    bare = replace(found, exploration=replace(told, dependencies=()))
    assert bare.edges() == []


def test_a_search_that_looks_for_no_graph_has_no_edges(found):
    with pytest.raises(ValueError, match=r"^edges: the strategy 'random' looks for no dependency graph$"):
        replace(found, exploration=None, strategy="random").edges()


def test_what_was_found_is_written_by_its_names(found):
    order = replace(found, order=np.array([2, 0, 1]))
    schema = {"properties": {"call": {}, "answer": {}, "plan": {}}}
    assert list(order.schema(schema)["properties"]) == ["answer", "plan", "call"]

    class Row(BaseModel):
        call: int
        plan: int
        answer: int

    assert list(order.model(Row).model_fields) == ["answer", "plan", "call"]
    nameless = replace(order, step_names=())
    for call in (lambda: nameless.schema(schema), lambda: nameless.model(Row)):
        with pytest.raises(
            InputError, match="^names: expected data whose steps have names, got steps that are num"
        ):
            call()


def test_without_pydantic_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydantic", None)
    with pytest.raises(ImportError, match=r"^model: needs pydantic \(pip install pydantic\)$"):
        ordered_model(Reply, ORDER)
