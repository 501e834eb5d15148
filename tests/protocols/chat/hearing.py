"""Small builders of events, and what a Chat client gets of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rotator.neutral.events import (
    ArgumentsDelta,
    BlockEnd,
    BlockStart,
    End,
    Event,
    Finished,
    Start,
    TextDelta,
)
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import (
    Citation,
    Logprob,
    Part,
    Text,
    ToolCall,
)
from rotator.neutral.request import ReasoningWish, Tool
from rotator.neutral.response import Finish
from tests.neutral.laws import check_laws
from tests.protocols.chat.clients import (
    REQUEST,
    check_stream,
    written,
)

ROLE = {"role": "assistant", "content": ""}
PAGE = "https://page.example"
LONG = "toolu_" + "x" * 40
FOREIGN, OWN = Start("messages", "msg_1"), Start("chat", "c-1", "up", 7)
FUNCTIONS = replace(REQUEST, tools=(Tool("one", at=("functions", 0)), Tool("two", at=("functions", 1))))
HIDDEN = replace(REQUEST, reasoning=ReasoningWish(display="hidden"))


def block(number: int, part: Part, *events: Any, candidate: int = 0) -> list[Event]:
    """A block; what belongs to it is given without its number."""
    inner = [event._replace(block=number) for event in events]
    return [BlockStart(number, part, candidate), *inner, BlockEnd(number)]


def words(number: int, *pieces: str, candidate: int = 0) -> list[Event]:
    return block(number, Text(""), *(TextDelta(0, piece) for piece in pieces), candidate=candidate)


def call(number: int, id: str, name: str, *pieces: str, **more: Any) -> list[Event]:
    return block(number, ToolCall(id, name, **more), *(ArgumentsDelta(0, piece) for piece in pieces))


def heard(
    *events: Any,
    finish: Finish | None = None,
    start: Start = FOREIGN,
    request: Any = REQUEST,
    ledger: Ledger | None = None,
) -> list[Any]:
    """The deltas that a client gets behind the role, with their logprobs if there are any, and the finish reason."""
    stream = [start, *events, Finished(finish or Finish("stop")), End()]
    assert check_laws(stream, serial=True) == []
    said = check_stream(written(stream, request, ledger))
    choices = [one["choices"][0] for one in said]
    assert choices[0]["delta"] == ROLE
    shown = [
        choice["delta"] | ({"logprobs": choice["logprobs"]} if choice["logprobs"] else {}) for choice in choices[1:-1]
    ]
    return [*shown, choices[-1]["finish_reason"]]


def first(index: int, id: str, name: str, **more: Any) -> dict[str, Any]:
    entry = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    return {"tool_calls": [{**entry, **more}]}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def leaning(start: int, end: int, **rest: Any) -> dict[str, Any]:
    cited = {"url": PAGE, "title": "A page", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": {**cited, **rest}}


WEB = Citation("web", PAGE, "A page", "words")
TOKEN = Logprob("é", -0.5, None, (Logprob("a", -2.0, (97,)),))
TOLD_TOKEN = {
    "token": "é",
    "logprob": -0.5,
    "bytes": [195, 169],
    "top_logprobs": [{"token": "a", "logprob": -2.0, "bytes": [97]}],
}
