"""From what a deployment should have and what its Secret holds to actions, as data (design, sections 2 and 5).

Two pure steps. `draft` decides for each entry whether it is carried over untouched, rendered, or held back, and names the
material that rendering needs; the shell fetches only that. `plan` renders and compares. An unchanged world drafts no need
and plans no action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import (
    CreateSecret,
    DeleteSecret,
    RemakeSecret,
    ReplaceSecret,
    SecretAction,
    SecretBody,
)
from jetbridge.core.airflow import (
    MAX_ENTRY_BYTES,
    NotRepresentable,
    connection_id_warnings,
    entry_size,
    render_json,
    render_uri,
)
from jetbridge.core.budget import Budget
from jetbridge.core.digest import Keyring, Scope, canonical
from jetbridge.core.fields import Fields, FieldValue, make_layer, merge, pack, plain_fields, to_airflow
from jetbridge.core.manifest import EntryRecord, Manifest
from jetbridge.core.resolve import DesiredEntry, LayerInput, Problem, Resolution
from jetbridge.core.seal import Carried, intact, is_broken, sealed
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.sources import origins_of
from jetbridge.core.views import RENDERED_LABEL, SOURCE_LABEL, DeploymentView, Format, RenderedView

LABELS: Mapping[str, str] = {RENDERED_LABEL: "true", SOURCE_LABEL: "false"}
SECRET_TYPE = "Opaque"


@dataclass(frozen=True, slots=True)
class Observed:
    """The deployment's rendered Secret, and older ones of it under other names. None: there is none that we know.

    `records` is its manifest. It may be newer than the annotation: a changed recipe that gives the same value is
    remembered and not written, since others restart workloads on any write of a Secret.
    """

    current: RenderedView | None
    records: Manifest = field(default_factory=dict)
    others: tuple[RenderedView, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftEntry:
    """One entry of a draft. `last_good` is what stays if it can't be rendered; `carried` that nothing need be done."""

    desired: DesiredEntry
    recipe: str | None
    carried: Carried | None
    last_good: Carried | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be done, before any secret is read. `needs` are the owners whose stored fields rendering takes."""

    deployment: DeploymentView
    scope: Scope
    resolution: Resolution
    observed: Observed
    entries: tuple[DraftEntry, ...]
    kept: Mapping[str, Carried]
    needs: tuple[LayerInput, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection of the deployment after planning. `current` tells that it is in the state asked for."""

    desired: DesiredEntry
    record: EntryRecord | None
    current: bool
    problem: Problem | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions, and what the deployment has once they are done."""

    actions: tuple[SecretAction, ...]
    entries: tuple[Entry, ...]
    kept: tuple[str, ...]
    records: Manifest


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Material that could not be fetched, and why."""

    reason: str
    message: str


StoredFields = Mapping[str, "Fields | Unavailable"]


def recipe_of(entry: DesiredEntry, style: Format, keyring: Keyring, scope: Scope) -> str:
    """A keyed digest of all that the rendered value depends on; stored content counts by its own digest."""
    layers = [
        [
            pack(plain_fields(layer.spec)),
            list(layer.unset),
            layer.ready.record.digest if layer.ready is not None else "",
        ]
        for layer in entry.layers
    ]
    return keyring.digest("recipe", scope, canonical([style, entry.env_name, layers]))  # type: ignore[list-item]


def draft(
    deployment: DeploymentView, scope: Scope, resolution: Resolution, observed: Observed, keyring: Keyring | None
) -> Draft:
    """Decides what happens to each entry. Without a keyring (Vault was never reached) entries can only stay or go."""
    standing_now = {
        **{n: c for other in observed.others for n, c in intact(other, manifests.load(other.manifest), keyring, scope)},
        **dict(intact(observed.current, observed.records, keyring, scope)),
    }
    entries: list[DraftEntry] = []
    needs: dict[str, LayerInput] = {}
    order = {home: place for place, home in enumerate(deployment.workspaces)}
    kept = {n: c for n, c in standing_now.items() if c.record.workspace in resolution.frozen}
    for desired in resolution.entries:
        standing = standing_now.get(desired.env_name)
        frozen = kept.get(desired.env_name)
        if frozen is not None:
            here = desired.connection.meta.namespace
            if order.get(frozen.record.workspace, -1) < order.get(here, -1):
                unseen = f"{desired.env_name} stays that of workspace {frozen.record.workspace}, which is not watched"
                blocked = replace(desired, blocked=_problem(desired, "WorkspaceNotWatched", unseen))
                entries.append(DraftEntry(blocked, None, None, None))
                continue
            del kept[desired.env_name]
        same = standing if standing is not None and standing.record.identity == desired.identity else None
        if desired.blocked is not None or keyring is None:
            entries.append(DraftEntry(desired, None, None, same))
            continue
        recipe = recipe_of(desired, deployment.format, keyring, scope)
        if same is not None and same.record.recipe == recipe and keyring.knows(same.record.value):
            entries.append(DraftEntry(desired, recipe, same, same))
            continue
        entries.append(DraftEntry(desired, recipe, None, same))
        for layer in desired.layers:
            if layer.ready is not None:
                needs[layer.owner.uid] = layer
    return Draft(deployment, scope, resolution, observed, tuple(entries), kept, tuple(needs.values()))


