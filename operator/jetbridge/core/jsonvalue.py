"""`JsonValue`: what JSON can hold, and a search in it."""

from __future__ import annotations

from typing import TypeAlias

JsonValue: TypeAlias = "list[JsonValue] | dict[str, JsonValue] | str | bool | int | float | None"


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
