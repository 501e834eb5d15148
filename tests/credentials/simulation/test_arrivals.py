"""Requests: read from lines of usage, made up from a load."""

from collections import Counter
from typing import Any

import pytest

from rotator.config.reader import At, parse
from rotator.credentials.simulation.arrivals import Arrival, Work, make_up, read_usage
from rotator.credentials.simulation.clock import MONDAY
from rotator.credentials.simulation.spec import Load
from rotator.errors import ConfigError

DAY = 86_400.0


def load(**said: Any) -> Load:
    made = parse(Load, {"requests": 1000, "models": {"a/small": 1}, **said}, At("test"))
    assert isinstance(made, Load)
    return made


def usage(*lines: str) -> Work:
    return read_usage([f"{line}\n".encode() for line in lines], "usage.jsonl")


def test_lines_out_of_order_are_sorted_and_the_first_one_is_the_begin() -> None:
    found = usage(
        '{"t": 1767600010.5, "model": "a/small", "tokens": 12}',
        "",
        '{"t": 1767600000, "model": "b/big", "session": "s"}',
        '{"session": null, "model": "a/small", "t": 1767600010.5}',
    )
    assert (found.start, found.seconds) == (1_767_600_000.0, 0.0)
    assert found.arrivals == [
        Arrival(0.0, "b/big", "s", 0), Arrival(10.5, "a/small", None, 12), Arrival(10.5, "a/small", None, 0),
    ]  # fmt: skip


def test_small_times_count_from_a_monday() -> None:
    found = usage('{"t": 3, "model": "m"}', '{"t": 0.5, "model": "m"}')
    assert (found.start, [one.at for one in found.arrivals]) == (MONDAY, [0.5, 3.0])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "usage.jsonl: line 2: is no JSON"),
        ("[1]", "usage.jsonl: line 2: expected a mapping, found a list"),
        ('{"t": 1}', "usage.jsonl: line 2.model: missing"),
        ('{"t": true, "model": "m"}', "usage.jsonl: line 2.t: expected a number from 0 to 100000000000, found true"),
        (
            '{"t": 1767600000000, "model": "m"}',
            "usage.jsonl: line 2.t: expected a number from 0 to 100000000000, found 1767600000000",
        ),
        ('{"t": 1, "model": "m", "sesion": "s"}', "usage.jsonl: line 2.sesion: unknown key (did you mean session?)"),
        ('{"t": 1, "model": 5}', "usage.jsonl: line 2.model: expected text, found 5"),
        (
            '{"t": 1, "model": "m", "tokens": -1}',
            "usage.jsonl: line 2.tokens: expected a whole number from 0 to 1000000000000, found -1",
        ),
    ],
)  # fmt: skip
def test_broken_lines_are_told_with_their_number(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        usage('{"t": 1, "model": "m"}', line)
    assert str(caught.value) == told


def test_a_few_broken_lines_are_enough() -> None:
    with pytest.raises(ConfigError) as caught:
        usage(*["no"] * 100)
    assert len(caught.value.problems) == 5
    with pytest.raises(ConfigError, match="there is no request in it"):
        usage("", " ")


def test_a_load_has_as_many_requests_as_it_says_and_the_models_their_parts() -> None:
    parts = {"a/small": 3, "a/never": 0, "b/big": 1}
    made = make_up(load(days=2, requests=4000, models=parts, tokens={"mean": 100}), 7)
    assert (made.start, made.seconds, len(made.arrivals)) == (MONDAY, 2 * DAY, 4000)
    times = [one.at for one in made.arrivals]
    assert times == sorted(times) and 0 <= times[0] and times[-1] < 2 * DAY
    assert sum(at < DAY for at in times) == pytest.approx(2000, abs=150)
    models = Counter(one.model for one in made.arrivals)
    assert models.keys() == {"a/small", "b/big"} and models["a/small"] == pytest.approx(3000, abs=120)
    tokens = [one.tokens for one in made.arrivals]
    assert (min(tokens), max(tokens)) == (50, 150) and sum(tokens) / 4000 == pytest.approx(100, abs=3)
    assert {one.session for one in made.arrivals} == {None}


def test_sessions_have_their_turns_and_pauses_and_one_model() -> None:
    said = {"share": 0.61, "turns": 20, "pause_seconds": 30}
    made = make_up(load(models={"a/small": 1, "b/big": 1}, sessions=said), 7)
    turns = Counter(one.session for one in made.arrivals)
    assert turns.pop(None) == 390
    assert sorted(turns.values()) == [10] + [20] * 30
    for session in turns:
        mine = [one for one in made.arrivals if one.session == session]
        pauses = [after.at - before.at for before, after in zip(mine, mine[1:], strict=False)]
        assert all(15 <= pause <= 45 for pause in pauses) and len({one.model for one in mine}) == 1


@pytest.mark.parametrize("starts_at", [MONDAY, MONDAY + 3 * DAY + 1234.56789])
def test_offices_ask_at_their_hours(starts_at: float) -> None:
    made = make_up(load(requests=5000, shape="office", starts_at=starts_at), 7)
    hours = [divmod((starts_at + one.at - MONDAY) % (7 * DAY), DAY) for one in made.arrivals]
    busy = sum(day < 5 and 8 * 3600 <= second < 18 * 3600 for day, second in hours)
    assert busy / 5000 == pytest.approx(500 / 618, abs=0.02)  # 50 hours of weight 10 among 118 of weight 1
    assert max(one.at for one in made.arrivals) <= 7 * DAY


def test_chance_is_that_of_the_seed() -> None:
    assert make_up(load(), 7) == make_up(load(), 7) != make_up(load(), 8)
