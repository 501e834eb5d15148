"""One generation of everything that a trip reads: settings, plug-ins, providers, credentials, plans.

Immutable (the plan cache apart, which only fills up) and swapped as a whole on reload; a trip keeps the world that
it began with. It holds no resources: pool, transport and providers' background work belong to the app.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from rotator.config.reader import At
from rotator.config.rotation import Rotation
from rotator.config.schema import STATE_SECRET, Limits, Retry, Timeouts, Trace
from rotator.config.settings import Settings
from rotator.config.suggest import nearest, unknown
from rotator.contracts import Adapter, Credential, Operation, ProtocolAdapter, Provider, Target
from rotator.credentials.discovery import ProviderVariables, credentials_of, sift, token, unused
from rotator.credentials.rotation_of import idle_rules, rotations
from rotator.credentials.strategies import BUILT_IN
from rotator.errors import ConfigError, Problem
from rotator.exchange.plan import Plan, Premises, make_plan
from rotator.neutral.redact import Redactor
from rotator.neutral.secret import Secret
from rotator.plugins import Loaded
from rotator.rotation import Strategy
from rotator.routing.resolve import ModelRoute, Router
from rotator.upstream.adapter import make_adapters
from rotator.upstream.dialects import check_dialects
from rotator.upstream.provider import HttpProvider

PLANS_LIMIT: Final = 2048


@dataclass(frozen=True, slots=True)
class World:
    """See the module.  ``proxies`` are outgoing proxies by provider; ``warnings`` are for the banner.

    The sections that every request reads stand here by name.
    """

    generation: int
    settings: Settings
    loaded: Loaded
    providers: Mapping[str, Provider]
    credentials: Mapping[str, tuple[Credential, ...]]
    rotations: Mapping[str, Rotation]
    strategies: Mapping[str, Strategy]
    proxies: Mapping[str, Secret]
    router: Router
    redactor: Redactor
    warnings: tuple[str, ...]
    limits: Limits
    timeouts: Timeouts
    retry: Retry
    premises: Premises
    _plans: dict[tuple[Operation, str, Target], Plan] = field(default_factory=dict)

    @property
    def protocols(self) -> Mapping[str, ProtocolAdapter]:
        return self.loaded.registry.protocols

    def plan(self, operation: Operation, protocol: ProtocolAdapter, target: Target) -> Plan:
        """The plan for a target, composed once.  Raises Refused where none is possible."""
        key = (operation, protocol.name, target)
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(operation, protocol, target, self.premises)
            if len(self._plans) >= PLANS_LIMIT:
                self._plans.clear()  # names come from clients; the cache must not grow with them
            self._plans[key] = plan
        return plan


def count_keys(count: int) -> str:
    """``1 key``, ``3 keys``."""
    return "1 key" if count == 1 else f"{count} keys"


def summary(world: World) -> str:
    """The providers in use with their key counts, for people."""
    parts = (
        f"{name} ({'no key needed' if world.providers[name].keyless else count_keys(len(keys))})"
        for name, keys in world.credentials.items()
    )
    return ", ".join(parts) or "none"


def build_world(settings: Settings, loaded: Loaded, generation: int) -> World:
    """Put a generation together.  Raises ConfigError with everything that is wrong in it."""
    problems: list[Problem] = []
    found = sift(settings.environment)
    providers = _providers(settings, loaded, found, problems)
    _check_tokens(providers, problems)
    _check_protocols(providers, settings, loaded, problems)
    declared_in = {name: path for (kind, name), path in loaded.registry.paths.items() if kind == "providers"}
    strategies = {**BUILT_IN, **loaded.registry.strategies}
    foreign: dict[str, list[str]] = {}
    rotating = rotations(settings, providers, strategies, problems, declared_in, foreign)
    dropped_in = {
        name
        for plugin in loaded.plugins
        if plugin.kind == "providers" and plugin.state == "ok" and plugin.origin != "built-in"
        for name in plugin.names
    }
    credentials = {
        name: keys
        for name, provider in providers.items()
        if not provider.stand_in and _wanted(name, provider, settings, found, dropped_in)
        and (keys := credentials_of(provider, found, problems, rotating[name].tiers))
    }
    for name, provider in providers.items():
        if provider.stand_in and (settings.demo or not credentials):
            credentials[name] = credentials_of(provider, found, problems)
    _check_labels(credentials, problems)
    adapters = _adapters(providers, settings, loaded, problems)
    _check_routes(settings, providers, problems)
    _check_network(settings, found, problems)
    _check_trace(settings, problems)
    proxies = {name: found.proxies[token(name)].value for name in providers if token(name) in found.proxies}
    if problems:
        raise ConfigError(problems)
    secrets = [key.secret for keys in credentials.values() for key in keys if key.secret is not None]
    secrets += [key.secret for key in settings.client_keys]
    secrets += [settings.environment[STATE_SECRET].value] if STATE_SECRET in settings.environment else []
    secrets += [secret for proxy in proxies.values() for secret in (proxy, *_password(proxy))]
    limits, timeouts, retry = settings.get(Limits), settings.get(Timeouts), settings.get(Retry)
    routes = [ModelRoute(one.pattern, one.target, one.alias) for one in settings.routes]
    return World(
        generation,
        settings,
        loaded,
        MappingProxyType(providers),
        MappingProxyType(credentials),
        rotating,
        MappingProxyType(strategies),
        MappingProxyType(proxies),
        Router(providers, credentials, routes),
        Redactor(secrets),
        (*settings.warnings, *unused(found, providers), *idle_rules(rotating, credentials, foreign)),
        limits,
        timeouts,
        retry,
        Premises(providers, adapters, loaded.registry.protocols, proxies, limits, timeouts, retry),
    )


def _providers(
    settings: Settings, loaded: Loaded, found: ProviderVariables, problems: list[Problem]
) -> dict[str, Provider]:
    """Declared and dropped-in providers, the file's and the variables' words laid over them, and dynamic ones."""
    providers: dict[str, Provider] = dict(loaded.registry.providers)
    for name, overlay in settings.providers.items():
        at = _file(settings, name)
        try:
            base, held = providers.get(name), found.bases.get(token(name))
            # What a base makes a provider without the file, it makes one with it, too.
            dynamic = {"protocol": loaded.registry.fallback.name, "base_url": held.value.reveal()} if held else {}
            providers[name] = base.configured(overlay, at) if base else _declared(name, {**dynamic, **overlay}, at)
        except ConfigError as error:
            others = [*loaded.registry.providers, *settings.providers, *(one.lower() for one in found.bases)]
            problems.extend(error.problems if base else _meant(name, others, error.problems))
    known = {token(name): name for name in providers}
    for one, held in found.bases.items():
        try:
            if one in known:
                provider = providers[known[one]]
                providers[provider.name] = provider.rebased(held.value.reveal(), held.origin)
            elif one in found.keys:
                fallback = loaded.registry.fallback.name
                dynamic = {"protocol": fallback, "base_url": held.value.reveal()}
                providers[one.lower()] = _declared(one.lower(), dynamic, held.origin)
        except ConfigError as error:
            name = f"{one}_API_BASE"
            problems.extend(Problem(held.origin, name, problem.reason) for problem in error.problems)
    return dict(sorted(providers.items()))


def _meant(name: str, known: Sequence[str], problems: Sequence[Problem]) -> Iterator[Problem]:
    """The problems of a provider that nobody else declares; one that is not whole may be a slip of the pen."""
    near = nearest(name, [other for other in known if token(other) != token(name)])
    is_part = any(problem.reason == "missing" for problem in problems)
    for number, problem in enumerate(problems):
        hint = f"; there is no provider {name} (did you mean {near}?)" if near and is_part and not number else ""
        yield Problem(problem.where, problem.key, problem.reason + hint)


def _declared(name: str, declaration: Mapping[str, Any], at: str) -> Provider:
    """A provider that stands only in the configuration; problems are told under its key there."""
    return HttpProvider({"name": name, **declaration}, At(at, f"providers.{name}"))


def _wanted(
    name: str, provider: Provider, settings: Settings, found: ProviderVariables, dropped_in: Collection[str]
) -> bool:
    """Built-in keyless providers exist once they are named, in the configuration or by their base (design.md 6)."""
    named = name in dropped_in or name in settings.providers or token(name) in found.bases
    return not provider.keyless or named


def _password(proxy: Secret) -> tuple[Secret, ...]:
    """The password inside a proxy's URL: an error may quote it alone."""
    try:
        password = urlsplit(proxy.reveal()).password
    except ValueError:
        return ()
    return (Secret(unquote(password)), Secret(password)) if password else ()


