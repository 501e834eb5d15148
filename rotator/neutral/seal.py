"""Opaque state on its way through clients of other protocols: envelopes that prove where they come from.

``rot1.<origin>.<payload>.<mac>``: the origin is three keyed hashes (provider, model family, account), the payload what
the vendor said, the mac proves both to the installation that made it.  What a client sends is never proof of its origin
by itself.  Source: design.md 3 ("Opaque state"); protocols.md 2.4 R1, R2, R10.

The payload is hidden, too: whatever a vendor puts into it, a key even, stands in no trace. The mac of the plain text
seeds the stream of bytes that covers it (as in SIV modes), so that the same state is the same envelope every time.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256, shake_256
from typing import Final, Literal, NamedTuple

from rotator.neutral.parts import SEALED, Origin, State
from rotator.wire.jsontext import NotJson, dumps, loads

Kind = Literal["signature", "encrypted", "redacted"]

#: Hex digits of each hash in an origin.
HASH_DIGITS: Final = 12
#: Hashes that are remembered: of providers, families and keys.
HASHES_KEPT: Final = 4_096
#: Bytes of a mac.
MAC_BYTES: Final = 16
#: Hashes in an origin.
WORDS: Final = len(Origin._fields)
#: The place of a block that has none in its turn.
NOWHERE: Final = -1


class Opened(NamedTuple):
    """What an envelope held.  ``place`` is where its block stood among the parts of its turn."""

    origin: Origin
    kind: Kind
    value: str
    place: int

    @property
    def state(self) -> State | None:
        """The vendor's own state; None where a block had none."""
        return State(self.kind, self.value, self.origin) if self.value else None


class Seal:
    """Makes and opens the envelopes of one installation.  ``secret`` is asked for once, when it is first needed."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._ask = secret
        self._secret: bytes | None = None
        self._hashes: dict[tuple[str, str], str] = {}

    def _mac(self, text: str) -> bytes:
        if self._secret is None:
            self._secret = self._ask()
        return hmac.new(self._secret, text.encode(), sha256).digest()

    def hashed(self, kind: Literal["provider", "family", "account"], name: str) -> str:
        """One of the three words of an origin: it says nothing to whoever lacks the secret."""
        known = self._hashes.get((kind, name))
        if known is None:
            if len(self._hashes) >= HASHES_KEPT:
                self._hashes.clear()
            known = self._hashes[kind, name] = self._mac(f"{kind}/{name}").hex()[:HASH_DIGITS]
        return known

    def origin(self, provider: str, family: str, account: str) -> Origin:
        """Where state comes from, in keyed hashes; ``account`` is a credential's id."""
        return Origin(self.hashed("provider", provider), self.hashed("family", family), self.hashed("account", account))

    def wrap(self, state: State | None, place: int, origin: Origin) -> State:
        """The envelope for a block at a place of its turn; one for no state tells only where its block comes from."""
        kind: Kind = "signature" if state is None else state.kind
        value = "" if state is None else state.value
        return State(kind, self._written(SEALED + "-".join(origin), dumps([kind, place, value])))

    def _written(self, head: str, plain: bytes) -> str:
        mac = self._proof(head, plain)
        return f"{head}.{_text(self._covered(plain, mac))}.{_text(mac)}"

    def _proof(self, head: str, plain: bytes) -> bytes:
        return self._mac(f"{head}.{plain.hex()}")[:MAC_BYTES]

    def _covered(self, text: bytes, mac: bytes) -> bytes:
        """The text under a stream of bytes that nobody else can make; twice is the text again."""
        stream = shake_256(self._mac(f"stream/{mac.hex()}")).digest(len(text))
        return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(len(text))

    def open(self, text: str) -> Opened | None:
        """What is in an envelope; None where it is none of ours, or was changed."""
        parts = text.rsplit(".", 2)
        if len(parts) != 3 or not text.startswith(SEALED) or not text.isascii():
            return None
        head, payload, told = parts
        try:
            mac, covered = _raw(told), _raw(payload)
        except ValueError:
            return None
        plain = self._covered(covered, mac)
        if not hmac.compare_digest(self._proof(head, plain), mac) or [_text(covered), _text(mac)] != parts[1:]:
            return None
        words = head.removeprefix(SEALED).split("-")
        try:
            content = loads(plain)
        except NotJson:
            return None
        match content:
            case [("signature" | "encrypted" | "redacted") as kind, int(place), str(value)] if len(words) == WORDS:
                return Opened(Origin(*words), kind, value, place)
        return None


def is_sealed(state: State | None) -> bool:
    """Whether a state is an envelope, ours or not."""
    return state is not None and state.value.startswith(SEALED)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
