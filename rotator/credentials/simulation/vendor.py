"""The simulated vendor: how long it takes, what it enforces for each key, what it answers.

It knows nothing of what the pool believes: a configuration is tried against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from random import Random
from typing import Final, NamedTuple

from rotator.config.rotation import Rotation
from rotator.contracts import Clock, Credential, Outcome, Target, Verdict
from rotator.credentials.policy import WHOLE_KEY, ModelRules, Policy
from rotator.credentials.simulation.spec import Vendor
from rotator.credentials.windows import Period, Unit
from rotator.neutral.error import ErrorKind
from rotator.neutral.usage import Usage
from rotator.upstream.classify import TABLE

REJECTED: Final = TABLE[ErrorKind.AUTH]
LIMITED: Final = TABLE[ErrorKind.RATE_LIMITED]
FAULT: Final = TABLE[ErrorKind.SERVER]


class Reply(NamedTuple):
    """An answer and the seconds until it is whole."""

    seconds: float
    outcome: Outcome


class Quota:
    """What the vendor allows one key in a period, which opens with the first request after its end."""

    __slots__ = ("_end", "_used", "limit", "period", "retry_after", "unit")

    def __init__(self, period: Period, limit: float, unit: Unit, retry_after: bool = True) -> None:
        self.period = period
        self.limit = limit
        self.unit = unit
        self.retry_after = retry_after
        self._end = 0.0
        self._used = 0.0

    def full_until(self, now: float, wall: float) -> float | None:
        """Until when it is used up (monotonic seconds); None: it is not."""
        live = now < self._end
        if (self._used if live else 0.0) < self.limit:
            return None
        return self._end if live else self._ends(now, wall)

    def count(self, amount: float, now: float, wall: float) -> None:
        """A request is accepted that takes so much of it."""
        if now >= self._end:
            self._end, self._used = self._ends(now, wall), 0.0
        self._used += amount

    def _ends(self, now: float, wall: float) -> float:
        left = self.period.seconds_left(wall)
        assert left is not None, "a period without an end is not enforced"
        return now + left


class Held(NamedTuple):
    """What a key's requests for a model count in, and as how many requests each counts."""

    quotas: tuple[Quota, ...]
    weight: float


class SimulatedVendor:
    """Answers for every provider; ``rotations`` say what is enforced where ``spec`` does not."""

    def __init__(self, spec: Vendor, rotations: Mapping[str, Rotation], clock: Clock, rng: Random) -> None:
        self._spec = spec
        self._policies = {name: Policy(rotation) for name, rotation in rotations.items()}
        self._clock = clock
        self._rng = rng
        self._rejected = frozenset(spec.rejected)
        #: By key, what it counts (a window or limit by its number, with its unit), and the place that it counts for.
        self._made: dict[tuple[str, int, Unit, str], Quota] = {}
        self._known: dict[tuple[str, Target], Held] = {}

    def answer(self, target: Target, credential: Credential, tokens: int) -> Reply:
        """What comes back when a key asks for a model now."""
        spec, now, wall = self._spec, self._clock.monotonic(), self._clock.time()
        length, luck = self._rng.random(), self._rng.random()
        if credential.label in self._rejected:
            return self._error(REJECTED)
        quotas, weight = self._held(target, credential)
        full = [(until, quota.retry_after) for quota in quotas if (until := quota.full_until(now, wall)) is not None]
        if full:
            until, told = max(full)
            left = until - now - spec.error_seconds
            stated = told and left > 0
            return self._error(replace(LIMITED, retry_after_seconds=left, source="header") if stated else LIMITED)
        if luck < spec.fault_rate:
            return self._error(FAULT)
        for quota in quotas:
            quota.count(tokens if quota.unit == "tokens" else weight, now, wall)
        return Reply(spec.seconds * (1 + spec.spread * (2 * length - 1)), Outcome("ok", None, Usage(tokens)))

    def _error(self, verdict: Verdict) -> Reply:
        return Reply(self._spec.error_seconds, Outcome("failed", verdict))

    def _held(self, target: Target, credential: Credential) -> Held:
        key = credential.id, target
        found = self._known.get(key)
        if found is None:
            if self._spec.limits is not None:
                found = Held(tuple(self._of_limits(target, credential)), 1.0)
            else:
                rules = self._policies[target.provider].rules(target.model)
                found = Held(tuple(self._of_windows(target, credential, rules)), rules.weight)
            self._known[key] = found
        return found

    def _of_windows(self, target: Target, credential: Credential, rules: ModelRules) -> Iterator[Quota]:
        """A window of which only the vendor knows the end is not enforced: here nobody knows it."""
        for number, rule in enumerate(self._policies[target.provider].windows(credential, rules)):
            if rule.limit is None or (rule.period.seconds is None and rule.period.window is None):
                continue
            made = Quota(rule.period, rule.limit, rule.unit)
            yield self._made.setdefault((credential.id, number, rule.unit, rule.place), made)

    def _of_limits(self, target: Target, credential: Credential) -> Iterator[Quota]:
        for number, limit in enumerate(self._spec.limits or ()):
            if limit.model is not None and not _fits(limit.model, target):
                continue
            place = WHOLE_KEY if limit.model is None else target.model
            amounts: tuple[tuple[Unit, float | None], ...] = ("requests", limit.requests), ("tokens", limit.tokens)
            for unit, amount in amounts:
                if amount is not None:
                    made = Quota(Period(limit.seconds), amount, unit, limit.retry_after)
                    yield self._made.setdefault((credential.id, number, unit, place), made)


def _fits(pattern: str, target: Target) -> bool:
    return fnmatchcase(target.model, pattern) or fnmatchcase(f"{target.provider}/{target.model}", pattern)
