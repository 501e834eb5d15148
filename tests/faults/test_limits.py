"""Keys that are limited, rejected or out of money: for how long, and what clients hear of it (faults.md 1)."""

import json
import math
from email.utils import formatdate
from typing import Any

import pytest

from rotator.upstream.provider import HttpProvider
from tests.faults.checks import BOTH, ENDS, WAYS, Clients, Refusal, attempts, doubted, failing, last_line, used
from tests.faults.upstream import envelope, status, well
from tests.faults.wire import Fault, Wire, head
from tests.upstreams import PROVIDERS, House

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = 86_400
#: When the vendor answers, unix seconds: the house's clock stands still.
NOW = 1_800_001_000
#: Nothing is waited for: what was stated is told.
AT_ONCE: dict[str, Any] = {"SMALL_COOLDOWN_RETRY_THRESHOLD": "0"}


@pytest.fixture
async def still(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """The house's clock and the vendor's dates agree."""
    monkeypatch.setattr(clients.house.clock, "time", lambda: float(NOW))
    monkeypatch.setattr(HttpProvider, "wall_clock", staticmethod(clients.house.clock.time))
    return clients


def rfc3339(seconds: int) -> str:
    return f"2027-01-15T08:{16 + (40 + seconds) // 60}:{(40 + seconds) % 60:02}Z"  # 1,800,001,000 is 08:16:40


def ant(kind: str, value: str, remaining: str = "0") -> dict[str, str]:
    name = f"anthropic-ratelimit-{kind}"
    return {f"{name}-reset": value, f"{name}-remaining": remaining, f"{name}-limit": "50"}


def xr(value: str, kind: str = "requests", remaining: str = "0") -> dict[str, str]:
    return {f"x-ratelimit-reset-{kind}": value, f"x-ratelimit-remaining-{kind}": remaining}


def info(delay: Any) -> dict[str, Any]:
    """Google's RetryInfo."""
    return {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]}


def quota(delay: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"details": [{"@type": kind, "metadata": {"quotaResetDelay": delay}}]}


#: Headers -> the seconds that they state; 5 is what counts where they state nothing that can be believed.
HEADERS: dict[str, tuple[dict[str, str], float]] = {
    "none": ({}, 5),
    "ra.2": ({"retry-after": "2"}, 2),
    "ra.1.5": ({"retry-after": "1.5"}, 1.5),
    "rad.2": ({"retry-after": formatdate(NOW + 2, usegmt=True)}, 2),
    "rad.past": ({"retry-after": formatdate(NOW - 60, usegmt=True)}, 5),
    "rams.200": ({"retry-after-ms": "200"}, 0.2),
    "xms.200": ({"x-ms-retry-after-ms": "200"}, 0.2),
    "xr.6m0s": (xr("6m0s"), 360),
    "xr.1h2m3.5s": (xr("1h2m3.5s", "tokens"), 3_723.5),
    "xr.250ms": (xr("250ms"), 0.25),
    "xr.both": ({**xr("2s"), **xr("7s", "tokens")}, 7),
    "xr.left": ({**xr("2s"), **xr("6h0m0s", "tokens", "900")}, 2),
    "xr.epoch": (xr(str(NOW + 30)), 30),
    "ant.5": (ant("requests", rfc3339(5)), 5),
    "ant.15": (ant("requests", rfc3339(15)), 15),
    "ant.both": ({**ant("requests", rfc3339(15)), **ant("output-tokens", rfc3339(45))}, 45),
    "ant.left": ({**ant("requests", rfc3339(15)), **ant("tokens", rfc3339(45), "9000")}, 15),
    "ra.soon": ({"retry-after": "soon"}, 5),
    "ra.-5": ({"retry-after": "-5"}, 5),
    "ra.0": ({"retry-after": "0"}, 5),
    "ra.NaN": ({"retry-after": "NaN"}, 5),
    "ra.inf": ({"retry-after": "inf"}, 5),
    "ra.empty": ({"retry-after": ""}, 5),
    "ra.86400": ({"retry-after": "86400"}, DAY),
    "ra.huge": ({"retry-after": "99999999"}, 31 * DAY),
    "ra.epoch": ({"retry-after": str(NOW + 40)}, 40),
    "ra.soon and ant.15": ({"retry-after": "soon", **ant("requests", rfc3339(15))}, 15),
}
#: What the body says, more members of its error, -> the seconds.
BODIES: dict[str, tuple[dict[str, Any], float]] = {
    "gem.2.5s": (info("2.5s"), 2.5),
    "gem.9 decimals": (info("45.837906927s"), 45.837906927),
    "gem.ms": (info("373.8ms"), 0.3738),
    "gem.h": (quota("143h4m52.7s"), 143 * 3600 + 4 * 60 + 52.7),
    "gem.both": ({"details": [*quota("24h")["details"], *info("36s")["details"]]}, 36),
    "gem.object": (info({"seconds": "3", "nanos": 500_000_000}), 3.5),
    "gem.soon": (info("soon"), 5),
    "gem.-5": (info("-5s"), 5),
    "gem.NaN": (info("NaNs"), 5),
    "gem.huge": (info("515092000.7s"), 31 * DAY),
    "text": ({"message": "Rate limit reached. Please try again in 6m0s."}, 360),
    "text.ms": ({"message": "Please retry in 842ms"}, 0.842),
    "text.no time": ({"message": "Slow down, retry in a while"}, 5),
}


