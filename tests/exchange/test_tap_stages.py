"""What the trace tells of each stage, through the whole server and from its files."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.exchange import tapping
from tests.exchange.staging import (
    SENT,
    TERMINAL,
    furnish,
    streamed,
)
from tests.exchange.tapping import BOTH, LEVELS, WAYS, Entry, furnish_traced, of, one, text, told
from tests.upstreams import (
    JSON,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    House,
    Raw,
    body_of,
    canned,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Fixtures.
written_at_once, plugins, staged = tapping.written_at_once, tapping.plugins, tapping.staged


# Stages.


def probing(*at: str, change: bool = False, fail: str = "", name: str = "probing") -> dict[str, Any]:
    """An adapter above, as a declaration names it."""
    return {name: {"at": list(at), "change": change, "fail": fail}}


def stages(found: Sequence[Entry]) -> list[tuple[str, str, bool, str]]:
    """Name, direction, whether it changed anything and how it failed, in order."""
    return [
        (entry["stage"], entry["direction"], entry.get("changed", False), entry.get("failed", ""))
        for entry in of(found, "stage")
    ]


def noted(entry: Entry) -> list[tuple[str, str]]:
    """By whom, and the code."""
    assert all((note["path_from"], note["path_to"]) == ("a", "b") for note in entry["notes"])
    return [(note["step"], note["code"]) for note in entry["notes"]]


async def answered(house: House, protocol: str, stream: bool, **more: Any) -> Answer:
    """One turn of a conversation in frames or whole."""
    if stream:
        return await streamed(house, protocol, *SENT[protocol], **more)
    house.vendor.script("scripted", Raw(200, JSON, [WHOLE[protocol]]))
    return await house.call(protocol, "scripted")


@BOTH
@LEVELS
async def test_each_stage_of_a_whole_answer_tells_whether_it_changed_anything(
    staged: House, tmp_path: Path, protocol: str, level: str
) -> None:
    """And its notes are its own."""
    uses = probing("request", change=True), probing("response", change=True, name="other")
    await furnish_traced(staged, tmp_path, *uses, level=level)
    answer = await answered(staged, protocol, stream=False)
    assert answer.status == 200 and answer.json["probed"]
    found = await told(tmp_path)
    assert stages(found) == [
        ("adapter probing", "request", True, ""),
        ("adapter other", "request", False, ""),
        ("adapter other", "response", True, ""),
        ("adapter probing", "response", False, ""),
    ]
    first, *others = of(found, "stage")
    assert noted(first) == [("probing", "request_noted")]
    assert [noted(entry) for entry in others] == [[], [("other", "response_noted")], []]
    bodies = [entry.get("body", {}).get("json") for entry in of(found, "stage") if entry["changed"]]
    assert ["probed" in str(body) for body in bodies] == [level == "full"] * 2
    assert not of(found, "client_stream")


@BOTH
@LEVELS
@pytest.mark.parametrize("at_once", [False, True], ids=["open", "opening"])
async def test_what_was_noted_of_events_stands_at_their_stages_or_with_the_stream(
    staged: House, tmp_path: Path, protocol: str, level: str, at_once: bool
) -> None:
    """At ``full`` with each event's stage, else at the stream's end; that of the request is never among it."""
    uses = probing("request"), probing("event", "end", change=True, name="other")
    await furnish_traced(staged, tmp_path, *uses, level=level)
    frames = SENT[protocol]
    answer = await streamed(staged, protocol, *([b"".join(frames)] if at_once else frames))
    assert answer.status == 200 and b'"error"' not in answer.body
    found = await told(tmp_path)
    first, *others = of(found, "stage")
    assert noted(first) == [("probing", "request_noted")]
    shaped = len(frames) - (protocol == "chat")  # its terminal is none
    expected = [("other", "event_noted")] * shaped
    expected.insert(shaped - (protocol == "messages"), ("other", "end_noted"))
    at_stages = [note for entry in others for note in noted(entry)]
    told_last = noted(one(found, "client_stream"))
    assert (at_stages, told_last) == ((expected, []) if level == "full" else ([], expected))
    events = [(entry["stage"], entry["changed"]) for entry in others if entry["direction"] == "event"]
    if level != "full":
        assert events == []
        return
    assert events == [(name, name == "adapter other") for _ in range(shaped) for name in order_of_answers()]
    [end] = [entry for entry in others if entry["direction"] == "end" and entry["stage"] == "adapter other"]
    assert not end["changed"]


def order_of_answers() -> list[str]:
    """In reverse of what the test above declares."""
    return ["adapter other", "adapter probing"]


#: In a stream or not, where, how, and what is told of it.
FAILING = [
    (False, "request", "raise", "LookupError"),
    (False, "response", "raise", "LookupError"),
    (True, "request", "raise", "LookupError"),
    (True, "event", "raise", "LookupError"),
    (True, "end", "raise", "LookupError"),
    (False, "request", "none", "NoneType"),
    (False, "response", "none", "NoneType"),
    (True, "event", "none", "TypeError"),
]


@BOTH
@pytest.mark.parametrize("failing", FAILING)
async def test_a_stage_that_fails_and_is_passed_by_is_told(
    staged: House, tmp_path: Path, protocol: str, failing: tuple[bool, str, str, str]
) -> None:
    """With what it noted before, and the stages around it as if nothing were."""
    stream, at, fail, name = failing
    await furnish_traced(staged, tmp_path, probing(at, change=True, fail=fail), level="full", on_error="skip")
    answer = await answered(staged, protocol, stream)
    assert answer.status == 200
    found = await told(tmp_path)
    failed = [entry for entry in of(found, "stage") if entry["direction"] == at]
    for entry in failed:
        assert name in entry["failed"] and not entry.get("changed") and "body" not in entry
        assert noted(entry) == [("probing", f"{at}_noted")]
    assert len(failed) == (len(SENT[protocol]) - (protocol == "chat") if at == "event" else 1)
    assert not [entry for entry in of(found, "stage") if "failed" in entry and entry["direction"] != at]


@BOTH
@WAYS
async def test_a_stage_that_fails_its_attempt_is_told_before_the_verdict(
    staged: House, tmp_path: Path, protocol: str, stream: bool
) -> None:
    await furnish_traced(staged, tmp_path, probing("request", fail="raise"), level="meta")
    assert (await answered(staged, protocol, stream)).status == 500
    found = await told(tmp_path)
    assert stages(found) == [("adapter probing", "request", False, "LookupError")]
    assert [entry["pass"] for entry in found] == [
        "client_request", "decision", "attempt", "stage", "verdict", "client_response", "end",
    ]


def passed_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The log lines about stages that are skipped."""
    return [entry.getMessage() for entry in caplog.records if entry.name == "rotator.exchange.stages"]


