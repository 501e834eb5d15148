"""Answers of our own on the wire: JSON documents, and errors in the client's protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Final

from rotator.contracts import ProtocolAdapter
from rotator.credentials.decision import Decision
from rotator.exchange.record import RequestRecord
from rotator.neutral.error import NeutralError
from rotator.neutral.losses import Loss
from rotator.server.tracing import tell_answer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

#: Answers belong to one caller; no cache in between may keep them (faults.md 2 row 16).
PRIVATE: Final = [(b"cache-control", b"no-store"), (b"vary", b"authorization")]
#: Clients and proxies in between accept headers of 8 KiB in all.
WARNINGS_BYTES: Final = 2_048
WARNING_CHARACTERS: Final = 200
EXPLAIN_BYTES: Final = 2_048
#: No proxy in between may collect a stream's events.  Source: protocols.md 4.1.
STREAMED: Final = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


def told(record: RequestRecord) -> HeaderList:
    """The ``x-rotator-*`` headers of a request (design.md 6, Response headers); request id and trace id are one."""
    request_id = record.request_id.encode("ascii")
    headers = [(b"x-rotator-request-id", request_id), (b"x-rotator-trace-id", request_id)]
    if record.attempts:
        headers.append((b"x-rotator-attempts", b"%d" % record.attempts))
    if record.way is not None:
        headers += record.way.headers
    if record.losses:
        headers.append((b"x-rotator-warnings", warnings_of(record.losses)))
    if record.repair:
        headers.append((b"x-rotator-repair", record.repair.encode("ascii")))
    if record.explains and record.decision is not None:
        headers.append((b"x-rotator-explain", explained(record.decision)))
    return headers


def explained(decision: Decision) -> bytes:
    """A choice as JSON in ASCII: the key, what decided, and why each other was left out, as many as fit.

    ``{chosen, why, left_out: {label: [{code, until}]}, more?}``; ``until`` in unix seconds, null where unknown.
    """
    told: dict[str, list[dict[str, Any]]] = {}
    record: dict[str, Any] = {
        "chosen": decision.chosen.label if decision.chosen is not None else None,
        "why": decision.why[:WARNING_CHARACTERS],
        "left_out": told,
    }
    left_out = [one for one in decision.candidates if one.reasons]
    size = len(json.dumps(record))
    for place, one in enumerate(left_out):
        entry = [{"code": reason.code, "until": decision.unix(reason.until)} for reason in one.reasons]
        size += len(json.dumps({one.credential.label: entry}))
        if size > EXPLAIN_BYTES:
            record["more"] = len(left_out) - place
            break
        told[one.credential.label] = entry
    return json.dumps(record).encode("ascii")


def warnings_of(losses: Sequence[Loss]) -> bytes:
    """Losses as a JSON list in ASCII, as many as fit; a last entry ``more`` counts the others.

    Paths hold names that the client chose; escaped, they can stand in a header.
    """
    told: list[dict[str, str]] = []
    size = 0
    for place, loss in enumerate(losses):
        entry = {name: value[:WARNING_CHARACTERS] for name, value in loss._asdict().items() if value}
        size += len(json.dumps(entry)) + 2
        if size > WARNINGS_BYTES:
            told.append({"code": "more", "detail": f"{len(losses) - place} more, see the trace"})
            break
        told.append(entry)
    return json.dumps(told).encode("ascii")


async def send_body(send: Send, status: int, headers: HeaderList, body: bytes) -> None:
    """A whole answer."""
    head = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def wait_headers(error: NeutralError) -> HeaderList:
    """``retry-after`` in whole seconds, rounded up, and in ms; ``x-should-retry``.  Source: protocols.md 1.9."""
    headers: HeaderList = []
    if error.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_seconds))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(error.retry_after_seconds * 1000))))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return headers


async def send_error(
    send: Send, protocol: ProtocolAdapter, error: NeutralError, record: RequestRecord, extra: HeaderList | None = None
) -> None:
    """An error in the protocol's own envelope and status."""
    reply = protocol.refuse(replace(error, request_id=record.request_id))
    record.status = reply.status
    record.note = record.note or error.code or str(error.kind)
    headers = [(b"content-type", b"application/json"), *PRIVATE, *told(record), *wait_headers(error), *(extra or [])]
    if record.trace is not None:
        tell_answer(record.trace, reply.status, headers, reply.body)
    await send_body(send, reply.status, headers, reply.body)
