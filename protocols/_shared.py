"""What the wire protocols share: reading untrusted JSON and the parts of a raw meter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rotator.api import Call, Envelope, ErrorKind, NeutralError, NotJson, Refused, SessionHint, error_of, loads

#: Vendor text that reaches a client or a log is cut here (characters); bodies are capped long before.
MESSAGE_LIMIT: Final = 2_000

_CONTAINERS: Final = (dict, list)

#: Headers in which agents send a conversation id, on every protocol.  Source: clients.md 1.7.
SESSION_HEADERS: Final = ("x-claude-code-session-id", "session-id", "thread-id", "x-session-id", "x-session-affinity")


def peek_model_and_stream(call: Call) -> Envelope:
    """``model`` (a non-empty string) and ``stream`` (a boolean, default false) of a JSON request body."""
    model = call.json.get("model")
    if not isinstance(model, str) or not model:
        reason = "is required" if model is None else "must be a non-empty string"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, f"model: {reason}", param="model"))
    stream = call.json.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise Refused(error_of(ErrorKind.BAD_REQUEST, "stream: must be true or false", param="stream"))
    return Envelope(model, bool(stream))


def fresh(value: Any) -> Any:
    """A copy of JSON, down to the leaves, of what is written into; the client's own never changes."""
    if type(value) is dict:
        return {name: fresh(below) if type(below) in _CONTAINERS else below for name, below in value.items()}
    if type(value) is list:
        return [fresh(below) if type(below) in _CONTAINERS else below for below in value]
    return value


def header_hints(headers: Mapping[str, str]) -> list[SessionHint]:
    """Conversation ids in headers; all of these name one conversation by themselves."""
    return [SessionHint(headers[name], name) for name in SESSION_HEADERS if headers.get(name)]


def parse_or_none(body: bytes) -> Any:
    """The parsed body, or None where it is no JSON."""
    try:
        return loads(body)
    except NotJson:
        return None


def text(value: Any) -> str | None:
    """A non-empty string, cut to what may be shown; None for anything else."""
    return value[:MESSAGE_LIMIT] if isinstance(value, str) and value else None


def count(container: Any, name: str) -> int:
    """A token count in an object; 0 where it is absent, null, negative, no integer, or there is no object."""
    value = container.get(name) if type(container) is dict else 0
    return value if type(value) is int and value > 0 else 0


def unreadable(status: int, headers: Mapping[str, str], body: bytes, kind: ErrorKind) -> NeutralError:
    """An error answer that is not the vendor's JSON: HTML, text, nothing.  HTML never reaches a client."""
    message = f"upstream answered HTTP {status} without an error message"
    if headers.get("content-type", "").startswith("text/plain") and body:
        message = body[:MESSAGE_LIMIT].decode("utf-8", "replace").strip() or message
    return NeutralError(kind, message, status)


def no_answer(lacking: str) -> NeutralError:
    """A whole answer in which there is none; another key may get one.  Source: engine.md 9.6, "Empty 200"."""
    message = f"upstream: the answer holds no {lacking}"
    return error_of(ErrorKind.BAD_GATEWAY, message, code="empty_response")


def first_text(values: Iterable[Any]) -> str | None:
    """The first non-empty string among these."""
    return next((found for found in map(text, values) if found), None)
