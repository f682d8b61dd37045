"""Keyed digests: what they depend on, and what an unknown key means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbridge.core.digest import Keyring, Purpose, Scope, canonical, fingerprint
from jetbridge.core.secret_value import SecretValue
from tests.strategies import json_values

OLD = SecretValue(b"old" * 10)
NEW = SecretValue(b"new" * 10)
RING = Keyring("k2", {"k1": OLD, "k2": NEW})
SCOPE = Scope("ns", "uid")


def test_a_digest_begins_with_the_id_of_the_current_key() -> None:
    assert RING.digest("value", SCOPE, b"x").startswith("k2:")


def test_a_digest_of_an_old_key_still_matches() -> None:
    old = Keyring("k1", {"k1": OLD}).digest("value", SCOPE, b"x")
    assert RING.matches(old, "value", SCOPE, b"x")
    assert not RING.matches(old, "value", SCOPE, b"y")


@pytest.mark.parametrize("digest", ["k3:abc", "", "k2", "k2:", ":", "k1:AAAA"])
def test_a_digest_of_an_unknown_key_or_none_matches_nothing(digest: str) -> None:
    assert not RING.matches(digest, "value", SCOPE, b"x")


def test_the_ring_tells_which_keys_it_knows() -> None:
    assert RING.knows("k1:whatever")
    assert not RING.knows("k3:whatever")


PURPOSES: tuple[Purpose, ...] = ("entry", "recipe", "value")


def test_purpose_and_scope_separate_equal_content() -> None:
    digests = {
        RING.digest(purpose, Scope(namespace, uid), b"same")
        for purpose in PURPOSES
        for namespace in ("a", "b")
        for uid in ("1", "2")
    }
    assert len(digests) == 12


def test_parts_can_not_be_shifted_into_each_other() -> None:
    assert RING.digest("value", Scope("ab", "c"), b"d") != RING.digest("value", Scope("a", "bc"), b"d")
    assert RING.digest("value", Scope("a", "b"), b"cd") != RING.digest("value", Scope("a", "bc"), b"d")
    assert fingerprint("a", "bc") != fingerprint("ab", "c")


def test_the_keys_are_not_shown() -> None:
    assert "old" not in repr(RING)
    assert "new" not in repr(RING)


@given(st.dictionaries(st.text(), json_values(), max_size=4), st.randoms(use_true_random=False))
def test_canonical_does_not_depend_on_the_order_of_keys(content: dict[str, object], rng: object) -> None:
    items = list(content.items())
    rng.shuffle(items)  # type: ignore[attr-defined]
    assert canonical(dict(items)) == canonical(content)  # type: ignore[arg-type]


@given(json_values(), json_values())
def test_canonical_tells_unequal_content_apart(a: object, b: object) -> None:
    same_type = repr(a) == repr(b)
    assert same_type or canonical(a) != canonical(b) or a == b  # type: ignore[arg-type]
