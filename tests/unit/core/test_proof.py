"""Which Secrets with our label we wrote: labels and owners can be forged, a keyed digest can't."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import ReplaceSecret
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.manifest import EntryRecord
from jetbridge.core.seal import genuine, is_proven
from jetbridge.core.views import RenderedView
from tests.fakes.objects import a_rendered
from tests.strategies import as_rendered
from tests.unit.core.test_plan import (
    BLOCKED,
    DELIVERED,
    LOST,
    NAME,
    PLANTED,
    RING,
    ROTATED,
    SCOPE,
    SOURCED,
    Case,
    problems,
    to_all,
    values,
    with_data,
)

HERE = SCOPE.namespace_uid
PARTS = tuple(part.name for part in fields(EntryRecord))
GOOD = {"conn_type": "postgres", "host": "h", "password": PLANTED}
FORGED = {"value": f"k1:{'A' * 22}"}


def forged(secret: RenderedView, part: str) -> RenderedView:
    """The Secret with one part of its one record changed by somebody without the key."""
    record = manifests.load(secret.manifest)[NAME]
    changed = EntryRecord(*(FORGED.get(p, "forged") if p == part else getattr(record, p) for p in PARTS))
    assert changed != record
    return replace(secret, manifest=manifests.dump({NAME: changed}))


def is_genuine(secret: RenderedView, name: str = NAME, keyring: Keyring = RING, scope: Scope = SCOPE) -> bool:
    return genuine(name, manifests.load(secret.manifest)[NAME], secret.data[NAME], keyring, scope)


# One entry


def test_what_we_wrote_is_genuine() -> None:
    assert is_genuine(DELIVERED.held())


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_a_record_is_sealed(part: str) -> None:
    assert not is_genuine(forged(DELIVERED.held(), part))


def test_the_value_is_sealed() -> None:
    assert not is_genuine(with_data(DELIVERED.held(), **{NAME: "tampered"}))


def test_the_name_is_sealed() -> None:
    assert not is_genuine(DELIVERED.held(), "AIRFLOW_CONN_OTHER")


@pytest.mark.parametrize(
    "scope",
    [Scope("another-namespace", SCOPE.object_uid), Scope(HERE, "another-deployment")],
    ids=["namespace", "deployment"],
)
def test_a_record_is_sealed_for_one_deployment(scope: Scope) -> None:
    assert not is_genuine(DELIVERED.held(), scope=scope)


def test_parts_can_not_be_shifted_into_each_other() -> None:
    """The seal covers where a part ends, not only their text."""
    record = manifests.load(DELIVERED.held().manifest)[NAME]
    shifted = replace(record, workspace=record.workspace[:-1], identity=record.workspace[-1] + record.identity)
    assert not genuine(NAME, shifted, DELIVERED.held().data[NAME], RING, SCOPE)


def test_a_rotated_key_still_proves_what_the_older_one_sealed() -> None:
    assert is_genuine(DELIVERED.held(), keyring=ROTATED)


def test_nothing_is_proven_by_a_key_that_is_lost() -> None:
    assert not is_genuine(DELIVERED.held(), keyring=LOST)


# A whole Secret


def test_a_secret_that_we_wrote_is_proven() -> None:
    assert is_proven(DELIVERED.held(), RING, HERE)


@pytest.mark.parametrize("part", PARTS)
def test_a_secret_with_one_forged_record_proves_nothing(part: str) -> None:
    assert not is_proven(forged(DELIVERED.held(), part), RING, HERE)


def test_one_genuine_entry_proves_the_secret() -> None:
    """Somebody edited our Secret: it is ours all the same, and is restored."""
    held = Case([to_all("a"), to_all("b")]).held()
    assert is_proven(with_data(held, AIRFLOW_CONN_A="tampered"), RING, HERE)
    assert not is_proven(with_data(held, AIRFLOW_CONN_A="tampered", AIRFLOW_CONN_B="tampered"), RING, HERE)


def test_a_record_without_its_value_proves_nothing() -> None:
    assert not is_proven(with_data(DELIVERED.held(), **{NAME: None}), RING, HERE)


@pytest.mark.parametrize(
    "change",
    [{"owner_uid": "forged"}, {"manifest": None}, {"manifest": "{}"}, {"manifest": "["}],
    ids=["owner", "no manifest", "empty manifest", "unreadable manifest"],
)
def test_labels_alone_prove_nothing(change: dict[str, str | None]) -> None:
    assert not is_proven(replace(DELIVERED.held(), **change), RING, HERE)  # type: ignore[arg-type]


def test_what_we_wrote_proves_nothing_in_another_namespace() -> None:
    assert not is_proven(DELIVERED.held(), RING, "another-namespace")


def test_a_manifest_without_a_key_proves_nothing() -> None:
    """A seal that names a key which nobody has is no seal."""
    record = EntryRecord("team-a", "identity", "k9:recipe", "k9:value", "")
    secret = a_rendered(data={NAME: "x"}, manifest=manifests.dump({NAME: record}))
    assert not is_proven(secret, RING, HERE)


# What follows for the plan


@pytest.mark.parametrize("part", PARTS)
def test_a_forged_record_is_noticed_and_written_again(part: str) -> None:
    """Else it would be told as forged again after every restart, and could not prove the Secret ours."""
    (action,) = DELIVERED.run(forged(DELIVERED.held(), part)).actions
    assert isinstance(action, ReplaceSecret)
    again = as_rendered(action.body, "secret-uid")
    assert is_genuine(again)
    assert DELIVERED.run(again).actions == ()


def test_a_value_changed_under_a_seal_of_an_unknown_key_is_written_again() -> None:
    """The seal can't be checked, but the value can be rendered: a genuine recipe beside it must not make it credible."""
    held = with_data(DELIVERED.held(), **{NAME: "tampered"})
    record = replace(manifests.load(held.manifest)[NAME], value="k9:anything")
    assert values(DELIVERED.run(replace(held, manifest=manifests.dump({NAME: record}))))["WAREHOUSE"] == GOOD


@pytest.mark.parametrize("keyring", [ROTATED, LOST], ids=["rotated", "lost"])
def test_another_key_is_no_reason_to_write(keyring: Keyring) -> None:
    """Others restart workloads on any write of a Secret."""
    assert replace(DELIVERED, keyring=keyring).run(DELIVERED.held()).actions == ()


@pytest.mark.parametrize("part", PARTS)
def test_a_forged_record_is_no_last_good(part: str) -> None:
    """What can't be checked against our own word does not stay."""
    result = Case([SOURCED], {**BLOCKED}).run(forged(DELIVERED.held(), part))
    assert values(result) == {}
    assert problems(result) == {"WAREHOUSE": "SourceInvalid"}


def test_a_record_forged_to_name_a_workspace_that_is_not_watched_keeps_nothing() -> None:
    """It would keep an entry that was withdrawn, for as long as that workspace is not watched."""
    case = replace(DELIVERED, observed=False)
    sealed = manifests.load(DELIVERED.held().manifest)[NAME]
    moved = replace(DELIVERED.held(), manifest=manifests.dump({NAME: replace(sealed, workspace="team-b")}))
    assert case.run(DELIVERED.held()).kept == (NAME,)
    assert case.run(moved).kept == ()


def test_an_entry_forged_into_a_secret_under_an_older_name_is_not_carried_over() -> None:
    older = replace(forged(DELIVERED.held(), "since"), meta=a_rendered(name="older", uid="older-uid").meta)
    blocked = Case([SOURCED], {**BLOCKED}).run(None, older)
    assert all(not getattr(getattr(a, "body", None), "data", {}) for a in blocked.actions)
