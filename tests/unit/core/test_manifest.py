"""The annotation on rendered Secrets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbridge.core.manifest import EntryRecord, dump, load

RECORDS = st.dictionaries(st.text(), st.builds(EntryRecord, *[st.text()] * 5), max_size=5)


@given(RECORDS)
def test_load_is_the_inverse_of_dump(records: dict[str, EntryRecord]) -> None:
    assert load(dump(records)) == records


@given(RECORDS, st.randoms(use_true_random=False))
def test_dump_does_not_depend_on_order(records: dict[str, EntryRecord], rng: object) -> None:
    items = list(records.items())
    rng.shuffle(items)  # type: ignore[attr-defined]
    assert dump(dict(items)) == dump(records)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json",
        "[]",
        "7",
        "null",
        '"text"',
        "{}",
        '{"v": 2, "entries": {}}',
        '{"v": 1}',
        '{"v": 1, "entries": []}',
        '{"v": 1, "entries": {"A": []}}',
        '{"v": 1, "entries": {"A": ["1", "2", "3", "4"]}}',
        '{"v": 1, "entries": {"A": null}}',
        "[" * 100_000,
    ],
    ids=lambda text: str(text)[:40],
)
def test_what_can_not_be_read_counts_as_empty(text: str | None) -> None:
    assert load(text) == {}


def test_it_is_one_line_of_ascii() -> None:
    text = dump({"é": EntryRecord("é", "\n", "", "", "")})
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["v"] == 1
