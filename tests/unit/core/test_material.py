"""Whether sourced fields can be used now: never a new host together with an old password."""

from __future__ import annotations

from typing import Any

import pytest

from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.ingest import StoreReason, entry_digest
from jetbridge.core.material import Blocked, LastIngest, Material, NoMaterial, Ready, material_of, sources_of
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.sources import refs_fingerprint
from jetbridge.core.views import ConnectionView, Record, SecretView
from tests.fakes.objects import a_connection, a_link, a_source

PLANTED = "hunter2-planted"
RING = Keyring("k1", {"k1": SecretValue(b"1" * 32)})
SCOPE = Scope("ns", "uid")
SPEC = {"type": "postgres", "secretRef": {"name": "creds"}}
FIELDS = {"password": PLANTED}


def owner(spec: dict[str, Any] | None = None, **more: Any) -> ConnectionView:
    return a_connection(spec=SPEC if spec is None else spec, **more)


def record(fields: Any = None, *, spec: dict[str, Any] | None = None, ring: Keyring = RING) -> Record:
    """A record of fields, taken from the references of a spec."""
    found = owner(spec).fields
    assert found is not None
    digest = entry_digest(ring, SCOPE, FIELDS if fields is None else fields)
    return Record("secret/x", 1, digest, refs_fingerprint(found))


SOURCE = a_source(data=FIELDS)


def judge(
    view: ConnectionView,
    known: Record | None,
    *secrets: SecretView,
    keyring: Keyring | None = RING,
    last: StoreReason | None = None,
) -> Material:
    found = {s.meta.name: s for s in secrets}
    told = LastIngest(last, "as it ended", 1) if last is not None else None
    return material_of(view, known, sources_of(view, found.get), keyring=keyring, scope=SCOPE, last=told)


def reason(material: Material) -> str:
    assert isinstance(material, Blocked), material
    assert PLANTED not in material.message
    return material.reason


def test_without_sources_there_is_nothing_to_fetch() -> None:
    assert judge(owner({"type": "x"}), record()) == NoMaterial()
    link = a_link()
    assert (
        material_of(link, None, sources_of(link, lambda _: None), keyring=RING, scope=SCOPE, last=None) == NoMaterial()
    )


def test_an_invalid_object_has_no_material() -> None:
    assert judge(owner({"port": "x", "secretRef": {"name": "creds"}}), record(), SOURCE) == NoMaterial()


def test_what_was_taken_in_and_is_still_there_is_ready_with_its_fields() -> None:
    assert judge(owner(), record(), SOURCE) == Ready(record(), FIELDS)


def test_what_was_taken_in_and_is_gone_is_ready_without_fields() -> None:
    assert judge(owner(), record()) == Ready(record(), None)


def test_a_source_that_was_not_taken_in_yet_is_pending() -> None:
    assert reason(judge(owner(), None, SOURCE)) == "Pending"


def test_a_newer_source_that_waits_is_pending() -> None:
    """Neither the old value nor the new: it is a moment."""
    assert reason(judge(owner(), record({"password": "old"}), SOURCE)) == "Pending"


def test_changed_references_do_not_use_what_the_old_ones_gave() -> None:
    changed = {"type": "postgres", "secretRef": {"name": "other"}}
    assert reason(judge(owner(changed), record(), SOURCE)) == "SourceMissing"


def test_a_new_key_of_the_same_secret_is_another_reference() -> None:
    one = {"type": "x", "fieldsFrom": [{"field": "password", "secretKeyRef": {"name": "creds"}}]}
    other = {"type": "x", "fieldsFrom": [{"field": "password", "secretKeyRef": {"name": "creds", "key": "new"}}]}
    source = a_source(data={"password": PLANTED, "new": PLANTED})
    assert reason(judge(owner(other), record(spec=one), source)) == "Pending"


@pytest.mark.parametrize(
    "source", [a_source(data={"password": b"\xff"}), a_source(data={"port": "x"}), a_source(data={})]
)
def test_a_source_that_is_wrong_blocks_what_is_stored(source: SecretView) -> None:
    assert reason(judge(owner(), record(), source)) == "SourceInvalid"


def test_a_source_that_is_refused_blocks_what_is_stored() -> None:
    assert reason(judge(owner(), record(), a_source(kind="kubernetes.io/dockercfg"))) == "SourceRefused"


def test_an_unknown_key_is_pending_while_the_source_is_there() -> None:
    lost = Keyring("k0", {"k0": SecretValue(b"0" * 32)})
    assert reason(judge(owner(), record(ring=lost), SOURCE)) == "Pending"


def test_without_keys_a_record_is_trusted() -> None:
    assert judge(owner(), record({"password": "other"}), SOURCE, keyring=None) == Ready(
        record({"password": "other"}), FIELDS
    )


@pytest.mark.parametrize("last", [StoreReason.CHANGED, StoreReason.LOST, StoreReason.FOREIGN])
def test_a_lost_or_edited_entry_blocks(last: StoreReason) -> None:
    assert reason(judge(owner(), record(), last=last)) == last.value


@pytest.mark.parametrize("last", [StoreReason.UNAVAILABLE, StoreReason.DENIED, StoreReason.STORED, StoreReason.KEPT])
def test_a_vault_that_is_away_does_not_block_what_is_stored(last: StoreReason) -> None:
    assert judge(owner(), record(), last=last) == Ready(record(), None)
    assert judge(owner(), record(), SOURCE, last=last) == Ready(record(), FIELDS)


def test_a_foreign_entry_blocks_also_while_the_source_is_there() -> None:
    assert reason(judge(owner(), record(), SOURCE, last=StoreReason.FOREIGN)) == "ForeignEntry"
    assert reason(judge(owner(), None, SOURCE, last=StoreReason.FOREIGN)) == "ForeignEntry"


@pytest.mark.parametrize("last", [StoreReason.UNAVAILABLE, StoreReason.DENIED, StoreReason.FOREIGN])
def test_what_keeps_a_source_from_being_taken_in_is_told(last: StoreReason) -> None:
    assert reason(judge(owner(), None, SOURCE, last=last)) == last.value
    assert reason(judge(owner(), None, last=last)) == last.value


@pytest.mark.parametrize("last", [StoreReason.STORED, StoreReason.KEPT, StoreReason.PENDING])
def test_a_settled_ingest_does_not_hide_that_a_newer_source_waits(last: StoreReason) -> None:
    assert reason(judge(owner(), record({"password": "old"}), SOURCE, last=last)) == "Pending"


def test_material_is_not_shown() -> None:
    assert PLANTED not in repr(judge(owner(), record(), SOURCE))
