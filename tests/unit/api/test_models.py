"""What the models refuse offline, where no API server helps: `jetbridge render`, or an operator behind older CRDs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jetbridge.api.common import ApiModel
from jetbridge.api.connection import ConnectionSpec
from jetbridge.api.kinds import BY_KIND
from jetbridge.api.link import Overrides

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())
REFUSED_HERE = [case for case in CASES["refused"] if case.keys() & {"message", "model"}]
REFUSED_BY_THE_SERVER_ALONE = [case for case in CASES["refused"] if not case.keys() & {"message", "model"}]


def title(case: dict[str, Any]) -> str:
    return str(case["case"])


def validate(case: dict[str, Any]) -> ApiModel:
    """The model of a case; the cases leave out a spec that the object leaves out."""
    return BY_KIND[case["kind"]].model.model_validate({"spec": case["spec"]} if "spec" in case else {})


def words(error: ValidationError) -> str:
    """What a person may get to read of an error."""
    shown = [item["msg"] for item in error.errors(include_input=False, include_context=False, include_url=False)]
    return f"{error}\n{shown}"


@pytest.mark.parametrize("case", CASES["accepted"], ids=title)
def test_accepted(case: dict[str, Any]) -> None:
    """What the API server accepts, the models accept, and read nothing else than was said."""
    model = validate(case)
    said = {"spec": case["spec"]} if "spec" in case else {}
    assert model.model_dump(by_alias=True, exclude_unset=True) == said


@pytest.mark.parametrize("case", REFUSED_HERE, ids=title)
def test_refused(case: dict[str, Any]) -> None:
    """The same words as the API server's, where a rule speaks."""
    with pytest.raises(ValidationError) as caught:
        validate(case)
    assert str(case.get("model", case.get("message"))) in words(caught.value)


@pytest.mark.parametrize("case", REFUSED_BY_THE_SERVER_ALONE, ids=title)
def test_what_the_model_can_not_see_is_accepted(case: dict[str, Any]) -> None:
    """A case without words of the model is one that the model accepts: else the case hides a refusal."""
    validate(case)


def test_all_reasons_are_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Overrides.model_validate({"host": "h", "extra": {"a": None, "b": 1}, "unset": ["host", "extra.b", "extra.b"]})
    said = words(caught.value)
    assert "a field is both set and unset" in said
    assert "unset[2] repeats an earlier item" in said
    assert "extra.a is null" in said
    assert "extra.b is both set and unset" in said


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_refused(number: float) -> None:
    """YAML has them, Airflow takes them, and nothing else on the way does."""
    with pytest.raises(ValidationError, match=r"extra\.a\[0\] is not a number"):
        ConnectionSpec.model_validate({"type": "aws", "extra": {"a": [number]}})


PLANTED = "hunter2-PLANTED"


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "aws", "host": PLANTED * 1000},
        {"type": "aws", "port": PLANTED},
        {"type": PLANTED + " ", "host": "h"},
        {"type": "aws", "connectionId": PLANTED + "/"},
        {"type": "aws", "connectionId": PLANTED + "___x"},
        {"type": "aws", "login": [PLANTED]},
        {"type": "aws", "extra": PLANTED},
        {"type": "aws", "extra": {"a": [PLANTED, None]}},
        {"type": "aws", "extra": {"a": PLANTED}, "fieldsFrom": [{"field": "extra.a", "secretKeyRef": {"name": "s"}}]},
        {"type": "aws", "login": PLANTED, "fieldsFrom": [{"field": "login", "secretKeyRef": {"name": "s"}}]},
        {"type": "aws", "fieldsFrom": [{"field": PLANTED, "secretKeyRef": {"name": PLANTED}}]},
        {"type": "aws", "fieldsFrom": PLANTED},
        {"type": "aws", "sharing": PLANTED},
        {"type": "aws", "secretRef": PLANTED},
    ],
)
def test_errors_never_show_a_value(spec: dict[str, Any]) -> None:
    """A secret may stand where it does not belong: who reads the error must not read the secret."""
    with pytest.raises(ValidationError) as caught:
        ConnectionSpec.model_validate(spec)
    assert PLANTED not in words(caught.value)


scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(st.text(), json_values, max_size=6)


@given(objects)
def test_any_json_object_without_nulls_is_an_extra(extra: dict[str, Any]) -> None:
    """`extra` is kept as it is, whatever its depth, types and keys."""
    assert ConnectionSpec.model_validate({"type": "aws", "extra": extra}).extra == extra


@given(objects, st.lists(st.text() | st.none(), max_size=5))
def test_a_null_anywhere_in_extra_is_refused(extra: dict[str, Any], way: list[str | None]) -> None:
    """However deep it lies: a way is object keys, and None for a list."""
    value: Any = None
    for step in way:
        value = [1, value] if step is None else {step: value}
    with pytest.raises(ValidationError, match="is null, which kubectl apply drops silently"):
        ConnectionSpec.model_validate({"type": "aws", "extra": {**extra, "here": value}})
