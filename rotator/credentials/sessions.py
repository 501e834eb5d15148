"""Which conversation a request belongs to.  Source: design.md 2.4 (Sessions), clients.md 1.7."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from typing import Final

from rotator.contracts import Caller, SessionHint

#: Our own header: whoever sends it means it.
SESSION_HEADER: Final = "x-rotator-session"


def identify(
    caller: Caller,
    headers: Mapping[str, str],
    hints: Callable[[], Sequence[SessionHint]],
    trusted: Collection[str],
) -> str | None:
    """A session as 16 hex digits, or None: the first trusted id, scoped to its caller.

    ``trusted`` lists sources that the operator trusts beside those which name a conversation by themselves.
    """
    own = headers.get(SESSION_HEADER)
    if own:
        return _scoped(caller, own)
    for hint in hints():
        if hint.trusted or hint.source in trusted:
            return _scoped(caller, hint.id)
    return None


def _scoped(caller: Caller, value: str) -> str:
    text = f"{caller.id}\0{value}".encode("utf-8", "surrogatepass")
    return sha256(text).hexdigest()[:16]
