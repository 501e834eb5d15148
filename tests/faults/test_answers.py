"""Answers that are odd but legal, errors of the vendor's, and bodies that are none (faults.md 1)."""

import json
from typing import Any

import pytest

from tests.faults import upstream
from tests.faults.checks import (
    BOTH,
    ENDS,
    ONCE,
    WAYS,
    Clients,
    attempts,
    doubted,
    failing,
    healthy,
    is_good,
    last_line,
    used,
)
from tests.faults.upstream import body, envelope, status, trunc_500, well
from tests.faults.wire import MIB, Fault, Wire, head
from tests.upstreams import FRAMES

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMED: Any = {"ids": lambda fault: fault.__name__}

LEGAL: list[Fault] = [
    upstream.http10,
    upstream.early_hints,
    upstream.close_delim,
    upstream.gzip,
    upstream.gzip_stream,
    upstream.header_inject,
    upstream.ct_none,
]


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("fault", LEGAL, **NAMED)
async def test_what_is_odd_but_legal_works(
    clients: Clients, protocol: str, lane: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    async with failing(house, fault, lane=lane) as vendor:
        for _ in range(2):
            answer = await house.call(protocol, "any", stream=stream)
            assert (is_good(protocol, lane, answer), attempts(answer)) == (True, 1)
            assert answer.headers["content-type"] == ("text/event-stream" if stream else "application/json")
            assert not answer.names & {"content-encoding", "content-security-policy", "link"}
        if stream:
            assert await clients.said(protocol) == ("one two", None)
        assert (vendor.turns, doubted(house, protocol)) == (2 + stream, [False])


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("code", [400, 404, 413, 422])
async def test_what_the_vendor_says_of_the_request_is_final(
    clients: Clients, protocol: str, lane: str, stream: bool, code: int
) -> None:
    """In its own envelope, or its words in the client's."""
    house = clients.house

    async def fault(wire: Wire) -> None:
        await wire.answer(envelope(wire.protocol, "Bad thing", n=[1.5, None]), code)

    async with failing(house, fault, keys=2, lane=lane) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.message, refusal.waits) == (code, "Bad thing", (None, None, None))
        if lane == "raw":
            assert refusal.json == json.loads(envelope(protocol, "Bad thing", n=[1.5, None]))
        else:
            kind = refusal.json["error"]["type"]
            assert kind == (ANTHROPIC_TYPES[code] if protocol == "messages" else "invalid_request_error")
        assert (refusal.attempts, len(vendor.taken), house.clock.slept) == (1, 1, [])
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[], []], [False, False])


#: What Messages clients are told of a status (protocols.md 1.8).
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
}
#: What a server that has failed may send: status, body, type -> what the client gets, by protocol.
FAILED: dict[str, tuple[Fault, dict[str, int]]] = {
    "500": (status(500), {"chat": 500, "messages": 500}),
    "503 empty": (status(503, b""), {"chat": 503, "messages": 503}),
    "503 text": (status(503, b"Come back later", content_type="text/plain"), {"chat": 503, "messages": 503}),
    "502 html": (status(502, b"<html>garbage</html>", content_type="text/html"), {"chat": 502, "messages": 502}),
    "500 trunc": (trunc_500, {"chat": 500, "messages": 500}),
    "529": (status(529), {"chat": 503, "messages": 529}),
    "504 html as json": (status(504, b"<html>garbage</html>"), {"chat": 504, "messages": 504}),
}


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("case", FAILED)
async def test_a_failure_of_the_vendors_is_tried_again_and_then_told(
    clients: Clients, protocol: str, lane: str, stream: bool, case: str
) -> None:
    house = clients.house
    fault, statuses = FAILED[case]
    async with failing(house, fault, lane=lane) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (statuses[protocol], 2, 2)
        [pause] = house.clock.slept
        assert 0.4 <= pause <= 0.6  # with jitter
        assert refusal.waits == (None, None, None)
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])
        if case == "503 text":
            assert refusal.message == "Come back later"
    async with failing(house, fault, well, keys=2, lane=lane) as vendor:
        for tries in (2, 1):
            answer = await house.call(protocol, "any", stream=stream)
            assert (answer.status, attempts(answer), house.clock.slept) == (200, tries, [])
        assert (used(house, vendor, protocol), doubted(house, protocol)) == ([1, 2, 2], [True, False])


