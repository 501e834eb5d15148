"""A model spells a credential over several events; the stream that is written down does not hold it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.redact import MARK, Redactor
from rotator.neutral.secret import Secret
from rotator.trace.deltas import rejoined
from rotator.trace.redaction import Redaction
from tests.trace import credentials
from tests.trace.credentials import VALUE

HELD = "pl4nted/va+lue-of-a-key=="
REDACTION = Redaction(Redactor([Secret(HELD)]))

#: Events of several wire formats that carry a piece of text.
FORMATS: dict[str, Callable[[str], Any]] = {
    "chat": lambda text: {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]},
    "chat tools": lambda text: {
        "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": text}}]}}]
    },
    "messages": lambda text: {"type": "content_block_delta", "index": 2, "delta": {"partial_json": text}},
    "responses": lambda text: {"type": "response.output_text.delta", "output_index": 1, "delta": text},
    "gemini": lambda text: {"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]},
}


def stream(events: list[Any], end: str = "\n") -> str:
    return "".join(f"event: x{end}data: {json.dumps(event)}{end}{end}" for event in events)


def events_of(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]


def said(text: str, form: Callable[[str], Any]) -> str:
    """What a client would put together."""
    path: list[Any] = []
    value = form("<here>")
    while value != "<here>":
        items = value.items() if isinstance(value, dict) else enumerate(value)
        key = next(key for key, inner in items if "<here>" in json.dumps(inner))
        path.append(key)
        value = value[key]
    whole = ""
    for event in events_of(text):
        for key in path:
            event = event[key]
        whole += event
    return whole


@pytest.mark.incident(13)
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("secret", [HELD, credentials.SHAPES[0], f'{{"api_key": "{VALUE}", "n": 1}}'])
@given(size=st.integers(1, 30), shift=st.integers(0, 20), end=st.sampled_from(["\n", "\r\n"]))
def test_spelt_secrets_are_masked(form: Callable[[str], Any], secret: str, size: int, shift: int, end: str) -> None:
    whole = f"{'x' * shift} {secret} and that is it"
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    text = stream([form(piece) for piece in pieces], end)
    found = REDACTION.text(rejoined(text, len(text), REDACTION)[0])
    expected = whole.replace(VALUE, MARK) if VALUE in secret else whole.replace(secret, MARK)
    assert said(found, form) == expected
    assert len(events_of(found)) == len(pieces) and found.count("\r") == text.count("\r")


def test_events_without_a_piece_of_it_stay_byte_for_byte() -> None:
    first, last = 'data:  {"choices" : [{"delta":{"content":"a"}}]}', "data: [DONE]"
    middle = [f'data: {{"choices":[{{"delta":{{"content":"{part}"}}}}]}}' for part in (HELD[:9], HELD[9:])]
    text = "\n\n".join([": ping", first, *middle, last, "data: not json {", ""])
    found, limit = rejoined(text, len(text), REDACTION)
    lines = found.split("\n\n")
    assert lines[:2] == [": ping", first] and lines[4:] == [last, "data: not json {", ""]
    assert said("\n".join(lines[1:4]), lambda piece: {"choices": [{"delta": {"content": piece}}]}) == f"a{MARK}"
    assert limit >= len(found)


@pytest.mark.parametrize("text", ["", "plain", "data: {}\n\n", stream([FORMATS["chat"](HELD[:5]), {"a": HELD[5:]}])])
def test_a_stream_without_one_is_the_same_object(text: str) -> None:
    assert rejoined(text, 3, REDACTION) == (text, 3)


def test_answers_that_come_at_the_same_time_are_kept_apart() -> None:
    """Two tool calls, their pieces in turns: each spells a secret of its own, together they spell nothing."""
    pieces = [HELD[start : start + 5] for start in range(0, len(HELD), 5)]
    events = [
        {"type": "content_block_delta", "index": index, "delta": {"partial_json": piece}}
        for piece in pieces for index in (0, 1)
    ]  # fmt: skip
    found = events_of(rejoined(text := stream(events), len(text), REDACTION)[0])
    for index in (0, 1):
        assert "".join(one["delta"]["partial_json"] for one in found if one["index"] == index) == MARK


def test_one_line_of_json_each_is_a_stream_too() -> None:
    text = "".join(f"{json.dumps({'message': {'content': part}})}\n" for part in ("see ", HELD[:9], HELD[9:], "."))
    found = rejoined(text, len(text), REDACTION)[0]
    assert "".join(json.loads(line)["message"]["content"] for line in found.splitlines()) == f"see {MARK}."


@given(limit=st.integers(0, 2_000))
def test_the_limit_moves_with_its_line(limit: int) -> None:
    """Where something was masked the cut falls between lines; no piece of the secret stands before it."""
    pieces = [HELD[start : start + 3] for start in range(0, len(HELD), 3)]
    text = stream([FORMATS["chat"](piece) for piece in ["hello ", *pieces, " world"]])
    found, moved = rejoined(text, limit, REDACTION)
    assert moved <= max(limit, 0) + len(MARK) or limit >= len(text)
    kept = found[:moved]
    assert "".join(HELD[:6]) not in said(kept, FORMATS["chat"])
    assert text.startswith(kept[: text.rindex("data:", 0, text.index("pl4"))])
    assert not kept or kept.endswith("\n") or limit >= len(text)


def test_odd_events_are_no_trouble() -> None:
    deep: Any = "x"
    for _ in range(150):
        deep = [deep]
    events = [{"type": ["x"], "index": None}, {"type": {}, "index": [1]}, deep, [], {"a": {"index": {}}}, "text", 5]
    text = stream([*events, *events])
    assert rejoined(text, len(text), REDACTION) == (text, len(text))
