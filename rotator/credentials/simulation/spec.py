"""What is simulated, as files say it: the load, the keys, and what the vendor really enforces (docs/simulation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from rotator.config.reader import At, placed, read, setting
from rotator.config.rotation import DAY_SECONDS, LONGEST_SECONDS
from rotator.config.sources import read_document
from rotator.contracts import KeyFacts
from rotator.credentials.simulation.clock import MONDAY
from rotator.errors import ConfigError, Problem

T = TypeVar("T")

MOST_REQUESTS: Final = 10_000_000
#: Times beyond this are milliseconds, or nonsense.
LATEST_UNIX_SECONDS: Final = 1e11


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota that the vendor holds each key to; it opens with the first request after its end."""

    seconds: float = setting(minimum=0.001, maximum=LONGEST_SECONDS, doc="How long it lasts.")
    requests: float | None = setting(None, minimum=0, doc="Requests that it allows.")
    tokens: float | None = setting(None, minimum=0, doc="Tokens that it allows.")
    model: str | None = setting(
        None, doc="The model that it counts (`*` stands for any text; each has its own count); default: all together."
    )
    retry_after: bool = setting(True, doc="Whether a 429 says until when.")

    def __post_init__(self) -> None:
        if self.requests is None and self.tokens is None:
            raise ValueError("requests: missing (or tokens)")


@dataclass(frozen=True, slots=True)
class Vendor:
    """How the simulated vendor answers."""

    seconds: float = setting(8.0, minimum=0, maximum=DAY_SECONDS, doc="Until an answer is whole.")
    spread: float = setting(0.5, minimum=0, maximum=1, doc="The part of `seconds` by which that differs, both ways.")
    error_seconds: float = setting(0.5, minimum=0, maximum=DAY_SECONDS, doc="Until an error comes.")
    limits: tuple[Limit, ...] | None = setting(
        None, doc="What it enforces for each key. Default: the limits of the configured windows."
    )
    fault_rate: float = setting(0.0, minimum=0, maximum=1, doc="The part of requests that fail with a 500.")
    rejected: tuple[str, ...] = setting((), doc="Labels of keys that it answers with 401.")


@dataclass(frozen=True, slots=True)
class Sessions:
    """Conversations among the requests."""

    share: float = setting(0.0, minimum=0, maximum=1, doc="The part of requests that belong to one.")
    turns: int = setting(20, minimum=1, maximum=100_000, doc="Requests of a conversation.")
    pause_seconds: float = setting(
        30.0, minimum=0, maximum=LONGEST_SECONDS, doc="From one request to the next, give or take a half."
    )


@dataclass(frozen=True, slots=True)
class Tokens:
    """What requests cost."""

    mean: float = setting(2_000.0, minimum=0, maximum=1e9, doc="Tokens of a request, give or take a half.")


@dataclass(frozen=True, slots=True)
class Load:
    """A load that is made up."""

    requests: int = setting(minimum=1, maximum=MOST_REQUESTS, doc="How many there are in all.")
    models: Mapping[str, float] = setting(
        minimum=0, maximum=1e9, doc="Models as clients name them, and how often each is asked for beside the others."
    )
    days: float = setting(7.0, minimum=0.0001, maximum=366, doc="In which they come.")
    starts_at: float = setting(
        MONDAY, minimum=0, maximum=LATEST_UNIX_SECONDS, doc="When it begins, in unix seconds; by default on a Monday."
    )
    shape: Literal["flat", "office"] = setting(
        "flat", doc="`office`: from Monday to Friday, 8 to 18 h UTC, ten times as many as at other times."
    )
    sessions: Sessions = setting(Sessions(), doc="Conversations among the requests.")
    tokens: Tokens = setting(Tokens(), doc="What requests cost.")
    keys: Mapping[str, int | tuple[KeyFacts, ...]] = setting(
        {}, minimum=1, maximum=10_000, doc="By provider: how many keys, or `{label, tier, priority}` of each."
    )
    vendor: Vendor = setting(Vendor(), doc="How the vendor answers.")

    def __post_init__(self) -> None:
        if not sum(self.models.values()) > 0:
            raise ValueError("models: expected at least one model above 0")


def read_load(path: Path, where: str) -> Load:
    """A load from a YAML or JSON file; ``where`` names it in problems.  Raises ConfigError."""
    return _read(Load, path, where)


def read_vendor(path: Path, where: str) -> Vendor:
    """What stands under ``vendor`` of a load, from a file of its own.  Raises ConfigError."""
    return _read(Vendor, path, where)


def _read(cls: type[T], path: Path, where: str) -> T:
    problems: list[Problem] = []
    made = read(cls, read_document(path, where).data, At(where), problems)
    if made is None:
        raise ConfigError(map(placed, problems))
    return made
