"""Reconciles one Connection or ConnectionLink: takes its sources into Vault, and reports."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from jetbridge.api.kinds import BY_KIND
from jetbridge.core.airflow import check_connection_id
from jetbridge.core.fields import pack
from jetbridge.core.graph import Key, key_of
from jetbridge.core.ingest import (
    Decision,
    EntryState,
    Ownership,
    StoreReason,
    Verdict,
    decide,
    is_ours,
)
from jetbridge.core.material import Blocked, LastIngest, Ready
from jetbridge.core.outcome import Word
from jetbridge.core.resolve import Problem
from jetbridge.core.sources import Collected, SourceProblem, SourceReason, refs_fingerprint
from jetbridge.core.status import Ingested, connection_status, link_status
from jetbridge.core.views import ENTRY_FINALIZER, ConnectionView, LinkView, Owner, Record
from jetbridge.runtime.workers import Done, Result, Retry
from jetbridge.shell.cluster import Conflict, Missing
from jetbridge.shell.context import PARSERS, Context
from jetbridge.shell.reconcile import timestamp
from jetbridge.shell.vault.contract import CasMismatch, VaultError, VaultUnavailable

_REPORT_AFTER = 0.05
_RETRIED = (StoreReason.UNAVAILABLE, StoreReason.DENIED, StoreReason.NOT_TAKEN)


class OwnerReconciler:
    """Keeps the entry of a Connection or link in Vault, and its status."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    async def reconcile(self, key: Key) -> Result:
        """One pass over one Connection or link."""
        owner = self._find(key)
        if owner is None:
            return Done()
        if self._ctx.state.namespace(key.namespace) is None:
            return Retry("namespace")  # its event is on the way, and ownership needs its UID
        if owner.meta.deleting:
            return await self._finalize(owner)
        result = await self._ingest(owner)
        if self._wake_deployments(owner) and isinstance(result, Done):
            # The deployments first: what people wait for is the Secret, not this status.
            return Done(again_after=_REPORT_AFTER)
        current = self._find(key)
        if current is not None and current.meta.uid == owner.meta.uid:
            await self._report(current)
        return result

    def _find(self, key: Key) -> Owner | None:
        state = self._ctx.state
        return (state.connections if key.kind == "Connection" else state.links).get(key.namespace, key.name)

    # -- taking in

    async def _ingest(self, owner: Owner) -> Result:
        memory = self._ctx.memory
        if owner.problem is not None:
            return Done()
        source = memory.source_of(owner)
        if source is None:
            return await self._drop_entry(owner)
        if isinstance(source, SourceProblem) and source.reason is not SourceReason.MISSING:
            return Done()
        if memory.keyring is None:
            # The operator asks for every key once the digest keys are there.
            self._note(owner, StoreReason.UNAVAILABLE, "Vault was not reached yet; what was delivered stays")
            return Done()
        if not self._due(owner, source):
            return Done(again_after=self._until_check(owner))
        try:
            decision = await self._decide_and_do(owner, source)
        except CasMismatch:
            return Retry("cas")
        except VaultError as error:
            self._note(owner, StoreReason(error.reason), f"{error}; what was delivered stays")
            if isinstance(error, VaultUnavailable):
                self._ctx.vault.wait_for_vault(key_of(owner))
                return Done()
            return Retry(error.reason)
        if decision is None:
            return Done()
        self._note(owner, decision.reason, decision.message)
        if decision.record is not None:
            memory.records[owner.meta.uid] = decision.record
        self._schedule_check(owner)
        return Done(again_after=self._until_check(owner))

    def _due(self, owner: Owner, source: Collected | SourceProblem) -> bool:
        """Whether Vault must be asked: something waits to be taken in, or it is time to look at the entry."""
        ctx = self._ctx
        material = ctx.memory.material(owner)
        if isinstance(material, Blocked):
            last = ctx.memory.last_of(owner)
            settled = (
                last is not None
                and last.generation == owner.meta.generation
                and last.reason not in _RETRIED
                and isinstance(source, SourceProblem)
            )
            return not settled or self._until_check(owner) <= 0
        return self._until_check(owner) <= 0

    async def _decide_and_do(self, owner: Owner, source: Collected | SourceProblem) -> Decision | None:
        """Looks at the entry, decides by the table, and does it. None: the object is gone meanwhile."""
        ctx = self._ctx
        path = self._ctx.memory.path_of(owner)
        entry = await ctx.vault.read_state(path, content=False)
        decision = self._decide(owner, source, entry)
        if decision.verdict is Verdict.NEED_CONTENT:
            entry = await ctx.vault.read_state(path, content=True)
            decision = self._decide(owner, source, entry)
        if decision.record is not None and not await self._ensure_finalizer(owner):
            return None
        if decision.write_metadata:
            await ctx.vault.write_metadata(path, self._ownership(owner).metadata())
        if decision.verdict is Verdict.PUT and isinstance(source, Collected):
            version = await ctx.vault.put(path, pack(source.fields), decision.cas)
            if decision.record is None or version != decision.record.version:
                raise CasMismatch(path)
        return decision

    def _decide(self, owner: Owner, source: Collected | SourceProblem, entry: EntryState | None) -> Decision:
        ctx = self._ctx
        spec, keyring = owner.fields, ctx.memory.keyring
        if spec is None or keyring is None:
            raise VaultUnavailable("Vault was not reached yet")
        return decide(
            source,
            ctx.memory.record_of(owner),
            entry,
            owner=self._ownership(owner),
            keyring=keyring,
            scope=ctx.memory.scope_of(owner),
            path=f"{ctx.settings.vault.mount}/{self._ctx.memory.path_of(owner)}",
            refs=refs_fingerprint(spec),
        )

    async def _drop_entry(self, owner: Owner) -> Result:
        """The resource names no sources (any more): an entry that it had is of no use."""
        ctx = self._ctx
        if ENTRY_FINALIZER not in owner.meta.finalizers:
            return Done()
        try:
            await self._delete_entry(owner)
        except VaultError:
            ctx.vault.wait_for_vault(key_of(owner))
            return Retry("vault")
        ctx.memory.records[owner.meta.uid] = None
        await self._apply_finalizers(owner, ())
        return Done()

    # -- deletion

    async def _finalize(self, owner: Owner) -> Result:
        """Withdraws first, then soft-deletes the entry, then lets the object go; never waits longer than it may."""
        ctx = self._ctx
        if ENTRY_FINALIZER not in owner.meta.finalizers:
            return Done()
        patience = ctx.settings.finalizer_timeout - self._deleting_for(owner)
        if not self._withdrawn(owner) and patience > 0:
            return Done(again_after=min(patience, 5.0))
        try:
            await self._delete_entry(owner)
        except VaultError as error:
            if patience > 0:
                ctx.vault.wait_for_vault(key_of(owner))
                return Done(again_after=min(patience, 15.0))
            ctx.recorder.event(
                key_of(owner),
                owner.meta.uid,
                False,
                "EntryLeftInVault",
                f"the entry {ctx.settings.vault.mount}/{self._ctx.memory.path_of(owner)} stays in Vault: {error}",
            )
        await self._apply_finalizers(owner, ())
        ctx.memory.forget_owner(owner.meta.uid)
        return Done()

    async def _delete_entry(self, owner: Owner) -> None:
        ctx = self._ctx
        path = self._ctx.memory.path_of(owner)
        entry = await ctx.vault.read_state(path, content=False)
        if entry is not None and is_ours(entry, self._ownership(owner)):
            await ctx.vault.soft_delete(path, entry.live_versions)

    def _withdrawn(self, owner: Owner) -> bool:
        """Whether every deployment that could have it has said that it has it no more."""
        state, memory = self._ctx.state, self._ctx.memory
        if isinstance(owner, LinkView):
            target = state.deployments.get(*owner.deployment)
            if target is None:
                return True
            outcome = memory.outcomes.get(target.key)
            return outcome is not None and outcome.written and owner.meta.uid not in outcome.words
        for deployment in state.deployments_using(owner.meta.namespace):
            outcome = memory.outcomes.get(deployment.key)
            if outcome is None:
                return False
            if owner.meta.namespace in outcome.not_admitted:
                continue  # it never had it, or lost it with its consent
            if not outcome.written or owner.meta.uid in outcome.carried:
                return False
        return True

    def _deleting_for(self, owner: Owner) -> float:
        try:
            began = datetime.datetime.fromisoformat(owner.meta.deletion or "").timestamp()
        except ValueError:
            return 0.0
        return self._ctx.now() - began

    # -- finalizers

    async def _ensure_finalizer(self, owner: Owner) -> bool:
        """Puts our finalizer before there is an entry that could be left behind. False: the object is gone."""
        if ENTRY_FINALIZER in owner.meta.finalizers:
            return True
        return await self._apply_finalizers(owner, (ENTRY_FINALIZER,))

    async def _apply_finalizers(self, owner: Owner, finalizers: tuple[str, ...]) -> bool:
        kind = key_of(owner).kind
        try:
            raw = await self._ctx.cluster.apply_finalizers(BY_KIND[kind], owner.meta, finalizers)
        except (Missing, Conflict):
            return False
        view = PARSERS[kind](raw)
        if view.meta.deleting and not view.meta.finalizers:
            self._ctx.observe_removal(view)
        else:
            self._ctx.observe(view, own_write=True)
        return True

    # -- what others hear

    def _note(self, owner: Owner, reason: StoreReason, message: str) -> None:
        ctx = self._ctx
        ctx.memory.last_ingest[owner.meta.uid] = LastIngest(reason, message, owner.meta.generation)
        ctx.counters.ingested(reason.value)

    def _wake_deployments(self, owner: Owner) -> bool:
        """Asks for the deployments that use the owner's material, if it is other than they were last told of; tells whether."""
        memory = self._ctx.memory
        material = memory.material(owner)
        if memory.told.get(owner.meta.uid) == material:
            return False
        memory.told[owner.meta.uid] = material
        for deployment in self._deployments(owner):
            self._ctx.queue.add(Key("AirflowDeployment", *deployment))
        return True

    def _deployments(self, owner: Owner) -> Iterable[tuple[str, str]]:
        if isinstance(owner, LinkView):
            return [owner.deployment]
        return [d.key for d in self._ctx.state.deployments_for(owner)]

    def _until_check(self, owner: Owner) -> float:
        """Seconds until the entry's metadata is looked at; the first time at random, so that a restart asks nothing at once."""
        ctx = self._ctx
        if owner.meta.uid not in ctx.memory.next_check:
            ctx.memory.next_check[owner.meta.uid] = ctx.clock() + ctx.settings.vault_check_interval * (
                0.25 + 0.75 * ctx.rng.random()
            )
        return ctx.memory.next_check[owner.meta.uid] - ctx.clock()

    def _schedule_check(self, owner: Owner) -> None:
        ctx = self._ctx
        jitter = 0.875 + 0.25 * ctx.rng.random()
        ctx.memory.next_check[owner.meta.uid] = ctx.clock() + ctx.settings.vault_check_interval * jitter

    def _ownership(self, owner: Owner) -> Ownership:
        namespace_uid = self._ctx.memory.scope_of(owner).namespace_uid
        refs = refs_fingerprint(owner.fields) if owner.fields is not None else ""
        return Ownership(self._ctx.cluster_uid, namespace_uid, owner.meta.uid, refs)

    # -- report

    async def _report(self, owner: Owner) -> None:
        ctx = self._ctx
        known = self._ingested(owner)
        now = timestamp(ctx.now())
        if isinstance(owner, LinkView):
            home = owner.meta.namespace
            target = ctx.state.deployments.get(*owner.deployment)
            connection = ctx.state.connections.get(home, owner.connection_name)
            outcome = ctx.memory.outcomes.get(owner.deployment)
            status = link_status(owner, known, connection, target, outcome, now)
            if status is None:
                return
        else:
            refused = check_connection_id(owner.connection_id)
            refusal = (
                Problem(owner.connection_id, str(owner.meta), refused.reason, refused.message)
                if refused is not None
                else None
            )
            status = connection_status(owner, known, self._words(owner), refusal, now)
        await ctx.report(owner, status)

    def _ingested(self, owner: Owner) -> Ingested:
        memory = self._ctx.memory
        record: Record | None = memory.record_of(owner)
        material = memory.material(owner)
        source = memory.source_of(owner)
        if isinstance(material, Ready):
            record = material.record
        elif source is None and owner.problem is None:
            record = None  # it names no sources any more
        return Ingested(material, record, memory.last_of(owner), source)

    def _words(self, owner: ConnectionView) -> dict[tuple[str, str], Word | None]:
        """What each deployment that should have the Connection said of it, as it stands now."""
        words: dict[tuple[str, str], Word | None] = {}
        for deployment in self._ctx.state.deployments_for(owner):
            outcome = self._ctx.memory.outcomes.get(deployment.key)
            word = outcome.words.get(owner.meta.uid) if outcome is not None else None
            if outcome is not None and owner.meta.namespace in outcome.not_admitted:
                continue
            words[deployment.key] = word if word is not None and word.generation == owner.meta.generation else None
        return words
