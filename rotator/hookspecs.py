"""The hooks that a plug-in module may carry, in any plug-in folder or in an installed package.

pluggy collects them at start-up; per request only plain objects and plain functions are called (style.md 3.3).
docs/plugins.md describes each with an example.
"""

from __future__ import annotations

from dataclasses import dataclass

import pluggy

from rotator.contracts import Outcome, Register, Target

hookspec = pluggy.HookspecMarker("rotator")
hookimpl = pluggy.HookimplMarker("rotator")


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """One attempt as an observer sees it: no secrets, no content.  ``seconds`` is its duration."""

    request_id: str
    target: Target
    credential: str
    number: int
    status: int
    seconds: float
    outcome: Outcome


class Hooks:
    """The specifications; a hook of another name in a plug-in is an error, it would never be called."""

    @hookspec
    def register_protocols(self, register: Register) -> None:
        """Call ``register(protocol)`` once per wire protocol (an object: ``rotator.api.ProtocolAdapter``)."""

    @hookspec
    def register_adapters(self, register: Register) -> None:
        """Call ``register(adapter)`` once per adapter (a class: ``rotator.api.Adapter``)."""

    @hookspec
    def register_providers(self, register: Register) -> None:
        """Call ``register(provider)`` once per provider (an object: ``rotator.api.Provider``)."""

    @hookspec
    def register_strategies(self, register: Register) -> None:
        """Call ``register(strategy)`` once per way to choose among keys (an object: ``rotator.api.Strategy``)."""

    @hookspec
    def on_attempt(self, attempt: AttemptSeen) -> None:
        """An attempt ended. What this raises is logged and never fails the request."""
