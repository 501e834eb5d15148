"""Quotas that vendors are asked for in the background: rhythm, failures, reloads, the end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rotator.contracts import Credential, Runtime
from rotator.quota import QuotaFact
from rotator.server.fetching import fetcher
from rotator.server.polling import ANSWER_SECONDS, FACTS_LIMIT, QuotaPolls
from rotator.wire.transport import Transport, TransportSettings
from rotator.world import World
from tests.asking import ask, chat
from tests.clocks import ManualClock
from tests.proxy import make_world, serving
from tests.upstreams import JSON, WHOLE, Canned, CannedServer, until

QUOTA = "quota: {path: /usage, every_seconds: 100, windows: [{name: 5h, used: $.used, limit: $.limit}]}"
ONE_KEY = {"MINE_API_KEY_1": "key-number-one"}
TWO_KEYS = {**ONE_KEY, "MINE_API_KEY_2": "key-number-two"}


class SteppedClock(ManualClock):
    """Sleeping lasts until a test lets enough time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Condition()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until_then = self.ticks + seconds
        async with self.moved:
            await self.moved.wait_for(lambda: self.ticks >= until_then)

    async def step(self, seconds: float) -> None:
        self.advance(seconds)
        async with self.moved:
            self.moved.notify_all()


class Vendor(CannedServer):
    """Answers questions for quotas with each key as it was told (None: not before ``released``), all else with a chat.

    ``open`` is how many questions are open, ``most`` how many were at once.
    """

    def __init__(self) -> None:
        super().__init__(Canned((b'{"used": 5, "limit": 50}',)))
        self.answers: dict[str, Canned | None] = {}
        self.released = asyncio.Event()
        self.open = self.most = 0

    async def _answer(self, writer: asyncio.StreamWriter, canned: Canned) -> None:
        if self.taken[-1].line.startswith("POST"):
            self.taken.pop()
            await super()._answer(writer, Canned((WHOLE["chat"],)))
            return
        self.open += 1
        self.most = max(self.most, self.open)
        told = self.answers.get(self.keys[-1], canned)
        if told is None:
            await self.released.wait()
        else:
            await super()._answer(writer, told)
        self.open -= 1

    @property
    def keys(self) -> list[str]:
        """The keys that were asked with, in order."""
        return [one.headers["authorization"].removeprefix("Bearer ") for one in self.taken]

    async def aclose(self) -> None:
        self.released.set()
        await super().aclose()


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.start()
    yield vendor
    await vendor.aclose()


class Bench:
    """Polls over the real transport, and what they delivered."""

    def __init__(self, folder: Path, vendor: Vendor, transport: Transport) -> None:
        self.folder = folder
        self.vendor = vendor
        self.clock = SteppedClock()
        self.delivered: list[tuple[str, tuple[QuotaFact, ...], float]] = []
        self.raises: Exception | None = None
        self.transport = transport
        self.polls = self.made()

    def made(self, answer_seconds: float = ANSWER_SECONDS) -> QuotaPolls:
        runtime = Runtime({}, fetcher(self.transport, {}))
        self.polls = QuotaPolls(
            self.clock, lambda: Runtime(self.world.protocols, runtime.fetch), self.deliver, Random(1),
            answer_seconds=answer_seconds,
        )
        return self.polls

    def deliver(self, credential: Credential, facts: Sequence[QuotaFact], at: float) -> None:
        if self.raises is not None:
            raise self.raises
        self.delivered.append((credential.label, tuple(facts), at))

    async def adopt(self, environ: dict[str, str], quota: str = QUOTA, base: str = "") -> World:
        entry = f"protocol: chat, base_url: '{base or self.vendor.url}', {quota}".rstrip(", ")
        self.world = make_world(environ, self.folder, config=f"providers: {{mine: {{{entry}}}}}")
        await self.polls.adopt(self.world)
        return self.world

    async def asked(self, count: int) -> list[str]:
        """The keys of the first questions, once so many were asked and the task sleeps again."""
        await until(lambda: len(self.vendor.taken) >= count)
        await until(lambda: self.vendor.open == 0)
        return self.vendor.keys[:count]

    async def rested(self, count: int) -> list[float]:
        """The pauses, once so many were begun."""
        await until(lambda: len(self.clock.slept) >= count)
        return self.clock.slept


