"""The store: single behaviours, and a state machine that holds it against a simple model of an API server."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jetbridge.runtime import store as module
from jetbridge.runtime.store import Change, Listing, Store


@dataclass(frozen=True)
class Meta:
    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True)
class Thing:
    meta: Meta
    colours: tuple[str, ...] = ()


def colours(thing: Thing) -> Iterable[Hashable]:
    return thing.colours


def thing(version: int | str, *, name: str = "x", uid: str = "u1", colour: str = "red", ns: str = "a") -> Thing:
    return Thing(Meta(ns, name, uid, str(version)), (colour,))


def store(*things: Thing) -> Store[Thing]:
    found = Store[Thing]({"colour": colours})
    for item in things:
        found.upsert(item)
    return found


def test_an_addition_and_a_change_are_told_with_what_was_before() -> None:
    found = store()
    assert found.upsert(thing(1)) == Change(None, thing(1))
    assert found.upsert(thing(2)) == Change(thing(1), thing(2))
    assert found.get("a", "x") == thing(2)


@pytest.mark.parametrize("version", [5, 4, 1])
def test_an_older_or_equal_version_changes_nothing(version: int) -> None:
    found = store(thing(5))
    assert found.upsert(thing(version, colour="blue")) is None
    assert found.get("a", "x") == thing(5)


def test_versions_compare_as_numbers() -> None:
    found = store(thing(9))
    assert found.upsert(thing(10)) is not None


def test_an_object_without_a_version_is_taken_as_it_comes() -> None:
    """Offline there are none."""
    found = store(thing(""))
    assert found.upsert(thing("", colour="blue")) == Change(thing(""), thing("", colour="blue"))


def test_a_removal_is_told() -> None:
    found = store(thing(1))
    assert found.remove("a", "x", "u1", "2") == Change(thing(1), None)
    assert (found.get("a", "x"), len(found)) == (None, 0)


def test_the_removal_of_another_object_of_that_name_changes_nothing() -> None:
    found = store(thing(5, uid="u2"))
    assert found.remove("a", "x", "u1", "6") is None
    assert found.get("a", "x") == thing(5, uid="u2")


def test_a_late_removal_of_an_older_version_changes_nothing() -> None:
    found = store(thing(5))
    assert found.remove("a", "x", "u1", "4") is None


def test_a_late_event_does_not_bring_a_deleted_object_back() -> None:
    found = store(thing(1))
    found.remove("a", "x", "u1", "9")
    assert found.upsert(thing(8)) is None


def test_a_deletion_that_comes_before_its_object_keeps_it_out() -> None:
    found = store()
    assert found.remove("a", "x", "u1", "9") is None
    assert found.upsert(thing(8)) is None


def test_an_object_that_left_the_watch_may_come_back() -> None:
    found = store(thing(1))
    found.remove("a", "x", "u1", "9")
    assert found.upsert(thing(10)) is not None


def test_an_object_made_anew_replaces_the_one_whose_deletion_was_missed() -> None:
    found = store(thing(1))
    assert found.upsert(thing(7, uid="u2")) == Change(thing(1), thing(7, uid="u2"))
    assert found.upsert(thing(3)) is None, "a late event of the first one"


def test_tombstones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOMBSTONES", 3)
    found = store()
    for number in range(5):
        found.remove("a", "x", f"u{number}", "9")
    assert found.upsert(thing(1, uid="u0", name="0")) is not None, "the oldest was forgotten"
    assert found.upsert(thing(1, uid="u4", name="4")) is None


def test_an_index_follows_additions_changes_and_removals() -> None:
    found = store(thing(1, name="y", uid="u2"), thing(1))
    assert [t.meta.name for t in found.by("colour", "red")] == ["x", "y"], "sorted"
    found.upsert(thing(2, colour="blue"))
    assert [t.meta.name for t in found.by("colour", "red")] == ["y"]
    found.remove("a", "x", "u1", "3")
    assert found.by("colour", "blue") == ()
    assert found.by("colour", "never seen") == ()


def test_a_value_that_nobody_has_any_more_leaves_nothing_in_the_index() -> None:
    found = store(thing(1))
    found.remove("a", "x", "u1", "2")
    assert found._indices["colour"] == {}


def test_a_listing_removes_what_it_lacks() -> None:
    found = store(thing(1), thing(1, name="y", uid="u2"))
    listing = found.begin_listing()
    assert found.end_listing(listing, [("a", "y", "u2")]) == [Change(thing(1), None)]


def test_a_listing_does_not_touch_what_was_made_after_it_began() -> None:
    found = store()
    listing = found.begin_listing()
    found.upsert(thing(1))
    assert found.end_listing(listing, []) == []
    assert len(found) == 1


def test_a_listing_of_some_objects_says_nothing_of_others() -> None:
    found = store(thing(1), thing(1, ns="b", uid="u2"))
    listing = found.begin_listing(lambda t: t.meta.namespace == "b")
    assert [c.old for c in found.end_listing(listing, [])] == [thing(1, ns="b", uid="u2")]


def test_a_listing_that_shows_another_object_of_that_name_removes_the_first() -> None:
    found = store(thing(1))
    listing = found.begin_listing()
    assert found.end_listing(listing, [("a", "x", "u2")]) == [Change(thing(1), None)]


def test_a_listing_spares_what_was_made_anew_meanwhile() -> None:
    found = store(thing(1))
    listing = found.begin_listing()
    found.upsert(thing(5, uid="u2"))
    assert found.end_listing(listing, [("a", "x", "u2")]) == []


def test_a_store_may_change_while_it_is_walked_through() -> None:
    found = store(thing(1), thing(1, name="y", uid="u2"))
    for item in found:
        found.remove(item.meta.namespace, item.meta.name, item.meta.uid)
    assert len(found) == 0


NAMES = st.sampled_from(["x", "y", "z"])
COLOURS = st.sampled_from(["red", "blue"])


class Machine(RuleBasedStateMachine):
    """A cluster, its watch in order, answers to our own writes whenever they come, and listings when the watch breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: dict[str, Thing] = {}
        self.events: list[tuple[str, Thing]] = []
        self.answers: list[Thing] = []
        self.version = 0
        self.uids = 0
        self.store = Store[Thing]({"colour": colours})
        self.listing: Listing | None = None
        self.snapshot: list[Thing] | None = None
        self.newest: dict[str, int] = {}

    def next(self) -> str:
        self.version += 1
        return str(self.version)

    @rule(name=NAMES, colour=COLOURS)
    def write(self, name: str, colour: str) -> None:
        """Somebody creates or changes an object."""
        old = self.cluster.get(name)
        if old is None:
            self.uids += 1
        uid = old.meta.uid if old is not None else f"u{self.uids}"
        self.cluster[name] = Thing(Meta("a", name, uid, self.next()), (colour,))
        self.events.append(("MODIFIED", self.cluster[name]))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        """Somebody deletes an object; it may be made anew by `write`."""
        old = self.cluster.pop(name, None)
        if old is not None:
            gone = replace(old, meta=replace(old.meta, resource_version=self.next()))
            self.events.append(("DELETED", gone))

    @rule(name=NAMES)
    def own_write(self, name: str) -> None:
        """We write to an object that we know, by its uid; the answer comes when it comes."""
        known, there = self.store.get("a", name), self.cluster.get(name)
        if known is not None and there is not None and known.meta.uid == there.meta.uid:
            self.write(name, "red")
            self.answers.append(self.cluster[name])

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answer(self, data: Any) -> None:
        number = data.draw(st.integers(0, len(self.answers) - 1))
        # A first word of an object between the break of the watch and the answer of the listing is beyond what a store can
        # tell: it may have been made after the listing, or be gone before it.
        item = self.answers[number]
        if self.listing is None or self.listing.known.get(("a", item.meta.name)) == item.meta.uid:
            self.take(self.answers.pop(number))

    @precondition(lambda self: self.events and self.listing is None)
    @rule()
    def event(self) -> None:
        kind, item = self.events.pop(0)
        if kind == "DELETED":
            self.store.remove("a", item.meta.name, item.meta.uid, item.meta.resource_version)
        else:
            self.take(item)

    @precondition(lambda self: self.listing is None)
    @rule()
    def watch_breaks(self) -> None:
        self.listing, self.snapshot = self.store.begin_listing(), None

    @precondition(lambda self: self.listing is not None and self.snapshot is None)
    @rule()
    def list_is_answered(self) -> None:
        self.snapshot = list(self.cluster.values())
        self.events.clear()
        alive = {t.meta.uid for t in self.snapshot}
        # An answer that comes after the listing to a write of what the listing lacks is beyond what a store can tell.
        self.answers = [t for t in self.answers if t.meta.uid in alive]

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def list_is_taken_in(self) -> None:
        assert self.listing is not None
        assert self.snapshot is not None
        for item in self.snapshot:
            self.take(item)
        seen = [(t.meta.namespace, t.meta.name, t.meta.uid) for t in self.snapshot]
        self.store.end_listing(self.listing, seen)
        self.listing = self.snapshot = None

    def take(self, item: Thing) -> None:
        self.store.upsert(item)

    @invariant()
    def never_goes_back(self) -> None:
        for item in self.store:
            version = int(item.meta.resource_version)
            assert version >= self.newest.get(item.meta.uid, 0), "an older version came back"
            self.newest[item.meta.uid] = version

    @invariant()
    def indices_tell_the_truth(self) -> None:
        for colour in ("red", "blue"):
            truth = sorted(t.meta.name for t in self.store if colour in t.colours)
            assert [t.meta.name for t in self.store.by("colour", colour)] == truth

    def teardown(self) -> None:
        """When everything has arrived, the store is the cluster."""
        if self.listing is not None and self.snapshot is None:
            self.list_is_answered()
        if self.listing is not None:
            self.list_is_taken_in()
        while self.events:
            self.event()
        for item in self.answers:
            self.take(item)
        assert {t.meta.name: t for t in self.store} == self.cluster


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStoreAgainstTheModel = Machine.TestCase