def cools(house: House, protocol: str) -> list[float | None]:
    """For how long each key is left out, for this model."""
    found = []
    for one in house.standing(protocol, "any"):
        codes = [reason.code for reason in one.reasons]
        assert codes[:1] in ([], ["cooldown"]) and set(codes[1:]) <= {"window"}, "headers of a 429 fill windows too"
        until = one.reasons[0].until if one.reasons else None
        found.append(until - house.clock.now if until is not None else None)
    return found


def tells(refusal: Refusal, seconds: float) -> None:
    """A 429 with the true time, in both units; whom it would keep waiting beyond a minute is told not to.

    The time is never too early, and late by the last bit of a unix time, which is rounded up to a millisecond.
    """
    assert refusal.status == 429
    told, milliseconds, again = refusal.waits
    assert milliseconds is not None and int(milliseconds) - math.ceil(seconds * 1_000) in (0, 1)
    assert told == str(max(1, math.ceil(seconds)))
    assert again == ("false" if seconds > 60 else None)
    assert "rate_limit_error" in refusal.body


async def limited(clients: Clients, protocol: str, stream: bool, fault: Fault, seconds: float) -> None:
    """The next key serves at once, the limited one cools for so long, and when all cool the client hears when."""
    house = clients.house
    async with failing(house, fault, well, fault, keys=2, **AT_ONCE) as vendor:
        answer = await house.call(protocol, "any", stream=stream)
        assert (answer.status, attempts(answer), used(house, vendor, protocol)) == (200, 2, [1, 2])
        assert cools(house, protocol) == [pytest.approx(seconds), None]
        refusal = await clients.refused(protocol, stream)
        assert (refusal.attempts, used(house, vendor, protocol)) == (1, [1, 2, 2])
        assert cools(house, protocol) == [pytest.approx(seconds)] * 2
        tells(refusal, seconds)
        again = await clients.refused(protocol, stream)
        assert (again.attempts, len(vendor.taken), house.clock.slept) == (0, 3, [])
        tells(again, seconds)
        assert house.reasons(protocol, "other") == [[], []]
        assert doubted(house, protocol) == [False, False]


def half(form: str) -> bool:
    """A limit comes before any body: whether a stream was asked for makes no difference, so half of the forms ask."""
    return len(form) % 2 == 0


@BOTH
@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.incident(24)
async def test_a_limit_lasts_as_long_as_the_headers_say(still: Clients, protocol: str, form: str) -> None:
    headers, seconds = HEADERS[form]
    await limited(still, protocol, half(form), status(429, None, **headers), seconds)


@BOTH
@pytest.mark.parametrize("form", BODIES)
@pytest.mark.incident(24)
async def test_a_limit_lasts_as_long_as_the_body_says(still: Clients, protocol: str, form: str) -> None:
    more, seconds = BODIES[form]
    told = envelope(protocol, **{"message": "Resource has been exhausted", **more})
    await limited(still, protocol, half(form), status(429, told), seconds)


@BOTH
@ENDS
@WAYS
async def test_limits_without_a_time_double(still: Clients, protocol: str, lane: str, stream: bool) -> None:
    house = still.house
    async with failing(house, status(429, retry_after="NaN"), lane=lane, **AT_ONCE):
        for seconds in (5, 10, 20):
            tells(await still.refused(protocol, stream), seconds)
            house.clock.now += seconds


