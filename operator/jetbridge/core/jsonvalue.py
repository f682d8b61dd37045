"""`JsonValue`: what JSON can hold, and searches in it."""

from __future__ import annotations

from typing import TypeAlias

JsonValue: TypeAlias = "list[JsonValue] | dict[str, JsonValue] | str | bool | int | float | None"


_EXACT = 2**53


def numbers_survive(value: JsonValue) -> bool:
    """Whether all numbers come back from who reads them as 64-bit floats and writes whole ones without a point."""
    stack: list[JsonValue] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, float) and item.is_integer():
            return False
        if isinstance(item, int) and abs(item) > _EXACT:
            return False
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return True


def find_null(value: JsonValue) -> str | None:
    """Where a null is, as a path such as `a.b[2]`, or None. A null that is the value itself is at `the top`."""
    stack: list[tuple[str, JsonValue]] = [("", value)]
    while stack:
        path, item = stack.pop()
        if item is None:
            return path or "the top"
        if isinstance(item, dict):
            stack += reversed([(f"{path}.{key}" if path else key, child) for key, child in item.items()])
        elif isinstance(item, list):
            stack += reversed([(f"{path}[{index}]", child) for index, child in enumerate(item)])
    return None
