"""The simulated trip against the real one: the same vendor, the same keys asked in the same order, the same end."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from rotator.contracts import Credential, Outcome, Target, Verdict
from rotator.credentials.decision import Candidate, Decision, Reason
from rotator.credentials.simulation import trip
from rotator.credentials.simulation.arrivals import Arrival
from rotator.credentials.simulation.clock import VirtualClock, begin
from rotator.credentials.simulation.report import Counts
from rotator.credentials.simulation.run import Setup, make_pool
from rotator.credentials.simulation.trip import Scene, Trip, why_none
from rotator.credentials.simulation.vendor import FAULT, LIMITED, REJECTED, Reply
from rotator.exchange import trip as real_trip
from rotator.world import World
from tests.credentials.simulation.scenes import keys
from tests.upstreams import House, Play
from tests.upstreams import Reply as Sent

#: What a vendor may answer: a name, and the same as the fake vendor and as the simulated one says it.
STEPS: dict[str, tuple[Callable[[], Any], Outcome]] = {
    "ok": (lambda: Play("text"), Outcome("ok")),
    "500": (lambda: Sent(500), Outcome("failed", FAULT)),
    "401": (lambda: Sent(401), Outcome("failed", REJECTED)),
    "429": (lambda: Sent(429), Outcome("failed", LIMITED)),
    **{
        f"429 {seconds}": (
            lambda seconds=seconds: Sent(429, {"retry-after": str(seconds)}),
            Outcome("failed", Verdict("credential", "model", "rate_limit", float(seconds), "header")),
        )
        for seconds in (3, 8, 30)
    },
}
#: Seconds between requests.
GAPS = (0.0, 1.3, 6.2, 12.7, 61.9)


class Story:
    """What each key answers, one step after the other and the last one for ever, and when requests come."""

    def __init__(self, seed: int) -> None:
        rng = Random(f"story {seed}")
        self.scripts = [rng.choices([*STEPS], k=rng.randint(1, 4)) for _ in range(rng.randint(1, 3))]
        self.gaps = [0.0, *rng.choices(GAPS, k=3)]
        self.retry = {"same_key": rng.randint(0, 2), "max_attempts": rng.choice((2, 6))}
        self.seed = seed


class Told:
    """How the requests went: who was asked, the statuses, and the pauses."""

    def __init__(self, used: Sequence[int], statuses: Sequence[int], pauses: Sequence[float]) -> None:
        self.used, self.statuses, self.pauses = list(used), list(statuses), list(pauses)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Told)
        return (self.used, self.statuses) == (other.used, other.statuses) and self.pauses == pytest.approx(other.pauses)

    def __repr__(self) -> str:
        return f"{self.used} {self.statuses} {self.pauses}"


async def really(story: Story, house: House) -> tuple[Told, World]:
    world = await house.furnish(len(story.scripts), config={"retry": story.retry})
    for key, script in zip(house.keys["vendor"], story.scripts, strict=True):
        house.vendor.script_key(key, *(STEPS[step][0]() for step in script))
    house.proxy.core.means.rng.seed(story.seed)
    statuses = []
    for gap in story.gaps:
        house.clock.now += gap
        statuses.append((await house.call("chat", "text")).status)
    return Told(house.used("chat"), statuses, house.clock.slept), world


def simulated(story: Story, world: World) -> Told:
    mine = {"vendor": world.credentials["vendor"]}
    setup = Setup(mine, world.rotations, lambda model: (Target("vendor", "chat", model),))
    left = {key.id: list(script) for key, script in zip(mine["vendor"], story.scripts, strict=True)}
    used: list[int] = []
    pauses: list[float] = []
    ids = [key.id for key in mine["vendor"]]

    def answer(target: Target, credential: Credential, tokens: int) -> Reply:
        used.append(ids.index(credential.id) + 1)
        script = left[credential.id]
        step = script.pop(0) if len(script) > 1 else script[0]
        return Reply(0.0, STEPS[step][1])

    class Seen(VirtualClock):
        """Writes pauses down, as the house's clock does."""

        async def sleep(self, seconds: float) -> None:
            if seconds:
                pauses.append(seconds)
            await super().sleep(seconds)

    clock = Seen()
    scene = Scene(
        clock, make_pool(setup, clock), answer, setup.resolve, {"vendor": len(ids)}, world.retry,
        world.timeouts.global_seconds, Counts.of(mine), Random(story.seed),
    )  # fmt: skip
    statuses = []
    for number, gap in enumerate(story.gaps):
        clock.run(until=clock.monotonic() + gap)
        one = Trip(scene, Arrival(clock.monotonic(), "text", None, 10), number)
        begin(one.run())
        clock.run()
        statuses.append(200 if one.refusal is None else one.refusal.status)
    return Told(used, statuses, pauses)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", range(60))
async def test_both_ways_are_the_same(house: House, seed: int) -> None:
    story = Story(seed)
    real, world = await really(story, house)
    assert real == simulated(story, world), f"{story.scripts} {story.gaps} {story.retry}"


def test_pauses_are_those_of_the_real_trip() -> None:
    assert trip.Progress is real_trip.Progress  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([[("cooldown", 30.0)], [("window", 20.0)]], "window"),
        ([[("cooldown", 30.0), ("cap", 90.0)], [("rejected", 60.0)]], "rejected"),
        ([[("tried", None), ("cooldown", 5.0)], [("concurrency", None)]], "cooldown"),
        ([[("tried", None)], [("concurrency", None), ("window", 5.0)]], "concurrency"),
        ([[("tried", None)]], "tried"),
        ([], "tried"),
    ],
)
def test_the_reason_is_that_of_the_key_that_is_free_first(found: Any, word: str) -> None:
    candidates = [
        Candidate(key, tuple(Reason(code, until, "") for code, until in reasons))
        for key, reasons in zip(keys(*[10] * len(found)), found, strict=True)
    ]
    assert why_none(Decision(Target("alpha", "chat", "small"), candidates, None, "", False, 0.0, 0.0)) == word
