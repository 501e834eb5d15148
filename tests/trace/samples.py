"""Entries of whole requests, as the engine hands them over: two attempts, a stream, an error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rotator.neutral.redact import Redactor
from rotator.neutral.secret import Secret
from rotator.trace.recorder import Level, Recorder
from rotator.trace.writer import TraceWriter
from tests.clocks import ManualClock

SECRETS = ("pl4nted/va+lue-of-a-key==", "an0ther-0ne-that-is-held")
REDACTOR = Redactor(map(Secret, SECRETS))
HANG_SECONDS = 20.0

ASKED = {"model": "demo/text", "stream": True, "messages": [{"role": "user", "content": "Say hello to the world."}]}
REFUSED = {"error": {"message": "Rate limit reached.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
STREAM = "".join(
    f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word}}]})}\n\n" for word in ("Hello", " world")
) + "data: [DONE]\n\n"  # fmt: skip


def writer(folder: Path, clock: ManualClock | None = None, **sizes: int) -> TraceWriter:
    """A writer with the default sizes, or these."""
    defaults = {"body_bytes": 256 * 1024, "file_bytes": 64 * 1024 * 1024, "total_bytes": 1024 * 1024 * 1024}
    return TraceWriter(folder, **{**defaults, **sizes}, wall_clock=(clock or ManualClock()).time)


def recorder(
    to: TraceWriter, request_id: str = "req_1a2b3c4d00000001", level: Level = "full", clock: ManualClock | None = None,
    redactor: Redactor = REDACTOR,
) -> Recorder:  # fmt: skip
    return Recorder(to, level, request_id, clock or ManualClock(), redactor)


def trace_request(one: Recorder, clock: ManualClock, **more: Any) -> None:
    """A streamed request whose first key is limited and whose second one answers."""
    body = json.dumps(ASKED).encode()
    sent = json.dumps({**ASKED, "model": "text"}).encode()
    asked = {"protocol": "chat", "operation": "generate", "model": "demo/text", "streaming": True, "client": "local"}
    headers = [("content-type", "application/json"), ("authorization", "Bearer not-a-key-of-ours")]
    place = {"provider": "demo", "profile": "chat", "model": "text", "lane": "raw", "url": "http://127.0.0.1:9/v1"}
    one.add(
        "client_request", method="POST", path="/v1/chat/completions", query="", **asked, bytes=len(body),
        headers=headers, body=body, **more,
    )  # fmt: skip
    for attempt, label in ((1, "demo#1"), (2, "demo#2")):
        clock.advance(0.0012)
        one.add("attempt", attempt=attempt, credential=label, **place)
        url = "http://127.0.0.1:9/v1/chat/completions"
        one.add(
            "upstream_request", attempt=attempt, method="POST", url=url, bytes=len(sent),
            headers=[("authorization", f"Bearer {SECRETS[0]}")], body=sent,
        )  # fmt: skip
        clock.advance(0.021)
        if attempt == 1:
            answer = [("content-type", "application/json"), ("retry-after", "2")]
            one.add("upstream_response", attempt=1, status=429, headers=answer, body=json.dumps(REFUSED).encode())
            one.add(
                "verdict", attempt=1, blame="credential", scope="model", reason="limit", retry_after=2.0,
                source="header", action="rotate", stage="answered", status=429, code="rate_limit_exceeded",
                message="Rate limit reached.",
            )  # fmt: skip
            one.add("outcome", attempt=1, ended="limit", status=429, usage=None, ms=21.1)
    one.add("upstream_response", attempt=2, status=200, headers=[("content-type", "text/event-stream")])
    one.add("client_response", attempt=2, status=200, headers=[("x-rotator-lane", "raw")])
    clock.advance(0.05)
    one.add(
        "upstream_stream", attempt=2, bytes=len(STREAM), first_byte_ms=20.9, first_output_ms=21.0, body=STREAM.encode()
    )
    one.add("outcome", attempt=2, ended="complete", status=200, usage={"input_total": 12, "output_total": 2}, ms=72.0)
    one.add("client_stream", acts=["trailer supplied"], body=STREAM.encode())
    one.add(
        "end", status=200, attempts=2, note="", took_ms=74.4, model="demo/text", provider="demo", upstream_model="text",
        credential="demo#2", lane="raw",
    )  # fmt: skip


def lines(folder: Path) -> list[dict[str, Any]]:
    """All lines of all files, in the order of the files' names."""
    return [json.loads(line) for line in raw(folder).splitlines()]


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("trace-*.jsonl")))


def traced(folder: Path, adds: Iterable[dict[str, Any]], **sizes: int) -> list[dict[str, Any]]:
    """Write entries (keyword arguments of ``add``, with ``name``) and read them back."""
    to = writer(folder, **sizes)
    one = recorder(to)
    for add in adds:
        one.add(add.pop("name"), **add)
    to.close(HANG_SECONDS)
    return lines(folder)
