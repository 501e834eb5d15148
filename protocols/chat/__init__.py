"""OpenAI Chat Completions.  Source: protocols.md 1.1, 1.8, 4.3; clients.md 1 and 2."""

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

from .._shared import header_hints, peek_model_and_stream
from .codec import ChatCodec
from .errors import read_error, refuse
from .meter import ChatMeter
from .state import ChatState

#: User-Agent beginnings of agents whose ``prompt_cache_key`` is one conversation.  Source: clients.md 1.7.
KEYED_AGENTS = ("codex", "opencode")


class Chat:
    """The adapter; see ``rotator.contracts.ProtocolAdapter`` for each member."""

    name = "chat"
    routes = (Route("POST", "/v1/chat/completions", "generate"),)
    #: Organisation and project headers name the client's own account and stay out.
    request_headers = ("openai-beta", "idempotency-key", "x-client-request-id")
    reply_headers = ("x-request-id", "openai-processing-ms", "openai-version", "x-ratelimit-*")
    default_headers = ()
    #: Whole answers and chunks alike.  Source: protocols.md 3.3, 4.3.
    model_paths = (("model",),)
    #: ``stream_options.include_usage``.  Source: protocols.md 3.4.
    usage_on_request = True
    #: Unknown paths are refused in OpenAI's envelope (design.md 6, Endpoints).
    fallback = True
    codecs: Mapping[Operation, Codec] = {"generate": ChatCodec()}
    state = ChatState()

    def recognises(self, headers: Mapping[str, str]) -> bool:
        """Nothing marks an OpenAI client; it is what remains.  Source: clients.md 1.6."""
        return False

    def peek(self, call: Call) -> Envelope:
        return peek_model_and_stream(call)

    def session_hints(self, call: Call) -> Sequence[SessionHint]:
        """Agents' headers; ``prompt_cache_key`` is trusted of known agents only, ``user`` never by itself."""
        hints = header_hints(call.headers)
        key = call.json.get("prompt_cache_key")
        if isinstance(key, str) and key:
            known = call.headers.get("user-agent", "").lower().startswith(KEYED_AGENTS)
            hints.append(SessionHint(key, "prompt_cache_key", trusted=known))
        user = call.json.get("user")
        if isinstance(user, str) and user:
            hints.append(SessionHint(user, "user", trusted=False))
        return hints

    def upstream_path(self, operation: Operation, model: str, streaming: bool) -> str:
        """Behind a base that includes the version, ``.../v1``.  Source: design.md 6, Base URLs."""
        return "/models" if operation == "models" else "/chat/completions"

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> NeutralError:
        return read_error(status, headers, body, self.name)

    def refuse(self, error: NeutralError) -> RefusedReply:
        return refuse(error, self.name)

    def meter(self, call: Call) -> Meter:
        return ChatMeter(call, self.name)

    def ask_usage(self, body: dict[str, Any]) -> bool:
        """Source: protocols.md 3.4; ``stream_options: null`` is what some clients send."""
        options = body.get("stream_options")
        options = options if isinstance(options, dict) else {}
        asked = options.get("include_usage") is True
        body["stream_options"] = {**options, "include_usage": True}
        return not asked

    def without_usage(self, data: Any) -> Any:
        """Every chunk gets ``usage: null`` and a last one without choices holds the counts.  Source: protocols.md 4.3.

        Counts in a chunk that has choices stay: such a vendor tells them unasked.
        """
        if not isinstance(data, dict) or "usage" not in data:
            return data
        if data["usage"] is None:
            return {name: value for name, value in data.items() if name != "usage"}
        return data if data.get("choices") else None

    def read_models(self, body: Any) -> Sequence[str]:
        """``{"data":[{"id"}]}``, or the bare array that some compatible servers send.  Source: engine.md 13.2 row 6."""
        data = body.get("data") if isinstance(body, dict) else body
        entries = data if isinstance(data, list) else []
        ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
        return tuple(found for found in ids if isinstance(found, str) and found)

    def example(self, model: str) -> Any:
        return {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}

    def write_models(self, models: Sequence[ListedModel]) -> Any:
        """Source: protocols.md 1.1, row "Models"; ``created`` is required by typed clients and unknown to us."""
        data = [{"id": model.id, "object": "model", "created": 0, "owned_by": model.owner} for model in models]
        return {"object": "list", "data": data}


@hookimpl
def register_protocols(register: Register) -> None:
    register(Chat())
