"""What an attempt needs to know that does not depend on the request: lane, address, headers.  Made once, cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rotator import __version__
from rotator.config.schema import Limits, Retry, Timeouts
from rotator.contracts import (
    Adapter,
    Call,
    Credential,
    Lane,
    Operation,
    Profile,
    ProtocolAdapter,
    Provider,
    Target,
    WireRequest,
)
from rotator.errors import Refused
from rotator.exchange.answer import Bounds
from rotator.exchange.record import Way
from rotator.exchange.stages import Skipping, Wiring, written
from rotator.exchange.translate import Pair
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


REQUIRE_HEADER: Final = "x-rotator-require"
#: The code of a refusal where nothing can stand between two protocols.
UNTRANSLATED: Final = "protocols_differ"


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
    #: The upstream's, and the client's.
    protocol: ProtocolAdapter
    client: ProtocolAdapter
    request_pass: HeaderPass
    reply_pass: HeaderPass
    proxy: Secret | None
    way: Way
    bounds: Bounds
    #: The wire stages; None where there are none.
    wiring: Wiring | None
    #: What the translate lane needs; None on the others.
    pair: Pair | None
    #: What closes the raw lane, in words.
    blockers: tuple[str, ...]
    #: Whose opaque state it is that answers hold: the provider in its protocol, and the model's family.
    origin: tuple[str, str]
    #: Whether that state is of use to its own account only.
    account_bound: bool
    _base: dict[str, str]
    _urls: dict[bool, str]

    def raised(self) -> Plan:
        """The same on the native lane, for a request whose body is not to go as it is (design.md 2.1)."""
        wiring = Wiring(self.provider, self.protocol, (), False, False, "", set())
        blockers = ("reasoning state that is not this target's",)
        return replace(self, lane="native", way=_way("native", self.target), wiring=wiring, blockers=blockers)

    def outgoing(
        self, call: Call, credential: Credential, streaming: bool, request: WireRequest | None = None
    ) -> Outgoing:
        """The request for one credential: the client's bytes with the model's name, or what the stages made of them.

        Headers come from allow-lists. Later ones win: our own, the protocol's defaults, the client's, the stages', the
        provider's and the credential's.
        """
        headers = self._base.copy()
        headers.update(self.request_pass.pick_from(call.headers))
        if request is None:
            query, body = "", splice_model(call.body, self.target.model)
        else:
            by = ", ".join(filter(None, (one.names for one in (self.pair, self.wiring) if one is not None)))
            query, body = request.query, written(request.body, "request", by)
            headers.update(request.headers)
        headers.update(self.provider.authorise(credential))
        return Outgoing("POST", self._url(streaming, query), headers, body, streaming, self.proxy)

    def _url(self, streaming: bool, query: str) -> str:
        url = None if query else self._urls.get(streaming)
        if url is None:
            path = self.protocol.upstream_path(self.operation, self.target.model, streaming)
            url = self.provider.address(self.profile, path, query)
            if not query:
                self._urls[streaming] = url
        return url


@dataclass(frozen=True, slots=True)
class Premises:
    """What all plans of a generation are made from.  ``adapters`` are each provider's own, made and checked.

    ``told``: what the log has said once of the stages of providers.
    """

    providers: Mapping[str, Provider]
    adapters: Mapping[str, Sequence[Adapter]]
    protocols: Mapping[str, ProtocolAdapter]
    proxies: Mapping[str, Secret]
    limits: Limits
    timeouts: Timeouts
    retry: Retry
    told: set[tuple[str, str]] = field(default_factory=set)

    def bounds(self, provider: Provider) -> Bounds:
        """The limits of a stream from this provider."""
        return Bounds(
            self.limits.event_bytes,
            self.limits.hold_back_bytes,
            self.timeouts.stream_stall_seconds,
            self.retry.commit == "first_byte",
            provider.handling.ends_without_finish,
            self.limits.response_body_bytes,
        )


def make_plan(operation: Operation, protocol: ProtocolAdapter, target: Target, premises: Premises) -> Plan:
    """The plan for a target.  Raises Refused where the protocols differ and cannot be translated."""
    provider = premises.providers[target.provider]
    profile = provider.profiles[target.profile]
    upstream = premises.protocols[profile.protocol]
    named = premises.adapters[provider.name]
    wire = [one for one in named if one.form == "wire" and (not one.protocols or upstream.name in one.protocols)]
    pair = _pair(operation, protocol, target, premises)
    same = upstream.name == protocol.name
    blockers = _blockers(provider, upstream, wire)
    if pair is not None:
        blockers = _pair_blockers(protocol, upstream, pair) + blockers
    lane: Lane = "translate" if pair is not None else "native" if blockers else "raw"
    staged = bool(wire) or provider.wraps if pair is not None else bool(blockers)
    return Plan(
        lane,
        operation,
        target,
        provider,
        profile,
        upstream,
        protocol,
        HeaderPass(upstream.request_headers if same else ()),
        HeaderPass(upstream.reply_headers if same else ()),
        premises.proxies.get(provider.name),
        _way(lane, target),
        premises.bounds(provider),
        _wiring(provider, upstream, wire, premises, lane) if staged else None,
        pair,
        blockers,
        *_bond(upstream, operation, profile, target),
        {**dict(_OWN_HEADERS), **dict(upstream.default_headers)},
        {},
    )


def _bond(
    upstream: ProtocolAdapter, operation: Operation, profile: Profile, target: Target
) -> tuple[tuple[str, str], bool]:
    """How far the opaque state of a model holds; of what nobody knows no further than one model and account."""
    vendor, codec = f"{target.provider}:{upstream.name}", upstream.codecs.get(operation)
    if codec is None:
        return (vendor, target.model), True
    codec = codec.with_dialect(profile.dialect) if profile.dialect else codec
    return (vendor, codec.family(target.model)), codec.account_bound(target.model)


def _pair(operation: Operation, client: ProtocolAdapter, target: Target, premises: Premises) -> Pair | None:
    """The codecs of a translation, None where none is needed.

    An operation that equal protocols do not translate (counting tokens) goes without neutral adapters.
    """
    provider = premises.providers[target.provider]
    profile = provider.profiles[target.profile]
    upstream = premises.protocols[profile.protocol]
    neutral = tuple(one for one in premises.adapters[provider.name] if one.form == "neutral")
    same = upstream.name == client.name
    if same and not neutral and provider.handling.lane != "translate":
        return None
    ours, theirs = client.codecs.get(operation), upstream.codecs.get(operation)
    if ours is None or theirs is None:
        if same:
            return None
        raise _untranslated(operation, client, upstream, provider)
    theirs = theirs.with_dialect(profile.dialect) if profile.dialect else theirs
    skipping = Skipping(provider.name, premises.told) if provider.handling.skip_failing else None
    return Pair(ours, theirs, client.name, upstream.name, neutral, skipping)


def _untranslated(
    operation: Operation, client: ProtocolAdapter, upstream: ProtocolAdapter, provider: Provider
) -> Refused:
    """Nothing stands between these two protocols for this operation."""
    what = operation.replace("_", " ")
    message = f"model: {provider.name} speaks {upstream.name!r}, which has no {what!r} for a client of {client.name!r}"
    return Refused(error_of(ErrorKind.BAD_REQUEST, message, code=UNTRANSLATED, param="model", should_retry=False))


def _pair_blockers(client: ProtocolAdapter, upstream: ProtocolAdapter, pair: Pair) -> tuple[str, ...]:
    """Why the translate lane, in words."""
    differ = () if client.name == upstream.name else (f"it speaks {upstream.name}, not {client.name}",)
    return (*differ, *(f"adapter {one.name}" for one in pair.adapters))


def _wiring(
    provider: Provider, protocol: ProtocolAdapter, adapters: Sequence[Adapter], premises: Premises, lane: Lane
) -> Wiring:
    """The wire stages.  A translation asks for usage by itself."""
    handling = provider.handling
    ask_usage = lane == "native" and handling.exact_metering and protocol.usage_on_request
    names = ", ".join(f"adapter {one.name}" for one in adapters) or ("provider" if provider.wraps else "")
    return Wiring(provider, protocol, adapters, ask_usage, handling.skip_failing, names, premises.told)


def _blockers(provider: Provider, protocol: ProtocolAdapter, adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """What needs the body and so closes the raw lane, in words for the client that asked for it."""
    found = [f"adapter {one.name}" for one in adapters]
    if provider.handling.lane != "raw":
        found.append(f"lane: {provider.handling.lane}")
    if provider.handling.exact_metering and protocol.usage_on_request:
        found.append("metering: exact")
    if provider.wraps:
        found.append("the provider's own envelope")
    return tuple(found)


def _way(lane: Lane, target: Target) -> Way:
    """Names were validated: they can stand in headers."""
    told = (("lane", lane), ("provider", target.provider), ("model", target.model))
    headers = tuple((f"x-rotator-{name}".encode(), value.encode("latin-1", "replace")) for name, value in told)
    return Way(lane, target.provider, target.model, headers)


def required_lane(headers: Mapping[str, str], plan: Plan) -> None:
    """``x-rotator-require: raw``: 400 naming what closes the raw lane to this target (design.md 2.1)."""
    wanted = headers.get(REQUIRE_HEADER)
    if wanted is None or wanted == plan.lane == "raw":
        return
    if wanted != "raw":
        message = f"{REQUIRE_HEADER}: expected raw, found {wanted[:40]!r}"
    else:
        message = f"{REQUIRE_HEADER}: {plan.target.provider} is not served raw ({', '.join(plan.blockers)})"
    raise Refused(
        error_of(ErrorKind.BAD_REQUEST, message, code="lane_required", param=REQUIRE_HEADER, should_retry=False)
    )


def names(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Header pairs as a mapping, the first of repeated names."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
