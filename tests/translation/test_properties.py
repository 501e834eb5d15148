"""What holds for every conversation and every count of tokens: nothing changes, nothing is invented, prefixes stay."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Text
from rotator.neutral.response import Candidate, Finish, Response
from rotator.neutral.usage import Usage
from rotator.wire.jsontext import dumps

from .cells import SIDES, Case, found
from .codecs import IDS, begin, codec, laid, parsed, vendors_fault
from .conversations import CONVERSATIONS, Exchange, body, meaning, told
from .rows_requests import ROWS
from .words import LEAST, text

CASES = list(found(ROWS, Case))
PROTOCOLS = pytest.mark.parametrize("protocol", ["chat", "messages"])
PAIRS = pytest.mark.parametrize(("client", "upstream"), list(SIDES.values()))
EVERY_PAIR = pytest.mark.parametrize(
    ("client", "upstream"), [(one, other) for one in ("chat", "messages") for other in ("chat", "messages")]
)
#: Instructions in the middle under their own role, so that they can be told apart from what a user says.
DIALECTS = {"messages": {"mid_system": "role"}, "chat": {}}
often = settings(max_examples=30, deadline=None)


def emptied(value: Any) -> Any:
    """Neutral data without what only its own protocol knows."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(emptied(one) for one in value))
    if isinstance(value, tuple):
        return tuple(map(emptied, value))
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: emptied(getattr(value, one.name)) for one in fields(value) if one.name != "rest"}
        return replace(value, **changed, **({"rest": {}} if any(one.name == "rest" for one in fields(value)) else {}))
    return value


@pytest.mark.parametrize("one", CASES, ids=[one.id for one in CASES])
def test_what_every_protocol_knows_comes_back(one: Any) -> None:
    request = emptied(parsed(one.client, laid(LEAST[one.client], one.cell.client)))
    ledger = Ledger()
    built = codec(one.client).build(request, ledger)
    again = parsed(one.client, built.body)
    assert emptied(replace(again, usage_in_stream=request.usage_in_stream)) == request
    assert ledger.losses == []


@PROTOCOLS
@often
@given(exchanges=CONVERSATIONS)
def test_a_conversation_comes_back_as_it_was(protocol: str, exchanges: tuple[Exchange, ...]) -> None:
    asked = body(protocol, told(protocol, exchanges))
    trip = begin(protocol, protocol, asked)
    assert parsed(protocol, trip.wire) == parsed(protocol, asked)
    assert trip.codes == []


@PAIRS
@often
@given(exchanges=CONVERSATIONS)
def test_a_conversation_means_the_same_to_the_other_protocol(
    client: str, upstream: str, exchanges: tuple[Exchange, ...]
) -> None:
    """And its vendor takes it; nothing in it is a loss."""
    asked = body(client, told(client, exchanges))
    trip = begin(client, upstream, asked, DIALECTS[upstream])
    assert trip.codes == []
    assert meaning(parsed(upstream, trip.wire)) == meaning(parsed(client, asked))
    assert vendors_fault(upstream, trip.wire, trip.built.headers) is None


@EVERY_PAIR
@often
@given(exchanges=CONVERSATIONS)
@pytest.mark.pitfall("P-58", "P-132")
def test_the_same_conversation_gives_the_same_bytes(
    client: str, upstream: str, exchanges: tuple[Exchange, ...]
) -> None:
    asked = body(client, told(client, exchanges))
    once, again = (dumps(begin(client, upstream, asked).built.body) for _ in range(2))
    assert once == again


def pieces(upstream: str, wire: Any) -> Iterator[bytes]:
    """What an upstream's cache counts as one piece: a message, or where those grow, a block; a string is one."""
    for message in wire["messages"]:
        if upstream == "chat":
            yield dumps(message)
            continue
        content = message["content"]
        blocks = [text(content)] if isinstance(content, str) else content
        yield from (dumps([message["role"], block]) for block in blocks)


@EVERY_PAIR
@often
@given(exchanges=CONVERSATIONS)
def test_a_growing_conversation_keeps_its_prefix(client: str, upstream: str, exchanges: tuple[Exchange, ...]) -> None:
    """Source: protocols.md 2.6, Prefix stability; T-14."""
    steps = told(client, exchanges)
    before: list[bytes] = []
    head = b""
    for count in range(1, len(steps) + 1):
        wire = begin(client, upstream, body(client, steps[:count])).wire
        now = list(pieces(upstream, wire))
        assert now[: len(before)] == before
        rest = dumps({name: value for name, value in wire.items() if name != "messages"})
        assert head in (b"", rest)
        before, head = now, rest


COUNTS = st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


def through(protocol: str, usage: Usage) -> Usage:
    """The usage that a protocol tells, read again."""
    answer = Response("third", "up", "up-model", (Candidate((Text("Hello."),), Finish("stop")),), usage)
    told = codec(protocol).build_response(answer, parsed(protocol, LEAST[protocol]), IDS, Ledger())
    read = codec(protocol).parse_response(told, Ledger()).usage
    assert read is not None
    return read


@PAIRS
@often
@given(usage=USAGES)
@pytest.mark.pitfall("P-145")
def test_usage_survives_the_way_there_and_back(client: str, upstream: str, usage: Usage) -> None:
    """Both protocols tell all five buckets."""
    there = through(upstream, usage)
    assert there == usage
    assert through(upstream, through(client, there)) == there


@PROTOCOLS
@often
@given(usage=st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_totals_always_survive(protocol: str, usage: Usage) -> None:
    """What a provider's own tools read has no bucket here and counts as input."""
    told = through(protocol, usage)
    assert (told.input_total, told.output_total) == (usage.input_total, usage.output_total)
