"""A vendor's own page about the quota of a key, read as a declaration says (``quota`` of a provider in YAML).

The page is a GET below the base of the default profile, so that a key goes nowhere else.  What stands where is said by
JSONPath (RFC 9535); the library is loaded where a provider declares ``quota``.  Source: faults.md, "JSON path
libraries".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import unquote

from rotator.config.reader import setting
from rotator.quota import QuotaFact
from rotator.upstream.quota_headers import number, seconds_until
from rotator.upstream.retry_after import capped, duration, rfc3339

#: How often a vendor may be asked, and is if nothing is said.
LEAST_SECONDS: Final = 10
MOST_SECONDS: Final = 86_400
USUAL_SECONDS: Final = 300.0

_QUERY_LONGEST: Final = 500
#: Regular expressions of a declaration over texts of a vendor can take seconds.
_SLOW_FUNCTIONS: Final = ("match", "search")
_AMOUNTS: Final = ("used", "remaining", "used_percent", "used_fraction")
_MOMENTS: Final = ("resets_at", "resets_in")

#: A JSON document -> the first value that a query finds in it, None if it finds none.
Look = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One window of the page.  All but ``name``, ``unit``, ``applies_to`` and ``model`` are JSONPath queries.

    It applies to the key, or to ``model`` where one is named; for a group ``model`` is one of its models.
    ``used_percent`` is 0..100 and ``used_fraction`` 0..1 of ``limit``, of 100 where that is not known. ``resets_at`` is
    unix seconds, unix ms or RFC 3339; ``resets_in`` seconds or a duration such as ``"2h30m"``.
    """

    name: str
    unit: Literal["requests", "tokens"] = "requests"
    applies_to: Literal["model", "group", "credential"] | None = None
    model: str | None = None
    used: str | None = None
    limit: str | None = None
    remaining: str | None = None
    used_percent: str | None = None
    used_fraction: str | None = None
    resets_at: str | None = None
    resets_in: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: expected a text")
        if not any(getattr(self, amount) for amount in _AMOUNTS):
            raise ValueError(f"expected one of {', '.join(_AMOUNTS)}")
        if self.applies_to in ("model", "group") and not self.model:
            raise ValueError(f"model: missing (applies_to: {self.applies_to})")
        if self.applies_to == "credential" and self.model:
            raise ValueError("model: a window of the credential has none")
        for key in ("limit", *_AMOUNTS, *_MOMENTS):
            query = getattr(self, key)
            if query is not None:
                _checked(key, query)


def _checked(key: str, query: str) -> None:
    try:
        compiled(query)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


@dataclass(frozen=True, slots=True)
class QuotaPage:
    """Where a vendor tells the quota of a key: ``path`` (a query is allowed) below the base, every so many seconds."""

    path: str
    windows: tuple[QuotaWindow, ...]
    every_seconds: float = setting(USUAL_SECONDS, minimum=LEAST_SECONDS, maximum=MOST_SECONDS)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError('path: expected one that begins with "/", below the base URL')
        plain = self.path.isascii() and self.path.isprintable()
        if not plain or any(character in self.path for character in " #\\"):
            raise ValueError("path: contains spaces, control characters, # or \\")
        if ".." in unquote(self.path.partition("?")[0]).split("/"):
            raise ValueError('path: expected one below the base URL, without ".."')
        if not self.windows:
            raise ValueError("windows: expected at least one")

    def facts(self, document: Any, now: float) -> tuple[QuotaFact, ...]:
        """What the page says; ``now`` is unix seconds.  A window about which nothing is found is left out."""
        found = (_fact(window, document, now) for window in self.windows)
        return tuple(fact for fact in found if fact is not None)


@lru_cache(maxsize=1024)
def compiled(query: str) -> Look:
    """A JSONPath query, ready to be run.  Raises ValueError saying what is wrong with it."""
    from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError

    if len(query) > _QUERY_LONGEST:
        raise ValueError(f"longer than {_QUERY_LONGEST} characters")
    environment = JSONPathEnvironment()
    for function in _SLOW_FUNCTIONS:
        del environment.function_extensions[function]
    try:
        ready = environment.compile(query)
    except (JSONPathError, RecursionError) as error:
        reason, _, _ = str(error).partition(", line ")  # it is always the first
        raise ValueError(f"no JSONPath query: {reason}") from None

    def look(document: Any) -> Any:
        try:
            node = ready.find_one(document)
        except (JSONPathError, RecursionError):  # "..", in a document that is nested too deeply
            return None
        return None if node is None else node.value

    return look


def _fact(window: QuotaWindow, document: Any, now: float) -> QuotaFact | None:
    def amount(query: str | None) -> float | None:
        return None if query is None else _amount(compiled(query)(document))

    limit, used, remaining = amount(window.limit), amount(window.used), amount(window.remaining)
    unit: Literal["requests", "tokens", "percent"] = window.unit
    share = _share(amount(window.used_percent), amount(window.used_fraction))
    if limit == 0:  # vendors write it for "none": what is left of it says nothing
        limit = remaining = None
    if used is None and remaining is None and share is not None:
        unit = "percent" if limit is None else unit
        limit = 100.0 if limit is None else limit
        used = limit * share
    if limit is not None and remaining is not None and remaining > limit:
        remaining = None
    if used is None and remaining is None:
        return None
    return QuotaFact(
        window.name,
        limit,
        used,
        remaining,
        _resets(window, document, now),
        unit,
        window.applies_to or ("model" if window.model else "credential"),
        window.model,
        "poll",
    )


def _share(percent: float | None, fraction: float | None) -> float | None:
    """How much of a window is used, 0..1; an overdrawn one is used up."""
    found = fraction if percent is None else percent / 100
    return None if found is None else min(found, 1.0)


def _amount(value: Any) -> float | None:
    """A number, or a text that is one; None for anything else: vendors write -1 for "no limit"."""
    if isinstance(value, str):
        return number(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e15 else None


def _resets(window: QuotaWindow, document: Any, now: float) -> float | None:
    """Seconds until the reset, from whichever query finds one."""
    if window.resets_at is not None:
        value = compiled(window.resets_at)(document)
        at = _amount(value)
        found = seconds_until(at, now) if at is not None and at >= 1e9 else _date(value, now)
        if found is not None:
            return found
    if window.resets_in is None:
        return None
    value = compiled(window.resets_in)(document)
    seconds = _amount(value)
    if seconds is not None:
        return capped(seconds)
    return duration(value) if isinstance(value, str) else None


def _date(value: Any, now: float) -> float | None:
    return rfc3339(value.strip(), now) if isinstance(value, str) else None
