"""Streams for Messages clients: what the writer makes of neutral events, and the official client's view of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anthropic
import httpx2

from rotator.errors import UpstreamFailed
from rotator.neutral.codec import Ids
from rotator.neutral.events import End, Event, Finished, Start
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import ToolCall
from rotator.neutral.request import Request
from rotator.neutral.response import Finish
from tests.protocols.messages.folding import module

writer: Any = module("writer")
losses: Any = module("answer_losses")

IDS = Ids("request-1", 1_700_000_000, "alias")
REQUEST = Request("messages", "m", (), stream=True)
CHAT, OWN = Start("chat", "chatcmpl-1", "gpt", 1_700_000_000), Start("messages", "msg_up", "claude-x")
OVER: tuple[Event, ...] = (Finished(Finish("stop")), End())
CALL = ToolCall("call_1", "lookup")



def write(*events: Event, ledger: Ledger | None = None) -> bytes:
    """The stream of these events; where nothing can be told it ends with the error, as the engine ends it."""
    one = writer.MessagesWriter(REQUEST, IDS, ledger or Ledger())
    out = b""
    try:
        for event in events:
            out += one.write(event)
    except UpstreamFailed as failed:
        out += one.fail(failed.error)
    return out


def lost(ledger: Ledger) -> list[str]:
    """The codes of what was lost, all of them declared."""
    assert {loss.code for loss in ledger.losses} <= losses.ANSWER_LOSSES.keys()
    return [loss.code for loss in ledger.losses]


def over_http(stream: bytes) -> Any:
    """The final message that ``messages.stream()`` makes of these bytes."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = httpx2.MockTransport(lambda request: answer)
    with httpx2.Client(transport=transport) as http:
        client = anthropic.Anthropic(api_key="any", base_url="http://proxy", http_client=http, max_retries=0)
        asked: Iterable[Any] = [{"role": "user", "content": "Hi"}]
        with client.messages.stream(model="alias", max_tokens=64, messages=asked) as messages:
            return messages.get_final_message()
