"""What came of a simulation: counted while it runs, told as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rotator.contracts import Credential, Verdict
from rotator.credentials.keys import Standing
from rotator.credentials.pool import Lease
from rotator.credentials.simulation.vendor import LIMITED, REJECTED

COLUMNS: Final = 80
_DAY_SECONDS: Final = 86_400.0
_HEAD: Final = ("KEY", "SERVED", "SHARE", "429", "401", "FAULTS", "IDLE", "CAPS", "WAIT")


@dataclass(slots=True)
class KeyCount:
    """One key.  ``longest_wait`` is that of the requests that it served, in seconds."""

    credential: Credential
    served: int = 0
    limited: int = 0
    rejected: int = 0
    faults: int = 0
    longest_wait: float = 0.0
    standing: Standing | None = None
    busy_seconds: float = 0.0
    _in_use: int = 0
    _since: float = 0.0

    def began(self, lease: Lease, now: float) -> None:
        """It is used for an attempt."""
        self.standing = lease.seat.standing
        if not self._in_use:
            self._since = now
        self._in_use += 1

    def ended(self, verdict: Verdict | None, wait: float, now: float) -> None:
        """The attempt is over; a request that it served had waited so long."""
        self._in_use -= 1
        if not self._in_use:
            self.busy_seconds += now - self._since
        if verdict is None:
            self.served += 1
            self.longest_wait = max(self.longest_wait, wait)
        elif verdict.reason == LIMITED.reason:
            self.limited += 1
        elif verdict.reason == REJECTED.reason:
            self.rejected += 1
        else:
            self.faults += 1

    @property
    def cap_hits(self) -> int:
        """How often one of its caps was reached."""
        return sum(cap.times_reached for cap in self.standing.caps.values()) if self.standing is not None else 0


@dataclass(slots=True)
class Counts:
    """Everything that is counted; ``unknown`` are models that lead nowhere, and why."""

    keys: Mapping[str, KeyCount]
    requests: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    told_429: int = 0
    waited: int = 0
    longest_wait: float = 0.0
    unknown: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, credentials: Mapping[str, Sequence[Credential]]) -> Counts:
        return cls({key.id: KeyCount(key) for keys in credentials.values() for key in keys})

    def over(self, wait: float, refusal: str | None, status: int = 200) -> None:
        """A request is over; ``refusal`` is why it was not answered."""
        if refusal is None:
            self.answered += 1
        else:
            self.refused[refusal] += 1
            self.told_429 += status == 429
        self.waited += wait > 0
        self.longest_wait = max(self.longest_wait, wait)


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key.  ``share`` is of all answered requests, ``idle_share`` of the time; both from 0 to 1."""

    credential: str
    provider: str
    served: int
    share: float
    vendor_429: int
    vendor_401: int
    faults: int
    idle_share: float
    cap_hits: int
    longest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """See the module.  ``seconds`` is how much time was simulated; ``refused`` counts by the reason, most first."""

    seed: int
    seconds: float
    requests: int
    answered: int
    refused: Mapping[str, int]
    client_429: int
    waited: int
    longest_wait_seconds: float
    evaluations: int
    keys: tuple[KeyReport, ...]
    unknown: Mapping[str, str]

    @classmethod
    def of(cls, counts: Counts, seed: int, seconds: float, evaluations: int) -> Report:
        refused = dict(sorted(counts.refused.items(), key=lambda one: (-one[1], one[0])))
        keys = tuple(_key(one, counts.answered, seconds) for one in counts.keys.values())
        return cls(
            seed,
            round(seconds, 3),
            counts.requests,
            counts.answered,
            refused,
            counts.told_429,
            counts.waited,
            round(counts.longest_wait, 3),
            evaluations,
            keys,
            counts.unknown,
        )

    def as_json(self) -> dict[str, Any]:
        """For programs: the fields of this class by name, and of each key those of ``KeyReport``."""
        made = {name: getattr(self, name) for name in self.__slots__ if name not in ("keys", "unknown")}
        return {**made, "keys": [{name: getattr(key, name) for name in key.__slots__} for key in self.keys]}

    def table(self) -> Iterator[str]:
        """For people: lines of at most 80 columns."""
        asked = f"{self.requests:,} requests" if self.requests != 1 else "1 request"
        yield f"{_span(self.seconds)}, seed {self.seed}: {asked}, {self.answered:,} answered"
        refused = self.requests - self.answered
        if refused:
            reasons = [f"{reason} {count:,}" for reason, count in self.refused.items()]
            yield from _wrapped(f"  refused {refused:,}: ", reasons)
        longest = f", the longest {_seconds(self.longest_wait_seconds)}" if self.waited else ""
        yield f"  429 to clients: {self.client_429:,}; waited: {self.waited:,}{longest}"
        yield f"  choices worked out: {self.evaluations:,}"
        yield ""
        rows = [_HEAD, *(_row(key) for key in self.keys)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        widths[0] = min(widths[0], COLUMNS - sum(widths[1:]) - 2 * (len(_HEAD) - 1))
        for row in rows:
            label = row[0] if len(row[0]) <= widths[0] else f"{row[0][: widths[0] - 3]}..."
            rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            yield "  ".join((label.ljust(widths[0]), *rest))


def _key(one: KeyCount, answered: int, seconds: float) -> KeyReport:
    return KeyReport(
        one.credential.label,
        one.credential.provider,
        one.served,
        round(one.served / answered, 4) if answered else 0.0,
        one.limited,
        one.rejected,
        one.faults,
        round(1 - one.busy_seconds / seconds, 4) if seconds else 1.0,
        one.cap_hits,
        round(one.longest_wait, 3),
    )


def _row(key: KeyReport) -> tuple[str, ...]:
    return (
        key.credential,
        f"{key.served:,}",
        f"{100 * key.share:.1f}%",
        f"{key.vendor_429:,}",
        f"{key.vendor_401:,}",
        f"{key.faults:,}",
        f"{100 * key.idle_share:.1f}%",
        f"{key.cap_hits:,}",
        _seconds(key.longest_wait_seconds),
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _span(seconds: float) -> str:
    return f"{seconds / _DAY_SECONDS:.2f} days" if seconds >= _DAY_SECONDS else _seconds(seconds)


def _wrapped(head: str, words: Iterable[str]) -> Iterator[str]:
    line = head
    for number, word in enumerate(words):
        if number and len(line) + len(word) + 2 > COLUMNS - 1:
            yield f"{line},"
            line = f"    {word}"
        else:
            line += f", {word}" if number else word
    yield line
