"""One list of events, played to the pool of a server and to that of a simulation."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rotator.credentials.simulation.clock import VirtualClock
from rotator.credentials.simulation.play import play
from rotator.credentials.simulation.run import Setup, make_pool
from rotator.errors import NoCredential
from rotator.server.core import Core
from tests.credentials.simulation.scenes import keys, rotation, targets
from tests.proxy import make_world

KEYS = 4
ROTATION = """
rotation:
  mode: {mode}
  max_concurrent: 2
  quota_groups: {{both: [small, big]}}
  windows:
    - {{name: 1m, seconds: 60, limit: 5, applies_to: group}}
    - {{name: t, seconds: 600, reset: fixed, limit: 9000, unit: tokens, applies_to: credential}}
  caps: [{{model: big, max: "50%", cooldown: "fixed:45"}}]
"""
VERDICTS: tuple[dict[str, Any] | None, ...] = (
    *[None] * 12,
    {"blame": "credential", "scope": "model", "reason": "rate_limit", "retry_after_seconds": 20.5, "source": "header"},
    {"blame": "credential", "scope": "model", "reason": "rate_limit"},
    {"blame": "provider", "scope": "provider", "reason": "server_error"},
    {"blame": "credential", "scope": "credential", "reason": "rejected"},
)


def events(seed: int, count: int = 300) -> Iterator[dict[str, Any]]:
    """Requests, how they end, and what the vendor says meanwhile."""
    rng = Random(f"events {seed}")
    now, open_ids = 0.0, []
    labels = [f"alpha#{number}" for number in range(1, KEYS + 1)]
    yield {"t": 0.0, "ask": {"provider": "alpha", "model": "small"}, "id": "first"}
    for number in range(count):
        now += rng.choice((0.0, 0.25, 1.5, 4.0))
        kind = rng.random()
        if kind < 0.5 or not open_ids:
            ask: dict[str, Any] = {"provider": "alpha", "model": rng.choice(("small", "big")), "tokens": 50}
            ask |= {"session": f"s{rng.randrange(5)}"} if rng.random() < 0.5 else {}
            ask |= {"wait": rng.choice((0.5, 30.0))} if rng.random() < 0.5 else {}
            ask |= {"tried": rng.sample(labels, 2)} if rng.random() < 0.2 else {}
            ask |= {"pin": rng.choice(labels)} if rng.random() < 0.1 else {}
            open_ids.append(number)
            yield {"t": now, "ask": ask, "id": number}
        elif kind < 0.9:
            verdict, tokens = rng.choice(VERDICTS), rng.randrange(200)
            ended = "ok" if verdict is None else "failed"
            outcome = {"ended": ended, "verdict": verdict, "usage": {"input_fresh": tokens, "output_text": 5}}
            yield {"t": now, "settle": open_ids.pop(rng.randrange(len(open_ids))), "outcome": outcome}
        elif kind < 0.94:
            yield {"t": now, "give_up": rng.choice(open_ids)}
        else:
            fact = {"name": rng.choice(("1m", "other")), "limit": 5, "remaining": rng.randrange(4),
                    "resets_in_seconds": 30.0, "applies_to": "group"}  # fmt: skip
            where = {"id": rng.choice(open_ids)} if kind < 0.97 else {"credential": rng.choice(labels)}
            facts = [fact if "id" in where else {**fact, "model": "small", "source": "poll"}]
            yield {"t": now, "facts": facts, **where}


@pytest.mark.parametrize("mode", ["sequential", "balanced", "round_robin"])
async def test_a_server_and_a_simulation_decide_alike(tmp_path: Path, mode: str) -> None:
    environ = {f"ALPHA_API_KEY_{number}": f"key-of-alpha-{number}" for number in range(1, KEYS + 1)}
    environ |= {"ALPHA_API_BASE": "http://127.0.0.1:9/v1", "ALPHA_API_KEY_1_PRIORITY": "20"}
    world = make_world(environ, tmp_path, config=ROTATION.format(mode=mode))
    clock = VirtualClock()
    core = Core(world, clock=clock, strict=True, rng=Random("pool 7"))
    told = play(core.pool, clock, events(7))
    await core.shutdown()

    clock = VirtualClock()
    setup = Setup(world.credentials, world.rotations, targets, seed=7)
    assert play(make_pool(setup, clock), clock, events(7)) == told
    other = play(make_pool(Setup(world.credentials, world.rotations, targets, seed=8), clock), clock, [])
    assert other == []

    assert len(told) > 100
    codes = {reason["code"] for one in told for key in one["candidates"] for reason in key["reasons"]}
    assert codes >= {"concurrency", "cooldown", "window", "cap", "rejected", "pin", "tried"}
    assert any(one["chosen"] is None for one in told) and len({one["chosen"] for one in told}) == KEYS + 1


def test_records_say_what_was_decided_when() -> None:
    clock = VirtualClock()
    pool = make_pool(Setup({"alpha": keys(10)}, {"alpha": rotation(max_concurrent=1)}, targets), clock)
    ask = {"provider": "alpha", "model": "small"}
    told = play(pool, clock, [
        {"t": 1.0, "ask": ask, "id": "a"},
        {"t": 2.0, "ask": {**ask, "wait": 5}, "id": "b"},
        {"t": 3.0, "ask": ask, "id": "c"},
        {"t": 4.0, "settle": "a", "outcome": {"ended": "ok"}},
        {"t": 4.5, "settle": "c", "outcome": {"ended": "ok"}},
        {"t": 5.0, "ask": {**ask, "wait": 2}, "id": "d"},
        {"t": 6.0, "ask": {**ask, "wait": 9}, "id": "e"},
        {"t": 6.5, "give_up": "e"},
    ])  # fmt: skip
    assert [(one["id"], one["t"], one["chosen"]) for one in told] == [
        ("a", 1.0, "alpha#1"), ("c", 3.0, None), ("b", 4.0, "alpha#1"), ("d", 7.0, None),
    ]  # fmt: skip
    assert told[1]["candidates"] == [
        {
            "credential": "alpha#1",
            "eligible": False,
            "reasons": [{"code": "concurrency", "until": None, "detail": "1 of 1 under way"}],
        }
    ]
    assert pool.counters.open == 1


def test_what_nobody_knows_is_not_passed_over() -> None:
    clock = VirtualClock()
    pool = make_pool(Setup({"alpha": keys(10)}, {}, targets), clock)
    with pytest.raises(ValueError, match="unpack"):
        play(pool, clock, [{"t": 0.0, "aks": {}, "id": 1}])
    [none] = play(pool, clock, [{"t": 0.0, "ask": {"provider": "nobody", "model": "m"}, "id": 1}])
    assert none["chosen"] is None and issubclass(NoCredential, Exception)
