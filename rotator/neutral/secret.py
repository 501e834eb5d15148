"""A value that must not be seen: a key, a password, a token."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn

_MASK: Final = "***"


class Secret:
    """A text that shows itself only through :meth:`reveal`.

    ``repr``, ``str`` and ``format`` are masked, so that a log line or a traceback cannot carry it; it cannot be
    pickled. Comparing takes the same time wherever two secrets differ (faults.md 2 row 28).
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text in clear; for headers and comparisons, never for logs."""
        return self._text

    def fingerprint(self, key: bytes) -> str:
        """12 hex digits that tell secrets apart without giving them away: HMAC-SHA256 under an installation's key."""
        return hmac.new(key, _bytes(self._text), hashlib.sha256).hexdigest()[:12]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash(hashlib.sha256(_bytes(self._text)).digest())

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def _bytes(text: str) -> bytes:
    # The environment may hold bytes that are no UTF-8; Python keeps them as lone surrogates.
    return text.encode("utf-8", "surrogatepass")
