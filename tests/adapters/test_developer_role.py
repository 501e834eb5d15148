"""Developer messages under a role that every vendor knows, each in its place."""

import copy
import json
from typing import Any, Literal

import pytest

from rotator.api import WireAdapter
from tests.adapters.wired import furnish, noted, opened, refused, said, sent
from tests.upstreams import WHOLE, Canned, House, body_of, canned

LIVE = pytest.mark.asyncio(loop_scope="module")
TO = Literal["system", "user", "drop"]

#: Instructions at the front and between the turns, as text and as parts, with a name.
MESSAGES: list[Any] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "developer", "content": [{"type": "text", "text": "Be kind."}], "name": "house"},
    {"role": "system", "content": "Be true."},
    {"role": "user", "content": "developer"},
]


def rewritten(to: TO) -> list[Any]:
    """What becomes of them."""
    if to == "drop":
        return [message for message in MESSAGES if message["role"] != "developer"]
    return [{**message, "role": to if message["role"] == "developer" else message["role"]} for message in MESSAGES]


@pytest.mark.parametrize("to", ["system", "user", "drop"])
def test_messages_stay_in_place_under_another_role(to: TO) -> None:
    adapter = opened("developer_role", {"to": to})
    body = adapter.on_request({"model": "m", "messages": copy.deepcopy(MESSAGES), "n": 1})
    assert body == {"model": "m", "messages": rewritten(to), "n": 1}
    if to == "drop":
        assert noted(adapter) == [("dropped", "messages[0]", ""), ("dropped", "messages[2]", "")]
    else:
        places = ["messages[0].role", "messages[2].role"]
        assert noted(adapter) == [(f"role_{to}", place, place) for place in places]


@pytest.mark.parametrize("options", [None, {}])
def test_without_options_they_become_system_messages(options: Any) -> None:
    adapter = opened("developer_role", options)
    assert adapter.on_request({"messages": copy.deepcopy(MESSAGES)}) == {"messages": rewritten("system")}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": "developer"},
        {"messages": {"role": "developer"}},
        {"messages": []},
        {"messages": ["developer", None, 3, ["developer"], {"content": "x"}, {"role": ["developer"]}]},
        {"messages": [{"role": "Developer"}, {"role": "user"}]},
        {"role": "developer", "input": [{"role": "developer"}]},
    ],
)
def test_what_is_no_developer_message_stays(body: dict[str, Any]) -> None:
    adapter = opened("developer_role", {"to": "drop"})
    assert adapter.on_request(copy.deepcopy(body)) == body and not noted(adapter)


def test_answers_are_not_its_business() -> None:
    kind = type(opened("developer_role"))
    assert kind.on_response is WireAdapter.on_response and kind.on_event is WireAdapter.on_event


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"to": "assistant"}, ".to: expected system or user or drop, found 'assistant'"),
        ({"to": None}, ".to: expected system or user or drop, found nothing"),
        ({"too": "user"}, ".too: unknown key (did you mean to?)"),
        ({"role": "user"}, ".role: unknown key"),
        ("user", ": expected a mapping, found 'user'"),
    ],
)
def test_wrong_options_stop_the_start(options: Any, reason: str) -> None:
    assert refused("developer_role", options) == [reason]


@LIVE
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("to", ["system", "user", "drop"])
async def test_the_vendor_gets_no_developer_message(house: House, to: TO, stream: bool) -> None:
    await furnish(house, "chat", {"developer_role": {"to": to}})
    body = body_of("chat", "vendor/text", messages=MESSAGES, stream=stream)
    answer = await house.ask("chat", body)
    assert sent(house) == {**body, "model": "text", "messages": rewritten(to)}
    said("chat", answer, stream=stream, model="text")


@LIVE
async def test_what_a_client_sends_to_others_stays(house: House) -> None:
    """The control: without the adapter the same request passes raw, developer messages and all."""
    body = body_of("chat", "vendor/text", messages=MESSAGES)
    answer = await house.ask("chat", body)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "raw")
    assert sent(house)["messages"] == MESSAGES


@LIVE
async def test_a_profile_of_another_protocol_is_not_touched(house: House) -> None:
    """It is for chat: requests to the messages profile of the same provider go raw, byte for byte."""
    declared = {"base_url": house.vendor.url + "/v1", "protocol": "chat", "adapters": ["developer_role"]}
    declared["profiles"] = {"messages": {"protocol": "messages", "base_url": house.vendor.url}}
    await house.furnish(config={"providers": {"vendor": declared}})
    text = json.dumps(body_of("messages", "vendor/text"), indent=1).encode()
    answer = await house.ask("messages", text)
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "raw"), answer.body
    assert house.vendor.requests[-1].body == text.replace(b"vendor/text", b"text")
    answer = await house.ask("chat", body_of("chat", "vendor/text", messages=MESSAGES))
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "native")
    assert sent(house)["messages"] == rewritten("system")


@LIVE
async def test_whoever_requires_the_raw_lane_hears_what_closes_it(house: House) -> None:
    await furnish(house, "chat", "developer_role")
    answer = await house.ask("chat", house.body("chat", "text"), headers={"x-rotator-require": "raw"})
    assert answer.status == 400 and "(adapter developer_role)" in answer.error["message"]


@LIVE
async def test_a_canned_vendor_gets_the_same(house: House) -> None:
    """Whatever a client may send, also what no schema allows."""
    async with canned(Canned([WHOLE["chat"]])) as server:
        await furnish(house, "chat", "developer_role", base=server.url)
        odd = {"role": "developer", "big": 12345678901234567890123, "lone": "\ud83d"}
        answer = await house.ask("chat", {"model": "vendor/m", "messages": [7, odd, {"role": None}]})
    assert (answer.status, answer.headers["x-rotator-lane"]) == (200, "native")
    expected = {"model": "m", "messages": [7, {**odd, "role": "system"}, {"role": None}]}
    assert json.loads(server.taken[0].body) == expected