def _check_labels(credentials: Mapping[str, tuple[Credential, ...]], problems: list[Problem]) -> None:
    """Labels name one key among all (design.md 6): commands take them without a provider."""
    owners: dict[str, str] = {}
    for name, keys in credentials.items():
        for key in keys:
            other = owners.setdefault(key.label, name)
            if other != name:
                problems.append(Problem("credentials", name, f"label {key.label!r} is that of a key of {other} too"))


def _check_routes(settings: Settings, providers: Mapping[str, Provider], problems: list[Problem]) -> None:
    """A route to a provider or profile that does not exist would fail at each request."""
    for route in settings.routes:
        name, _, profile = route.target.partition("/")[0].partition(":")
        name = name.lower()
        reason = "" if name in providers else unknown(f"provider {name!r}", name, providers)
        if not reason and profile and profile not in providers[name].profiles:
            reason = unknown(f"profile {profile!r} of {name}", profile, providers[name].profiles)
        if reason:
            origin = settings.origin(f"routes.{route.pattern}")
            if origin.source == "file":
                where, _, key = origin.name.partition(": ")
            else:
                where, key = settings.environment[origin.name].origin, origin.name
            problems.append(Problem(where, key, reason))


def _check_network(settings: Settings, found: ProviderVariables, problems: list[Problem]) -> None:
    """What would fail at the first call upstream: a certificate file that cannot be used, a proxy that is no URL."""
    certificates = settings.environment.get("SSL_CERT_FILE")
    if certificates is not None:
        try:
            ssl.create_default_context(cafile=certificates.value.reveal())
        except OSError as error:
            reason = f"cannot be used as a file of certificates ({error.strerror or 'no certificate in it'})"
            problems.append(Problem(certificates.origin, "SSL_CERT_FILE", reason))
    for proxy in found.proxies.values():
        try:
            usable = urlsplit(proxy.value.reveal())
            fine = usable.scheme in ("http", "https") and bool(usable.hostname)
        except ValueError:
            fine = False
        if not fine:
            problems.append(Problem(proxy.origin, proxy.name, "expected http://host:port"))


