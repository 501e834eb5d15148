"""docs/rotation.md: its YAML is read, its examples are played through the pool, and every number there is compared."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple, cast, get_args

import pytest

from rotator.config import Flags, load
from rotator.config.reader import At, parse
from rotator.config.rotation import DAY_SECONDS, FairCycle, NoReset, Rotation, Window
from rotator.config.schema import Retry, Timeouts
from rotator.config.yamltext import read_yaml
from rotator.contracts import Credential, Needs, Outcome, Target, Verdict
from rotator.credentials import claims, refusals, ring, strategies
from rotator.credentials.decision import Decision, ReasonCode
from rotator.credentials.pool import Lease, Pool
from rotator.credentials.rotation_of import rotations
from rotator.errors import NoCredential, Problem
from rotator.neutral.secret import Secret
from rotator.upstream.provider import HttpProvider
from tests.clocks import ManualClock

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rotation.md").read_text(encoding="utf-8")
TARGET = Target("acme", "chat", "large")
OK, ANY = Outcome("ok"), Needs()
HOUR = 3_600.0


# The page, taken apart.


def section(title: str) -> str:
    found = re.search(rf"^## {title}[^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def blocks(kind: str, text: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rotation(block: str) -> Rotation:
    data = cast(dict[str, Any], read_yaml(block, "rotation.md"))
    assert list(data) == ["rotation"]
    return cast(Rotation, parse(Rotation, data["rotation"], At("rotation.md")))


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column has this head, without the head."""
    _, _, behind = text.partition(f"| {first} |")
    assert behind, first
    rows = []
    for line in behind.splitlines()[2:]:
        if not line.lstrip().startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip()[1:-1].split("|")])
    return rows


def flat(text: str) -> str:
    return " ".join(text.split())


def says(text: str, *phrases: str) -> None:
    """The page says this, wherever its lines break."""
    assert [phrase for phrase in phrases if phrase not in flat(text)] == []


def seconds(shown: str) -> float:
    """``1:20:00`` or ``6:00``."""
    total = 0
    for part in shown.split(":"):
        total = total * 60 + int(part)
    return float(total)


def left_out(decision: Decision) -> str:
    """As the tables of the page say it."""
    out = [one for one in decision.candidates if one.reasons]
    parts = [(one.credential.label, ", ".join(reason.code for reason in one.reasons)) for one in out]
    if len(parts) > 2 and len(out) == len(decision.candidates) and len({words for _, words in parts}) == 1:
        return f"all: {parts[0][1]}"
    return "; ".join(f"{label}: {words}" for label, words in parts)


# A pool that serves what the page says.


class Pooled:
    """Keys ``acme#1`` and so on under the rules of a block; with ``tiers`` one of each."""

    def __init__(self, rules: Rotation, *tiers: str | None, wall: float = 1_800_000_000.0, seed: int = 1) -> None:
        self.clock = ManualClock(wall)
        self.began = self.clock.monotonic()
        self.pool = Pool(self.clock, strict=True, rng=Random(seed))
        self.keys = [
            Credential(f"id-{place}", "acme", f"acme#{place}", Secret(f"key-{place}"), tier)
            for place, tier in enumerate(tiers, 1)
        ]
        self.pool.reconcile({"acme": self.keys}, {"acme": rules})

    @property
    def passed(self) -> float:
        return self.clock.monotonic() - self.began

    def until(self, passed: float) -> None:
        self.clock.advance(passed - self.passed)

    def ask(self, needs: Needs = ANY) -> Lease:
        lease = self.pool.ask(TARGET, needs)
        assert isinstance(lease, Lease)
        return lease

    def serve(self, count: int = 1, needs: Needs = ANY) -> list[str]:
        served = []
        for _ in range(count):
            lease = self.ask(needs)
            lease.settle(OK)
            served.append(lease.credential.label)
        return served

    def refused(self) -> NoCredential:
        with pytest.raises(NoCredential) as caught:
            self.pool.ask(TARGET, ANY)
        return caught.value

    def explained(self) -> Decision:
        return self.pool.explain(TARGET, ANY)


def refusal(none: NoCredential) -> str:
    assert none.free_in_seconds is not None and none.error.status == 429
    return f"429, `retry-after: {none.free_in_seconds:g}`"


# What is said of the whole.


@pytest.mark.parametrize("block", blocks("yaml", PAGE))
def test_every_block_is_a_rotation(block: str) -> None:
    assert rotation(block) != Rotation()


def test_the_reasons_are_those_that_there_are() -> None:
    words = [row[0] for row in table(section("What happens to a request"), "word")]
    assert words == [f"`{code}`" for code in get_args(ReasonCode)]


