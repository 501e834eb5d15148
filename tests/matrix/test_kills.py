"""The upstream dies at every event of a stream, in every way (ideas.md D13, faults.md 1 row "dies mid-stream").

Before the first visible output the answer is another attempt's alone; afterwards it is what was shown, then one in-band
error and nothing more. A client of bytes and the official SDKs ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.matrix.clients import Ask, Heard, asking, counted, deaf, plain_session, refusal_of
from tests.matrix.stage import CLOSING_JSON, CLOSING_SSE, LANES, Part, Stage, together
from tests.matrix.streams import (
    ERROR,
    FIRST,
    HIDDEN,
    SECOND,
    TERMINAL,
    TOKENS_IN,
    TOKENS_OUT,
    UNTIL_FINISH,
    USAGE_FROM,
    frames_of,
    said,
    same,
    same_whole,
    whole_of,
)
from tests.upstreams import JSON, PATHS, Gate, Raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", ["chat", "messages"])
EACH_LANE = pytest.mark.parametrize("lane", LANES)

State = Literal["hidden", "shown", "finished", "ended"]

#: Way to die -> how the vendor's connection ends. ``error`` is the vendor's in-band error, then silence.
WAYS = {
    "clean": "clean",
    "cut": "drop",
    "reset": "reset",
    "half-clean": "clean",
    "half-cut": "drop",
    "nearly-clean": "clean",
    "error": "clean",
}
#: Ways in which the official SDKs see something else than others.
TOLD_BY_SDKS = [way for way in WAYS if way not in ("half-clean", "nearly-clean")]
#: Who asks, and with which heartbeats: with some, which never come here, a stream is pumped in another way.
PUMPED = [("bytes", "off", way) for way in WAYS]
PUMPED += [("bytes", "30", way) for way in ("clean", "cut", "error")]
PUMPED += [("sdk", "off", way) for way in TOLD_BY_SDKS]
#: What still comes of the next event: all up to here.
BEGUN = {
    "half-clean": lambda frame: len(frame) // 2,
    "half-cut": lambda frame: len(frame) // 2,
    "nearly-clean": lambda frame: -3,
}
#: Ways in which a body ends as HTTP says: what was finished is then whole (design.md 2.3).  A broken connection is
#: none of them: bytes behind the finish reason may be missing.
WHOLE_WAYS = ("clean", "half-clean", "nearly-clean")
#: What the client is told of each way, before and after the first output.
MESSAGES = {
    "clean": "ended before the answer was complete|holds no events of a stream",
    "cut": "broke off|connection broke",
    "reset": "broke off|connection broke",
    "half-clean": "ended before the answer was complete|holds no events of a stream",
    "half-cut": "broke off|connection broke",
    "nearly-clean": "ended before the answer was complete|holds no events of a stream",
    "error": "It broke",
}


@dataclass(frozen=True)
class Kill:
    """Death behind the first ``events`` events of a stream."""

    protocol: str
    way: str
    events: int

    @property
    def state(self) -> State:
        """How far the answer has come."""
        if self.events <= HIDDEN[self.protocol]:
            return "hidden"
        if self.events < UNTIL_FINISH[self.protocol]:
            return "shown"
        return "finished" if self.events < len(frames_of(self.protocol, FIRST)) else "ended"

    def step(self, gate: Any = None) -> Any:
        """The vendor's script: the events, then death once the gate lets it, without one at once."""
        frames = frames_of(self.protocol, FIRST)
        before, after = frames[: self.events], frames[self.events :]
        last = [ERROR[self.protocol]] if self.way == "error" else []
        if self.way in BEGUN:
            last = [after[0][: BEGUN[self.way](after[0])]]
        if gate is None and self.way == "error":
            gate = Gate()  # the error comes, its end never does
            gate.release(self.events + 1)
        return Raw(200, CLOSING_SSE, [*before, *last, b""], gate, end=WAYS[self.way])


