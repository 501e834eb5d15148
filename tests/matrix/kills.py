"""How an upstream dies at an event of its stream, and what its client must make of it, in every cell of the matrix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.matrix.clients import Ask, Heard, counted, deaf, refusal_of
from tests.matrix.stage import CELLS, CLOSING_JSON, CLOSING_SSE, LANES, Part, Stage
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
from tests.meanings import lawful, meaning_of, meaning_of_whole
from tests.upstreams import JSON, PATHS, Gate, Raw

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
#: Where, who asks, and how it dies before the first output.
ASKED = [(cell, "bytes", way) for cell in CELLS for way in WAYS]
ASKED += [(cell, "sdk", way) for cell in CELLS if not cell.heard_elsewhere for way in TOLD_BY_SDKS]
#: The same afterwards, and with which heartbeats: with some, which never come here, a stream is pumped in another way.
PUMPED = [(cell, asker, "off", way) for cell, asker, way in ASKED]
PUMPED += [
    (cell, "bytes", "30", way) for cell in CELLS if not cell.heard_elsewhere for way in ("clean", "cut", "error")
]
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
#: How a whole answer is cut: (framing, how the connection ends). With a length HTTP itself says that bytes are missing.
CUTS = (("chunked", "clean"), ("chunked", "drop"), ("chunked", "reset"), ("length", "drop"), ("length", "reset"))
#: Behind all that shows something may come what shows nothing: so long until the proxy has that, too.
SILENT_SECONDS = 0.01


@dataclass(frozen=True)
class Kill:
    """Death of a vendor behind the first ``events`` events of its stream."""

    vendor: str
    way: str
    events: int

    @property
    def state(self) -> State:
        """How far the answer has come."""
        if self.events <= HIDDEN[self.vendor]:
            return "hidden"
        if self.events < UNTIL_FINISH[self.vendor]:
            return "shown"
        return "finished" if self.events < len(frames_of(self.vendor, FIRST)) else "ended"

    def step(self, gate: Any = None) -> Any:
        """The vendor's script: the events, then death once the gate lets it, without one at once."""
        frames = frames_of(self.vendor, FIRST)
        before, after = frames[: self.events], frames[self.events :]
        last = [ERROR[self.vendor]] if self.way == "error" else []
        if self.way in BEGUN:
            last = [after[0][: BEGUN[self.way](after[0])]]
        if gate is None and self.way == "error":
            gate = Gate()  # the error comes, its end never does
            gate.release(self.events + 1)
        return Raw(200, CLOSING_SSE, [*before, *last, b""], gate, end=WAYS[self.way])


def kills(vendor: str, way: str) -> Iterator[Kill]:
    """One for each number of events, 0 and all of them included."""
    for events in range(len(frames_of(vendor, FIRST)) + (way not in BEGUN)):
        yield Kill(vendor, way, events)


def whole(vendor: str, voice: str) -> Any:
    return Raw(200, CLOSING_SSE, frames_of(vendor, voice))


async def let_go(stage: Stage, part: Part) -> None:
    """The vendor has seen each of a part's requests end."""
    for seen in stage.requests_of(part):
        await seen.ended.wait()


# ---------------------------------------------------------------- what was heard


def answer(heard: Heard, part: Part, attempts: int) -> None:
    """The second voice's whole answer."""
    frames = frames_of(part.vendor, SECOND)
    assert (heard.status, heard.ending, heard.attempts) == (200, "terminal", attempts), heard
    assert (heard.lane, heard.said) == (part.lane, said(frames)), heard
    assert FIRST.encode() not in heard.body
    if heard.frames:
        shows(heard, part, frames)


