"""The store: versions, deletions, listings and indices, against a simple model."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from jetbridge.runtime.store import Change, Store


@dataclass(frozen=True)
class FakeMeta:
    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True)
class Obj:
    meta: FakeMeta
    tag: str = ""


def obj(name: str, version: int, uid: str | None = None, tag: str = "") -> Obj:
    return Obj(FakeMeta("ns", name, uid or f"uid-{name}", str(version)), tag)


def store() -> Store[Obj]:
    return Store({"tag": lambda o: [o.tag] if o.tag else []})


def test_a_first_version_is_an_addition() -> None:
    assert store().upsert(obj("a", 1)) == Change(None, obj("a", 1))


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    s = store()
    s.upsert(obj("a", 5, tag="new"))
    assert s.upsert(obj("a", 4, tag="old")) is None
    found = s.get("ns", "a")
    assert found is not None
    assert found.tag == "new"


def test_the_same_version_twice_is_no_change() -> None:
    s = store()
    s.upsert(obj("a", 5))
    assert s.upsert(obj("a", 5)) is None


def test_an_object_made_again_replaces_the_one_before() -> None:
    s = store()
    s.upsert(obj("a", 5, uid="one"))
    change = s.upsert(obj("a", 9, uid="two"))
    assert change is not None
    assert (change.old, change.new) == (obj("a", 5, uid="one"), obj("a", 9, uid="two"))


def test_a_late_event_of_the_one_before_does_not_replace_it() -> None:
    s = store()
    s.upsert(obj("a", 9, uid="two"))
    assert s.upsert(obj("a", 5, uid="one")) is None
    assert s.remove("ns", "a", "one", "6") is None
    assert s.get("ns", "a") == obj("a", 9, uid="two")


def test_a_late_event_does_not_bring_a_deleted_object_back() -> None:
    s = store()
    s.upsert(obj("a", 5))
    s.remove("ns", "a", "uid-a", "8")
    assert s.upsert(obj("a", 6)) is None, "6 is older than its deletion at 8"
    assert s.get("ns", "a") is None


def test_an_object_that_only_left_the_selector_may_come_back_at_that_version() -> None:
    s = store()
    s.upsert(obj("a", 5))
    s.remove("ns", "a", "uid-a", "8")
    assert s.upsert(obj("a", 8)) is not None, "a read after the label went shows the version of that event"


def test_a_deletion_that_is_older_than_what_is_known_is_passed_over() -> None:
    s = store()
    s.upsert(obj("a", 9))
    assert s.remove("ns", "a", "uid-a", "5") is None
    assert s.get("ns", "a") is not None


def test_a_listing_removes_what_it_lacks() -> None:
    s = store()
    s.upsert(obj("gone", 1))
    s.upsert(obj("stays", 2))
    listing = s.begin_listing()
    assert s.end_listing(listing, [("ns", "stays", "uid-stays")]) == [Change(obj("gone", 1), None)]
    assert [o.meta.name for o in s] == ["stays"]


def test_what_came_after_a_listing_began_is_not_removed_by_it() -> None:
    s = store()
    listing = s.begin_listing()
    s.upsert(obj("new", 3))
    assert s.end_listing(listing, []) == []
    assert s.get("ns", "new") is not None


def test_a_listing_of_one_namespace_leaves_the_others() -> None:
    s = store()
    s.upsert(obj("a", 1))
    listing = s.begin_listing(lambda o: o.meta.namespace == "other")
    assert s.end_listing(listing, []) == []


def test_an_object_made_again_while_it_was_missed_is_removed_by_its_uid() -> None:
    s = store()
    s.upsert(obj("a", 1, uid="one"))
    listing = s.begin_listing()
    s.upsert(obj("a", 7, uid="two"))
    assert s.end_listing(listing, [("ns", "a", "two")]) == []
    assert s.get("ns", "a") == obj("a", 7, uid="two")


def test_an_index_follows_changes_and_removals() -> None:
    s = store()
    s.upsert(obj("a", 1, tag="x"))
    s.upsert(obj("b", 2, tag="x"))
    s.upsert(obj("a", 3, tag="y"))
    assert ([o.meta.name for o in s.by("tag", "x")], [o.meta.name for o in s.by("tag", "y")]) == (["b"], ["a"])
    s.remove("ns", "b", "uid-b")
    assert s.by("tag", "x") == ()


NAMES = st.sampled_from(["a", "b"])


@dataclass(frozen=True)
class Event:
    """Something that happened to an object at a version of the cluster."""

    version: int
    name: str
    uid: str
    deleted: bool


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """What happened in the cluster, in order, and the same in the order in which it is heard of."""
    alive: dict[str, str] = {}
    happened = []
    for version in range(1, draw(st.integers(1, 14))):
        name = draw(NAMES)
        if name in alive and draw(st.booleans()):
            happened.append(Event(version, name, alive.pop(name), True))
        else:
            alive.setdefault(name, f"{name}-{version}")
            happened.append(Event(version, name, alive[name], False))
    return happened, draw(st.permutations(happened))


@given(histories())
@settings(max_examples=300)
def test_whatever_the_order_of_events_the_end_is_that_of_the_cluster(
    history: tuple[list[Event], list[Event]],
) -> None:
    happened, heard = history
    s = store()
    for event in heard:
        if event.deleted:
            s.remove("ns", event.name, event.uid, str(event.version))
        else:
            s.upsert(obj(event.name, event.version, event.uid, tag=event.uid))
    expected: dict[str, Event] = {}
    for event in happened:
        if event.deleted:
            expected.pop(event.name, None)
        else:
            expected[event.name] = event
    found = {o.meta.name: (o.meta.uid, int(o.meta.resource_version)) for o in s}
    assert found == {name: (e.uid, e.version) for name, e in expected.items()}
    for event in happened:
        indexed = [o.meta.uid for o in s.by("tag", event.uid)]
        alive = event.name in expected and expected[event.name].uid == event.uid
        assert indexed == ([event.uid] if alive else []), "the index agrees with the objects"