@BOTH
async def test_the_log_says_once_for_each_stage_and_plan_that_it_is_passed_by(
    staged: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    everywhere = ("request", "response", "event", "end")
    uses = probing(*everywhere, fail="raise"), probing("response", fail="none", name="other")
    with caplog.at_level(logging.WARNING, "rotator.exchange.stages"):
        for turn in (1, 2):
            await furnish(staged, *uses, on_error="skip")
            for stream in (False, True, False):
                assert (await answered(staged, protocol, stream)).status == 200
            assert len(passed_by(caplog)) == 2 * turn
    name = PROVIDERS[protocol]
    first, second = passed_by(caplog)[:2]
    assert f"provider {name}" in first and "adapter probing" in first and "LookupError: on purpose" in first
    assert f"provider {name}" in second and "adapter other" in second and "NoneType" in second


@BOTH
async def test_an_adapter_that_cannot_be_opened_is_not_passed_by_in_silence(
    staged: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    await furnish_traced(staged, tmp_path, probing("open"), level="meta", on_error="skip")
    with caplog.at_level(logging.WARNING, "rotator.exchange.stages"):
        for _ in range(2):
            assert (await answered(staged, protocol, stream=False)).status == 200
    assert len(passed_by(caplog)) == 1


# Providers that wrap what they send.


@pytest_asyncio.fixture(loop_scope="module")
async def wrapping(staged: House, tmp_path: Path) -> Any:
    """Furnishes a world with both wrapping providers before a server that says this, and asks it once."""

    async def ask(protocol: str, level: str, answer: Canned, **more: Any) -> Answer:
        async with canned(answer) as server:
            bases = {"wrapchat": f"{server.url}/v1", "wrapmessages": server.url}
            keys = {f"{name.upper()}_API_KEY": f"secret-of-{name}" for name in bases}
            config = {
                "providers": {name: {"base_url": base} for name, base in bases.items()},
                "retry": {"same_key": 0},
                "trace": {"level": level, "dir": str(tmp_path)},
            }
            await staged.furnish(config=config, **keys)
            return await staged.ask(protocol, body_of(protocol, f"wrap{protocol}/m", **more))

    return ask


@BOTH
@LEVELS
async def test_a_wrapping_providers_events_are_told_at_full_only(
    wrapping: Any, tmp_path: Path, protocol: str, level: str
) -> None:
    def wrap(frame: bytes) -> bytes:
        name, mark, data = frame.rstrip(b"\n").partition(b"data: ")
        return b'%b%b{"response":%b}\n\n' % (name, mark, data) if data.startswith(b"{") else frame

    frames = [wrap(frame) for frame in SENT[protocol]]
    answer = await wrapping(protocol, level, Canned(frames, headers=SSE), stream=True)
    assert answer.body.endswith(TERMINAL[protocol]) and b'"response"' not in answer.body
    found = await told(tmp_path)
    first, *others = stages(found)
    assert first == ("provider", "request", True, "")
    events = [("provider", "unwrap", True, "")] * (len(frames) - (protocol == "chat"))
    assert others == (events if level == "full" else [])
    if level != "meta":
        assert text(one(found, "upstream_stream")) == b"".join(frames)


@BOTH
@LEVELS
async def test_a_wrapping_providers_whole_answer_is_a_stage(
    wrapping: Any, tmp_path: Path, protocol: str, level: str
) -> None:
    answer = await wrapping(protocol, level, Canned([b'{"response":%b}' % WHOLE[protocol]]))
    assert answer.status == 200
    found = await told(tmp_path)
    assert stages(found) == [("provider", "request", True, ""), ("provider", "response", True, "")]


@BOTH
@WAYS
async def test_the_trace_changes_no_answer(wrapping: Any, tmp_path: Path, protocol: str, stream: bool) -> None:
    """An envelope with nothing in it, which the adapter's own code finds, is the same failure with and without."""
    found = []
    for level in ("off", "meta", "bounds", "full"):
        answer = await wrapping(protocol, level, Canned([b'{"response":null}']), stream=stream)
        found.append((answer.status, answer.error))
    assert found[1:] == found[:1] * 3
    [(status, error), *_] = found
    assert (status, error["message"]) == (502, "upstream: the answer holds no JSON object")
    ends = of(await told(tmp_path, 3), "end")
    assert [end["note"] for end in ends] == ["empty_response"] * 3