def kills(protocol: str, way: str) -> Iterator[Kill]:
    """One for each number of events, 0 and all of them included."""
    for events in range(len(frames_of(protocol, FIRST)) + (way not in BEGUN)):
        yield Kill(protocol, way, events)


def whole(protocol: str, voice: str) -> Any:
    return Raw(200, CLOSING_SSE, frames_of(protocol, voice))


async def let_go(stage: Stage, part: Part) -> None:
    """The vendor has seen each of a part's requests end."""
    for seen in stage.requests_of(part):
        await seen.ended.wait()


async def rotated(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """Killed before anything showed, with a second key: its answer, and nothing of the first one's."""
    stage.vendor.script_key(part.keys[0], kill.step())
    stage.vendor.script_key(part.keys[1], whole(kill.protocol, SECOND))
    answer(await ask(part, deaf), part, 2)
    await let_go(stage, part)
    assert stage.used(part) == [0, 1]
    assert [seen.outcome.ended for seen in stage.attempts_of(part)] == ["failed", "ok"]
    assert stage.doubted(part) == [True, False]
    line = stage.line_of(part)
    assert (line["status"], line["attempts"], line["note"]) == (200, 2, "")
    assert (line["tokens_in"], line["tokens_out"], line["usage"]) == (TOKENS_IN, TOKENS_OUT, "vendor")


def answer(heard: Heard, part: Part, attempts: int) -> None:
    """The second voice's whole answer."""
    frames = frames_of(part.protocol, SECOND)
    assert (heard.status, heard.ending, heard.attempts) == (200, "terminal", attempts), heard
    assert (heard.lane, heard.said) == (part.lane, said(frames)), heard
    assert FIRST.encode() not in heard.body
    assert not heard.frames or same(part.lane, heard.frames, frames), heard


async def asked_again(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """The same with one key that answers when it is asked again."""
    stage.vendor.script_key(part.keys[0], kill.step(), whole(kill.protocol, SECOND))
    answer(await ask(part, deaf), part, 2)
    await let_go(stage, part)
    assert [seen.outcome.ended for seen in stage.attempts_of(part)] == ["failed", "ok"]
    assert stage.doubted(part) == [False]


async def refused(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """The same with one key that dies each time: an error status, no stream."""
    stage.vendor.script_key(part.keys[0], kill.step(), kill.step())
    heard = await ask(part, deaf)
    assert (heard.ending, heard.attempts, heard.lane) == ("refused", 2, part.lane), heard
    assert heard.status == (500 if kill.way == "error" else 502), heard
    assert any(text in heard.message for text in MESSAGES[kill.way].split("|")), heard
    await let_go(stage, part)
    assert stage.used(part) == [0, 0]
    assert [seen.outcome.ended for seen in stage.attempts_of(part)] == ["failed", "failed"]
    assert stage.doubted(part) == [True]
    line = stage.line_of(part)
    assert (line["status"], line["attempts"]) == (heard.status, 2) and line["note"]


async def killed(stage: Stage, ask: Ask, asker: str, kill: Kill, part: Part) -> None:
    """Killed when the client has what was sent: one attempt, and the end that the state allows."""
    frames = frames_of(kill.protocol, FIRST)[: kill.events]
    awaited, gate = counted(asker, kill.protocol, frames), Gate()
    gate.release(kill.events)
    stage.vendor.script_key(part.keys[0], kill.step(gate))
    stage.vendor.script_key(part.keys[1], whole(kill.protocol, SECOND))

    def hear(events: int) -> None:
        nonlocal awaited
        if events >= awaited:
            awaited = len(frames) + 1000  # once
            gate.release() if kill.way == "error" else gate.open()

    heard = await ask(part, deaf if kill.state == "ended" else hear)
    if kill.state == "ended":
        gate.open()  # the client has not waited for it
    await let_go(stage, part)
    fine = kill.state == "ended" or (kill.state == "finished" and kill.way in WHOLE_WAYS)
    assert (heard.status, heard.attempts, heard.lane) == (200, 1, part.lane), heard
    assert heard.ending == ("terminal" if fine else "error"), heard
    assert heard.said == said(frames)
    ended_as_told(kill, heard, part, frames)
    assert stage.used(part) == [0]
    [seen] = stage.attempts_of(part)
    assert (seen.status, seen.outcome.ended) == (200, "ok" if fine else "failed")
    assert stage.doubted(part) == [not fine, False]
    if kill.way == "error" and kill.state != "ended":
        assert stage.requests_of(part)[0].outcome == "peer_gone"
    line = stage.line_of(part)
    assert (line["status"], line["attempts"], not line["note"]) == (200, 1, fine)
    usage_is(line, kill)


def ended_as_told(kill: Kill, heard: Heard, part: Part, frames: list[bytes]) -> None:
    """What was shown, then the one ending."""
    if heard.ending == "error":
        assert any(text in heard.message for text in MESSAGES[kill.way].split("|")), heard
    if heard.frames:
        shown = frames if kill.state == "ended" else [*frames, heard.frames[-1]]
        assert same(part.lane, heard.frames, shown), heard
        supplied = heard.ending == "terminal" and kill.state != "ended"
        assert not supplied or same(part.lane, heard.frames[-1:], [TERMINAL[kill.protocol]])


def usage_is(line: dict[str, Any], kill: Kill) -> None:
    """What was used up to the kill is in the request's line: counted by the vendor, or estimated."""
    if kill.events < USAGE_FROM[kill.protocol]:
        assert line["usage"] == "estimated" and line["tokens_in"] > 0
        assert 0 < line["tokens_out"] <= kill.events
        return
    assert (line["usage"], line["tokens_in"]) == ("vendor", TOKENS_IN)
    told = kill.protocol == "chat" or kill.events >= UNTIL_FINISH["messages"]
    assert line["tokens_out"] == (TOKENS_OUT if told else 1)


#: Case of a kill before the first output -> how many keys it has.
HIDDEN_CASES: dict[Callable[[Stage, Ask, Kill, Part], Any], int] = {rotated: 2, asked_again: 1, refused: 1}


@EACH_LANE
@BOTH
@pytest.mark.parametrize(("asker", "way"), [("bytes", way) for way in WAYS] + [("sdk", way) for way in TOLD_BY_SDKS])
async def test_killed_before_the_first_output(stage: Stage, lane: str, protocol: str, way: str, asker: str) -> None:
    hidden = [kill for kill in kills(protocol, way) if kill.state == "hidden"]
    assert [kill.events for kill in hidden] == list(range(HIDDEN[protocol] + 1))
    cases = [(kill, case) for kill in hidden for case in HIDDEN_CASES]
    async with stage.nothing_left():
        parts = await stage.cast(protocol, lane, [HIDDEN_CASES[case] for _, case in cases])
        async with asking(asker, protocol, stage) as ask:
            await together(
                ((kill, case.__name__), case(stage, ask, kill, part))
                for (kill, case), part in zip(cases, parts, strict=True)
            )


@EACH_LANE
@BOTH
@pytest.mark.parametrize(("asker", "beats", "way"), PUMPED)
@pytest.mark.incident(23)
async def test_killed_after_the_first_output(
    stage: Stage, lane: str, protocol: str, way: str, asker: str, beats: str
) -> None:
    cases = [kill for kill in kills(protocol, way) if kill.state != "hidden"]
    assert {kill.state for kill in cases} >= {"shown", "finished"}
    async with stage.nothing_left():
        environ = {"STREAM_HEARTBEAT_SECONDS": beats}
        parts = await stage.cast(protocol, lane, [2] * len(cases), **environ)
        async with asking(asker, protocol, stage) as ask:
            await together(
                (kill, killed(stage, ask, asker, kill, part)) for kill, part in zip(cases, parts, strict=True)
            )


async def hurried(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """Killed at once behind a burst: how much of it was read is the network's choice, but nothing is mixed."""
    stage.vendor.script_key(part.keys[0], kill.step())
    stage.vendor.script_key(part.keys[1], whole(kill.protocol, SECOND))
    heard = await ask(part, deaf)
    await let_go(stage, part)
    if stage.used(part) == [0, 1]:
        answer(heard, part, 2)
        return
    frames = frames_of(kill.protocol, FIRST)
    shown = heard.frames[:-1]
    assert stage.used(part) == [0] and heard.attempts == 1
    assert same(part.lane, shown, frames[: len(shown)]), heard
    assert heard.ending in ("error", "terminal")
    if heard.ending == "terminal":
        assert len(shown) >= UNTIL_FINISH[kill.protocol]
    [seen] = stage.attempts_of(part)
    assert seen.outcome.ended == ("ok" if heard.ending == "terminal" else "failed")


@EACH_LANE
@BOTH
@pytest.mark.parametrize("way", [way for way in WAYS if way != "error"])
async def test_killed_at_once_behind_a_burst(stage: Stage, lane: str, protocol: str, way: str) -> None:
    cases = list(kills(protocol, way))
    async with stage.nothing_left():
        parts = await stage.cast(protocol, lane, [2] * len(cases))
        async with asking("bytes", protocol, stage) as ask:
            await together((kill, hurried(stage, ask, kill, part)) for kill, part in zip(cases, parts, strict=True))


#: How a whole answer is cut: (framing, how the connection ends). With a length HTTP itself says that bytes are missing.
CUTS = (("chunked", "clean"), ("chunked", "drop"), ("chunked", "reset"), ("length", "drop"), ("length", "reset"))


@EACH_LANE
@BOTH
async def test_a_cut_answer_is_never_shown(stage: Stage, lane: str, protocol: str) -> None:
    """Bytes of a whole answer are missing: another key's answer or an error status, never a part of it with a 200."""
    body = whole_of(protocol, FIRST)
    cases = [
        (framing, end, place, keys)
        for framing, end in CUTS
        for place in (0, 1, len(body) // 2, len(body) - 1)
        for keys in (1, 2)
    ]
    async with stage.nothing_left(), plain_session() as session:
        parts = await stage.cast(protocol, lane, [keys for *_, keys in cases])
        for part, (framing, end, place, _) in zip(parts, cases, strict=True):
            headers = {**CLOSING_JSON, **({"content-length": str(len(body))} if framing == "length" else {})}
            stage.vendor.script_key(part.keys[0], Raw(200, headers, [body[:place], b""], end=end))
            for key in part.keys[1:]:
                stage.vendor.script_key(key, Raw(200, CLOSING_JSON, [whole_of(protocol, SECOND)]))
        await together((case, cut_answer(stage, session, part)) for case, part in zip(cases, parts, strict=True))


async def cut_answer(stage: Stage, session: Any, part: Part) -> None:
    """Ask once; with a second key the answer is its alone."""
    async with session.post(stage.url + PATHS[part.protocol], json=part.body(), headers=JSON) as reply:
        body = await reply.read()
        attempts = int(reply.headers["x-rotator-attempts"])
    await let_go(stage, part)
    outcomes = [seen.outcome for seen in stage.attempts_of(part)]
    line = stage.line_of(part)
    assert (attempts, line["attempts"], line["status"]) == (2, 2, reply.status)
    if len(part.keys) == 2:
        assert reply.status == 200 and same_whole(part.lane, body, whole_of(part.protocol, SECOND))
        assert (stage.used(part), stage.doubted(part)) == ([0, 1], [True, False])
        assert [one.ended for one in outcomes] == ["failed", "ok"]
        assert (line["tokens_in"], line["tokens_out"]) == (TOKENS_IN, TOKENS_OUT)
        return
    assert reply.status == 502 and FIRST.encode() not in body
    assert refusal_of(part.protocol, body)
    assert (stage.used(part), stage.doubted(part)) == ([0, 0], [True])
    assert [one.ended for one in outcomes] == ["failed", "failed"]
