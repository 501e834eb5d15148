"""What vendors tell of quotas, in the head of an answer or when asked, and which key is used for it: whole servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rotator.upstream.provider import HttpProvider
from tests.clocks import ManualClock
from tests.matrix.clients import refusal_of
from tests.proxy import Proxy, make_world, serving
from tests.upstreams import (
    FRAMES,
    JSON,
    PATHS,
    PROVIDERS,
    SSE,
    WHOLE,
    Answer,
    Canned,
    CannedServer,
    House,
    Play,
    Raw,
    Reply,
    body_of,
    until,
)

IN_HOUSE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(house: House, protocol: str, remaining: int, seconds: float, kind: str = "requests") -> dict[str, str]:
    """A vendor's headers: so much of a limit of 100 is left, until a reset in so many seconds."""
    if protocol == "chat":
        told = {"limit": "100", "remaining": str(remaining), "reset": f"{seconds:g}s"}
        return {f"x-ratelimit-{name}-{kind}": value for name, value in told.items()}
    told = {"limit": "100", "remaining": str(remaining), "reset": rfc3339(house.clock.time() + seconds)}
    return {f"anthropic-ratelimit-{kind}-{name}": value for name, value in told.items()}


def answering(protocol: str, stream: bool, headers: Mapping[str, str]) -> Any:
    """A whole answer that says this in its head."""
    if stream:
        return Raw(200, {**SSE, **headers}, FRAMES[protocol])
    return Raw(200, {**JSON, **headers}, [WHOLE[protocol]])


def first_says(house: House, protocol: str, stream: bool, headers: Mapping[str, str]) -> None:
    """The vendor says this to the first key, once."""
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], answering(protocol, stream, headers), Play("text"))


# Headers.


@IN_HOUSE
@BOTH
@WAYS
@pytest.mark.parametrize("kind", ["requests", "tokens"])
async def test_a_key_of_which_nothing_is_left_rests_until_the_reset(
    house: House, protocol: str, stream: bool, kind: str
) -> None:
    await house.furnish(keys=2)
    first_says(house, protocol, stream, said(house, protocol, 0, 90, kind))
    assert (await house.call(protocol, "text", stream=stream)).status == 200
    [reason] = house.standing(protocol, "text")[0].reasons
    assert (reason.code, reason.until) == ("window", house.clock.now + 90)
    assert reason.detail == f"{kind}: 100 of 100 {kind} used"
    for passed, key in ((0, 2), (89.5, 2), (1, 1)):
        house.clock.now += passed
        assert (await house.call(protocol, "text", stream=stream)).status == 200
        assert house.used(protocol)[-1] == key


@IN_HOUSE
@BOTH
async def test_what_is_left_may_still_be_used_and_is_counted_down(house: House, protocol: str) -> None:
    """Two are left: one more request of the key, then the vendor's word is awaited; the count is for one model."""
    await house.furnish(keys=2, config={"rotation": {"mode": "sequential"}})
    first_says(house, protocol, False, said(house, protocol, 2, 90))
    silent = Raw(200, JSON, [WHOLE[protocol]])
    key = house.keys[PROVIDERS[protocol]][0]
    house.vendor.script_key(key, answering(protocol, False, said(house, protocol, 2, 90)), silent)
    for _ in range(5):
        assert (await house.call(protocol, "text")).status == 200
    assert house.used(protocol) == [1, 1, 1, 2, 2]
    assert (await house.call(protocol, "thinking")).status == 200
    assert house.reasons(protocol, "text") == [["window"], []] and house.reasons(protocol, "thinking")[0] == []


@IN_HOUSE
@BOTH
async def test_new_headers_end_what_older_ones_said(house: House, protocol: str) -> None:
    """A pinned count of one left, then the vendor says that there is plenty again."""
    await house.furnish()
    key = house.keys[PROVIDERS[protocol]][0]
    answers = [answering(protocol, False, said(house, protocol, left, 90)) for left in (1, 50, 0)]
    house.vendor.script_key(key, *answers)
    seen = []
    for _ in answers:
        assert (await house.call(protocol, "text")).status == 200
        seen += house.reasons(protocol, "text")
    assert seen == [[], [], ["window"]]


