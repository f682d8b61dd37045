"""Three fresh namespaces with an operator that watches them, and words for what tests do and see there.

`team` holds connections. Deployment `local` lives there as well, `prod` in a namespace of its own, `staging` in another.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from string import Template
from typing import Any

from dev.stack import LocalStack
from jetbridge.shell.operator import Operator
from tests.support.audit import ApiCalls, VaultCalls, vault_audit_log
from tests.support.kube import KINDS, Admin, Object, Refused, decoded, encoded
from tests.support.operator import RunningOperator, settings_for
from tests.support.vault import Entry, VaultRoot
from tests.support.waiting import LIMIT_SECONDS, eventually

SOURCE = {"jetbridge.dev/source": "true"}
RENDERED_LABEL = "jetbridge.dev/rendered"
ENV = "AIRFLOW_CONN_"


class World:
    """One test's part of the cluster."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.kube = Admin(stack)
        self.vault = VaultRoot(stack)
        unique = uuid.uuid4().hex[:8]
        self.team, self.prod, self.staging = f"team-{unique}", f"prod-{unique}", f"staging-{unique}"
        self.namespaces = frozenset({self.team, self.prod, self.staging})
        self._running: RunningOperator | None = None
        self._process = False
        self._names = {"team": self.team, "prod": self.prod, "staging": self.staging}

    def named(self, text: str) -> str:
        """A text with `$team`, `$prod` and `$staging` for the names of the namespaces."""
        for name, namespace in self._names.items():
            text = text.replace(namespace, f"${name}")
        return text

    # The operator

    @property
    def operator(self) -> RunningOperator:
        """The operator that runs now."""
        assert self._running is not None, "no operator was started"
        return self._running

    async def start_operator(self, prepare: Callable[[Operator], None] = lambda _: None, **settings: object) -> None:
        """Starts an operator for these namespaces."""
        self._running = RunningOperator(
            settings_for(self.stack, **{"namespaces": self.namespaces, **settings}), prepare
        )
        await self._running.start()

    async def stop_operator(self) -> None:
        """Ends it in an orderly way."""
        running, self._running = self.operator, None
        await running.stop()

    async def crash_operator(self) -> None:
        """Ends it at once."""
        running, self._running = self.operator, None
        await running.crash()

    async def start_process(self, **env: str) -> None:
        """Starts an operator as a process of its own."""
        settings = {"JETBRIDGE_NAMESPACES": " ".join(sorted(self.namespaces)), **env}
        await asyncio.to_thread(self.stack.start_operator, extra_env=settings)
        self._process = True

    def ask_process(self, path: str) -> str:
        """What its own HTTP server answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.stack.operator.listen()}{path}", timeout=5) as response:
            return str(response.read().decode())

    async def kill_process(self) -> None:
        """Ends it by SIGKILL."""
        await asyncio.to_thread(self.stack.kill_operator)

    async def open(self) -> None:
        """Makes the namespaces."""
        await asyncio.gather(
            *(
                self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
                for name in self.namespaces
            )
        )

    async def close(self) -> None:
        """Ends what runs. The namespaces stay: their names come never again, and the whole cluster goes in the end."""
        running, self._running = self._running, None
        try:
            if self._process:
                await asyncio.to_thread(self.stack.stop_operator)
            if running is not None:
                await running.stop()
        finally:
            await self.kube.close()

    # Doing

    async def apply(self, *manifests: Object) -> None:
        """Applies what `tests.support.manifests` gives. A deployment named `prod` or `staging` lives in the namespace of
        that name, and everything else in the workspace, unless it says where."""
        for manifest in manifests:
            text = Template(json.dumps(manifest)).safe_substitute(self._names)
            await self.kube.apply(self._complete(json.loads(text)))

    def _complete(self, manifest: Object) -> Object:
        manifest["apiVersion"] = "jetbridge.dev/v1alpha1" if manifest["kind"] in KINDS else "v1"
        manifest["metadata"].setdefault("namespace", self.home(manifest["kind"], manifest["metadata"]["name"]))
        return manifest

    def home(self, kind: str, name: str) -> str:
        """Where an object lives."""
        return self._names.get(name, self.team) if kind == "AirflowDeployment" else self.team

    async def source(self, secret: str, /, *, kind: str = "Opaque", **data: str | bytes) -> None:
        """Makes or replaces a source Secret of the workspace. `extra__key` is the key `extra.key`."""
        values = {key.replace("__", "."): value for key, value in data.items()}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": self.team, "labels": SOURCE},
            "type": kind,
            "data": encoded(values),
        }
        try:
            await self.kube.create(manifest)
        except Refused as refused:
            if refused.status != 409:
                raise
            await self.kube.replace(manifest)

    async def delete(self, kind: str, name: str) -> None:
        """Deletes an object."""
        await self.kube.delete(kind, name, self.home(kind, name))

    async def patch(self, kind: str, name: str, **change: Any) -> None:
        """Changes parts of an object; None removes."""
        await self.kube.patch(kind, name, self.home(kind, name), change)

    async def label_namespace(self, name: str, **labels: str | None) -> None:
        """Labels a namespace; None removes."""
        await self.kube.patch("Namespace", self._names[name], "", {"metadata": {"labels": labels}})

    async def drop(self, secret: str, namespace: str | None = None) -> None:
        """Deletes a Secret, of the workspace when nothing else is said."""
        await self.kube.delete("Secret", secret, namespace or self.team)

    @asynccontextmanager
    async def vault_sealed(self) -> AsyncIterator[None]:
        """Vault is sealed meanwhile."""
        await asyncio.to_thread(self.stack.vault.seal)
        try:
            yield
        finally:
            await asyncio.to_thread(self.stack.vault.unseal)

    @asynccontextmanager
    async def api_server_away(self) -> AsyncIterator[None]:
        """The API server is stopped meanwhile."""
        await asyncio.to_thread(self.stack.stop_api)
        try:
            yield
        finally:
            await asyncio.to_thread(self.stack.start_api)

    async def api_server_restarted(self) -> None:
        """The API server goes away and comes back."""
        async with self.api_server_away():
            pass

    async def next_second(self) -> None:
        """Waits until an object made from now on is younger than all there are: creation times are whole seconds."""
        began = int(time.time())

        async def check() -> None:
            assert int(time.time()) > began, "it is the same second"

        await eventually(check, "a new second")

    # Seeing

    async def secret(self, deployment: str, name: str | None = None) -> Object | None:
        """The rendered Secret of a deployment."""
        where = self.home("AirflowDeployment", deployment)
        return await self.kube.get("Secret", name or f"{deployment}-connections", where)

    async def raw(self, deployment: str, name: str | None = None) -> dict[str, str]:
        """What an Airflow pod of the deployment would load into its environment."""
        secret = await self.secret(deployment, name)
        assert secret is not None, f"{deployment} has no Secret"
        return decoded(secret)

    async def connections(self, deployment: str, name: str | None = None) -> dict[str, Any]:
        """The same, read as JSON, by id as the environment has it, in small letters."""
        return {
            key.removeprefix(ENV).lower(): json.loads(value)
            for key, value in (await self.raw(deployment, name)).items()
        }

    async def receives(
        self, deployment: str, _secret: str | None = None, /, *, limit: float = LIMIT_SECONDS, **expected: Any
    ) -> None:
        """Waits until the deployment has exactly these connections, by id."""

        async def check() -> None:
            given = await self.connections(deployment, _secret)
            assert given == expected, f"{deployment} has {given}\nand should have {expected}"

        await eventually(check, f"{deployment} has {sorted(expected) or 'nothing'}", limit)

    async def has_raw(self, deployment: str, **expected: str) -> None:
        """Waits until the deployment's Secret holds exactly this."""

        async def check() -> None:
            given = await self.raw(deployment)
            assert given == expected, f"{deployment} has {given}"

        await eventually(check, f"{deployment} has {sorted(expected)}")

    async def keeps(self, deployment: str, **expected: Any) -> None:
        """The deployment has exactly these connections, and still has them when the operator is at rest."""
        await self.operator.settled()
        given = await self.connections(deployment)
        assert given == expected, f"{deployment} has {given}\nand should still have {expected}"

    async def status(self, kind: str, name: str) -> Object:
        """The status of an object."""
        found = await self.kube.get(kind, name, self.home(kind, name))
        assert found is not None, f"there is no {kind} {name}"
        status: Object = found.get("status") or {}
        return status

    async def says(
        self,
        kind: str,
        name: str,
        reason: str,
        *,
        about: str = "Ready",
        mentions: str = "",
        limit: float = LIMIT_SECONDS,
    ) -> Object:
        """Waits until a condition of an object has this reason, at its latest generation; gives its whole status."""

        async def check() -> Object:
            found = await self.kube.get(kind, name, self.home(kind, name))
            assert found is not None, f"there is no {kind} {name}"
            status: Object = found.get("status") or {}
            told = {c["type"]: c for c in status.get("conditions", ())}
            condition = told.get(about, {})
            assert condition.get("reason") == reason, f"it says {json.dumps(told, indent=1)}"
            assert mentions in condition["message"], f"its message: {condition['message']}"
            assert status["observedGeneration"] == found["metadata"]["generation"], "it speaks of an older generation"
            return status

        return await eventually(check, f"{kind} {name} says {about}: {reason}", limit)

    async def says_not(self, kind: str, name: str, reason: str) -> None:
        """Waits until the condition Ready of an object has another reason than this."""

        async def check() -> None:
            status = await self.status(kind, name)
            reasons = [c["reason"] for c in status.get("conditions", ()) if c["type"] == "Ready"]
            assert reasons not in ([reason], []), f"it says {reasons}"

        await eventually(check, f"{kind} {name} no longer says {reason}")

    async def gone(self, kind: str, name: str, *, limit: float = LIMIT_SECONDS) -> None:
        """Waits until an object is gone."""
        await self.vanished(kind, name, self.home(kind, name), limit=limit)

    async def vanished(self, kind: str, name: str, namespace: str, *, limit: float = LIMIT_SECONDS) -> None:
        """Waits until an object, wherever it is, is gone."""

        async def check() -> None:
            assert await self.kube.get(kind, name, namespace) is None, f"{kind} {name} is still there"

        await eventually(check, f"{kind} {name} is gone", limit)

    def api_calls(self) -> ApiCalls:
        """Counts the operator's calls about these namespaces from now on."""
        return ApiCalls(self.stack.audit_log, self.namespaces)

    def vault_calls(self) -> VaultCalls:
        """Counts the operator's calls to Vault from now on, for all namespaces."""
        return VaultCalls(vault_audit_log(self.stack))

    async def entry(self, name: str, collection: str = "connections") -> Entry | None:
        """The entry in Vault of a Connection, or of a link with `collection="links"`."""
        return await self.vault.entry(self.path(name, collection))

    def path(self, name: str, collection: str = "connections") -> str:
        """Where that entry is, below the operator's prefix."""
        return f"{self.team}/{collection}/{name}"

    async def stored(
        self, name: str, content: Mapping[str, Any] | None, *, version: int, collection: str = "connections"
    ) -> None:
        """Waits until the entry has exactly this content at this version; None: a deleted one."""

        async def check() -> None:
            entry = await self.entry(name, collection)
            assert entry is not None, f"there is no entry {name}"
            assert (entry.version, entry.content) == (version, content), f"the entry is {entry}"

        await eventually(check, f"the entry {name} in Vault is {content} at version {version}")
