"""The contracts between the engine and its plug-ins, and the small data that crosses them (design.md 3).

A member stands here because the engine calls it; a test walks the code and fails on one that nothing calls.
*client* is the side that called us, *upstream* the vendor's side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from rotator.neutral.bound import BoundState
from rotator.neutral.codec import Codec
from rotator.neutral.error import NeutralError
from rotator.neutral.losses import NOTES_LIMIT, Note
from rotator.neutral.secret import Secret
from rotator.neutral.usage import Usage
from rotator.quota import QuotaFact

#: Header pairs, names in lower case.
HeaderPairs = Sequence[tuple[str, str]]

#: What a call may ask for. ``models`` is only ever asked of an upstream; clients get our own list.
Operation = Literal["generate", "count_tokens", "models"]

Lane = Literal["raw", "native", "translate"]


@dataclass(frozen=True, slots=True)
class Route:
    """A client endpoint of a protocol: exact path and what it asks for."""

    method: str
    path: str
    operation: Operation


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called: ``id`` is a fingerprint of the client key (``local`` without one), ``label`` is for people."""

    id: str
    label: str


class Call(NamedTuple):
    """A client's request, accepted and parsed once.

    Data made for every request is a named tuple here: as immutable as a frozen dataclass, at a fifth of its price.

    ``headers`` are lower-case, repeated ones joined by ", ". ``body`` is what the client sent, ``json`` the same
    parsed (always an object). ``query`` is raw, without "?".
    """

    protocol: str
    operation: Operation
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    json: Mapping[str, Any]


class Envelope(NamedTuple):
    """What routing needs of a request: the model as the client named it, and whether a stream is asked for."""

    model: str
    streaming: bool


@dataclass(frozen=True, slots=True)
class SessionHint:
    """A conversation id that a client sent. ``source`` names where it stood (a header, ``metadata.user_id``).

    ``trusted``: whether it names a conversation by itself; others count only where the operator lists their source.
    """

    id: str
    source: str
    trusted: bool = True


@dataclass(slots=True)
class Signals:
    """What a meter has seen of an answer so far.

    ``visible``: something a person would see has come. ``finish``: the vendor's own finish reason. ``ended``: the
    protocol's terminal has come. ``error``: the vendor's error, in the body or in-band. ``outputs`` counts pieces of
    output (deltas): pings and comments are none. ``states`` are the opaque states in it (protocols.md 2.4).
    """

    visible: bool = False
    outputs: int = 0
    finish: str | None = None
    ended: bool = False
    usage: Usage | None = None
    error: NeutralError | None = None
    states: list[str] = field(default_factory=list)

    def hold(self, state: str) -> None:
        """One more state, up to what any answer could need."""
        self.states += [state] if len(self.states) < 1_000 else []


class Meter(Protocol):
    """Reads a copy of one raw answer: usage, completion evidence, errors.  One per attempt."""

    signals: Signals

    def feed(self, block: bytes) -> int:
        """Read complete stream frames; how many bytes of ``block`` belong to the client.

        All of them, but nothing behind the terminal frame and nothing from an in-band error frame on.
        """
        ...

    def whole(self, body: Any) -> None:
        """Read a whole (not streamed) answer, parsed."""
        ...

    def fail(self, error: NeutralError) -> bytes:
        """The frames that end a stream with this error, in the protocol's own in-band form."""
        ...

    def trailer(self) -> bytes:
        """The frames that a finished stream still lacks (``[DONE]``, ``message_stop``); b"" if none."""
        ...


@dataclass(frozen=True, slots=True)
class RefusedReply:
    """An error as a client of one protocol expects it: HTTP status and JSON body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A line of the model list: the id that clients send (``provider/model``) and who owns it."""

    id: str
    owner: str


