"""The secret store's contract: one suite on the fake and on a real Vault. What is Vault's alone is in `test_vault_login.py`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from dev.stack import LocalStack
from dev.vaulthttp import VaultHttp
from dev.vaultserver import AUTH_MOUNT, MOUNT, PREFIX, ROLE
from jetbridge.core.airflow import MAX_ENTRY_BYTES, MAX_EXTRA_DEPTH
from jetbridge.core.digest import canonical
from jetbridge.core.fields import Fields, pack, unpack
from jetbridge.core.ingest import EntryState
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.shell.settings import VaultSettings
from jetbridge.shell.vault.contract import CasMismatch, SecretStore, VaultUnavailable
from jetbridge.shell.vault.keys import keys_path, load_keyring
from jetbridge.shell.vault.kv import KvStore
from jetbridge.shell.vault.session import VaultSession
from tests.fakes.store import MAX_VERSIONS, FakeStore

PLANTED = "hunter2-planted"


class Admin(Protocol):
    """What a person does to entries past the operator."""

    def edit(self, path: str, content: Mapping[str, JsonValue]) -> int: ...
    def delete(self, path: str, *versions: int) -> None: ...
    def undelete(self, path: str, version: int) -> None: ...
    def destroy(self, path: str, version: int) -> None: ...
    def remove(self, path: str) -> None: ...
    def own(self, path: str, custom_metadata: Mapping[str, str]) -> None: ...


@dataclass(frozen=True)
class RealAdmin:
    """The same by Vault's HTTP interface, with the root token."""

    http: VaultHttp

    def edit(self, path: str, content: Mapping[str, JsonValue]) -> int:
        return int(self.http.call("POST", f"{MOUNT}/data/{path}", {"data": dict(content)})["data"]["version"])

    def delete(self, path: str, *versions: int) -> None:
        self.http.call("POST", f"{MOUNT}/delete/{path}", {"versions": list(versions)})

    def undelete(self, path: str, version: int) -> None:
        self.http.call("POST", f"{MOUNT}/undelete/{path}", {"versions": [version]})

    def destroy(self, path: str, version: int) -> None:
        self.http.call("POST", f"{MOUNT}/destroy/{path}", {"versions": [version]})

    def remove(self, path: str) -> None:
        self.http.call("DELETE", f"{MOUNT}/metadata/{path}")

    def own(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        self.http.call("POST", f"{MOUNT}/metadata/{path}", {"custom_metadata": dict(custom_metadata)})


@dataclass(frozen=True)
class Both:
    """A store, its administrator, and a path of its own."""

    store: SecretStore
    admin: Admin
    path: str

    async def state(self, *, content: bool = False) -> EntryState:
        """The state of the path, where something stands."""
        found = await self.store.read_state(self.path, content=content)
        assert found is not None
        return found


def operator_settings(stack: LocalStack, **more: Any) -> VaultSettings:
    """How the operator of the stack logs in."""
    values = {
        "address": stack.vault_addr,
        "auth": "jwt",
        "auth_mount": AUTH_MOUNT,
        "role": ROLE,
        "jwt_file": stack.operator_vault_jwt,
        "mount": MOUNT,
        "prefix": PREFIX,
    }
    return VaultSettings.model_validate(values | more)


@pytest.fixture(params=["fake", pytest.param("vault", marks=pytest.mark.contract)])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """The fake, and KvStore logged in as the operator."""
    path = f"{PREFIX}/{uuid.uuid4().hex[:12]}/connections/warehouse"
    if request.param == "fake":
        fake = FakeStore()
        yield Both(fake, fake, path)
        return
    stack: LocalStack = request.getfixturevalue("stack")
    session = VaultSession(operator_settings(stack))
    yield Both(KvStore(session, MOUNT), RealAdmin(stack.vault.client()), path)
    await session.close()


# What stands


async def test_where_nothing_stands(both: Both) -> None:
    assert await both.store.read_state(both.path, content=True) is None
    assert await both.store.read_version(both.path, 1) is None


async def test_metadata_stands_without_data(both: Both) -> None:
    await both.store.write_metadata(both.path, {"manager": "jetbridge"})
    assert await both.state(content=True) == EntryState(0, False, {"manager": "jetbridge"}, (), None)


async def test_what_was_put_stands(both: Both) -> None:
    assert await both.store.put(both.path, {"password": PLANTED}, cas=0) == 1
    assert await both.state() == EntryState(1, True, {}, (1,), None)
    assert await both.state(content=True) == EntryState(1, True, {}, (1,), {"password": PLANTED})
    assert await both.store.read_version(both.path, 1) == {"password": PLANTED}


async def test_data_comes_after_metadata(both: Both) -> None:
    await both.store.write_metadata(both.path, {"manager": "jetbridge"})
    assert await both.store.put(both.path, {"a": "b"}, cas=0) == 1
    assert (await both.state()).custom_metadata == {"manager": "jetbridge"}


async def test_metadata_is_replaced_whole(both: Both) -> None:
    await both.store.write_metadata(both.path, {"a": "1", "b": "2"})
    await both.store.write_metadata(both.path, {"b": "3"})
    assert (await both.state()).custom_metadata == {"b": "3"}


async def test_a_new_version_leaves_the_old_one(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    assert await both.store.put(both.path, {"n": "2"}, cas=1) == 2
    assert (await both.state(content=True)).content == {"n": "2"}
    assert await both.store.read_version(both.path, 1) == {"n": "1"}
    assert (await both.state()).live_versions == (1, 2)


@pytest.mark.parametrize(
    "content",
    [
        {"password": ""},
        {"password": "é中🙂\n\t\x00\u2028"},
        {"port": 5432},
        {"extra": {"nested": {"deep": [1, [2, {"x": []}]], "empty": {}}, "t": True, "f": False}},
        {"extra": {"": "empty key", "a.b": 1, "a/b": 2}},
        {"extra": {"float": 1.5, "small": 1e-9, "negative": -0.25, "exact": 2**53}},
        {"password": "x" * 100_000},
    ],
    ids=["empty", "unicode", "number", "nested", "keys", "numbers", "long"],
)
async def test_content_comes_back_as_it_was_put(both: Both, content: dict[str, JsonValue]) -> None:
    """Down to the bytes of its canonical form: digests are made of it."""
    await both.store.put(both.path, content, cas=0)
    found = await both.store.read_version(both.path, 1)
    assert found is not None
    assert canonical(dict(found)) == canonical(content)


@pytest.mark.parametrize(
    ("put", "found"),
    [(1.0, "1"), (9007199254740993, "9007199254740992"), (2**70, "1.1805916207174113e+21"), (1e20, "1" + "0" * 20)],
)
async def test_numbers_are_64_bit_floats_to_vault(both: Both, put: float, found: str) -> None:
    """So `pack` must not leave such a number to it."""
    await both.store.put(both.path, {"extra": {"n": put}}, cas=0)
    content = await both.store.read_version(both.path, 1)
    assert content is not None
    assert canonical(dict(content)) == f'{{"extra":{{"n":{found}}}}}'.encode()


@pytest.mark.parametrize(
    "extra",
    [
        {"whole": 1.0, "big": 2**70, "negative": -(2**63), "exact": 9007199254740993, "large": 1e300, "zero": -0.0},
        {"deep": [{"n": [2.0]}]},
        {"plain": 1, "text": "é\u2028<&>"},
    ],
    ids=["numbers", "deep", "plain"],
)
async def test_what_is_packed_comes_back_unpacked(both: Both, extra: dict[str, JsonValue]) -> None:
    fields: Fields = {"password": "x", "port": 5432, **{f"extra.{key}": value for key, value in extra.items()}}
    await both.store.put(both.path, pack(fields), cas=0)
    content = await both.store.read_version(both.path, 1)
    assert content is not None
    found = unpack(content)
    assert found is not None
    assert canonical(dict(found)) == canonical(dict(fields))
    assert canonical(dict(content)) == canonical(pack(fields)), "its digest would not match"


async def test_as_large_as_a_source_may_be(both: Both) -> None:
    deep: JsonValue = "x"
    for _ in range(MAX_EXTRA_DEPTH):
        deep = [deep]
    content: dict[str, JsonValue] = {"password": "\x01" * (MAX_ENTRY_BYTES // 6), "extra": {"deep": deep}}
    assert await both.store.put(both.path, content, cas=0) == 1
    assert await both.store.read_version(both.path, 1) == content


# Check and set


@pytest.mark.parametrize("cas", [1, 2, 7])
async def test_the_first_version_takes_no_other_cas_than_0(both: Both, cas: int) -> None:
    with pytest.raises(CasMismatch):
        await both.store.put(both.path, {"a": "b"}, cas=cas)
    assert await both.store.read_state(both.path, content=True) is None


@pytest.mark.parametrize("cas", [0, 2])
async def test_a_cas_that_is_not_the_current_version_is_refused(both: Both, cas: int) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    with pytest.raises(CasMismatch):
        await both.store.put(both.path, {"n": "2"}, cas=cas)
    assert (await both.state(content=True)).content == {"n": "1"}


@pytest.mark.parametrize("how", ["delete", "destroy"])
async def test_after_a_deletion_the_cas_is_still_the_current_version(both: Both, how: str) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    if how == "delete":
        await both.store.soft_delete(both.path, [1])
    else:
        both.admin.destroy(both.path, 1)
    with pytest.raises(CasMismatch):
        await both.store.put(both.path, {"n": "2"}, cas=0)
    assert await both.store.put(both.path, {"n": "2"}, cas=1) == 2


async def test_after_the_metadata_went_it_begins_anew(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    both.admin.remove(both.path)
    assert await both.store.read_state(both.path, content=False) is None
    assert await both.store.put(both.path, {"n": "2"}, cas=0) == 1


async def test_one_of_two_writers_wins(both: Both) -> None:
    results = await asyncio.gather(
        *(both.store.put(both.path, {"n": str(n)}, cas=0) for n in range(6)), return_exceptions=True
    )
    assert results.count(1) == 1
    assert sum(isinstance(r, CasMismatch) for r in results) == 5


# Deletion


async def test_what_was_soft_deleted_can_not_be_read_and_keeps_its_number(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    await both.store.soft_delete(both.path, [1])
    assert await both.state(content=True) == EntryState(1, False, {}, (), None)
    assert await both.store.read_version(both.path, 1) is None


async def test_what_was_soft_deleted_can_be_restored(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    await both.store.soft_delete(both.path, [1])
    both.admin.undelete(both.path, 1)
    assert await both.state(content=True) == EntryState(1, True, {}, (1,), {"n": "1"})


async def test_only_the_given_versions_are_deleted(both: Both) -> None:
    for number in range(3):
        await both.store.put(both.path, {"n": str(number)}, cas=number)
    await both.store.soft_delete(both.path, [1, 3])
    state = await both.state()
    assert (state.version, state.live, state.live_versions) == (3, False, (2,))


async def test_what_was_destroyed_is_not_live(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    both.admin.destroy(both.path, 1)
    assert await both.state(content=True) == EntryState(1, False, {}, (), None)
    assert await both.store.read_version(both.path, 1) is None


@pytest.mark.parametrize("versions", [[], [1], [7]])
async def test_deleting_what_is_not_there_is_fine(both: Both, versions: list[int]) -> None:
    await both.store.soft_delete(both.path, versions)
    assert await both.store.read_state(both.path, content=True) is None


async def test_deleting_versions_that_never_were_leaves_the_others(both: Both) -> None:
    await both.store.put(both.path, {"n": "1"}, cas=0)
    await both.store.soft_delete(both.path, [7])
    assert (await both.state()).live


async def test_old_versions_go_by_themselves(both: Both) -> None:
    for number in range(MAX_VERSIONS + 2):
        await both.store.put(both.path, {"n": str(number)}, cas=number)
    state = await both.state()
    assert (state.version, state.live_versions) == (MAX_VERSIONS + 2, tuple(range(3, MAX_VERSIONS + 3)))
    assert await both.store.read_version(both.path, 1) is None


# Others


async def test_what_others_did_is_seen(both: Both) -> None:
    both.admin.own(both.path, {"owner": "somebody"})
    assert both.admin.edit(both.path, {"a": "theirs"}) == 1
    both.admin.edit(both.path, {"b": "theirs"})
    both.admin.delete(both.path, 1)
    assert await both.state(content=True) == EntryState(2, True, {"owner": "somebody"}, (2,), {"b": "theirs"})


async def test_no_error_holds_content(both: Both) -> None:
    await both.store.put(both.path, {"password": PLANTED}, cas=0)
    with pytest.raises(CasMismatch) as caught:
        await both.store.put(both.path, {"password": PLANTED + "2"}, cas=5)
    assert PLANTED not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# The digest keys


async def test_the_keys_are_made_once(both: Both) -> None:
    prefix = f"{PREFIX}/{uuid.uuid4().hex[:12]}"
    first = await load_keyring(both.store, prefix)
    again = await load_keyring(both.store, prefix)
    assert first.current == again.current
    assert first.keys == again.keys


async def test_makers_at_once_agree(both: Both) -> None:
    prefix = f"{PREFIX}/{uuid.uuid4().hex[:12]}"
    rings = await asyncio.gather(*(load_keyring(both.store, prefix) for _ in range(5)))
    assert len({ring.current for ring in rings}) == 1


async def test_keys_that_were_deleted_are_made_anew(both: Both) -> None:
    prefix = f"{PREFIX}/{uuid.uuid4().hex[:12]}"
    first = await load_keyring(both.store, prefix)
    both.admin.delete(keys_path(prefix), 1)
    assert (await load_keyring(both.store, prefix)).current != first.current


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"current": "k1"},
        {"current": "k2", "keys": {"k1": "eA=="}},
        {"current": "k1", "keys": {"k1": f"{PLANTED}!"}},
        {"current": "k1", "keys": PLANTED},
        {"current": 7, "keys": {"7": "eA=="}},
    ],
    ids=["empty", "no keys", "not among them", "no base64", "no object", "number"],
)
async def test_keys_that_can_not_be_understood_are_left_alone(both: Both, content: dict[str, JsonValue]) -> None:
    """To write new ones over them would lose every digest."""
    prefix = f"{PREFIX}/{uuid.uuid4().hex[:12]}"
    both.admin.edit(keys_path(prefix), content)
    with pytest.raises(VaultUnavailable) as caught:
        await load_keyring(both.store, prefix)
    assert PLANTED not in str(caught.value)
    state = await both.store.read_state(keys_path(prefix), content=False)
    assert state is not None
    assert state.version == 1