def test_the_strategies_are_those_that_there_are() -> None:
    modes = [row[0].split("`")[1] for row in table(section("Strategies"), "`mode`")]
    assert modes == list(strategies.BUILT_IN) and modes[0] == Rotation().mode


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    fair, rules = FairCycle(), Rotation()
    says(
        section("What happens to a request"),
        f"in the last {claims.DOUBT_SECONDS:g} s",
        f"{claims.REJECTION_FIRST_SECONDS:g} s to {claims.REJECTION_LONGEST_SECONDS / HOUR:g} h",
    )
    says(
        section("Strategies"),
        f"for {ring.STICKY_SECONDS:g} s after its last use",
        f"went in the last {ring.STICKY_SECONDS:g} s",
        f"`GLOBAL_TIMEOUT` ({Timeouts().global_seconds:g} s)",
    )
    says(
        section("Fair cycle"),
        f"at least {rules.exhaustion_cooldown_seconds:g} s (`exhaustion_cooldown_seconds`)",
        f"`quota_threshold` ({fair.quota_threshold})",
        f"rest more than {fair.reset_cooldown_seconds:g} s longer (`reset_cooldown_seconds`)",
        f"After {fair.duration_seconds / DAY_SECONDS:g} days (`duration_seconds`)",
    )
    says(
        section("When a key rests"),
        f"at most {claims.LONGEST_SECONDS / DAY_SECONDS:g} days",
        f"for {claims.LIMIT_FIRST_SECONDS:g} s, doubling to {claims.LIMIT_LONGEST_SECONDS:g} s",
        f"{claims.REJECTION_FIRST_SECONDS:g} s doubling to {claims.REJECTION_LONGEST_SECONDS / HOUR:g} h",
        f"for {claims.DOUBT_SECONDS:g} s, is not left out",
        f"{claims.PROBE_AFTER_SECONDS:g} s after its last rejection at the earliest",
    )
    says(
        section("What the client sees"),
        f"`SMALL_COOLDOWN_RETRY_THRESHOLD` ({Retry().small_cooldown_seconds:g} s)",
        f"beyond {refusals.PATIENCE_SECONDS:g} s",
    )


def shown(none: NoCredential) -> str:
    """An error as the table of answers says it."""
    error = none.error
    code = "" if error.status == 429 else f" `{error.code}`"
    if error.retry_after_seconds is not None:
        code += ", `retry-after`"
    return f"{error.status}{code}" + (", `x-should-retry: false`" if error.should_retry is False else "")


def failed(scope: Literal["model", "credential"], wait: float | None = None) -> Outcome:
    return Outcome("failed", Verdict("credential", scope, "limit", wait, "header"))


def test_the_client_sees_what_is_said() -> None:
    answers = dict(table(section("What the client sees"), "why"))
    patient, impatient = Pooled(Rotation(), None), Pooled(Rotation(), None)
    patient.ask().settle(failed("model", refusals.PATIENCE_SECONDS))
    impatient.ask().settle(failed("model", refusals.PATIENCE_SECONDS + 1))
    assert answers["keys rest, others may be rejected"].startswith(f"{shown(patient.refused())}: the earliest end; ")
    assert shown(impatient.refused()) == f"{shown(patient.refused())}, `x-should-retry: false`"
    full = Window("5h", reset="vendor", limit=1)
    endless = Pooled(Rotation(windows=(full,), no_reset=NoReset("disable_scope")), None)
    endless.serve()
    assert answers["keys rest, and nobody knows until when"] == shown(endless.refused())
    busy = Pooled(Rotation(max_concurrent=1), None)
    busy.ask()
    assert answers["keys are busy until the deadline"] == shown(busy.refused())
    unfit = Pooled(Rotation(model_tiers={TARGET.model: 1}), None)
    assert answers["no key has the tier"] == shown(unfit.refused())
    rejected = Pooled(Rotation(), None)
    rejected.ask().settle(failed("credential"))
    assert answers["every key was rejected"] == shown(rejected.refused())


def test_links_within_the_page_lead_somewhere() -> None:
    heads = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^## (.*)", PAGE, re.M)}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= heads


def test_the_sample_s_names_of_rotation_are_taken_in_without_a_word() -> None:
    sample = (ROOT / ".env.example").read_text(encoding="utf-8")
    _, _, behind = sample.partition("# --- Rotation ")
    environ = dict(re.findall(r"^#([A-Z0-9_]+)=(.+)$", behind.partition("\n# --- ")[0], re.MULTILINE))
    settings = load(Flags(), environ=environ, cwd=Path("/nowhere-to-read-files-from"))
    vendor = HttpProvider({"name": "openai", "protocol": "chat", "base_url": "https://vendor.example/v1"})
    problems: list[Problem] = []
    made = rotations(settings, {"openai": vendor}, strategies.BUILT_IN, problems)["openai"]
    assert problems == [] and environ.keys() == settings.environment.keys()
    (cap,) = made.caps
    assert (made.mode, made.max_concurrent, cap.model, cap.max) == ("balanced", 4, "gpt-5", 100)
    assert made.fair_cycle.enabled and made.quota_groups == {"pro": ("gpt-5", "gpt-5-mini")}


