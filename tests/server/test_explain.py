"""``POST /v1/explain`` and the header ``x-rotator-explain``: why this key, and why none of the others."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, get_args

import pytest

from rotator.credentials.decision import ReasonCode
from rotator.credentials.windows import Tally
from rotator.trace import writer
from tests.exchange.staging import lead
from tests.exchange.tapping import of, told
from tests.upstreams import PROVIDERS, Answer, Gate, House, Play, Reply, until

IN_HOUSE = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
MODES = ("sequential", "balanced", "round_robin")
PATH = "/v1/explain"
ASKED = {"x-rotator-explain": "1"}
MESSAGES_CLIENT = {"anthropic-version": "2023-06-01"}
HEADER_BYTES = 2_200
DAY, WEEK = 86_400, 7 * 86_400


async def explain(house: House, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return await house.ask("chat", body, path=PATH, headers=headers)


async def explained(house: House, protocol: str, model: str, **more: Any) -> dict[str, Any]:
    """What would be chosen for a client of this protocol and its own provider."""
    answer = await explain(house, {"model": f"{PROVIDERS[protocol]}/{model}", "protocol": protocol, **more})
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json
    return document


def limited(seconds: float) -> Any:
    return Reply(429, {"retry-after": str(seconds)})


def header_of(answer: Answer) -> dict[str, Any]:
    """What the answer's header tells; it is ASCII and short."""
    value = answer.headers["x-rotator-explain"]
    assert value.isascii() and len(value) < HEADER_BYTES
    document: dict[str, Any] = json.loads(value)
    return document


# The answer.


@IN_HOUSE
@BOTH
async def test_the_answer_names_the_target_the_key_and_every_other_key(house: House, protocol: str) -> None:
    name = PROVIDERS[protocol]
    await house.furnish(keys=2, **{f"{name.upper()}_API_KEY_2_LABEL": "spare"})
    house.vendor.script_key(house.keys[name][0], limited(30))
    await house.call(protocol, "text")
    until_then = house.clock.time() + 30
    document = await explained(house, protocol, "text")
    keys, waiting = document.pop("keys"), document.pop("waiting")
    detail = document["candidates"][0]["reasons"][0]["detail"]
    assert re.fullmatch(r"rate_limit for text \(stated, header\), told to req_[0-9a-f]+", detail)
    assert document == {
        "target": f"{name}:{protocol}/text",
        "chosen": "spare",
        "why": "the only one",
        "candidates": [
            {
                "credential": f"{name}#1",
                "eligible": False,
                "reasons": [{"code": "cooldown", "until": until_then, "detail": detail}],
            },
            {"credential": "spare", "eligible": True, "reasons": []},
        ],
    }
    assert [*document] == ["target", "chosen", "why", "candidates"]
    about = {"priority": 10, "tier": None, "under_way": 0, "at_most": None, "in_doubt_until": None}
    told = [{window["name"] for window in key.pop("windows")} for key in keys]
    assert keys == [{"credential": label, **about, "caps": []} for label in (f"{name}#1", "spare")] and waiting == 0
    assert told[1] >= {"requests", "tokens"}, "what the vendor's headers say"


@IN_HOUSE
@BOTH
async def test_what_is_counted_of_each_key_is_told(house: House, protocol: str) -> None:
    rules = {
        "mode": "round_robin",
        "max_concurrent": 3,
        "windows": [{"name": "5h", "seconds": 18_000, "limit": 10}],
        "caps": [{"model": "*", "max": "80%"}],
    }
    await house.furnish(keys=2, config={"rotation": rules})
    model = house.play(Play("text"), Reply(500), Play("text"))
    for _ in range(2):
        assert (await house.call(protocol, model)).status == 200
    now = house.clock.time()
    one, two = (await explained(house, protocol, model))["keys"]
    assert one["at_most"] == two["at_most"] == 3 and one["in_doubt_until"] is None
    assert now < two["in_doubt_until"] <= now + 60, "it answered 500 last"
    assert one["windows"][0] == {"name": "5h", "used": 2, "limit": 10, "unit": "requests", "until": now + 18_000}
    assert one["caps"] == [{"max": 8, "used": 2, "until": now + 18_000}]
    assert two["windows"][0]["used"] == 0 and two["caps"][0] == {"max": 8, "used": 0, "until": None}


