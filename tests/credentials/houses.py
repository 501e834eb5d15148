"""A pool under a clock that stands still, and what can happen to its keys: what the tests of rotation share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Literal, cast

import pytest

from rotator.config.reader import At, parse
from rotator.config.rotation import Rotation
from rotator.contracts import Credential, Needs, Outcome, Target, Verdict
from rotator.credentials.decision import Candidate, Reason
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.ring import Ring
from rotator.credentials.waiting import Ticket
from rotator.errors import NoCredential
from rotator.neutral.secret import Secret
from rotator.neutral.usage import Usage
from rotator.quota import QuotaFact
from tests.clocks import ManualClock

TARGET = Target("alpha", "chat", "small")
LARGE = Target("alpha", "chat", "large")
OK, LEFT, UNUSED = Outcome("ok"), Outcome("cancelled"), Outcome("unused")
REJECTED = Outcome("failed", Verdict("credential", "credential", "rejected"))
FAULT = Outcome("failed", Verdict("provider", "provider", "server_error"))
BROKEN = Outcome("failed", Verdict("network", "provider", "bad_gateway", source="transport"))
REQUEST = Outcome("failed", Verdict("client", "request", "bad_request"))
ANY = Needs()
HOUR, DAY = 3_600.0, 86_400.0


def limited(
    seconds: float | None = None, scope: Literal["model", "credential", "provider"] = "model", source: str = "header"
) -> Outcome:
    return Outcome("failed", Verdict("credential", scope, "rate_limit", seconds, source))


def spent(tokens: int, ended: Literal["ok", "cancelled", "failed"] = "ok") -> Outcome:
    """An attempt for which the vendor counted so many tokens."""
    return Outcome(ended, FAULT.verdict if ended == "failed" else None, Usage(tokens - tokens // 3, 0, 0, tokens // 3))


def key(
    number: int, priority: int = 10, tier: str | None = None, *, provider: str = "alpha", secret: str = ""
) -> Credential:
    text = secret or f"key-{number}"
    return Credential(f"id-{text}", provider, f"{provider}#{number}", Secret(text), tier, priority)


def target(model: str) -> Target:
    return Target("alpha", "chat", model)


def pinned(number: int) -> Needs:
    return Needs(pin=f"alpha#{number}")


def rotation(given: Mapping[str, Any]) -> Rotation:
    """As a configuration file says it."""
    return cast(Rotation, parse(Rotation, given, At("x")))


ROUND_ROBIN: Mapping[str, Any] = {"mode": "round_robin"}


class House:
    """``count`` keys of one provider; without ``rules`` the mode is the default, sequential."""

    def __init__(
        self,
        *credentials: Credential,
        count: int = 0,
        rules: Mapping[str, Any] | None = None,
        strict: bool = True,
        seed: int = 7,
        clock: Callable[[], ManualClock] = ManualClock,
    ) -> None:
        self.clock = clock()
        self.pool = Pool(self.clock, strict=strict, rng=Random(seed))
        self.keys = list(credentials) or [key(number) for number in range(1, count + 1)]
        self.rules = rules or {}
        self.reload(self.keys)

    @property
    def ring(self) -> Ring:
        return self.pool._lines["alpha"].ring

    def reload(self, credentials: Sequence[Credential], rules: Mapping[str, Any] | None = None) -> None:
        self.keys = list(credentials)
        self.rules = self.rules if rules is None else rules
        self.pool.reconcile({"alpha": self.keys}, {"alpha": rotation(self.rules)})

    # One request at once, as the simulation makes it.

    def open(self, needs: Needs = ANY, model: str = "small") -> Lease:
        lease = self.pool.ask(target(model), needs)
        assert isinstance(lease, Lease)
        return lease

    def queue(self, needs: Needs, model: str = "small") -> Ticket[Lease]:
        """A request that has to wait."""
        ticket = self.pool.ask(target(model), needs)
        assert isinstance(ticket, Ticket)
        return ticket

    def serve(self, outcome: Outcome = OK, needs: Needs = ANY, model: str = "small") -> str:
        """One request from lease to end; the label that served it."""
        lease = self.open(needs, model)
        lease.settle(outcome)
        return lease.credential.label

    def serve_number(self, count: int, **what: Any) -> list[int]:
        """Several, one after another; the keys' numbers."""
        return [int(self.serve(**what).rpartition("#")[2]) for _ in range(count)]

    def none(self, needs: Needs = ANY, model: str = "small") -> NoCredential:
        with pytest.raises(NoCredential) as caught:
            self.pool.ask(target(model), needs)
        return caught.value

    def spend(self, number: int, outcome: Outcome, model: str = "small") -> None:
        """Let one key's request end so."""
        assert self.serve(outcome, pinned(number), model) == f"alpha#{number}"

    def told(self, number: int, *facts: QuotaFact, ago: float = 0.0) -> None:
        """A poll of one key that was asked ``ago`` seconds before now."""
        self.pool.learn_quota(self.keys[number - 1].id, facts, self.clock.monotonic() - ago)

    # The same through the event loop.

    async def ask(self, outcome: Outcome = OK, needs: Needs = ANY, target: Target = TARGET) -> str:
        lease = await self.pool.lease(target, needs)
        lease.settle(outcome)
        return lease.credential.label

    async def refused(self, needs: Needs = ANY, target: Target = TARGET) -> NoCredential:
        with pytest.raises(NoCredential) as caught:
            await self.pool.lease(target, needs)
        return caught.value

    async def spoil(self, label: str, outcome: Outcome, target: Target = TARGET) -> None:
        """Let one key's request end so."""
        assert await self.ask(outcome, Needs(pin=label), target) == label

    # What is told.

    def candidates(self, needs: Needs = ANY, target: Target = TARGET) -> dict[str, Candidate]:
        return {one.credential.label: one for one in self.pool.explain(target, needs).candidates}

    def reasons(self, needs: Needs = ANY, target: Target = TARGET) -> dict[str, list[str]]:
        found = self.candidates(needs, target)
        return {label: [reason.code for reason in one.reasons] for label, one in found.items()}

    def why(self, number: int, model: str = "small") -> dict[str, Reason]:
        """A key's reasons by their code."""
        found = self.candidates(target=target(model))[f"alpha#{number}"]
        return {reason.code: reason for reason in found.reasons}

    def left(self, number: int, code: str, model: str = "small") -> float | None:
        """Seconds until a reason ends."""
        until = self.why(number, model)[code].until
        return None if until is None else until - self.clock.monotonic()

    def assert_idle(self) -> None:
        """Nothing is under way, reserved or waiting."""
        assert self.pool.counters.open == 0
        for line in self.pool._lines.values():
            assert line.waiting.size == 0 and not line.ring.probing
            for one in line.ring.standings:
                assert one.in_use == 0, one.credential.label
                tallies = [*one.tallies.values(), *(tally for named in one.told.values() for tally in named.values())]
                assert [tally.name for tally in tallies if abs(tally.reserved) > 1e-9] == []
                assert [count.rule.text for count in one.caps.values() if abs(count.reserved) > 1e-9] == []


async def turns(count: int = 3) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
