"""What an answer's headers say of quotas: three families, read exactly; nonsense is not said.

- ``x-ratelimit-{limit,remaining,reset}-<kind>``, the reset as a Go duration, seconds or a unix time; without a kind it
  is requests that are counted.
- ``<vendor>-ratelimit-<kind>-{limit,remaining,reset}``, the reset in RFC 3339.
- ``<vendor>-ratelimit-unified-<window>-{status,reset,utilization}`` of subscriptions: the utilization is a fraction of
  the window (0.42; beyond 1 once it is overdrawn), the reset a unix time or RFC 3339.

Source: protocols.md 1.9; engine.md 9.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from rotator.quota import QuotaFact
from rotator.upstream.retry_after import capped, duration, rfc3339

#: More windows than any vendor has: what an answer makes us keep is bounded.
FACTS_LIMIT: Final = 16

_MARK: Final = "ratelimit-"
_UNIFIED: Final = "unified-"
_COUNTED: Final = frozenset(("limit", "remaining", "reset"))
_SHARED: Final = frozenset(("status", "reset", "utilization"))
_KIND: Final = re.compile(r"[a-z0-9_-]+\Z")
#: ``5h``, ``7d``.  More than a length (``7d_oi``) marks a window of some models only, and not which.
_SPAN: Final = re.compile(r"[0-9]{1,4}[smhdw]\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,18})?\Z")
_NAME_LONGEST: Final = 80

Said = dict[str, str]


def from_headers(headers: Mapping[str, str], now: float) -> tuple[QuotaFact, ...]:
    """The windows that the headers (lower-case names) speak of, at most 16; ``now`` is unix seconds.

    A window of a kind is called like the kind (``requests``, ``input-tokens``) and counts for the model that was asked
    for; one of a subscription is called like its length (``5h``), counts for the key, and is told in percent (limit
    100). Where two headers speak of a window of one name, the first family counts.
    """
    if _MARK not in "\n".join(headers):  # nearly every answer of most vendors: one search, no loop
        return ()
    windows: dict[tuple[str, str], Said] = {}
    for name, value in headers.items():
        if _MARK in name and (place := _place(name)) is not None:
            window, member = place
            windows.setdefault(window, {})[member] = value.strip()
    facts: dict[str, QuotaFact] = {}
    for (family, kind), said in windows.items():
        fact = _shared(kind, said, now) if family == _UNIFIED else _counted(kind, said, now)
        if fact is not None and len(facts) < FACTS_LIMIT:
            facts.setdefault(fact.name, fact)
    return tuple(facts.values())


@lru_cache(maxsize=256)
def _place(name: str) -> tuple[tuple[str, str], str] | None:
    """Family and kind, and the member that a header states; the kind "" is the one that is not named."""
    head, _, tail = name.partition(_MARK)
    if not head.endswith("-") or len(name) > _NAME_LONGEST:
        return None
    if tail.startswith(_UNIFIED):
        window, _, member = tail.removeprefix(_UNIFIED).rpartition("-")
        return ((_UNIFIED, window), member) if member in _SHARED and _SPAN.match(window) else None
    if head == "x-":
        member, _, kind = tail.partition("-")
        if member in _COUNTED:
            return ((head, kind), member) if not kind or _KIND.match(kind) else None
    kind, _, member = tail.rpartition("-")
    return ((head, kind), member) if member in _COUNTED and _KIND.match(kind) else None


def _counted(kind: str, said: Said, now: float) -> QuotaFact | None:
    """A window that counts requests or tokens.  A limit of 0 is none: the vendor has just served."""
    unit = _unit(kind)
    limit, remaining = number(said.get("limit", "")), number(said.get("remaining", ""))
    if unit is None or limit == 0:
        return None
    if limit is not None and remaining is not None and remaining > limit:
        remaining = None
    if limit is None and remaining is None:
        return None
    resets = _seconds_until(said.get("reset", ""), now)
    return QuotaFact(kind or "requests", limit=limit, remaining=remaining, resets_in_seconds=resets, unit=unit)


def _unit(kind: str) -> Literal["requests", "tokens"] | None:
    """What a kind counts (``req-minute``, ``tokens-day``); None for images, seconds of audio and the like."""
    if "token" in kind:
        return "tokens"
    return "requests" if not kind or "req" in kind else None


def _shared(window: str, said: Said, now: float) -> QuotaFact | None:
    """A subscription's window.  ``status`` is the word that counts: one that is full and allows goes on all the same.

    Source: protocols.md 1.9, row "Anthropic subscription".
    """
    status, utilization = said.get("status", "").lower(), number(said.get("utilization", ""))
    rejected = status == "rejected"
    if rejected:
        used = 100.0
    elif utilization is None or (status and utilization >= 1):
        return None
    else:
        used = 100 * min(utilization, 1.0)
    resets = _seconds_until(said.get("reset", ""), now)
    return QuotaFact(window, 100.0, used, 100 - used, resets, "percent", "credential")


def number(text: str) -> float | None:
    """``"59"``, ``"0.42"``; None for anything else, signs, exponents and NaN included."""
    return float(text) if _NUMBER.match(text) else None


def _seconds_until(value: str, now: float) -> float | None:
    stated = number(value)
    if stated is not None:
        return seconds_until(stated, now)
    found = duration(value)
    return rfc3339(value, now) if found is None else found


def seconds_until(stated: float, now: float) -> float | None:
    """Seconds until a reset that is stated as a number: a wait, a unix time, or one in ms (more than any in seconds).

    At most 31 days, 0 for the past, None for nonsense.
    """
    if stated >= 1e11:
        stated /= 1_000
    return capped(max(0.0, stated - now) if stated >= 1e9 else stated)
