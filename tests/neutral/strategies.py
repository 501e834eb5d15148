"""Hypothesis strategies for lawful streams of neutral events; ``laws.fold`` makes whole answers of them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, Literal, get_args

from hypothesis import strategies as st

from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.events import (
    ArgumentsDelta,
    Beat,
    BlockEnd,
    BlockStart,
    Cited,
    End,
    Event,
    Failed,
    Finished,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    StateSeen,
    TextDelta,
    UsageSeen,
)
from rotator.neutral.parts import (
    Citation,
    Logprob,
    Media,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Source,
    State,
    Text,
    ToolCall,
)
from rotator.neutral.response import Finish, Reason
from rotator.neutral.usage import Usage

#: The kinds of blocks that :func:`streams` makes.
KINDS = ("text", "reasoning", "redacted", "call", "custom", "builtin", "refusal", "media", "media_pieces", "opaque")

#: A block on its way: its part, and what comes for it as (event without its block's number).
Plan = tuple[Any, list[Any]]

#: Each of these is one choice: streams are made of many, and hypothesis pays for each.
WORDS = st.sampled_from(["Hi", " there", "\n", "\u00e9", "\U0001f642", "\u2028", '"', "\\", "<b>", "{}", "\x00", "0"])
NAMES = st.sampled_from(["look_up", "run", "mcp__files__read", "a" * 60])
STATES = st.sampled_from([
    State("signature", "c2lnbmVk"),
    State("signature", "c2lnbmVkIHRvbw==", Origin("one", "big", "account-1")),
    State("encrypted", "gAAAA"),
])
LOGPROBS = st.sampled_from([
    (),
    (Logprob("Hi", -0.5, (72, 105), (Logprob("Hi", -0.5), Logprob("Ho", -2.0))),),
    (Logprob("a", 0.0), Logprob("\u00e9", -20.0)),
])
OBJECTS: st.SearchStrategy[Any] = st.sampled_from([{}, {"a": 1}, {"q": "\u00e9", "b": [True, None]}])
FORMS: st.SearchStrategy[Literal["raw", "summary"]] = st.sampled_from(["raw", "summary"])
ROLES: st.SearchStrategy[Literal["hosted", "content"]] = st.sampled_from(["hosted", "content"])
MARKS = st.sampled_from([{}, {"phase": "commentary"}])
IMAGE = Source("base64", "iVBORw0KGgo=")


def pieces(text: str) -> st.SearchStrategy[list[str]]:
    """A text in pieces, none of them empty."""
    cuts = st.lists(st.integers(1, max(1, len(text) - 1)), max_size=3, unique=True).map(sorted)
    return cuts.map(lambda places: [text[start:end] for start, end in pairwise([0, *places, len(text)]) if end > start])


@st.composite
def _text(draw: st.DrawFn) -> Plan:
    """Words, with citations of what was said so far anywhere between them."""
    events: list[Any] = []
    said = 0
    for word in draw(st.lists(WORDS, max_size=4)):
        events.append(TextDelta(0, word, draw(LOGPROBS)))
        said += len(word)
        if draw(st.booleans()):
            start = draw(st.integers(0, said - 1))
            events.append(Cited(0, Citation("web", "https://a.example/1", draw(WORDS), word, start, said)))
    return Text("", rest=draw(MARKS)), [*events, *draw(_state())]


@st.composite
def _reasoning(draw: st.DrawFn) -> Plan:
    """Stretches of both forms, in rising numbers."""
    events: list[Any] = []
    thought = 0
    for _ in range(draw(st.integers(0, 3))):
        form = draw(FORMS)
        events += [ReasoningDelta(0, word, form, thought) for word in draw(st.lists(WORDS, min_size=1, max_size=3))]
        thought += draw(st.integers(1, 2))
    return Reasoning(item_id=draw(st.sampled_from(["", "rs_1"]))), [*events, *draw(_state())]


@st.composite
def _redacted(draw: st.DrawFn) -> Plan:
    return Reasoning(), [StateSeen(0, State("redacted", draw(WORDS)))]


@st.composite
def _call(draw: st.DrawFn) -> Plan:
    """A function's arguments: JSON, nothing, or what a model wrote instead."""
    text = draw(st.sampled_from(["{}", '{"q":"\u00e9","b":[true, 1.0]}', '{"input": "ls -l"}', "", '{"a": ']))
    events = [ArgumentsDelta(0, piece) for piece in draw(pieces(text))]
    return ToolCall(draw(_id()), draw(NAMES)), [*events, *draw(_state())]


@st.composite
def _custom(draw: st.DrawFn) -> Plan:
    events = [ArgumentsDelta(0, word) for word in draw(st.lists(WORDS, max_size=3))]
    return ToolCall(draw(_id()), draw(NAMES), kind="custom", namespace=draw(st.sampled_from(["", "crm"]))), events


@st.composite
def _builtin(draw: st.DrawFn) -> Plan:
    events = [ArgumentsDelta(0, piece) for piece in draw(pieces('{"commands": ["ls"]}'))]
    return ToolCall(draw(_id()), "shell_call", kind="builtin", item_id="sh_1"), events


@st.composite
def _refusal(draw: st.DrawFn) -> Plan:
    words = draw(st.lists(WORDS, min_size=1, max_size=3))
    return Refusal(""), [RefusalDelta(0, word, draw(LOGPROBS)) for word in words]


@st.composite
def _media(draw: st.DrawFn) -> Plan:
    """A medium that is there at once."""
    source = draw(st.sampled_from([IMAGE, Source("url", "https://a.example/cat.png")]))
    return Media("image", source, "image/png"), draw(_state())


