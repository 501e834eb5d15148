"""What may be said of rotation: the keys of ``rotation`` in a provider's declaration and in the configuration file.

Names, defaults and meanings: design.md 6 (Rotation), engine.md 8.2-8.10 and 12.4; docs/rotation.md explains them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rotator.config.reader import setting

DAY_SECONDS: Final = 86_400.0
#: No period of rotation is longer: a year.
LONGEST_SECONDS: Final = 366 * DAY_SECONDS
UNLIMITED: Final = -1

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")
_MAX: Final = re.compile(r"(?:[0-9]{1,15}|[+-][0-9]{1,15}|[0-9]{1,6}(?:\.[0-9]{1,3})?%)\Z")
_COOLDOWN: Final = re.compile(r"quota_reset|(?:offset|fixed):[0-9]{1,9}(?:\.[0-9]{1,3})?\Z")
_PRIORITY: Final = re.compile(r"[1-9][0-9]{0,5}\Z")
_WEEK_DAYS, _MONTH_DAYS = 7, 31


@dataclass(frozen=True, slots=True)
class Window:
    """A quota period of one key: how much of it may be used until it begins anew."""

    name: str = setting(doc="What it is called in reasons, and what a vendor's own facts are matched by.")
    seconds: float | None = setting(None, minimum=1, maximum=LONGEST_SECONDS, doc="How long it lasts.")
    every: Literal["day", "week", "month"] | None = setting(None, doc="Instead of `seconds`: a period of the calendar.")
    at: str = setting("00:00", doc="The time of day at which `every` begins anew.")
    day: int = setting(1, minimum=1, maximum=_MONTH_DAYS, doc="Of the week (1 is Monday) or month, for `every`.")
    zone: str = setting("UTC", doc="The time zone of `at`, such as `Europe/Berlin`.")
    reset: Literal["rolling", "fixed", "vendor"] = setting(
        "rolling",
        doc="`rolling` begins with the first use, `fixed` is aligned to the epoch, `vendor` ends when the vendor says.",
    )
    limit: float | None = setting(None, minimum=1, doc="How much may be used; without one it only counts.")
    unit: Literal["requests", "tokens"] = setting("requests", doc="What is counted; failed attempts are free.")
    tier: int | str | None = setting(None, doc="For keys of this tier only: a name, or a priority number.")
    applies_to: Literal["model", "group", "credential"] = setting(
        "model", doc="Whether each model, each quota group, or the key as a whole has one."
    )

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: expected a name")
        if self.seconds is not None and self.every is not None:
            raise ValueError("every: either seconds or every, not both")
        if self.seconds is None and self.every is None and self.reset != "vendor":
            raise ValueError("seconds: missing (or every: day, week or month)")
        if not _CLOCK.match(self.at):
            raise ValueError(f"at: expected hours and minutes such as 07:00, found {self.at!r}")
        if self.every == "week" and self.day > _WEEK_DAYS:
            raise ValueError("day: a week has days 1 (Monday) to 7")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"zone: no time zone is named {self.zone!r}") from None


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit of one's own on a key's requests, below the vendor's."""

    max: int | str = setting(doc='Requests: `100`, `"80%"` of the window\'s limit, or `"-10"`, so many less than it.')
    tier: int | str | tuple[int | str, ...] | None = setting(None, doc="For keys of these tiers only.")
    model: str | None = setting(None, doc="The model that it counts (`*` stands for any text); each has its own count.")
    group: str | None = setting(None, doc="Or the quota group.")
    cooldown: str = setting(
        "quota_reset",
        doc="Until when a key that reached it rests: `quota_reset` (the window's end), `offset:SECONDS` after that, or"
        " `fixed:SECONDS` from then on, after which the count begins anew.",
    )

    def __post_init__(self) -> None:
        if (self.model is None) == (self.group is None):
            raise ValueError("model: expected either model or group")
        if isinstance(self.max, str) and not _MAX.match(self.max):
            raise ValueError(f'max: expected a number, "80%" or "-10", found {self.max!r}')
        if isinstance(self.max, int) and self.max < 0:
            raise ValueError(f'max: a number below 0 is written as text: "{self.max}"')
        if not _COOLDOWN.match(self.cooldown):
            expected = "quota_reset, offset:SECONDS or fixed:SECONDS"
            raise ValueError(f"cooldown: expected {expected}, found {self.cooldown!r}")