def shows(heard: Heard, part: Part, frames: Sequence[bytes]) -> None:
    """The client has what these frames of the vendor say, and what ends its own stream: nothing else.

    Translated frames are compared by their meaning.
    """
    if part.lane in LANES:
        supplied = [] if heard.ending == "terminal" and len(heard.frames) == len(frames) else [heard.frames[-1]]
        assert same(part.lane, heard.frames, [*frames, *supplied]), heard
        assert heard.ending == "error" or same(part.lane, heard.frames[-1:], [TERMINAL[part.protocol]])
        return
    lawful(part.protocol, heard.frames, part.model)
    sent, got = meaning_of(frames), meaning_of(heard.frames)
    assert got.said == sent.said, heard
    assert got.finish == (sent.finish if heard.ending == "terminal" or _tells_finish_at_once(part) else ""), heard
    if heard.ending == "terminal" and part.protocol == "messages" and len(frames) >= USAGE_FROM[part.vendor]:
        assert got.tokens == (TOKENS_IN, TOKENS_OUT)


def _tells_finish_at_once(part: Part) -> bool:
    """Chat tells the finish reason in a chunk of its own, Messages with the usage behind everything else."""
    return part.protocol == part.vendor == "chat"


# ---------------------------------------------------------------- before the first output


async def rotated(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """Killed before anything showed, with a second key: its answer, and nothing of the first one's."""
    stage.vendor.script_key(part.keys[0], kill.step())
    stage.vendor.script_key(part.keys[1], whole(kill.vendor, SECOND))
    answer(await ask(part, deaf), part, 2)
    await let_go(stage, part)
    assert stage.used(part) == [0, 1]
    assert [seen.outcome.ended for seen in stage.attempts_of(part)] == ["failed", "ok"]
    assert stage.doubted(part) == [True, False]
    line = stage.line_of(part)
    assert (line["status"], line["attempts"], line["note"]) == (200, 2, "")
    assert (line["tokens_in"], line["tokens_out"], line["usage"]) == (TOKENS_IN, TOKENS_OUT, "vendor")


async def asked_again(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """The same with one key that answers when it is asked again."""
    stage.vendor.script_key(part.keys[0], kill.step(), whole(kill.vendor, SECOND))
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


#: Case of a kill before the first output -> how many keys it has.
HIDDEN_CASES: dict[Callable[[Stage, Ask, Kill, Part], Any], int] = {rotated: 2, asked_again: 1, refused: 1}


# ---------------------------------------------------------------- afterwards


async def killed(stage: Stage, ask: Ask, asker: str, kill: Kill, part: Part) -> None:
    """Killed when the client has what was sent: one attempt, and the end that the state allows."""
    frames, gate = frames_of(kill.vendor, FIRST)[: kill.events], Gate()
    gate.release(kill.events)
    stage.vendor.script_key(part.keys[0], kill.step(gate))
    stage.vendor.script_key(part.keys[1], whole(kill.vendor, SECOND))
    die = gate.release if kill.way == "error" else gate.open
    heard = await ask(part, deaf if kill.state == "ended" else once(has_all(asker, part, frames), die))
    if kill.state == "ended":
        gate.open()  # the client has not waited for it
    await let_go(stage, part)
    fine = kill.state == "ended" or (kill.state == "finished" and kill.way in WHOLE_WAYS)
    assert (heard.status, heard.attempts, heard.lane) == (200, 1, part.lane), heard
    assert heard.ending == ("terminal" if fine else "error"), heard
    assert heard.said == said(frames)
    if heard.ending == "error":
        assert any(text in heard.message for text in MESSAGES[kill.way].split("|")), heard
    if heard.frames:
        shows(heard, part, frames)
    assert stage.used(part) == [0]
    [seen] = stage.attempts_of(part)
    assert (seen.status, seen.outcome.ended) == (200, "ok" if fine else "failed")
    assert stage.doubted(part) == [not fine, False]
    if kill.way == "error" and kill.state != "ended":
        assert stage.requests_of(part)[0].outcome == "peer_gone"
    line = stage.line_of(part)
    assert (line["status"], line["attempts"], not line["note"]) == (200, 1, fine)
    usage_is(line, kill)


def has_all(asker: str, part: Part, frames: Sequence[bytes]) -> Callable[[Heard], bool]:
    """Whether the client has what the vendor has sent: as many events, or what they say where frames are others."""
    if part.lane in LANES:
        awaited = counted(asker, part.vendor, list(frames))
        return lambda heard: heard.events >= awaited
    spoken = said(frames)
    return lambda heard: heard.said == spoken


def once(true: Callable[[Heard], bool], act: Callable[[], None]) -> Callable[[Heard], None]:
    """Act when it is true for the first time, and nothing that shows nothing can still be on its way."""
    done = False

    def hear(heard: Heard) -> None:
        nonlocal done
        if not done and true(heard):
            done = True
            asyncio.get_running_loop().call_later(SILENT_SECONDS, act)

    return hear


def usage_is(line: dict[str, Any], kill: Kill) -> None:
    """What was used up to the kill is in the request's line: counted by the vendor, or estimated."""
    if kill.events < USAGE_FROM[kill.vendor]:
        assert line["usage"] == "estimated" and line["tokens_in"] > 0
        assert 0 < line["tokens_out"] <= kill.events
        return
    assert (line["usage"], line["tokens_in"]) == ("vendor", TOKENS_IN)
    told = kill.vendor == "chat" or kill.events >= UNTIL_FINISH["messages"]
    assert line["tokens_out"] == (TOKENS_OUT if told else 1)


async def hurried(stage: Stage, ask: Ask, kill: Kill, part: Part) -> None:
    """Killed at once behind a burst: how much of it was read is the network's choice, but nothing is mixed."""
    stage.vendor.script_key(part.keys[0], kill.step())
    stage.vendor.script_key(part.keys[1], whole(kill.vendor, SECOND))
    heard = await ask(part, deaf)
    await let_go(stage, part)
    if stage.used(part) == [0, 1]:
        answer(heard, part, 2)
        return
    frames = frames_of(kill.vendor, FIRST)
    assert stage.used(part) == [0] and heard.attempts == 1
    assert heard.ending in ("error", "terminal")
    if part.lane in LANES:
        shown = heard.frames[:-1]
        assert same(part.lane, shown, frames[: len(shown)]), heard
        assert heard.ending == "error" or len(shown) >= UNTIL_FINISH[kill.vendor]
    else:
        lawful(part.protocol, heard.frames, part.model)
        assert said(frames).startswith(heard.said), heard
        full, got = meaning_of(frames), meaning_of(heard.frames)
        assert heard.ending == "error" or (got.said, got.finish) == (full.said, full.finish), heard
    [seen] = stage.attempts_of(part)
    assert seen.outcome.ended == ("ok" if heard.ending == "terminal" else "failed")


# ---------------------------------------------------------------- whole answers


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
        assert reply.status == 200 and says_the_same(part, body, whole_of(part.vendor, SECOND))
        assert (stage.used(part), stage.doubted(part)) == ([0, 1], [True, False])
        assert [one.ended for one in outcomes] == ["failed", "ok"]
        assert (line["tokens_in"], line["tokens_out"]) == (TOKENS_IN, TOKENS_OUT)
        return
    assert reply.status == 502 and FIRST.encode() not in body
    assert refusal_of(part.protocol, body)
    assert (stage.used(part), stage.doubted(part)) == ([0, 0], [True])
    assert [one.ended for one in outcomes] == ["failed", "failed"]


def says_the_same(part: Part, got: bytes, sent: bytes) -> bool:
    """Whether a whole answer is the one that was sent."""
    if part.lane in LANES:
        return same_whole(part.lane, got, sent)
    return meaning_of_whole(got) == meaning_of_whole(sent)


def script_cut(stage: Stage, part: Part, framing: str, end: str, place: int) -> None:
    """The first key's answer is cut at a place, any other key answers well."""
    body = whole_of(part.vendor, FIRST)
    headers = {**CLOSING_JSON, **({"content-length": str(len(body))} if framing == "length" else {})}
    stage.vendor.script_key(part.keys[0], Raw(200, headers, [body[:place], b""], end=end))
    for key in part.keys[1:]:
        stage.vendor.script_key(key, Raw(200, CLOSING_JSON, [whole_of(part.vendor, SECOND)]))
