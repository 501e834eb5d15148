"""Every case of the tables through the real server: requests as the vendor sees them, answers as the client does."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from rotator.wire.sse import mend
from tests.upstreams import House

from . import normal
from .cells import Case, Failing, Found, Refused, Streamed, Told, found
from .codecs import agree, asked, laid, streamed
from .frames import events_of, heard, sent
from .laws import broken
from .matching import OneOf, code_differences, differences, overlay
from .rows_answers import ROWS as ANSWERS
from .rows_requests import ROWS as REQUESTS
from .rows_streams import ROWS as STREAMS
from .staging import LANES, Passed, here, passed, provider, staged
from .unfolding import unfolded
from .words import ANSWER, BUILT, LEAST, SHOWN

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = list(found(REQUESTS, Case))
REFUSED = list(found(REQUESTS, Refused))
TOLD = list(found((*ANSWERS, *STREAMS), Told))
FAILING = list(found(ANSWERS, Failing))
PLAYED = list(found((*STREAMS, *ANSWERS), Streamed))
ENVELOPES = re.compile(rb"rot1\.[\w.-]+")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with staged(tmp_path_factory.mktemp("house")) as running:
        yield running


def ids(one: Found) -> str:
    return one.id


def says_hello(protocol: str, stream: bool) -> list[bytes]:
    """The smallest answer of a vendor."""
    whole = ANSWER[protocol]
    return sent(protocol, unfolded(protocol, whole)) if stream else [json.dumps(whole).encode()]


@pytest.mark.parametrize("one", CASES, ids=ids)
async def test_a_request_reaches_the_vendor_as_the_table_says(house: House, one: Found) -> None:
    case: Case = one.cell
    body = laid(LEAST[one.client], case.client)
    stream = bool(body.get("stream"))
    via = provider(one.upstream, dialect=case.dialect)
    got = await passed(house, one.client, body, via, says_hello(one.upstream, stream), stream)
    problems = differences(normal.request(laid(BUILT[one.upstream], case.wire)), normal.request(got.wire))
    agree(problems + code_differences(case.losses, got.codes), got.wire)
    assert (got.answer.status, got.lane) == (200, "translate"), got.answer.body


@pytest.mark.parametrize("one", REFUSED, ids=ids)
async def test_a_request_without_a_place_is_refused_before_the_vendor(house: House, one: Found) -> None:
    body = laid(LEAST[one.client], one.cell.client)
    got = await passed(house, one.client, body, provider(one.upstream), [b"{}"], False)
    assert (got.answer.status, got.seen) == (400, b"")
    assert got.answer.headers["x-should-retry"] == "false"
    error = got.answer.error
    assert one.cell.param in (error["param"] if one.client == "chat" else error["message"])


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("one", CASES, ids=ids)
async def test_a_request_of_the_vendors_own_protocol_passes_in_every_lane(house: House, one: Found, lane: str) -> None:
    body = laid(LEAST[one.client], one.cell.client)
    stream = bool(body.get("stream"))
    via = provider(one.client, lane)
    got = await passed(house, one.client, body, via, says_hello(one.client, stream), stream)
    assert got.lane == lane or got.repaired
    own = laid(LEAST[one.client], one.cell.own) if one.cell.own is not None and lane == "translate" else body
    if lane == "raw":
        assert got.seen == got.sent.replace(f'"{via}/'.encode(), b'"', 1)
    elif lane == "native":
        assert got.wire == body
    else:
        lost = [] if got.repaired else got.codes
        agree(differences(normal.request(own), normal.request(got.wire)) + lost, got.wire)


@pytest.mark.parametrize("one", TOLD, ids=ids)
async def test_an_answer_reaches_the_client_as_the_table_says(house: House, one: Found) -> None:
    via = provider(one.upstream)
    got = await told(house, one, via, one.client, False)
    assert (got.answer.status, got.lane) == (200, "translate"), got.answer.body
    wanted = laid(SHOWN[one.client], one.cell.client)
    choices = wanted.choices if isinstance(wanted, OneOf) else (wanted,)
    expected = OneOf(*(here(choice, house, via) for choice in choices))
    agree(differences(normal.answer(expected), normal.answer(got.answer.json)), got.answer.json)


@pytest.mark.parametrize("one", [one for one in TOLD if not one.cell.whole_only], ids=ids)
async def test_a_streamed_answer_is_the_codecs_own(house: House, one: Found) -> None:
    got = await told(house, one, provider(one.upstream), one.client, True)
    assert (got.answer.status, got.lane) == (200, "translate"), got.answer.body
    trip = asked(one.client, one.upstream, one.cell.asked, stream=True)
    by_hand = streamed(trip, answer_chunks(one, True))
    assert bare(one.client, got.answer.body) == bare(one.client, by_hand.body)


async def told(house: House, one: Found, via: str, client: str, stream: bool) -> Passed:
    """The upstream's answer of a case, to a client that asks for it."""
    body = overlay(LEAST[client], {**(one.cell.asked or {}), **({"stream": True} if stream else {})})
    return await passed(house, client, body, via, answer_chunks(one, stream), stream)


