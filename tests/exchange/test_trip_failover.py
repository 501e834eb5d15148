"""One request over several targets: what goes on to the next one, what stops, and what is told when none serves."""

import json
from typing import Any

import pytest

from tests.exchange.staging import ERRORS, SENT, SPARE_KEYS, SPARES, committed, ends_in_error, furnish, lead, served
from tests.upstreams import BEFORE_VISIBLE, FRAMES, PROVIDERS, SSE, Answer, Canned, House, Play, Raw, Reply, canned

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def told(answer: Answer) -> tuple[int, str, int]:
    """Status, who answered (or was asked last), and how many calls went upstream."""
    return answer.status, answer.headers["x-rotator-provider"], int(answer.headers["x-rotator-attempts"])


async def stand(house: House, protocol: str, *steps: Any, keys: int = 1, config: Any = None) -> list[str]:
    """Make all names lead to targets that do these things in turn: the first is the house's own provider, then spares.

    The models of the targets.
    """
    world = await furnish(house, keys=keys, config=config)
    models = [house.play(*(step if isinstance(step, tuple) else (step,))) for step in steps]
    names = [PROVIDERS[protocol], *[SPARES[protocol]] * (len(steps) - 1)]
    await lead(house, world, protocol, *(f"{name}/{model}" for name, model in zip(names, models, strict=True)))
    house.vendor.requests.clear()
    return models


def asked(house: House, models: list[str]) -> list[int]:
    """Which targets the vendor saw, by number, in order."""
    return [models.index(json.loads(seen.body)["model"]) + 1 for seen in house.vendor.requests]


@BOTH
@WAYS
@pytest.mark.parametrize("keys", [1, 2])
async def test_after_its_keys_and_another_try_a_faulty_target_gives_way(
    house: House, protocol: str, stream: bool, keys: int
) -> None:
    models = await stand(house, protocol, Reply(500), Play("text"), keys=keys)
    answer = await house.call(protocol, "any", stream=stream)
    assert told(answer) == (200, SPARES[protocol], 2 * keys + 1)
    assert asked(house, models) == [1] * 2 * keys + [2]
    assert (answer.headers["x-rotator-model"], len(house.clock.slept)) == (models[1], 1)
    assert b"rror" not in answer.body


FAILING = {
    "inside": lambda protocol: Raw(200, SSE, [b"".join([FRAMES[protocol][0], ERRORS[protocol]])]),
    "cut": lambda protocol: Raw(200, SSE, FRAMES[protocol][:1]),
    "empty": lambda protocol: Raw(200, SSE),
    "no json": lambda protocol: Raw(200, SSE, [b"<html>"]),
    "reset": lambda protocol: Raw(200, SSE, FRAMES[protocol][:1], end="reset"),
}


@BOTH
@pytest.mark.parametrize("failure", FAILING)
async def test_a_stream_that_fails_before_it_shows_anything_gives_way(
    house: House, protocol: str, failure: str
) -> None:
    config = {"retry": {"same_key": 0}}
    models = await stand(house, protocol, FAILING[failure](protocol), Play("text"), config=config)
    answer = await house.call(protocol, "any", stream=True)
    assert told(answer) == (200, SPARES[protocol], 2)
    assert asked(house, models) == [1, 2] and b"rror" not in answer.body


@BOTH
async def test_a_stream_that_fails_later_does_not(house: House, protocol: str) -> None:
    world = await furnish(house)
    await lead(house, world, protocol, f"{PROVIDERS[protocol]}/scripted", f"{SPARES[protocol]}/text")
    begun = BEFORE_VISIBLE[protocol] + 1
    answer = await committed(house, protocol, begun, ERRORS[protocol])
    assert ends_in_error(protocol, answer, SENT[protocol][:begun])["message"] == "It broke"
    assert json.loads(house.vendor.requests[-1].body)["model"] == "scripted"


@BOTH
@WAYS
async def test_a_target_that_cannot_be_reached_gives_way(house: House, protocol: str, stream: bool) -> None:
    async with canned(Canned()) as server:
        nobody = server.url
    providers = served(house.vendor.url)
    providers[PROVIDERS[protocol]]["base_url"] = nobody
    world = await house.furnish(config={"providers": providers}, **SPARE_KEYS)
    await lead(house, world, protocol, f"{PROVIDERS[protocol]}/text", f"{SPARES[protocol]}/text")
    assert told(await house.call(protocol, "any", stream=stream)) == (200, SPARES[protocol], 3)


@BOTH
@WAYS
@pytest.mark.parametrize("status", [404, 429, 401, 402, 403])
async def test_what_is_about_model_or_key_gives_way_at_once(
    house: House, protocol: str, stream: bool, status: int
) -> None:
    models = await stand(house, protocol, Reply(status, {"retry-after": "30"}), Play("text"))
    answer = await house.call(protocol, "any", stream=stream)
    assert told(answer) == (200, SPARES[protocol], 2)
    assert (asked(house, models), house.clock.slept) == ([1, 2], [])


