"""What a Chat client makes of the bytes that it gets: the official SDK's decoder and accumulator, and the schemas.

Nothing of ``protocols/`` is used here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from rotator.errors import UpstreamFailed
from rotator.neutral.codec import Ids
from rotator.neutral.events import Event
from rotator.neutral.losses import Ledger
from rotator.neutral.request import Request
from rotator.neutral.restore import wrapped_input
from tests.upstreams import PROTOCOLS

SUITES = Path(__file__).parents[4] / "shared" / "suites" / "api-schemas"
CREATED = 1_760_000_000
IDS = Ids("req_1", CREATED, "asked-model")
#: Its usage is told, so that a stream says all that a whole answer does.
REQUEST = Request("chat", "m", (), usage_in_stream=True)
CLIENT = openai.OpenAI(api_key="k", base_url="http://127.0.0.1/v1")
#: Members of a message that are lists of entries.
LISTS = ("tool_calls", "annotations", "images", "reasoning_details")


def module(name: str) -> Any:
    """A module of the plug-in, as discovery loaded it."""
    assert "chat" in PROTOCOLS
    return import_module(f"rotator.plugins.protocols.chat.{name}")


def codes(ledger: Ledger) -> set[str]:
    return {loss.code for loss in ledger.losses}


def written(events: Iterable[Event], request: Request = REQUEST, ledger: Ledger | None = None) -> bytes:
    """The bytes of a stream."""
    writer = module("writer").ChatWriter(request, IDS, ledger or Ledger())
    out = b""
    try:
        for event in events:
            out += writer.write(event)
    except UpstreamFailed as failed:  # as the engine ends it
        out += writer.fail(failed.error)
    return out


def chunks(stream: bytes) -> list[Any]:
    """The JSON of each frame, ``[DONE]`` as text.  All but heartbeats are one data line that no client cuts."""
    *frames, rest = stream.decode().replace(": ping\n\n", "").split("\n\n")
    assert rest == ""
    assert all(frame.startswith("data: ") and len(frame.splitlines()) == 1 for frame in frames)
    return [frame[6:] if frame == "data: [DONE]" else json.loads(frame[6:]) for frame in frames]


def check_stream(stream: bytes, own: bool = False) -> list[Any]:
    """The chunks of a stream that ends well: the grammar of protocols.md 4.3 and the published schema are kept.

    ``own``: the upstream spoke Chat in words of its own (tiers, finish reasons), which no schema knows.
    """
    *said, done = chunks(stream)
    assert done == "[DONE]"
    assert len({(one["id"], one["created"], one["model"], one.get("system_fingerprint")) for one in said}) == 1
    assert all(one["object"] == "chat.completion.chunk" for one in said)
    spending = [one for one in said if "usage" in one]
    assert spending in ([], said[-1:])
    assert all(one["choices"] == [] for one in spending)
    roles: set[int] = set()
    finished: set[int] = set()
    calls: dict[int, int] = {}
    for one in said[: len(said) - len(spending)]:
        (choice,) = one["choices"]
        index, delta = choice["index"], choice["delta"]
        assert ("role" in delta) == (index not in roles)
        assert index not in finished
        roles.add(index)
        for call in delta.get("tool_calls", ()):
            assert ("id" in call) == ("type" in call) == (call["index"] == calls.get(index, 0))
            calls[index] = max(calls.get(index, 0), call["index"] + 1)
        if choice["finish_reason"] is not None:
            assert delta == {}
            finished.add(index)
    assert finished == roles
    if not own and (schema := validator("openai.chat_stream")):
        for one in said:
            schema.validate(one)
    return said


def completion(stream: bytes) -> dict[str, Any]:
    """The completion that openai-python puts together from the bytes.  Raises APIError where they tell one."""
    response = httpx2.Response(200, content=stream, request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    state: Any = ChatCompletionStreamState()
    for chunk in openai.Stream(cast_to=ChatCompletionChunk, response=response, client=CLIENT):
        list(state.handle_chunk(chunk))
    found: dict[str, Any] = state.current_completion_snapshot.to_dict()
    return found


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A completion without what says nothing: nulls, empty content, the indexes of entries in a message's lists.

    Custom calls are calls of a function: a stream has no word for them (protocols.md 4.3).
    """
    choices = [_said({**choice, "message": _message(choice["message"])}) for choice in body["choices"]]
    return _said({**body, "choices": choices})


def _message(message: dict[str, Any]) -> dict[str, Any]:
    lists: dict[str, Any] = {name: [_entry(dict(entry)) for entry in message.get(name) or ()] for name in LISTS}
    said = {name: found or None for name, found in lists.items()}
    said["content"] = message.get("content") or None
    said["audio"] = _said(message.get("audio") or {}) or None
    return _said({**message, **said})


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("index", None)
    custom = entry.pop("custom", None)
    if custom is not None:
        entry |= {"type": "function", "function": {"name": custom["name"], "arguments": wrapped_input(custom["input"])}}
    if "function" in entry:
        entry["function"] = {name: value for name, value in entry["function"].items() if name != "parsed_arguments"}
    return entry


def _said(value: dict[str, Any]) -> dict[str, Any]:
    return {name: found for name, found in value.items() if found is not None}


@cache
def validator(name: str) -> jsonschema.Draft202012Validator | None:
    """A schema of the suite, None where the suites are not here."""
    path = SUITES / f"{name}.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text())) if path.exists() else None


def check_answer(body: dict[str, Any]) -> None:
    """A whole answer keeps the published schema, but for transcripts that nobody made (conversion-pitfalls.md P146)."""
    schema = validator("openai.chat")
    if schema is None:
        return
    body = json.loads(json.dumps(body))
    for choice in body["choices"]:
        choice["message"].get("audio", {}).setdefault("transcript", "")
    schema.validate(body)