def _check_trace(settings: Settings, problems: list[Problem]) -> None:
    """A folder that is a file would be told only when the first entry is lost."""
    folder, origin = settings.get(Trace).dir, settings.origin("trace.dir")
    if settings.get(Trace).level != "off" and folder is not None and folder.exists() and not folder.is_dir():
        problems.append(Problem(origin.name or "trace", "trace.dir", f"{folder} is a file, not a folder"))


def _check_tokens(providers: Mapping[str, Provider], problems: list[Problem]) -> None:
    seen: dict[str, str] = {}
    for name in providers:
        other = seen.setdefault(token(name), name)
        if other != name:
            reason = f"cannot be told from {other!r} in variables ({token(name)}_API_KEY)"
            problems.append(Problem("providers", name, reason))


def _check_protocols(
    providers: Mapping[str, Provider], settings: Settings, loaded: Loaded, problems: list[Problem]
) -> None:
    known = loaded.registry.protocols
    for name, provider in providers.items():
        for profile in provider.profiles.values():
            if profile.protocol not in known:
                reason = f"no protocol is named {profile.protocol!r} (there are: {', '.join(known)})"
                if name in settings.providers:
                    at, key = _file(settings, name), f"providers.{name}.protocol"
                else:
                    at, key = loaded.registry.paths.get(("providers", name), name), "protocol"
                problems.append(Problem(at, key, reason))


def _adapters(
    providers: Mapping[str, Provider], settings: Settings, loaded: Loaded, problems: list[Problem]
) -> dict[str, tuple[Adapter, ...]]:
    """Each provider's adapters, made once for the generation."""
    made: dict[str, tuple[Adapter, ...]] = {}
    for name, provider in providers.items():
        inside = name in settings.providers
        where = _file(settings, name) if inside else loaded.registry.paths.get(("providers", name), name)
        place = At(where, f"providers.{name}" if inside else "")
        known = loaded.registry
        try:
            made[name] = make_adapters(provider, known.adapters, known.protocols, place)
        except ConfigError as error:
            problems.extend(error.problems)
        try:
            check_dialects(provider, known.protocols, place)
        except ConfigError as error:
            problems.extend(error.problems)
    return made


def _file(settings: Settings, name: str) -> str:
    """The configuration file that says something about a provider."""
    return settings.origin(f"providers.{name}").name.partition(":")[0]
