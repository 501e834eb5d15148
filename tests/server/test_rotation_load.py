"""Many requests on few keys that take two at a time: no key has more, each request ends, nothing is left behind."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.matrix.clients import ending_of, plain_session, refusal_of
from tests.meanings import split
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
    Gate,
    House,
    Play,
    Reply,
    body_of,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

REQUESTS, KEYS, PLACES = 200, 5, 2
#: What the vendor does, and how often: whole answers, refusals, and connections that break (before the status line,
#: behind the headers, inside the body).
DEEDS = {"whole": 10, "limit": 2, "bare limit": 2, "fault": 2, "silence": 1, "head": 1, "part": 2}
STATUSES = {"limit": (429,), "bare limit": (429,), "fault": (500, 502, 503, 529)}
SECONDS = 20.0


def at_most(places: int, **more: str) -> dict[str, str]:
    """Variables: so many requests of a key at a time."""
    return {**{f"MAX_CONCURRENT_REQUESTS_PER_KEY_{name.upper()}": str(places) for name in PROVIDERS.values()}, **more}


def stands(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side still has the connection: the kernel knows before the loop does."""
    if writer.is_closing():
        return False
    with socket.socket(fileno=socket.dup(writer.get_extra_info("socket").fileno())) as held:
        held.setblocking(False)
        try:
            return held.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


class Crowded(CannedServer):
    """A vendor that does to each request what the lot says; ``most`` is what each key had open at a time."""

    def __init__(self, protocol: str, rng: Random) -> None:
        super().__init__(Canned())
        self.protocol = protocol
        self.rng = rng
        self.open: dict[int, tuple[str, asyncio.StreamWriter]] = {}
        self.most: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        request, number = self.taken[-1], len(self.taken)
        key = request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")
        self.open[number] = key, writer
        under_way = sum(one == key and stands(held) for one, held in self.open.values())
        self.most[key] = max(self.most[key], under_way)
        [deed] = self.rng.choices([*DEEDS], [*DEEDS.values()])
        self.done[deed] += 1
        try:
            await asyncio.sleep(self.rng.choice((0, 0, 0.001, 0.005)))
            if deed == "silence":
                raise ConnectionResetError
            streams = json.loads(request.body).get("stream", False)
            answer = self._refused(deed) if deed in STATUSES else self._served(deed, streams)
            await super()._answer(writer, answer)
            if not answer.whole:
                raise ConnectionResetError
        finally:
            del self.open[number]

    def _refused(self, deed: str) -> Canned:
        wait = {"retry-after": str(self.rng.randint(1, 20))} if deed == "limit" else {}
        error = {"message": deed, "type": "api_error"}
        own = {"error": {**error, "param": None, "code": None}}
        body = json.dumps(own if self.protocol == "chat" else {"type": "error", "error": error}).encode()
        return Canned((body,), self.rng.choice(STATUSES[deed]), {**JSON, **wait})

    def _served(self, deed: str, streams: bool) -> Canned:
        chunks: Sequence[bytes] = FRAMES[self.protocol] if streams else (WHOLE[self.protocol],)
        if deed == "head":
            chunks = ()
        elif deed == "part":
            chunks = chunks[: self.rng.randint(1, len(chunks))]
            chunks = (*chunks[:-1], chunks[-1][:-5])
        return Canned(chunks, headers=SSE if streams else JSON, whole=deed == "whole")


@asynccontextmanager
async def crowded(protocol: str, seed: int) -> AsyncIterator[Crowded]:
    server = Crowded(protocol, Random(seed))
    await server.start()
    try:
        yield server
    finally:
        await server.aclose()