@IN_HOUSE
@BOTH
async def test_a_declared_window_of_the_name_is_corrected(house: House, protocol: str) -> None:
    """Somebody else uses the key, too."""
    windows = [{"name": "requests", "seconds": 3600, "limit": 100}]
    await house.furnish(keys=2, config={"rotation": {"mode": "round_robin", "windows": windows}})
    first_says(house, protocol, False, said(house, protocol, 0, 600))
    for _ in range(3):
        assert (await house.call(protocol, "text")).status == 200
    assert house.used(protocol) == [1, 2, 2]
    [reason] = house.standing(protocol, "text")[0].reasons
    assert (reason.code, reason.until) == ("window", house.clock.now + 600)


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("left", ["-1", "none", "1e3", "101", ""])
async def test_nonsense_benches_nobody(house: House, protocol: str, left: str) -> None:
    headers = {name: left if "remaining" in name else value for name, value in said(house, protocol, 0, 90).items()}
    first_says(house, protocol, False, headers)
    assert [(await house.call(protocol, "text")).status for _ in range(2)] == [200, 200]
    assert house.reasons(protocol, "text") == [[]]


# All are out.


@IN_HOUSE
@BOTH
@WAYS
async def test_when_all_windows_are_full_the_client_hears_of_each_key_and_the_first_end(
    house: House, protocol: str, stream: bool
) -> None:
    """The first key's shorter window ends sooner than any, but it rests longer for another reason."""
    name = PROVIDERS[protocol]
    labels = {f"{name.upper()}_API_KEY_2_LABEL": "spare", f"{name.upper()}_API_KEY_3_LABEL": "paid"}
    await house.furnish(keys=3, **labels)
    first, second, third = house.keys[name]
    limited = Reply(429, {**said(house, protocol, 0, 20), "retry-after": "300"})
    house.vendor.script_key(first, limited)
    house.vendor.script_key(second, answering(protocol, stream, said(house, protocol, 0, 200)))
    house.vendor.script_key(third, answering(protocol, stream, said(house, protocol, 0, 90)))
    assert [(await house.call(protocol, "text", stream=stream)).status for _ in range(2)] == [200, 200]
    for passed, left in ((0, 90), (40, 50)):
        house.clock.now += passed
        answer = await house.call(protocol, "text", stream=stream)
        assert (answer.status, answer.headers["retry-after"]) == (429, str(left))
        assert answer.headers.get("x-should-retry") == ("false" if left > 60 else None)
        message = refusal_of(protocol, answer.body)
        shown = [f"{name}#1: cooldown for {300 - passed} s", f"spare: window for {200 - passed} s",
                 f"paid: window for {left} s"]  # fmt: skip
        assert all(one in message for one in shown), message
        assert "x-rotator-attempts" not in answer.names
    assert house.used(protocol) == [1, 2, 3]
    house.clock.now += 50.5
    house.vendor.script_key(third)
    assert (await house.call(protocol, "text", stream=stream)).status == 200
    assert house.used(protocol) == [1, 2, 3, 3]


@IN_HOUSE
@BOTH
async def test_a_short_end_of_a_window_is_waited_for(house: House, protocol: str) -> None:
    first_says(house, protocol, False, said(house, protocol, 0, 8))
    assert [(await house.call(protocol, "text")).status for _ in range(2)] == [200, 200]
    assert house.clock.slept == [pytest.approx(8, abs=0.01)]


@IN_HOUSE
@BOTH
async def test_out_and_nobody_knows_until_when(house: House, protocol: str) -> None:
    await house.furnish(QUOTA_NO_RESET_EXHAUSTION_POLICY="disable_scope")
    headers = {name: value for name, value in said(house, protocol, 0, 0).items() if "reset" not in name}
    first_says(house, protocol, False, headers)
    assert (await house.call(protocol, "text")).status == 200
    answer = await house.call(protocol, "text")
    assert (answer.status, "retry-after" in answer.names) == (429, False)
    assert answer.headers["x-should-retry"] == "false" and f"{PROVIDERS[protocol]}#1: window" in answer.error["message"]


