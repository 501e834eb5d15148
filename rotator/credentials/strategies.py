"""Strategies: pure functions that order the credentials which may serve a request."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from rotator.credentials.claims import Standing


def round_robin(standings: Sequence[Standing], session: str | None, now: float) -> list[Standing]:
    """Best priority first; inside it keys without a recent fault, then the session's place or the longest unused.

    A session is placed by rendezvous hashing over labels, so that adding a key moves few sessions and a simulation
    elsewhere places them alike (design.md 2.4).
    """

    def place(standing: Standing) -> tuple[int, bool, int]:
        turn = -_weight(session, standing.credential.label) if session else standing.turn
        return standing.credential.priority, standing.doubted(now), turn

    return sorted(standings, key=place)


def _weight(session: str, label: str) -> int:
    return int.from_bytes(blake2b(f"{session}\0{label}".encode(), digest_size=8).digest(), "big")