class Client:
    """One request: what it asks in, and when it leaves (None: it stays)."""

    def __init__(self, provider: str, rng: Random) -> None:
        self.protocol = rng.choice([*PATHS])
        self.streams = rng.random() < 0.5
        self.leaves_after = rng.choice((0.0, 0.002, 0.01, 0.03)) if rng.random() < 0.15 else None
        self.body = body_of(self.protocol, f"{provider}/model-{rng.randrange(3)}", stream=self.streams)
        self.ending = "left"

    async def ask(self, house: House, session: aiohttp.ClientSession) -> None:
        """Ask, and stay or leave."""
        data = json.dumps(self.body).encode()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.leaves_after):
                async with session.post(house.proxy.url + PATHS[self.protocol], data=data, headers=JSON) as reply:
                    self.ending = self._ending(Answer(reply.status, reply.headers, await reply.read()))

    def _ending(self, answer: Answer) -> str:
        """How it ended; anything that is not legal fails here."""
        if answer.status != 200:
            assert refusal_of(self.protocol, answer.body), answer
            assert answer.status in (429, 500, 502, 503, 504, 529), answer
            return "refused"
        if self.streams:
            ending, message = ending_of(self.protocol, split(answer.body))
            assert ending != "torn", (message, answer)
            return ending
        words = answer.json["choices"][0]["message"] if self.protocol == "chat" else answer.json["content"][0]
        assert "hi" in words.values(), answer
        return "terminal"


def all_free(house: House, provider: str) -> bool:
    """No place is taken, nobody waits."""
    pool = house.proxy.core.pool
    return (
        [one.in_use for one in pool.standings(provider)] == [0] * KEYS
        and not pool._lines[provider].waiting.size
        and not pool.counters.open
    )


@pytest.mark.parametrize(("seed", "mode"), [(1, "sequential"), (2, "balanced"), (3, "round_robin")])
@BOTH
async def test_no_key_has_more_than_it_may_and_every_request_ends(
    house: House, protocol: str, seed: int, mode: str
) -> None:
    """Clients of both protocols at once: one of them is translated."""
    provider, rng = PROVIDERS[protocol], Random(seed)
    variables = at_most(PLACES, GLOBAL_TIMEOUT="86400", **{f"ROTATION_MODE_{provider.upper()}": mode})
    async with crowded(protocol, seed) as vendor, plain_session() as session:
        await house.furnish(keys=KEYS, base=vendor.url, **variables)
        clients = [Client(provider, rng) for _ in range(REQUESTS)]
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.ask(house, session))
        await house.idle()
        assert all_free(house, provider)
        assert set(vendor.most) == {*house.keys[provider]} and max(vendor.most.values()) == PLACES, vendor.most
        endings = Counter(client.ending for client in clients)
        stayed = sum(client.leaves_after is None for client in clients)
        assert endings["terminal"] > REQUESTS / 3 and endings.total() == REQUESTS, endings
        assert endings["left"] <= REQUESTS - stayed and {"terminal", "error", "left"} <= {*endings}, endings
        assert vendor.done.keys() == DEEDS.keys() and house.proxy.core.pool.counters.waited
        assert (await house.call(protocol, "model-9")).status in (200, 429, 500, 502, 503, 529)
    assert not vendor.open



LIMITING: dict[str, dict[str, Any]] = {
    "window": {"windows": [{"name": "w", "seconds": 3600, "limit": 7}]},
    "cap": {"caps": [{"model": "*", "max": 7, "cooldown": "fixed:3600"}]},
}


@BOTH
@pytest.mark.parametrize("what", LIMITING)
async def test_together_requests_use_no_more_than_is_left(house: House, protocol: str, what: str) -> None:
    """What is under way counts already."""
    rules = {"mode": "balanced", **LIMITING[what]}
    await house.furnish(keys=KEYS, config={"rotation": rules}, **at_most(PLACES))
    model = house.play(Play("text"))
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        asked = [group.create_task(house.call(protocol, model)) for _ in range(REQUESTS)]
    answers = [one.result() for one in asked]
    assert Counter(answer.status for answer in answers) == {200: 7 * KEYS, 429: REQUESTS - 7 * KEYS}
    assert Counter(house.used(protocol)) == dict.fromkeys(range(1, KEYS + 1), 7)
    assert what == "cap" or {one.headers["retry-after"] for one in answers if one.status == 429} == {"3600"}
    assert all_free(house, PROVIDERS[protocol])


