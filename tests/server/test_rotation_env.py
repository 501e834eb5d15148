"""Each name of rotation in the environment through a whole server: which keys the vendor sees with it, and without.

Source of the names: engine.md 12.4, without SESSION_*.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import pytest

from rotator.credentials.discovery import token
from rotator.credentials.rotation_env import FORMS
from tests.upstreams import JSON, PROVIDERS, WHOLE, Answer, Gate, House, Play, Raw, Reply, until

IN_HOUSE = pytest.mark.asyncio(loop_scope="module")

#: Nothing is left, and nobody says until when.
SPENT = Raw(200, {**JSON, "x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "0"}, [WHOLE["chat"]])


class Guests:
    """Who asks in one world, and what they are answered; nobody asked for ``model`` and ``other`` before."""

    def __init__(self, house: House, protocol: str = "chat") -> None:
        self.house = house
        self.protocol = protocol
        self.model, self.other = house.play(Play("text")), house.play(Play("text"))

    def scripted(self, key: int, *steps: Any) -> None:
        """What the vendor does with a key, once each; then it answers."""
        self.house.vendor.script_key(self.house.keys[PROVIDERS[self.protocol]][key - 1], *steps, Play("text"))

    def limits(self, key: int, seconds: float, after: int = 0) -> None:
        """The vendor limits a key after so many answers, once."""
        self.scripted(key, *[Play("text")] * after, Reply(429, {"retry-after": str(seconds)}))

    async def ask(self, model: str = "", pin: int = 0) -> Answer:
        headers = {"x-rotator-credential": f"{PROVIDERS[self.protocol]}#{pin}"} if pin else {}
        return await self.house.ask(self.protocol, self.house.body(self.protocol, model or self.model), headers=headers)

    async def turn(self, times: int = 1, model: str = "") -> list[int]:
        """One request after the other; the keys that the vendor has seen up to now."""
        for _ in range(times):
            await self.ask(model)
        return self.house.used(self.protocol)

    def later(self, seconds: float) -> None:
        self.house.clock.now += seconds

    async def crowd(self, count: int) -> list[int]:
        """So many requests at once, in this order; the keys of those that do not wait for a place."""
        house, gate = self.house, Gate()
        house.vendor.script(self.model, Play("text", head=gate))
        before, counters = len(house.used(self.protocol)), house.proxy.core.pool.counters
        waited = counters.waited

        def come() -> int:
            return len(house.used(self.protocol)) - before + counters.waited - waited

        async with asyncio.TaskGroup() as group:
            asked = []
            for number in range(1, count + 1):
                asked.append(group.create_task(self.ask()))
                await until(lambda number=number: come() == number)  # type: ignore[misc]
            taken = house.used(self.protocol)[before:]
            gate.open()
        assert [one.result().status for one in asked] == [200] * count
        return taken


async def twelve(guests: Guests) -> list[int]:
    return await guests.turn(12)


async def six(guests: Guests) -> list[int]:
    return await guests.turn(6)


async def uneven(guests: Guests) -> list[int]:
    """The first key was used twice, the second one once."""
    for pin in (1, 1, 2):
        await guests.ask(pin=pin)
    return (await guests.turn(4))[3:]


async def four_at_once(guests: Guests) -> list[int]:
    return await guests.crowd(4)


async def crowd_after_use(guests: Guests) -> list[int]:
    """The first key was used three times: without its optimum the second would be taken for long."""
    for _ in range(3):
        await guests.ask(pin=1)
    return await guests.crowd(3)


async def limited_elsewhere(guests: Guests) -> list[int]:
    """The first key is limited for one model when another one is asked for."""
    guests.limits(1, 30)
    await guests.turn()
    return await guests.turn(model=guests.other)


def back_after(seconds: float, *waits: float, uses: int = 0) -> "Scene":
    """The first key is limited for so long; a request at once and after each wait."""

    async def scene(guests: Guests) -> list[int]:
        guests.limits(1, seconds, after=uses)
        await guests.turn(uses + 1)
        for wait in waits:
            guests.later(wait)
            await guests.turn()
        return guests.house.used("chat")

    return scene


async def out_elsewhere(guests: Guests) -> list[int]:
    """The first key was limited for long for one model when another one is asked for."""
    guests.limits(1, 400)
    await guests.turn()
    return await guests.turn(model=guests.other)


async def all_out(guests: Guests) -> list[int]:
    """Both keys are used up, the first one for longer; then a request when each is back."""
    guests.limits(1, 1000)
    guests.limits(2, 400)
    await guests.turn()
    guests.later(401)
    await guests.turn()
    guests.later(600)
    return await guests.turn()


async def spent(guests: Guests) -> list[int]:
    """The vendor says of the first key that nothing is left; 61 s later it is asked again."""
    guests.scripted(1, SPENT)
    await guests.turn(3)
    guests.later(61)
    return await guests.turn()


async def rest_of_a_cap(guests: Guests) -> list[int]:
    """One request, then one after 61 s, when the window ends after 100 s, and 30 s behind that."""
    await guests.turn()
    for wait in (61, 40, 30):
        guests.later(wait)
        await guests.turn()
    return guests.house.used("chat")


async def two_models(guests: Guests) -> list[int]:
    await guests.turn(2)
    return await guests.turn(2, model=guests.other)


Scene = Callable[[Guests], Awaitable[list[int]]]


class Row(NamedTuple):
    """A form, a scene, and what the vendor sees of it with these variables; ``rules`` and ``around`` are always there.

    ``MODEL`` and ``OTHER`` in names and values are the models of the scene.
    """

    form: str
    scene: Scene
    seen: tuple[tuple[Mapping[str, str], list[int]], ...]
    rules: Mapping[str, Any] = {}
    around: Mapping[str, str] = {}
    keys: int = 2


RR: Mapping[str, Any] = {"mode": "round_robin"}
FAIR: Mapping[str, Any] = {**RR, "fair_cycle": {"enabled": True}}
EVEN: Mapping[str, Any] = {"mode": "balanced", "tolerance": 0}
WINDOW: Mapping[str, Any] = {"windows": [{"name": "5h", "seconds": 18_000, "limit": 4}]}
SHORT: Mapping[str, Any] = {"windows": [{"name": "w", "seconds": 100, "limit": 1000}]}
TIERED = {"VENDOR_API_KEY_1_PRIORITY": "1"}
MAX, OPTIMAL = "MAX_CONCURRENT_REQUESTS_PER_KEY_VENDOR", "OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_VENDOR"
MULTIPLIER, FALLBACK = "CONCURRENCY_MULTIPLIER_VENDOR_PRIORITY_1", "SEQUENTIAL_FALLBACK_MULTIPLIER_VENDOR"
POLICY, REST = "QUOTA_NO_RESET_EXHAUSTION_POLICY", "QUOTA_NO_RESET_COOLDOWN_SECONDS"
EXHAUSTION = "EXHAUSTION_COOLDOWN_THRESHOLD"
CAP, CAP_REST = "CUSTOM_CAP_VENDOR_T", "CUSTOM_CAP_COOLDOWN_VENDOR_T"
ONE_MODE, OF_CAP = "<PROVIDER>[_<MODE>]", "<PROVIDER>_T<TIER>_<MODEL_OR_GROUP>"
LASTING: list[int] = [1, 2, 2]
PASSING: list[int] = [1, 2, 1]


def fair(name: str, form: str) -> list[Row]:
    """Whether there is a fair cycle, under either of its names, over the mode's default."""
    kept = back_after(400, 401, uses=3)
    turns = back_after(400, 401)
    return [
        Row(form, kept, (({}, [1, 1, 1, 1, 2, 2]), ({name: "false"}, [1, 1, 1, 1, 2, 1]))),
        Row(form, turns, (({}, PASSING), ({name: "true"}, LASTING)), RR),
    ]


