"""`FakeCluster`: an API server in memory, as far as the operator uses one. `tests/contract` holds it against a real one."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from jetbridge.api.kinds import KINDS, Kind
from jetbridge.core.actions import SecretBody
from jetbridge.core.views import SOURCE_LABEL, Meta
from jetbridge.shell.cluster import Cluster, ClusterError, Conflict, Missing, Raw, Refused, Taken
from jetbridge.shell.kube import secret_manifest
from jetbridge.shell.reconcile import timestamp
from tests.fakes.faults import Faults

Place = tuple[str, str, str]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Watcher = Callable[[str, EventType, Raw], None]
_PLURAL_OF = {k.kind: k.plural for k in KINDS} | {"Secret": "secrets", "Namespace": "namespaces"}
_MODELS = {k.plural: k.model for k in KINDS}
MAX_SECRET_BYTES = 1024 * 1024
CREATED = "2026-01-01T00:00:00Z"


class FakeCluster(Cluster):
    """Objects by plural, namespace and name. Watchers are told of every change, as a watch would tell them."""

    def __init__(self, faults: Faults | None = None, now: Callable[[], float] = lambda: 0.0) -> None:
        self.faults = faults or Faults()
        self._now = now
        self.events: list[Mapping[str, Any]] = []
        self.watchers: list[Watcher] = []
        self.down: ClusterError | None = None
        self._objects: dict[Place, Raw] = {}
        self._applied: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {}
        self._version = 100
        self._uids = 0
        self._used: set[str] = set()

    # -- the contract

    async def get_secret(self, namespace: str, name: str) -> Raw | None:
        await self._begin()
        self.faults.read(f"secret {namespace}/{name}")
        found = self._objects.get(("secrets", namespace, name))
        return copy.deepcopy(found) if found is not None else None

    async def create_secret(self, body: SecretBody) -> Raw:
        await self._begin()
        with self.faults.write(f"create secret {body.namespace}/{body.name}"):
            if ("secrets", body.namespace, body.name) in self._objects:
                raise Taken(f"secret {body.name}")
            _check_size(body)
            return self.put(secret_manifest(body))

    async def replace_secret(self, body: SecretBody, uid: str, resource_version: str) -> Raw:
        await self._begin()
        with self.faults.write(f"replace secret {body.namespace}/{body.name}"):
            place = ("secrets", body.namespace, body.name)
            found = self._objects.get(place)
            if found is None:
                raise Missing(f"secret {body.name}")
            meta = found["metadata"]
            if meta["uid"] != uid or meta["resourceVersion"] != resource_version:
                raise Conflict(f"secret {body.name}")
            new = secret_manifest(body)
            if new["type"] != found["type"]:
                raise Refused(f"secret {body.name}: type is immutable")
            if found.get("immutable"):
                raise Refused(f"secret {body.name}: immutable")
            _check_size(body)
            return self.put(new)

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        await self._begin()
        with self.faults.write(f"delete secret {namespace}/{name}"):
            found = self._objects.get(("secrets", namespace, name))
            if found is None:
                return
            if found["metadata"]["uid"] != uid:
                raise Conflict(f"secret {name}")
            self.delete("Secret", namespace, name)

    async def apply_status(self, kind: Kind, meta: Meta, status: Mapping[str, Any]) -> Raw:
        await self._begin()
        with self.faults.write(f"status {kind.kind} {meta}"):
            raw = self._own(kind, meta)
            _check_status(kind, status)
            own_keys, own_conditions, finalizers = self._applied_by_us(meta.uid)
            old = dict(raw.get("status") or {})
            others = {k: v for k, v in old.items() if k not in own_keys and k != "conditions"}
            foreign = [c for c in old.get("conditions") or () if c["type"] not in own_conditions]
            ours = [*status.get("conditions", ())]
            types = frozenset(c["type"] for c in ours)
            new = {**others, **copy.deepcopy(dict(status))}
            if ours or foreign:
                new["conditions"] = [*(c for c in foreign if c["type"] not in types), *copy.deepcopy(ours)]
            self._applied[meta.uid] = (frozenset(status), types, finalizers)
            return self._change(raw, {**raw, "status": new})

    async def apply_finalizers(self, kind: Kind, meta: Meta, finalizers: Sequence[str]) -> Raw:
        await self._begin()
        with self.faults.write(f"finalizers {kind.kind} {meta}"):
            raw = self._own(kind, meta)
            keys, types, applied = self._applied_by_us(meta.uid)
            before = raw["metadata"].get("finalizers") or []
            after = [f for f in before if f in finalizers or f not in applied]
            after += [f for f in finalizers if f not in after]
            if raw["metadata"].get("deletionTimestamp") and not set(after) <= set(before):
                raise Refused(f"{kind.kind} {meta}: no new finalizers can be added to what is being deleted")
            self._applied[meta.uid] = (keys, types, frozenset(finalizers))
            new = copy.deepcopy(raw)
            new["metadata"]["finalizers"] = after
            if not after:
                del new["metadata"]["finalizers"]
            return self._change(raw, new)

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        await self._begin()
        self.events.append(copy.deepcopy(dict(event)))

    # -- what people do

    def put(self, raw: Mapping[str, Any]) -> Raw:
        """Creates or updates an object, as `kubectl apply` by its owner would; gives it as stored.

        Status and finalizers stay as they are when the object does not name them; a changed spec counts the generation up.
        """
        new = copy.deepcopy(dict(raw))
        meta = new["metadata"] = dict(new["metadata"])
        plural = _PLURAL_OF[new["kind"]]
        place = (plural, meta.get("namespace", ""), meta["name"])
        old = self._objects.get(place)
        if old is None:
            self._uids += 1
            wish = meta.get("uid") or "uid"
            meta["uid"] = wish if wish != "uid" and wish not in self._used else f"{wish}-{self._uids}"
            self._used.add(meta["uid"])
            meta.setdefault("creationTimestamp", CREATED)
            meta["generation"] = 1
            meta["resourceVersion"] = self._next_version()
            new.pop("status", None)
            self._objects[place] = new
            self._tell(plural, None, new)
            return copy.deepcopy(new)
        for kept in ("uid", "creationTimestamp", "deletionTimestamp", "finalizers"):
            if kept in old["metadata"] and (kept not in meta or kept in ("uid", "creationTimestamp")):
                meta[kept] = old["metadata"][kept]
        meta["generation"] = old["metadata"]["generation"] + (new.get("spec") != old.get("spec"))
        if "status" in old:
            new["status"] = old["status"]
        return self._change(old, new)

    def set_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Replaces a status past the operator."""
        old = self._objects[(_PLURAL_OF[kind], namespace, name)]
        self._change(old, {**old, "status": copy.deepcopy(dict(status))})

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object: at once, or with finalizers by marking it."""
        plural = _PLURAL_OF[kind]
        old = self._objects[(plural, namespace, name)]
        if old["metadata"].get("finalizers"):
            new = copy.deepcopy(old)
            new["metadata"].setdefault("deletionTimestamp", timestamp(self._now()))
            self._change(old, new)
        else:
            self._drop((plural, namespace, name), old)

    # -- what tests look at

    def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """An object as it is."""
        found = self._objects.get((_PLURAL_OF[kind], namespace, name))
        return copy.deepcopy(found) if found is not None else None

    def list(self, plural: str) -> list[Raw]:
        """All objects of a kind, as a listing gives them (Secrets: those with the label that is watched)."""
        return [copy.deepcopy(raw) for (p, _, _), raw in sorted(self._objects.items()) if p == plural and _seen(p, raw)]

    def secret_data(self, namespace: str, name: str) -> dict[str, str] | None:
        """A Secret's data, decoded; None when there is none."""
        raw = self.get("Secret", namespace, name)
        if raw is None:
            return None
        return {k: base64.b64decode(v).decode() for k, v in (raw.get("data") or {}).items()}

    def everything(self) -> Iterable[Raw]:
        """All objects."""
        return [copy.deepcopy(raw) for raw in self._objects.values()]

    # -- inside

    async def _begin(self) -> None:
        await self.faults.wait()
        if self.down is not None:
            raise self.down

    def _own(self, kind: Kind, meta: Meta) -> Raw:
        raw = self._objects.get((kind.plural, meta.namespace, meta.name))
        if raw is None:
            raise Missing(f"{kind.kind} {meta}")
        if (raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]) != (meta.uid, meta.resource_version):
            raise Conflict(f"{kind.kind} {meta}")
        return raw

    def _applied_by_us(self, uid: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        return self._applied.get(uid, (frozenset(), frozenset(), frozenset()))

    def _change(self, old: Raw, new: Raw) -> Raw:
        new = copy.deepcopy(new)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old:
            return copy.deepcopy(old)
        new["metadata"]["resourceVersion"] = self._next_version()
        plural = _PLURAL_OF[new["kind"]]
        place = (plural, new["metadata"].get("namespace", ""), new["metadata"]["name"])
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._drop(place, new)
            return copy.deepcopy(new)
        self._objects[place] = new
        self._tell(plural, old, new)
        return copy.deepcopy(new)

    def _drop(self, place: Place, raw: Raw) -> None:
        self._objects.pop(place, None)
        last = copy.deepcopy(raw)
        last["metadata"]["resourceVersion"] = self._next_version()
        if _seen(place[0], last):
            for watcher in [*self.watchers]:
                watcher(place[0], "DELETED", copy.deepcopy(last))

    def _tell(self, plural: str, old: Raw | None, new: Raw) -> None:
        was, now = old is not None and _seen(plural, old), _seen(plural, new)
        event: EventType | None = ("MODIFIED" if was else "ADDED") if now else ("DELETED" if was else None)
        if event is not None:
            for watcher in [*self.watchers]:
                watcher(plural, event, copy.deepcopy(new if now or old is None else _at(old, new)))

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)


def _seen(plural: str, raw: Raw) -> bool:
    return plural != "secrets" or SOURCE_LABEL in (raw["metadata"].get("labels") or {})


def _at(old: Raw, new: Raw) -> Raw:
    """A deletion by label shows the object as it was, at the version of the change."""
    return {**old, "metadata": {**old["metadata"], "resourceVersion": new["metadata"]["resourceVersion"]}}


def _check_size(body: SecretBody) -> None:
    if sum(len(value) for value in body.data.values()) > MAX_SECRET_BYTES:
        raise Refused(f"secret {body.name}: too long")


def _check_status(kind: Kind, status: Mapping[str, Any]) -> None:
    """The bounds of the schema, as the API server enforces them."""
    annotation: Any = _MODELS[kind.plural].model_fields["status"].annotation
    model = next(candidate for candidate in annotation.__args__ if hasattr(candidate, "model_validate"))
    try:
        model.model_validate(dict(status), extra="forbid")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Refused(f"{kind.kind}: status.{where} is invalid") from None
