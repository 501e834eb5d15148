"""Model names from clients to targets.  Source: design.md 6, "Model names"; clients.md 1.2; faults.md 2 row 27."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from rotator.contracts import Provider, Target
from rotator.errors import Refused
from rotator.neutral.error import ErrorKind, error_of

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9._~:@/+-]{1,256}\Z")
#: Names whose way is remembered.
KNOWN_LIMIT: Final = 2048
_ALIAS: Final = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """``pattern`` (shell wildcards, or an upper-cased alias from a variable) -> ``provider/model``."""

    pattern: str
    target: str
    alias: bool = False

    def matches(self, model: str) -> bool:
        return _ALIAS.sub("_", model).upper() == self.pattern if self.alias else fnmatchcase(model, self.pattern)


class Router:
    """Resolves names for one generation of the configuration.  ``usable``: providers that have a credential."""

    def __init__(
        self, providers: Mapping[str, Provider], usable: Collection[str], routes: Sequence[ModelRoute] = ()
    ) -> None:
        self._providers = providers
        self._usable = frozenset(usable)
        self._routes = tuple(routes)
        self._known: dict[tuple[str, str], tuple[Target, ...]] = {}
        self._declared = self._by_model({name: providers[name].listed for name in self._usable})
        self._learnt: Mapping[str, Sequence[str]] = {}

    def learn(self, lists: Mapping[str, Collection[str]]) -> None:
        """What vendors list, by provider; it takes the place of what was learnt before.

        A name that somebody declares leads there whatever others list, so that it does not change with their lists.
        """
        self._learnt = self._by_model(lists)
        self._known.clear()

    def _by_model(self, lists: Mapping[str, Collection[str]]) -> Mapping[str, Sequence[str]]:
        owners: dict[str, list[str]] = {}
        for name in sorted(self._usable & lists.keys()):
            for model in dict.fromkeys(lists[name]):
                owners.setdefault(model, []).append(name)
        return owners

    def resolve(self, model: str, protocol: str) -> tuple[Target, ...]:
        """Ordered targets for a name; ``protocol`` is the client's, whose profile is preferred.

        Raises Refused naming the model: 400 for what is no name, 404 for what leads nowhere.
        """
        known = self._known.get((model, protocol))
        if known is None:
            known = self._resolved(model, protocol)
            if len(self._known) >= KNOWN_LIMIT:
                self._known.clear()  # names come from clients; the memory must not grow with them
            self._known[model, protocol] = known
        return known

    def is_bare(self, model: str) -> bool:
        """Whether a name begins with no provider of ours."""
        head, slash, rest = model.partition("/")
        return not (slash and rest and head.partition(":")[0].lower() in self._providers)

    def _resolved(self, model: str, protocol: str) -> tuple[Target, ...]:
        if not MODEL_NAME.match(model) or ".." in model:
            message = f"model: {model[:80]!r} is no model name"
            raise Refused(error_of(ErrorKind.BAD_REQUEST, message, param="model", should_retry=False))
        for route in self._routes:
            if route.matches(model):
                return (self._target(route.target, protocol),)
        return (self._target(model, protocol),)

    def _target(self, model: str, protocol: str) -> Target:
        head, slash, rest = model.partition("/")
        name, _, profile = head.partition(":")
        provider = self._providers.get(name.lower()) if slash and rest else None
        if provider is None:
            if slash and not rest:
                raise self._unknown(model, "no model is named behind the provider")
            return self._bare(model, protocol)
        if provider.name not in self._usable:
            remedy = "start with --demo" if provider.stand_in else f"set {_variable(provider.name)}"
            raise self._unknown(model, f"provider {provider.name!r} is not in use: {remedy}")
        return self._on(provider, profile, rest, protocol)

    def _on(self, provider: Provider, profile: str, model: str, protocol: str) -> Target:
        """The explicit profile, else the one that speaks the client's protocol, else the default one."""
        if profile:
            if profile not in provider.profiles:
                known = ", ".join(provider.profiles)
                asked = f"{provider.name}:{profile}/{model}"
                raise self._unknown(asked, f"provider {provider.name!r} has no profile {profile!r} (it has: {known})")
            return Target(provider.name, profile, model)
        speaking = [one.name for one in provider.profiles.values() if one.protocol == protocol]
        if provider.default_profile in speaking or not speaking:
            return Target(provider.name, provider.default_profile, model)
        return Target(provider.name, speaking[0], model)

    def _bare(self, model: str, protocol: str) -> Target:
        """A name without a provider of ours: served when exactly one configured provider lists it."""
        owners = self._declared.get(model) or self._learnt.get(model, ())
        if len(owners) == 1:
            return self._on(self._providers[owners[0]], "", model, protocol)
        if owners:
            raise self._unknown(model, f"several providers list it ({', '.join(owners)}): write provider/{model}")
        head = model.partition("/")[0].partition(":")[0]
        if "/" in model:
            near = get_close_matches(head.lower(), self._usable, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self._unknown(model, f"no provider is named {head!r}{hint}")
        ways = " or ".join(f"{name}/{model}" for name in sorted(self._usable)[:4]) or "provider/model"
        raise self._unknown(model, f"write {ways}")

    def _unknown(self, model: str, reason: str) -> Refused:
        message = f"model {model!r} is not known here: {reason}"
        return Refused(
            error_of(ErrorKind.NOT_FOUND, message, code="model_not_found", param="model", should_retry=False)
        )


def _variable(provider: str) -> str:
    return f"{_ALIAS.sub('_', provider).upper()}_API_KEY"