ROWS = [
    Row("ROTATION_MODE_<PROVIDER>", uneven, (
        ({}, [1, 1, 1, 1]),
        ({"ROTATION_MODE_VENDOR": "round_robin"}, [3, 1, 2, 3]),
        ({"ROTATION_MODE_VENDOR": "balanced", "ROTATION_TOLERANCE": "0"}, [3, 2, 3, 1]),
    ), keys=3),
    Row("ROTATION_MODE_<PROVIDER>", uneven, (
        ({}, [3, 1, 2, 3]),
        ({"ROTATION_MODE_VENDOR": "sequential"}, [1, 1, 1, 1]),
    ), RR, keys=3),
    Row(f"MAX_CONCURRENT_REQUESTS_PER_KEY_{ONE_MODE}", four_at_once, (
        ({}, [1, 1, 1, 1]),
        ({MAX: "1"}, [1, 2]),
        ({f"{MAX}_SEQUENTIAL": "1"}, [1, 2]),
        ({f"{MAX}_BALANCED": "1"}, [1, 1, 1, 1]),
        ({MAX: "1", f"{MAX}_SEQUENTIAL": "2"}, [1, 1, 2, 2]),
        ({MAX: "1", f"{MAX}_SEQUENTIAL": "-1"}, [1, 1, 1, 1]),
    )),
    Row(f"OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_{ONE_MODE}", four_at_once, (
        ({}, [1, 1, 1, 1]),
        ({OPTIMAL: "1"}, [1, 2, 1, 1]),
        ({f"{OPTIMAL}_SEQUENTIAL": "2"}, [1, 1, 2, 2]),
        ({f"{OPTIMAL}_BALANCED": "1"}, [1, 1, 1, 1]),
    )),
    Row(f"OPTIMAL_CONCURRENT_REQUESTS_PER_KEY_{ONE_MODE}", crowd_after_use, (
        ({}, [2, 1, 2]),
        ({f"{OPTIMAL}_BALANCED": "2"}, [2, 2, 1]),
        ({OPTIMAL: "-1"}, [2, 2, 2]),
    ), EVEN),
    Row("CONCURRENCY_MULTIPLIER_<PROVIDER>_PRIORITY_<N>[_<MODE>]", four_at_once, (
        ({}, [1, 2]),
        ({MULTIPLIER: "2"}, [1, 1, 2]),
        ({f"{MULTIPLIER}_SEQUENTIAL": "3"}, [1, 1, 1, 2]),
        ({f"{MULTIPLIER}_BALANCED": "3"}, [1, 2]),
        ({MULTIPLIER.replace("_1", "_10"): "2"}, [1, 2, 2]),
    ), around={MAX: "1", **TIERED}),
    Row("SEQUENTIAL_FALLBACK_MULTIPLIER_<PROVIDER>", four_at_once, (
        ({}, [1]),
        ({FALLBACK: "3"}, [1, 1, 1]),
        ({FALLBACK: "3", f"{MULTIPLIER}0": "2"}, [1, 1]),
        ({FALLBACK: "3", "ROTATION_MODE_VENDOR": "balanced"}, [1]),
    ), around={MAX: "1"}, keys=1),
    Row("QUOTA_GROUPS_<PROVIDER>_<GROUP>", limited_elsewhere, (
        ({}, [1, 2, 1]),
        ({"QUOTA_GROUPS_VENDOR_PRO": "<MODEL>,<OTHER>"}, [1, 2, 2]),
        ({"QUOTA_GROUPS_VENDOR_PRO": "<MODEL>,big"}, [1, 2, 1]),
    ), RR),
    *fair("FAIR_CYCLE_VENDOR", "FAIR_CYCLE_<PROVIDER>"),
    *fair("FAIR_CYCLE_ENABLED_VENDOR", "FAIR_CYCLE_ENABLED_<PROVIDER>"),
    Row("FAIR_CYCLE_TRACKING_MODE_<PROVIDER>", out_elsewhere, (
        ({}, [1, 2, 1]),
        ({"FAIR_CYCLE_TRACKING_MODE_VENDOR": "credential"}, [1, 2, 2]),
    ), FAIR),
    Row("FAIR_CYCLE_CROSS_TIER_<PROVIDER>", back_after(400, 401), (
        ({}, PASSING),
        ({"FAIR_CYCLE_CROSS_TIER_VENDOR": "yes"}, LASTING),
    ), FAIR, TIERED),
    Row("FAIR_CYCLE_DURATION_<PROVIDER>", back_after(400, 401, 98, 2), (
        ({}, [1, 2, 2, 2, 2]),
        ({"FAIR_CYCLE_DURATION_VENDOR": "500"}, [1, 2, 2, 2, 1]),
    ), FAIR),
    Row("FAIR_CYCLE_QUOTA_THRESHOLD_<PROVIDER>", six, (
        ({}, [1, 1, 1, 1, 2, 2]),
        ({"FAIR_CYCLE_QUOTA_THRESHOLD_VENDOR": "0.5"}, [1, 1, 2, 2, 2, 2]),
        ({"FAIR_CYCLE_QUOTA_THRESHOLD_VENDOR": "0.75"}, [1, 1, 1, 2, 2, 2]),
    ), WINDOW),
    Row("FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_<PROVIDER>", all_out, (
        ({}, [1, 2, 2, 2]),
        ({"FAIR_CYCLE_RESET_COOLDOWN_THRESHOLD_VENDOR": "2000"}, [1, 2, 2, 1]),
    ), FAIR),
    Row(EXHAUSTION, back_after(400, 401), (
        ({}, LASTING),
        ({EXHAUSTION: "500"}, PASSING),
    ), FAIR),
    Row(f"{EXHAUSTION}_<PROVIDER>", back_after(40, 41), (
        ({}, PASSING),
        ({f"{EXHAUSTION}_VENDOR": "30"}, LASTING),
        ({f"{EXHAUSTION}_VENDOR": "30", EXHAUSTION: "50"}, LASTING),
        ({f"{EXHAUSTION}_VENDOR": "50", EXHAUSTION: "30"}, PASSING),
    ), FAIR),
    Row(POLICY, spent, (
        ({}, [1, 2, 1, 2]),
        ({POLICY: "disable_scope"}, [1, 2, 2, 2]),
        ({POLICY: "cooldown", REST: "60"}, [1, 2, 2, 1]),
    ), RR),
    Row(f"{POLICY}_<PROVIDER>", spent, (
        ({POLICY: "disable_scope"}, [1, 2, 2, 2]),
        ({POLICY: "disable_scope", f"{POLICY}_VENDOR": "warn_only"}, [1, 2, 1, 2]),
        ({f"{POLICY}_CLAUDISH": "disable_scope"}, [1, 2, 1, 2]),
    ), RR),
    Row(REST, spent, (
        ({}, [1, 2, 1, 2]),
        ({REST: "60"}, [1, 2, 2, 1]),
        ({REST: "62"}, [1, 2, 2, 2]),
    ), RR, {POLICY: "cooldown"}),
    Row(f"{REST}_<PROVIDER>", spent, (
        ({REST: "60"}, [1, 2, 2, 1]),
        ({REST: "60", f"{REST}_VENDOR": "62"}, [1, 2, 2, 2]),
        ({f"{REST}_CLAUDISH": "62"}, [1, 2, 1, 2]),
    ), RR, {POLICY: "cooldown"}),
    Row(f"CUSTOM_CAP_{OF_CAP}", six, (
        ({}, [1, 1, 1, 1, 2, 2]),
        ({f"{CAP}DEFAULT_<MODEL>": "2"}, [1, 1, 2, 2]),
        ({f"{CAP}DEFAULT_<MODEL>": "75%"}, [1, 1, 1, 2, 2, 2]),
        ({f"{CAP}DEFAULT_<MODEL>": "-3"}, [1, 2]),
        ({f"{CAP}DEFAULT_<MODEL>": "+3"}, [1, 1, 1, 1, 2, 2]),
        ({f"{CAP}1_<MODEL>": "2"}, [1, 1, 2, 2, 2, 2]),
        ({f"{CAP}10_<MODEL>": "1"}, [1, 1, 1, 1, 2]),
        ({f"{CAP}1_10_<MODEL>": "1"}, [1, 2]),
        ({f"{CAP}DEFAULT_<MODEL>": "1", f"{CAP}1_<MODEL>": "3"}, [1, 1, 1, 2]),
        ({f"{CAP}DEFAULT_<OTHER>": "1"}, [1, 1, 1, 1, 2, 2]),
    ), WINDOW, TIERED),
    Row(f"CUSTOM_CAP_{OF_CAP}", two_models, (
        ({}, [1, 1, 1, 1]),
        ({f"{CAP}PAID_<OTHER>": "1"}, [1, 1, 1, 2]),
        ({f"{CAP}PAID_PRO": "1", "QUOTA_GROUPS_VENDOR_PRO": "<MODEL>, <OTHER>"}, [1, 2, 2, 2]),
    ), {"tiers": {"paid": 1}}, {"VENDOR_API_KEY_1_TIER": "paid"}),
    Row(f"CUSTOM_CAP_COOLDOWN_{OF_CAP}", rest_of_a_cap, (
        ({}, [1, 1]),
        ({f"{CAP_REST}DEFAULT_<MODEL>": "fixed:60"}, [1, 1, 1]),
        ({f"{CAP_REST}DEFAULT_<MODEL>": "fixed:30"}, [1, 1, 1, 1]),
        ({f"{CAP_REST}DEFAULT_<MODEL>": "offset:29"}, [1, 1]),
        ({f"{CAP_REST}DEFAULT_<MODEL>": "offset:60"}, [1]),
        ({f"{CAP_REST}DEFAULT_<MODEL>": "quota_reset"}, [1, 1]),
    ), SHORT, {f"{CAP}DEFAULT_<MODEL>": "1"}, 1),
]  # fmt: skip
IDS = [f"{row.form}-{row.scene.__name__}" for row in ROWS]


