"""What a protocol gives so that it can be translated: the contract that a protocol's author implements.

A codec speaks one operation of one protocol in both roles. *client* role: ``parse`` its requests, ``build_response``
and ``writer`` for its answers. *upstream* role: ``build`` requests, ``parse_response`` and ``reader`` of answers.
Nothing in it knows what the other side speaks, but for the ``protocol`` of what it is given: only where that is its own
name does it write ``rest`` and ``Opaque`` parts back. All is synchronous and without I/O, and what is given the same
twice comes out in the same bytes: no clock, no randomness (``Ids`` mints from what the engine gives it), no state
between requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from rotator.neutral.error import NeutralError
from rotator.neutral.events import Event
from rotator.neutral.losses import Ledger
from rotator.neutral.request import Request
from rotator.neutral.response import Response


class ToolName(NamedTuple):
    """What a tool is called by the client, where the upstream had to be told another name or kind."""

    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str = ""


class Built(NamedTuple):
    """A request in an upstream's JSON.  ``names``: the wire names of its tools that are to be told back otherwise.

    A ``custom`` tool that stands here was emulated by a function with one string, ``input``; the engine takes it out of
    the arguments again. ``headers`` (lower case) are those that the body demands. The body may share objects with the
    request and with other bodies: it is only read, wire stages get a copy.
    """

    body: dict[str, Any]
    names: Mapping[str, ToolName] = {}
    headers: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ids:
    """What the ids and the time of one answer are made from.  ``model`` is the name that the client asked for.

    ``seed`` is unique to the answer (the request id); ``created`` are unix seconds.
    """

    seed: str
    created: int
    model: str

    def mint(self, prefix: str, number: int = 0) -> str:
        """An id of the client's protocol: the prefix and 24 hex digits, the same for the same number."""
        return prefix + hashlib.sha256(f"{self.seed}/{prefix}{number}".encode()).hexdigest()[:24]


class Reader(Protocol):
    """Reads one upstream stream.  What it gives keeps the laws of ``rotator.neutral.events``."""

    def read(self, event: str | None, data: Mapping[str, Any]) -> Sequence[Event]:
        """The events in one frame: its name on the wire, None without one, and its JSON object."""
        ...

    def end(self, terminal: bool = False, complete: bool = False) -> Sequence[Event]:
        """The stream is over, by its ``terminal`` or because the connection ended.

        ``complete``: the vendor never tells a finish, so what came is all of it (``ends_without_finish``).
        Blocks and candidates that have a finish reason are completed, and ``End`` comes if the answer is complete; the
        engine calls an answer without ``End`` truncated.
        """
        ...


class Writer(Protocol):
    """Writes one client stream."""

    def write(self, event: Event) -> bytes:
        """The frames that an event makes, b"" if none; ``End`` makes the terminal ones, ``Failed`` never comes.

        Raises UpstreamFailed where nothing of the answer can be told, as ``build_response`` does.
        """
        ...

    def fail(self, error: NeutralError) -> bytes:
        """The frames that end the stream with an error, at any moment after ``Start`` or before it."""
        ...


class Codec(Protocol):
    """One operation of a protocol, in both roles."""

    #: Every code that its ledgers get -> what it means, in a sentence for users.
    losses: Mapping[str, str]
    #: Those of them that leave nothing out: what is told in another form or place, repaired or approximated.
    changes: frozenset[str]
    #: The data of the frame that ends a stream and is no JSON (``[DONE]``); b"" where there is none.
    terminal: bytes
    #: Names of frames whose data must be JSON; frames without a name must anyway, others are passed over if not.
    frame_names: frozenset[str]

    def with_dialect(self, options: Mapping[str, Any]) -> Codec:
        """The codec for a provider that says how it differs.  Raises ConfigError naming what is no option."""
        ...

    def family(self, model: str) -> str:
        """The models among which this one's opaque state is of use, by one name.  Source: protocols.md 2.4 R1, R11."""
        ...

    def account_bound(self, model: str) -> bool:
        """Whether its opaque state is of use to the account alone that got it.  Source: protocols.md 2.4 R12."""
        ...

    def parse(self, body: Mapping[str, Any], model: str, stream: bool, ledger: Ledger) -> Request:
        """A client's request.  ``model`` and ``stream`` are what ``peek`` found.  Raises Refused naming the field."""
        ...

    def build(self, request: Request, ledger: Ledger) -> Built:
        """The request for an upstream.  Raises Refused naming the client's field that has no place here."""
        ...

    def eased(self, error: NeutralError, request: Request) -> Codec | None:
        """The codec that asks for less of what an upstream's error refuses, None where nothing of that kind helps.

        What it leaves out of the next try are losses like all others. Source: protocols.md 6.4.2, 7.7.
        """
        ...

    def parse_response(self, body: Mapping[str, Any], ledger: Ledger) -> Response:
        """A whole answer, which is no error and holds some answer (the meter saw to it)."""
        ...

    def build_response(self, response: Response, request: Request, ids: Ids, ledger: Ledger) -> dict[str, Any]:
        """The answer for a client.  Raises UpstreamFailed where nothing of it can be told."""
        ...

    def reader(self, ledger: Ledger) -> Reader:
        """A reader for one stream."""
        ...

    def writer(self, request: Request, ids: Ids, ledger: Ledger) -> Writer:
        """A writer for one stream."""
        ...