@BOTH
async def test_a_model_that_is_not_found_is_not_asked_of_other_keys(house: House, protocol: str) -> None:
    models = await stand(house, protocol, Reply(404), Play("text"), keys=3)
    assert told(await house.call(protocol, "any")) == (200, SPARES[protocol], 2)
    assert asked(house, models) == [1, 2]


@BOTH
async def test_a_limited_target_is_skipped_while_it_lasts(house: House, protocol: str) -> None:
    models = await stand(house, protocol, Reply(429, {"retry-after": "30"}), Play("text"))
    for passed, expected in ((0, [1, 2]), (19, [1, 2, 2]), (12, [1, 2, 2, 1, 2])):
        house.clock.now += passed
        assert (await house.call(protocol, "any")).status == 200
        assert asked(house, models) == expected


@BOTH
@WAYS
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_is_wrong_with_the_request_stops(house: House, protocol: str, stream: bool, status: int) -> None:
    models = await stand(house, protocol, Reply(status), Play("text"))
    answer = await house.call(protocol, "any", stream=stream)
    assert told(answer) == (status, PROVIDERS[protocol], 1)
    assert asked(house, models) == [1]


def says(text: str, status: int) -> Any:
    return Reply(status, body={"type": "error", "error": {"message": text}})


@pytest.mark.pitfall("C255")
@BOTH
@WAYS
async def test_the_last_targets_error_is_told(house: House, protocol: str, stream: bool) -> None:
    models = await stand(house, protocol, says("first", 500), says("second", 502), says("third", 404))
    answer = await house.call(protocol, "any", stream=stream)
    assert told(answer) == (404, SPARES[protocol], 5)
    assert (answer.error["message"], asked(house, models)) == ("third", [1, 1, 2, 2, 3])


@BOTH
async def test_where_the_last_targets_keys_are_limited_the_wait_is_told(house: House, protocol: str) -> None:
    await stand(house, protocol, says("first", 500), Reply(429, {"retry-after": "45"}))
    answer = await house.call(protocol, "any")
    assert (answer.status, answer.headers["retry-after"]) == (429, "45")
    assert f"{SPARES[protocol]}#0: cooldown for 45 s" in answer.error["message"]


@BOTH
@WAYS
@pytest.mark.parametrize("most", [1, 2])
async def test_only_so_many_targets_are_tried(house: House, protocol: str, stream: bool, most: int) -> None:
    config = {"retry": {"max_targets": most}}
    models = await stand(house, protocol, says("1", 404), says("2", 404), Play("text"), config=config)
    answer = await house.call(protocol, "any", stream=stream)
    assert (answer.status, answer.error["message"], asked(house, models)) == (404, str(most), [1, 2][:most])


@BOTH
async def test_a_target_that_cannot_be_served_as_required_is_no_try(house: House, protocol: str) -> None:
    [other] = set(PROVIDERS) - {protocol}
    world = await furnish(house, config={"retry": {"max_targets": 1}})
    own, foreign = f"{PROVIDERS[protocol]}/text", f"{PROVIDERS[other]}:{other}/text"
    raw = {"x-rotator-require": "raw"}
    await lead(house, world, protocol, foreign, own)
    body = house.body(protocol, "any")
    assert told(await house.ask(protocol, body, headers=raw)) == (200, PROVIDERS[protocol], 1)
    await lead(house, world, protocol, foreign)
    answer = await house.ask(protocol, body, headers=raw)
    assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
    assert answer.error["message"].endswith(f"is not served raw (it speaks {other}, not {protocol})")


@BOTH
async def test_a_provider_that_is_down_leaves_an_attempt_for_the_next_target(house: House, protocol: str) -> None:
    models = await stand(house, protocol, Reply(500), Play("text"), keys=8)
    answer = await house.call(protocol, "any")
    assert told(answer) == (200, SPARES[protocol], 6)
    assert asked(house, models) == [1] * 5 + [2]


@BOTH
async def test_a_short_limit_is_waited_for_on_the_last_target_only_and_once(house: House, protocol: str) -> None:
    limited = Reply(429, {"retry-after": "3"})
    models = await stand(house, protocol, limited, Play("text"))
    assert told(await house.call(protocol, "any")) == (200, SPARES[protocol], 2)
    assert (asked(house, models), house.clock.slept) == ([1, 2], [])
    models = await stand(house, protocol, limited, limited)
    assert (await house.call(protocol, "any")).status == 429
    assert (asked(house, models), house.clock.slept) == ([1, 2, 2], [3.001])