@dataclass(frozen=True, slots=True)
class FairCycle:
    """No key is used up a second time before the others of its tier were used up once."""

    enabled: bool | None = setting(None, doc="Default: only where the mode is `sequential`.")
    tracking: Literal["model_group", "credential"] = setting(
        "model_group", doc="Whether a key is used up for one model or quota group, or as a whole."
    )
    cross_tier: bool = setting(False, doc="Whether all tiers together make one cycle.")
    duration_seconds: float = setting(
        7 * DAY_SECONDS, minimum=1, maximum=LONGEST_SECONDS, doc="After which a cycle begins anew whatever happened."
    )
    quota_threshold: float = setting(
        1.0, minimum=0.0, maximum=1000.0, doc="The part of a window's limit in requests that uses a key up."
    )
    reset_cooldown_seconds: float = setting(
        90.0, minimum=0, maximum=LONGEST_SECONDS, doc="A key that rests longer than this stays out at a new beginning."
    )


@dataclass(frozen=True, slots=True)
class NoReset:
    """What is done when a vendor says that a quota is used up and not until when."""

    policy: Literal["warn_only", "cooldown", "disable_scope"] = setting(
        "warn_only", doc="`disable_scope` leaves the key out until the vendor shows that there is quota again."
    )
    cooldown_seconds: float = setting(0.0, minimum=0, maximum=LONGEST_SECONDS, doc="For `cooldown`.")


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a provider's keys are used."""

    mode: str = setting("sequential", doc="`sequential`, `balanced`, `round_robin`, or a plug-in's strategy.")
    tolerance: float = setting(
        3.0, minimum=0, maximum=1e9, doc="For `balanced`: how much chance there is; 0 always takes the least used key."
    )
    max_concurrent: int = setting(
        UNLIMITED, minimum=UNLIMITED, doc="Requests of one key at a time; further ones wait. -1 is no limit."
    )
    optimal_concurrent: int | None = setting(
        None,
        minimum=UNLIMITED,
        doc="Requests of one key at a time beyond which others are preferred; 1 for `balanced`, else -1.",
    )
    concurrency_multipliers: Mapping[str, float] = setting(
        {},
        minimum=0.001,
        maximum=1e6,
        doc="By priority number: what both numbers above are multiplied by for such keys.",
    )
    sequential_fallback_multiplier: float = setting(
        1.0, minimum=0.001, maximum=1e6, doc="For priorities without a multiplier, in mode `sequential`."
    )
    tiers: Mapping[str, int] = setting(
        {}, minimum=1, doc="Priority numbers of tier names, for keys that state no priority."
    )
    model_tiers: Mapping[str, int | str] = setting(
        {}, minimum=1, doc="Models that need a tier: a name, or the worst priority number that may serve them."
    )
    usage_weights: Mapping[str, float] = setting(
        {}, minimum=0, maximum=1e6, doc="Models of which a request counts as more, or less, than one."
    )
    quota_groups: Mapping[str, tuple[str, ...]] = setting({}, doc="Models that share a quota at the vendor.")
    windows: tuple[Window, ...] = setting((), doc="The vendor's quota periods.")
    caps: tuple[Cap, ...] = setting((), doc="Limits of one's own.")
    fair_cycle: FairCycle = setting(FairCycle(), doc="No key is used up twice before the others were once.")
    exhaustion_cooldown_seconds: float = setting(
        300.0, minimum=0, maximum=LONGEST_SECONDS, doc="A rest of at least this uses a key up for the fair cycle."
    )
    no_reset: NoReset = setting(NoReset(), doc="When a vendor says that a quota is used up and not until when.")

    def __post_init__(self) -> None:
        for key in ("max_concurrent", "optimal_concurrent"):
            if getattr(self, key) == 0:
                raise ValueError(f"{key}: expected -1 or a number of at least 1, found 0")
        seen: set[tuple[str, int | str | None]] = set()
        for index, window in enumerate(self.windows):
            if (window.name, window.tier) in seen:
                raise ValueError(f"windows[{index}].name: two windows of one tier are called {window.name!r}")
            seen.add((window.name, window.tier))
        for number in self.concurrency_multipliers:
            if not _PRIORITY.match(number):
                raise ValueError(f"concurrency_multipliers.{number}: expected a priority number as key")
