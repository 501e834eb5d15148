"""One request over several keys: rotation before anything was shown, waiting, probing, the truth when none is left."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.proxy import make_world, serving
from tests.upstreams import (
    CHAT_FRAMES,
    FRAMES,
    JSON,
    PROVIDERS,
    SSE,
    Answer,
    Canned,
    Gate,
    House,
    Play,
    Raw,
    Reply,
    canned,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("protocol", PROVIDERS)
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

#: An error in an HTTP 200 stream, before anything visible.
ERROR_FRAMES = {
    "chat": b'data: {"error":{"message":"Too busy","type":"server_error","param":null,"code":null}}\n\n',
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Too busy"}}\n\n',
}


def limited(seconds: float | str) -> Any:
    return Reply(429, {"retry-after": str(seconds)})


def attempts(answer: Answer) -> int:
    return int(answer.headers.get("x-rotator-attempts", "0"))


@BOTH
@WAYS
async def test_a_limited_key_is_passed_over_and_rests_as_long_as_stated(
    house: House, protocol: str, stream: bool
) -> None:
    await house.furnish(keys=2)
    limits = house.keys[PROVIDERS[protocol]][0]
    house.vendor.script_key(limits, limited(30))
    answer = await house.call(protocol, "text", stream=stream)
    assert (answer.status, attempts(answer), house.used(protocol)) == (200, 2, [1, 2])
    assert b"rror" not in answer.body
    cooling, free = house.standing(protocol, "text")
    assert [(reason.code, reason.until) for reason in cooling.reasons] == [("cooldown", house.clock.now + 30)]
    assert free.eligible
    house.vendor.script_key(limits)
    for passed, key in ((0.0, 2), (29.9, 2), (0.2, 1)):
        house.clock.now += passed
        again = await house.call(protocol, "text", stream=stream)
        assert (again.status, attempts(again), house.used(protocol)[-1]) == (200, 1, key)


@pytest.mark.pitfall("P-129")
async def test_a_limit_is_about_one_model(house: House) -> None:
    await house.furnish()
    model = house.play(limited(30))
    assert (await house.call("chat", model)).status == 429
    assert (await house.call("chat", "text")).status == 200
    assert house.reasons("chat", "text") == [[]]


@pytest.mark.pitfall("C246")
@BOTH
@WAYS
async def test_when_all_keys_cool_the_client_hears_why_and_when(house: House, protocol: str, stream: bool) -> None:
    await house.furnish(keys=2)
    name = PROVIDERS[protocol]
    for key, seconds in zip(house.keys[name], (30, 20), strict=True):
        house.vendor.script_key(key, limited(seconds))
    answer = await house.call(protocol, "text", stream=stream)
    assert (answer.status, attempts(answer), house.clock.slept) == (429, 2, [])
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("20", "20000")
    assert "x-should-retry" not in answer.headers
    assert answer.error["type"] == "rate_limit_error"
    for told in (f"{name}#1: cooldown for 30 s", f"{name}#2: cooldown for 20 s", "rate limit"):
        assert told.lower() in answer.error["message"].lower()
    house.clock.now += 5.25
    later = await house.call(protocol, "text", stream=stream)
    assert (later.status, attempts(later), house.used(protocol)) == (429, 0, [1, 2])
    assert (later.headers["retry-after"], later.headers["retry-after-ms"]) == ("15", "14750")


@BOTH
@pytest.mark.parametrize(("seconds", "retried"), [(60, None), (61, "false")])
@pytest.mark.pitfall("P-127")
async def test_a_long_wait_is_not_for_the_client_to_wait(
    house: House, protocol: str, seconds: int, retried: str | None
) -> None:
    answer = await house.call(protocol, house.play(limited(seconds)))
    assert (answer.status, answer.headers["retry-after"]) == (429, str(seconds))
    assert answer.headers.get("x-should-retry") == retried


@BOTH
async def test_a_lone_rejected_key_is_refused_for_five_seconds_and_then_probed(house: House, protocol: str) -> None:
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Reply(401), Play("text"))
    for passed, reason in ((0.0, "rejected for 60 s"), (4.9, "rejected for 56 s")):
        house.clock.now += passed
        answer = await house.call(protocol, "text")
        assert (answer.status, house.used(protocol)) == (503, [1])
        assert (answer.headers["x-should-retry"], "retry-after" in answer.headers) == ("false", False)
        assert f"{PROVIDERS[protocol]}#1: {reason}" in answer.error["message"]
    assert house.reasons(protocol, "text") == house.reasons(protocol, "other") == [["rejected"]]
    house.clock.now += 0.2
    assert (await house.call(protocol, "text")).status == 200
    assert house.reasons(protocol, "text") == [[]]


async def test_rejected_keys_are_probed_one_request_at_a_time_the_longest_rejected_first(house: House) -> None:
    await house.furnish(keys=2)
    first, second = house.keys["vendor"]
    gate = Gate()
    house.vendor.script_key(first, Reply(401), Play("text", head=gate))
    house.vendor.script_key(second, Play("text"), Reply(403))
    assert attempts(await house.call("chat", "text")) == 2
    house.clock.now += 1
    assert (await house.call("chat", "text")).status == 503
    assert house.reasons("chat", "text") == [["rejected"], ["rejected"]]
    house.clock.now += 5
    async with asyncio.TaskGroup() as group:
        probe = group.create_task(house.call("chat", "text"))
        await until(lambda: house.used("chat") == [1, 2, 2, 1])
        assert (await house.call("chat", "text")).status == 503
        gate.open()
    assert (probe.result().status, house.used("chat")) == (200, [1, 2, 2, 1])
    assert house.reasons("chat", "text") == [[], ["rejected"]]


async def test_a_rejection_benches_a_key_for_every_model_and_twice_as_long_the_second_time(house: House) -> None:
    house.vendor.script_key(house.keys["vendor"][0], Reply(402))
    for seconds in (60, 120):
        house.clock.now += 5
        assert (await house.call("chat", "text")).status == 503
        [[reason]] = [one.reasons for one in house.standing("chat", "other")]
        assert (reason.code, reason.until) == ("rejected", house.clock.now + seconds)


@BOTH
@WAYS
async def test_a_rejected_key_gives_way_to_the_next(house: House, protocol: str, stream: bool) -> None:
    await house.furnish(keys=2)
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Reply(401))
    for tries in (2, 1):
        answer = await house.call(protocol, "text", stream=stream)
        assert (answer.status, attempts(answer)) == (200, tries)
    assert house.used(protocol) == [1, 2, 2]


async def test_where_one_key_is_limited_the_rejected_ones_do_not_count(house: House) -> None:
    await house.furnish(keys=2)
    first, second = house.keys["vendor"]
    house.vendor.script_key(first, Reply(401))
    house.vendor.script_key(second, limited(40))
    answer = await house.call("chat", "text")
    assert (answer.status, answer.headers["retry-after"]) == (429, "40")
    assert "vendor#1: rejected" in answer.error["message"]


@BOTH
@WAYS
async def test_a_short_limit_is_waited_for_once(house: House, protocol: str, stream: bool) -> None:
    answer = await house.call(protocol, house.play(limited(3), Play("text")), stream=stream)
    assert (answer.status, attempts(answer)) == (200, 2)
    assert house.clock.slept == [pytest.approx(3, abs=0.01)]
    answer = await house.call(protocol, house.play(limited(3), limited(4)), stream=stream)
    assert (answer.status, attempts(answer), answer.headers["retry-after"]) == (429, 2, "4")
    assert len(house.clock.slept) == 2


async def test_after_the_wait_each_key_is_asked_at_most_once_more(house: House) -> None:
    await house.furnish(keys=3)
    first, second, third = house.keys["vendor"]
    house.vendor.script_key(first, limited(4))
    house.vendor.script_key(second, limited(2))
    house.vendor.script_key(third, Reply(500))
    answer = await house.call("chat", "text")
    assert (answer.status, house.used("chat")) == (500, [1, 2, 3, 2, 3])  # a fault may be over sooner than a limit
    assert house.clock.slept == [pytest.approx(2, abs=0.01), pytest.approx(0.5, abs=0.101)]


async def test_a_limit_of_an_earlier_request_is_waited_for_too(house: House) -> None:
    model = house.play(limited(12), Play("text"))
    assert (await house.call("chat", model)).status == 429
    house.clock.now += 4
    answer = await house.call("chat", model)
    assert (answer.status, attempts(answer)) == (200, 1)
    assert house.clock.slept == [pytest.approx(8, abs=0.01)]


@pytest.mark.parametrize("config", [{"retry": {"small_cooldown_seconds": 2}}, {"timeouts": {"global": 2}}])
async def test_a_limit_beyond_threshold_or_deadline_is_not_waited_for(house: House, config: dict[str, Any]) -> None:
    await house.furnish(config=config)
    answer = await house.call("chat", house.play(limited(3), Play("text")))
    assert (answer.status, answer.headers.get("retry-after"), house.clock.slept) == (429, "3", [])


async def test_limits_without_a_time_double_up_to_a_minute(house: House) -> None:
    await house.furnish(SMALL_COOLDOWN_RETRY_THRESHOLD="0")
    model = house.play(Reply(429, {"retry-after": "soon"}))
    for seconds in (5, 10, 20, 40, 60, 60):
        answer = await house.call("chat", model)
        assert answer.headers["retry-after"] == str(seconds)
        house.clock.now += seconds
    house.vendor.script(model, limited(30), Reply(429, {"retry-after": "soon"}))
    for seconds in (30, 5):
        assert (await house.call("chat", model)).headers["retry-after"] == str(seconds)
        house.clock.now += seconds


@BOTH
async def test_an_error_frame_before_anything_visible_rotates(house: House, protocol: str) -> None:
    await house.furnish(keys=2)
    opening = FRAMES[protocol][:1]
    for frames in ((ERROR_FRAMES[protocol],), (*opening, ERROR_FRAMES[protocol]), (*FRAMES[protocol][:3],)):
        failing = Raw(200, SSE, [b"".join([*frames, ERROR_FRAMES[protocol]])])
        house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], failing)
        answer = await house.call(protocol, "text", stream=True)
        assert (answer.status, b"Too busy" in answer.body, attempts(answer)) == (200, False, 2)
        await house.furnish(keys=2)


@BOTH
@pytest.mark.parametrize("end", ["reset", "drop", "clean"])
@pytest.mark.parametrize("frames", [0, 1])
async def test_a_stream_that_ends_before_anything_visible_rotates(
    house: House, protocol: str, end: str, frames: int
) -> None:
    await house.furnish(keys=2)
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Play("text", cut_after=frames, end=end))
    answer = await house.call(protocol, "text", stream=True)
    assert (answer.status, attempts(answer), house.used(protocol)) == (200, 2, [1, 2])
    assert answer.body.startswith((b"data: {", b"event: message_start")) and b"rror" not in answer.body
    assert house.reasons(protocol, "text") == [[], []]


@BOTH
@pytest.mark.parametrize("end", ["reset", "drop"])
async def test_a_whole_answer_that_breaks_off_rotates(house: House, protocol: str, end: str) -> None:
    await house.furnish(keys=2)
    cut = Raw(200, {"content-type": "application/json", "content-length": "100"}, [b'{"choices":['], end=end)
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], cut)
    answer = await house.call(protocol, "text")
    assert (answer.status, attempts(answer), house.used(protocol)) == (200, 2, [1, 2])


async def test_a_refused_connection_is_tried_with_each_key_and_is_a_bad_gateway(house: House) -> None:
    async with canned(Canned()) as server:
        base = server.url
    await house.furnish(keys=2, base=base)
    answer = await house.call("chat", "text")
    assert (answer.status, attempts(answer), len(house.clock.slept)) == (502, 4, 1)
    assert answer.error == {"message": "vendor: the connection was refused", "type": "server_error", "param": None,
                            "code": "connect"}
    assert base.rpartition(":")[2] not in answer.body.decode()


@BOTH
@WAYS
async def test_a_fault_puts_a_key_behind_the_others(house: House, protocol: str, stream: bool) -> None:
    await house.furnish(keys=2)
    faulty = house.keys[PROVIDERS[protocol]][0]
    house.vendor.script_key(faulty, Reply(500))
    answer = await house.call(protocol, "text", stream=stream)
    assert (answer.status, attempts(answer)) == (200, 2)
    house.vendor.script_key(faulty)
    for passed in (0, 59, 2):
        house.clock.now += passed
        assert (await house.call(protocol, "text", stream=stream)).status == 200
    assert house.used(protocol) == [1, 2, 2, 2, 1]


@BOTH
async def test_the_vendors_last_fault_is_told_when_no_key_helps(house: House, protocol: str) -> None:
    await house.furnish(keys=2, config={"retry": {"same_key": 0}})
    model = house.play(Reply(502, body={"error": {"message": "first"}}), Reply(500, body={"error": {"message": "2nd"}}))
    answer = await house.call(protocol, model)
    assert (answer.status, attempts(answer), answer.error["message"]) == (500, 2, "2nd")


@BOTH
@WAYS
async def test_after_faults_only_the_same_keys_are_asked_once_more(house: House, protocol: str, stream: bool) -> None:
    answer = await house.call(protocol, house.play(Reply(500), Play("text")), stream=stream)
    assert (answer.status, attempts(answer), len(house.clock.slept)) == (200, 2, 1)
    assert 0 < house.clock.slept[0] <= 1
    answer = await house.call(protocol, house.play(Reply(500)), stream=stream)
    assert (answer.status, attempts(answer)) == (500, 2)
    await house.furnish(keys=2)
    answer = await house.call(protocol, house.play(Reply(500), Reply(500), Play("text")), stream=stream)
    assert (answer.status, attempts(answer), sorted(house.used(protocol)[:2])) == (200, 3, [1, 2])
    await house.furnish(config={"retry": {"same_key": 3}}, GLOBAL_TIMEOUT="0.1")
    answer = await house.call(protocol, house.play(Reply(500)), stream=stream)
    assert (answer.status, attempts(answer), house.clock.slept) == (500, 1, [])  # no pause beyond the deadline


async def test_faults_use_up_the_budget_and_limits_do_not(house: House) -> None:
    await house.furnish(keys=6, config={"retry": {"max_attempts": 2}})
    steps = [limited(30), Reply(401), Reply(500), limited(30), Reply(500), Play("text")]
    for key, step in zip(house.keys["vendor"], steps, strict=True):
        house.vendor.script_key(key, step)
    answer = await house.call("chat", "text")
    assert (answer.status, attempts(answer), house.used("chat")) == (500, 5, [1, 2, 3, 4, 5])


@BOTH
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_what_is_wrong_with_the_request_is_not_tried_again(house: House, protocol: str, status: int) -> None:
    await house.furnish(keys=2)
    answer = await house.call(protocol, house.play(Reply(status)))
    assert (answer.status, attempts(answer)) == (status, 1)
    assert house.reasons(protocol, "text") == [[], []]


@BOTH
async def test_after_the_first_output_nothing_is_tried_again(house: House, protocol: str) -> None:
    await house.furnish(keys=2)
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][0], Play("text", cut_after=6, end="reset"))
    answer = await house.call(protocol, "text", stream=True)
    assert (answer.status, attempts(answer), house.used(protocol)) == (200, 1, [1])
    assert b'"error"' in answer.body


async def test_the_deadline_ends_a_wait_for_the_vendor(house: House, tmp_path: Path) -> None:
    silent = house.play(Play("text", head=Gate()))
    environ = {"VENDOR_API_BASE": house.vendor.chat_base, "VENDOR_API_KEY_1": "a-key-a", "VENDOR_API_KEY_2": "a-key-b"}
    async with serving(make_world({**environ, "GLOBAL_TIMEOUT": "0.03"}, tmp_path)) as proxy:
        url = f"{proxy.chat_base}/chat/completions"
        async with house.client.post(url, json=house.body("chat", silent)) as reply:
            assert (reply.status, reply.headers["x-rotator-attempts"]) == (504, "1")
            assert (await reply.json())["error"]["code"] == "deadline"
        await house.vendor.requests[-1].ended.wait()
        assert house.vendor.requests[-1].outcome == "peer_gone"


async def test_a_deadline_does_not_end_a_stream_that_has_begun(house: House) -> None:
    await house.furnish(GLOBAL_TIMEOUT="0.03")
    gate = Gate()
    gate.release(2)
    body = house.body("chat", house.play(Raw(200, SSE, CHAT_FRAMES, gate)), stream=True)
    async with house.asking("chat", body) as reply:
        await asyncio.sleep(0.04)
        gate.open()
        assert await reply.read() == b"".join(CHAT_FRAMES)


@BOTH
async def test_a_pin_takes_the_key_of_that_label_or_none(house: House, protocol: str) -> None:
    await house.furnish(keys=3)
    pin = {"x-rotator-credential": f"{PROVIDERS[protocol]}#2"}
    for _ in range(2):
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=pin)).status == 200
    assert house.used(protocol) == [2, 2]
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][1], limited(30))
    answer = await house.ask(protocol, house.body(protocol, "text"), headers=pin)
    assert (answer.status, answer.headers["retry-after"], house.used(protocol)) == (429, "30", [2, 2, 2])
    unknown = await house.ask(protocol, house.body(protocol, "text"), headers={"x-rotator-credential": "nope"})
    assert (unknown.status, unknown.headers["x-should-retry"]) == (400, "false")
    assert unknown.error["message"].endswith("has no key labelled 'nope'")
    for wrong, shown in (("#", ""), ("#22", "#2"), ("-3", "#3"), ("x" * 200, "")):
        asked = PROVIDERS[protocol] + wrong
        unknown = await house.ask(protocol, house.body(protocol, "text"), headers={"x-rotator-credential": asked})
        hint = f" (did you mean {PROVIDERS[protocol]}{shown or '#1'}?)" if len(asked) < 80 else ""
        assert unknown.error["message"].endswith(f"has no key labelled {asked[:80]!r}{hint}")


@BOTH
@pytest.mark.pitfall("P-156")
async def test_a_session_stays_on_its_key_moves_when_that_is_out_and_stays_there(house: House, protocol: str) -> None:
    await house.furnish(keys=3)
    for session in ("s1", "s1", "s1"):
        sent = {"x-rotator-session": session}
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=sent)).status == 200
    [own] = set(house.used(protocol))
    house.vendor.script_key(house.keys[PROVIDERS[protocol]][own - 1], limited(30), Play("text"))
    for passed in (0, 0, 31, 301):
        house.clock.now += passed
        sent = {"x-rotator-session": "s1"}
        assert (await house.ask(protocol, house.body(protocol, "text"), headers=sent)).status == 200
    limited_one, *away, back = house.used(protocol)[3:]
    assert limited_one == own and len(set(away)) == 1 and away[0] != own, "it stays where it went: prompt caches"
    assert back == own, "idle for long enough, it goes to its place again"


async def test_without_a_session_the_keys_take_turns(house: House) -> None:
    await house.furnish(keys=3)
    for _ in range(6):
        await house.call("chat", "text")
    assert house.used("chat") == [1, 2, 3, 1, 2, 3]


async def test_a_pin_that_is_no_label_is_told_cut(house: House) -> None:
    sent = {"x-rotator-credential": "x" * 100}
    answer = await house.ask("chat", house.body("chat", "text"), headers=sent)
    assert f"labelled {'x' * 80!r}" in answer.error["message"]


async def test_the_pauses_before_the_same_key_double_up_to_five_seconds(house: House) -> None:
    await house.furnish(config={"retry": {"same_key": 5}})
    answer = await house.call("chat", house.play(Reply(500)))
    assert (answer.status, attempts(answer)) == (500, 6)
    assert house.clock.slept == [pytest.approx(seconds, rel=0.2) for seconds in (0.5, 1, 2, 4, 5)]


@BOTH
@pytest.mark.parametrize("faulty", [1, 2])
async def test_a_fault_is_told_rather_than_another_keys_long_limit(house: House, protocol: str, faulty: int) -> None:
    """Whichever came first: a client that waits an hour for the limited key would miss that the other may be back."""
    await house.furnish(keys=2)
    for number, key in enumerate(house.keys[PROVIDERS[protocol]], 1):
        step = Reply(500, body={"error": {"message": "broken"}}) if number == faulty else limited(3600)
        house.vendor.script_key(key, step)
    answer = await house.call(protocol, "text")
    assert (answer.status, answer.error["message"], "retry-after" in answer.headers) == (500, "broken", False)
    assert house.used(protocol) == [1, 2, faulty] and len(house.clock.slept) == 1


class Pace:
    """A gate that opens by itself every little while."""

    async def take(self) -> None:
        await asyncio.sleep(0.03)


PING = b": still there\n\n"
SHORT = {"connect": 0.02, "read_streaming": 0.25}


async def test_a_vendor_that_pings_before_its_first_output_is_not_silent(house: House) -> None:
    """Longer than connecting and silence may take together; each gap is shorter."""
    await house.furnish(config={"timeouts": SHORT})
    body = house.body("chat", house.play(Raw(200, SSE, [*[PING] * 12, b"".join(CHAT_FRAMES)], Pace())), stream=True)
    answer = await house.ask("chat", body)
    assert (answer.status, attempts(answer)) == (200, 1)
    assert answer.body == PING * 12 + b"".join(CHAT_FRAMES)


@pytest.mark.parametrize("bound", ["global", "stream_ttfb"])
async def test_pings_do_not_keep_a_request_alive_for_ever(house: House, bound: str) -> None:
    await house.furnish(config={"timeouts": {**SHORT, bound: 0.1}, "retry": {"same_key": 0}})
    answer = await house.call("chat", house.play(Raw(200, SSE, [PING] * 1_000, Pace())), stream=True)
    assert (answer.status, attempts(answer), answer.error["code"]) == (504, 1, "read_timeout")
    await house.vendor.requests[-1].ended.wait()
    assert house.vendor.requests[-1].outcome == "peer_gone"


@BOTH
@WAYS
@pytest.mark.parametrize("status", [600, 999])
async def test_a_status_that_is_none_is_a_bad_gateway(house: House, protocol: str, stream: bool, status: int) -> None:
    own = b'{"error":{"message":"odd","type":"t"}}'
    raw = b"HTTP/1.1 %d Odd\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(own), own)
    async with canned(Canned(raw=raw)) as server:
        await house.furnish(base=server.url, config={"retry": {"same_key": 0}})
        answer = await house.call(protocol, "text", stream=stream)
    assert answer.status == 502 and answer.error["message"]


@pytest.mark.parametrize("digits", [25, 400, 5_000])
@pytest.mark.parametrize("status", [200, 400, 500])
@WAYS
async def test_a_code_of_many_digits_is_an_honest_error(house: House, digits: int, status: int, stream: bool) -> None:
    error = b'{"error":{"message":"odd","code":' + b"7" * digits + b"}}"
    event = b"data: " + error + b"\n\n"
    step = Raw(status, SSE, [event]) if stream and status == 200 else Raw(status, JSON, [error])
    await house.furnish(config={"retry": {"same_key": 0}})
    answer = await house.call("chat", house.play(step), stream=stream)
    assert answer.status == {200: answer.status, 400: 400, 500: 500}[status]
    assert answer.status >= 400 or answer.body.count(b'"error"') == 2  # behind the vendor's frame: ours
    assert b"internal_error" not in answer.body


@WAYS
async def test_a_moderated_prompt_is_the_clients_fault(house: House, stream: bool) -> None:
    """OpenRouter answers 403, which is about a key elsewhere."""
    await house.furnish(keys=2)
    metadata = {"reasons": ["x"], "flagged_input": "y"}
    body = {"error": {"code": 403, "message": "flagged", "metadata": metadata}}
    answer = await house.call("chat", house.play(Reply(403, body=body)), stream=stream)
    assert (answer.status, attempts(answer), answer.json) == (403, 1, body)
    assert house.reasons("chat", "text") == [[], []] and house.clock.slept == []