def answer_chunks(one: Found, stream: bool) -> Sequence[bytes]:
    """A case's answer as its vendor sends it, under the names that it was told."""
    body = laid(ANSWER[one.upstream], one.cell.upstream)
    if '"@0"' in json.dumps(body):
        tool = asked(one.client, one.upstream, one.cell.asked).wire["tools"][0]
        body = json.loads(json.dumps(body).replace("@0", tool["function"]["name"]))
    return sent(one.upstream, unfolded(one.upstream, body)) if stream else [json.dumps(body).encode()]


def bare(protocol: str, body: bytes) -> Any:
    """What a stream says, without the names, ids and times of this one, and what its envelopes hold."""
    events = heard(protocol, ENVELOPES.sub(b"rot1.", body))
    if protocol == "chat":
        return events
    nameless = {"id": "", "model": ""}
    return [{**one, "message": {**one["message"], **nameless}} if "message" in one else one for one in events]


@pytest.mark.parametrize("one", FAILING, ids=ids)
async def test_an_answer_of_which_nothing_can_be_told_is_no_success(house: House, one: Found) -> None:
    got = await told(house, one, provider(one.upstream), one.client, False)
    assert got.answer.status >= 500
    assert got.answer.error["message"]


@pytest.mark.parametrize("one", PLAYED, ids=ids)
async def test_a_stream_reaches_the_client_as_the_table_says(house: House, one: Found) -> None:
    """A failure before anything is shown has a status; one behind it is told in band."""
    case: Streamed = one.cell
    body = overlay(LEAST[one.client], {**(case.asked or {}), "stream": True})
    got = await passed(house, one.client, body, provider(one.upstream), sent(one.upstream, case.upstream), True)
    if case.client is None and got.answer.status != 200:
        assert got.answer.error["message"]
        return
    assert (got.answer.status, got.lane) == (200, "translate")
    events = heard(one.client, got.answer.body)
    problems = broken(one.client, events_of(got.answer.body))
    if case.client is None:
        problems += [] if "error" in events[-1] else ["no error"]
    else:
        problems += differences(case.client, events)
    agree(problems, got.answer.body)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("one", [one for one in TOLD if not one.cell.whole_only and one.cell.own is None], ids=ids)
async def test_an_answer_of_the_vendors_own_protocol_passes_in_every_lane(
    house: House, one: Found, stream: bool, lane: str
) -> None:
    own = one.upstream
    via = provider(own, lane)
    chunks = answer_chunks(one, stream)
    body = overlay(LEAST[own], {"stream": True} if stream else {})
    got = await passed(house, own, body, via, chunks, stream)
    assert (got.answer.status, got.lane) == (200, lane)
    if lane == "raw":
        assert got.answer.body == mend(b"".join(chunks), True) if stream else got.answer.body == b"".join(chunks)
    elif not stream:
        whole = renamed(json.loads(chunks[0]), via)
        agree(differences(normal.answer(whole), normal.answer(got.answer.json)), got.answer.json)
    elif lane == "native":
        sent_events = [(name, renamed(data, via)) for name, data in events_of(b"".join(chunks))]
        assert events_of(got.answer.body) == sent_events
    else:
        agree(broken(own, events_of(got.answer.body)), got.answer.body)


def renamed(event: Any, via: str) -> Any:
    """A vendor's answer or event under the name that the client asked for."""
    if not isinstance(event, dict):
        return event
    named = {**event, "model": f"{via}/m"} if "model" in event else event
    return {**named, "message": renamed(named["message"], via)} if "message" in named else named
