"""When a vendor says that it may be asked again: every form that is in use, read exactly, capped, never negative.

Sources: protocols.md 1.9 and 1.10; engine.md 9.6; faults.md 1 (row "rate limit") and 2 (row 24).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

#: No vendor's claim is believed beyond this (design.md 2.4): a parser's mistake must not bench a key for years.
LONGEST_SECONDS: Final = 31 * 86_400.0

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_LONG_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_UNIT_SECONDS: Final = {**_LONG_UNITS, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,12})?\Z")
_LONGEST_TEXT: Final = 64
_TEXT: Final = re.compile(
    r"\b(?:retry in|try again in|retry after|reset after|resets in)\s+"
    r"((?:\d+(?:\.\d+)?\s?(?:ms|d|h|m|s)[a-z]*\s?){1,4})",
    re.IGNORECASE,
)
_WORDY: Final = re.compile(
    r"(\d+(?:\.\d+)?)\s?(ms|milliseconds?|d|days?|h|hours?|m|min|minutes?|s|sec|seconds?)\b", re.IGNORECASE
)


def capped(seconds: float) -> float | None:
    """A wait that can be believed: finite, at least 0, at most 31 days; None for nonsense (negative, NaN)."""
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_SECONDS)


def plain_seconds(value: str) -> float | None:
    """``"30"``, ``"1.5"``; None for anything else, signs and exponents included."""
    return capped(float(value)) if _NUMBER.match(value) else None


def seconds_or_epoch(value: str, now: float) -> float | None:
    """Like ``plain_seconds``; beyond 30 years a number is no wait but a unix time (faults.md 2 row 24)."""
    if _NUMBER.match(value) and float(value) >= 1e9:
        return capped(max(0.0, float(value) - now))
    return plain_seconds(value)


def duration(value: str) -> float | None:
    """A Go or protobuf duration: ``"6m0s"``, ``"373.8ms"``, ``"45.837906927s"``, ``"143h4m52.7s"``."""
    value = value.strip()
    if len(value) > _LONGEST_TEXT:  # the search takes quadratic time: 6 s for a header line of digits
        return None
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return capped(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def http_date(value: str, now: float) -> float | None:
    """Seconds until an HTTP date (RFC 9110 10.2.3); 0 for one in the past, None for anything else."""
    try:
        at = parsedate_to_datetime(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)  # asctime form and -0000 name no zone: GMT
        return capped(max(0.0, at.timestamp() - now))
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def rfc3339(value: str, now: float) -> float | None:
    """Seconds until an RFC 3339 time (``<vendor>-ratelimit-<kind>-reset``); 0 for the past, None if it is none."""
    try:
        at = datetime.fromisoformat(value)
        return capped(max(0.0, at.timestamp() - now)) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def from_headers(headers: Mapping[str, str], now: float) -> float | None:
    """What the headers state: ``retry-after-ms``, ``retry-after`` (seconds or date), then the limits' reset headers.

    ``x-ms-retry-after-ms`` is Azure's.  Source: faults.md 1, row "rate limit".
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = headers.get(name, "").strip()
        if _NUMBER.match(milliseconds):
            return capped(float(milliseconds) / 1_000)
    value = headers.get("retry-after", "").strip()
    found = seconds_or_epoch(value, now)
    if found is None:
        found = http_date(value, now)
    if found is not None:
        return found
    waits = list(_resets(headers, now))
    return max(waits) if waits else None


def _resets(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """Waits of the limits that are used up; all must have passed, so the latest counts (protocols.md 1.9).

    Two families: ``x-ratelimit-reset-<kind>`` with a duration, ``<vendor>-ratelimit-<kind>-reset`` with a time.
    """
    for name, value in headers.items():
        family, mark, kind = name.partition("-reset-")
        if mark and family == "x-ratelimit" and headers.get(f"x-ratelimit-remaining-{kind}", "0").strip() == "0":
            found = duration(value)
            if found is None:
                found = seconds_or_epoch(value.strip(), now)
        elif "-ratelimit-" in name and name.endswith("-reset"):
            remaining = headers.get(name.removesuffix("-reset") + "-remaining", "").strip()
            found = rfc3339(value.strip(), now) if remaining == "0" else None
        else:
            continue
        if found is not None:
            yield found


def from_body(envelope: Any) -> float | None:
    """Google's ``details``: RetryInfo first, then ErrorInfo's quotaResetDelay.  Source: protocols.md 1.10."""
    error = envelope.get("error") if isinstance(envelope, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    if not isinstance(details, list):
        return None
    entries = [entry for entry in details if isinstance(entry, dict)]
    for entry in entries:
        found = _delay(entry.get("retryDelay"))
        if found is not None:
            return found
    for entry in entries:
        metadata = entry.get("metadata")
        found = _delay(metadata.get("quotaResetDelay")) if isinstance(metadata, dict) else None
        if found is not None:
            return found
    return None


def _delay(value: Any) -> float | None:
    """A protobuf duration as JSON: a string, or ``{"seconds": n, "nanos": n}``."""
    if isinstance(value, str):
        return duration(value)
    if isinstance(value, dict):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        try:
            return capped(float(seconds) + float(nanos) / 1e9)
        except (TypeError, ValueError, OverflowError):
            return None
    return None


def from_text(message: str) -> float | None:
    """``Please retry in 36.4s``, ``try again in 6m0s``, ``in 20 seconds``; the last resort, on 2,000 characters."""
    found = _TEXT.search(message[:2_000])
    if not found:
        return None
    total = 0.0
    for number, unit in _WORDY.findall(_spaced(found.group(1))):
        short = "ms" if unit.lower().startswith(("ms", "milli")) else unit[0].lower()
        total += float(number) * _UNIT_SECONDS[short]
    return capped(total) if total else None


def _spaced(value: str) -> str:
    """``6m0s`` as ``6m 0s``, so that a unit ends at a word's end."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", value, flags=re.IGNORECASE)
