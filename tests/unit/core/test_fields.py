"""Merging layers, and the form of entries in Vault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbridge.core.airflow import AirflowConnection
from jetbridge.core.airflow import canonical as as_airflow_sees
from jetbridge.core.digest import canonical
from jetbridge.core.fields import (
    FieldValue,
    from_airflow,
    make_layer,
    merge,
    pack,
    plain_fields,
    to_airflow,
    unpack,
)
from jetbridge.core.secret_value import MASK
from tests.fakes.objects import a_connection
from tests.fakes.store import FakeStore
from tests.strategies import json_values, sourced_fields

NAMES = st.sampled_from(["type", "host", "port", "login", "password", "schema", "extra.a", "extra.b", "extra.a.b"])
LAYERS = st.dictionaries(NAMES, st.integers(0, 3).map(lambda n: FieldValue(n, "x", False)))
UNSET = st.lists(st.one_of(NAMES, st.just("extra")), unique=True).map(tuple)


@given(LAYERS, LAYERS, UNSET)
def test_inner_beats_outer(outer: dict[str, FieldValue], inner: dict[str, FieldValue], unset: tuple[str, ...]) -> None:
    merged = merge(outer, inner, unset)
    assert {n: merged[n] for n in inner} == inner


@given(LAYERS, LAYERS, UNSET)
def test_unset_removes_what_is_not_set_again(
    outer: dict[str, FieldValue], inner: dict[str, FieldValue], unset: tuple[str, ...]
) -> None:
    merged = merge(outer, inner, unset)
    for name in unset:
        assert name in inner or name not in merged, f"{name} was unset and is there"
    if "extra" in unset:
        assert {n for n in merged if n.startswith("extra.")} <= inner.keys()


@given(LAYERS, LAYERS, UNSET)
def test_what_nobody_touches_stays(
    outer: dict[str, FieldValue], inner: dict[str, FieldValue], unset: tuple[str, ...]
) -> None:
    merged = merge(outer, inner, unset)
    for name, value in outer.items():
        touched = name in inner or name in unset or ("extra" in unset and name.startswith("extra."))
        assert touched or merged[name] == value


@given(LAYERS, LAYERS, LAYERS)
def test_merging_is_associative_without_unset(
    a: dict[str, FieldValue], b: dict[str, FieldValue], c: dict[str, FieldValue]
) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(LAYERS)
def test_an_empty_layer_changes_nothing(layer: dict[str, FieldValue]) -> None:
    assert merge(layer, {}) == merge({}, layer) == layer


def test_extra_is_merged_by_top_level_keys_and_nested_objects_are_replaced_whole() -> None:
    spec = a_connection(spec={"type": "x", "extra": {"keep": 1, "nested": {"a": 1, "b": 2}}}).fields
    over = a_connection(spec={"type": "x", "extra": {"nested": {"b": 3}}}).fields
    assert spec is not None
    assert over is not None
    outer = make_layer(plain_fields(spec), "", {}, {})
    inner = make_layer(plain_fields(over), "", {}, {})
    assert dict(to_airflow({n: v.value for n, v in merge(outer, inner).items()}).extra) == {
        "keep": 1,
        "nested": {"b": 3},
    }


def test_plain_beats_the_whole_secret_of_its_layer() -> None:
    layer = make_layer({"host": "plain"}, "Connection", {"host": "sourced", "login": "l"}, {"login": "Secret s"})
    assert layer["host"] == FieldValue("plain", "Connection", False)
    assert layer["login"] == FieldValue("l", "Secret s", True)


def test_what_comes_from_a_source_is_masked_whatever_the_field() -> None:
    value = FieldValue("db.internal", "Secret s", True)
    assert value.shown() == MASK
    assert "db.internal" not in repr(value)
    assert FieldValue("db.internal", "Connection", False).shown() == "db.internal"


@given(sourced_fields())
def test_unpack_is_the_inverse_of_pack(fields: dict[str, Any]) -> None:
    assert unpack(pack(fields)) == fields


@given(sourced_fields())
def test_a_pack_survives_vault(fields: dict[str, Any]) -> None:
    """Vault reads numbers as floats: what it gives back has the digest of what was put."""
    store = FakeStore()
    store.edit("path", pack(fields))
    content = store.content("path")
    assert content is not None
    assert canonical(dict(content)) == canonical(pack(fields))
    assert repr(unpack(content)) == repr(unpack(pack(fields)))


def test_extra_stays_an_object_where_it_can() -> None:
    assert pack({"extra.a": 1, "extra.b": 1.5}) == {"extra": {"a": 1, "b": 1.5}}
    assert pack({"extra.a": 1.0}) == {"extra": '{"a": 1.0}'}


@pytest.mark.parametrize(
    "entry",
    [
        {"extra": {}},
        {"extra": "text"},
        {"extra": "{}"},
        {"extra": "[1]"},
        {"extra": "[" * 100_000},
        {"extra": None},
        {"port": "5432"},
        {"port": True},
        {"port": None},
        {"host": 5},
        {"password": None},
        {"surprise": "x"},
        {"extra.a": "x"},
    ],
)
def test_an_entry_of_another_form_is_not_ours(entry: dict[str, Any]) -> None:
    assert unpack(entry) is None


@given(
    st.builds(
        AirflowConnection,
        conn_type=st.sampled_from(["postgres", "aws"]),
        host=st.none() | st.text(),
        login=st.none() | st.text(),
        password=st.none() | st.text(min_size=1),
        port=st.none() | st.integers(1, 65535),
        extra=st.dictionaries(st.text(), json_values()),
    )
)
def test_a_whole_connection_becomes_fields_and_comes_back(connection: AirflowConnection) -> None:
    assert to_airflow(from_airflow(connection)) == as_airflow_sees(connection)


def test_plain_fields_are_those_that_are_set() -> None:
    spec = a_connection(spec={"type": "x", "schema": "s", "port": 1, "host": "", "extra": {"a.b": 1}}).fields
    assert spec is not None
    assert plain_fields(spec) == {"type": "x", "schema": "s", "port": 1, "host": "", "extra.a.b": 1}
