"""`SecretValue`: a value that can be used but not shown by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "***"


class SecretValue:
    """Holds the bytes of a secret. `repr`, `str`, formatting and pickling never give them; `reveal()` does.

    Equality compares in constant time; instances are not hashable, so that they can't become keys of anything.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: bytes) -> None:
        self._value = value

    @classmethod
    def of(cls, text: str) -> SecretValue:
        """Wraps text, as UTF-8."""
        return cls(text.encode())

    def reveal(self) -> bytes:
        """The bytes. Call it only where they are written to Vault, to a Secret or into a digest."""
        return self._value

    def text(self) -> str:
        """The value as text.

        Raises:
            UnicodeError: it is not UTF-8; the error says nothing of the content.
        """
        try:
            return self._value.decode()
        except UnicodeDecodeError:
            raise UnicodeError("not valid UTF-8") from None

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretValue is not pickled")
