"""What vendors tell of their quotas, taken over into the windows of a key.  Source: engine.md 8.9, ideas.md D8.

A fact replaces what was counted, up or down, unless something newer is known; a 429's own claim stands in the ledger
beside it, so that no poll ever erases one. Facts come from plug-ins, too: what makes no sense is left out here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args

from rotator.credentials.keys import Standing
from rotator.credentials.policy import WHOLE_KEY, Policy
from rotator.credentials.windows import Period, Tally, Unit
from rotator.quota import QuotaFact
from rotator.upstream.retry_after import LONGEST_SECONDS

log = logging.getLogger(__name__)

#: Models and groups of one key that a vendor's own windows are kept for, and windows of each.
PLACES_KEPT: Final = 256
NAMES_KEPT: Final = 16
NAME_CHARACTERS: Final = 80
#: No vendor's number is believed beyond this.
MOST: Final = 1e15
_UNITS: Final = get_args(Unit)
_UNKNOWN_END: Final = {
    "warn_only": "it stays in use (no_reset)",
    "cooldown": "it rests for no_reset.cooldown_seconds",
    "disable_scope": "it is out until the vendor shows quota again",
}


def checked(facts: Iterable[Any]) -> Iterator[QuotaFact]:
    """Those that make sense, without what does not: negative or endless numbers, texts, unknown units."""
    for fact in facts:
        if not isinstance(fact, QuotaFact) or not isinstance(fact.name, str) or not fact.name:
            continue
        if fact.unit not in _UNITS or fact.applies_to not in ("model", "group", "credential"):
            continue
        amounts = [_number(one, MOST) for one in (fact.limit, fact.used, fact.remaining)]
        if all(one is None for one in amounts):
            continue
        model = fact.model if isinstance(fact.model, str) else None
        resets = _number(fact.resets_in_seconds, LONGEST_SECONDS)
        name, (limit, used, remaining) = fact.name[:NAME_CHARACTERS], amounts
        yield QuotaFact(name, limit, used, remaining, resets, fact.unit, fact.applies_to, model, fact.source)


def _number(value: object, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return None
    return float(min(value, most))


def apply_facts(
    standing: Standing,
    policy: Policy,
    facts: Iterable[QuotaFact],
    at: float,
    model: str | None = None,
    wall: float | None = None,
) -> Sequence[Tally]:
    """Tell a key's windows ``checked`` facts; the windows whose use was told.

    ``model`` was asked for when the facts came, ``wall`` is the time ``at`` in unix seconds. A declared window is
    corrected by a fact of its name, unit and extent (``applies_to``); any other fact has a window of its own.
    """
    touched = []
    changed = False
    for fact in facts:
        tally, fact = _told(standing, policy, fact, model, at)
        known = tally.full(at)
        if not tally.tell(fact, at, wall):
            continue
        changed = True
        if fact.used is not None or fact.remaining is not None:
            touched.append(tally)
        if tally.end is None and tally.full(at) and not known:
            then = _UNKNOWN_END[policy.rotation.no_reset.policy]
            label = standing.credential.label
            log.warning("key %s: %s; the vendor does not say until when: %s", label, tally.shown(at), then)
        for count in standing.caps.values():
            if count.primary is tally:
                count.check(at)
    if changed:
        standing.version += 1
    return touched


def _told(
    standing: Standing, policy: Policy, fact: QuotaFact, asked: str | None, at: float
) -> tuple[Tally, QuotaFact]:
    """The window that a fact is about, and the fact in the window's unit."""
    model = fact.model if fact.model is not None else asked
    whole = model is None or fact.applies_to == "credential"
    rules = policy.rules(model or "")
    for rule in policy.windows(standing.credential, rules):
        if rule.name != fact.name or (rule.place == WHOLE_KEY) != whole:
            continue
        tally = standing.tally(rule.name, rule.place, rule.period, rule.unit)
        if tally.limit_from == "declared":
            tally.limit = rule.limit
        if fact.unit == rule.unit:
            return tally, fact
        if fact.unit == "percent" and tally.limit is not None and fact.used is not None:
            return tally, fact._replace(limit=None, used=tally.limit * fact.used / 100, remaining=None)
    grouped = fact.applies_to == "group" or rules.group is not None
    place = WHOLE_KEY if whole else rules.group_place if grouped else rules.model
    return _own(standing, place, fact, at), fact


def _own(standing: Standing, place: str, fact: QuotaFact, now: float) -> Tally:
    """A window that only the vendor spoke of; beyond a number the one that it was longest silent about goes."""
    named = standing.told.get(place)
    if named is None:
        if len(standing.told) >= PLACES_KEPT:
            _forget(standing, now)
        named = standing.told.setdefault(place, {})
    tally = named.get(fact.name)
    if tally is None or tally.unit != fact.unit:
        if len(named) >= NAMES_KEPT:
            del named[min(named, key=lambda name: named[name].told_at or -math.inf)]
        tally = named[fact.name] = Tally(fact.name, Period(), unit=fact.unit)
    return tally


def _forget(standing: Standing, now: float) -> None:
    """Places of which nothing is known any more; at least the one that was longest silent, never the whole key."""
    kept = {
        place: named
        for place, named in standing.told.items()
        if place == WHOLE_KEY or any(tally.live(now) for tally in named.values())
    }
    if len(kept) >= PLACES_KEPT:
        silent = [place for place in kept if place != WHOLE_KEY]
        del kept[min(silent, key=lambda place: max(tally.told_at or -math.inf for tally in kept[place].values()))]
    standing.told = kept