# A pinned key, whatever keeps it.


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("what", ["told", "window", "cap"])
async def test_a_pin_is_refused_with_the_end_of_its_own_key(house: House, protocol: str, what: str) -> None:
    """The other one is free, and is left alone."""
    name = PROVIDERS[protocol]
    rules: dict[str, dict[str, Any]] = {
        "told": {},
        "window": {"windows": [{"name": "w", "seconds": 90, "limit": 1}]},
        "cap": {"caps": [{"model": "*", "max": 1, "cooldown": "fixed:90"}]},
    }
    await house.furnish(keys=2, config={"rotation": {"mode": "round_robin", **rules[what]}})
    if what == "told":
        first_says(house, protocol, False, said(house, protocol, 0, 90))
    pin = {"x-rotator-credential": f"{name}#1"}
    answers = [await house.ask(protocol, house.body(protocol, "text"), headers=pin) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    code = "cap" if what == "cap" else "window"
    assert answers[1].headers["retry-after"] == "90" and house.clock.slept == []
    assert f"{name}#1: {code} for 90 s; {name}#2: pin" in answers[1].error["message"]
    assert (await house.call(protocol, "text")).status == 200
    house.clock.now += 90.5
    assert (await house.ask(protocol, house.body(protocol, "text"), headers=pin)).status == 200
    assert house.used(protocol) == [1, 2, 1]


@IN_HOUSE
@BOTH
async def test_a_pin_waits_for_a_short_end_of_its_own_key(house: House, protocol: str) -> None:
    await house.furnish(keys=2)
    first_says(house, protocol, False, said(house, protocol, 0, 6))
    pin = {"x-rotator-credential": f"{PROVIDERS[protocol]}#1"}
    for _ in range(2):
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=pin)).status == 200
    assert house.used(protocol) == [1, 1] and house.clock.slept == [pytest.approx(6, abs=0.01)]


# Polls.

QUOTA: Mapping[str, Any] = {
    "path": "/usage?of=key",
    "every_seconds": 60,
    "windows": [{"name": "5h", "used_percent": "$.five_hour.percent", "resets_at": "$.five_hour.resets_at"}],
}
KEYS = ("key-number-one", "key-number-two")
#: Longer than the pause between two polls, whatever its jitter.
ROUND_SECONDS = 70


