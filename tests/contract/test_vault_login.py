"""Logging in to a real Vault by every method that the local one has, and what becomes of the token.

Kubernetes auth is not in the minimal build of the local stack: its call is looked at on a stub.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dev.ports import free_ports
from dev.stack import LocalStack
from dev.vaulthttp import VaultHttp
from dev.vaultserver import MOUNT, PREFIX, ROLE
from jetbridge.shell.settings import VaultSettings
from jetbridge.shell.vault import session as session_module
from jetbridge.shell.vault.auth import Login
from jetbridge.shell.vault.contract import VaultDenied, VaultRefused, VaultUnavailable
from jetbridge.shell.vault.kv import KvStore
from jetbridge.shell.vault.session import VaultSession
from tests.contract.test_vault_store import operator_settings

PLANTED = "hunter2-planted"
PATH = f"{PREFIX}/login-tests/connections/x"


class Calls:
    """Counts what a session tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, operation: str, result: str) -> None:
        self.told.append((operation, result))

    def logins(self) -> int:
        return sum(operation == "login" for operation, _ in self.told)


@asynccontextmanager
async def session_of(settings: VaultSettings) -> AsyncIterator[tuple[VaultSession, KvStore, Calls]]:
    calls = Calls()
    session = VaultSession(settings, calls)
    try:
        yield session, KvStore(session, settings.mount), calls
    finally:
        await session.close()


async def works(settings: VaultSettings) -> None:
    """A login that may read and write below the prefix."""
    async with session_of(settings) as (_, store, calls):
        state = await store.read_state(PATH, content=False)
        await store.put(PATH, {"a": "b"}, cas=state.version if state is not None else 0)
        assert calls.logins() == 1, "one login is enough"


def policy_token(root: VaultHttp, **more: Any) -> str:
    return str(root.call("POST", "auth/token/create", {"policies": [ROLE], **more})["auth"]["client_token"])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# Methods


@pytest.mark.contract
async def test_jwt(stack: LocalStack) -> None:
    await works(operator_settings(stack))


@pytest.mark.contract
@pytest.mark.parametrize("how", ["value", "file"])
async def test_token(stack: LocalStack, tmp_path: Path, how: str) -> None:
    token = policy_token(stack.vault.client())
    given = {"token": token} if how == "value" else {"token_file": write(tmp_path / "token", token + "\n")}
    await works(operator_settings(stack, auth="token", **given))


@pytest.mark.contract
@pytest.mark.parametrize("mount", ["approle", "other/approle"])
async def test_approle(stack: LocalStack, tmp_path: Path, mount: str) -> None:
    root = stack.vault.client()
    if f"{mount}/" not in root.call("GET", "sys/auth")["data"]:
        root.call("POST", f"sys/auth/{mount}", {"type": "approle"})
    root.call("POST", f"auth/{mount}/role/jetbridge", {"token_policies": [ROLE]})
    role_id = root.call("GET", f"auth/{mount}/role/jetbridge/role-id")["data"]["role_id"]
    secret_id = root.call("POST", f"auth/{mount}/role/jetbridge/secret-id", {})["data"]["secret_id"]
    files = {
        "role_id_file": write(tmp_path / "role-id", role_id),
        "secret_id_file": write(tmp_path / "secret-id", secret_id + "\n"),
    }
    await works(operator_settings(stack, auth="approle", auth_mount=mount, **files))


class _Stub(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, Any, str | None]]

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"null")
        self.seen.append((self.command, self.path, body, self.headers.get("X-Vault-Token")))
        if self.path.endswith("/login"):
            answer = {"auth": {"client_token": "given-token", "lease_duration": 60, "renewable": True}}
        else:
            answer = {"data": {"current_version": 0, "versions": {}, "custom_metadata": None}}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def stub() -> Iterator[tuple[str, list[tuple[str, str, Any, str | None]]]]:
    """Something on loopback that answers as Vault would."""
    seen: list[tuple[str, str, Any, str | None]] = []
    handler = type("Handler", (_Stub,), {"seen": seen})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("mount", ["", "clusters/one"])
