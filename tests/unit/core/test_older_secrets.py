"""Secrets that the deployment has under an older `secretName`: what is withdrawn leaves them first, and what they hold is not
lost on the way to the new one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import CreateSecret, DeleteSecret, RemakeSecret, ReplaceSecret, SecretAction
from jetbridge.core.material import Blocked, Material
from jetbridge.core.plan import Plan, Unavailable
from jetbridge.core.seal import genuine
from jetbridge.core.views import RenderedView
from tests.fakes.objects import a_deployment, a_rendered
from tests.strategies import as_rendered
from tests.unit.core.test_plan import (
    DELIVERED,
    NAME,
    NOW,
    PLANTED,
    RING,
    SCOPE,
    SOURCED,
    THEN,
    Case,
    problems,
    ready,
    to_all,
)

RENAMED = a_deployment(secret_name="new-name")
STAYS, GOES = to_all("stays"), to_all("goes")
BOTH = Case([STAYS, GOES])
AFTER = Case([STAYS], deployment=RENAMED)
OLDER_DELETED = DeleteSecret("team-a", "older", "older-uid")


def older(case: Case, **changes: Any) -> RenderedView:
    """The Secret of a case under an older name."""
    held = replace(case.held(), **changes)
    return replace(held, meta=replace(a_rendered(name="older", uid="older-uid").meta, resource_version="7"))


def written(action: SecretAction) -> dict[str, Any]:
    assert not isinstance(action, DeleteSecret)
    return {k.removeprefix("AIRFLOW_CONN_"): json.loads(v.text()) for k, v in action.body.data.items()}


def carried_out(result: Plan, *, until: type) -> list[SecretAction]:
    """The actions up to the first of a kind: what is done when that one fails."""
    done: list[SecretAction] = []
    for action in result.actions:
        if isinstance(action, until):
            break
        done.append(action)
    return done


# Withdrawal comes first


def test_what_is_withdrawn_leaves_the_older_secret_before_the_new_one_is_written() -> None:
    shrink, create, delete = AFTER.run(None, older(BOTH)).actions
    assert isinstance(shrink, ReplaceSecret)
    assert (shrink.body.name, shrink.uid, shrink.resource_version) == ("older", "older-uid", "7")
    assert written(shrink).keys() == {"STAYS"}
    assert isinstance(create, CreateSecret)
    assert (create.body.name, set(written(create))) == ("new-name", {"STAYS"})
    assert delete == OLDER_DELETED


def test_it_leaves_the_older_secret_also_when_the_new_name_is_taken() -> None:
    """The creation fails with Taken, and nothing after it is done."""
    (shrink,) = carried_out(AFTER.run(None, older(BOTH)), until=CreateSecret)
    assert written(shrink).keys() == {"STAYS"}


def test_a_shrunk_secret_keeps_values_owner_and_seals_of_what_stays() -> None:
    before = older(BOTH)
    shrink = AFTER.run(None, before).actions[0]
    assert isinstance(shrink, ReplaceSecret)
    name = "AIRFLOW_CONN_STAYS"
    assert shrink.body.data[name] == before.data[name]
    assert (shrink.body.owner_name, shrink.body.owner_uid) == (before.owner_name, before.owner_uid)
    records = manifests.load(shrink.body.manifest)
    assert records == {name: manifests.load(before.manifest)[name]}
    assert genuine(name, records[name], shrink.body.data[name], RING, SCOPE)


def test_a_shrunk_secret_is_not_shrunk_again() -> None:
    """The new name stays taken, and each try must not write."""
    shrink = AFTER.run(None, older(BOTH)).actions[0]
    assert isinstance(shrink, ReplaceSecret)
    shrunk = replace(as_rendered(shrink.body, "older-uid"), meta=older(BOTH).meta)
    assert carried_out(AFTER.run(None, shrunk), until=CreateSecret) == []


def test_nothing_withdrawn_needs_no_shrinking() -> None:
    create, delete = replace(BOTH, deployment=RENAMED).run(None, older(BOTH)).actions
    assert isinstance(create, CreateSecret)
    assert delete == OLDER_DELETED


def test_withdrawal_from_an_older_secret_needs_no_keys() -> None:
    (shrink,) = carried_out(replace(AFTER, keyring=None).run(None, older(BOTH)), until=CreateSecret)
    assert written(shrink).keys() == {"STAYS"}


def test_withdrawal_of_everything_leaves_the_older_secret_empty() -> None:
    (shrink,) = carried_out(Case([], deployment=RENAMED).run(None, older(BOTH)), until=CreateSecret)
    assert written(shrink) == {}


def test_a_connection_made_anew_is_withdrawn_from_the_older_secret_as_well() -> None:
    """The same name, another object: what the former one gave must go."""
    anew = replace(STAYS, meta=replace(STAYS.meta, uid="anew"))
    (shrink,) = carried_out(Case([anew, GOES], deployment=RENAMED).run(None, older(BOTH)), until=CreateSecret)
    assert written(shrink).keys() == {"GOES"}


def test_a_key_that_somebody_added_to_the_older_secret_goes_too() -> None:
    before = older(BOTH)
    planted = replace(before, data={**before.data, "STRANGE": before.data["AIRFLOW_CONN_STAYS"]})
    (shrink,) = carried_out(replace(BOTH, deployment=RENAMED).run(None, planted), until=CreateSecret)
    assert written(shrink).keys() == {"STAYS", "GOES"}


@pytest.mark.parametrize(
    "change", [{"immutable": True}, {"type": "kubernetes.io/tls"}], ids=["immutable", "another type"]
)
def test_an_older_secret_that_can_not_shrink_goes_at_once(change: dict[str, Any]) -> None:
    """It can't be written, so the withdrawal deletes it; the values are on their way into the new one."""
    first, create, *_ = AFTER.run(None, older(BOTH, **change)).actions
    assert first == OLDER_DELETED
    assert isinstance(create, CreateSecret)
    assert written(create).keys() == {"STAYS"}


