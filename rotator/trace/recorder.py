"""The entries of one request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Recorder:
    """The entries of one request; made only when tracing is on."""

    bounds: bool
    full: bool

    def add(
        self,
        name: str,
        *,
        attempt: int = 0,
        headers: Iterable[tuple[str, str]] | None = None,
        body: bytes | None = None,
        **facts: Any,
    ) -> None:
        """Queue one entry."""
