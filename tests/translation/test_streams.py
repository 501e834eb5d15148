"""Streams of every row: event by event what clients get, by the laws of their protocol, however the bytes were cut."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upstreams import cut

from .cells import SIDES, Found, Streamed, found
from .codecs import against_schemas, agree, asked, streamed
from .folding import folded
from .frames import events_of, heard, sent
from .laws import LAWS, broken
from .matching import code_differences, differences
from .rows_answers import ROWS as ANSWERS
from .rows_streams import ROWS as STREAMS
from .unfolding import RICH, TOOLS, unfolded

CASES = list(found((*STREAMS, *ANSWERS), Streamed))
WHOLE = [one for one in CASES if one.cell.client is not None]
BROKEN = [one for one in CASES if one.cell.client is None]


def ids(one: Found) -> str:
    return one.id


def bytes_of(one: Found) -> list[bytes]:
    return sent(one.upstream, one.cell.upstream)


@pytest.mark.pitfall("C232")
@pytest.mark.parametrize("one", WHOLE, ids=ids)
def test_a_stream_becomes_what_the_table_says(one: Found) -> None:
    trip = asked(one.client, one.upstream, one.cell.asked, stream=True)
    got = streamed(trip, bytes_of(one))
    assert got.error is None
    problems = differences(one.cell.client, heard(one.client, got.body)) + code_differences(one.cell.losses, trip.codes)
    agree(problems + broken(one.client, events_of(got.body)), got.body)
    folded(one.client, got.body)


@pytest.mark.pitfall("C15")
@pytest.mark.parametrize("protocol", LAWS)
def test_streams_obey_the_published_schemas(protocol: str) -> None:
    problems = []
    for one in (one for one in WHOLE if one.client == protocol):
        got = streamed(asked(one.client, one.upstream, one.cell.asked, stream=True), bytes_of(one))
        told = against_schemas(protocol, got.body.decode(), True) if got.error is None else ()
        problems += [f"{one.id}: {problem}" for problem in told]
    agree(problems, None)


@pytest.mark.parametrize("one", BROKEN, ids=ids)
def test_a_stream_that_breaks_off_ends_in_an_error(one: Found) -> None:
    trip = asked(one.client, one.upstream, one.cell.asked, stream=True)
    got = streamed(trip, bytes_of(one))
    assert got.error is not None
    agree(broken(one.client, events_of(got.body)), got.body)
    last: Any = events_of(got.body)[-1][1]
    assert last["error"]["message"] == got.error.message
    with pytest.raises(Exception, match=got.error.message[:20]):
        folded(one.client, got.body)


@cache
def told_to(protocol: str) -> list[tuple[str, Any]]:
    """Every stream of the tables that clients of a protocol get, by the case's name."""
    own = [one for one in CASES if one.client == protocol]
    trips = [(one, asked(one.client, one.upstream, one.cell.asked, stream=True)) for one in own]
    return [(one.id, events_of(streamed(trip, bytes_of(one)).body)) for one, trip in trips]


@pytest.mark.parametrize("law", [(protocol, name) for protocol in LAWS for name in LAWS[protocol]], ids=".".join)
def test_every_stream_keeps_the_law(law: tuple[str, str]) -> None:
    """And each law is broken by some stream: one that nothing can break proves nothing."""
    protocol, name = law
    holds = LAWS[protocol][name]
    agree([f"{case}: {problem}" for case, events in told_to(protocol) for problem in holds(events)], None)
    assert list(holds(BAD[protocol][name]))


def test_every_law_has_a_stream_that_breaks_it() -> None:
    assert {protocol: sorted(BAD[protocol]) for protocol in BAD} == {one: sorted(LAWS[one]) for one in LAWS}


@pytest.mark.parametrize(("client", "upstream"), list(SIDES.values()))
@settings(max_examples=50, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=60))
@pytest.mark.pitfall("P-122")
def test_it_does_not_matter_where_a_rich_answer_is_cut(client: str, upstream: str, places: list[int]) -> None:
    whole = b"".join(sent(upstream, unfolded(upstream, RICH[upstream])))
    trips = [asked(client, upstream, TOOLS[client], stream=True) for _ in range(2)]
    assert streamed(trips[0], cut(whole, places)) == streamed(trips[1], [whole])