async def test_kubernetes_sends_its_role_and_service_account_token(tmp_path: Path, mount: str) -> None:
    jwt = write(tmp_path / "token", "the-jwt\n")
    with stub() as (address, seen):
        settings = VaultSettings(address=address, auth="kubernetes", auth_mount=mount, role="r", jwt_file=jwt)
        async with session_of(settings) as (_, store, _):
            await store.read_state("a/b/c/d", content=False)
    assert seen[0] == ("POST", f"/v1/auth/{mount or 'kubernetes'}/login", {"role": "r", "jwt": "the-jwt"}, None)
    assert seen[1][:2] == ("GET", "/v1/secret/metadata/a/b/c/d")
    assert seen[1][3] == "given-token"


async def test_a_service_account_token_is_read_anew_at_every_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwt = write(tmp_path / "token", "first")
    with stub() as (address, seen):
        settings = VaultSettings(address=address, auth="jwt", role="r", jwt_file=jwt)
        async with session_of(settings) as (session, store, _):
            await store.read_state("a/b/c/d", content=False)
            jwt.write_text("second")
            session._login = None
            await store.read_state("a/b/c/d", content=False)
    assert [body["jwt"] for _, path, body, _ in seen if path.endswith("/login")] == ["first", "second"]


async def test_an_enterprise_namespace_is_sent_along(tmp_path: Path) -> None:
    jwt = write(tmp_path / "token", "j")
    with stub() as (address, seen):
        settings = VaultSettings(address=address, auth="jwt", jwt_file=jwt, namespace="team/x")
        async with session_of(settings) as (session, store, _):
            await store.read_state("a/b/c/d", content=False)
            assert session._client().adapter.namespace == "team/x"
    assert len(seen) == 2


# The token


@pytest.mark.contract
async def test_a_token_is_renewed(stack: LocalStack) -> None:
    token = policy_token(stack.vault.client(), ttl="60s", renewable=True)
    async with session_of(operator_settings(stack, auth="token", token=token)) as (session, store, calls):
        await store.read_state(PATH, content=False)
        login = session._login
        assert login is not None
        assert 0 < login.seconds <= 60
        await session._renew(login)
        assert session._login is not login
        assert ("renew", "answered") in calls.told
        assert calls.logins() == 1


@pytest.mark.contract
async def test_a_token_near_its_greatest_age_is_replaced_by_a_new_login(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with session_of(operator_settings(stack)) as (session, store, calls):
        await store.read_state(PATH, content=False)
        login = session._login
        assert login is not None
        # As if it had been given for ten times as long as it can be renewed for.
        session._login = long = Login(login.token, login.seconds * 10, True)
        await session._renew(long)
        assert calls.logins() == 2
        assert session._login.token != login.token


@pytest.mark.contract
async def test_a_revoked_token_leads_to_one_new_login_however_many_meet_it(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_RELOGIN_PAUSE", 0.0)
    async with session_of(operator_settings(stack)) as (session, store, calls):
        await store.read_state(PATH, content=False)
        assert session._login is not None
        stack.vault.client().call("POST", "auth/token/revoke", {"token": session._login.token})
        await asyncio.gather(*(store.read_state(PATH, content=False) for _ in range(30)))
        assert calls.logins() == 2


@pytest.mark.contract
async def test_many_first_calls_log_in_once(stack: LocalStack) -> None:
    async with session_of(operator_settings(stack)) as (_, store, calls):
        await asyncio.gather(*(store.read_state(PATH, content=False) for _ in range(30)))
        assert calls.logins() == 1


@pytest.mark.contract
async def test_a_refusal_to_a_new_token_is_final(stack: LocalStack) -> None:
    """What the policy does not allow is not tried with login after login."""
    async with session_of(operator_settings(stack)) as (_, store, calls):
        for _ in range(3):
            with pytest.raises(VaultDenied):
                await store.read_state("elsewhere/a/b/c", content=False)
        assert calls.logins() == 1


# Refusals


@pytest.mark.contract
@pytest.mark.parametrize("more", [{"role": "unknown"}, {"auth_mount": "nowhere"}], ids=["role", "mount"])
async def test_a_wrong_login_is_denied_and_not_hammered(stack: LocalStack, more: dict[str, str]) -> None:
    async with session_of(operator_settings(stack, **more)) as (_, store, calls):
        for _ in range(3):
            with pytest.raises(VaultDenied) as caught:
                await store.read_state(PATH, content=False)
            assert stack.operator_vault_jwt.read_text().strip() not in str(caught.value)
        assert calls.logins() == 1, "a refused login is tried again at once"


@pytest.mark.contract
async def test_a_jwt_that_is_none_is_denied_without_quoting_it(stack: LocalStack, tmp_path: Path) -> None:
    jwt = write(tmp_path / "jwt", PLANTED)
    async with session_of(operator_settings(stack, jwt_file=jwt)) as (_, store, _):
        with pytest.raises(VaultDenied) as caught:
            await store.read_state(PATH, content=False)
    assert PLANTED not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.contract
async def test_credentials_that_went_away_are_told(stack: LocalStack, tmp_path: Path) -> None:
    jwt = write(tmp_path / "jwt", "x")
    settings = operator_settings(stack, jwt_file=jwt)
    jwt.unlink()
    async with session_of(settings) as (_, store, _):
        with pytest.raises(VaultUnavailable, match="credentials"):
            await store.read_state(PATH, content=False)


@pytest.mark.contract
@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.read_state("other/a/b/c", content=False),
        lambda s: s.read_version("other/a/b/c", 1),
        lambda s: s.put("other/a/b/c", {"password": PLANTED}, 0),
        lambda s: s.write_metadata("other/a/b/c", {"a": PLANTED}),
        lambda s: s.soft_delete("other/a/b/c", [1]),
    ],
    ids=["read_state", "read_version", "put", "write_metadata", "soft_delete"],
)
async def test_outside_the_prefix_everything_is_denied(stack: LocalStack, call: Callable[[KvStore], Any]) -> None:
    async with session_of(operator_settings(stack)) as (_, store, _):
        with pytest.raises(VaultDenied) as caught:
            await call(store)
    assert PLANTED not in str(caught.value)