@IN_HOUSE
async def test_nothing_but_the_model_need_be_said(house: House) -> None:
    short = await explain(house, {"model": "vendor/text"})
    assert short.json == await explained(house, "chat", "text")
    assert (short.headers["content-type"], short.headers["cache-control"]) == ("application/json", "no-store")
    assert not house.used("chat")


async def two_targets(house: House, **config: Any) -> None:
    """Every name leads to both providers, the first of them limited."""
    world = await house.furnish(config=config)
    await lead(house, world, "chat", "vendor/text", "claudish:messages/text")
    assert (await explain(house, {"model": "both"})).json["target"] == "vendor:chat/text"
    house.vendor.script_key(house.keys["vendor"][0], limited(30))


@IN_HOUSE
async def test_of_several_targets_the_first_one_with_a_key_is_told(house: House) -> None:
    await two_targets(house)
    answers = [await house.ask("chat", house.body("chat", "both"), headers=ASKED) for _ in range(2)]
    assert [answer.headers["x-rotator-provider"] for answer in answers] == ["claudish"] * 2
    found = (await explain(house, {"model": "both"})).json
    assert (found["target"], found["chosen"]) == ("claudish:messages/text", header_of(answers[1])["chosen"])


@IN_HOUSE
async def test_targets_that_a_request_would_not_reach_are_not_spoken_of(house: House) -> None:
    await two_targets(house, retry={"max_targets": 1})
    assert [(await house.call("chat", "both")).status for _ in range(2)] == [429, 429]
    assert (await explain(house, {"model": "both"})).json["chosen"] is None


# Each reason.


class Case(NamedTuple):
    """What is done before, and why the first key is left out: until when (seconds from then), and how it is told."""

    before: Callable[[House, str, str], Awaitable[None]]
    until: float | None
    detail: str
    rules: Mapping[str, Any] = {}
    environ: Mapping[str, str] = {}
    asked: Mapping[str, str] = {}


async def nothing(house: House, protocol: str, model: str) -> None:
    """Needs nobody to ask."""


async def one_request(house: House, protocol: str, model: str) -> None:
    assert (await house.call(protocol, model)).status == 200


def first_key_does(step: Any, wait: float = 0) -> Callable[[House, str, str], Awaitable[None]]:
    """The vendor answers so with the first key; the second one serves. Then so much time passes."""

    async def before(house: House, protocol: str, model: str) -> None:
        house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], step)
        assert (await house.call(protocol, model)).status == 200
        house.clock.now += wait

    return before


ONE_AN_HOUR: Mapping[str, Any] = {"windows": [{"name": "1h", "seconds": 3600, "limit": 1}]}
CASES: dict[str, Case] = {
    "tier": Case(nothing, None, "needs priority 1 or better; this key has priority 10", {"model_tiers": {"*": 1}}),
    "concurrency": Case(nothing, None, "1 of 1 under way", {"max_concurrent": 1}),
    "cooldown": Case(first_key_does(limited(30)), 30, "(stated, header)"),
    "window": Case(one_request, 3600, "1h: 1 of 1 requests used", ONE_AN_HOUR),
    "cap": Case(one_request, DAY, "cap of 1", {"caps": [{"model": "*", "max": 1}]}),
    "fair_cycle": Case(
        first_key_does(limited(400), 401), None, "used up in this cycle", {"fair_cycle": {"enabled": True}}
    ),
    "pin": Case(nothing, None, "pinned to second", asked={"pin": "second"}),
    "rejected": Case(first_key_does(Reply(401)), 60, ""),
}


def test_every_reason_has_a_case() -> None:
    """But two: what a request has tried, and where its reasoning belongs, only itself knows."""
    assert {*CASES, "tried", "bound_state"} == {*get_args(ReasonCode)}


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("code", CASES)
async def test_each_reason_is_told_with_its_end(house: House, protocol: str, code: str) -> None:
    case, name = CASES[code], PROVIDERS[protocol].upper()
    priority = {f"{name}_API_KEY_2_PRIORITY": "1"} if code == "tier" else {}
    rules = {"mode": "round_robin", **case.rules}
    await house.furnish(keys=2, config={"rotation": rules}, **{f"{name}_API_KEY_2_LABEL": "second"}, **priority)
    gate = Gate()
    model = house.play(Play("text", head=gate) if code == "concurrency" else Play("text"))
    await case.before(house, protocol, model)
    async with asyncio.TaskGroup() as group:
        if code == "concurrency":
            group.create_task(house.call(protocol, model))
            await until(lambda: house.used(protocol) == [1])
        document = await explained(house, protocol, model, **case.asked)
        gate.open()
    first, second = document["candidates"]
    assert (document["chosen"], second) == ("second", {"credential": "second", "eligible": True, "reasons": []})
    [reason] = first["reasons"]
    expected = None if case.until is None else pytest.approx(house.clock.time() + case.until, abs=0.002)
    assert (first["eligible"], reason["code"], reason["until"]) == (False, code, expected)
    assert case.detail in reason["detail"]