@pytest.mark.parametrize("one", CASES, ids=ids)
@settings(max_examples=5, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=30))
def test_it_does_not_matter_where_the_bytes_are_cut(one: Found, places: list[int]) -> None:
    whole = b"".join(bytes_of(one))
    first, again = (
        streamed(asked(one.client, one.upstream, one.cell.asked, stream=True), chunks)
        for chunks in ([whole], cut(whole, places))
    )
    assert again == first


@pytest.mark.parametrize("one", CASES, ids=ids)
def test_a_stream_of_the_clients_own_protocol_says_the_same(one: Found) -> None:
    """Folded by the SDK; what breaks off, breaks off there too."""
    own = one.upstream
    trip = asked(own, own, {"stream_options": {"include_usage": True}} if own == "chat" else {}, stream=True)
    got = streamed(trip, bytes_of(one))
    assert (got.error is None) == (one.cell.client is not None)
    lost = [f"lost {code}" for code in trip.codes if code not in one.cell.losses]
    agree(broken(own, events_of(got.body)) + lost, got.body)


CHUNK = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}


def choice(delta: Any, finish: Any = None, **more: Any) -> tuple[None, Any]:
    return None, {**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def call(**members: Any) -> tuple[None, Any]:
    return choice({"tool_calls": [members]})


def named(kind: str, **more: Any) -> tuple[str, Any]:
    return kind, {"type": kind, **more}


def opened(kind: str, index: int = 0, **more: Any) -> tuple[str, Any]:
    return named("content_block_start", index=index, content_block={"type": kind, **more})


def moved(kind: str, index: int = 0, **more: Any) -> tuple[str, Any]:
    return named("content_block_delta", index=index, delta={"type": kind, **more})


STOP = named("content_block_stop", index=0)
HEAD = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
BAD: dict[str, dict[str, list[Any]]] = {
    "chat": {
        "frames_have_no_names": [("message", CHUNK)],
        "chunks_have_choices": [(None, {**CHUNK, "choices": None})],
        "choices_have_deltas": [choice(None)],
        "the_role_comes_first_and_once": [choice({"role": "assistant"}), choice({"role": "assistant"})],
        "calls_count_from_nought": [call(**{**HEAD, "index": 1})],
        "a_calls_head_comes_once": [call(**HEAD), call(**HEAD)],
        "arguments_are_text": [call(**{**HEAD, "function": {"name": "f", "arguments": None}})],
        "the_finish_comes_once_and_alone": [choice({"content": "x"}, "stop"), (None, "[DONE]")],
        "usage_comes_last": [choice({}, usage={"prompt_tokens": 1}), choice({})],
        "a_chat_stream_ends_once": [choice({})],
        "lists_have_indexes": [choice({"annotations": [{}]}), choice({"annotations": [{}]})],
        "the_head_never_changes": [choice({}), choice({}, id="b")],
        "nothing_is_empty": [(None, CHUNK)],
    },
    "messages": {
        "frames_are_named_by_their_type": [(None, {"type": "ping"})],
        "the_message_starts_first_and_once": [named("ping"), named("message_start")],
        "the_start_tells_its_usage": [named("message_start", message={"usage": {"input_tokens": 1}})],
        "blocks_start_in_order": [opened("text", 1), named("message_stop")],
        "a_message_delta_tells_the_end": [named("message_delta", delta={}, usage={}), named("message_stop")],
        "a_message_stops_once": [named("message_stop"), named("ping")],
        "input_comes_as_json_text": [opened("tool_use", input={"a": 1}), moved("x", partial_json="[]"), STOP],
        "a_signature_comes_once_at_the_end": [
            opened("thinking"), moved("signature_delta"), moved("thinking_delta"), STOP,
        ],
        "thinking_starts_empty": [opened("thinking", thinking="Hm."), STOP],
        "deltas_are_of_their_blocks_kind": [opened("text", text=""), moved("thinking_delta"), STOP],
        "only_known_events_come": [named("keepalive")],
        "nothing_is_empty": [("message", {})],
    },
}