class ProtocolAdapter(Protocol):
    """One wire protocol. Synchronous, no I/O, no state between calls."""

    name: str
    routes: Sequence[Route]
    #: Client headers that go upstream, and vendor headers that go to the client, in the raw and native lanes;
    #: lower-case, a trailing ``*`` matches any ending.
    request_headers: Sequence[str]
    reply_headers: Sequence[str]
    #: Sent upstream where the client did not send them.
    default_headers: HeaderPairs
    #: Where an answer, or an event of a stream, names the model: paths of member names.  The native lane puts the
    #: client's own name there.
    model_paths: Sequence[Sequence[str]]
    #: Whether a stream tells its usage only when the request asks for it.
    usage_on_request: bool
    #: True for the one protocol in whose envelope requests are refused that no protocol recognises.
    fallback: bool
    #: The operations that can be translated from and to other protocols.
    codecs: Mapping[Operation, Codec]
    #: None where its requests hold no such state.
    state: BoundState | None

    def recognises(self, headers: Mapping[str, str]) -> bool:
        """Whether a request to an endpoint that protocols share (``/v1/models``) comes from a client of this one."""
        ...

    def peek(self, call: Call) -> Envelope:
        """Model and stream switch. Raises Refused naming the field if they cannot be read."""
        ...

    def session_hints(self, call: Call) -> Sequence[SessionHint]:
        """Conversation ids that the client sent, the most trustworthy first."""
        ...

    def upstream_path(self, operation: Operation, model: str, streaming: bool) -> str:
        """The path behind a provider's base URL, beginning with "/"."""
        ...

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> NeutralError:
        """An upstream's error answer. ``body`` may be anything: JSON, HTML, nothing."""
        ...

    def refuse(self, error: NeutralError) -> RefusedReply:
        """An error in this protocol's envelope and status."""
        ...

    def meter(self, call: Call) -> Meter:
        """A reader of the raw answer to this call."""
        ...

    def ask_usage(self, body: dict[str, Any]) -> bool:
        """Make a streamed request ask for usage, in place; True if the client had not asked for it."""
        ...

    def without_usage(self, data: Any) -> Any:
        """An event as it would have come to a client that did not ask for usage; None where nothing is left of it."""
        ...

    def read_models(self, body: Any) -> Sequence[str]:
        """Model names in an upstream's list; entries that cannot be read are left out."""
        ...

    def example(self, model: str) -> Any:
        """The smallest streamed request for the first route, as wire JSON: what the banner shows."""
        ...

    def write_models(self, models: Sequence[ListedModel]) -> Any:
        """The model list in this protocol's shape, as wire JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """One key of one provider. ``id`` is a stable hash; only the transport's headers ever hold the secret in clear."""

    id: str
    provider: str
    label: str
    secret: Secret | None
    tier: str | None = None
    priority: int = 10


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What may be said about a key in a file: never the key.  ``priority`` 1 is best."""

    label: str | None = None
    tier: str | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        if self.priority is not None and self.priority < 1:
            raise ValueError("priority: expected a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class Profile:
    """One wire protocol of a provider, with the base URL that the vendor documents for it."""

    name: str
    protocol: str
    base_url: str
    #: How its requests differ from what the protocol's author had in mind; the protocol's codec knows the words.
    dialect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose fault a failure is and what it means for the key; data, turned into actions by one table (routing).

    ``scope`` says what it counts for: this key with this model, this key with any, the provider, or the request only.
    ``retry_after_seconds`` is what the vendor stated, None if it stated nothing. ``source`` tells where that stood, or
    else where the judgement came from (header, body, status, text, transport).
    """

    blame: Literal["client", "credential", "model", "provider", "network"]
    scope: Literal["request", "model", "credential", "provider"]
    reason: str
    retry_after_seconds: float | None = None
    source: str = "status"


class Fetch(Protocol):
    """GET a URL as JSON for a provider; raises UpstreamFailed."""

    def __call__(self, provider: Provider, url: str, headers: HeaderPairs) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the app lends a provider: the protocols by name and a way to fetch JSON."""

    protocols: Mapping[str, ProtocolAdapter]
    fetch: Fetch


class WireRequest(NamedTuple):
    """A request in the upstream's own JSON before it is written.  ``headers`` are lower-case, ``query`` without "?"."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    query: str = ""


@dataclass(frozen=True, slots=True)
class AdapterUse:
    """An adapter as a declaration names it; ``options`` None where none are given."""

    name: str
    options: Any = None


@dataclass(frozen=True, slots=True)
class Handling:
    """How a provider's requests and answers are to be treated on their way (design.md 6, "A provider in YAML").

    ``lane`` is the least lane. ``exact_metering`` asks the vendor for usage where it would not tell it.
    ``ends_without_finish``: its streams have no finish reason. ``skip_failing``: an adapter that raises is passed by.
    """

    adapters: Sequence[AdapterUse] = ()
    lane: Lane = "raw"
    exact_metering: bool = False
    ends_without_finish: bool = False
    skip_failing: bool = False