# Example 1.


class Record(NamedTuple):
    """What became of one request when it was sent."""

    number: int
    at: float
    served_by: str
    left_out: str


def subscriptions(wall: float = 1_800_000_000.0) -> Pooled:
    (block,) = blocks("yaml", section("Example 1"))
    return Pooled(rotation(block), None, None, wall=wall)


def played(house: Pooled, pause: float) -> Iterator[Record]:
    """One request after another; one that is refused is sent again when it was told to."""
    number = 1
    while True:
        at = house.passed
        try:
            lease = house.ask()
        except NoCredential as none:
            yield Record(number, at, refusal(none), left_out(cast(Decision, none.decision)))
            house.clock.advance(none.free_in_seconds or 0.0)
            continue
        lease.settle(OK)
        yield Record(number, at, lease.credential.label, left_out(lease.decision))
        number += 1
        house.clock.advance(pause)


def test_two_subscriptions() -> None:
    text = section("Example 1")
    (pause,) = map(float, re.findall(r"one request every (\d+) s", flat(text)))
    shown = [Record(int(row[0]), seconds(row[1]), row[2], row[3]) for row in table(text, "request")]
    found: list[Record] = []
    for record in played(subscriptions(), pause):
        if record.number > shown[-1].number:
            break
        found.append(record)
    places = {(one.number, one.at) for one in shown}
    assert [one for one in found if (one.number, one.at) in places] == shown
    refused = [one for one in found if one.served_by.startswith("429")]
    turns = [one for before, one in zip(found, found[1:], strict=False) if one.served_by != before.served_by]
    early = [one for one in turns if one.number <= 241]
    assert [one for one in early if one not in shown] == [], "the table leaves out no change of the first round"
    assert refused[0] in shown and refused[-1] in shown


def test_two_subscriptions_are_what_their_rules_say() -> None:
    text = section("Example 1")
    (block,) = blocks("yaml", text)
    hours, days = rotation(block).windows
    assert hours.seconds and days.seconds
    length, span = hours.seconds / HOUR, days.seconds / DAY_SECONDS
    assert (hours.name, days.name) == (f"{length:g}h", f"{span:g}d")
    says(
        text,
        f"each with {hours.limit:g} requests in {length:g} hours and {days.limit:g} in {span:g} days",
        f"a fifth of the {length:g} hours is kept",
    )


def test_two_subscriptions_begin_anew() -> None:
    text = section("Example 1")
    sentence = r"After (\d+) rounds of (\d+) requests each key has (\d+) left in its week"
    numbers = re.search(sentence, flat(text))
    assert numbers
    rounds, per_round, left = map(int, numbers.groups())
    house = subscriptions()
    refused: Decision | None = None
    for record in played(house, 30.0):
        if refused is None and record.served_by.startswith("429"):
            assert record.number == per_round + 1
            refused = house.explained()
        if record.number == rounds * per_round:
            break
    weeks = [one for key in house.pool.standings("acme") for one in key.tallies.values() if one.name == "7d"]
    assert [one.limit - one.used for one in weeks if one.limit] == [left, left]
    assert refused is not None
    reasons = [reason for one in refused.candidates for reason in one.reasons if reason.code == "cap"]
    first, second = (reason.until - house.began for reason in reasons if reason.until is not None)
    (week,) = {one.end - house.began for one in weeks[:1] if one.end is not None}
    says(
        text,
        f"acme#1 begins anew {first / HOUR:g} hours after its first request,"
        f" acme#2 {(second - first) / 60:g} minutes later",
        f"when they are used, acme#1 begins anew {week / DAY_SECONDS:g} days after its first request",
    )


def test_the_explanation_is_the_one_that_is_shown() -> None:
    text = section("Why this key")
    (shown,) = map(json.loads, blocks("json", text))
    (command,) = blocks("sh", text)
    (count,) = map(int, re.findall(r"After request (\d+) of", flat(text)))
    first = shown["candidates"][0]["reasons"][0]["until"] - 5 * HOUR
    house = subscriptions(wall=first)
    house.serve(count - 1)
    assert house.explained().as_json()["candidates"] != shown["candidates"]
    house.serve()
    target = f"{TARGET.provider}:{TARGET.profile}/{TARGET.model}"
    assert {"target": target, **house.explained().as_json()} == shown
    assert "/v1/explain " in command and f'{{"model": "{TARGET.provider}/{TARGET.model}"}}' in command


