"""A provider from a declaration: what a YAML file becomes, and the base of providers that need code.

Source of the keys: design.md 6, "A provider in YAML"; checks of addresses and headers: engine.md 12.6.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from rotator.config.reader import At, placed, read
from rotator.config.rotation import Rotation
from rotator.contracts import (
    AdapterUse,
    Credential,
    Handling,
    HeaderPairs,
    KeyFacts,
    Profile,
    ProtocolAdapter,
    Provider,
    Runtime,
    Verdict,
    WireRequest,
)
from rotator.errors import ConfigError, PluginError, Problem
from rotator.neutral.error import NeutralError
from rotator.neutral.secret import Secret
from rotator.quota import QuotaFact
from rotator.upstream import quota_headers
from rotator.upstream.classify import classify
from rotator.upstream.quota_poll import QuotaPage

PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_VERSION: Final = re.compile(r"v\d[a-z0-9]*\Z")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")

AuthScheme = Literal["bearer", "x-api-key", "x-goog-api-key", "none"]


@dataclass(frozen=True, slots=True)
class AuthHeader:
    """A credential header of another name: ``{header: api-key, prefix: ""}``."""

    header: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if not _TOKEN.match(self.header):
            raise ValueError(f"header: {self.header!r} is no header name")
        if not self.prefix.isprintable():
            raise ValueError("prefix: contains control characters")


_SCHEMES: Final[Mapping[str, AuthHeader | None]] = {
    "bearer": AuthHeader("authorization", "Bearer "),
    "x-api-key": AuthHeader("x-api-key"),
    "x-goog-api-key": AuthHeader("x-goog-api-key"),
    "none": None,
}


def check_base(url: str) -> str:
    """A base URL without its last slash.  Raises ValueError saying what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url: expected http(s)://host/path")
    if "@" in parts.netloc:
        raise ValueError("base_url: a user name or password does not belong in it")
    if "?" in url or "#" in url:
        raise ValueError("base_url: expected no query and no fragment")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("base_url: the port is no number from 0 to 65535") from None
    if not url.isprintable() or " " in url:
        raise ValueError("base_url: contains spaces or control characters")
    return url.rstrip("/")


def _check_headers(headers: Mapping[str, str], key: str) -> None:
    for name, value in headers.items():
        if not _TOKEN.match(name) or not value.isprintable() or not value.isascii():
            raise ValueError(f"{key}.{name}: not a valid header")


@dataclass(frozen=True, slots=True)
class ProfileDeclaration:
    """One more wire protocol under the same identity."""

    protocol: str
    base_url: str
    dialect: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_base(self.base_url)


@dataclass(frozen=True, slots=True)
class Declaration:
    """The keys of a provider's YAML file.  Top-level protocol and base are a profile too, named after the protocol."""

    name: str
    protocol: str
    base_url: str
    auth: AuthScheme | AuthHeader = "bearer"
    headers: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    profiles: Mapping[str, ProfileDeclaration] = field(default_factory=dict)
    default_profile: str | None = None
    credentials: Mapping[str, KeyFacts] = field(default_factory=dict)
    adapters: tuple[str | Mapping[str, Any], ...] = ()
    dialect: Mapping[str, Any] = field(default_factory=dict)
    lane: Literal["raw", "native", "translate"] = "raw"
    metering: Literal["passive", "exact"] = "passive"
    ends_without_finish: bool = False
    on_error: Literal["fail", "skip"] = "fail"
    rotation: Mapping[str, Any] = field(default_factory=dict)
    quota: QuotaPage | None = None

    def __post_init__(self) -> None:
        if not PROVIDER_NAME.match(self.name):
            raise ValueError(f"name: {self.name!r} is no provider name (lower-case letters, digits, - _ .)")
        check_base(self.base_url)
        _check_headers(self.headers, "headers")
        if self.quota is not None:
            _check_headers(self.quota.headers, "quota.headers")
        if self.protocol in self.profiles:
            raise ValueError(f"profiles.{self.protocol}: the top-level protocol already is the profile of this name")
        if self.default_profile not in (None, self.protocol, *self.profiles):
            known = ", ".join((self.protocol, *self.profiles))
            raise ValueError(f"default_profile: no profile {self.default_profile!r} (there are: {known})")
        for index, use in enumerate(self.adapters):
            if not use or (not isinstance(use, str) and len(use) != 1):
                raise ValueError(f"adapters[{index}]: expected a name, or one name with its options")

    def handling(self) -> Handling:
        """What these keys say of the way through the engine."""
        pairs = [(one, None) if isinstance(one, str) else next(iter(one.items())) for one in self.adapters]
        uses = tuple(AdapterUse(name, options) for name, options in pairs)
        return Handling(
            uses, self.lane, self.metering == "exact", self.ends_without_finish, self.on_error == "skip"
        )


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``overlay``'s keys: mappings merge, everything else (lists too) replaces."""
    result = dict(base)
    for key, value in overlay.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