def plan(work: Draft, stored: StoredFields, keyring: Keyring | None, now: str) -> Plan:
    """Renders what the draft asks for and compares with the Secret. `now` is RFC 3339, used where content is new."""
    results: list[Entry] = []
    data: dict[str, SecretValue] = {name: carried.value for name, carried in work.kept.items()}
    records: dict[str, EntryRecord] = {name: carried.record for name, carried in work.kept.items()}
    standing = {e.desired.env_name: e.last_good for e in work.entries if e.last_good is not None}
    budget = Budget({**work.kept, **standing})
    settled = [(entry, *_settle(work, entry, stored, keyring, now)) for entry in work.entries]
    for entry, rendered, text in sorted(settled, key=lambda s: _turn(s[0], s[2])):
        result, value = _fitted(entry, rendered, text, budget)
        if result.record is not None and value is not None:
            name = entry.desired.env_name
            data[name], records[name] = value, result.record
        results.append(result)
    results.sort(key=lambda r: r.desired.env_name)
    body = SecretBody(
        namespace=work.deployment.meta.namespace,
        name=work.deployment.secret_name,
        owner_name=work.deployment.meta.name,
        owner_uid=work.deployment.meta.uid,
        manifest=manifests.dump(records),
        data=data,
    )
    return Plan(tuple(_actions(body, records, work, keyring)), tuple(results), tuple(sorted(work.kept)), records)


def _turn(entry: DraftEntry, value: SecretValue | None) -> tuple[bool, bool, str]:
    """What shrinks makes room first, what stands already may grow then, what is new comes last."""
    before = len(entry.last_good.value) if entry.last_good is not None else 0
    return entry.last_good is None, value is not None and len(value) > before, entry.desired.env_name


def _fitted(
    entry: DraftEntry, result: Entry, value: SecretValue | None, budget: Budget
) -> tuple[Entry, SecretValue | None]:
    """The entry if it fits into the Secret; else what stood there."""
    last_good = entry.last_good
    if result.record is None or value is None:
        return result, value
    refused = budget.add(entry.desired.env_name, value, result.record, last_good)
    if refused is None:
        return result, value
    problem = _problem(entry.desired, "TooLarge", refused)
    if last_good is None:
        return Entry(entry.desired, None, False, problem), None
    return Entry(entry.desired, last_good.record, False, problem), last_good.value


def _settle(
    work: Draft, entry: DraftEntry, stored: StoredFields, keyring: Keyring | None, now: str
) -> tuple[Entry, SecretValue | None]:
    desired = entry.desired
    if entry.carried is not None:
        warnings = connection_id_warnings(desired.connection.connection_id)
        return Entry(desired, entry.carried.record, True, None, warnings), entry.carried.value
    problem = desired.blocked
    if problem is None and (keyring is None or entry.recipe is None):
        problem = _problem(desired, "VaultUnavailable", "Vault was not reached yet; what was delivered stays")
    if problem is None:
        missing = [stored[x.owner.uid] for x in desired.layers if x.ready is not None]
        failed = next((m for m in missing if isinstance(m, Unavailable)), None)
        if failed is not None:
            problem = _problem(desired, failed.reason, failed.message)
    if problem is None and keyring is not None and entry.recipe is not None:
        try:
            text, warnings = render(merged(desired, stored), work.deployment.format)
            size = entry_size(desired.env_name, text)
            if size > MAX_ENTRY_BYTES:
                raise NotRepresentable(
                    (f"it takes {size} bytes as an environment variable, and Linux takes {MAX_ENTRY_BYTES}",)
                )
        except NotRepresentable as error:
            problem = _problem(desired, "NotRepresentable", "; ".join(error.problems))
        else:
            value = SecretValue.of(text)
            previous = entry.last_good.record if entry.last_good is not None else None
            unchanged = entry.last_good is not None and entry.last_good.value == value
            since = previous.since if previous is not None and unchanged else now
            record = EntryRecord(desired.connection.meta.namespace, desired.identity, entry.recipe, "", since)
            seal = keyring.digest("value", work.scope, sealed(desired.env_name, record, value))
            record = replace(record, value=seal)
            return Entry(
                desired, record, True, None, (*connection_id_warnings(desired.connection.connection_id), *warnings)
            ), value
    if entry.last_good is not None:
        return Entry(desired, entry.last_good.record, False, problem), entry.last_good.value
    return Entry(desired, None, False, problem), None


