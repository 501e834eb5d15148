"""``x-rotator-fidelity: faithful``: a lossy conversion is refused before anybody is asked; all else is as before."""

from typing import Any

import pytest

from tests.asking import ask
from tests.exchange.staging import furnish, lead
from tests.exchange.test_translate import CROSS, crossing
from tests.upstreams import COUNT_PATH, PROVIDERS, Answer, House, body_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
FAITHFUL = {"x-rotator-fidelity": "faithful"}
#: Of each client's protocol something that the other one cannot be told, and its path.
LOST: dict[str, tuple[dict[str, Any], str]] = {
    "chat": ({"seed": 7}, "seed"),
    "messages": ({"top_k": 7}, "top_k"),
}


async def asked(house: House, client: str, body: dict[str, Any], **more: str) -> Answer:
    return await house.ask(client, body, headers={**FAITHFUL, **more})


@CROSS
@WAYS
async def test_what_would_be_lost_is_refused_before_anybody_is_asked(
    house: House, client: str, vendor: str, stream: bool
) -> None:
    await furnish(house)
    lost, path = LOST[client]
    body = crossing(client, "text", stream=stream, **lost)
    warned = await house.ask(client, body)
    assert warned.status == 200 and path in warned.headers["x-rotator-warnings"]
    before = len(house.vendor.requests)
    refused = await asked(house, client, body)
    assert (refused.status, len(house.vendor.requests)) == (400, before)
    message = refused.error["message"]
    assert message.startswith(f"x-rotator-fidelity: {vendor} cannot be told all of this request: {path} (")
    assert refused.headers["x-should-retry"] == "false" and "x-rotator-attempts" not in refused.headers
    if client == "chat":
        assert (refused.error["param"], refused.error["code"]) == (path, "lossy_conversion")
    pool = house.proxy.core.pool
    assert pool.counters.open == 0
    assert not any(one.served for one in pool.standings(PROVIDERS[vendor])[1:]), "nobody's quota was used"


@CROSS
@WAYS
async def test_what_can_be_told_whole_passes(house: House, client: str, vendor: str, stream: bool) -> None:
    await furnish(house)
    answer = await asked(house, client, crossing(client, "text", stream=stream))
    assert answer.status == 200 and "x-rotator-warnings" not in answer.headers
    assert "x-rotator-fidelity" not in house.vendor.requests[-1].headers


@pytest.mark.pitfall("C98")
@pytest.mark.parametrize("client", ["chat", "messages"])
async def test_a_client_of_the_same_protocol_loses_nothing(house: House, client: str) -> None:
    await furnish(house)
    lost, _ = LOST[client]
    assert (await asked(house, client, body_of(client, f"{PROVIDERS[client]}/text", **lost))).status == 200


async def test_another_target_that_can_be_told_serves(house: House) -> None:
    world = await furnish(house)
    await lead(house, world, "chat", "claudish:messages/text", "vendor:chat/text")
    answer = await asked(house, "chat", body_of("chat", "any", seed=7))
    assert (answer.status, answer.headers["x-rotator-provider"]) == (200, "vendor")


async def test_where_no_key_is_free_it_is_told_at_once(house: House) -> None:
    await furnish(house, config={"rotation": {"caps": [{"model": "*", "max": 1}], "fair_cycle": {"enabled": False}}})
    assert (await asked(house, "chat", crossing("chat", "text"))).status == 200
    assert (await asked(house, "chat", crossing("chat", "text"))).status == 429
    refused = await asked(house, "chat", crossing("chat", "text", seed=7))
    assert (refused.status, refused.error["param"]) == (400, "seed")


async def test_many_losses_are_counted(house: House) -> None:
    await furnish(house)
    many = {"seed": 7, "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 1}, "user_x": 1, "user_y": 2}
    refused = await asked(house, "chat", crossing("chat", "text", **many))
    assert refused.status == 400 and refused.error["message"].endswith("; and 1 more")


async def test_a_count_is_not_estimated(house: House) -> None:
    await furnish(house)
    body = {"model": "vendor/text", "messages": [{"role": "user", "content": "hi"}]}
    assert (await house.ask("messages", body, path=COUNT_PATH)).status == 200
    assert (await house.ask("messages", body, path=COUNT_PATH, headers=FAITHFUL)).status in (400, 404)


@pytest.mark.parametrize("word", ["lossy", "Faithful ", ""])
async def test_another_word_is_told(house: House, word: str) -> None:
    await furnish(house)
    path, body = "/v1/chat/completions", crossing("chat", "text")
    headers = {"x-rotator-fidelity": word, "content-type": "application/json"}
    answer = await ask(house.proxy.url, "POST", path, headers, body)
    assert answer.status == 400 and "expected faithful" in answer.json["error"]["message"]