@BOTH
@ENDS
@WAYS
async def test_a_short_limit_is_waited_for_once_and_never_beyond_the_deadline(
    still: Clients, protocol: str, lane: str, stream: bool
) -> None:
    house = still.house
    async with failing(house, status(429, retry_after="2"), well, lane=lane):
        answer = await house.call(protocol, "any", stream=stream)
        assert (answer.status, attempts(answer)) == (200, 2)
        assert house.clock.slept == [pytest.approx(2, abs=0.01)]
    async with failing(house, status(429, retry_after="2"), lane=lane, GLOBAL_TIMEOUT="1") as vendor:
        tells(await still.refused(protocol, stream), 2)
        assert (len(vendor.taken), house.clock.slept) == (1, [])


async def broken_off(wire: Wire) -> None:
    await wire.send(head(429, content_type="application/json", retry_after=30, content_length=500) + b'{"error":{')


async def rejected_and_broken_off(wire: Wire) -> None:
    await wire.send(head(401, content_type="application/json", content_length=500) + b'{"error":{')


@BOTH
@WAYS
async def test_a_limit_counts_though_its_body_breaks_off(still: Clients, protocol: str, stream: bool) -> None:
    """Status and headers have said it all: asking the same key again at once is what they forbid."""
    await limited(still, protocol, stream, broken_off, 30)


@BOTH
@WAYS
async def test_a_rejection_counts_though_its_body_breaks_off(clients: Clients, protocol: str, stream: bool) -> None:
    house = clients.house
    async with failing(house, rejected_and_broken_off, well, keys=2) as vendor:
        assert (await house.call(protocol, "any", stream=stream)).status == 200
        assert (house.reasons(protocol, "any"), used(house, vendor, protocol)) == ([["rejected"], []], [1, 2])


# Credentials that are bad.


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("code", [401, 403, 402])
async def test_a_rejected_key_is_marked_and_the_next_serves(
    clients: Clients, protocol: str, lane: str, stream: bool, code: int
) -> None:
    house = clients.house
    async with failing(house, status(code), well, status(code), keys=2, lane=lane) as vendor:
        answer = await house.call(protocol, "any", stream=stream)
        assert (answer.status, attempts(answer), house.clock.slept) == (200, 2, [])
        assert house.reasons(protocol, "any") == house.reasons(protocol, "other") == [["rejected"], []]
        refusal = await clients.refused(protocol, stream)
        assert (refusal.status, refusal.waits) == (503, (None, None, "false"))
        assert (refusal.attempts, used(house, vendor, protocol)) == (1, [1, 2, 2])
        assert house.reasons(protocol, "any") == [["rejected"], ["rejected"]]
        name = PROVIDERS[protocol]
        assert f"{name}#1: rejected for 60 s" in refusal.message and f"{name}#2: rejected" in refusal.message
        again = await clients.refused(protocol, stream)
        assert (again.status, again.attempts, len(vendor.taken)) == (503, 0, 3)  # nobody is hammered
        assert last_line(house).endswith("all_credentials_rejected")


@BOTH
async def test_only_the_key_that_is_bad_is_marked(clients: Clients, protocol: str) -> None:
    """Whatever its place among the others."""
    house = clients.house
    async with failing(house, well, status(401), well, keys=3) as vendor:
        for _ in range(4):
            assert (await house.call(protocol, "any")).status == 200
        assert used(house, vendor, protocol) == [1, 2, 3, 1, 3]
        assert house.reasons(protocol, "any") == [[], ["rejected"], []]


#: How vendors quote the key that they refuse.
QUOTES = {
    "whole": "Incorrect API key provided: {key}. You can find yours at",
    "bearer": "invalid header: Authorization: Bearer {key}",
    "starred": "Incorrect API key provided: {start}***************{end}.",
    "end starred": "Your api key: ****{end} is invalid",
    "dotted": "The key {start}...{end} is not valid",
}


@BOTH
@ENDS
@WAYS
@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("code", [401, 400])
async def test_a_key_is_quoted_neither_whole_nor_in_part(
    clients: Clients, protocol: str, lane: str, stream: bool, quote: str, code: int
) -> None:
    """Neither where the refusal is ours (503 after a 401) nor where it is the vendor's (400)."""
    house = clients.house

    async def fault(wire: Wire) -> None:
        key = wire.vendor.keys[-1]
        message = QUOTES[quote].format(key=key, start=key[:8], end=key[-6:])
        await wire.answer(envelope(wire.protocol, message, param=key, more={key: [message]}), code)

    async with failing(house, fault, lane=lane):
        refusal = await clients.refused(protocol, stream)
        [key] = house.keys[PROVIDERS[protocol]]
        assert refusal.status == (503 if code == 401 else 400)
        told = refusal.body + json.dumps(dict(refusal.headers)) + last_line(house)
        assert [part for part in (key, key[:8], key[-6:]) if part in told] == []
