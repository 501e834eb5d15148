"""Thoughts between tags in the text, however it is cut.  Source: conversion-pitfalls.md P137; protocols.md P-108."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.neutral.events import End, Event, Finished
from rotator.neutral.losses import Ledger, Loss
from rotator.neutral.parts import Citation, Part, Reasoning, Text, Thought, ToolCall
from rotator.neutral.response import Finish
from tests.neutral.laws import check_laws, fold
from tests.protocols.chat.clients import module
from tests.protocols.chat.streamed import ROLE, call, calling, chunk, more, text, thought
from tests.protocols.chat.whole import entry, leaning

ThinkTags, tagged = module("think_tags").ThinkTags, module("think_tags").tagged


def split(*texts: str, inside: bool = False) -> list[tuple[bool, str]]:
    """The words of each kind, neighbours of one kind put together; each stands where its piece says."""
    tags, whole = ThinkTags(inside), "".join(texts)
    found: list[tuple[bool, str]] = []
    for thinking, words, at in [piece for one in texts for piece in tags.feed(one)] + tags.end():
        assert words
        own = words.removeprefix("\n\n") if thinking else words
        assert whole[at : at + len(words)] == words or whole[at : at + len(own)] == own
        if found and found[-1][0] == thinking:
            words = found.pop()[1] + words
        found.append((thinking, words))
    return found


#: A text, and its thoughts (True) and words.
TEXTS: dict[str, tuple[str, list[tuple[bool, str]]]] = {
    "none": ("Hi there.", [(False, "Hi there.")]),
    "at the beginning": ("<think>\nHm. So\n</think>\n\nHi", [(True, "Hm. So"), (False, "Hi")]),
    "behind white space": ("\n <think>Hm</think>Hi", [(True, "Hm"), (False, "Hi")]),
    "white space alone": (" \n", [(False, " \n")]),
    "white space before words": (" \nHi \n", [(False, " \nHi \n")]),
    "in the middle": ("One <think> two </think> three", [(False, "One "), (True, "two"), (False, "three")]),
    "no thoughts": ("<think>\n\n</think>\n\n{}", [(False, "{}")]),
    "nothing but thoughts": ("<think>Hm</think>\n", [(True, "Hm")]),
    "never closed": ("<think>Hm \n", [(True, "Hm")]),
    "cut off in the closing tag": ("<think>Hm</thi", [(True, "Hm</thi")]),
    "cut off in the opening tag": ("Hi <thin", [(False, "Hi <thin")]),
    "nothing but half a tag": ("<thi", [(False, "<thi")]),
    "two in a row": ("<think>a</think>\n<think>b</think>c", [(True, "a\n\nb"), (False, "c")]),
    "two with words between": ("<think>a</think>b<think>c</think>", [(True, "a"), (False, "b"), (True, "c")]),
    "white space inside stays": ("<think>a\n\nb</think>", [(True, "a\n\nb")]),
    "a closing tag alone is words": ("a</think>b", [(False, "a</think>b")]),
    "an opening tag in thoughts is a thought": ("<think>a<think>b</think>c", [(True, "a<think>b"), (False, "c")]),
    "less than": ("1 < 2 <th> <<think>a</think>b", [(False, "1 < 2 <th> <"), (True, "a"), (False, "b")]),
    "other tags": ("<thinking>a</thinking>", [(False, "<thinking>a</thinking>")]),
}
#: The same where the text begins with thoughts.
INSIDE: dict[str, tuple[str, list[tuple[bool, str]]]] = {
    "closed": ("\nHm.\n</think>\n\nHi", [(True, "Hm."), (False, "Hi")]),
    "opened all the same": (" <think>\nHm.</think>Hi", [(True, "Hm."), (False, "Hi")]),
    "never closed": ("Hm.", [(True, "Hm.")]),
    "half a tag": ("<thi", [(True, "<thi")]),
    "empty": ("\n</think>Hi", [(False, "Hi")]),
    "a second one": ("a</think>b<think>c", [(True, "a"), (False, "b"), (True, "c")]),
}
CASES = [(*case, inside) for cases, inside in ((TEXTS, False), (INSIDE, True)) for case in cases.values()]


@pytest.mark.parametrize(("text", "found", "inside"), CASES, ids=[*TEXTS, *(f"inside: {name}" for name in INSIDE)])
def test_a_text_however_it_is_cut(text: str, found: list[tuple[bool, str]], inside: bool) -> None:
    assert split(text, inside=inside) == found
    assert split(*text, inside=inside) == found
    for place in range(len(text)):
        assert split(text[:place], text[place:], inside=inside) == found


LUMPS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "<th", "ink>", "</", " ", "\n", "a", "b c", "\u4f60"]), max_size=12
)


@pytest.mark.pitfall("C137")
@settings(max_examples=400)
@given(lumps=LUMPS, inside=st.booleans(), data=st.data())
def test_any_cut_gives_the_same(lumps: list[str], inside: bool, data: st.DataObject) -> None:
    text = "".join(lumps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(*pieces, inside=inside) == split(text, inside=inside)


def test_words_go_out_as_they_come() -> None:
    tags, texts = ThinkTags(), ("<think>", "Hm", ", so", "</", "think>", "Hi", " you")
    heard = [[piece.words for piece in tags.feed(text)] for text in texts]
    assert heard == [[], ["Hm"], [", so"], [], [], ["Hi"], [" you"]]


def test_endless_white_space_costs_what_it_is_long() -> None:
    """Models get stuck so: what waits is not looked at again with each piece."""
    tags = ThinkTags()
    assert [piece.words for piece in tags.feed("<think>a")] == ["a"]
    assert not any(tags.feed("\n") for _ in range(50_000))
    assert [len(piece.words) for piece in tags.feed("b")] == [50_001]


@given(st.text(alphabet="ab \n<", min_size=1).filter(lambda text: text == text.strip()))
def test_what_is_tagged_is_read_again(thoughts: str) -> None:
    assert split(tagged(thoughts) + "Hi") == [(True, thoughts), (False, "Hi")]


# ---------------------------------------------------------------- answers


def codec(reasoning_answer: str = "think_tags") -> Any:
    """The codec of a provider whose answers are so."""
    return module("codec").ChatCodec().with_dialect({"reasoning_answer": reasoning_answer})


def read(
    *deltas: Any, answer: str = "think_tags", finish: Any = "stop", ledger: Ledger | None = None
) -> list[Event]:
    """The events of a stream, without Start and End."""
    reader = codec(answer).reader(ledger or Ledger())
    data = [chunk(ROLE), *(chunk(delta) for delta in deltas), *([chunk({}, finish)] if finish else [])]
    events = [event for one in data for event in reader.read(None, one)] + list(reader.end(terminal=True))
    assert check_laws(events, cut=True) == []
    assert isinstance(events[-1], End) or finish is None
    return [event for event in events[1:] if not isinstance(event, End)]


def whole(message: Any, answer: str = "think_tags", ledger: Ledger | None = None, **choice: Any) -> list[Part]:
    """The parts of a whole answer."""
    body = {"id": "c-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]}
    parts = codec(answer).parse_response(body, ledger or Ledger()).candidates[0].parts
    return list(parts)


def folded(events: list[Event]) -> list[Part]:
    start = module("reader").ChatReader(Ledger()).read(None, chunk(ROLE))
    return list(fold([*start, *events, End()]).candidates[0].parts)


@pytest.mark.pitfall("C137")
def test_thoughts_are_blocks_of_their_own() -> None:
    deltas = [{"content": piece} for piece in ("<thi", "nk>\nHm", ".\n", "</think>\n", "\nHi", " you")]
    stop = Finished(Finish("stop", "stop"))
    assert read(*deltas) == [*thought(0, "Hm", "."), *text(1, "Hi", " you"), stop]
    assert whole({"content": "<think>\nHm.\n</think>\n\nHi"}) == [Reasoning((Thought("Hm."),)), Text("Hi")]


@pytest.mark.pitfall("C137")
def test_without_the_dialect_tags_are_text() -> None:
    content = "<think>Hm.</think>Hi"
    assert whole({"content": content}, "fields") == [Text(content)]
    assert read({"content": content}, answer="fields")[:-1] == text(0, content)


def test_an_answer_that_begins_inside() -> None:
    message = {"content": "Hm.\n</think>\n\nHi"}
    assert whole(message, "think_open") == [Reasoning((Thought("Hm."),)), Text("Hi")]
    assert read(message, answer="think_open")[:-1] == [*thought(0, "Hm."), *text(1, "Hi")]


@pytest.mark.pitfall("P-108")
def test_structured_output_is_clean() -> None:
    """Source: protocols.md P-108."""
    (*_, said) = whole({"content": '<think>\nA city.\n</think>\n{"city":"Oslo"}'})
    assert isinstance(said, Text) and json.loads(said.text) == {"city": "Oslo"}


def test_what_waits_is_told_before_a_call() -> None:
    events = read({"content": "Hi <"}, calling(more(0, "{}", "call_1", "one")), finish="tool_calls")
    assert events[:-1] == [*text(0, "Hi ", "<"), *call(1, "call_1", "one", "{}")]
    events = read({"content": "<think>Hm"}, {"content": "\n", **calling(more(0, "{}", "call_1", "one"))})
    assert events[:-1] == [*thought(0, "Hm"), *call(1, "call_1", "one", "{}")]


def test_mere_thoughts_are_no_complete_answer() -> None:
    """Source: protocols.md 5.2 P-28."""
    assert not any(isinstance(event, Finished) for event in read({"content": "<think>Hm.</think>"}, finish=None))
    assert any(isinstance(event, Finished) for event in read({"content": "<think>Hm.</think>Hi"}, finish=None))


def test_citations_lean_on_the_last_text() -> None:
    """A vendor counts the characters of all that it wrote."""
    content = "<think>Hm.</think> So it is."
    cited = {"annotations": [leaning(19, 21)]}
    said = Text("So it is.", (Citation("web", "https://page.example", "A page", start=0, end=2),))
    assert whole({"content": content, **cited}) == [Reasoning((Thought("Hm."),)), said]
    assert folded(read({"content": content}, cited)) == [Reasoning((Thought("Hm."),)), said]


def test_a_citation_of_thoughts_is_lost() -> None:
    told, heard = Ledger(), Ledger()
    content, cited = "<think>Hm.", {"annotations": [leaning(0, 2)]}
    assert whole({"content": content, **cited}, ledger=told) == [Reasoning((Thought("Hm."),))]
    read({"content": content}, cited, ledger=heard)
    assert told.losses == heard.losses == [Loss("answer.citation")]


def test_probabilities_of_such_a_text_are_left_out() -> None:
    told, heard = Ledger(), Ledger()
    logprobs = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    assert whole({"content": "Hi"}, ledger=told, logprobs=logprobs) == [Text("Hi")]
    reader = codec().reader(heard)
    one = chunk({"content": "Hi"}, "stop")
    one["choices"][0]["logprobs"] = logprobs
    assert text(0, "Hi")[1] in list(reader.read(None, one))
    assert told.losses == heard.losses == [Loss("answer.logprobs")]


@pytest.mark.pitfall("C137")
@settings(max_examples=200)
@given(lumps=LUMPS, inside=st.booleans(), field=st.sampled_from(["", "Field."]), called=st.booleans(), data=st.data())
def test_a_stream_however_cut_is_the_whole_answer(
    lumps: list[str], inside: bool, field: str, called: bool, data: st.DataObject
) -> None:
    content, answer = "".join(lumps), "think_open" if inside else "think_tags"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    deltas: list[Any] = [{"reasoning_content": field}] if field else []
    deltas += [{"content": content[start:end]} for start, end in pairwise([0, *cuts, len(content)])]
    message: dict[str, Any] = {"reasoning_content": field, "content": content}
    if called:
        deltas.append(calling(more(0, "{}", "call_1", "one")))
        message["tool_calls"] = [entry("call_1", "one", "{}")]
    parts = whole(message, answer)
    assert folded(read(*deltas, answer=answer)) == parts
    assert all(part.text for part in parts if isinstance(part, Text | Reasoning))
    assert [part for part in parts if isinstance(part, ToolCall)] == [ToolCall("call_1", "one", "{}")] * called
