"""The model list: what is declared, and what vendors list when the list is first asked for.  Source: design.md 6."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rotator.contain import contain
from rotator.contracts import Clock, Credential, ListedModel, Provider, Runtime
from rotator.errors import RotatorError
from rotator.world import World

log = logging.getLogger(__name__)

DISCOVERY_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 3_600.0
#: A vendor whose list failed is asked again after this.
RETRY_SECONDS: Final = 60.0
MODELS_LIMIT: Final = 5_000


@dataclass(frozen=True, slots=True)
class _Known:
    models: Sequence[str]
    until: float


class Catalogue:
    """Asks each provider at most once a while; a vendor that fails leaves its declared models standing."""

    def __init__(self, clock: Clock, runtime: Callable[[], Runtime]) -> None:
        self._clock = clock
        self._runtime = runtime
        self._known: dict[tuple[str, str], _Known] = {}
        self._asking = asyncio.Lock()
        self._taught = -1

    async def models(self, world: World) -> list[ListedModel]:
        """Every model of every provider that has a key, as ``provider/model``, sorted."""
        lists = await self.learn(world)
        return [ListedModel(f"{name}/{model}", name) for name, models in lists.items() for model in sorted(models)]

    async def learn(self, world: World) -> dict[str, set[str]]:
        """The models of each provider that has a key; the generation's router knows them from now on."""
        async with self._asking:
            asked = await self._discover(world)
        lists: dict[str, set[str]] = {}
        for name in sorted(world.credentials):
            provider = world.providers[name]
            known = self._known.get(_place(provider))
            lists[name] = {*provider.listed, *(known.models if known else ())}
        if asked or world.generation != self._taught:
            world.router.learn(lists)
            self._taught = world.generation
        return lists

    async def _discover(self, world: World) -> bool:
        now = self._clock.monotonic()
        stale = [
            (world.providers[name], keys[0])
            for name, keys in world.credentials.items()
            if keys and ((known := self._known.get(_place(world.providers[name]))) is None or known.until <= now)
        ]
        if not stale:
            return False
        async with asyncio.TaskGroup() as group:
            for provider, credential in stale:
                group.create_task(self._ask(provider, credential))
        return True

    async def _ask(self, provider: Provider, credential: Credential) -> None:
        place = _place(provider)
        now = self._clock.monotonic()
        before = self._known.get(place)
        self._known[place] = _Known(before.models if before else (), now + RETRY_SECONDS)
        with contain(f"the model list of {provider.name}"):
            try:
                async with asyncio.timeout(DISCOVERY_SECONDS):
                    models = await provider.models(self._runtime(), credential)
                self._known[place] = _Known(tuple(models)[:MODELS_LIMIT], now + FRESH_SECONDS)
            except (RotatorError, TimeoutError) as error:  # vendors' faults need no stack
                log.warning("the model list of %s cannot be had: %s", provider.name, error or "no answer in time")


def _place(provider: Provider) -> tuple[str, str]:
    return provider.name, provider.profiles[provider.default_profile].base_url
