"""Asks vendors what is left of the keys' quotas, in the background: no request waits for it, no failure benches a key.

Source: design.md 3 (``Provider.quota``), engine.md 8.9 (quota baseline from provider APIs), ideas.md D8.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from rotator.contain import contain
from rotator.contracts import Clock, Credential, Provider, Runtime
from rotator.errors import RotatorError
from rotator.quota import QuotaFact
from rotator.upstream.provider import HttpProvider
from rotator.world import World

log = logging.getLogger(__name__)

#: No vendor is asked for one key more often, whatever a plug-in says, nor more rarely while it answers.
LEAST_SECONDS: Final = 10.0
MOST_SECONDS: Final = 86_400.0
#: How far a pause may be off its length, so that many proxies do not ask at once.
JITTER: Final = 0.1
#: Rounds without any answer double the pause so many times: to the 16-fold.
DOUBLINGS: Final = 4
ANSWER_SECONDS: Final = 15.0
#: How long a poll that was cancelled is waited for.
ENDING_SECONDS: Final = 2.0
FACTS_LIMIT: Final = 256

#: Takes what a vendor said of a key, and the monotonic time at which it was asked.
Deliver = Callable[[Credential, Sequence[QuotaFact], float], None]


@dataclass(slots=True)
class _Poll:
    """One provider's polls; ``lost`` are rounds without answer.

    ``failing`` are the ids of keys whose failure was told, ``silent`` of those of which nothing was found, told too.
    """

    provider: Provider
    keys: tuple[Credential, ...]
    task: asyncio.Task[None] | None = None
    failing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    lost: int = 0

    def continues(self, provider: Provider, keys: tuple[Credential, ...]) -> bool:
        """Whether these are the same settings; after a failure they may be the cure, and are tried at once."""
        fine = not self.failing and not self.silent
        return fine and _settings(self.provider, self.keys) == _settings(provider, keys)

    def told(self, credential: Credential, facts: Sequence[QuotaFact]) -> None:
        """Say once that an answer held nothing that was looked for, until one does."""
        if facts:
            self.silent.discard(credential.id)
        elif credential.id not in self.silent:
            self.silent.add(credential.id)
            log.warning("the quota of %s told nothing%s", credential.label, _looked_for(self.provider))


def _looked_for(provider: Provider) -> str:
    """What a declared page does not show."""
    page = provider.declaration.quota if isinstance(provider, HttpProvider) else None
    if page is None:
        return ""
    names = [window.name for window in page.windows]
    if len(names) == 1:
        return f": {names[0]} was not found on the page"
    return f": none of {', '.join(names)} was found on the page"


def _settings(provider: Provider, keys: tuple[Credential, ...]) -> tuple[object, ...]:
    base = provider.profiles[provider.default_profile].base_url
    return provider.quota_every_seconds, base, [key.id for key in keys]


class QuotaPolls:
    """One supervised task for each provider that is asked for quotas and has keys; it asks key by key.

    The first round begins at once, the next ones every ``quota_every_seconds``. A failure is told once, until the key's
    next success, and so is an answer of which nothing is understood.
    """

    def __init__(
        self,
        clock: Clock,
        runtime: Callable[[], Runtime],
        deliver: Deliver,
        rng: Random,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._clock = clock
        self._runtime = runtime
        self._deliver = deliver
        self._rng = rng
        self._answer_seconds = answer_seconds
        self._polls: dict[str, _Poll] = {}

    async def adopt(self, world: World) -> None:
        """Ask for what this generation wants; polls whose settings stay keep their rhythm.  Waits for no vendor."""
        wanted = {
            name: (world.providers[name], keys)
            for name, keys in world.credentials.items()
            if keys and world.providers[name].quota_every_seconds is not None
        }
        over = []
        for name, poll in self._polls.items():
            if name in wanted and poll.continues(*wanted[name]):
                poll.provider, poll.keys = wanted[name]
            else:
                over.append(name)
        await self._end(over)
        for name, (provider, keys) in wanted.items():
            if name not in self._polls:
                poll = self._polls[name] = _Poll(provider, keys)
                poll.task = asyncio.get_running_loop().create_task(self._run(poll), name=f"quotas of {name}")

    async def shutdown(self) -> None:
        """Stop asking, in the middle of a question too."""
        await self._end(list(self._polls))

    async def _end(self, names: Collection[str]) -> None:
        tasks = [task for name in names if (task := self._polls.pop(name).task) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ENDING_SECONDS)

    async def _run(self, poll: _Poll) -> None:
        with contain(f"background job quotas of {poll.provider.name}"):
            while True:
                answered = [await self._ask(poll, key) for key in poll.keys]
                poll.lost = 0 if any(answered) else min(poll.lost + 1, DOUBLINGS)
                await self._clock.sleep(self._pause(poll))

    def _pause(self, poll: _Poll) -> float:
        every: Any = poll.provider.quota_every_seconds
        shift = 1 + JITTER * (2 * self._rng.random() - 1)
        return min(max(LEAST_SECONDS, float(every)), MOST_SECONDS) * float(2**poll.lost) * shift

    async def _ask(self, poll: _Poll, credential: Credential) -> bool:
        """Whether the vendor said what it has to say of this key."""
        told = credential.id in poll.failing
        with contain(f"the quota of {credential.label}", logging.DEBUG if told else logging.ERROR):
            try:
                asked_at = self._clock.monotonic()
                async with asyncio.timeout(self._answer_seconds):
                    facts = await poll.provider.quota(self._runtime(), credential)
                facts = tuple(facts)[:FACTS_LIMIT]
                self._deliver(credential, facts, asked_at)
                poll.told(credential, facts)
                poll.failing.discard(credential.id)
                return True
            except (RotatorError, TimeoutError) as error:  # vendors' faults need no stack
                reason = str(error) or "no answer in time"
                level = logging.DEBUG if told else logging.WARNING
                log.log(level, "the quota of %s cannot be had: %s", credential.label, reason)
        poll.failing.add(credential.id)
        return False
