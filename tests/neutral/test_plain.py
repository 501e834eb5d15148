"""Neutral data as the trace shows it."""

from rotator.neutral.events import BlockStart, TextDelta
from rotator.neutral.parts import Media, Source, Text, ToolCall
from rotator.neutral.plain import plain
from rotator.neutral.request import Request, Sampling, Turn
from rotator.wire.jsontext import dumps


def test_what_says_nothing_is_left_out_and_zero_stays() -> None:
    turn = Turn("user", (Text("hi", at=("messages", 0, "content")),), at=("messages", 0))
    told = plain(Request("chat", "m", (turn,), sampling=Sampling(temperature=0.0)))
    assert told["kind_of"] == "Request" and told["protocol"] == "chat" and "tools" not in told
    assert told["sampling"] == {"kind_of": "Sampling", "temperature": 0.0}
    assert told["stream"] is False
    assert told["turns"] == [
        {
            "kind_of": "Turn",
            "role": "user",
            "parts": [{"kind_of": "Text", "text": "hi", "at": "messages[0].content"}],
            "at": "messages[0]",
        }
    ]


def test_parts_inside_parts_and_events_are_json() -> None:
    image = Media("image", Source("base64", "aGk="), "image/png")
    assert plain(image)["source"] == {"kind_of": "Source", "form": "base64", "value": "aGk="}
    events = [BlockStart(0, ToolCall("c", "f")), TextDelta(0, "a")]
    told = plain(events)
    assert [one["kind_of"] for one in told] == ["BlockStart", "TextDelta"]
    assert told[0]["part"]["name"] == "f"
    assert dumps(told)


def test_other_values_are_themselves() -> None:
    assert plain({"a": [1, None]}) == {"a": [1, None]}
    assert plain(("a", 1)) == ["a", 1]
    assert plain(Text) == "Text"