class Provider(Protocol):
    """One vendor: where it is, how it is asked, what its errors mean. It never sees which protocol the client spoke."""

    name: str
    profiles: Mapping[str, Profile]
    default_profile: str
    #: Whether it needs no key (one keyless credential ``#0``).
    keyless: bool
    #: Serves when nothing else is configured, or on ``--demo``.
    stand_in: bool
    #: Model names known without asking.
    listed: Sequence[str]
    handling: Handling
    #: What the declaration says of rotation: the keys of docs/rotation.md, unread.
    rotation: Mapping[str, Any]
    #: Whether ``finalise`` or ``unwrap`` does anything; then the raw lane is closed.
    wraps: bool
    #: How often ``quota`` is asked for each key, in the background; None: never.
    quota_every_seconds: float | None

    def key_facts(self) -> Mapping[str, KeyFacts]:
        """Label, tier and priority by key number, as a declaration's ``credentials`` states them."""
        ...

    def own_secrets(self) -> Sequence[Secret]:
        """Keys that the provider brings itself; none for nearly all."""
        ...

    def configured(self, overlay: Mapping[str, Any], at: str) -> Provider:
        """This provider with declaration keys replaced (``at``: where they stand).  Raises ConfigError."""
        ...

    def rebased(self, base_url: str, at: str) -> Provider:
        """This provider with the base URL of its default profile replaced.  Raises ConfigError."""
        ...

    def address(self, profile: Profile, path: str, query: str) -> str:
        """The URL for a protocol's path under a profile's base."""
        ...

    def authorise(self, credential: Credential) -> HeaderPairs:
        """The provider's constant headers and the credential's; they win over all others."""
        ...

    def finalise(self, request: WireRequest, credential: Credential) -> WireRequest:
        """The last step of a request: an envelope, a constant field, a query.  ``unwrap`` undoes it on answers."""
        ...

    def unwrap(self, data: Any) -> Any:
        """The first step of an answer, or of an event of a stream: the protocol's own JSON."""
        ...

    def classify(self, error: NeutralError, status: int, headers: Mapping[str, str]) -> Verdict:
        """What a failure means. ``status`` is 0 where the vendor never answered."""
        ...

    def quota_facts(self, headers: Mapping[str, str], now: float) -> Sequence[QuotaFact]:
        """What an answer's headers say of quotas; ``now`` is unix seconds.  It is asked of every answer: be quick."""
        ...

    async def quota(self, runtime: Runtime, credential: Credential) -> Sequence[QuotaFact]:
        """What the vendor says of this credential's quotas when it is asked.  Raises UpstreamFailed."""
        ...

    async def models(self, runtime: Runtime, credential: Credential) -> Sequence[str]:
        """Model names that this credential may use, asked of the vendor."""
        ...

    async def start(self, runtime: Runtime) -> None:
        """Begin background work; called once before the first request. Nothing touches the network here."""
        ...

    async def aclose(self) -> None:
        """End what start began; works after a start that failed half-way."""
        ...


@dataclass(slots=True)
class JsonFrame:
    """One event of a stream with its JSON parsed; ``event`` is its name, None where the wire gives none."""

    event: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Context:
    """The attempt that an adapter serves.  ``credential`` is a fingerprint, ``caller`` that of the client's key."""

    provider: str
    profile: str
    model: str
    protocol: str
    operation: Operation
    credential: str
    session: str | None
    caller: str
    #: None where nobody reads them.
    notes: list[Note] | None = None

    def note(self, step: str, code: str, path_from: str = "", path_to: str = "") -> None:
        """Say in the trace what was done."""
        if self.notes is not None and len(self.notes) < NOTES_LIMIT:
            self.notes.append(Note(step, code, path_from, path_to))


class Adapter(Protocol):
    """One request/response transform; ``Class(options)`` refuses bad options at load.

    The object that ``open`` gives may have ``on_request(body)``, ``on_response(body)``, ``on_event(frame)`` giving
    frames, and ``on_end()`` giving the last ones; what it lacks changes nothing. ``WireAdapter`` has all of them;
    ``NeutralAdapter`` has the same for neutral requests, answers and events.
    """

    name: str
    form: Literal["wire", "neutral"]
    #: For wire adapters: the protocols whose JSON they understand; empty means any.
    protocols: Sequence[str]

    def open(self, ctx: Context) -> Any:
        """The object that serves one attempt."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model name leads: a provider's profile and the model's name there."""

    provider: str
    profile: str
    model: str


class Needs(NamedTuple):
    """What a lease must satisfy. ``pin`` is a label that the client asked for; ``tried`` are credential ids used up.

    ``session`` places the request (rendezvous hash) so that a conversation stays on one key and its prompt cache.
    ``home`` is the id of the credential that reasoning in the conversation is bound to: it serves if it can.
    ``deadline`` (monotonic seconds) is how long it may wait for a place; in the past: not at all. ``tokens`` is an
    estimate of what it costs, ``request`` its id; ``free``: it counts against no window and no cap.
    """

    session: str | None = None
    pin: str | None = None
    tried: frozenset[str] = frozenset()
    deadline: float = float("-inf")
    tokens: int = 0
    request: str = ""
    free: bool = False
    home: str | None = None


class Outcome(NamedTuple):
    """How an attempt ended, told to the pool once.

    ok: completion evidence was seen. failed: ``verdict`` says why. cancelled: the client left; nobody's fault.
    unused: nothing was sent.
    """

    ended: Literal["ok", "failed", "cancelled", "unused"]
    verdict: Verdict | None = None
    usage: Usage | None = None


class Clock(Protocol):
    """Time, injected wherever a policy reads it, so that rotation can be simulated."""

    def time(self) -> float:
        """Unix seconds, for people and for what outlives the process."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for cooldowns and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call back after so long; what is returned stops that."""
        ...


Register = Callable[[Any], None]
