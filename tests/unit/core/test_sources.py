"""From source Secrets to fields: every key, the order within a layer, refusals, warnings; never a value in a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from jetbridge.api.fields import ConnectionFields
from jetbridge.core.sources import (
    Collected,
    SourceProblem,
    SourceReason,
    collect,
    has_sources,
    origins_of,
    refs_fingerprint,
    source_names,
)
from jetbridge.core.views import SecretView
from tests.fakes.objects import a_connection, a_rendered, a_source

PLANTED = "hunter2-planted"
WHOLE = {"secretRef": {"name": "creds"}}


def spec_of(spec: dict[str, Any]) -> ConnectionFields:
    view = a_connection(spec={"type": "postgres", **spec})
    assert view.fields is not None, view.problem
    return view.fields


def take(spec: dict[str, Any], *secrets: SecretView) -> Collected | SourceProblem:
    found = {s.meta.name: s for s in secrets}
    return collect(spec_of(spec), "team-a", found.get)


def taken(spec: dict[str, Any], *secrets: SecretView) -> Collected:
    answer = take(spec, *secrets)
    assert isinstance(answer, Collected), answer
    return answer


def refused(spec: dict[str, Any], *secrets: SecretView) -> SourceProblem:
    answer = take(spec, *secrets)
    assert isinstance(answer, SourceProblem), answer
    assert PLANTED not in answer.message, "the message holds a value"
    return answer


def fields_from(**keys: str) -> dict[str, Any]:
    """`fieldsFrom` by field; `name/key`, or a name alone. `__` is a dot."""
    items = []
    for name, ref in keys.items():
        secret, _, key = ref.partition("/")
        items.append(
            {"field": name.replace("__", "."), "secretKeyRef": {"name": secret} | ({"key": key} if key else {})}
        )
    return {"fieldsFrom": items}


# Every key of a whole Secret


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"login": "l"}, {"login": "l"}),
        ({"username": "u"}, {"login": "u"}),
        ({"password": "p"}, {"password": "p"}),
        ({"password": ""}, {"password": ""}),
        ({"host": "h"}, {"host": "h"}),
        ({"schema": "s"}, {"schema": "s"}),
        ({"port": "5432"}, {"port": 5432}),
        ({"port": " 5432\n"}, {"port": 5432}),
        ({"extra": '{"a": 1, "b": {"c": []}}'}, {"extra.a": 1, "extra.b": {"c": []}}),
        ({"extra.token": "t"}, {"extra.token": "t"}),
        ({"extra.sasl.password": "t"}, {"extra.sasl.password": "t"}),
        ({"extra.number": "7"}, {"extra.number": "7"}),
        (
            {"connection": "postgres://u:p@h:5432/s?a=1"},
            {
                "type": "postgres",
                "login": "u",
                "password": "p",
                "host": "h",
                "port": 5432,
                "schema": "s",
                "extra.a": "1",
            },
        ),
        ({"connection": '{"conn_type": "aws", "extra": {"r": 1}}'}, {"type": "aws", "extra.r": 1}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_key_of_a_whole_secret(data: Mapping[str, str], fields: dict[str, Any]) -> None:
    assert taken(WHOLE, a_source(data=data)).fields == fields


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"username": "u", "login": "l"}, {"login": "l"}),
        ({"connection": '{"conn_type": "x", "host": "a", "login": "b"}', "host": "h"}, {"host": "h", "login": "b"}),
        ({"connection": '{"conn_type": "x", "login": "b"}', "username": "u"}, {"login": "u"}),
        ({"extra": '{"a": 1, "b": 2}', "extra.a": "own"}, {"extra.a": "own", "extra.b": 2}),
    ],
)
def test_order_within_a_whole_secret(data: Mapping[str, str], fields: dict[str, Any]) -> None:
    given = dict(taken(WHOLE, a_source(data=data)).fields)
    given.pop("type", None)
    assert given == fields


# fieldsFrom


def test_a_field_takes_the_key_of_its_name_when_left_out() -> None:
    assert taken(fields_from(password="creds"), a_source(data={"password": "p"})).fields == {"password": "p"}


def test_a_field_takes_the_key_that_is_named() -> None:
    assert taken(fields_from(extra__pem="creds/tls.key"), a_source(data={"tls.key": "k"})).fields == {"extra.pem": "k"}


def test_fields_from_beats_the_whole_secret() -> None:
    spec = WHOLE | fields_from(password="other")
    given = taken(
        spec, a_source(data={"password": "whole", "login": "l"}), a_source(name="other", data={"password": "one"})
    )
    assert given.fields == {"password": "one", "login": "l"}


def test_the_other_keys_of_the_whole_secret_beat_a_connection_of_fields_from() -> None:
    spec = WHOLE | fields_from(connection="other")
    uri = a_source(name="other", data={"connection": "postgres://u:p@h"})
    assert taken(spec, a_source(data={"password": "whole"}), uri).fields == {
        "type": "postgres",
        "login": "u",
        "host": "h",
        "password": "whole",
    }


def test_a_single_key_of_extra_beats_all_of_extra_whatever_the_order() -> None:
    spec = {"fieldsFrom": list(reversed(fields_from(extra="creds/all", extra__a="creds/one")["fieldsFrom"]))}
    given = taken(spec, a_source(data={"all": '{"a": 1, "b": 2}', "one": "x"}))
    assert given.fields == {"extra.a": "x", "extra.b": 2}


def test_versions_tell_each_secret_once() -> None:
    spec = WHOLE | fields_from(host="creds/host", login="other/x")
    given = taken(
        spec,
        a_source(data={"host": "h"}, resourceVersion="7"),
        a_source(name="other", data={"x": "l"}, resourceVersion="9"),
    )
    assert given.versions == {"creds": "7", "other": "9"}


def test_origins_name_secret_and_key() -> None:
    spec = WHOLE | fields_from(password="other/pw")
    given = taken(spec, a_source(data={"login": "l"}), a_source(name="other", data={"pw": "p"}))
    assert given.origins == {"login": "Secret creds", "password": "Secret other, key pw"}


def test_origins_are_told_from_the_references_alone() -> None:
    spec = spec_of(fields_from(connection="uri/u", extra="e/all", extra__a="e/one"))
    assert origins_of(spec, {"host": 1, "extra.a": 1, "extra.b": 1}) == {
        "host": "Secret uri, key u",
        "extra.a": "Secret e, key one",
        "extra.b": "Secret e, key all",
    }


# Refusals


def test_a_missing_secret_says_how_to_label_one() -> None:
    problem = refused(WHOLE)
    assert problem.reason is SourceReason.MISSING
    assert "kubectl label --overwrite secret creds -n team-a jetbridge.dev/source=true" in problem.message


def test_a_missing_key_names_the_keys_that_are_there() -> None:
    """A key that went is no source that went: who mistypes it in a rotation hears of it."""
    problem = refused(fields_from(password="creds/nope"), a_source(data={"b": PLANTED, "a": PLANTED}))
    assert problem.reason is SourceReason.INVALID
    assert "'nope'" in problem.message
    assert "a, b" in problem.message


def test_what_we_rendered_is_no_source() -> None:
    assert refused(WHOLE, a_rendered(name="creds", data={"password": PLANTED})).reason is SourceReason.REFUSED


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"])
def test_a_type_that_is_taken(kind: str) -> None:
    taken(WHOLE, a_source(data={"password": "p"}, kind=kind))


@pytest.mark.parametrize(
    "kind",
    ["kubernetes.io/service-account-token", "kubernetes.io/dockerconfigjson", "bootstrap.kubernetes.io/token", "x"],
)
def test_a_type_that_is_refused(kind: str) -> None:
    problem = refused(WHOLE, a_source(data={"password": PLANTED}, kind=kind))
    assert problem.reason is SourceReason.REFUSED
    assert kind in problem.message


@pytest.mark.parametrize(
    "data",
    [
        {"password": PLANTED.encode() + b"\xff"},
        {"port": PLANTED},
        {"port": "0"},
        {"port": "65536"},
        {"port": "-1"},
        {"port": "१"},
        {"port": "5432" * 100},
        {"extra": PLANTED},
        {"extra": f'["{PLANTED}"]'},
        {"extra": f'"{PLANTED}"'},
        {"extra": f'{{"a": "{PLANTED}", "b": null}}'},
        {"extra": f'{{"a": ["{PLANTED}", NaN]}}'},
        {"extra": f'{{"a": "{PLANTED}"'},
        {"extra": '{"a": ' * 100_000},
        {"extra": '{"a": ' + "[" * 65 + "]" * 65 + "}"},
        {"extra": '{"a": "\\ud800"}'},
        {"password": PLANTED * 10_000},
        {"connection": PLANTED},
        {"connection": ""},
        {"connection": f'{{"password": "{PLANTED}"}}'},
        {"connection": f'{{"conn_type": "x", "port": "{PLANTED}"}}'},
        {"connection": f'{{"conn_type": "x", "surprise": "{PLANTED}"}}'},
        {"connection": f'"postgres://u:{PLANTED}@h"'},
        {"connection": f"postgres://u:{PLANTED}@h:port/x"},
        {"unknown": PLANTED},
        {},
        {"extra.": PLANTED},
    ],
    ids=lambda data: (
        (next(iter(data.items())) if data else ("none", ""))[0] + "-" + str(next(iter(data.values()), ""))[:20]
    ),
)
def test_a_value_that_can_not_be_taken(data: Mapping[str, str | bytes]) -> None:
    problem = refused(WHOLE, a_source(data=data))
    assert problem.reason is SourceReason.INVALID
    assert "team-a/creds" in problem.message


def test_all_or_nothing() -> None:
    spec = WHOLE | fields_from(host="other/host")
    assert refused(spec, a_source(data={"password": PLANTED})).reason is SourceReason.MISSING


# Warnings


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_break_at_the_end_is_warned_about_and_kept(end: str) -> None:
    given = taken(WHOLE, a_source(data={"password": PLANTED + end}))
    assert given.fields == {"password": PLANTED + end}
    (warning,) = given.warnings
    assert "line break" in warning
    assert "'password'" in warning
    assert PLANTED not in warning


def test_unknown_keys_are_warned_about_by_name() -> None:
    (warning,) = taken(WHOLE, a_source(data={"password": "p", "zzz": PLANTED})).warnings
    assert "zzz" in warning
    assert PLANTED not in warning


def test_a_collected_source_does_not_show_its_values() -> None:
    assert PLANTED not in repr(taken(WHOLE, a_source(data={"password": PLANTED})))


# References


def test_source_names_are_sorted_and_once() -> None:
    assert source_names(spec_of(WHOLE | fields_from(host="b", login="b", password="a"))) == ("a", "b", "creds")
    assert source_names(None) == ()


def test_has_sources() -> None:
    assert has_sources(spec_of(WHOLE))
    assert not has_sources(spec_of({}))
    assert not has_sources(None)


def test_the_fingerprint_of_references_is_that_of_the_references_alone() -> None:
    one = spec_of(fields_from(host="b", password="a") | {"login": "x"})
    other = spec_of(fields_from(password="a/password", host="b") | {"login": "y"})
    assert refs_fingerprint(one) == refs_fingerprint(other)


@pytest.mark.parametrize(
    "spec",
    [
        fields_from(password="b"),
        fields_from(password="a/k"),
        fields_from(login="a/password"),
        {"secretRef": {"name": "a"}},
        fields_from(password="a") | {"secretRef": {"name": "a"}},
    ],
    ids=json.dumps,
)
def test_another_reference_has_another_fingerprint(spec: dict[str, Any]) -> None:
    assert refs_fingerprint(spec_of(spec)) != refs_fingerprint(spec_of(fields_from(password="a")))
