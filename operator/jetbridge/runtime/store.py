"""An in-memory store of one kind of object, fed by watch events, own writes and complete listings.

Invariants: an older version of an object never replaces a newer one, whatever order they arrive in; an object is forgotten
only when its deletion was seen or a complete listing that began after it was known lacks it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Key = tuple[str, str]


class Identified(Protocol):
    """What the store must know of an object."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class HasMeta(Protocol):
    """An object with metadata."""

    @property
    def meta(self) -> Identified: ...


T = TypeVar("T", bound=HasMeta)
Index = Callable[[T], Iterable[Hashable]]


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One change: `old` None is an addition, `new` None a removal."""

    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing under way: which objects were known when it began."""

    known: Mapping[Key, str]


# How many deletions are remembered, so that a late event can't bring an object back.
_TOMBSTONES = 4096


class Store(Generic[T]):
    """Objects of one kind by namespace and name, with indices."""

    def __init__(self, indices: Mapping[str, Index[T]] | None = None) -> None:
        self._objects: dict[Key, T] = {}
        self._tombstones: dict[str, int] = {}
        self._functions = dict(indices or {})
        self._indices: dict[str, dict[Hashable, set[Key]]] = {n: defaultdict(set) for n in self._functions}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> T | None:
        """The object, or None."""
        return self._objects.get((namespace, name))

    def by(self, index: str, value: Hashable) -> tuple[T, ...]:
        """The objects under a value of an index, sorted by namespace and name."""
        keys = self._indices[index].get(value, ())
        return tuple(self._objects[key] for key in sorted(keys))

    def upsert(self, obj: T) -> Change[T] | None:
        """Takes in a version of an object; None when it is not newer than what is known."""
        meta = obj.meta
        key = (meta.namespace, meta.name)
        old = self._objects.get(key)
        version = _number(meta.resource_version)
        # Equal is newer: an object that left the watch's selector is "deleted" at a version that it still has.
        if version and version < self._tombstones.get(meta.uid, 0):
            return None
        if old is not None:
            known = _number(old.meta.resource_version)
            if old.meta.uid == meta.uid and version and version <= known:
                return None
            if old.meta.uid != meta.uid and version and version < known:
                return None
            self._unindex(key, old)
        self._objects[key] = obj
        for name, function in self._functions.items():
            for value in function(obj):
                self._indices[name][value].add(key)
        return Change(old, obj)

    def remove(self, namespace: str, name: str, uid: str, resource_version: str = "") -> Change[T] | None:
        """Takes in a deletion; None when that very object is not known (any more)."""
        key = (namespace, name)
        old = self._objects.get(key)
        deleted_at = _number(resource_version)
        if uid and deleted_at:
            self._bury(uid, deleted_at)
        if old is None or (uid and old.meta.uid != uid):
            return None
        if deleted_at and deleted_at < _number(old.meta.resource_version):
            return None
        self._unindex(key, old)
        del self._objects[key]
        return Change(old, None)

    def begin_listing(self, belongs: Callable[[T], bool] = lambda _: True) -> Listing:
        """Marks the beginning of a listing of the objects that `belongs` selects."""
        return Listing({k: o.meta.uid for k, o in self._objects.items() if belongs(o)})

    def end_listing(self, listing: Listing, seen: Iterable[tuple[str, str, str]]) -> list[Change[T]]:
        """Ends a complete listing: what was known before it and is not in it (namespace, name, uid) is gone."""
        present = {(ns, name): uid for ns, name, uid in seen}
        changes = []
        for key, uid in listing.known.items():
            now = self._objects.get(key)
            if now is not None and now.meta.uid == uid and present.get(key) != uid:
                change = self.remove(*key, uid)
                if change is not None:
                    changes.append(change)
        return changes

    def _bury(self, uid: str, version: int) -> None:
        self._tombstones[uid] = max(version, self._tombstones.pop(uid, 0))
        while len(self._tombstones) > _TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    def _unindex(self, key: Key, obj: T) -> None:
        for name, function in self._functions.items():
            for value in function(obj):
                keys = self._indices[name][value]
                keys.discard(key)
                if not keys:
                    del self._indices[name][value]


def _number(resource_version: str) -> int:
    """Resource versions are comparable as numbers (KEP-5504); 0 when it is none."""
    return int(resource_version) if resource_version.isdigit() else 0
