"""What the engine hands over, and what of it is written at each level."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rotator.neutral.redact import MARK, Redactor
from rotator.neutral.secret import Secret
from rotator.trace.recorder import Level
from rotator.trace.redaction import MARGIN_BYTES
from tests.clocks import ManualClock
from tests.trace.samples import ASKED, HANG_SECONDS, SECRETS, STREAM, lines, raw, recorder, trace_request, writer

MARKER = "Say hello to the world."


def traced(folder: Path, level: Level, **more: Any) -> list[dict[str, Any]]:
    clock = ManualClock()
    to = writer(folder, clock)
    trace_request(recorder(to, level=level, clock=clock), clock, **more)
    to.close(HANG_SECONDS)
    return lines(folder)


def test_bounds_are_whole(tmp_path: Path) -> None:
    """Four boundaries with headers and bodies, every decision between them, in order and with times."""
    found = traced(tmp_path, "bounds")
    assert [entry["seq"] for entry in found] == list(range(len(found)))
    assert [entry["pass"] for entry in found] == [
        "client_request", "attempt", "upstream_request", "upstream_response", "verdict", "outcome", "attempt",
        "upstream_request", "upstream_response", "client_response", "upstream_stream", "outcome", "client_stream",
        "end",
    ]  # fmt: skip
    assert {entry["request"] for entry in found} == {"req_1a2b3c4d00000001"}
    first, last = found[0], found[-1]
    assert first["body"] == {"bytes": len(json.dumps(ASKED)), "json": ASKED}
    assert first["headers"] == {"content-type": "application/json", "authorization": f"Bearer {MARK}"}
    assert (first["attempt"], last["attempt"]) == (0, 0)
    assert (first["ms"], first["at"], last["ms"]) == (0.0, 1_800_000_000.0, 94.4)
    assert found[10]["body"] == {"bytes": len(STREAM), "text": STREAM}
    assert (last["status"], last["took_ms"], last["upstream_model"]) == (200, 74.4, "text")
    assert found[4]["message"] == "Rate limit reached." and found[4]["attempt"] == 1


@pytest.mark.incident(14)
def test_meta_holds_no_content(tmp_path: Path) -> None:
    """Nothing that a client said, also where a vendor repeats it."""
    clock = ManualClock()
    to = writer(tmp_path, clock)
    one = recorder(to, level="meta", clock=clock)
    trace_request(one, clock)
    one.add("verdict", message=f"bad: {MARKER}", code="bad_request", status=400)
    one.add("stage", stage="rename", direction="request", changed=True, body=MARKER.encode())
    one.add("stream_event", body=MARKER.encode())
    to.close(HANG_SECONDS)
    found = lines(tmp_path)
    assert MARKER.encode() not in raw(tmp_path) and b"hello" not in raw(tmp_path).lower()
    assert not any("body" in entry or "headers" in entry for entry in found)
    assert [entry["pass"] for entry in found][-2:] == ["verdict", "stage"]
    assert found[-2]["code"] == "bad_request" and found[-1]["changed"] is True


@pytest.mark.parametrize(("level", "shown"), [("meta", []), ("bounds", []), ("full", [{"a": 1}])])
def test_steps_are_written_at_full_only(tmp_path: Path, level: Level, shown: list[Any]) -> None:
    to = writer(tmp_path)
    one = recorder(to, level=level)
    assert (one.bounds, one.full) == (level != "meta", level == "full")
    one.add("stage", stage="rename", direction="response", changed=False, body=b'{"a":1}')
    one.add("stream_event", attempt=1, body=b'{"a":1}')
    one.add("end", status=200)
    to.close(HANG_SECONDS)
    stage, *events, end = lines(tmp_path)
    assert [event["body"]["json"] for event in events] == shown
    assert [stage["body"]["json"]] == [{"a": 1}] if shown else "body" not in stage
    assert (stage["direction"], stage["side"], end["seq"]) == ("response", "adapter", 1 + len(shown))


def test_bodies_are_cut_before_they_wait(tmp_path: Path) -> None:
    to = writer(tmp_path, body_bytes=2048)
    one = recorder(to)
    assert one.collect_bytes == 2048 + MARGIN_BYTES
    one.add("client_request", body=b"x " * 1_000_000)
    one.add("upstream_stream", body=b"x " * 4_000, bytes=5_000_000)
    one.add("upstream_stream", body=b"x", bytes=5_000_000)
    to.close(HANG_SECONDS)
    first, second, third = (entry["body"] for entry in lines(tmp_path))
    assert first == {"bytes": 2_000_000, "text": "x " * 1024, "cut": True}
    assert second["bytes"] == 5_000_000 and second["cut"] and third == {"bytes": 1, "text": "x"}


def test_a_long_secret_needs_a_longer_look() -> None:
    long = Redactor([Secret("k" * 10_000)])
    one = recorder(writer(Path("unused"), body_bytes=1024), redactor=long)
    assert one.collect_bytes >= 1024 + 6 * 10_000


def test_nothing_that_is_handed_over_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error in the trace is the trace's; the request goes on."""
    to = writer(tmp_path)
    one = recorder(to)
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with caplog.at_level(logging.CRITICAL, "rotator.contain"):
        one.add("end", headers=5)  # type: ignore[arg-type]
        one.add("end", body="text")  # type: ignore[arg-type]
    numbers = {"big": 10**400, "huge": 10**9_999, "number": float("nan")}
    one.add("end", fact=object(), other={1: {2, 3}}, loop=loop, odd="\ud800", **numbers)
    one.add("end", status=200, request="mine")
    one.add("what", status=201)  # type: ignore[arg-type]
    to.close(HANG_SECONDS)
    odd, plain, unknown = lines(tmp_path)
    assert (odd["fact"], odd["other"], odd["odd"]) == ("<object>", {"1": [2, 3]}, "\ud800")
    assert odd["number"] is odd["huge"] is odd["big"] is None
    assert (plain["status"], plain["request"], unknown["pass"]) == (200, "req_1a2b3c4d00000001", "what")
    assert to.dropped == 0


@pytest.mark.incident(13)
@pytest.mark.parametrize("level", ["meta", "bounds", "full"])
def test_secrets_stand_in_no_file(tmp_path: Path, level: Level) -> None:
    traced(tmp_path, level, note=f"see {SECRETS[1]}", referer=f"https://a.example/?key={SECRETS[0]}")
    assert raw(tmp_path)
    assert not any(secret.encode() in raw(tmp_path) for secret in (*SECRETS, "not-a-key-of-ours"))