@pytest.mark.contract
async def test_a_mount_that_is_no_kv_2_is_told(stack: LocalStack) -> None:
    token = stack.vault_root_token
    async with session_of(operator_settings(stack, auth="token", token=token, mount="cubbyhole")) as (_, store, _):
        with pytest.raises(VaultRefused, match="is cubbyhole a KV v2 engine") as caught:
            await store.put(PATH, {"password": PLANTED}, 0)
    assert PLANTED not in str(caught.value)


@pytest.mark.contract
async def test_content_that_vault_does_not_take_is_no_wrong_cas(stack: LocalStack) -> None:
    """It would be tried again for ever. Sources are checked before; this is for what slips through."""
    deep: Any = PLANTED
    for _ in range(900):
        deep = [deep]
    async with session_of(operator_settings(stack)) as (_, store, _):
        state = await store.read_state(PATH, content=False)
        with pytest.raises((VaultRefused, VaultUnavailable)) as caught:
            await store.put(PATH, {"deep": deep}, state.version if state is not None else 0)
    assert PLANTED not in str(caught.value)


# Away


@pytest.mark.contract
async def test_a_sealed_vault_is_unavailable_and_comes_back(stack: LocalStack) -> None:
    async with session_of(operator_settings(stack)) as (_, store, _):
        await store.read_state(PATH, content=False)
        stack.vault.seal()
        try:
            with pytest.raises(VaultUnavailable):
                await store.read_state(PATH, content=False)
            with pytest.raises(VaultUnavailable) as caught:
                await store.put(PATH, {"password": PLANTED}, 0)
            assert PLANTED not in str(caught.value)
            async with session_of(operator_settings(stack)) as (_, fresh, _):
                with pytest.raises(VaultUnavailable):
                    await fresh.read_state(PATH, content=False)
        finally:
            stack.vault.unseal()
        await store.read_state(PATH, content=False)


async def test_a_vault_that_does_not_listen_is_unavailable(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = VaultSettings(
        address=f"http://127.0.0.1:{port}", auth="jwt", jwt_file=write(tmp_path / "jwt", PLANTED), mount=MOUNT
    )
    async with session_of(settings) as (_, store, calls):
        with pytest.raises(VaultUnavailable) as caught:
            await store.read_state(PATH, content=False)
    assert PLANTED not in str(caught.value)
    assert calls.told == [("login", "unavailable")]
