"""Chat streams as clients get them."""

from __future__ import annotations

from typing import Any, get_args

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.errors import UpstreamFailed
from rotator.neutral.events import Event
from rotator.neutral.losses import Ledger
from rotator.neutral.response import Finish, Reason
from tests.neutral.laws import check_laws, fold
from tests.neutral.strategies import streams
from tests.protocols.chat.clients import IDS, REQUEST, check_stream, codes, completion, module, plain, written

build_response: Any = module("response").build_response

ENDING = st.sampled_from([one for one in get_args(Reason) if one not in ("malformed", "cancelled")])
FINISHES = st.builds(Finish, ENDING, st.sampled_from(["", "native_word", "stop"]))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=streams(overlapping=False, finishes=FINISHES))
def test_a_folded_stream_is_the_whole_answer(events: list[Event]) -> None:
    assert check_laws(events, serial=True) == []
    told, heard = Ledger(), Ledger()
    stream = written(events, ledger=heard)
    try:
        whole = build_response(fold(events), REQUEST, IDS, told)
    except UpstreamFailed as failed:
        with pytest.raises(openai.APIError, match=failed.error.message):
            completion(stream)
        return
    assert plain(completion(stream)) == plain({**whole, "object": "chat.completion"})
    assert codes(told) == codes(heard)
    check_stream(stream)
