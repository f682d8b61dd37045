"""From source Secrets to fields: which Secrets a resource names, and what they give (design, sections 2 and 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from jetbridge.api.fields import ConnectionFields
from jetbridge.core.airflow import MAX_ENTRY_BYTES, ConnectionSyntaxError, parse_connection
from jetbridge.core.airflow_model import value_problems
from jetbridge.core.digest import canonical, fingerprint
from jetbridge.core.fields import EXTRA, Fields, from_airflow, pack, to_airflow
from jetbridge.core.jsonvalue import JsonValue, find_null
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.views import SOURCE_LABEL, RenderedView, SecretView, SourceView

SOURCE_TYPES = ("Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls")
_WHOLE_SECRET_FIELDS = ("login", "password", "host", "port", "schema", "extra")

Lookup = Callable[[str], SecretView | None]


class SourceReason(str, Enum):
    """Why a source gives nothing."""

    MISSING = "SourceMissing"
    REFUSED = "SourceRefused"
    INVALID = "SourceInvalid"


@dataclass(frozen=True, slots=True)
class Collected:
    """What the sources give. `origins` says for each field which Secret and key."""

    fields: Fields = field(repr=False)
    origins: Mapping[str, str]
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Why there is nothing to take: the message names object, key and remedy, never a value."""

    reason: SourceReason
    message: str


class _Refuse(Exception):
    def __init__(self, reason: SourceReason, message: str) -> None:
        super().__init__(message)
        self.problem = SourceProblem(reason, message)


def has_sources(spec: ConnectionFields | None) -> bool:
    """Whether any field is taken from a source."""
    return spec is not None and bool(spec.secret_ref or spec.fields_from)


def source_names(spec: ConnectionFields | None) -> tuple[str, ...]:
    """The Secrets that a resource names, sorted, each once."""
    if spec is None:
        return ()
    names = {f.secret_key_ref.name for f in spec.fields_from or ()}
    if spec.secret_ref is not None:
        names.add(spec.secret_ref.name)
    return tuple(sorted(names))


def refs_fingerprint(spec: ConnectionFields) -> str:
    """Identifies the references themselves: stored material is used only for the references it was taken from."""
    parts = [spec.secret_ref.name if spec.secret_ref is not None else ""]
    for item in sorted(spec.fields_from or (), key=lambda f: f.field):
        parts += [item.field, item.secret_key_ref.name, item.secret_key_ref.key or item.field]
    return fingerprint(*parts)


def origins_of(spec: ConnectionFields, names: Mapping[str, object]) -> dict[str, str]:
    """For each stored field the Secret it was taken from, told from the references alone (the Secret may be gone)."""
    by_field = {f.field: f.secret_key_ref for f in spec.fields_from or ()}
    whole = spec.secret_ref.name if spec.secret_ref is not None else None
    out = {}
    for name in names:
        ref = by_field.get(name) or (by_field.get("extra") if name.startswith(EXTRA) else None)
        if ref is not None:
            out[name] = _origin(ref.name, ref.key or name)
        elif whole is not None:
            out[name] = f"Secret {whole}"
        elif "connection" in by_field:
            ref = by_field["connection"]
            out[name] = _origin(ref.name, ref.key or "connection")
    return out


def collect(spec: ConnectionFields, namespace: str, lookup: Lookup) -> Collected | SourceProblem:
    """Reads every source that a resource names.

    Order within a layer: a whole `connection`, then the other keys of `secretRef`, then `fieldsFrom`. All or nothing:
    with one source missing or wrong, nothing is given, so that a connection is never put together from two states.
    """
    try:
        return _collect(spec, namespace, lookup)
    except _Refuse as refused:
        return refused.problem


def _collect(spec: ConnectionFields, namespace: str, lookup: Lookup) -> Collected:
    whole: dict[str, JsonValue] = {}
    single: dict[str, JsonValue] = {}
    versions: dict[str, str] = {}
    warnings: list[str] = []
    if spec.secret_ref is not None:
        secret = _source(spec.secret_ref.name, namespace, lookup)
        versions[secret.meta.name] = secret.meta.resource_version
        whole, notes = _whole_secret(secret)
        warnings += notes
    connection: dict[str, JsonValue] = {}
    for item in sorted(spec.fields_from or (), key=lambda f: (f.field != "connection", f.field.count("."), f.field)):
        secret = _source(item.secret_key_ref.name, namespace, lookup)
        versions[secret.meta.name] = secret.meta.resource_version
        key = item.secret_key_ref.key or item.field
        if key not in secret.data:
            raise _Refuse(
                SourceReason.INVALID,
                f"Secret {secret.meta} has no key {key!r}, which fieldsFrom names for {item.field}; "
                f"it has: {_keys(secret)}",
            )
        given = _field(item.field, secret, key, warnings)
        if item.field == "connection":
            connection = given
        else:
            single.update(given)
    fields = {**connection, **whole, **single}
    _check(fields, namespace, versions)
    return Collected(fields, origins_of(spec, fields), versions, tuple(warnings))


