"""Reconciles one AirflowDeployment: gather, plan, execute, report. What is decided, `core` decides."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator, Sequence

from jetbridge.core.actions import CreateSecret, DeleteSecret, RemakeSecret, ReplaceSecret, SecretAction
from jetbridge.core.digest import Scope
from jetbridge.core.fields import Fields, unpack
from jetbridge.core.graph import Key
from jetbridge.core.ingest import StoreReason, entry_matches
from jetbridge.core.outcome import Outcome, WriteFailure, outcome_of
from jetbridge.core.plan import Draft, Observed, Plan, StoredFields, Unavailable, draft, plan
from jetbridge.core.resolve import DeploymentSlice, LayerInput, Resolution, WorkspaceSlice, resolve
from jetbridge.core.seal import is_proven
from jetbridge.core.status import deployment_status
from jetbridge.core.views import RENDERED_LABEL, DeploymentView, Owner, RenderedView, owner_of
from jetbridge.runtime.workers import Done, Result, Retry
from jetbridge.shell.cluster import ApiUnavailable, ClusterError, Conflict, Forbidden, Missing, Refused, Taken
from jetbridge.shell.context import Context
from jetbridge.shell.vault.contract import VaultError, VaultUnavailable

_PENDING_SECONDS = 10.0
# The Secret was not the one that was seen, and has been read since: no pause is needed.
_LOOKED_AGAIN = ("conflict", "label")
# Nobody tells when Vault gives what it refused.
_RETRIED = (StoreReason.DENIED.value, StoreReason.NOT_TAKEN.value)


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as Kubernetes writes times: RFC 3339, UTC, whole seconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _owners(workspaces: Sequence[WorkspaceSlice]) -> Iterator[Owner]:
    for workspace in workspaces:
        yield from workspace.connections
        yield from workspace.links


class DeploymentReconciler:
    """Makes the rendered Secret of a deployment what it should be."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    async def reconcile(self, key: Key) -> Result:
        """One pass over one deployment."""
        ctx = self._ctx
        view = ctx.state.deployments.get(key.namespace, key.name)
        if view is None or view.meta.deleting:
            return await self._withdraw_all(key, view)
        if ctx.state.namespace(key.namespace) is None:
            return Retry("namespace")  # its event is on the way, and consent needs its labels
        if view.problem is not None:
            # What it asks for can't be read; what it was given stays.
            return await self._report_invalid(view)
        world = self.gather(view)
        resolution = resolve(world)
        scope = Scope(world.namespace.meta.uid if world.namespace is not None else "", view.meta.uid)
        work = draft(view, scope, resolution, self._observed(view), ctx.memory.keyring)
        hold = self._hold(work)
        if hold > 0:
            return Done(again_after=hold)
        stored = await self._fetch(key, work)
        result = plan(work, stored, ctx.memory.keyring, timestamp(ctx.now()))
        failure, retry = await self._execute(result.actions, work)
        if retry in _LOOKED_AGAIN:
            return self._look_again(view, retry)
        ctx.memory.looked_again.discard(view.key)
        if failure is None:
            self._remember(view, result)
        self._conclude(work, result, failure, world)
        wait = self._pending_wait(view, result)
        if wait > 0:
            return Done(again_after=wait)
        await ctx.report(view, deployment_status(view, resolution, result, failure, timestamp(ctx.now())))
        for found in stored.values():
            if isinstance(found, Unavailable) and found.reason in _RETRIED:
                return Retry(found.reason)
        return Retry(retry) if retry is not None else Done()

    def _look_again(self, view: DeploymentView, reason: str) -> Result:
        """Once without a pause; who keeps writing against us must not make us spin."""
        seen = self._ctx.memory.looked_again
        if view.key in seen:
            return Retry(reason)
        seen.add(view.key)
        return Done(again_after=0.0)

    # -- gather

    def gather(self, view: DeploymentView) -> DeploymentSlice:
        """The frozen slice of the world that decides what the deployment has."""
        state, memory = self._ctx.state, self._ctx.memory
        workspaces = tuple(state.workspace_slice(home, view) for home in view.workspaces)
        material = {o.meta.uid: memory.material(o) for o in _owners(workspaces)}
        return DeploymentSlice(view, state.namespace(view.meta.namespace), workspaces, material)

    def _observed(self, view: DeploymentView) -> Observed:
        rendered = self._ctx.state.rendered_of(view.key)
        current = next((r for r in rendered if r.meta.name == view.secret_name), None)
        if current is not None and current.owner_uid != view.meta.uid and not self._is_ours(current):
            current = None  # it only says that it is; making ours finds the name taken
        others = tuple(r for r in rendered if r.meta.name != view.secret_name and self._is_ours(r))
        return Observed(current, self._ctx.memory.manifest_of(current), others)

    def _is_ours(self, secret: RenderedView) -> bool:
        """Whether we wrote a Secret that carries our label: labels and owners can be forged, a keyed digest can't."""
        memory = self._ctx.memory
        if memory.wrote(secret):
            return True
        namespace = self._ctx.state.namespace(secret.meta.namespace)
        if memory.keyring is None or namespace is None:
            return False
        return is_proven(secret, memory.keyring, namespace.meta.uid)

    def _hold(self, work: Draft) -> float:
        """For how long a new deployment's first write waits for connections that are being taken in."""
        if work.observed.current is not None:
            return 0.0
        ctx = self._ctx
        seen = ctx.memory.first_seen.setdefault(work.deployment.key, ctx.clock())
        pending = any(
            e.desired.blocked is not None and e.desired.blocked.reason == StoreReason.PENDING.value
            for e in work.entries
        )
        return seen + ctx.settings.first_write_hold - ctx.clock() if pending else 0.0

    def _pending_wait(self, view: DeploymentView, result: Plan) -> float:
        """For how long the status waits for connections that are being taken in, so that it does not flap."""
        ctx = self._ctx
        if not any(e.problem is not None and e.problem.reason == StoreReason.PENDING.value for e in result.entries):
            ctx.memory.pending_since.pop(view.key, None)
            return 0.0
        since = ctx.memory.pending_since.setdefault(view.key, ctx.clock())
        return since + _PENDING_SECONDS - ctx.clock()

    async def _fetch(self, key: Key, work: Draft) -> StoredFields:
        """Reads from Vault what rendering needs and the sources no longer give."""
        results: dict[str, Fields | Unavailable] = {}
        reads: list[LayerInput] = []
        for layer in work.needs:
            if layer.ready is not None and layer.ready.fields is not None:
                results[layer.owner.uid] = layer.ready.fields
            else:
                reads.append(layer)
        read = await asyncio.gather(*(self._read(key, layer) for layer in reads))
        results.update({layer.owner.uid: found for layer, found in zip(reads, read, strict=True)})
        return results

    async def _read(self, key: Key, layer: LayerInput) -> Fields | Unavailable:
        ctx = self._ctx
        if layer.ready is None or ctx.memory.keyring is None:
            return Unavailable(StoreReason.UNAVAILABLE.value, "Vault was not reached yet")
        record = layer.ready.record
        path = record.path.removeprefix(f"{ctx.settings.vault.mount}/")
        try:
            content = await ctx.vault.read_version(path, record.version)
        except VaultUnavailable as error:
            ctx.vault.wait_for_vault(key)
            return Unavailable(error.reason, f"{error}; what was delivered stays, and work resumes when it is back")
        except VaultError as error:
            return Unavailable(error.reason, str(error))
        namespace = ctx.state.namespace(layer.owner.namespace)
        scope = Scope(namespace.meta.uid if namespace is not None else "", layer.owner.uid)
        fields = unpack(content) if content is not None else None
        if content is None or fields is None or not entry_matches(ctx.memory.keyring, scope, record.digest, content):
            # The owner's own reconcile finds out what happened to the entry.
            ctx.memory.next_check[layer.owner.uid] = 0.0
            for kind in ("Connection", "ConnectionLink"):
                ctx.queue.add(Key(kind, layer.owner.namespace, layer.owner.name))
            return Unavailable(StoreReason.CHANGED.value, f"the entry {record.path} in Vault is not what was stored")
        return fields

    # -- execute

    async def _execute(self, actions: Sequence[SecretAction], work: Draft) -> tuple[WriteFailure | None, str | None]:
        """Does what was planned, one after the other; gives what to tell people, and the reason to try again."""
        for action in actions:
            try:
                await self._do(action)
            except Taken:
                return await self._taken(work.deployment)
            except (Conflict, Missing):
                await self._refresh(action)
                return None, "conflict"
            except Forbidden:
                return WriteFailure(
                    "Forbidden", f"the operator may not write Secrets in {work.deployment.meta.namespace}"
                ), "forbidden"
            except Refused:
                return WriteFailure("Refused", "the API server refuses the Secret; see the operator's log"), "refused"
            except ApiUnavailable as error:
                return WriteFailure("ApiUnavailable", str(error)), "api"
        return None, None

    async def _do(self, action: SecretAction) -> None:
        ctx = self._ctx
        if isinstance(action, CreateSecret):
            ctx.take_secret(await ctx.cluster.create_secret(action.body), own_write=True)
        elif isinstance(action, ReplaceSecret):
            raw = await ctx.cluster.replace_secret(action.body, action.uid, action.resource_version)
            ctx.take_secret(raw, own_write=True)
        elif isinstance(action, RemakeSecret):
            await self._delete(action.body.namespace, action.body.name, action.uid)
            ctx.take_secret(await ctx.cluster.create_secret(action.body), own_write=True)
        else:
            await self._delete(action.namespace, action.name, action.uid)

    async def _delete(self, namespace: str, name: str, uid: str) -> None:
        ctx = self._ctx
        await ctx.cluster.delete_secret(namespace, name, uid)
        gone = ctx.state.secrets.get(namespace, name)
        if gone is not None and gone.meta.uid == uid:
            ctx.state.remove(gone)
        ctx.memory.forget_secret(uid)

    async def _taken(self, view: DeploymentView) -> tuple[WriteFailure | None, str | None]:
        """The name is taken: by our own Secret that we did not know of (its label was removed), or by a foreign one."""
        ctx = self._ctx
        raw = await ctx.cluster.get_secret(view.meta.namespace, view.secret_name)
        if raw is not None and raw["metadata"].get("deletionTimestamp"):
            return WriteFailure(
                "SecretTerminating",
                f"Secret {view.meta.namespace}/{view.secret_name} is being deleted and its finalizers "
                f"({', '.join(raw['metadata'].get('finalizers') or ())}) hold it; see who set them",
            ), "terminating"
        if raw is not None and owner_of(raw)[1] == view.meta.uid:
            labels = raw["metadata"].setdefault("labels", {})
            labels.setdefault(RENDERED_LABEL, "")
            ctx.take_secret(raw, own_write=False)
            return None, "label"
        if raw is not None and owner_of(raw)[0]:
            return WriteFailure(
                "SecretNameTaken",
                f"Secret {view.meta.namespace}/{view.secret_name} is that of AirflowDeployment {owner_of(raw)[0]}; "
                "set another spec.deliver.env.secretName",
            ), "taken"
        return WriteFailure(
            "SecretNameTaken",
            f"a Secret {view.meta.namespace}/{view.secret_name} exists that is not this deployment's and is left alone; "
            "delete it, or set spec.deliver.env.secretName",
        ), "taken"

    async def _refresh(self, action: SecretAction) -> None:
        """Looks at the Secret as it is, since it is not what was seen."""
        ctx = self._ctx
        namespace, name = (
            (action.namespace, action.name)
            if isinstance(action, DeleteSecret)
            else (action.body.namespace, action.body.name)
        )
        raw = await ctx.cluster.get_secret(namespace, name)
        known = ctx.state.secrets.get(namespace, name)
        # Without its label no watch shows it, and what is known of it would never be put right.
        shown = raw is not None and RENDERED_LABEL in (raw["metadata"].get("labels") or {})
        if known is not None and (raw is None or not shown or raw["metadata"]["uid"] != known.meta.uid):
            ctx.state.remove(known)
        if raw is not None:
            ctx.take_secret(raw, own_write=False)

    # -- report

    def _remember(self, view: DeploymentView, result: Plan) -> None:
        for secret in self._ctx.state.rendered_of(view.key):
            if secret.meta.name == view.secret_name:
                self._ctx.memory.amend(secret, result.records)

    def _conclude(self, work: Draft, result: Plan, failure: WriteFailure | None, world: DeploymentSlice) -> None:
        """Keeps the outcome and asks for the statuses of those for whom it says something new."""
        ctx = self._ctx
        generations = {owner.meta.uid: owner.meta.generation for owner in _owners(world.workspaces)}
        generation = work.deployment.meta.generation
        written = failure is None or (work.observed.current is None and not work.observed.others)
        outcome = outcome_of(work.resolution, result, failure, generation, generations, written=written)
        before = ctx.memory.outcomes.get(work.deployment.key)
        ctx.memory.outcomes[work.deployment.key] = outcome
        gone = before.carried - outcome.carried if before is not None else frozenset()
        if gone:
            ctx.counters.withdrawn(len(gone))
        self._tell(world.workspaces, before, outcome)

    def _tell(self, workspaces: Sequence[WorkspaceSlice], before: Outcome | None, outcome: Outcome) -> None:
        ctx = self._ctx
        for workspace in workspaces:
            refusal_turned = before is not None and (
                (workspace.namespace in before.not_admitted) != (workspace.namespace in outcome.not_admitted)
            )
            for kind, owners in (("Connection", workspace.connections), ("ConnectionLink", workspace.links)):
                for owner in owners:
                    uid = owner.meta.uid
                    old = before.words.get(uid) if before is not None else None
                    left = owner.meta.deleting or (before is not None and uid in before.carried - outcome.carried)
                    new = before is None or before.seen.get(uid) != owner.meta.generation
                    if new or refusal_turned or left or old != outcome.words.get(uid):
                        ctx.queue.add(Key(kind, owner.meta.namespace, owner.meta.name))

    async def _report_invalid(self, view: DeploymentView) -> Result:
        nothing = Plan((), (), (), {})
        status = deployment_status(view, Resolution((), (), (), (), ()), nothing, None, timestamp(self._ctx.now()))
        await self._ctx.report(view, status)
        return Done()

    async def _withdraw_all(self, key: Key, view: DeploymentView | None) -> Result:
        """The deployment is gone: its Secrets go, also where no garbage collector runs."""
        ctx = self._ctx
        before = ctx.memory.forget_deployment((key.namespace, key.name))
        try:
            for secret in ctx.state.rendered_of((key.namespace, key.name)):
                if not self._is_ours(secret):
                    continue  # the garbage collector knows whether its owner is gone
                await self._delete(key.namespace, secret.meta.name, secret.meta.uid)
        except (Conflict, Missing):
            return Retry("conflict")
        except ClusterError:
            return Retry("api")
        if before is not None:
            ctx.counters.withdrawn(len(before.carried))
        for link in ctx.state.links_to(key.namespace, key.name):
            ctx.queue.add(Key("ConnectionLink", link.meta.namespace, link.meta.name))
            ctx.queue.add(Key("Connection", link.meta.namespace, link.connection_name))
        for home in view.workspaces if view is not None else ():
            for connection in ctx.state.connections.by("to_all", home):
                ctx.queue.add(Key("Connection", home, connection.meta.name))
        return Done()
