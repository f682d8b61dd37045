"""The CRDs: what the converter keeps, drops and refuses, and what holds of every CRD that is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import pytest
import yaml
from pydantic import ConfigDict, Field, JsonValue

from jetbridge.api import crd
from jetbridge.api.common import ApiModel, Rule
from jetbridge.api.kinds import BY_KIND, KINDS, Kind

CRDS = Path(__file__).parents[3] / "crds"
CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())
Text = Annotated[str, Field(max_length=9)]


class Inner(ApiModel):
    """A part."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule(rule="self.a != self.b", message="differ", field_path=".b"),)

    a: Text = Field(description="One.")
    b: Text | None = Field(default="x", description="The other.")


def convert(annotation: Any, default: Any = ..., **field: Any) -> dict[str, Any]:
    """The schema of a model's one field `f` with this annotation."""
    described = {"description": "A field."} | field
    namespace = {
        "__doc__": "A model.",
        "__module__": __name__,
        "__annotations__": {"f": annotation},
        "f": Field(default, **described),
    }
    node = crd.structural_schema(type("Model", (ApiModel,), namespace))["properties"]["f"]
    assert isinstance(node, dict)
    return node


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def models(model: type[ApiModel]) -> Iterator[type[ApiModel]]:
    """A model and those it is made of."""
    yield model
    for field in model.model_fields.values():
        yield from _in_annotation(field.annotation)


def _in_annotation(annotation: Any) -> Iterator[type[ApiModel]]:
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        yield from models(annotation)
    for part in get_args(annotation):
        yield from _in_annotation(part)


def schema_of(kind: Kind) -> dict[str, Any]:
    """A kind's schema as its file holds it."""
    written = yaml.safe_load((CRDS / crd.file_name(kind)).read_text())
    schema = written["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert isinstance(schema, dict)
    return schema


NODES = [pytest.param(node, id=f"{kind.kind}{path}") for kind in KINDS for path, node in nodes(schema_of(kind))]
RULES = [
    pytest.param(kind, rule, id=f"{kind.kind}-{model.__name__}-{number}")
    for kind in KINDS
    for model in dict.fromkeys(models(kind.model))
    for number, rule in enumerate(model.rules)
]


# What the converter makes of it


def test_a_string_keeps_its_bounds() -> None:
    made = convert(str, min_length=1, max_length=5, pattern="^a")
    assert made == {"description": "A field.", "type": "string", "minLength": 1, "maxLength": 5, "pattern": "^a"}


def test_a_number_keeps_its_bounds() -> None:
    assert convert(int, ge=1, le=2) == {"description": "A field.", "type": "integer", "minimum": 1, "maximum": 2}


def test_optional_is_left_out_and_never_nullable() -> None:
    assert convert(int | None, None, ge=1) == {"description": "A field.", "type": "integer", "minimum": 1}


def test_no_default() -> None:
    assert convert(bool, True) == {"description": "A field.", "type": "boolean"}


def test_literals_are_enums() -> None:
    assert convert(Literal["a"])["enum"] == ["a"]
    assert convert(Literal["a", "b"])["enum"] == ["a", "b"]


def test_a_format_is_kept() -> None:
    assert convert(str, json_schema_extra={"format": "date-time"})["format"] == "date-time"


def test_references_are_written_out_and_the_field_describes_them() -> None:
    made = convert(Inner | None, None)
    assert made == {
        "description": "A field.",
        "type": "object",
        "x-kubernetes-validations": [{"rule": "self.a != self.b", "message": "differ", "fieldPath": ".b"}],
        "required": ["a"],
        "properties": {
            "a": {"description": "One.", "type": "string", "maxLength": 9},
            "b": {"description": "The other.", "type": "string", "maxLength": 9},
        },
    }


def test_lists_keep_their_kind() -> None:
    hints = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}
    made = convert(list[Inner], max_length=3, json_schema_extra=hints)
    assert made["maxItems"] == 3
    assert made["items"]["description"] == "A part."
    assert hints.items() <= made.items()