def merged(entry: DesiredEntry, stored: StoredFields) -> dict[str, FieldValue]:
    """The entry's fields after all layers, each with its origin."""
    out: dict[str, FieldValue] = {}
    for layer in entry.layers:
        sourced = stored.get(layer.owner.uid) if layer.ready is not None else None
        fields: Fields = {} if sourced is None or isinstance(sourced, Unavailable) else sourced
        prefix = f"{layer.origin}: " if layer.origin else ""
        origins = {name: prefix + where for name, where in origins_of(layer.spec, fields).items()}
        inner = make_layer(plain_fields(layer.spec), layer.origin or "Connection", fields, origins)
        out = merge(out, inner, layer.unset)
    return out


def render(fields: Mapping[str, FieldValue], style: Format) -> tuple[str, tuple[str, ...]]:
    """The value of the environment variable, and warnings about what the format loses.

    Raises:
        NotRepresentable: it would not come back from Airflow as it is.
    """
    connection = to_airflow({name: value.value for name, value in fields.items()})
    if style == "URI":
        rendered = render_uri(connection)
        return rendered.value, rendered.warnings
    return render_json(connection), ()


def _actions(body: SecretBody, records: Manifest, work: Draft, keyring: Keyring | None) -> list[SecretAction]:
    # What is withdrawn leaves the older Secrets first, whatever becomes of the new one.
    actions = [a for other in work.observed.others if (a := _shrink(other, work)) is not None]
    current = work.observed.current
    if current is None:
        actions.append(CreateSecret(body))
    elif current.type != SECRET_TYPE:
        actions.append(RemakeSecret(body, current.meta.uid))
    elif not _same(body, records, current, keyring, work.scope):
        if current.immutable:
            actions.append(RemakeSecret(body, current.meta.uid))
        else:
            actions.append(ReplaceSecret(body, current.meta.uid, current.meta.resource_version))
    actions += [DeleteSecret(o.meta.namespace, o.meta.name, o.meta.uid) for o in work.observed.others]
    return actions


def _shrink(other: RenderedView, work: Draft) -> SecretAction | None:
    """Takes out of a Secret under an older name what the deployment should no longer have."""
    wanted = {e.desired.env_name: e.desired.identity for e in work.entries}
    records = {
        name: record
        for name, record in manifests.load(other.manifest).items()
        if name in other.data and (wanted.get(name) == record.identity or record.workspace in work.resolution.frozen)
    }
    if records.keys() == other.data.keys():
        return None
    if other.immutable or other.type != SECRET_TYPE:
        return DeleteSecret(other.meta.namespace, other.meta.name, other.meta.uid)
    body = SecretBody(
        namespace=other.meta.namespace,
        name=other.meta.name,
        owner_name=other.owner_name,
        owner_uid=other.owner_uid,
        manifest=manifests.dump(records),
        data={name: other.data[name] for name in records},
    )
    return ReplaceSecret(body, other.meta.uid, other.meta.resource_version)


def _same(body: SecretBody, records: Manifest, current: RenderedView, keyring: Keyring | None, scope: Scope) -> bool:
    """Whether the Secret need not be written: its data, its owner, of whom each entry is, and that no record was changed."""
    written = manifests.load(current.manifest)
    return (
        {n: (r.workspace, r.identity) for n, r in written.items()}
        == {n: (r.workspace, r.identity) for n, r in records.items()}
        and current.owner_uid == body.owner_uid
        and all(current.labels.get(k) == v for k, v in LABELS.items())
        and current.data.keys() == body.data.keys()
        and all(current.data[k] == v for k, v in body.data.items())
        and not any(is_broken(n, r, current.data[n], keyring, scope) for n, r in written.items())
    )


def _problem(desired: DesiredEntry, reason: str, message: str) -> Problem:
    return Problem(desired.connection.connection_id, str(desired.connection.meta), reason, message)