def test_an_immutable_older_secret_stays_until_the_new_one_is_there_when_nothing_is_withdrawn() -> None:
    create, delete = replace(BOTH, deployment=RENAMED).run(None, older(BOTH, immutable=True)).actions
    assert isinstance(create, CreateSecret)
    assert delete == OLDER_DELETED


def test_every_older_secret_is_shrunk() -> None:
    second = replace(older(BOTH), meta=a_rendered(name="oldest", uid="oldest-uid").meta)
    done = carried_out(AFTER.run(None, older(BOTH), second), until=CreateSecret)
    assert [(type(a), a.body.name, set(written(a))) for a in done if isinstance(a, ReplaceSecret)] == [
        (ReplaceSecret, "older", {"STAYS"}),
        (ReplaceSecret, "oldest", {"STAYS"}),
    ]


@pytest.mark.parametrize("standing", ["right", "outdated", "immutable"])
def test_withdrawal_from_an_older_secret_comes_before_the_change_of_the_present_one(standing: str) -> None:
    """Both stand: the deletion of the older one failed a moment ago."""
    held = replace((AFTER if standing == "right" else BOTH).held(), immutable=standing == "immutable")
    present = replace(held, meta=a_rendered(name="new-name", uid="new-uid").meta)
    first, *others, last = AFTER.run(present, older(BOTH)).actions
    assert isinstance(first, ReplaceSecret)
    assert first.body.name == "older"
    assert [type(a) for a in others] == {"right": [], "outdated": [ReplaceSecret], "immutable": [RemakeSecret]}[
        standing
    ]
    assert last == OLDER_DELETED


def test_what_a_workspace_that_is_not_watched_gave_stays_in_the_older_secret() -> None:
    unseen = Case([], deployment=RENAMED, observed=False)
    create, delete = unseen.run(None, older(BOTH)).actions
    assert isinstance(create, CreateSecret)
    assert written(create).keys() == {"STAYS", "GOES"}
    assert delete == OLDER_DELETED


# Nothing is lost on the way


@dataclass(frozen=True)
class Trouble:
    """Why a sourced value can't be rendered now."""

    material: Material
    stored: dict[str, Unavailable]
    reason: str


ROTATED_AWAY = ready(SOURCED, {"password": "new"}, there=False, version=2)
TROUBLES = {
    "Vault away": Trouble(
        ROTATED_AWAY, {SOURCED.meta.uid: Unavailable("VaultUnavailable", "away")}, "VaultUnavailable"
    ),
    "being taken in": Trouble(Blocked("Pending", "m"), {}, "Pending"),
    "source invalid": Trouble(Blocked("SourceInvalid", "m"), {}, "SourceInvalid"),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_values_are_carried_from_the_older_secret_when_they_can_not_be_rendered(trouble: Trouble) -> None:
    case = Case([SOURCED], {SOURCED.meta.uid: trouble.material}, RENAMED)
    result = case.run(None, older(DELIVERED), stored=trouble.stored)
    create, delete = result.actions
    assert written(create)["WAREHOUSE"]["password"] == PLANTED
    assert delete == OLDER_DELETED
    assert problems(result) == {"WAREHOUSE": trouble.reason}
    assert result.records[NAME].since == THEN, "it is as old as it was"


def test_values_are_carried_from_the_older_secret_before_vault_was_ever_reached() -> None:
    create, _ = replace(DELIVERED, deployment=RENAMED, keyring=None).run(None, older(DELIVERED)).actions
    assert written(create)["WAREHOUSE"]["password"] == PLANTED


def test_a_renamed_secret_is_made_without_reading_vault() -> None:
    case = replace(DELIVERED, deployment=RENAMED)
    assert case.draft(None, None, older(DELIVERED)).needs == ()
    result = case.run(None, older(DELIVERED))
    assert written(result.actions[0])["WAREHOUSE"]["password"] == PLANTED
    assert result.records == manifests.load(older(DELIVERED).manifest)


def test_the_present_secret_counts_before_an_older_one() -> None:
    newer = {SOURCED.meta.uid: ready(SOURCED, {"password": "newer"}, version=2)}
    present = replace(Case([SOURCED], {**newer}).held(), meta=a_rendered(name="new-name", uid="new-uid").meta)
    blocked = Case([SOURCED], {SOURCED.meta.uid: Blocked("SourceInvalid", "m")}, RENAMED)
    result = blocked.run(present, older(DELIVERED))
    assert result.actions == (OLDER_DELETED,), "the present one is right as it is"


def test_a_value_that_was_tampered_with_is_not_carried_over() -> None:
    before = older(DELIVERED)
    stranger = a_rendered(name="older", uid="older-uid", data={NAME: '{"conn_type":"evil"}'}, manifest=before.manifest)
    blocked = Case([SOURCED], {SOURCED.meta.uid: Blocked("SourceInvalid", "m")}, RENAMED)
    create = next(a for a in blocked.run(None, stranger).actions if isinstance(a, CreateSecret))
    assert written(create) == {}


def test_what_is_new_is_dated_now() -> None:
    result = Case([STAYS, to_all("new")], deployment=RENAMED).run(None, older(BOTH))
    assert {n.removeprefix("AIRFLOW_CONN_"): r.since for n, r in result.records.items()} == {"STAYS": THEN, "NEW": NOW}
