"""Read a request's body: bounded in bytes and in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rotator.errors import Refused
from rotator.neutral.error import ErrorKind, error_of
from rotator.server.hangup import ClientGone, Receive
from rotator.wire.deadline import Deadline
from rotator.wire.jsontext import NotJson, loads


async def read_body(receive: Receive, headers: Mapping[str, str], limit_bytes: int, seconds: float | None) -> bytes:
    """The whole body; ``seconds`` None where it has arrived already.  Raises Refused (413, 415, 408) or ClientGone."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        message = f"content-encoding: {coding[:40]!r} is not supported, send the body as it is"
        error = error_of(ErrorKind.BAD_REQUEST, message, param="content-encoding", should_retry=False)
        raise Refused(replace(error, status=415))
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > limit_bytes:
        raise too_large(limit_bytes)
    if seconds is None:
        return await _collect(receive, limit_bytes)
    try:
        with Deadline(seconds):
            return await _collect(receive, limit_bytes)
    except TimeoutError:
        message = f"the request's body did not come within {seconds:g} s"
        raise Refused(error_of(ErrorKind.TIMEOUT_CLIENT, message)) from None


async def _collect(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def too_large(limit_bytes: int) -> Refused:
    message = f"the request's body is larger than {limit_bytes} bytes (limits.request_body_bytes)"
    return Refused(error_of(ErrorKind.TOO_LARGE, message, should_retry=False))


def parse_object(body: bytes) -> Mapping[str, Any]:
    """The body as a JSON object, parsed once.  Raises Refused."""
    try:
        parsed = loads(body)
    except NotJson as error:
        message = f"the request's body is not JSON: {error.message}"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, should_retry=False)) from error
    if not isinstance(parsed, dict):
        message = "the request's body must be a JSON object"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, should_retry=False))
    return parsed