class HttpProvider:
    """A provider that is described by a declaration; see ``rotator.contracts.Provider`` for each member.

    ``at`` is the place that problems are told at; ``wall_clock`` is read for times that vendors state as dates.
    """

    stand_in: bool = False
    quota_every_seconds: float | None = None
    wall_clock: Callable[[], float] = staticmethod(time.time)

    def __init__(self, declaration: Mapping[str, Any], at: At | None = None) -> None:
        """Raises ConfigError naming each key that cannot be used."""
        self._raw = dict(declaration)
        self._declare(at or At(str(declaration.get("name", "provider"))))

    def _declare(self, at: At) -> None:
        problems: list[Problem] = []
        found = read(Declaration, self._raw, at, problems)
        rotation = self._raw.get("rotation")
        if isinstance(rotation, Mapping):
            read(Rotation, rotation, at.child("rotation"), problems)
        if found is None or problems:
            raise ConfigError(map(placed, problems))
        self.declaration = found
        self.handling = found.handling()
        self.rotation = found.rotation
        self.wraps = type(self).finalise is not HttpProvider.finalise or type(self).unwrap is not HttpProvider.unwrap
        self.name = found.name
        self.listed: Sequence[str] = found.models
        own = Profile(found.protocol, found.protocol, check_base(found.base_url), found.dialect)
        profiles = {found.protocol: own}
        for name, profile in found.profiles.items():
            profiles[name] = Profile(name, profile.protocol, check_base(profile.base_url), profile.dialect)
        self.profiles: Mapping[str, Profile] = MappingProxyType(profiles)
        self.default_profile = found.default_profile or found.protocol
        self._auth = found.auth if isinstance(found.auth, AuthHeader) else _SCHEMES[found.auth]
        self.keyless = self._auth is None
        self.quota_every_seconds = found.quota.every_seconds if found.quota else type(self).quota_every_seconds
        self._constant = tuple((name.lower(), value) for name, value in found.headers.items())

    def configured(self, overlay: Mapping[str, Any], at: str) -> Provider:
        if "name" in overlay and overlay["name"] != self.name:
            raise At(at, f"providers.{self.name}.name").refuse("a provider cannot be renamed")
        changed = copy.copy(self)
        changed._raw = merged(self._raw, overlay)
        changed._declare(At(at, f"providers.{self.name}"))
        return changed

    def rebased(self, base_url: str, at: str) -> Provider:
        own = self.default_profile
        inside = own in self.declaration.profiles
        return self.configured({"profiles": {own: {"base_url": base_url}}} if inside else {"base_url": base_url}, at)

    def key_facts(self) -> Mapping[str, KeyFacts]:
        """Facts about numbered keys from the ``credentials`` key."""
        return self.declaration.credentials

    def own_secrets(self) -> Sequence[Secret]:
        return ()

    def address(self, profile: Profile, path: str, query: str) -> str:
        """Base and path; a version segment that both have (``/v1`` + ``/v1/messages``) stands once (design.md 6)."""
        base = profile.base_url
        head, _, rest = path[1:].partition("/")
        if rest and _VERSION.match(head) and urlsplit(base).path.endswith(f"/{head}"):
            path = f"/{rest}"
        return f"{base}{path}?{query}" if query else base + path

    def authorise(self, credential: Credential) -> HeaderPairs:
        if self._auth is None or credential.secret is None:
            return self._constant
        return (*self._constant, (self._auth.header.lower(), self._auth.prefix + credential.secret.reveal()))

    def finalise(self, request: WireRequest, credential: Credential) -> WireRequest:
        return request

    def unwrap(self, data: Any) -> Any:
        return data

    def classify(self, error: NeutralError, status: int, headers: Mapping[str, str]) -> Verdict:
        return classify(error, headers, self.wall_clock())

    def quota_facts(self, headers: Mapping[str, str], now: float) -> Sequence[QuotaFact]:
        return quota_headers.from_headers(headers, now)

    async def quota(self, runtime: Runtime, credential: Credential) -> Sequence[QuotaFact]:
        """What the page of the ``quota`` key says; nothing without that key."""
        page = self.declaration.quota
        if page is None:
            return ()
        profile, protocol = self._default(runtime)
        path, _, query = page.path.partition("?")
        own = tuple((name.lower(), value) for name, value in page.headers.items())
        headers = (*protocol.default_headers, *own, *self.authorise(credential))
        document = await runtime.fetch(self, self.address(profile, path, query), headers)
        return page.facts(document, self.wall_clock())

    async def models(self, runtime: Runtime, credential: Credential) -> Sequence[str]:
        profile, protocol = self._default(runtime)
        url = self.address(profile, protocol.upstream_path("models", "", False), "")
        headers = (*protocol.default_headers, *self.authorise(credential))
        return protocol.read_models(await runtime.fetch(self, url, headers))

    def _default(self, runtime: Runtime) -> tuple[Profile, ProtocolAdapter]:
        profile = self.profiles[self.default_profile]
        protocol = runtime.protocols.get(profile.protocol)
        if protocol is None:
            raise PluginError(self.name, f"no protocol named {profile.protocol!r}")
        return profile, protocol

    async def start(self, runtime: Runtime) -> None:
        """A declared provider has no background work."""

    async def aclose(self) -> None:
        """Nothing was started."""
