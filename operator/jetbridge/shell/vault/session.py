"""A bounded pool of hvac clients behind one token.

hvac is synchronous and its client is not promised to be thread-safe: each thread has its own. The token has one keeper: it
is renewed at two thirds of its life, and a 403 leads to one single new login, however many calls met it at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import hvac
import requests
from hvac import exceptions

from jetbridge.shell.settings import VaultSettings
from jetbridge.shell.vault.auth import Login, log_in
from jetbridge.shell.vault.contract import VaultDenied, VaultError, VaultRefused, VaultUnavailable

T = TypeVar("T")
_NO_EXPIRY_CHECK = 3600.0
_RELOGIN_PAUSE = 5.0


class VaultSession:
    """Runs calls on hvac clients in threads, logged in."""

    def __init__(self, settings: VaultSettings, observe: Callable[[str, str], None] = lambda *_: None) -> None:
        self._settings = settings
        self._observe = observe
        self._pool = ThreadPoolExecutor(settings.connections, thread_name_prefix="vault")
        self._local = threading.local()
        self._lock = asyncio.Lock()
        self._login: Login | None = None
        self._number = 0
        self._refused_until = 0.0
        self._fresh_until = 0.0

    async def call(self, operation: str, function: Callable[[hvac.Client], T]) -> T:
        """Runs `function` with a client that is logged in.

        Raises:
            VaultUnavailable: Vault is away, sealed, or failing.
            VaultDenied: it refuses, also with a fresh login.
            hvac.exceptions.InvalidPath, hvac.exceptions.InvalidRequest: left to the caller, who knows what they mean.
        """
        number = await self._ensure_login(self._number if self._login is not None else -1)
        try:
            return await self._run(operation, function)
        except VaultDenied:
            # The token may have been revoked or have expired: once more, with a new one. A new one's word is final.
            if asyncio.get_running_loop().time() < self._fresh_until:
                raise
            await self._ensure_login(-1, seen=number)
            return await self._run(operation, function)

    async def keep(self) -> None:
        """Keeps the token alive until cancelled. Failures are left to the next call, which logs in again."""
        while True:
            login = self._login
            if login is None:
                await asyncio.sleep(1.0)
                continue
            await asyncio.sleep(login.seconds * 2 / 3 if login.seconds > 0 else _NO_EXPIRY_CHECK)
            if self._login is not login or login.seconds <= 0:
                continue
            await self._renew(login)

    async def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _renew(self, login: Login) -> None:
        try:
            if login.renewable:
                answer = await self._run("renew", lambda c: c.auth.token.renew_self())
                seconds = int(answer["auth"]["lease_duration"])
                # Near its maximum age a token is renewed for ever shorter times: a new one is due.
                if seconds > login.seconds / 2:
                    self._login = Login(login.token, seconds, bool(answer["auth"]["renewable"]))
                    return
            await self._ensure_login(-1, seen=self._number)
        except (VaultError, exceptions.VaultError):
            self._login = None

    async def _ensure_login(self, have: int, seen: int | None = None) -> int:
        """Logs in unless there is a login newer than `seen`; gives the login's number."""
        if have >= 0 and seen is None:
            return have
        async with self._lock:
            if self._login is not None and (seen is None or self._number > seen):
                return self._number
            now = asyncio.get_running_loop().time()
            if now < self._refused_until:
                raise VaultDenied("Vault refused the login a moment ago")
            try:
                self._login = await self._run("login", lambda c: log_in(c, self._settings), token=False)
            except (VaultDenied, exceptions.VaultError):
                self._refused_until = now + _RELOGIN_PAUSE
                raise VaultDenied(
                    f"Vault refused the login by {self._settings.auth} as role {self._settings.role}"
                ) from None
            except OSError:
                raise VaultUnavailable("the credentials for Vault can't be read") from None
            self._number += 1
            self._fresh_until = now + _RELOGIN_PAUSE
            return self._number

    async def _run(self, operation: str, function: Callable[[hvac.Client], T], *, token: bool = True) -> T:
        login = self._login if token else None

        def work() -> T:
            client = self._client()
            client.token = login.token if login is not None else None
            return function(client)

        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._pool, work)
        except exceptions.Forbidden:
            self._observe(operation, "denied")
            raise VaultDenied(f"Vault refuses {operation}") from None
        except (exceptions.VaultDown, exceptions.VaultNotInitialized):
            self._observe(operation, "unavailable")
            raise VaultUnavailable("Vault is sealed or not ready") from None
        except requests.exceptions.JSONDecodeError:
            self._observe(operation, "unavailable")
            raise VaultUnavailable("what answers is not Vault") from None
        except requests.exceptions.InvalidJSONError:
            self._observe(operation, "refused")
            raise VaultRefused(f"{operation} can't be asked: the content is no JSON") from None
        except (exceptions.BadGateway, requests.exceptions.RequestException) as error:
            self._observe(operation, "unavailable")
            raise VaultUnavailable(f"Vault can't be reached ({type(error).__name__})") from None
        except (exceptions.InvalidPath, exceptions.InvalidRequest):
            self._observe(operation, "answered")
            raise
        except exceptions.VaultError as error:
            self._observe(operation, "refused")
            raise VaultRefused(f"Vault failed at {operation} ({type(error).__name__})") from None
        except VaultError:
            self._observe(operation, "answered")
            raise
        except OSError:
            raise
        except Exception as error:
            # An answer in a form that Vault does not give, such as a load balancer's page.
            self._observe(operation, "unavailable")
            raise VaultUnavailable(f"what answers is not Vault ({type(error).__name__})") from None
        self._observe(operation, "answered")
        return result

    def _client(self) -> hvac.Client:
        client: hvac.Client | None = getattr(self._local, "client", None)
        if client is None:
            settings = self._settings
            http = requests.Session()
            # Looked up once and not for every call; ~/.netrc is no place for an operator's credentials.
            found = http.merge_environment_settings(settings.address, {}, None, None, None)
            http.trust_env = False
            http.proxies.update(found["proxies"])
            client = hvac.Client(  # type: ignore[no-untyped-call]
                url=settings.address,
                token="",
                timeout=settings.timeout,
                verify=str(settings.ca_file) if settings.ca_file is not None else found["verify"],
                session=http,
                namespace=settings.namespace,
                strict_http=True,
            )
            self._local.client = client
        return client
