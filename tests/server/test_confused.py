"""Requests that try to lead the proxy elsewhere: no client names where a key goes, no URL in a request is fetched."""

import json
from typing import Any

import pytest

from tests.upstreams import JSON, PATHS, PROVIDERS, WHOLE, Canned, House, Play, canned

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)

#: Members, headers and query parameters by which other proxies were led away.  Source: faults.md 2 row 6.
MEMBERS = ("api_base", "base_url", "baseURL", "endpoint", "api_key", "custom_host", "proxy", "litellm_params")
HEADERS = ("x-api-base", "x-base-url", "x-portkey-custom-host", "x-custom-host", "x-upstream", "x-forwarded-host")


@BOTH
@pytest.mark.incident(6)
async def test_no_client_says_where_a_key_goes(house: House, protocol: str) -> None:
    async with canned(Canned([WHOLE[protocol]])) as elsewhere:
        for name in MEMBERS:
            model = house.play(Play())
            answer = await house.call(protocol, model, **{name: elsewhere.url})
            assert answer.status in (200, 400)  # the strict vendor refuses what it does not know
        for name in HEADERS:
            model = house.play(Play())
            body = house.body(protocol, model)
            assert (await house.ask(protocol, body, headers={name: elsewhere.url})).status in (200, 400)
        for query in ("api_base", "base_url", "url"):
            path = f"{PATHS[protocol]}?{query}={elsewhere.url}"
            assert (await house.ask(protocol, house.body(protocol, house.play(Play())), path=path)).status == 200
        model: Any = f"{elsewhere.url}/v1"
        refused = await house.ask(protocol, {**house.body(protocol, "x"), "model": model})
        assert refused.status in (400, 404) and "x-rotator-provider" not in refused.names
        assert not elsewhere.taken and not elsewhere.connections


@BOTH
@pytest.mark.incident(8)
async def test_urls_inside_a_request_are_not_fetched(house: House, protocol: str) -> None:
    async with canned(Canned([WHOLE[protocol]])) as elsewhere, canned(Canned([WHOLE[protocol]])) as vendor:
        await house.furnish(base=vendor.url)
        part: dict[str, Any] = {"type": "image_url", "image_url": {"url": f"{elsewhere.url}/cat.png"}}
        if protocol == "messages":
            part = {"type": "image", "source": {"type": "url", "url": f"{elsewhere.url}/cat.png"}}
        body = house.body(protocol, "any", messages=[{"role": "user", "content": [part]}])
        assert (await house.ask(protocol, body)).status == 200
        assert json.loads(vendor.taken[0].body)["messages"][0]["content"] == [part]
        assert not elsewhere.connections


@BOTH
@pytest.mark.incident(16)
@pytest.mark.pitfall("P-131")
async def test_no_cache_in_between_may_keep_an_answer(house: House, protocol: str) -> None:
    async with canned(Canned([WHOLE[protocol]], headers={**JSON, "cache-control": "public, max-age=60"})) as vendor:
        await house.furnish(base=vendor.url)
        whole = await house.call(protocol, "any")
        refused = await house.ask(protocol, b"{")
    assert (whole.status, refused.status) == (200, 400)
    for answer in (whole, refused):
        assert answer.headers["cache-control"] == "no-store" and answer.headers["vary"] == "authorization"