@pytest.fixture
async def bench(tmp_path: Path, vendor: Vendor) -> AsyncIterator[Bench]:
    transport = Transport(TransportSettings())
    transport.start()
    made = Bench(tmp_path, vendor, transport)
    yield made
    await made.polls.shutdown()
    await transport.aclose()
    assert not polling()


def polling() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("quotas of ")]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_each_key_is_asked_at_once_and_then_in_the_rhythm(bench: Bench) -> None:
    await bench.adopt(TWO_KEYS)
    told = (QuotaFact("5h", 50, 5, None, None, "requests", "credential", None, "poll"),)
    first = await bench.rested(1)
    assert bench.delivered == [("mine#1", told, 1_000.0), ("mine#2", told, 1_000.0)]
    await bench.clock.step(first[0] - 1)
    await asyncio.sleep(0)
    assert len(bench.vendor.taken) == 2
    await bench.clock.step(1)
    await bench.rested(2)
    assert await bench.asked(4) == ["key-number-one", "key-number-two"] * 2
    assert [at for _, _, at in bench.delivered[2:]] == [1_000.0 + first[0]] * 2
    assert bench.vendor.most == 1


async def test_pauses_vary_by_a_tenth(bench: Bench) -> None:
    await bench.adopt(ONE_KEY)
    for count in range(1, 40):
        pauses = await bench.rested(count)
        await bench.clock.step(pauses[-1])
    assert all(90 <= pause <= 110 for pause in bench.clock.slept)
    assert min(bench.clock.slept) < 95 and max(bench.clock.slept) > 105


async def test_who_declares_no_quota_or_has_no_key_is_not_asked(bench: Bench) -> None:
    await bench.adopt(ONE_KEY, quota="")
    assert not polling()
    await bench.adopt({"OTHER_API_KEY": "key-of-another"})
    assert not polling()


FAILURES = {
    "an error": Canned((b'{"error": "key-number-one"}',), 500),
    "too many requests": Canned((b"{}",), 429, {**JSON, "retry-after": "60"}),
    "a rejection": Canned((b"{}",), 401),
    "a page": Canned((b"<html>key-number-one</html>",), headers={"content-type": "text/html"}),
    "no http": Canned(raw=b"key-number-one\r\n\r\n"),
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
async def test_a_key_that_fails_holds_up_no_other_and_is_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, answer: Canned
) -> None:
    bench.vendor.answers["key-number-one"] = answer
    await bench.adopt(TWO_KEYS)
    for count in range(1, 4):
        pauses = await bench.rested(count)
        assert [label for label, _, _ in bench.delivered] == ["mine#2"] * count
        await bench.clock.step(pauses[-1])
    assert all(pause <= 110 for pause in bench.clock.slept), "one key answers, so the rhythm stays"
    (told,) = warnings(caplog)
    assert told.startswith("the quota of mine#1 cannot be had: upstream: ") and "key-number" not in caplog.text
    # It works, and fails once more: that is news.
    bench.vendor.answers.clear()
    await bench.clock.step((await bench.rested(4))[-1])
    await bench.rested(5)
    assert "mine#1" in [label for label, _, _ in bench.delivered]
    bench.vendor.answers["key-number-one"] = answer
    await bench.clock.step(bench.clock.slept[-1])
    await bench.rested(6)
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ("[{name: 5h, used: $.used}, {name: 7d, used: $.week.used}]", "none of 5h, 7d was found on the page"),
        ("[{name: 5h, used: $.used}]", "5h was not found on the page"),
    ],
)
async def test_a_page_without_what_is_looked_for_is_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, windows: str, reason: str
) -> None:
    quota = f"quota: {{path: /usage, every_seconds: 100, windows: {windows}}}"
    empty = Canned((b'{"usage": 5}',))
    bench.vendor.answers["key-number-one"] = empty
    await bench.adopt(TWO_KEYS, quota)
    for count in range(1, 4):
        await bench.clock.step((await bench.rested(count))[-1])
    message = f"the quota of mine#1 told nothing: {reason}"
    assert warnings(caplog) == [message] and all(pause <= 110 for pause in bench.clock.slept)
    # A failure in between is no news of the page; facts are, and then nothing once more.
    for count, answer in enumerate((FAILURES["an error"], empty, Canned((b'{"used": 5}',)), empty), 4):
        await bench.rested(count)
        bench.vendor.answers["key-number-one"] = answer
        await bench.clock.step(bench.clock.slept[-1])
    await bench.rested(8)
    assert [line for line in warnings(caplog) if "told nothing" in line] == [message, message]