class Held:
    """Requests under way at the vendor, each behind a gate of its own, and requests that wait for a place."""

    def __init__(self, house: House, group: asyncio.TaskGroup, protocol: str, stream: bool = False) -> None:
        self.house = house
        self.group = group
        self.protocol = protocol
        self.stream = stream
        self.model = ""

    def _ask(self, model: str, pin: int) -> "asyncio.Task[Answer]":
        headers = {"x-rotator-credential": f"{PROVIDERS[self.protocol]}#{pin}"} if pin else {}
        body = self.house.body(self.protocol, model, stream=self.stream)
        return self.group.create_task(self.house.ask(self.protocol, body, headers=headers))

    async def begun(self, pin: int = 0) -> tuple["asyncio.Task[Answer]", Gate]:
        """A request that the vendor has begun to answer; the gate lets it end."""
        gate, before = Gate(), len(self.used)
        step = Play("text", gate=gate) if self.stream else Play("text", head=gate)
        gate.release(2 * self.stream)
        self.model = self.house.play(step)
        asked = self._ask(self.model, pin)
        await until(lambda: len(self.used) > before)
        return asked, gate

    async def waiting(self, pin: int = 0, model: str = "") -> "asyncio.Task[Answer]":
        """A request that waits for a place."""
        before, counters = len(self.used), self.house.proxy.core.pool.counters
        waited = counters.waited
        asked = self._ask(model or self.house.play(Play("text")), pin)
        await until(lambda: counters.waited > waited or asked.done() or len(self.used) > before)
        assert counters.waited == waited + 1 and len(self.used) == before
        return asked

    @property
    def used(self) -> list[int]:
        return self.house.used(self.protocol)

    @property
    def size(self) -> int:
        """How many wait."""
        return self.house.proxy.core.pool._lines[PROVIDERS[self.protocol]].waiting.size


@asynccontextmanager
async def held(house: House, protocol: str, stream: bool = False, **furniture: Any) -> AsyncIterator[Held]:
    """Keys that take one request at a time."""
    await house.furnish(**{"keys": 1, **at_most(1), **furniture})
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        yield Held(house, group, protocol, stream)
    await house.idle()


@BOTH
@WAYS
async def test_who_waits_is_served_when_the_key_is_free_in_the_order_of_coming(
    house: House, protocol: str, stream: bool
) -> None:
    async with held(house, protocol, stream) as guests:
        first, gate = await guests.begun()
        models = [house.play(Play("text")) for _ in range(4)]
        waiting = [await guests.waiting(model=model) for model in models]
        assert guests.used == [1] and guests.size == 4
        gate.open()
        answers = [await one for one in (first, *waiting)]
    assert [(one.status, one.headers["x-rotator-attempts"]) for one in answers] == [(200, "1")] * 5
    served = [json.loads(seen.body)["model"] for seen in house.vendor.requests if seen.key in house.keys["vendor"]]
    assert protocol != "chat" or served[1:] == models
    assert guests.used == [1] * 5 and not house.clock.slept


@BOTH
@WAYS
async def test_a_client_that_leaves_while_it_waits_frees_its_place_in_the_line(
    house: House, protocol: str, stream: bool
) -> None:
    async with held(house, protocol, stream) as guests:
        _, gate = await guests.begun()
        leaving, staying = await guests.waiting(), await guests.waiting()
        leaving.cancel()
        await until(lambda: guests.size == 1)
        gate.open()
        assert (await staying).status == 200
    assert guests.used == [1, 1], "the vendor never heard of who left"


@BOTH
@WAYS
async def test_the_last_one_that_leaves_leaves_nothing_behind(house: House, protocol: str, stream: bool) -> None:
    async with held(house, protocol, stream, keys=2) as guests:
        begun = [await guests.begun() for _ in range(2)]
        for leaving in [await guests.waiting() for _ in range(3)]:
            leaving.cancel()
        await until(lambda: not guests.size)
        for asked, gate in begun:
            gate.open()
            assert (await asked).status == 200
        assert (await house.call(protocol, "text")).status == 200
    assert guests.used == [1, 2, 1]