@st.composite
def _media_pieces(draw: st.DrawFn) -> Plan:
    sound = st.builds(MediaDelta, st.just(0), data=st.sampled_from(["AAAA", "UklGRiQA"]))
    words = st.builds(MediaDelta, st.just(0), transcript=WORDS)
    return Media("audio", Source("base64"), "audio/wav"), draw(st.lists(sound | words, min_size=1, max_size=4))


@st.composite
def _opaque(draw: st.DrawFn) -> Plan:
    role = draw(ROLES)
    part = Opaque("messages", "server_tool_use", draw(OBJECTS), role)
    return part, [OpaqueDelta(0, data) for data in draw(st.lists(OBJECTS, max_size=2))]


def _state() -> st.SearchStrategy[list[Any]]:
    """No state, one, or one that a later one replaces."""
    return st.lists(st.builds(StateSeen, st.just(0), STATES), max_size=2)


def _id() -> st.SearchStrategy[str]:
    return st.integers(0, 10**9).map(lambda number: f"call_{number}")


PLANS: dict[str, st.SearchStrategy[Plan]] = {
    "text": _text(),
    "reasoning": _reasoning(),
    "redacted": _redacted(),
    "call": _call(),
    "custom": _custom(),
    "builtin": _builtin(),
    "refusal": _refusal(),
    "media": _media(),
    "media_pieces": _media_pieces(),
    "opaque": _opaque(),
}
STARTS = st.builds(
    Start,
    st.sampled_from(["chat", "messages"]),
    st.sampled_from(["", "answer-1"]),
    st.sampled_from(["", "m"]),
    st.sampled_from([0, 1_700_000_000]),
    st.sampled_from([None, "standard"]),
    st.sampled_from([{}, {"system_fingerprint": "fp_1"}]),
)
FINISHES = st.builds(Finish, st.sampled_from(get_args(Reason)), st.sampled_from(["", "native_word"])).map(
    lambda finish: finish._replace(stop_sequence="STOP") if finish.reason == "stop_sequence" else finish
)
COUNTS = st.integers(0, 500)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@st.composite
def streams(
    draw: st.DrawFn,
    *,
    candidates: int = 3,
    overlapping: bool = True,
    kinds: Collection[str] = KINDS,
    finishes: st.SearchStrategy[Finish] = FINISHES,
) -> list[Event]:
    """A whole lawful stream of up to so many candidates, with blocks of these kinds.

    ``overlapping`` False: one block of a candidate after the other, as writers see them; blocks of different
    candidates still come at the same time.
    """
    waiting = _blocks(draw, candidates, kinds)
    begun: dict[int, list[list[Event]]] = {candidate: [] for candidate in waiting}
    events: list[Event] = [draw(STARTS)]
    while begun:
        moves: list[tuple[int, int | None]] = []
        for candidate, open_blocks in begun.items():
            moves += [(candidate, place) for place in range(len(open_blocks))]
            if waiting[candidate] and (overlapping or not open_blocks):
                moves.append((candidate, None))
            elif not waiting[candidate] and not open_blocks:
                moves.append((candidate, None))
        candidate, place = draw(st.sampled_from(moves))
        if place is not None:
            block = begun[candidate][place]
            events.append(block.pop(0))
            if not block:
                del begun[candidate][place]
        elif waiting[candidate]:
            block = waiting[candidate].pop(0)
            events.append(block.pop(0))
            begun[candidate].append(block)
        else:
            events.append(Finished(draw(finishes), candidate))
            del begun[candidate]
    return [*_noticed(draw, events), End()]


@st.composite
def broken_streams(draw: st.DrawFn, *, candidates: int = 3, overlapping: bool = True) -> list[Event]:
    """A lawful stream that an error ends, or that just stops: somewhere behind its Start, before its end."""
    whole = draw(streams(candidates=candidates, overlapping=overlapping))
    left = whole[: draw(st.integers(1, len(whole) - 1))]
    return [*left, Failed(error_of(ErrorKind.OVERLOADED, "Too much."))] if draw(st.booleans()) else left


def _blocks(draw: st.DrawFn, candidates: int, kinds: Collection[str]) -> dict[int, list[list[Event]]]:
    """The events of each block of each candidate; their numbers say nothing about their order."""
    chosen = draw(st.lists(st.lists(st.sampled_from(sorted(kinds)), max_size=3), min_size=1, max_size=candidates))
    count = sum(map(len, chosen))
    numbers = iter(draw(st.lists(st.integers(0, 99), min_size=count, max_size=count, unique=True)))
    blocks: dict[int, list[list[Event]]] = {}
    for candidate, names in enumerate(chosen):
        blocks[candidate] = []
        for name in names:
            part, events = draw(PLANS[name])
            number = next(numbers)
            inner = [event._replace(block=number) for event in events]
            blocks[candidate].append([BlockStart(number, part, candidate), *inner, BlockEnd(number)])
    return blocks


def _noticed(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The same with usage and signs of life in between; what was told of the usage never becomes nothing."""
    told = Usage()
    places = draw(st.lists(st.integers(1, len(events)), max_size=3).map(sorted))
    for added, place in enumerate(places):
        notice: Event = Beat()
        if draw(st.booleans()):
            more = draw(USAGES)
            told = Usage(*(getattr(told, name) + getattr(more, name) for name in Usage.__slots__[:6]))
            notice = UsageSeen(told)
        events = [*events[: place + added], notice, *events[place + added :]]
    return events
