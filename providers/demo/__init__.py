"""The demo provider: a strict fake vendor in this process, so that everything can be tried without a key."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from rotator.api import HttpProvider, Profile, Register, Runtime, Secret, hookimpl

from .engine import Engine
from .models import MODELS

#: Stands in the declaration until the engine has chosen its port.
_UNSET = "http://127.0.0.1:9"


class Demo(HttpProvider):
    """Two keys over one engine, in both protocols; it stands in when nothing else is configured."""

    stand_in = True

    def __init__(self) -> None:
        super().__init__(
            {
                "name": "demo",
                "protocol": "chat",
                "base_url": f"{_UNSET}/v1",
                "profiles": {"messages": {"protocol": "messages", "base_url": _UNSET}},
                "models": list(MODELS),
            }
        )
        keys = [secrets.token_hex(16) for _ in range(2)]
        self._secrets = tuple(map(Secret, keys))
        self._engine = Engine(keys=keys)

    def own_secrets(self) -> Sequence[Secret]:
        """Made anew at every start: they open nothing but this process's own engine."""
        return self._secrets

    async def start(self, runtime: Runtime) -> None:
        await self._engine.start()

    def address(self, profile: Profile, path: str, query: str) -> str:
        """The engine's own port, whatever the declaration says."""
        bases = {"chat": self._engine.chat_base, "messages": self._engine.messages_base}
        return super().address(Profile(profile.name, profile.protocol, bases[profile.protocol]), path, query)

    async def aclose(self) -> None:
        await self._engine.aclose()


@hookimpl
def register_providers(register: Register) -> None:
    register(Demo())
