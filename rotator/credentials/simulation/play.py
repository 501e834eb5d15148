"""A list of events played to a pool: the same list and chance give the same decisions, whoever owns the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rotator.contracts import Credential, Needs, Outcome, Target, Verdict
from rotator.credentials.decision import Decision
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.simulation.clock import VirtualClock
from rotator.credentials.waiting import Ticket
from rotator.errors import NoCredential
from rotator.neutral.usage import Usage
from rotator.rotation import QuotaFact

Event = Mapping[str, Any]


def play(pool: Pool, clock: VirtualClock, events: Iterable[Event]) -> list[dict[str, Any]]:
    """The record of each decision, as it fell, with ``id`` and ``t`` (monotonic s); ``clock`` is the pool's own.

    An event has ``t``, in seconds from 0 and never less than the one before, and one of::

        ask: {provider, model, profile?, session?, pin?, tried?: [labels], wait?: seconds, tokens?}, id
        settle: id, outcome: {ended, verdict?: {...}, usage?: {...}}     fields of the classes of these names
        give_up: id                                                      of a request that waits
        facts: [{...}, ...], id                                          of QuotaFact, from the answer to a request
        facts: [{...}, ...], credential                                  a label: the vendor was asked
    """
    player = _Player(pool, clock)
    for event in events:
        clock.run(until=event["t"])
        player.take(event)
    clock.run()
    return player.records


class _Player:
    """One playing.  ``known`` are credentials by label, as far as decisions showed them."""

    def __init__(self, pool: Pool, clock: VirtualClock) -> None:
        self.records: list[dict[str, Any]] = []
        self._pool = pool
        self._clock = clock
        self._leases: dict[Any, Lease] = {}
        self._tickets: dict[Any, Ticket[Lease]] = {}
        self._known: dict[str, Credential] = {}
        self._kinds: Mapping[str, Callable[[Event], None]] = {
            "ask": self._ask,
            "settle": self._settle,
            "give_up": self._give_up,
            "facts": self._facts,
        }

    def take(self, event: Event) -> None:
        [kind] = event.keys() & self._kinds.keys()
        self._kinds[kind](event)

    def _ask(self, event: Event) -> None:
        given = event["ask"]
        target = Target(given["provider"], given.get("profile", ""), given["model"])
        needs = Needs(
            given.get("session"),
            given.get("pin"),
            frozenset(self._known[label].id for label in given.get("tried", ())),
            self._clock.monotonic() + given["wait"] if "wait" in given else float("-inf"),
            given.get("tokens", 0),
            str(event["id"]),
        )
        try:
            asked = self._pool.ask(target, needs)
        except NoCredential as none:
            self._served(event["id"], none)
            return
        if isinstance(asked, Lease):
            self._served(event["id"], asked)
        else:
            self._tickets[event["id"]] = asked
            asked.done = lambda result: self._served(event["id"], result)

    def _served(self, number: Any, result: Lease | Exception) -> None:
        self._tickets.pop(number, None)
        if isinstance(result, Lease):
            self._leases[number] = result
            decision = result.decision
        elif isinstance(result, NoCredential) and isinstance(result.decision, Decision):
            decision = result.decision
        else:
            raise result
        for candidate in decision.candidates:
            self._known[candidate.credential.label] = candidate.credential
        self.records.append({"id": number, "t": self._clock.monotonic(), **decision.as_json()})

    def _settle(self, event: Event) -> None:
        """A request that never got a key has nothing to settle."""
        lease = self._leases.pop(event["settle"], None)
        if lease is not None:
            told = event["outcome"]
            verdict, usage = told.get("verdict"), told.get("usage")
            lease.settle(Outcome(told["ended"], verdict and Verdict(**verdict), usage and Usage(**usage)))

    def _give_up(self, event: Event) -> None:
        ticket = self._tickets.pop(event["give_up"], None)
        if ticket is not None:
            self._pool.give_up(ticket)

    def _facts(self, event: Event) -> None:
        facts = [QuotaFact(**fact) for fact in event["facts"]]
        if "credential" in event:
            self._pool.learn_quota(self._known[event["credential"]].id, facts, self._clock.monotonic())
        elif event["id"] in self._leases:
            self._leases[event["id"]].told(facts)
