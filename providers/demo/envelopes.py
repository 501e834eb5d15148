"""The two vendors' error envelopes, ids and limit headers (protocols.md 1.1, 1.3, 1.8, 1.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .calls import Fault, Operation
from .frames import dump

LIMIT_REQUESTS = 10_000
LIMIT_TOKENS = 2_000_000

CHAT_ERRORS: dict[int, tuple[str, str | None, str]] = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "billing_hard_limit_reached", "Billing hard limit has been reached."),
    403: ("permission_error", None, "You are not allowed to use this resource."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    413: ("invalid_request_error", None, "The request body is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("service_unavailable_error", "server_is_overloaded", "The server is overloaded. Please try again later."),
    529: ("service_unavailable_error", "server_is_overloaded", "The server is overloaded. Please try again later."),
}
MESSAGES_ERRORS: dict[int, tuple[str, str]] = {
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    503: ("overloaded_error", "Overloaded"),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def _chat_error(status: int, fault: Fault | None) -> dict[str, Any]:
    known = CHAT_ERRORS.get(status, ("invalid_request_error" if status < 500 else "server_error", None, "Error."))
    kind, code, message = known
    if fault is not None:
        message, code = fault.message, fault.code
    return {"error": {"message": message, "type": kind, "param": fault.param if fault else None, "code": code}}


def _messages_error(status: int, fault: Fault | None, request_id: str) -> dict[str, Any]:
    known = MESSAGES_ERRORS.get(status, ("invalid_request_error" if status < 500 else "api_error", "Error"))
    error = {"type": known[0], "message": fault.message if fault else known[1]}
    return {"type": "error", "error": error, "request_id": request_id}


def error_page(operation: Operation, status: int, request_id: str, fault: Fault | None = None) -> Page:
    """The vendor's own envelope; without a fault with the message that goes with the status."""
    body = _chat_error(status, fault) if operation == "chat" else _messages_error(status, fault, request_id)
    return Page(status, dump(body))


def common_headers(operation: Operation, request_id: str, *, used: int, now: float) -> dict[str, str]:
    """The request id and the limits, `used` requests of them spent; `now` in unix s."""
    left = max(0, LIMIT_REQUESTS - used)
    if operation == "chat":
        return {
            "x-request-id": request_id,
            "openai-processing-ms": "7",
            "x-ratelimit-limit-requests": str(LIMIT_REQUESTS),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-limit-tokens": str(LIMIT_TOKENS),
            "x-ratelimit-remaining-tokens": str(LIMIT_TOKENS - 100),
            "x-ratelimit-reset-tokens": "3ms",
        }
    reset = datetime.fromtimestamp(int(now) + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "request-id": request_id,
        "anthropic-organization-id": "org_demo",
        "anthropic-ratelimit-requests-limit": str(LIMIT_REQUESTS),
        "anthropic-ratelimit-requests-remaining": str(left),
        "anthropic-ratelimit-requests-reset": reset,
        "anthropic-ratelimit-tokens-limit": str(LIMIT_TOKENS),
        "anthropic-ratelimit-tokens-remaining": str(LIMIT_TOKENS - 1000),
        "anthropic-ratelimit-tokens-reset": reset,
    }


def models_page(names: list[str], created: int, *, anthropic: bool) -> Page:
    """The model list; `created` in unix s, the same for every model."""
    if not anthropic:
        data = [{"id": name, "object": "model", "created": created, "owned_by": "demo"} for name in names]
        return Page(200, dump({"object": "list", "data": data}))
    stamp = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    listed = [{"type": "model", "id": name, "display_name": f"Demo {name}", "created_at": stamp} for name in names]
    return Page(200, dump({"data": listed, "has_more": False, "first_id": names[0], "last_id": names[-1]}))