class SteppedClock(ManualClock):
    """Sleeping lasts until a test lets enough time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until_then = self.ticks + seconds
        while self.ticks < until_then:
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._moved.set()
        self._moved = asyncio.Event()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    """The clock of a proxy; providers read dates by it too."""
    made = SteppedClock()
    monkeypatch.setattr(HttpProvider, "wall_clock", staticmethod(made.time))
    return made


class Account(CannedServer):
    """A vendor that serves each key, and tells it how much it has used when it asks for ``/usage``."""

    def __init__(self, protocol: str, clock: SteppedClock) -> None:
        super().__init__(Canned())
        self.protocol = protocol
        self.clock = clock
        self.percent = dict.fromkeys(KEYS, 0.0)
        self.resets_at = clock.time() + 3600
        self.limits: set[str] = set()
        self.polled: list[str] = []
        self.served: list[int] = []

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        request = self.taken[-1]
        key = request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")
        base = "/v1" if self.protocol == "chat" else ""
        if request.line == f"GET {base}/usage?of=key HTTP/1.1":
            page = {"five_hour": {"percent": self.percent[key], "resets_at": rfc3339(self.resets_at)}}
            await super()._answer(writer, Canned((json.dumps(page).encode(),)))
            self.polled.append(key)
            return
        assert request.line.startswith("POST "), request
        self.served.append(KEYS.index(key) + 1)
        if key in self.limits:
            await super()._answer(writer, Canned((b"{}",), 429, {**JSON, "retry-after": "1000"}))
        else:
            await super()._answer(writer, Canned((WHOLE[self.protocol],)))

    async def round(self) -> None:
        """The next round of questions, of all keys."""
        asked, rests = len(self.polled), len(self.clock.slept)
        self.clock.advance(ROUND_SECONDS)
        await until(lambda: len(self.polled) == asked + len(KEYS) and len(self.clock.slept) > rests)


@asynccontextmanager
async def polled(
    folder: Path, protocol: str, clock: SteppedClock, **percent: float
) -> AsyncIterator[tuple[Proxy, Account]]:
    """A proxy whose provider is asked for quotas, after the first round."""
    vendor = Account(protocol, clock)
    vendor.percent |= {f"key-number-{number}": used for number, used in percent.items()}
    await vendor.start()
    declared = {"protocol": protocol, "base_url": vendor.url + ("/v1" if protocol == "chat" else ""), "quota": QUOTA}
    declared["auth"] = "x-api-key" if protocol == "messages" else "bearer"
    config = json.dumps({"providers": {"mine": declared}, "rotation": {"mode": "round_robin"}})
    environ = {f"MINE_API_KEY_{number}": key for number, key in enumerate(KEYS, 1)}
    try:
        async with serving(make_world(environ, folder, config=config), clock=clock) as proxy:
            await until(lambda: len(vendor.polled) == len(KEYS) and clock.slept)
            yield proxy, vendor
    finally:
        await vendor.aclose()


async def call(proxy: Proxy, protocol: str) -> Answer:
    async with aiohttp.ClientSession() as client:
        async with client.post(proxy.url + PATHS[protocol], json=body_of(protocol, "mine/m")) as reply:
            return Answer(reply.status, reply.headers, await reply.read())


@BOTH
async def test_a_key_that_the_vendor_calls_used_up_rests_until_the_reset(
    tmp_path: Path, protocol: str, clock: SteppedClock
) -> None:
    async with polled(tmp_path, protocol, clock, one=100) as (proxy, vendor):
        assert [(await call(proxy, protocol)).status for _ in range(2)] == [200, 200]
        assert vendor.served == [2, 2]
        vendor.clock.advance(3_400)
        assert (await call(proxy, protocol)).status == 200
        vendor.percent["key-number-one"], vendor.resets_at = 1.0, vendor.clock.time() + 18_000
        vendor.clock.advance(201)
        assert [(await call(proxy, protocol)).status for _ in range(2)] == [200, 200]
        assert sorted(vendor.served[3:]) == [1, 2]


@BOTH
async def test_a_later_poll_corrects_an_earlier_one_both_ways(
    tmp_path: Path, protocol: str, clock: SteppedClock
) -> None:
    async with polled(tmp_path, protocol, clock) as (proxy, vendor):
        await call(proxy, protocol)
        for used, keys in ((100, [2, 2]), (40, [1, 2]), (100, [2, 2])):
            vendor.percent["key-number-one"] = used
            await vendor.round()
            vendor.served.clear()
            assert [(await call(proxy, protocol)).status for _ in range(2)] == [200, 200]
            assert sorted(vendor.served) == keys


@BOTH
async def test_all_keys_used_up_by_polls_are_told_with_the_reset(
    tmp_path: Path, protocol: str, clock: SteppedClock
) -> None:
    async with polled(tmp_path, protocol, clock, one=100, two=100) as (proxy, vendor):
        answer = await call(proxy, protocol)
        assert (answer.status, answer.headers["retry-after"]) == (429, "3600")
        assert answer.headers["x-should-retry"] == "false" and not vendor.served
        message = refusal_of(protocol, answer.body)
        assert "mine#1: window for 3600 s; mine#2: window for 3600 s" in message


@BOTH
async def test_a_429_is_not_ended_by_a_poll_that_shows_quota(
    tmp_path: Path, protocol: str, clock: SteppedClock
) -> None:
    async with polled(tmp_path, protocol, clock) as (proxy, vendor):
        vendor.limits.add("key-number-one")
        assert (await call(proxy, protocol)).status == 200
        assert vendor.served == [1, 2]
        for _ in range(3):
            await vendor.round()
            assert (await call(proxy, protocol)).status == 200
        assert vendor.served == [1, 2, 2, 2, 2] and len(vendor.polled) == 8
        vendor.limits.clear()
        vendor.clock.advance(1000)
        assert [(await call(proxy, protocol)).status for _ in range(2)] == [200, 200]
        assert vendor.served[5:] == [1, 2]


@BOTH
async def test_a_poll_that_fails_changes_nothing(tmp_path: Path, protocol: str, clock: SteppedClock) -> None:
    async with polled(tmp_path, protocol, clock, one=100) as (proxy, vendor):
        vendor.percent["key-number-one"] = float("nan")  # no JSON
        await vendor.round()
        assert [(await call(proxy, protocol)).status for _ in range(2)] == [200, 200]
        assert vendor.served == [2, 2]
