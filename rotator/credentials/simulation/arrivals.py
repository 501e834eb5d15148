"""The clients' requests: from lines of usage, or made up from a load.

Chance is drawn with ``Random.random`` and reckoned with the four basic operations only: those give the same bits
everywhere, logarithms do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, Final, NamedTuple

from rotator.config.reader import At, parse, setting
from rotator.config.rotation import DAY_SECONDS
from rotator.credentials.simulation.clock import MONDAY
from rotator.credentials.simulation.spec import LATEST_UNIX_SECONDS, Load
from rotator.errors import ConfigError, Problem
from rotator.wire.jsontext import NotJson, loads

HOUR_SECONDS: Final = 3_600.0
OFFICE_HOURS: Final = range(8, 18)
#: How many requests come in an hour of office time, for each that comes in another hour.
OFFICE_WEIGHT: Final = 10
_WORK_DAYS: Final = 5
#: Times below this (a day in 1973) are no dates: they count from the begin.
_DATES_FROM: Final = 1e8
MOST_TOKENS: Final = 10**12
#: Broken lines that are told.
_TOLD: Final = 5


class Arrival(NamedTuple):
    """A client's request; ``at`` is seconds since the begin, ``model`` as the client names it."""

    at: float
    model: str
    session: str | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Work:
    """Requests in the order in which they come.

    ``start`` is the begin in unix seconds, ``seconds`` the least length.
    """

    start: float
    seconds: float
    arrivals: Sequence[Arrival]


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One request: ``t`` in unix seconds, or in seconds from 0."""

    t: float = setting(minimum=0, maximum=LATEST_UNIX_SECONDS)
    model: str = setting()
    session: str | None = None
    tokens: int = setting(0, minimum=0, maximum=MOST_TOKENS)


def read_usage(lines: Iterable[bytes], where: str) -> Work:
    """One JSON object a line, ``{t, model, session?, tokens?}``; blank lines are passed over, the order is mended.

    Raises ConfigError naming the lines that are no such object.
    """
    found: list[Arrival] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_arrival(line, At(where, f"line {number}")))
        except ConfigError as error:
            problems.extend(error.problems)
            if len(problems) >= _TOLD:
                break
    if not found and not problems:
        problems.append(Problem(where, "", "there is no request in it"))
    if problems:
        raise ConfigError(problems[:_TOLD])
    found.sort(key=lambda one: one.at)
    first = found[0].at
    if first < _DATES_FROM:
        return Work(MONDAY, 0.0, found)
    return Work(first, 0.0, [one._replace(at=one.at - first) for one in found])


def _arrival(line: bytes, at: At) -> Arrival:
    try:
        data: Any = loads(line)
    except NotJson:
        raise at.refuse("is no JSON") from None
    # The reader takes 50 us a line: it is only asked to tell what is wrong.
    if type(data) is dict and data.keys() <= {"t", "model", "session", "tokens"}:
        t: Any = data.get("t")
        model: Any = data.get("model")
        session, tokens = data.get("session"), data.get("tokens", 0)
        texts = isinstance(model, str) and (session is None or isinstance(session, str))
        numbers = type(t) in (int, float) and type(tokens) is int
        if texts and numbers and 0 <= t <= LATEST_UNIX_SECONDS and 0 <= tokens <= MOST_TOKENS:
            return Arrival(float(t), model, session, tokens)
    one = parse(UsageLine, data, at)
    assert isinstance(one, UsageLine)
    return Arrival(one.t, one.model, one.session, one.tokens)


def make_up(load: Load, seed: int) -> Work:
    """The requests of a load: so many in all, where and when by chance."""
    rng = Random(f"arrivals {seed}")
    seconds = load.days * DAY_SECONDS
    shape, models = _Shape(load, seconds), _Models(load.models)
    found: list[Arrival] = []

    def one(at: float, model: str, session: str | None) -> Arrival:
        return Arrival(at, model, session, round(load.tokens.mean * (0.5 + rng.random())))

    of_sessions = round(load.requests * load.sessions.share)
    for number in range(1, 1 + -(-of_sessions // load.sessions.turns)):
        model, at = models.drawn(rng.random()), shape.drawn(rng.random())
        for _ in range(min(load.sessions.turns, of_sessions - len(found))):
            found.append(one(at, model, f"session {number}"))
            at += load.sessions.pause_seconds * (0.5 + rng.random())
    for _ in range(load.requests - of_sessions):
        found.append(one(shape.drawn(rng.random()), models.drawn(rng.random()), None))
    found.sort(key=lambda arrival: arrival.at)
    return Work(load.starts_at, seconds, found)


class _Models:
    """Which model a drawn number from 0 to 1 stands for."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._names = [model for model, weight in weights.items() if weight]
        self._ends = list(accumulate(weights[model] for model in self._names))

    def drawn(self, number: float) -> str:
        return self._names[_index(self._ends, number)]


class _Shape:
    """Where in the time of a load a drawn number from 0 to 1 lies."""

    def __init__(self, load: Load, seconds: float) -> None:
        self._seconds = seconds
        self._hours = [] if load.shape == "flat" else list(_hours(load.starts_at, seconds))
        self._ends = list(accumulate(hour.amount for hour in self._hours))

    def drawn(self, number: float) -> float:
        """Seconds since the begin."""
        if not self._hours:
            return number * self._seconds
        index = _index(self._ends, number)
        hour, end = self._hours[index], self._ends[index]
        return hour.begin + (number * self._ends[-1] - (end - hour.amount)) / hour.weight


def _index(ends: Sequence[float], number: float) -> int:
    """The first of the running sums that a drawn part of the last one does not reach."""
    return min(bisect_right(ends, number * ends[-1]), len(ends) - 1)


class _Hour(NamedTuple):
    """An hour of the day, or what of it lies in the load: seconds since the begin, and how many times as busy."""

    begin: float
    seconds: float
    weight: int

    @property
    def amount(self) -> float:
        return self.seconds * self.weight


def _hours(start: float, seconds: float) -> Iterator[_Hour]:
    for number in range(int(start // HOUR_SECONDS), int((start + seconds) // HOUR_SECONDS) + 1):
        begin = max(0.0, number * HOUR_SECONDS - start)
        end = min((number + 1) * HOUR_SECONDS - start, seconds)
        day, hour = divmod(number, 24)
        busy = (day + 3) % 7 < _WORK_DAYS and hour in OFFICE_HOURS  # day 0 was a Thursday
        if end > begin:
            yield _Hour(begin, end - begin, OFFICE_WEIGHT if busy else 1)