async def test_a_reload_after_a_page_that_told_nothing_may_be_the_cure(bench: Bench) -> None:
    await bench.adopt(ONE_KEY, QUOTA.replace("$.used", "$.usde"))
    await bench.rested(1)
    assert bench.delivered[0][1] == ()
    await bench.adopt(ONE_KEY)
    await bench.rested(2)
    assert [fact.used for fact in bench.delivered[1][1]] == [5]


async def test_a_vendor_that_fails_is_asked_more_and_more_rarely(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.vendor.answers = dict.fromkeys(TWO_KEYS.values(), FAILURES["an error"])
    await bench.adopt(TWO_KEYS)
    for count in range(1, 8):
        await bench.clock.step((await bench.rested(count))[-1])
    factors = [round(pause / 100 / 2) * 2 for pause in bench.clock.slept[:7]]
    assert factors == [2, 4, 8, 16, 16, 16, 16] and len(warnings(caplog)) == 2
    bench.vendor.answers = {}
    await bench.clock.step((await bench.rested(8))[-1])
    assert (await bench.rested(9))[-1] <= 110


async def test_a_vendor_that_hangs_is_left_in_time(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.vendor.answers["key-number-one"] = None
    bench.made(answer_seconds=0.03)
    await bench.adopt(TWO_KEYS)
    await bench.rested(1)
    assert [label for label, _, _ in bench.delivered] == ["mine#2"]
    assert warnings(caplog) == ["the quota of mine#1 cannot be had: no answer in time"]


async def test_a_vendor_that_is_away_stops_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.adopt(ONE_KEY, base="http://127.0.0.1:9")
    await bench.rested(1)
    assert len(warnings(caplog)) == 1 and polling()


async def test_a_mistake_in_what_takes_the_facts_is_contained(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.raises = ZeroDivisionError("a mistake")
    await bench.adopt(ONE_KEY)
    await bench.clock.step((await bench.rested(1))[-1])
    await bench.rested(2)
    assert warnings(caplog) == ["the quota of mine#1 failed and is skipped"]
    bench.raises = None
    await bench.clock.step(bench.clock.slept[-1])
    await bench.rested(3)
    assert len(bench.delivered) == 1


# The end, and reloads.


@pytest.mark.parametrize("moment", ["asleep", "asking"])
async def test_the_end_comes_at_once(bench: Bench, caplog: pytest.LogCaptureFixture, moment: str) -> None:
    if moment == "asking":
        bench.vendor.answers["key-number-one"] = None
    await bench.adopt(TWO_KEYS)
    await (bench.rested(1) if moment == "asleep" else until(lambda: bench.vendor.open))
    async with asyncio.timeout(1):
        await bench.polls.shutdown()
    assert not polling() and not caplog.records
    await bench.polls.shutdown()


async def test_a_reload_that_changes_nothing_keeps_the_rhythm(bench: Bench) -> None:
    await bench.adopt(ONE_KEY)
    (task, *_), (pause, *_) = polling(), await bench.rested(1)
    await bench.clock.step(pause / 2)
    await bench.adopt({**ONE_KEY, "MINE_API_KEY_1_LABEL": "renamed"})
    assert polling() == [task]
    await bench.clock.step(pause / 2)
    await bench.rested(2)
    assert [label for label, _, _ in bench.delivered] == ["mine#1", "renamed"]


CHANGES: dict[str, tuple[dict[str, str], str]] = {
    "a key more": (TWO_KEYS, QUOTA),
    "another key": ({"MINE_API_KEY_1": "key-number-two"}, QUOTA),
    "another rhythm": (ONE_KEY, QUOTA.replace("100", "50")),
}


@pytest.mark.parametrize(("environ", "quota"), CHANGES.values(), ids=CHANGES)
async def test_a_reload_that_changes_something_asks_at_once(bench: Bench, environ: dict[str, str], quota: str) -> None:
    await bench.adopt(ONE_KEY)
    await bench.rested(1)
    await bench.adopt(environ, quota)
    await bench.rested(2)
    assert len(polling()) == 1 and await bench.asked(1 + len(environ)) == ["key-number-one", *environ.values()]
    assert (bench.clock.slept[1] <= 55) == ("50" in quota)


async def test_a_reload_in_the_middle_of_a_question_asks_the_new_one_only(bench: Bench) -> None:
    bench.vendor.answers["key-number-one"] = None
    await bench.adopt(ONE_KEY)
    await until(lambda: bench.vendor.open)
    await bench.adopt({"MINE_API_KEY_1": "key-number-two"})
    await bench.rested(1)
    assert len(bench.delivered) == 1 and len(polling()) == 1


async def test_a_reload_after_a_failure_may_be_the_cure(bench: Bench) -> None:
    bench.vendor.answers["key-number-one"] = FAILURES["an error"]
    await bench.adopt(ONE_KEY)
    await bench.rested(1)
    bench.vendor.answers.clear()
    await bench.adopt(ONE_KEY)
    await bench.rested(2)
    assert len(bench.delivered) == 1 and bench.clock.slept[1] <= 110


async def test_a_reload_without_the_provider_ends_its_polls(bench: Bench) -> None:
    for environ, quota in (({}, QUOTA), (ONE_KEY, "")):
        await bench.adopt(ONE_KEY)
        assert polling()
        await bench.adopt(environ, quota)
        assert not polling()


# Providers with code.

CODED = """
from rotator.api import HttpProvider, QuotaFact, hookimpl

class Coded(HttpProvider):
    quota_every_seconds = EVERY

    async def quota(self, runtime, credential):
        BODY

@hookimpl
def register_providers(register):
    register(Coded({"name": "coded", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}))
"""


async def coded(bench: Bench, body: str, every: str = "0.001") -> None:
    """Polls of a provider whose author wrote this."""
    source = CODED.replace("BODY", body).replace("EVERY", every)
    (bench.folder / "mine" / "providers").mkdir(parents=True)
    (bench.folder / "mine" / "providers" / "coded.py").write_text(source, encoding="utf-8")
    bench.world = make_world({"CODED_API_KEY": "key-of-coded"}, bench.folder, plugins=(bench.folder / "mine",))
    await bench.polls.adopt(bench.world)


async def test_code_is_asked_no_more_often_than_every_ten_seconds(bench: Bench) -> None:
    await coded(bench, "return [QuotaFact('day', limit=9.0, used=1.0)]")
    assert 9 <= (await bench.rested(1))[0] <= 11
    ((label, facts, _),) = bench.delivered
    assert (label, facts) == ("coded#0", (QuotaFact("day", limit=9.0, used=1.0),))


async def test_code_cannot_flood_us(bench: Bench) -> None:
    await coded(bench, "return [QuotaFact(str(number)) for number in range(10_000)]")
    await bench.rested(1)
    assert len(bench.delivered[0][1]) == FACTS_LIMIT


@pytest.mark.parametrize("body", ["raise KeyError('a mistake')", "return None", "return 7"])
async def test_a_mistake_in_code_is_contained(bench: Bench, caplog: pytest.LogCaptureFixture, body: str) -> None:
    await coded(bench, body)
    await bench.clock.step((await bench.rested(1))[-1])
    await bench.rested(2)
    assert not bench.delivered and warnings(caplog) == ["the quota of coded#0 failed and is skipped"]


async def test_a_rhythm_that_is_none_is_contained(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await coded(bench, "return [QuotaFact('day', used=1.0)]", "'often'")
    await until(lambda: not polling())
    assert warnings(caplog) == ["background job quotas of coded failed and is skipped"]


async def test_code_that_says_nothing_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await coded(bench, "return []")
    await bench.clock.step((await bench.rested(1))[-1])
    await bench.rested(2)
    assert warnings(caplog) == ["the quota of coded#0 told nothing"]


# The whole proxy.


@pytest.mark.parametrize("answer", [FAILURES["too many requests"], FAILURES["a rejection"], None])
async def test_no_request_waits_for_a_poll_and_no_poll_benches_a_key(
    tmp_path: Path, vendor: Vendor, answer: Canned | None
) -> None:
    vendor.answers["key-number-one"] = answer
    config = f"providers: {{mine: {{protocol: chat, base_url: '{vendor.url}', {QUOTA}}}}}"
    clock = SteppedClock()
    async with serving(make_world(ONE_KEY, tmp_path, config=config), clock=clock) as proxy:
        await until(lambda: vendor.open if answer is None else clock.slept)
        assert vendor.taken[0].line == "GET /usage HTTP/1.1"
        reply = await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("mine/small"))
        assert reply.status == 200 and json.loads(reply.body)["choices"]
        assert len(vendor.taken) == 1
        await proxy.core.adopt(make_world(TWO_KEYS, tmp_path, config=config))
        await until(lambda: "key-number-two" in vendor.keys or answer is None and len(vendor.taken) == 2)
    assert not polling()