# Example 2.


def balanced(tolerance: str, seed: int = 1) -> tuple[Pooled, list[list[str]]]:
    """The keys of the table, used as it says."""
    text = section("Example 2")
    (block,) = blocks("yaml", text)
    rows = table(text, "key")
    rules = rotation(f"{block}  tolerance: {tolerance}\n")
    house = Pooled(rules, *(row[1] for row in rows), seed=seed)
    for row in rows:
        house.serve(int(row[2].split()[0]), Needs(pin=row[0]))
    return house, rows


def test_balanced_draws_with_the_weights_that_are_shown() -> None:
    (tolerance,) = re.findall(r"plus `tolerance` \((\d+)\), plus 1", flat(section("Example 2")))
    assert float(tolerance) == Rotation().tolerance
    found: dict[str, tuple[str, str]] = {}
    for seed in range(40):
        house, rows = balanced(tolerance, seed)
        decision = house.explained()
        drawn = re.search(r"drawn \([0-9.]+ of ([0-9.]+), weight ([0-9.]+)\)", decision.why)
        assert drawn and decision.chosen is not None
        found[decision.chosen.label] = drawn[2], f"{100 * float(drawn[2]) / float(drawn[1]):g} %"
    assert found == {row[0]: (row[4], row[5]) for row in rows}


def test_balanced_counts_in_percent_of_each_key_s_limit() -> None:
    house, rows = balanced("0")
    used = []
    for standing in house.pool.standings("acme"):
        (day,) = (tally for tally in standing.tallies.values() if tally.name == "day")
        assert day.limit is not None
        used.append([f"{day.used:g} of {day.limit:g}", f"{100 * day.used / day.limit:g}"])
    assert used == [row[2:4] for row in rows]


def test_without_tolerance_the_least_used_serves() -> None:
    says(section("Example 2"), "With `tolerance: 0` nothing is drawn")
    numbers = re.search(
        r"requests (\d+) to (\d+) go to (\S+), requests (\d+) to (\d+) to (\S+) and (\S+) in turn,"
        r" and of every (\d+) from then on (\d+) go to (\S+) and (\d+) to each of the others",
        flat(section("Example 2")),
    )
    assert numbers
    first, last, single, second, until, one, other, every, most, favoured, rest = numbers.groups()
    house, rows = balanced("0")
    served = []
    for _ in range(int(until) + 10 * int(every)):
        served += house.serve()
        house.clock.advance(1)
    assert (int(first), int(second)) == (1, int(last) + 1)
    assert served[: int(last)] == [single] * int(last)
    in_turn = served[int(last) : int(until)]
    assert in_turn == [one, other] * (len(in_turn) // 2) and len(in_turn) == int(until) - int(last)
    shares = {row[0]: int(rest) for row in rows} | {favoured: int(most)}
    for start in range(int(until), len(served), int(every)):
        turn = served[start : start + int(every)]
        assert {label: turn.count(label) for label in shares} == shares


# Example 3.


def test_a_fair_cycle() -> None:
    text = section("Example 3")
    (minutes,) = map(float, re.findall(r"a 429 of (\d+) minutes", text))
    house = Pooled(Rotation(), None, None, None)
    limited = Outcome("failed", Verdict("credential", "model", "rate_limit", minutes * 60, "header"))
    rests = {}
    for time, refused_by, served_by, out in table(text, "time (min)"):
        if not refused_by:
            house.until(seconds(time) - 1)
            assert left_out(house.explained()) != out, "nothing else happens at this time than a rest's end"
        house.until(seconds(time))
        tried: frozenset[str] = frozenset()
        if refused_by:
            lease = house.ask()
            assert lease.credential.label == refused_by, time
            lease.settle(limited)
            tried = frozenset({lease.credential.id})
        try:
            found = house.serve(needs=Needs(tried=tried))[0]
        except NoCredential as none:
            found = refusal(none)
        now = house.explained()
        assert (time, found, left_out(now)) == (time, served_by, out)
        rests[time] = {
            one.credential.label[-1]: f"{reason.until - now.now:g} s"
            for one in now.candidates for reason in one.reasons
            if reason.code == "cooldown" and reason.until is not None
        }  # fmt: skip
    says(
        text,
        f"At 10:00 acme#1 is back and a new cycle begins. acme#2 rests {rests['10:00']['2']} more, less than the"
        f" {FairCycle().reset_cooldown_seconds:g} s, and takes part in it",
        f"acme#3 rests {rests['10:00']['3']} more and stays out",
        f"That is so at 21:00: the next cycle begins at once with acme#3, and acme#1 ({rests['21:00']['1']}) and"
        f" acme#2 ({rests['21:00']['2']}) stay out",
    )