@BOTH
@WAYS
async def test_the_deadline_ends_a_wait_and_the_client_hears_which_keys_are_busy(
    house: House, protocol: str, stream: bool
) -> None:
    name = PROVIDERS[protocol]
    variables = at_most(1, GLOBAL_TIMEOUT="30", **{f"{name.upper()}_API_KEY_2_LABEL": "spare"})
    async with held(house, protocol, stream, keys=2, **variables) as guests:
        begun = [await guests.begun() for _ in range(2)]
        waiting = await guests.waiting()
        house.clock.now += 29.5
        later = await guests.waiting()
        await asyncio.sleep(0.01)
        assert not waiting.done()
        house.clock.now += 1
        answer = await waiting
        assert answer.status == 503 and "x-rotator-attempts" not in answer.headers
        assert f"{name}#1: concurrency; spare: concurrency" in answer.error["message"]
        assert "retry-after" not in answer.headers and answer.headers.get("x-should-retry") != "false"
        assert not later.done() and guests.size == 1
        for asked, gate in begun:
            gate.open()
            assert (await asked).status == 200
        assert (await later).status == 200
    assert guests.used == [1, 2, 1]


async def test_who_waits_for_a_place_gets_a_key_whose_limit_ends_first(house: House) -> None:
    """Longer than a request would wait for a limit alone."""
    async with held(house, "chat", keys=2) as guests:
        model = house.fresh()
        house.vendor.script(model, Reply(429, {"retry-after": "30"}), Play("text"))
        assert (await house.call("chat", model)).status == 200
        _, gate = await guests.begun(pin=2)
        waiting = await guests.waiting(model=model)
        house.clock.now += 29
        await asyncio.sleep(0.01)
        assert not waiting.done()
        house.clock.now += 1.5
        assert (await waiting).status == 200
        gate.open()
    assert guests.used == [1, 2, 2, 1]


@BOTH
@pytest.mark.parametrize(("cooldown", "wait"), [("fixed:60", 60), ("offset:60", 660), ("quota_reset", 600)])
async def test_a_cap_that_only_what_is_under_way_fills_is_waited_for(
    house: House, protocol: str, cooldown: str, wait: int
) -> None:
    rules = {
        "windows": [{"name": "w", "seconds": 600, "limit": 9}],
        "caps": [{"model": "*", "max": 1, "cooldown": cooldown}],
        "fair_cycle": {"enabled": False},
    }
    async with held(house, protocol, config={"rotation": rules}) as guests:
        first, gate = await guests.begun()
        model = guests.model
        second = await guests.waiting(model=model)  # the first may fail, and would then be free
        gate.open()
        assert (await first).status == 200
        assert ((await second).status, (await second).headers["retry-after"]) == (429, str(wait))
        answer = await house.call(protocol, model)
        assert (answer.status, answer.headers["retry-after"]) == (429, str(wait))


# A pin: the request waits for that key and for no other.


@BOTH
@WAYS
async def test_a_pin_waits_for_its_key_while_another_one_is_free(house: House, protocol: str, stream: bool) -> None:
    async with held(house, protocol, stream, keys=2) as guests:
        first, gate = await guests.begun(pin=2)
        pinned = await guests.waiting(pin=2)
        assert (await house.call(protocol, "text")).status == 200
        assert guests.used == [2, 1] and not pinned.done()
        gate.open()
        assert (await first).status == (await pinned).status == 200
    assert guests.used == [2, 1, 2]


@BOTH
async def test_who_can_take_any_key_does_not_wait_behind_a_pin(house: House, protocol: str) -> None:
    async with held(house, protocol, keys=2) as guests:
        (first, gate), (second, other) = [await guests.begun() for _ in range(2)]
        pinned, free = await guests.waiting(pin=2), await guests.waiting()
        gate.open()
        assert (await first).status == (await free).status == 200
        assert guests.used == [1, 2, 1] and not pinned.done()
        other.open()
        assert (await second).status == (await pinned).status == 200
    assert guests.used == [1, 2, 1, 2]


@BOTH
async def test_a_pin_that_waited_too_long_is_told_of_its_key(house: House, protocol: str) -> None:
    name = PROVIDERS[protocol]
    async with held(house, protocol, keys=2, GLOBAL_TIMEOUT="30") as guests:
        _, gate = await guests.begun(pin=2)
        pinned = await guests.waiting(pin=2)
        house.clock.now += 31
        answer = await pinned
        assert answer.status == 503 and f"{name}#1: pin; {name}#2: concurrency" in answer.error["message"]
        gate.open()
    assert guests.used == [2]
