"""What the four kinds share: names, bounds, references, conditions, and how a CEL rule is attached to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema

GROUP = "jetbridge.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_CONDITIONS = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """One `x-kubernetes-validations` entry: a CEL expression that must hold, and what a person reads when it does not.

    `holds` says the same of the model, for those who validate without an API server. It is None only where the model
    alone can't tell: what needs `metadata`, or the object as it was before.
    """

    rule: str
    message: str
    field_path: str | None = None
    holds: Callable[[Any], bool] | None = None

    def schema(self) -> dict[str, str]:
        """The entry, as a CRD states it."""
        out = {"rule": self.rule, "message": self.message}
        if self.field_path is not None:
            out["fieldPath"] = self.field_path
        return out


class ApiModel(BaseModel):
    """Base of every model: camelCase on the wire, frozen, and rules that the CRD carries as CEL.

    Offline it refuses what the API server refuses, with the same words. Values are never shown in validation errors: an
    object may hold, by a user's mistake, a secret.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,
        extra="ignore",
        strict=True,  # as the API server: port: "5432" is no integer
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    def refusals(self) -> Iterator[str]:
        """Why this object is refused beyond its rules: what CEL can't see. One sentence each, without values."""
        yield from _repeated(self)

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        broken = [rule.message for rule in self.rules if rule.holds is not None and not rule.holds(self)]
        broken.extend(self.refusals())
        if broken:
            raise PydanticCustomError("refused", "{reasons}", {"reasons": "; ".join(broken)})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        reference = handler(core)
        if cls.rules:
            schema = handler.resolve_ref_schema(reference)
            schema["x-kubernetes-validations"] = [rule.schema() for rule in cls.rules]
        return reference


def _repeated(model: ApiModel) -> Iterator[str]:
    """Items that a set or a keyed list may hold only once, as the API server sees it."""
    for name, field in type(model).model_fields.items():
        hints = field.json_schema_extra
        items = getattr(model, name)
        if not isinstance(hints, dict) or items is None:
            continue
        keys: Any = hints.get("x-kubernetes-list-map-keys")
        if keys is None and hints.get("x-kubernetes-list-type") != "set":
            continue
        seen = set()
        for index, item in enumerate(items):
            identity = tuple(getattr(item, key) for key in keys) if keys else item
            if identity in seen:
                same = f"the {' and '.join(keys)} of " if keys else ""
                yield f"{field.alias}[{index}] repeats {same}an earlier item"
            seen.add(identity)


class PrinterColumn(BaseModel):
    """One `additionalPrinterColumns` entry of a CRD."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    name: str
    type: Literal["string", "integer", "date", "boolean"] = "string"
    json_path: str
    description: str
    priority: int = 0


# Kubernetes object names: RFC 1123 subdomain (253) and label (63).
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
]
NamespaceName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]


class LocalRef(ApiModel):
    """Names an object of the same namespace."""

    name: ObjectName = Field(description="The object's name, in this namespace.")


class DeploymentRef(ApiModel):
    """Names an AirflowDeployment."""

    name: ObjectName = Field(description="The AirflowDeployment's name.")
    namespace: NamespaceName | None = Field(default=None, description="Its namespace; this namespace when left out.")


class LabelExpression(ApiModel):
    """One expression of a label selector."""

    # Without values NotIn holds for everything: a mistyped `values` is pruned, and would admit every namespace.
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule='(self.operator in ["In", "NotIn"]) == (has(self.values) && size(self.values) > 0)',
            message="values are required with In and NotIn, and only then",
            field_path=".values",
            holds=lambda e: (e.operator in ("In", "NotIn")) == bool(e.values),
        ),
    )

    key: LabelKey = Field(description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label's value relates to the values."
    )
    values: list[LabelValue] | None = Field(
        default=None, max_length=64, description="The values; for In and NotIn only."
    )


class LabelSelector(ApiModel):
    """A Kubernetes label selector: all of its parts must match."""

    # An empty selector matches everything, and a mistyped field is pruned: it would admit every namespace.
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="an empty selector would select everything; give matchLabels or matchExpressions",
            holds=lambda s: bool(s.match_labels) or bool(s.match_expressions),
        ),
    )

    match_labels: dict[LabelKey, LabelValue] | None = Field(
        default=None, max_length=64, description="Labels with exactly these values."
    )
    match_expressions: list[LabelExpression] | None = Field(
        default=None, max_length=16, description="Expressions that must all hold."
    )


class Condition(ApiModel):
    """A standard Kubernetes condition (metav1.Condition)."""

    type: str = Field(max_length=64, description="What the condition speaks of.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(max_length=64, description="Why, in one word for programs.")
    message: str = Field(max_length=2048, description="Why, and what to do, in a sentence for people.")
    last_transition_time: str = Field(
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="When the status last changed.",
    )
    observed_generation: int = Field(ge=0, description="The generation that this speaks of.")


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=MAX_CONDITIONS,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]


def condition_column(path: str, name: str, description: str, *, kind: str = "string") -> PrinterColumn:
    """A printer column that shows one field of the Ready condition."""
    return PrinterColumn.model_validate(
        {
            "name": name,
            "type": kind,
            "jsonPath": f'.status.conditions[?(@.type=="Ready")].{path}',
            "description": description,
        }
    )


READY_COLUMNS: tuple[PrinterColumn, ...] = (
    condition_column("status", "Ready", "Whether everything asked for is in place."),
    condition_column("reason", "Reason", "Why it is or is not."),
    condition_column("lastTransitionTime", "Since", "Since when.", kind="date"),
)
AGE_COLUMN = PrinterColumn(
    name="Age", type="date", json_path=".metadata.creationTimestamp", description="Age of the object."
)

JsonObject = dict[str, Any]
