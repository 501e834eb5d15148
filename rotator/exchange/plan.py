"""What an attempt needs to know that does not depend on the request: lane, address, headers.  Made once, cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rotator import __version__
from rotator.contracts import Call, Credential, Lane, Operation, Profile, ProtocolAdapter, Provider, Target
from rotator.errors import Refused
from rotator.exchange.record import Way
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.secret import Secret
from rotator.wire.splice import splice_model
from rotator.wire.transport import Outgoing

#: Upstream is asked for plain bytes: whatever it compresses, we would have to unpack for the meter.
_OWN_HEADERS: Final = (
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("accept-encoding", "identity"),
    ("user-agent", f"rotator/{__version__}"),
)


class HeaderPass:
    """An allow-list of header names; a trailing ``*`` matches any ending."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, names: Iterable[str]) -> None:
        listed = tuple(names)
        self._exact = frozenset(name for name in listed if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in listed if name.endswith("*"))

    def pick_from(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The same of a mapping, by asking for each name where none is a prefix."""
        if self._prefixes:
            return dict(self.pick(headers.items()))
        return {name: headers[name] for name in self._exact if name in headers}

    def pick(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The pairs that may pass."""
        exact, prefixes = self._exact, self._prefixes
        return [
            (name, value) for name, value in headers if name in exact or (prefixes and name.startswith(prefixes))
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one operation of one client protocol reaches one target."""

    lane: Lane
    operation: Operation
    target: Target
    provider: Provider
    profile: Profile
    protocol: ProtocolAdapter
    request_pass: HeaderPass
    reply_pass: HeaderPass
    proxy: Secret | None
    way: Way
    _base: dict[str, str]
    _urls: dict[bool, str]

    def outgoing(self, call: Call, credential: Credential, streaming: bool) -> Outgoing:
        """The request for one credential: the client's bytes with the model's name, and headers from allow-lists.

        Later headers win: our own, the protocol's defaults, the client's, the provider's and the credential's.
        """
        headers = self._base.copy()
        headers.update(self.request_pass.pick_from(call.headers))
        headers.update(self.provider.authorise(credential))
        url = self._urls.get(streaming)
        if url is None:
            path = self.protocol.upstream_path(self.operation, self.target.model, streaming)
            url = self._urls[streaming] = self.provider.address(self.profile, path, "")
        body = splice_model(call.body, self.target.model)
        return Outgoing("POST", url, headers, body, streaming, self.proxy)


def make_plan(
    operation: Operation,
    protocol: ProtocolAdapter,
    target: Target,
    providers: Mapping[str, Provider],
    proxies: Mapping[str, Secret],
) -> Plan:
    """The plan for a target.  Raises Refused where the two sides speak different protocols: nothing translates yet."""
    provider = providers[target.provider]
    profile = provider.profiles[target.profile]
    if profile.protocol != protocol.name:
        message = (
            f"model: {target.provider}/{target.model} is served over {profile.protocol!r} and this request came over "
            f"{protocol.name!r}; this version relays between equal protocols only"
        )
        code = "protocols_differ"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, code=code, param="model", should_retry=False))
    return Plan(
        "raw",
        operation,
        target,
        provider,
        profile,
        protocol,
        HeaderPass(protocol.request_headers),
        HeaderPass(protocol.reply_headers),
        proxies.get(provider.name),
        _way("raw", target),
        {**dict(_OWN_HEADERS), **dict(protocol.default_headers)},
        {},
    )


def _way(lane: Lane, target: Target) -> Way:
    """Names were validated: they can stand in headers."""
    told = (("lane", lane), ("provider", target.provider), ("model", target.model))
    headers = tuple((f"x-rotator-{name}".encode(), value.encode("latin-1", "replace")) for name, value in told)
    return Way(lane, target.provider, target.model, headers)


def required_lane(headers: Mapping[str, str], plan: Plan) -> None:
    """``x-rotator-require: raw``: 400 where the plan is no raw one or the wish is no lane (design.md 2.1)."""
    wanted = headers.get("x-rotator-require")
    if wanted is None or wanted == plan.lane:
        return
    message = f"x-rotator-require: {wanted[:40]!r} cannot be had, the lane is {plan.lane!r}"
    raise Refused(error_of(ErrorKind.BAD_REQUEST, message, param="x-rotator-require", should_retry=False))


def names(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Header pairs as a mapping, the first of repeated names."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