@BOTH
@ENDS
@WAYS
async def test_a_huge_error_is_cut_before_anything_reads_it(
    clients: Clients, protocol: str, lane: str, stream: bool
) -> None:
    house = clients.house
    total = 8 * MIB

    async def fault(wire: Wire) -> None:
        await wire.send(head(400, content_type="application/json", content_length=total))
        await wire.send(b'{"error":{"message":"sk-')
        for _ in range(total // 65_536):
            await wire.send(b"a" * 65_536)

    async with failing(house, fault, lane=lane) as vendor, healthy(house):
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (400, 1, 1)
        assert len(refusal.body) < 1_000 and "aaa" not in refusal.body
    assert vendor.sent_bytes < total


@BOTH
async def test_an_error_that_fits_is_told_in_full(clients: Clients, protocol: str) -> None:
    """What is told of a vendor's error has the bound of its body: 64 KiB."""
    house = clients.house
    for size, told in ((65_536, True), (65_537, False)):
        text = envelope(protocol, "a" * (size - len(envelope(protocol, ""))))
        async with failing(house, status(400, text)):
            refusal = await clients.refused(protocol, False)
            assert refusal.status == 400
            assert refusal.message.startswith("aaa" if told else "upstream answered HTTP 400")


FIRST = {
    "chat": b'data: {"error":{"message":"Broken","type":"server_error","code":null,"param":null}}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"Broken"}}\n\n',
}


async def error200(wire: Wire) -> None:
    await wire.answer(b'{"type":"error","error":{"type":"api_error","message":"Broken"}}')


async def error_first(wire: Wire) -> None:
    await wire.answer(FIRST[wire.protocol] + wire.good, content_type=wire.kind)


async def error_second(wire: Wire) -> None:
    await wire.answer(FRAMES[wire.protocol][0] + FIRST[wire.protocol] + wire.good, content_type=wire.kind)


@BOTH
@ENDS
@pytest.mark.parametrize(
    ("fault", "stream"), [(error200, False), (error200, True), (error_first, True), (error_second, True)]
)
async def test_an_error_in_disguise_is_the_error_that_it_is(
    clients: Clients, protocol: str, lane: str, stream: bool, fault: Fault
) -> None:
    house = clients.house
    async with failing(house, fault, lane=lane) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken), refusal.message) == (500, 2, 2, "Broken")
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])
    async with failing(house, fault, well, keys=2, lane=lane) as vendor:
        answer = await house.call(protocol, "any", stream=stream)
        assert (is_good(protocol, lane, answer), attempts(answer), b"Broken" in answer.body) == (True, 2, False)
        assert (used(house, vendor, protocol), house.clock.slept) == ([1, 2], [])


NULLS = b'{"id":null,"type":"message","role":null,"choices":null,"content":null,"stop_reason":null,"usage":null}'
UTF16 = '{"choices":[{"message":{"content":"hi"}}],"content":[]}'.encode("utf-16")
#: Body -> the codes of which one tells what is wrong, for a whole answer and for a stream.
BAD: dict[str, tuple[Fault, set[str], set[str]]] = {
    "trunc_cl": (upstream.trunc_cl, {"answer_broke"}, {"answer_broke"}),
    "trunc_cl_rst": (upstream.trunc_cl_rst, {"answer_broke", "connection_broke"}, {"answer_broke", "connection_broke"}),
    "empty": (body(b""), {"not_json"}, {"truncated"}),
    "json_bad": (body(b'{"choices":[{"index":0,'), {"not_json"}, {"not_json"}),
    "json_nan": (body(b'{"choices":[{"index":NaN}],"content":[NaN]}'), {"not_json"}, {"not_json"}),
    "json_utf16": (body(UTF16, content_type="application/json; charset=utf-16"), {"not_json"}, {"truncated"}),
    "ct_html": (body(b"<html>garbage</html>", content_type="text/html"), {"not_json"}, {"truncated"}),
    "gzip_corrupt": (upstream.gzip_corrupt, {"encoding", "not_json"}, {"encoding", "truncated"}),
    "gzip_trunc": (upstream.gzip_trunc, {"answer_broke"}, {"answer_broke"}),
    "gzip_none": (body(b"this is no gzip", content_encoding="gzip"), {"encoding"}, {"encoding"}),
    "enc_unknown": (body(b"\x1b garbage", content_encoding="br"), {"encoding"}, {"encoding"}),
}
#: Valid JSON that answers nothing.
EMPTY: dict[str, bytes] = {
    "nulls": NULLS,
    "empty_lists": b'{"choices":[],"usage":{},"system_fingerprint":[]}',
    "array_body": b"[]",
    "array of answers": b'[{"choices":[{"message":{"content":"hi"}}],"type":"message","content":[]}]',
    "string_body": b'"text"',
    "object_body": b"{}",
    "null_body": b"null",
}


