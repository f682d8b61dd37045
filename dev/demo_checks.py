"""What the demo claims, looked at for real: in the Secrets, in Vault, and in what everybody may read.

Read with plain dictionaries on purpose: the operator's own code takes no part in judging it, but for the first check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dev.apiclient import Raw
from dev.demo_vault import VaultEntry
from dev.demo_world import Delivered, World, secret_data

WORKSPACE = "data-platform"
PROD, STAGING = ("airflow-prod", "prod"), ("airflow-staging", "staging")
LINK = "warehouse-prod"
SOURCE, SOURCE_OF_LINK = "warehouse", "warehouse-prod"
WAREHOUSE, STATUS_API = "AIRFLOW_CONN_WAREHOUSE", "AIRFLOW_CONN_STATUS_API"


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, and whether it was seen."""

    claim: str
    seen: bool


def rendered(world: World, deployment: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """The connections in a deployment's Secret; what is no JSON counts as empty."""
    data = secret_data(world.get("Secret", deployment[0], f"{deployment[1]}-connections"))
    return {key: _object(text) for key, text in data.items()}


def delivery(world: World, delivered: Sequence[Delivered]) -> list[Check]:
    """Overrides where they belong, defaults elsewhere, and the shared connection everywhere."""
    prod, staging = rendered(world, PROD), rendered(world, STAGING)
    connection = _spec(world, "Connection", "warehouse")
    overrides = _spec(world, "ConnectionLink", LINK).get("overrides") or {}
    sources = secret_data(world.get("Secret", WORKSPACE, SOURCE))
    own = secret_data(world.get("Secret", WORKSPACE, SOURCE_OF_LINK))
    with_overrides = _expected(connection, overrides) | sources | own
    defaults = _expected(connection, {}) | sources
    both = {WAREHOUSE, STATUS_API}
    api = _expected(_spec(world, "Connection", "status-api"), {})
    return [
        Check("both Secrets hold what the core renders", bool(delivered) and all(d.as_planned for d in delivered)),
        Check("both Secrets have exactly the two connections", prod.keys() == both == staging.keys()),
        Check(
            "prod's warehouse has the link's overrides and the link's password", prod.get(WAREHOUSE) == with_overrides
        ),
        Check("staging's warehouse has the defaults and the default password", staging.get(WAREHOUSE) == defaults),
        Check("the LinkedToAll connection is in both", prod.get(STATUS_API) == api == staging.get(STATUS_API)),
    ]


def in_vault(world: World, entries: Sequence[VaultEntry], cluster_uid: str) -> list[Check]:
    """Each entry holds exactly the fields of its source, and says whose it is."""
    by_path = {entry.path.split("/", 2)[-1]: entry for entry in entries}
    wanted = {
        f"{WORKSPACE}/connections/warehouse": ("Connection", "warehouse", SOURCE),
        f"{WORKSPACE}/links/{LINK}": ("ConnectionLink", LINK, SOURCE_OF_LINK),
    }
    checks = []
    for path, (kind, name, source) in wanted.items():
        entry = by_path.get(path)
        held = entry is not None and entry.content == secret_data(world.get("Secret", WORKSPACE, source)) != {}
        checks.append(Check(f"Vault's {path} holds exactly the fields of Secret {source}", held))
        owned = entry is not None and _owned(entry, world, kind, name, cluster_uid)
        checks.append(Check(f"its custom_metadata names {kind} {name}", owned))
    return checks


def nothing_shown(world: World, others: Mapping[str, str], values: Iterable[str]) -> list[Check]:
    """No value of a source in any resource of ours, nor in `others` (name and text)."""
    values = [value for value in values if len(value) >= 8]
    ours = json.dumps([raw for (kind, _, _), raw in world.objects.items() if kind not in ("Secret", "Namespace")])
    annotations = json.dumps(
        [_without_data(raw) for (kind, _, _), raw in world.objects.items() if kind == "Secret" and _is_rendered(raw)]
    )
    texts = {"resource or status": ours, "metadata of a rendered Secret": annotations, **others}
    return [
        Check(f"no password in any {name}", bool(values) and not any(value in text for value in values))
        for name, text in texts.items()
    ]


def _expected(spec: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The plain fields as Airflow has them: overrides over defaults, `unset` taken away."""
    known = ("description", "host", "port", "schema", "login", "type", "extra")
    plain = {name: spec[name] for name in known if name in spec}
    for name in overrides.get("unset") or ():
        outer, _, key = str(name).partition(".")
        if key:
            plain["extra"] = {k: v for k, v in (plain.get("extra") or {}).items() if k != key}
        else:
            plain.pop(outer, None)
    extra = (plain.get("extra") or {}) | (overrides.get("extra") or {})
    plain |= {name: overrides[name] for name in known if name in overrides}
    if extra:
        plain["extra"] = extra
    plain["conn_type"] = plain.pop("type")
    return plain


def _spec(world: World, kind: str, name: str) -> dict[str, Any]:
    return dict(world.get(kind, WORKSPACE, name).get("spec") or {"type": ""})


def _owned(entry: VaultEntry, world: World, kind: str, name: str, cluster_uid: str) -> bool:
    return dict(entry.custom_metadata) == {
        "manager": "jetbridge",
        "cluster": cluster_uid,
        "namespace_uid": _uid(world.get("Namespace", "", WORKSPACE)),
        "object_uid": _uid(world.get(kind, WORKSPACE, name)),
        "refs": world.get(kind, WORKSPACE, name)["status"]["vault"]["refs"],
    }


def _uid(raw: Raw) -> str:
    return str((raw.get("metadata") or {}).get("uid", ""))


def _is_rendered(raw: Raw) -> bool:
    return "jetbridge.dev/rendered" in (raw["metadata"].get("labels") or {})


def _without_data(raw: Raw) -> Raw:
    return {key: value for key, value in raw.items() if key != "data"}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
