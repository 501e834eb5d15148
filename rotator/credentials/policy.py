"""A provider's rotation, compiled: which rules hold for a key and a model.  Pure; made once per generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from rotator.config.rotation import UNLIMITED, Rotation
from rotator.contracts import Credential
from rotator.credentials.caps import CapRule
from rotator.credentials.discovery import token
from rotator.credentials.windows import Period, Unit

V = TypeVar("V")

#: Models whose rules are kept; names come from clients.
RULES_KEPT: Final = 2048
#: The place of what counts for a key as a whole.
WHOLE_KEY: Final = "every model"

#: A cycle's place, and the priority of its keys (None: of any).
CycleKey = tuple[str, int | None]
Tier = int | str | tuple[int | str, ...] | None


class ModelRules(NamedTuple):
    """What holds for one model.  ``places`` are where its use counts, by ``applies_to`` of a window.

    A place is a model's name, ``group NAME`` or ``every model``: names of models hold no space.
    """

    model: str
    group: str | None
    weight: float
    needs_tier: int | str | None
    group_place: str


class WindowRule(NamedTuple):
    """A window that holds for a key and a model."""

    name: str
    place: str
    period: Period
    limit: float | None
    unit: Unit


class CapUse(NamedTuple):
    """A cap that holds for a key and a model; ``name`` is what it stays itself by when the configuration changes."""

    name: str
    place: str
    rule: CapRule


def group_place(name: str) -> str:
    """Where a quota group's use counts."""
    return f"group {name}"


def tier_fits(tier: Tier, credential: Credential) -> bool:
    """Whether a rule for this tier holds for a key: a name is its tier, a number its priority."""
    if tier is None:
        return True
    if isinstance(tier, tuple):
        return any(tier_fits(one, credential) for one in tier)
    return credential.priority == tier if isinstance(tier, int) else credential.tier == tier


def name_fits(pattern: str, name: str) -> bool:
    """``*`` stands for any text; otherwise names are alike if they are so in variables."""
    return fnmatchcase(name, pattern) if "*" in pattern else token(pattern) == token(name)


@dataclass(frozen=True)
class Policy:
    """See the module.  ``rotation`` is checked already."""

    rotation: Rotation
    _rules: dict[str, ModelRules] = field(default_factory=dict)

    def rules(self, model: str) -> ModelRules:
        """What holds for a model."""
        found = self._rules.get(model)
        if found is None:
            if len(self._rules) >= RULES_KEPT:
                self._rules.clear()
            found = self._rules[model] = self._compiled(model)
        return found

    def _compiled(self, model: str) -> ModelRules:
        given = self.rotation
        group = next((name for name, models in given.quota_groups.items() if listed(models, model)), None)
        weight = _of(given.usage_weights, model)
        place = group_place(group) if group is not None else model
        return ModelRules(model, group, 1.0 if weight is None else weight, _of(given.model_tiers, model), place)

    @cached_property
    def _periods(self) -> tuple[Period, ...]:
        return tuple(Period.of(window) for window in self.rotation.windows)

    @cached_property
    def _cap_rules(self) -> tuple[CapRule, ...]:
        return tuple(CapRule.of(cap) for cap in self.rotation.caps)

    def unfit(self, credential: Credential, rules: ModelRules) -> str | None:
        """Why a key's tier may not serve a model, or None."""
        need = rules.needs_tier
        if need is None or need == credential.tier:
            return None
        worst = need if isinstance(need, int) else self.rotation.tiers.get(need)
        if worst is not None and credential.priority <= worst:
            return None
        is_now = f"priority {credential.priority}" + (f", tier {credential.tier}" if credential.tier else "")
        wanted = f"priority {need} or better" if isinstance(need, int) else f"tier {need}"
        return f"{rules.model} needs {wanted}; this key has {is_now}"

    def windows(self, credential: Credential, rules: ModelRules) -> tuple[WindowRule, ...]:
        """In the order of the configuration; the first that counts requests is the key's primary one.

        Of two with one name the one that names the key's tier holds.
        """
        places = {"model": rules.model, "group": rules.group_place, "credential": WHOLE_KEY}
        given = [one for one in zip(self.rotation.windows, self._periods, strict=True)
                 if tier_fits(one[0].tier, credential)]
        specific = {window.name for window, _ in given if window.tier is not None}
        return tuple(
            WindowRule(window.name, places[window.applies_to], period, window.limit, window.unit)
            for window, period in given
            if window.tier is not None or window.name not in specific
        )

    def caps(self, credential: Credential, rules: ModelRules) -> tuple[CapUse, ...]:
        """Each cap that holds; of several for the same model or group, those that name the key's tier."""
        found: dict[tuple[str, bool], list[CapUse]] = {}
        for cap, rule in zip(self.rotation.caps, self._cap_rules, strict=True):
            if not tier_fits(cap.tier, credential):
                continue
            if cap.model is not None and name_fits(cap.model, rules.model):
                place = rules.model
            elif cap.group is not None and rules.group is not None and name_fits(cap.group, rules.group):
                place = rules.group_place
            else:
                continue
            uses = found.setdefault((place, cap.tier is not None), [])
            again = sum(use.rule.mode == rule.mode for use in uses)
            uses.append(CapUse(f"{cap.tier} {cap.model} {cap.group} {rule.mode} {again}", place, rule))
        return tuple(
            use
            for (place, specific), uses in found.items()
            if specific or (place, True) not in found
            for use in uses
        )

    def hard(self, credential: Credential) -> int:
        """Requests of a key at a time; -1 is no limit."""
        return self._scaled(self.rotation.max_concurrent, credential)

    def optimal(self, credential: Credential) -> int:
        """Requests of a key at a time beyond which others are preferred; -1 is no such number."""
        given = self.rotation.optimal_concurrent
        if given is None:
            given = 1 if self.rotation.mode == "balanced" else UNLIMITED
        return self._scaled(given, credential)

    def _scaled(self, number: int, credential: Credential) -> int:
        if number < 0:
            return UNLIMITED
        factor = self.rotation.concurrency_multipliers.get(str(credential.priority))
        if factor is None:
            factor = self.rotation.sequential_fallback_multiplier if self.rotation.mode == "sequential" else 1.0
        return max(1, int(number * factor))

    @cached_property
    def fair(self) -> bool:
        """Whether there is a fair cycle."""
        enabled = self.rotation.fair_cycle.enabled
        return self.rotation.mode == "sequential" if enabled is None else enabled

    def cycle_key(self, credential: Credential, rules: ModelRules) -> CycleKey:
        """Which cycle a key's use for a model belongs to."""
        fair = self.rotation.fair_cycle
        place = WHOLE_KEY if fair.tracking == "credential" else rules.group_place
        return place, None if fair.cross_tier else credential.priority


def listed(patterns: Sequence[str], model: str) -> bool:
    """Whether a quota group with these members holds a model."""
    return any(pattern == model or ("*" in pattern and fnmatchcase(model, pattern)) for pattern in patterns)


def _of(table: Mapping[str, V], model: str) -> V | None:
    """What a table says of a model: its own name first, then the first pattern that fits."""
    if model in table:
        return table[model]
    return next((value for name, value in table.items() if "*" in name and fnmatchcase(model, name)), None)