async def bad_gateway(clients: Clients, protocol: str, lane: str, stream: bool, fault: Fault) -> str:
    """The fault alone is a 502 after a second try, before a good answer it is not noticed; the code that told it."""
    house = clients.house
    async with failing(house, fault, lane=lane) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (502, 2, 2)
        assert refusal.waits == (None, None, None)
        assert (house.reasons(protocol, "any"), doubted(house, protocol)) == ([[]], [True])
        code = last_line(house).rpartition(", ")[2]
    async with failing(house, fault, well, keys=2, lane=lane) as vendor:
        answer = await house.call(protocol, "any", stream=stream)
        assert (is_good(protocol, lane, answer), attempts(answer), house.clock.slept) == (True, 2, [])
        assert (used(house, vendor, protocol), doubted(house, protocol)) == ([1, 2], [True, False])
    return code


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("case", BAD)
async def test_a_body_that_cannot_be_read_is_a_bad_gateway(
    clients: Clients, protocol: str, lane: str, stream: bool, case: str
) -> None:
    fault, whole, streamed = BAD[case]
    assert await bad_gateway(clients, protocol, lane, stream, fault) in (streamed if stream else whole)


@pytest.mark.pitfall("C239")
@BOTH
@ENDS
@pytest.mark.parametrize("case", EMPTY)
async def test_a_body_that_answers_nothing_is_a_bad_gateway(
    clients: Clients, protocol: str, lane: str, case: str
) -> None:
    assert await bad_gateway(clients, protocol, lane, False, body(EMPTY[case])) == "empty_response"


@BOTH
@ENDS
@pytest.mark.parametrize("case", EMPTY)
async def test_json_that_is_no_stream_is_a_bad_gateway(clients: Clients, protocol: str, lane: str, case: str) -> None:
    code = await bad_gateway(clients, protocol, lane, True, body(EMPTY[case]))
    assert code in ("not_a_stream", "empty_response", "truncated")


async def test_an_answer_that_says_nothing_is_one(clients: Clients) -> None:
    """An empty list of content is how a model says nothing, and a choice may be without text."""
    silent = {
        "messages": b'{"type":"message","content":[],"stop_reason":"end_turn","usage":{"output_tokens":0}}',
        "chat": b'{"choices":[{"index":0,"message":{"content":null},"finish_reason":"stop"}]}',
    }
    for protocol, text in silent.items():
        async with failing(clients.house, body(text)):
            answer = await clients.house.call(protocol, "any")
            assert (answer.status, answer.body, attempts(answer)) == (200, text, 1)


@BOTH
@WAYS
async def test_the_budgets_bound_what_breaks_for_ever(clients: Clients, protocol: str, stream: bool) -> None:
    house = clients.house
    async with failing(house, upstream.trunc_cl, config={"retry": {"same_key": 3, "max_attempts": 3}}) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (502, 3, 3)
    async with failing(house, upstream.trunc_cl, config=ONCE) as vendor:
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.attempts, len(vendor.taken)) == (502, 1, 1)
