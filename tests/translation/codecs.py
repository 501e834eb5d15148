"""Runs a case: the codecs of two protocols and the engine's translation between them, without a server.

What is built is shown to the fake vendor's own checks; what a client gets, to the published schemas and to the laws.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import orjson
import pytest

from rotator.contracts import Context
from rotator.errors import UpstreamFailed
from rotator.exchange.bound import Home, StateMemory
from rotator.exchange.translate import Pair, Task, Translation
from rotator.exchange.translated import Conversion
from rotator.neutral.codec import Built, Codec, Ids
from rotator.neutral.error import ErrorKind, NeutralError, error_of
from rotator.neutral.losses import Ledger
from rotator.neutral.request import Request
from rotator.neutral.seal import Seal
from rotator.wire.jsontext import dumps, loads_exact
from rotator.wire.sse import FrameCutter, frames
from tests.upstreams import PROTOCOLS, engine

from .cells import Json
from .matching import OneOf, overlay
from .words import ASKED, CREATED, KEY, LEAST, MODEL, SECRET, SEED

ROOT = Path(__file__).resolve().parents[2]
#: What all projects of the house share; not there in a lone checkout.
SCHEMAS = ROOT.parent / "shared" / "suites" / "api-schemas"
IDS = Ids(SEED, CREATED, ASKED)
CONTEXT = Context("vendor", "profile", MODEL, "chat", "generate", "fingerprint", None, "local")
#: Where all answers come from; what requests hold of state is shown to the codecs as it was sent.
HOME = Home(Seal(lambda: SECRET), StateMemory(), ("vendor", MODEL, KEY), account_bound=True)
TRUNCATED = error_of(ErrorKind.BAD_GATEWAY, "upstream: the stream ended before the answer did", code="truncated")


def codec(protocol: str, dialect: Json | None = None) -> Codec:
    """A protocol's codec for generation."""
    found: Codec = PROTOCOLS[protocol].codecs["generate"]
    return found.with_dialect(dialect) if dialect else found


def parsed(protocol: str, body: Json, ledger: Ledger | None = None) -> Request:
    """A client's request.  Raises Refused."""
    return codec(protocol).parse(body, body["model"], bool(body.get("stream")), ledger or Ledger())


def laid(base: Json, more: Json | OneOf | None) -> Any:
    """The members of a case over the smallest body; of alternatives, over each."""
    if isinstance(more, OneOf):
        return OneOf(*(overlay(base, choice) for choice in more.choices))
    return overlay(base, more or {})


@dataclass
class Trip:
    """One request under way: parsed, and what stands between the client and the upstream."""

    client: str
    upstream: str
    translation: Translation
    ledger: Ledger
    built: Built = field(default_factory=lambda: Built({}))
    told_before: int = 0

    @property
    def wire(self) -> Any:
        """What the upstream reads."""
        return loads_exact(dumps(self.built.body))

    @property
    def codes(self) -> list[str]:
        """Of the losses told so far, without those of before; each is one that a protocol declares."""
        declared = codec(self.client).losses.keys() | codec(self.upstream).losses.keys()
        told = [loss.code for loss in self.ledger.losses[self.told_before :]]
        assert declared.issuperset(told)
        return told


def begin(client: str, upstream: str, body: Json, dialect: Json | None = None) -> Trip:
    """Parse and build a client's body.  Raises Refused, or UpstreamFailed where it has no place there."""
    ledger = Ledger()
    request = parsed(client, body, ledger)
    pair = Pair(codec(client), codec(upstream, dialect), client, upstream, (), None)
    translation = Translation(pair, Task(request, IDS, ledger, len(dumps(body)), None), CONTEXT, HOME)
    trip = Trip(client, upstream, translation, ledger)
    trip.built = translation.request()
    return trip


def asked(client: str, upstream: str, more: Json | None, stream: bool = False) -> Trip:
    """A trip whose request is only there to be answered; losses of the way there are of before."""
    body = overlay(LEAST[client], {**(more or {}), **({"stream": True} if stream else {})})
    trip = begin(client, upstream, body)
    trip.told_before = len(trip.ledger.losses)
    return trip


def answered(trip: Trip, body: Json) -> dict[str, Any]:
    """A whole answer as the client reads it."""
    told: dict[str, Any] = loads_exact(dumps(trip.translation.response(_with_tools(body, trip.built))))
    return told


def _with_tools(body: Any, built: Built) -> Any:
    """``@0`` stands for the name under which the upstream knows the first tool."""
    if isinstance(body, dict):
        return {name: _with_tools(value, built) for name, value in body.items()}
    if isinstance(body, list):
        return [_with_tools(value, built) for value in body]
    if body == "@0":
        tool = built.body["tools"][0]
        return tool["name"] if "name" in tool else tool["function"]["name"]
    return body


@dataclass
class Heard:
    """A client's stream: its bytes, and the error that ended it."""

    body: bytes
    error: NeutralError | None


def streamed(trip: Trip, chunks: Iterable[bytes]) -> Heard:
    """Read an upstream's bytes as the engine does, however they are cut, and write the client's."""
    conversion, cutter = Conversion(trip.translation), FrameCutter()
    out: list[bytes] = []
    signals = conversion.signals
    try:
        for block in _blocks(cutter, chunks):
            for frame in frames(block):
                conversion.show(conversion.frame(frame), out)
                if signals.ended or signals.error is not None:
                    break
        if not signals.ended and signals.error is None:
            conversion.show(conversion.ending(), out)
        error = signals.error or (None if signals.ended else TRUNCATED)
    except UpstreamFailed as failed:
        error = failed.error
    if error is not None:
        out.append(conversion.fail(error))
    return Heard(b"".join(out), error)


def _blocks(cutter: FrameCutter, chunks: Iterable[bytes]) -> Iterable[bytes]:
    for chunk in chunks:
        if block := cutter.feed(chunk):
            yield block
    if rest := cutter.rest().rstrip(b"\r\n"):
        yield rest + b"\n\n"


# ------------------------------------------------------------ who judges


def agree(problems: Sequence[str], got: Any) -> None:
    """Fail with everything that differs, one a line, and what was got."""
    if problems:
        shown = got.decode() if isinstance(got, bytes) else json.dumps(got, ensure_ascii=False)
        pytest.fail("\n".join([*problems, "", shown]), pytrace=False)


def vendors_fault(protocol: str, body: Any, headers: Mapping[str, str] | None = None) -> str | None:
    """What the fake vendor says against a request, None if it takes it."""
    sent = {**dict(PROTOCOLS[protocol].default_headers), **(headers or {})}
    call = engine.Call(protocol, orjson.loads(dumps(body)), sent, KEY, SECRET)
    fault = engine.first_fault(call, engine.CHECKS[protocol])
    return None if fault is None else fault.message


@cache
def checker(protocol: str, stream: bool) -> ModuleType:
    """The suite's own checker of answers."""
    spec = importlib.util.spec_from_file_location(f"check_{protocol}_{stream}", SCHEMAS / "check_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.argv = sys.argv, ["check_api.py", protocol]  # it reads its arguments when imported
    try:
        spec.loader.exec_module(module)
    finally:
        sys.argv = before
    module.V = validator  # its own leaves files open, which is an error here
    return module


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """A schema of the suite."""
    text = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(orjson.loads(text))


def against_schemas(protocol: str, body: str, stream: bool) -> Sequence[Any]:
    """What the published schemas say against an answer; the test is skipped where they are not here."""
    if not SCHEMAS.exists():
        pytest.skip("the shared suites are not here")
    problems: Sequence[Any] = checker(protocol, stream).check(body, protocol, stream)
    return problems
