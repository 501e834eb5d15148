"""The rotation of each provider: what files say of all providers and of this one, and the environment over both.

Source: design.md 6 (Configuration, Rotation), engine.md 12.4.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from rotator.config.reader import At, placed, read
from rotator.config.rotation import Cap, Rotation
from rotator.config.settings import Settings
from rotator.config.suggest import nearest
from rotator.contracts import Credential, Provider
from rotator.credentials.discovery import token
from rotator.credentials.policy import Tier
from rotator.credentials.rotation_env import CAP_COOLDOWNS, CAPS, Said, read_names, unknown_mode
from rotator.credentials.rotation_idle import idle, tiers_of
from rotator.credentials.rotation_names import ModelNames
from rotator.errors import Problem
from rotator.upstream.provider import merged

_EVERY: Final = "DEFAULT"
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


def rotations(
    settings: Settings,
    providers: Mapping[str, Provider],
    strategies: Collection[str],
    problems: list[Problem],
    declared_in: Mapping[str, str] = MappingProxyType({}),
    foreign: dict[str, list[str]] | None = None,
) -> Mapping[str, Rotation]:
    """By provider.  ``strategies`` are the known modes, ``declared_in`` the files of providers' declarations.

    ``foreign`` takes, by provider, models that begin with the name of another one (see ``idle_rules``).

    What is wrong is told where it stands, once; what is right beside it counts, so that all problems come at once.
    """
    said = read_names(settings.environment, {*providers, *settings.providers}, strategies, problems)
    file = _file(settings)
    _check_mode(settings.rotation, At(file, "rotation"), strategies, problems)
    made = {}
    for name, provider in providers.items():
        overlay = settings.providers.get(name, {}).get("rotation")
        in_file = At(file, f"providers.{name}.rotation")
        declared = At(declared_in[name], "rotation") if name in declared_in else in_file
        mode_in_file = isinstance(overlay, Mapping) and "mode" in overlay
        names = ModelNames(provider, providers, [] if foreign is None else foreign.setdefault(name, []))
        rotation = _of_files(settings.rotation, names, in_file if overlay is not None else declared, problems)
        _check_mode(provider.rotation, in_file if mode_in_file else declared, strategies, problems)
        mine = [one for one in said if one.provider in (None, name)]
        made[name] = _Layer(names, mine, _key_tiers(settings, provider), problems).over(rotation)
    return MappingProxyType(made)


def _file(settings: Settings) -> str:
    """The configuration file, as it was named."""
    named = (one.name.partition(":")[0] for one in settings.origins.values() if one.source == "file")
    return next(named, "declarations")


def _key_tiers(settings: Settings, provider: Provider) -> tuple[str, ...]:
    """What is said of the tiers of keys, whether there are such keys or not."""
    declared = (facts.tier for facts in provider.key_facts().values())
    mine = re.compile(rf"{re.escape(token(provider.name))}_API_KEY(?:_[0-9]+)?_TIER")
    said = (held.value.reveal() for name, held in settings.environment.items() if mine.fullmatch(name))
    return tuple(dict.fromkeys(tier for tier in (*declared, *said) if tier))


def _of_files(everybodys: Mapping[str, Any], names: ModelNames, at: At, problems: list[Problem]) -> Rotation:
    found: list[Problem] = []
    raw = names.provider.rotation
    own = names.of_this(raw) if read(Rotation, raw, at, found) is not None else {}
    rotation = read(Rotation, merged(names.of_all(everybodys), own), at, found)
    problems.extend(map(placed, found))
    return rotation or Rotation()


def _check_mode(said: Mapping[str, Any], at: At, strategies: Collection[str], problems: list[Problem]) -> None:
    mode = said.get("mode") if isinstance(said, Mapping) else None
    if isinstance(mode, str) and mode not in strategies:
        problems.append(Problem(at.where, at.child("mode").key, unknown_mode(mode, strategies)))


@dataclass(frozen=True, slots=True)
class _Layer:
    """What the variables say of one provider, the weakest first.  ``key_tiers`` are said of its keys."""

    names: ModelNames
    said: Sequence[Said]
    key_tiers: Collection[str]
    problems: list[Problem]

    def over(self, rotation: Rotation) -> Rotation:
        """Groups are there before caps name them, caps before their cooldowns."""
        for one in self._of("mode"):
            rotation = _with(rotation, "mode", one.value)
        for one in self.said:
            if one.mode in (None, rotation.mode) and one.form.path not in ("mode", CAPS, CAP_COOLDOWNS):
                rotation = self._laid(rotation, one) if one.value is not None else rotation
        for one in self._of(CAPS):
            rotation = self._capped(rotation, one)
        for one in self._of(CAP_COOLDOWNS):
            rotation = self._cooled(rotation, one)
        return rotation

    def _laid(self, rotation: Rotation, one: Said) -> Rotation:
        if not one.rest:
            return _with(rotation, one.form.path, one.value)
        table: Mapping[str, object] = getattr(rotation, one.form.path)
        name = next((name for name in table if token(name) == one.rest), one.rest.lower().replace("_", "-"))
        value = self.names.of_group(one.value) if isinstance(one.value, tuple) else one.value
        return _with(rotation, one.form.path, MappingProxyType({**table, name: value}))

    def _of(self, path: str) -> list[Said]:
        return [one for one in self.said if one.form.path == path and (one.value is not None or path != "mode")]

    def _capped(self, rotation: Rotation, one: Said) -> Rotation:
        cap = self._cap(rotation, one)
        if cap is None or not isinstance(one.value, int | str):
            return rotation
        same = [index for index, other in enumerate(rotation.caps) if _same(other, cap)]
        if not same:
            return replace(rotation, caps=(*rotation.caps, replace(cap, max=one.value)))
        caps = [other for other in rotation.caps if not _same(other, cap)]
        caps.insert(same[0], replace(rotation.caps[same[0]], max=one.value))
        return replace(rotation, caps=tuple(caps))

    def _cooled(self, rotation: Rotation, one: Said) -> Rotation:
        cap = self._cap(rotation, one)
        if cap is None:
            return rotation
        missing = one.at.key.replace("CUSTOM_CAP_COOLDOWN_", "CUSTOM_CAP_", 1)
        tried = any(other.at.key == missing for other in self.said)
        if not tried and not any(_same(other, cap) for other in rotation.caps):
            reason = f"there is no such cap: set {missing}, or one of rotation.caps"
            self.problems.append(Problem(one.at.where, one.at.key, reason))
        if not isinstance(one.value, str):
            return rotation
        caps = (replace(other, cooldown=one.value) if _same(other, cap) else other for other in rotation.caps)
        return replace(rotation, caps=tuple(caps))

    def _cap(self, rotation: Rotation, one: Said) -> Cap | None:
        """The cap that a name means, of nothing yet."""
        models = _models(rotation, self.names.provider)
        groups = {token(group): group for group in reversed([*rotation.quota_groups])}
        splits = list(_splits(one.rest, rotation.tiers))
        split = next((split for split in splits if split[1] in (*groups, *models)), splits[0] if splits else None)
        if split is None:
            self.problems.append(Problem(one.at.where, one.at.key, self._no_tier(one, rotation.tiers)))
            return None
        tier, name = split
        if name in groups:
            return Cap(0, tier, group=groups[name])
        if name not in models and not name.strip("_0123456789"):
            self.problems.append(Problem(one.at.where, one.at.key, "expected a model or a group behind the tier"))
            return None
        return Cap(0, tier, model=models.get(name, name.lower().replace("_", "-")))

    def _no_tier(self, one: Said, tiers: Collection[str]) -> str:
        of_key = next((tier for tier in self.key_tiers if one.rest.startswith(f"{token(tier)}_")), None)
        if of_key is not None:
            return f"unknown tier: {of_key} is the tier of a key; name it in rotation.tiers"
        known = list(dict.fromkeys((_EVERY, *map(token, tiers))))
        parts = one.rest.split("_")
        likely = [f"{tier}_{behind}" for tier in known if (behind := "_".join(parts[tier.count("_") + 1 :]))]
        meant = nearest(one.rest, likely)
        if meant is not None:
            return f"unknown tier (did you mean {one.at.key.removesuffix(one.rest)}{meant}?)"
        return f"unknown tier (expected a number behind the T, or one of {', '.join(known)})"


def _with(rotation: Rotation, path: str, value: Any) -> Rotation:
    """``rotation`` with one key (``fair_cycle.enabled``) replaced."""
    key, _, below = path.partition(".")
    changes = {key: replace(getattr(rotation, key), **{below: value}) if below else value}
    return replace(rotation, **changes)


def _models(rotation: Rotation, provider: Provider) -> dict[str, str]:
    """Models that are known without asking the vendor, by how they stand in variables; of those alike the first."""
    members = [model for models in rotation.quota_groups.values() for model in models]
    capped = [cap.model for cap in rotation.caps if cap.model is not None]
    names = (*provider.listed, *members, *rotation.model_tiers, *rotation.usage_weights, *capped)
    return {token(name): name for name in reversed(names)}


def _splits(rest: str, tiers: Collection[str]) -> Iterator[tuple[Tier, str]]:
    """Tier and name that ``1_2_BIG`` may mean, the likeliest first; names of models may begin with digits, too."""
    named: list[tuple[str, Tier]] = [(_EVERY, None), *((token(tier), tier) for tier in tiers)]
    for one, tier in sorted(named, key=lambda pair: len(pair[0]), reverse=True):
        if rest.startswith(f"{one}_"):
            yield tier, rest.removeprefix(f"{one}_")
    parts = rest.split("_")
    digits = next((index for index, part in enumerate(parts) if not _NUMBER.fullmatch(part)), len(parts) - 1)
    for count in range(digits, 0, -1):
        numbers = tuple(dict.fromkeys(map(int, parts[:count])))
        yield numbers if len(numbers) > 1 else numbers[0], "_".join(parts[count:])


def _same(one: Cap, other: Cap) -> bool:
    """Whether two caps are for the same tier and model or group."""
    alike = (one.model, one.group) == (other.model, other.group)
    return alike and set(tiers_of(one.tier)) == set(tiers_of(other.tier))


def idle_rules(
    rotations: Mapping[str, Rotation],
    credentials: Mapping[str, Sequence[Credential]],
    foreign: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Warnings for rules that do nothing with the keys that there are, once for all providers that have them.

    ``foreign`` are models by provider that begin with the name of another one.
    """
    found: dict[str, list[str]] = {}
    for name, keys in credentials.items():
        strange = (
            f"{model} begins with the name of another provider; if it is a model of {name}, write {name}/{model}"
            for model in foreign.get(name, ())
        )
        for reason in dict.fromkeys((*idle(rotations[name], keys), *strange)):
            found.setdefault(reason, []).append(name)
    return tuple(f"rotation of {', '.join(names)}: {reason}" for reason, names in found.items())
