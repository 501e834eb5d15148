"""Whatever vendors send, and what we send ourselves, read as a stream."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.errors import UpstreamFailed
from rotator.neutral.events import (
    Event,
)
from rotator.neutral.losses import Ledger
from tests.neutral.laws import fold
from tests.neutral.strategies import streams
from tests.protocols.chat.clients import IDS, REQUEST, check_stream, module, plain, written
from tests.protocols.chat.junk import chunks
from tests.protocols.chat.streamed import (
    read,
)

build_response: Any = module("response").build_response
parse_response: Any = module("response").parse_response


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.lists(chunks(), max_size=6))
def test_whatever_comes_the_laws_are_kept(data: list[Any]) -> None:
    read(*data)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(overlapping=False))
def test_what_was_written_means_the_same(events: list[Event]) -> None:
    """The stream that a client gets, read as an upstream's, is the answer that the whole one is."""
    try:
        whole = build_response(fold(events), REQUEST, IDS, Ledger())
    except UpstreamFailed:
        return
    again = fold(read(*check_stream(written(events), own=fold(events).protocol == "chat")))
    assert plain(build_response(again, REQUEST, IDS, Ledger())) == plain(
        build_response(parse_response(whole, Ledger()), REQUEST, IDS, Ledger())
    )
