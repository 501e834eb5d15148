"""What vendors tell of their quotas, taken over into the windows of a key.  Source: engine.md 8.9, ideas.md D8.

A fact replaces what was counted, up or down, unless something newer is known; a 429's own claim stands in the ledger
beside it, so that no poll ever erases one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from rotator.credentials.keys import Standing
from rotator.credentials.policy import WHOLE_KEY, Policy, tier_fits
from rotator.credentials.windows import Period, Tally
from rotator.quota import QuotaFact

log = logging.getLogger(__name__)

#: Models and groups of one key that a vendor's own windows are kept for.
PLACES_KEPT: Final = 256


def apply_facts(
    standing: Standing,
    policy: Policy,
    facts: Iterable[QuotaFact],
    at: float,
    model: str | None = None,
    wall: float | None = None,
) -> Sequence[Tally]:
    """Tell a key's windows; those that took something over.

    ``model`` was asked for when the facts came, ``wall`` is the time ``at`` in unix seconds.

    A declared window of the fact's name is corrected by it; otherwise the fact has a window of its own.
    """
    touched = []
    for fact in facts:
        place = _place(policy, fact, model)
        tally = _declared(standing, policy, fact, model, at)
        if tally is not None and fact.unit == "percent" and tally.unit != "percent":
            tally, fact = _scaled(tally, fact)
        if tally is None:
            named = standing.told.setdefault(place, {})
            tally = named.get(fact.name)
            if tally is None:
                tally = named[fact.name] = Tally(fact.name, Period(), unit=fact.unit)
        known = tally.full(at)
        if tally.tell(fact, at, wall):
            touched.append(tally)
            if tally.end is None and tally.full(at) and not known:
                label = standing.credential.label
                log.warning("key %s: %s; the vendor does not say until when", label, tally.shown(at))
            for count in standing.caps.values():
                if count.primary is tally:
                    count.check(at)
    if touched:
        standing.version += 1
        _forget(standing, at)
    return touched


def _place(policy: Policy, fact: QuotaFact, asked: str | None) -> str:
    model = fact.model if fact.model is not None else asked
    if model is None or fact.applies_to == "credential":
        return WHOLE_KEY
    rules = policy.rules(model)
    return rules.group_place if fact.applies_to == "group" or rules.group is not None else rules.model


def _declared(
    standing: Standing, policy: Policy, fact: QuotaFact, asked: str | None, at: float
) -> Tally | None:
    """The declared window of a fact's name, where it holds for this key and what the fact is about."""
    model = fact.model if fact.model is not None else asked
    for window in policy.rotation.windows:
        if window.name != fact.name or not tier_fits(window.tier, standing.credential):
            continue
        if model is None and window.applies_to != "credential":
            return None
        rules = policy.rules(model or "")
        for rule in policy.windows(standing.credential, rules):
            if rule.name == fact.name:
                tally = standing.tally(rule.name, rule.place, rule.period, at)
                if tally.told_at is None:
                    tally.limit, tally.unit = rule.limit, rule.unit
                return tally
    return None


def _scaled(tally: Tally, fact: QuotaFact) -> tuple[Tally | None, QuotaFact]:
    """A fact in percent for a declared window: in its unit, where its limit is known; else for a window of its own."""
    if tally.limit is None or fact.used is None:
        return None, fact
    used = tally.limit * fact.used / 100
    return tally, fact._replace(limit=None, used=used, remaining=None)


def _forget(standing: Standing, now: float) -> None:
    """Windows of which nothing is known any more; and the oldest where vendors speak of too many models."""
    for place, named in list(standing.told.items()):
        for name, tally in list(named.items()):
            if not tally.live(now):
                del named[name]
        if not named:
            del standing.told[place]
    while len(standing.told) > PLACES_KEPT:
        del standing.told[next(iter(standing.told))]