# The same as the next real choice.


class Days:
    """Seeded days of a few clients: each asks why before it asks; what happened to it is in the trace."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.rng = Random(seed)
        self.models = [house.play(Play("text")) for _ in range(3)]
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.only_choices = 0

    def _vendor_acts(self) -> None:
        steps = (Play("text"), Play("text"), limited(4), limited(40), limited(400), Reply(401), Reply(500))
        for key in self.house.keys["vendor"]:
            self.house.vendor.script_key(key, self.rng.choice(steps))

    async def step(self) -> None:
        house, rng = self.house, self.rng
        self._vendor_acts()
        house.clock.now += rng.choice((0, 0.25, 3, 30, 300))
        model, pin = rng.choice(self.models), rng.choice((None, None, None, "vendor#2"))
        session = rng.choice((None, None, "one", "two", "three"))
        asked = {name: value for name, value in (("session", session), ("pin", pin)) if value is not None}
        foretold = await explained(house, "chat", model, **asked)
        headers, slept = {"session": "x-rotator-session", "pin": "x-rotator-credential"}, len(house.clock.slept)
        sent = {headers[name]: value for name, value in asked.items()} | ASKED
        answer = await house.ask("chat", house.body("chat", model), headers=sent)
        self.said.append((answer.headers["x-rotator-request-id"], foretold))
        calls = answer.headers.get("x-rotator-attempts", "0")
        if len(house.clock.slept) == slept and (calls == "0" or (calls, answer.status) == ("1", 200)):
            self.only_choices += 1
            assert header_of(answer) == short(foretold)


def short(foretold: dict[str, Any]) -> dict[str, Any]:
    """What of it stands in the header."""
    left_out = {
        one["credential"]: [{"code": reason["code"], "until": reason["until"]} for reason in one["reasons"]]
        for one in foretold["candidates"]
        if not one["eligible"]
    }
    return {"chosen": foretold["chosen"], "why": foretold["why"], "left_out": left_out}


@IN_HOUSE
@pytest.mark.parametrize("fair", [True, False], ids=["fair", "unfair"])
@pytest.mark.parametrize("mode", MODES)
async def test_what_is_explained_is_what_the_next_request_gets(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, fair: bool
) -> None:
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.001)
    rules = {
        "mode": mode,
        "windows": [{"name": "1h", "seconds": 3600, "limit": 12}, {"name": "t", "seconds": 600, "limit": 200,
                                                                    "unit": "tokens", "applies_to": "credential"}],
        "caps": [{"model": "*", "max": "75%", "cooldown": "fixed:60"}],
        "fair_cycle": {"enabled": fair, "quota_threshold": 0.5},
    }  # fmt: skip
    config = {"rotation": rules, "trace": {"level": "meta", "dir": str(tmp_path)}}
    await house.furnish(keys=4, config=config, VENDOR_API_KEY_1_PRIORITY="1")
    days, steps = Days(house, MODES.index(mode)), 60
    for _ in range(steps):
        await days.step()
    found = of(await told(tmp_path, steps), "decision")
    first = {entry["request"]: entry for entry in reversed(found)}
    for request, foretold in days.said:
        assert {name: first[request][name] for name in ("chosen", "why", "candidates")} == {
            name: foretold[name] for name in ("chosen", "why", "candidates")
        }
    chosen = {foretold["chosen"] for _, foretold in days.said}
    assert len(chosen) >= 4 and days.only_choices > 10, "hardly anything happened"


# Free of charge.


def state(house: House) -> list[Any]:
    """All that a choice could leave behind; windows that are not open are none."""

    def opened(tally: Tally) -> bool:
        return tally.opened is not None

    pool = house.proxy.core.pool
    return [
        pool._rng.getstate(),
        pool.counters.leases,
        pool.counters.waited,
        house.clock.now,
        len(house.vendor.requests),
        *(
            (one.in_use, one.turn, one.last_used_at, one.served, one.version, repr(one.ledger),
             [(place, tally.used, tally.end) for place, tally in one.tallies.items() if opened(tally)])
            for one in pool.standings("vendor")
        ),
    ]  # fmt: skip


@IN_HOUSE
@pytest.mark.parametrize("mode", MODES)
async def test_it_costs_one_evaluation_and_changes_nothing(house: House, mode: str) -> None:
    await house.furnish(keys=3, config={"rotation": {"mode": mode}})
    await house.call("chat", "text")
    before, evaluations = state(house), house.proxy.core.pool.evaluations("vendor")
    answers = [await explained(house, "chat", "text", session="s") for _ in range(5)]
    assert answers == answers[:1] * 5
    assert house.proxy.core.pool.evaluations("vendor") == evaluations + 5
    assert state(house) == before


@IN_HOUSE
@pytest.mark.parametrize("mode", ["sequential", "round_robin"])
async def test_keys_come_as_if_nobody_had_asked_why(house: House, mode: str) -> None:
    runs = []
    for asks in (False, True):
        await house.furnish(keys=3, config={"rotation": {"mode": mode}})
        models = [house.play(Play("text")) for _ in range(2)]
        for turn in range(8):
            for name in models if asks else ():
                await explained(house, "chat", name)
            assert (await house.call("chat", models[turn % 2])).status == 200
        runs.append(house.used("chat"))
    assert runs[0] == runs[1]


@IN_HOUSE
async def test_a_question_does_not_fix_who_stays_out_of_the_next_cycle(house: House) -> None:
    """The key that rests longest stays out if it still rests for more than 700 s when the new cycle begins."""
    fair = {"enabled": True, "quota_threshold": 0.25, "reset_cooldown_seconds": 700}
    windows = [{"name": "5h", "seconds": 18_000, "limit": 12}]
    runs = []
    for asks in (False, True):
        rules = {"mode": "round_robin", "windows": windows, "fair_cycle": fair}
        await house.furnish(keys=2, config={"rotation": rules})
        house.vendor.script_key(house.keys["vendor"][0], limited(1000), Play("text"))
        model = house.play(Play("text"))
        for _ in range(3):  # the second key is used up as well
            await house.call("chat", model)
        if asks:
            await explained(house, "chat", model)
        for wait in (401, 600):
            house.clock.now += wait
            await house.call("chat", model)
        runs.append(house.used("chat"))
    assert runs[0] == runs[1] == [1, 2, 2, 2, 2, 1]


# What is refused.

REFUSED: dict[str, tuple[Any, int, str, str]] = {
    "no JSON": (b"{", 400, "", "JSON"),
    "a list": (b"[]", 400, "", "object"),
    "nothing": ({}, 400, "model", "missing"),
    "no model": ({"protocol": "chat"}, 400, "model", "missing"),
    "an unknown key": ({"model": "vendor/text", "sesion": "s"}, 400, "sesion", "did you mean session?"),
    "a model that is a number": ({"model": 5}, 400, "model", "expected"),
    "a session that is a list": ({"model": "vendor/text", "session": ["s"]}, 400, "session", "expected"),
    "a pin that is none": ({"model": "vendor/text", "pin": True}, 400, "pin", "expected"),
    "an unknown protocol": ({"model": "vendor/text", "protocol": "chatt"}, 400, "protocol", "did you mean chat?"),
    "an unknown pin": ({"model": "vendor/text", "pin": "vendor#9"}, 400, "pin", "vendor#9"),
    "an unknown model": ({"model": "no-such-model"}, 404, "model", "no-such-model"),
    "an unknown provider": ({"model": "nobody/text"}, 404, "model", "nobody"),
}


@IN_HOUSE
@pytest.mark.parametrize("headers", [{}, MESSAGES_CLIENT], ids=["chat", "messages"])
@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_wrong_is_told_in_the_clients_protocol(
    house: House, case: str, headers: Mapping[str, str]
) -> None:
    body, status, field, message = REFUSED[case]
    answer = await explain(house, body, headers)
    assert answer.status == status and message in answer.error["message"], answer.body
    if headers:
        assert answer.json["type"] == "error" and answer.error["type"] == (
            "not_found_error" if status == 404 else "invalid_request_error"
        )
        assert field in answer.error["message"]
    else:
        assert {*answer.error} == {"message", "type", "param", "code"}
        assert answer.error["param"] == (field or None)
    assert answer.headers.get("x-should-retry") == "false"
    assert not house.used("chat")


@IN_HOUSE
async def test_a_clients_key_is_needed_where_one_is_set(house: House) -> None:
    await house.furnish(PROXY_API_KEY="client-key-1")
    body = {"model": "vendor/text"}
    for headers in ({}, {"authorization": "Bearer other"}):
        answer = await explain(house, body, headers)
        assert answer.status == 401 and b"vendor#1" not in answer.body
    assert (await explain(house, body, {"authorization": "Bearer client-key-1"})).status == 200
    assert (await explain(house, body, {"x-api-key": "client-key-1"})).status == 200


@IN_HOUSE
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_a_post_asks(house: House, method: str) -> None:
    async with house.client.request(method, house.proxy.url + PATH) as reply:
        error = (await reply.json())["error"]
        assert (reply.status, reply.headers["allow"], error["code"]) == (405, "POST", "method_not_allowed")


# The header.


@IN_HOUSE
@BOTH
@WAYS
async def test_an_answer_tells_on_request_which_key_and_why(house: House, protocol: str, stream: bool) -> None:
    name = PROVIDERS[protocol]
    await house.furnish(keys=3)
    house.vendor.script_key(house.keys[name][0], limited(30), Play("text"))
    await house.call(protocol, "text")
    foretold = await explained(house, protocol, "text")
    answer = await house.ask(protocol, house.body(protocol, "text", stream=stream), headers=ASKED)
    left_out = {f"{name}#1": [{"code": "cooldown", "until": house.clock.time() + 30}]}
    assert header_of(answer) == {"chosen": f"{name}#3", "why": foretold["why"], "left_out": left_out}
    assert house.used(protocol) == [1, 2, 3] and "round_robin" in foretold["why"]
    assert not [header for header, _ in house.vendor.requests[-1].headers if header.startswith("x-rotator")]


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("sent", [None, "0", "", "yes please"])
async def test_without_the_request_nothing_is_told(house: House, protocol: str, sent: str | None) -> None:
    headers = {} if sent is None else {"x-rotator-explain": sent}
    limited_model = house.play(limited(30))
    for model, status in (("text", 200), (limited_model, 429)):
        answer = await house.ask(protocol, house.body(protocol, model), headers=headers)
        assert answer.status == status and "x-rotator-explain" not in answer.names


@IN_HOUSE
@BOTH
@WAYS
async def test_refusals_tell_it_too(house: House, protocol: str, stream: bool) -> None:
    name = PROVIDERS[protocol]
    for step, status, wait in ((limited(30), 429, 30), (Reply(401), 503, 60)):
        await house.furnish()
        house.vendor.script_key(house.keys[name][0], step)
        for _ in range(2):
            answer = await house.ask(protocol, house.body(protocol, "text", stream=stream), headers=ASKED)
            told_of = header_of(answer)
            assert (answer.status, told_of["chosen"], told_of["why"]) == (status, None, "")
            reasons = told_of["left_out"][f"{name}#1"]
            assert reasons[-1]["until"] == pytest.approx(house.clock.time() + wait, abs=0.002)
    assert house.used(protocol) == [1]


@IN_HOUSE
@BOTH
@pytest.mark.parametrize("refused", [False, True], ids=["served", "refused"])
async def test_two_hundred_keys_fit(house: House, protocol: str, refused: bool) -> None:
    name, keys = PROVIDERS[protocol], 200
    labels = {f"{name.upper()}_API_KEY_{one}_LABEL": f'the "{one}" \\ of all' for one in range(1, keys + 1)}
    rules = {"model_tiers": {"text": 1}} if refused else {}
    await house.furnish(keys=keys, config={"rotation": rules}, **labels)
    pin = {"x-rotator-credential": f'the "{keys}" \\ of all'}
    answer = await house.ask(protocol, house.body(protocol, "text"), headers=ASKED | pin)
    document = header_of(answer)
    assert (answer.status, document["chosen"]) == ((503, None) if refused else (200, pin["x-rotator-credential"]))
    assert list(document["left_out"])[:2] == ['the "1" \\ of all', 'the "2" \\ of all']
    assert len(document["left_out"]) + document["more"] == (keys if refused else keys - 1)
    assert len(document["left_out"]) > 10
