"""What the operator remembers beside the cluster's own objects. All of it can be lost: a restart makes it anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from jetbridge.core import manifest as manifests
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.manifest import Manifest
from jetbridge.core.material import LastIngest, Material, material_of, sources_of, told_before
from jetbridge.core.outcome import Outcome
from jetbridge.core.sources import Collected, SourceProblem, source_names
from jetbridge.core.views import ConnectionView, Owner, Record, RenderedView
from jetbridge.shell.settings import VaultSettings
from jetbridge.shell.state import ClusterState
from jetbridge.shell.vault.contract import entry_path


@dataclass(slots=True)
class _Amended:
    resource_version: str
    records: Manifest


@dataclass(slots=True)
class Memory:
    """Records, verdicts and outcomes by UID; outcomes of deployments by namespace and name."""

    state: ClusterState
    vault: VaultSettings
    keyring: Keyring | None = None
    records: dict[str, Record | None] = field(default_factory=dict)
    last_ingest: dict[str, LastIngest] = field(default_factory=dict)
    next_check: dict[str, float] = field(default_factory=dict)
    told: dict[str, Material] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    first_seen: dict[tuple[str, str], float] = field(default_factory=dict)
    pending_since: dict[tuple[str, str], float] = field(default_factory=dict)
    looked_again: set[tuple[str, str]] = field(default_factory=set)
    _amended: dict[str, _Amended] = field(default_factory=dict)
    _materials: dict[str, tuple[object, Material]] = field(default_factory=dict)

    def record_of(self, owner: Owner) -> Record | None:
        """The record of an owner's entry: what we wrote last, or what its status says if that names its own entry."""
        record = self.records.get(owner.meta.uid, owner.record)
        if record is None or record.version < 1 or record.path != f"{self.vault.mount}/{self.path_of(owner)}":
            return None
        return record

    def path_of(self, owner: Owner) -> str:
        """Where an owner's entry is, below the mount."""
        collection = "connections" if isinstance(owner, ConnectionView) else "links"
        return entry_path(self.vault.prefix, owner.meta.namespace, collection, owner.meta.name)

    def last_of(self, owner: Owner) -> LastIngest | None:
        """What the last attempt to take in an owner's sources ended with: this operator's, or as its status says."""
        return self.last_ingest.get(owner.meta.uid) or told_before(owner)

    def scope_of(self, owner: Owner) -> Scope:
        """The scope of an owner's digests."""
        namespace = self.state.namespace(owner.meta.namespace)
        return Scope(namespace.meta.uid if namespace is not None else "", owner.meta.uid)

    def source_of(self, owner: Owner) -> Collected | SourceProblem | None:
        """What an owner's sources give now."""
        return sources_of(owner, lambda name: self.state.secrets.get(owner.meta.namespace, name))

    def material(self, owner: Owner) -> Material:
        """Whether an owner's sourced fields can be used now. Remembered while nothing that it depends on changes."""
        record, last = self.record_of(owner), self.last_of(owner)
        basis = (owner.meta.generation, self._source_versions(owner), record, last, id(self.keyring))
        known = self._materials.get(owner.meta.uid)
        if known is not None and known[0] == basis:
            return known[1]
        material = material_of(
            owner, record, self.source_of(owner), keyring=self.keyring, scope=self.scope_of(owner), last=last
        )
        self._materials[owner.meta.uid] = (basis, material)
        return material

    def _source_versions(self, owner: Owner) -> tuple[tuple[str, str] | None, ...]:
        secrets = (self.state.secrets.get(owner.meta.namespace, name) for name in source_names(owner.fields))
        return tuple((s.meta.uid, s.meta.resource_version) if s is not None else None for s in secrets)

    def manifest_of(self, secret: RenderedView | None) -> Manifest:
        """The manifest of a rendered Secret, with what was amended since without a write."""
        if secret is None:
            return {}
        amended = self._amended.get(secret.meta.uid)
        if amended is not None and amended.resource_version == secret.meta.resource_version:
            return amended.records
        return manifests.load(secret.manifest)

    def wrote(self, secret: RenderedView) -> bool:
        """Whether this operator has written the Secret, or found it as it should be."""
        return secret.meta.uid in self._amended

    def amend(self, secret: RenderedView, records: Manifest) -> None:
        """Remembers a manifest that says more than the annotation."""
        self._amended[secret.meta.uid] = _Amended(secret.meta.resource_version, records)

    def forget_owner(self, uid: str) -> None:
        """Drops what is known of a Connection or link that is gone."""
        for known in (self.records, self.last_ingest, self.next_check, self.told, self._materials):
            known.pop(uid, None)

    def forget_deployment(self, key: tuple[str, str]) -> Outcome | None:
        """Drops what is known of a deployment that is gone; gives its last outcome."""
        self.first_seen.pop(key, None)
        self.pending_since.pop(key, None)
        self.looked_again.discard(key)
        return self.outcomes.pop(key, None)

    def forget_secret(self, uid: str) -> None:
        """Drops what is known of a rendered Secret that is gone."""
        self._amended.pop(uid, None)
