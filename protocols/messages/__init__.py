"""Anthropic Messages.  Source: protocols.md 1.3, 1.8, 4.5; clients.md 1, 2 and 3 (Claude Code)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rotator.api import (
    Call,
    Codec,
    Envelope,
    ListedModel,
    Meter,
    NeutralError,
    Operation,
    RefusedReply,
    Register,
    Route,
    SessionHint,
    hookimpl,
)

from .._shared import header_hints, parse_or_none, peek_model_and_stream, text
from .codec import MessagesCodec, MessagesCounting
from .errors import read_error, refuse
from .meter import MessagesMeter
from .state import MessagesState

PATHS: Mapping[Operation, str] = {
    "generate": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "models": "/v1/models",
}


class Messages:
    """The adapter; see ``rotator.contracts.ProtocolAdapter`` for each member."""

    name = "messages"
    routes = (
        Route("POST", "/v1/messages", "generate"),
        Route("POST", "/v1/messages/count_tokens", "count_tokens"),
    )
    #: Betas pass verbatim, the list changes with every client release (clients.md 3); workspaces name an account.
    request_headers = ("anthropic-version", "anthropic-beta", "idempotency-key", "x-client-request-id")
    reply_headers = ("request-id", "anthropic-ratelimit-*")
    #: The API requires a version; this one still takes sampling parameters (protocols.md 0.2 item 1).
    default_headers = (("anthropic-version", "2023-06-01"),)
    #: A whole answer, and ``message_start``.  Source: protocols.md 4.5.
    model_paths = (("model",), ("message", "model"))
    #: Streams always tell it.  Source: protocols.md 3.4.
    usage_on_request = False
    fallback = False
    codecs: Mapping[Operation, Codec] = {"generate": MessagesCodec(), "count_tokens": MessagesCounting()}
    state = MessagesState()

    def recognises(self, headers: Mapping[str, str]) -> bool:
        """Every Anthropic client sends its version, on the model list too.  Source: clients.md 1.1."""
        return "anthropic-version" in headers

    def peek(self, call: Call) -> Envelope:
        return peek_model_and_stream(call)

    def session_hints(self, call: Call) -> Sequence[SessionHint]:
        """Agents' headers, then the session inside ``metadata.user_id``.  Source: clients.md 1.7."""
        hints = header_hints(call.headers)
        metadata = call.json.get("metadata")
        user = text(metadata.get("user_id")) if isinstance(metadata, dict) else None
        if user:
            session = _session_of(user)
            if session:
                hints.append(SessionHint(session, "metadata.user_id"))
            hints.append(SessionHint(user, "user", trusted=False))
        return hints

    def upstream_path(self, operation: Operation, model: str, streaming: bool) -> str:
        """Behind a base without a version.  Source: design.md 6, Base URLs."""
        return PATHS[operation]

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> NeutralError:
        return read_error(status, headers, body, self.name)

    def refuse(self, error: NeutralError) -> RefusedReply:
        return refuse(error, self.name)

    def meter(self, call: Call) -> Meter:
        return MessagesMeter(call, self.name)

    def ask_usage(self, body: dict[str, Any]) -> bool:
        return False

    def without_usage(self, data: Any) -> Any:
        return data

    def read_models(self, body: Any) -> Sequence[str]:
        """``{"data":[{"id"}],"has_more"}``, one page.  Source: protocols.md 1.3."""
        data = body.get("data") if isinstance(body, dict) else None
        entries = data if isinstance(data, list) else []
        ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
        return tuple(found for found in ids if isinstance(found, str) and found)

    def example(self, model: str) -> Any:
        return {"model": model, "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "hi"}]}

    def write_models(self, models: Sequence[ListedModel]) -> Any:
        """Source: protocols.md 1.3, row "Models"; creation times are unknown to us."""
        data = [
            {"type": "model", "id": model.id, "display_name": model.id, "created_at": "1970-01-01T00:00:00Z"}
            for model in models
        ]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def _session_of(user: str) -> str | None:
    """The session in a ``user_id``: a JSON string's ``session_id``, or what follows ``_session_`` (older form)."""
    if user.startswith("{"):
        parsed = parse_or_none(user.encode("utf-8", "surrogatepass"))
        return text(parsed.get("session_id")) if isinstance(parsed, dict) else None
    _, mark, session = user.rpartition("_session_")
    return session if mark and session else None


@hookimpl
def register_protocols(register: Register) -> None:
    register(Messages())
