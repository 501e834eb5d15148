"""What a vendor refuses is mended where the codec knows less to ask for, once for each step, and told."""

import json
from typing import Any

import pytest

from tests.upstreams import House, Play, Reply, body_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = "The compiled grammar is too large, which would cause performance issues."
CITY = {"city": {"type": "string"}}
OPEN = {"type": "object", "properties": CITY, "required": ["city"], "additionalProperties": False}
STRICT = {"type": "function", "function": {"name": "look", "parameters": OPEN, "strict": True}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": OPEN, "strict": True}}
HEADER = "x-rotator-repair"


def refused(text: str = LARGE, status: int = 400) -> Reply:
    kind = "invalid_request_error" if status == 400 else "api_error"
    return Reply(status, body={"type": "error", "error": {"type": kind, "message": text}})


async def asked(house: House, *steps: Any, headers: Any = None, **more: Any) -> Any:
    model = house.play(*steps)
    return await house.ask("chat", body_of("chat", f"claudish/{model}", **more), headers=headers or {})


def sent(house: House, count: int) -> list[Any]:
    return [json.loads(one.body) for one in list(house.vendor.requests)[-count:]]


def strict(body: Any) -> list[Any]:
    return [tool.get("strict") for tool in body["tools"]]


@pytest.mark.pitfall("P-161")
@pytest.mark.parametrize("stream", [False, True])
async def test_schemas_that_are_too_large_are_told_with_less_force_step_by_step(house: House, stream: bool) -> None:
    steps = (refused(), refused(), Play("text"))
    answer = await asked(house, *steps, tools=[STRICT], response_format=FORMAT, stream=stream)
    assert (answer.status, answer.headers[HEADER]) == (200, "smaller-schemas")
    assert answer.headers["x-rotator-attempts"] == "3"
    first, second, third = sent(house, 3)
    assert [strict(body) for body in (first, second, third)] == [[True], [None], [None]]
    assert first["output_config"] == second["output_config"] and "output_config" not in third
    assert "JSON Schema" in json.dumps(third["system"])
    codes = [loss["code"] for loss in json.loads(answer.headers["x-rotator-warnings"])]
    assert codes == ["tool.strict", "format.schema"]
    assert len({one.key for one in list(house.vendor.requests)[-3:]}) == 1
    assert not any(one.doubted(house.clock.now) for one in house.proxy.core.pool.standings("claudish"))


async def test_a_step_that_would_change_nothing_is_left_out(house: House) -> None:
    answer = await asked(house, refused(), Play("text"), response_format=FORMAT)
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (200, "2")
    assert "output_config" not in sent(house, 1)[0]


async def test_where_nothing_is_left_to_ease_the_vendor_is_heard(house: House) -> None:
    answer = await asked(house, refused(), tools=[STRICT])
    assert (answer.status, answer.error["message"], answer.headers["x-rotator-attempts"]) == (400, LARGE, "2")
    plain = await asked(house, refused())
    assert (plain.status, plain.headers["x-rotator-attempts"], HEADER in plain.headers) == (400, "1", False)


@pytest.mark.parametrize("step", [refused("tools.0: another mistake"), refused(LARGE, 500)])
async def test_other_errors_are_none_of_this(house: House, step: Reply) -> None:
    answer = await asked(house, step, tools=[STRICT], response_format=FORMAT)
    assert answer.status >= 400 and HEADER not in answer.headers
    assert all(strict(body) == [True] for body in sent(house, int(answer.headers["x-rotator-attempts"])))


async def test_who_wants_nothing_lost_hears_it_at_once(house: House) -> None:
    faithful = {"x-rotator-fidelity": "faithful"}
    answer = await asked(house, refused(), headers=faithful, tools=[STRICT])
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (400, "1")


async def test_a_client_of_the_vendors_own_protocol_is_never_changed(house: House) -> None:
    tool = {"name": "look", "input_schema": OPEN, "strict": True}
    answer = await house.ask("messages", body_of("messages", f"claudish/{house.play(refused())}", tools=[tool]))
    assert (answer.status, answer.headers["x-rotator-attempts"]) == (400, "1")