async def seen_of(house: House, row: Row, variables: Mapping[str, str]) -> list[int]:
    """Play a row's scene in a world with these variables."""
    guests = Guests(house)
    names = {"<MODEL>": guests.model, "<OTHER>": guests.other}
    environ = {}
    for name, value in {**row.around, **variables}.items():
        for place, model in names.items():
            name, value = name.replace(place, token(model)), value.replace(place, model)
        environ[name] = value
    await house.furnish(keys=row.keys, config={"rotation": row.rules}, **environ)
    return await row.scene(guests)


@IN_HOUSE
@pytest.mark.parametrize("row", ROWS, ids=IDS)
async def test_a_name_acts_on_the_choice(house: House, row: Row) -> None:
    found = [(variables, await seen_of(house, row, variables)) for variables, _ in row.seen]
    assert found == list(row.seen)
    assert len({tuple(keys) for _, keys in found}) > 1, "nothing differs"


def triples(used: list[int]) -> list[list[int]]:
    return [sorted(used[start : start + 3]) for start in range(0, len(used), 3)]


GLOBAL = "ROTATION_TOLERANCE"
TOLERANCES: dict[str, list[tuple[Mapping[str, str], bool]]] = {
    GLOBAL: [({}, False), ({GLOBAL: "0"}, True), ({GLOBAL: "1000"}, False)],
    f"{GLOBAL}_<PROVIDER>": [
        ({f"{GLOBAL}_VENDOR": "0"}, True),
        ({f"{GLOBAL}_CLAUDISH": "0"}, False),
        ({f"{GLOBAL}_VENDOR": "0", GLOBAL: "1000"}, True),
        ({f"{GLOBAL}_VENDOR": "1000", GLOBAL: "0"}, False),
    ],
}


@IN_HOUSE
@pytest.mark.parametrize("form", TOLERANCES)
async def test_without_tolerance_the_least_used_key_is_taken(house: House, form: str) -> None:
    """With it 30 draws among three keys are as even once in 10**6 runs."""
    for variables, even in TOLERANCES[form]:
        await house.furnish(keys=3, config={"rotation": {"mode": "balanced"}}, **variables)
        used = await Guests(house).turn(60)
        assert (triples(used) == [[1, 2, 3]] * 20) == even, (variables, used)


@IN_HOUSE
async def test_a_name_without_a_provider_is_for_all_of_them(house: House) -> None:
    rules = {"mode": "balanced"}
    for protocol, name in PROVIDERS.items():
        for variable in (GLOBAL, f"{GLOBAL}_{name.upper()}"):
            await house.furnish(keys=3, config={"rotation": rules}, **{variable: "0"})
            assert triples(await Guests(house, protocol).turn(12)) == [[1, 2, 3]] * 4


def test_every_form_has_a_test() -> None:
    """A new name fails here until a row shows what it does."""
    assert {form.form for form in FORMS} == {row.form for row in ROWS} | TOLERANCES.keys()
