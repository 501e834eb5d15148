"""The frames of an upstream's Messages stream, and what the reader makes of them."""

from __future__ import annotations

import json
from typing import Any

from rotator.neutral.events import BlockStart, End, Event, Finished, Start
from rotator.neutral.losses import Ledger
from rotator.neutral.parts import Citation, Reasoning, Text, ToolCall
from rotator.neutral.response import Finish
from tests.protocols.messages.folding import keep_laws, module

Frame = dict[str, Any]
PAGE = {"type": "web_search_result_location", "url": "https://page.example", "title": "A page", "cited_text": "words"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}


def begin(usage: Any = None, **more: Any) -> Frame:
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage, **more}
    return {"type": "message_start", "message": message}


def start(index: int, **block: Any) -> Frame:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **members: Any) -> Frame:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def words(index: int, text: str) -> Frame:
    return delta(index, "text_delta", text=text)


def thinks(index: int, text: str) -> Frame:
    return delta(index, "thinking_delta", thinking=text)


def argues(index: int, text: str) -> Frame:
    return delta(index, "input_json_delta", partial_json=text)


def stop(index: int) -> Frame:
    return {"type": "content_block_stop", "index": index}


def ends(reason: Any = "end_turn", usage: Any = None, **more: Any) -> Frame:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None, **more}, "usage": usage}


STOP: Frame = {"type": "message_stop"}
PING: Frame = {"type": "ping"}


def error(kind: Any, message: Any = "m") -> Frame:
    return {"type": "error", "error": {"type": kind, "message": message}}


def cut(text: str, sizes: list[int]) -> list[str]:
    """The text in pieces."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


def block_frames(index: int, block: Frame, sizes: list[int]) -> list[Frame]:
    """A block as the API streams it."""
    match block["type"]:
        case "text":
            begun = {"type": "text", "text": ""}
            pieces = [words(index, piece) for piece in cut(block["text"], sizes)]
            pieces += [delta(index, "citations_delta", citation=one) for one in block.get("citations", [])]
        case "thinking":
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            pieces = [thinks(index, piece) for piece in cut(block["thinking"], sizes)]
            pieces.append(delta(index, "signature_delta", signature=block["signature"]))
        case "tool_use" | "server_tool_use":
            begun = {**block, "input": {}}
            text = json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False)
            pieces = [argues(index, piece) for piece in ["", *cut(text, sizes)]]
        case _:
            begun, pieces = block, []
    return [start(index, **begun), *pieces, stop(index)]


def read(*frames: Frame, ended: bool = False, ledger: Ledger | None = None) -> list[Event]:
    """The events of these frames, and of the end; the laws are kept."""
    one = module("reader").MessagesReader(ledger or Ledger())
    events = [event for frame in frames for event in one.read(frame.get("type"), frame)]
    events += one.end() if ended else ()
    keep_laws(events)
    return events


BEGUN = Start("messages", "msg_01", "claude-x")
OVER = [Finished(Finish("stop", "end_turn")), End()]
TEXT, THINKING = BlockStart(0, Text("")), BlockStart(0, Reasoning())
CALL = BlockStart(0, ToolCall("toolu_1", "lookup"))
USE = {"type": "tool_use", "id": "toolu_1", "name": "lookup"}
CITATION = Citation("web", "https://page.example", "A page", "words", raw=PAGE)