def test_the_length_of_keys_becomes_a_rule() -> None:
    made = convert(dict[Annotated[str, Field(min_length=1, max_length=7)], Text], max_length=3)
    assert made["additionalProperties"] == {"type": "string", "maxLength": 9}
    assert made["x-kubernetes-validations"] == [
        {"rule": "self.all(key, size(key) >= 1 && size(key) <= 7)", "message": "a key has 1 to 7 characters"}
    ]


def test_any_json_is_preserved() -> None:
    made = convert(dict[str, JsonValue], max_length=3, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    assert made == {
        "description": "A field.",
        "type": "object",
        "maxProperties": 3,
        "x-kubernetes-preserve-unknown-fields": True,
    }


# What it refuses


class Nested(ApiModel):
    """A model that contains itself."""

    f: Nested | None = Field(default=None, description="Again.")


class Unbounded(ApiModel):
    """A model with a mistake inside."""

    name: str = Field(description="No bound.")


class Undescribed(ApiModel):
    f: int = Field(description="A field of a model that says nothing.")


class Open(ApiModel):
    """A model that keeps what it does not know."""

    model_config = ConfigDict(extra="allow")
    f: int = Field(description="A field.")


@pytest.mark.parametrize(
    ("annotation", "field", "why"),
    [
        (str, {}, "Model.f: is a string without a bound"),
        (str, {"json_schema_extra": {"format": "uri"}}, "Model.f: the API server does not check the format uri"),
        (list[Text], {}, "Model.f: is a list without a bound"),
        (list[str], {"max_length": 3}, "Model.f[]: is a string without a bound"),
        (list[Any], {"max_length": 3}, "Model.f: is a list of anything"),
        (dict[str, Text], {}, "Model.f: is a map without a bound"),
        (dict[str, str], {"max_length": 3}, "Model.f{}: is a string without a bound"),
        (dict[str, JsonValue], {"max_length": 3}, "Model.f: is a map of anything"),
        (dict[str, Any], {"max_length": 3}, "Model.f: is a map of anything"),
        (dict[Literal["a"], Text], {"max_length": 3}, "Model.f: a structural schema can't express const"),
        (dict[Annotated[str, Field(pattern="^a")], Text], {"max_length": 3}, "Model.f: "),
        (dict[Annotated[str, Field(min_length=1)], Text], {"max_length": 3}, "Model.f: its keys have a least length"),
        (int | Text, {}, "Model.f: a structural schema can't express a choice of types"),
        (int | None, {}, "Model.f: is required and may be null"),
        (Literal["a", 1], {}, "Model.f: has no single type"),
        (Any, {}, "Model.f: has no single type"),
        (tuple[int, int], {}, "Model.f: a structural schema can't express prefixItems"),
        (set[int], {"max_length": 3}, "Model.f: a structural schema can't express uniqueItems"),
        (int, {"gt": 1}, "Model.f: a structural schema can't express exclusiveMinimum"),
        (int, {"multiple_of": 2}, "Model.f: a structural schema can't express multipleOf"),
        (int, {"description": None}, "Model.f: has no description"),
        (int, {"description": " "}, "Model.f: has no description"),
        (Nested, {}, ".f.f.f.f.f"),
        (list[Unbounded], {"max_length": 3}, "Model.f[].name: is a string without a bound"),
        (list[Undescribed], {"max_length": 3}, "Model.f[]: has no description"),
        (Open, {}, "Model.f: a structural schema can't express properties beside additionalProperties"),
    ],
)
def test_refused(annotation: Any, field: dict[str, Any], why: str) -> None:
    """Loudly, with the model and the path, instead of a CRD that says less than the model."""
    with pytest.raises(crd.InexpressibleError) as caught:
        convert(annotation, **field)
    assert why in str(caught.value)


# What holds of every CRD


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_file_is_fresh(kind: Kind) -> None:
    """Who changes a model runs `make crds`."""
    assert (CRDS / crd.file_name(kind)).read_text() == crd.files()[crd.file_name(kind)]


def test_no_file_is_missing_or_too_many() -> None:
    assert crd.main(["--out", str(CRDS), "--check"]) == 0


@pytest.mark.parametrize("node", NODES)
def test_every_node_is_structural(node: dict[str, Any]) -> None:
    """One type, nothing that GitOps would see as drift, nothing that a structural schema forbids."""
    assert node["type"] in {"string", "integer", "boolean", "array", "object"}
    assert not node.keys() & {"default", "nullable", "title", "$ref", "anyOf", "oneOf", "allOf", "not", "const"}


@pytest.mark.parametrize("node", NODES)
def test_every_node_is_bounded(node: dict[str, Any]) -> None:
    """Status and spec alike: no object grows without end, and CEL's cost can be told."""
    if node["type"] == "string":
        assert node.keys() & {"maxLength", "enum", "format"}
    elif node["type"] == "array":
        assert "maxItems" in node
    elif node["type"] == "object" and "properties" not in node:
        assert "maxProperties" in node


@pytest.mark.parametrize("node", NODES)
def test_every_field_is_described(node: dict[str, Any]) -> None:
    """`kubectl explain` has an answer everywhere."""
    for inner in node.get("properties", {}).values():
        assert inner["description"].strip() == inner["description"] != ""


@pytest.mark.parametrize(("kind", "rule"), RULES)
def test_every_rule_is_in_the_crd(kind: Kind, rule: Rule) -> None:
    """Where its model stands, so that the API server refuses what the model refuses."""
    found = [r for _, node in nodes(schema_of(kind)) for r in node.get("x-kubernetes-validations", ())]
    assert rule.schema() in found


@pytest.mark.parametrize(("kind", "rule"), RULES)
def test_every_rule_has_a_case(kind: Kind, rule: Rule) -> None:
    """That is tried against the models and a real API server; immutability has tests of its own there."""
    if "oldSelf" in rule.rule:
        return
    both = "server" if rule.holds is None else "message"
    assert any(case["kind"] == kind.kind and case.get(both, "?") in rule.message for case in CASES["refused"])


def test_only_what_needs_metadata_or_the_past_is_left_to_the_server() -> None:
    """A rule without its likeness in Python is invisible to `jetbridge render`."""
    unseen = {rule for kind in KINDS for model in models(kind.model) for rule in model.rules if rule.holds is None}
    assert unseen
    assert all("metadata" in rule.rule or "oldSelf" in rule.rule for rule in unseen)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_names_and_version(kind: Kind) -> None:
    made = crd.definition(kind)
    names = made["spec"]["names"]
    assert made["metadata"] == {"name": f"{kind.plural}.jetbridge.dev"}
    assert made["spec"]["scope"] == "Namespaced"
    assert (names["kind"], names["singular"], names["shortNames"]) == (kind.kind, kind.kind.lower(), [kind.short])
    assert names["categories"] == ["jetbridge"]
    (version,) = made["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    """A column with a mistyped path is empty for ever, and nobody notices."""
    paths = {path for path, _ in nodes(schema_of(kind))}
    for column in crd.definition(kind)["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"].replace('[?(@.type=="Ready")]', "[]")
        assert path in paths or path == ".metadata.creationTimestamp"


def test_the_registry_is_whole() -> None:
    assert {"Connection", "ConnectionLink", "AirflowDeployment", "Workspace"} == BY_KIND.keys()
    for attribute in ("plural", "short", "singular"):
        assert len({getattr(kind, attribute) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_files_read_well(kind: Kind) -> None:
    """A header that says where they come from, block style, no endless lines."""
    text = crd.files()[crd.file_name(kind)]
    assert text.startswith("# Generated from operator/jetbridge/api by `make crds`; do not edit.\n")
    assert "{" not in text.replace("status: {}", "")
    assert max(map(len, text.splitlines())) <= 130
