"""Vault's HTTP interface, as far as setting one up needs it; no client library between a test and the server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from dev.errors import StackError

TIMEOUT_SECONDS = 30.0
HEALTH_TIMEOUT_SECONDS = 3.0


class VaultRefusedError(StackError):
    """Vault answered, and said no."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status for callers that decide by it."""
        super().__init__(message)
        self.status = status


class VaultHttp:
    """Requests with an optional token; proxies of the environment are not asked for a loopback address."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """Talk to this address."""
        self._address = address
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do one request; the answer's JSON, empty when there is none."""
        request = urllib.request.Request(f"{self._address}/v1/{path}", method=method)
        request.data = json.dumps(body).encode() if body is not None else None
        if self._token is not None:
            request.add_header("X-Vault-Token", self._token)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                answer = json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            errors = _errors(error.read())
            raise VaultRefusedError(error.code, f"vault refused {method} {path} ({error.code}): {errors}") from error
        except OSError as error:
            raise StackError(f"vault at {self._address} does not answer {method} {path}: {error}") from error
        return answer if isinstance(answer, dict) else {}

    def health(self) -> int | None:
        """200 active, 429 standby, 501 not initialised, 503 sealed; None when nothing listens."""
        try:
            with self._opener.open(f"{self._address}/v1/sys/health", timeout=HEALTH_TIMEOUT_SECONDS) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None


def _errors(body: bytes) -> str:
    try:
        data = json.loads(body)
        return "; ".join(str(one) for one in data.get("errors", [])) or "no reason given"
    except (ValueError, AttributeError):
        return "no reason given"