def _check(fields: Fields, namespace: str, names: Iterable[str]) -> None:
    """Refuses what could never be delivered, before it is stored: Vault would alter it, or fail at it."""
    where = f"Secret {', '.join(f'{namespace}/{name}' for name in sorted(names))}"
    problems = value_problems(replace(to_airflow(fields), conn_type="any"))
    if problems:
        raise _Refuse(SourceReason.INVALID, f"{where}: {'; '.join(problems)}")
    size = len(canonical(pack(fields)))
    if size > MAX_ENTRY_BYTES:
        raise _Refuse(
            SourceReason.INVALID, f"{where}: gives {size} bytes, and a connection may have {MAX_ENTRY_BYTES}; use less"
        )


def _source(name: str, namespace: str, lookup: Lookup) -> SourceView:
    secret = lookup(name)
    if isinstance(secret, RenderedView):
        raise _Refuse(
            SourceReason.REFUSED,
            f"Secret {namespace}/{name} was rendered by Jetbridge and is never a source; name the Secret it came from",
        )
    if secret is None:
        raise _Refuse(
            SourceReason.MISSING,
            f"there is no Secret {namespace}/{name} with the label {SOURCE_LABEL}=true; "
            f"make it, or label it: kubectl label --overwrite secret {name} -n {namespace} {SOURCE_LABEL}=true",
        )
    if secret.type not in SOURCE_TYPES:
        raise _Refuse(
            SourceReason.REFUSED,
            f"Secret {secret.meta} is of type {secret.type}; sources are of type {', '.join(SOURCE_TYPES)}",
        )
    return secret


def _whole_secret(secret: SourceView) -> tuple[dict[str, JsonValue], list[str]]:
    warnings: list[str] = []
    out: dict[str, JsonValue] = {}
    unknown = []
    keys = sorted(secret.data, key=lambda k: (k != "connection", k != "username", k.count("."), k))
    for key in keys:
        if key in {"username", "connection", *_WHOLE_SECRET_FIELDS}:
            name = "login" if key == "username" else key
        elif key.startswith(EXTRA) and len(key) > len(EXTRA):
            name = key
        else:
            unknown.append(key)
            continue
        out.update(_field(name, secret, key, warnings))
    if not out and not any(k not in unknown for k in keys):
        raise _Refuse(
            SourceReason.INVALID,
            f"Secret {secret.meta} has none of the keys login, username, password, host, port, schema, extra, extra.<key>, "
            f"connection; it has: {_keys(secret)}. For other keys use fieldsFrom",
        )
    if unknown:
        warnings.append(f"Secret {secret.meta}: ignored keys that are no fields: {', '.join(unknown)}")
    return out, warnings


def _field(name: str, secret: SourceView, key: str, warnings: list[str]) -> dict[str, JsonValue]:
    where = f"Secret {secret.meta}, key {key!r}"
    text = _text(secret.data[key], where)
    if text.endswith(("\n", "\r")):
        warnings.append(f"{where} ends in a line break, which becomes a part of the value")
    if name == "connection":
        try:
            return from_airflow(parse_connection(text))
        except ConnectionSyntaxError as error:
            raise _Refuse(SourceReason.INVALID, f"{where} is no connection: {error}") from None
    if name == "port":
        return {"port": _port(text, where)}
    if name == "extra":
        return {EXTRA + k: v for k, v in _json_object(text, where).items()}
    return {name: text}


def _text(value: SecretValue, where: str) -> str:
    try:
        return value.text()
    except UnicodeError:
        raise _Refuse(SourceReason.INVALID, f"{where} is not valid UTF-8") from None


def _port(text: str, where: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise _Refuse(SourceReason.INVALID, f"{where} must be a port, a number from 1 to 65535")
    return int(digits)


def _json_object(text: str, where: str) -> dict[str, JsonValue]:
    def no_constant(_: str) -> JsonValue:
        raise ValueError

    try:
        value = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _Refuse(SourceReason.INVALID, f"{where} must be a JSON object, without NaN or Infinity")
    if find_null(value) is not None:
        # Not where: a key in there is as secret as a value.
        raise _Refuse(SourceReason.INVALID, f"{where} holds a null; leave its key out instead")
    return value


def _origin(name: str, key: str) -> str:
    return f"Secret {name}, key {key}"


def _keys(secret: SourceView) -> str:
    return ", ".join(sorted(secret.data)) or "none"
