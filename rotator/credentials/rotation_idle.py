"""Rules of a rotation that do nothing with the keys that there are: what is said was meant to have an effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rotator.config.rotation import Cap, Rotation, Window
from rotator.config.suggest import nearest
from rotator.contracts import Credential
from rotator.credentials.caps import CapRule
from rotator.credentials.policy import Policy, Tier, listed, name_fits, tier_fits


def idle(rotation: Rotation, keys: Sequence[Credential]) -> Iterator[str]:
    """A reason for each of them; the same one may come twice."""
    yield from _idle_tiers(rotation, keys)
    yield from _idle_windows(rotation, keys)
    yield from _idle_caps(rotation, keys)
    yield from _idle_groups(rotation)
    if rotation.no_reset.policy == "cooldown" and not rotation.no_reset.cooldown_seconds:
        yield "no_reset: policy cooldown does nothing while cooldown_seconds is 0"


def tiers_of(tier: Tier) -> tuple[int | str, ...]:
    """The tiers that a cap names."""
    return tier if isinstance(tier, tuple) else () if tier is None else (tier,)


def _idle_tiers(rotation: Rotation, keys: Sequence[Credential]) -> Iterator[str]:
    for model, need in rotation.model_tiers.items():
        worst = need if isinstance(need, int) else rotation.tiers.get(need, 0)
        if not any(key.tier == need or key.priority <= worst for key in keys):
            yield f"model_tiers: no key has tier {need}, which {model} needs"
    for cap in rotation.caps:
        for tier in tiers_of(cap.tier):
            if not any(tier_fits(tier, key) for key in keys):
                yield f"{_shown(cap)}: no key has tier {tier}"


def _idle_windows(rotation: Rotation, keys: Sequence[Credential]) -> Iterator[str]:
    for window in rotation.windows:
        if not any(tier_fits(window.tier, key) for key in keys):
            yield f"the window {window.name}: no key has tier {window.tier}"
        if window.every == "day" and window.day != 1:
            yield f"the window {window.name}: day does nothing with every: day"
        if window.every is None and (said := _calendar(window)):
            does = "does" if len(said) == 1 else "do"
            yield f"the window {window.name}: {' and '.join(said)} {does} nothing without every: day, week or month"


def _calendar(window: Window) -> list[str]:
    """What is said of the calendar."""
    said = {"at": window.at != "00:00", "day": window.day != 1, "zone": window.zone != "UTC"}
    return [key for key, is_said in said.items() if is_said]


def _idle_caps(rotation: Rotation, keys: Sequence[Credential]) -> Iterator[str]:
    policy = Policy(rotation)
    for cap in rotation.caps:
        members = _members(cap, rotation)
        if cap.group is not None and members is None:
            meant = nearest(cap.group, rotation.quota_groups)
            hint = f" (did you mean {meant}?)" if meant else ""
            yield f"{_shown(cap)}: there is no such quota group{hint}"
        elif cap.group is None or members:
            limits = {_limit(policy, key) for key in keys if _holds(cap, rotation, key)}
            yield from _worthless(cap, limits)


def _members(cap: Cap, rotation: Rotation) -> list[str] | None:
    """The models of a cap's quota group; None if there is no such group."""
    fitting = [models for name, models in rotation.quota_groups.items() if name_fits(cap.group or "", name)]
    return [model for models in fitting for model in models] if fitting else None


def _worthless(cap: Cap, limits: set[float | None]) -> Iterator[str]:
    """Of a cap that depends on a limit; ``limits`` are those of its keys."""
    rule = CapRule.of(cap)
    known = sorted(limit for limit in limits if limit is not None)
    if rule.kind == "absolute" or not limits:
        return
    if not known:
        yield f"{_shown(cap)} is inactive until the vendor states a limit"
    for limit in known:
        if not rule.most(limit):
            yield f"{_shown(cap)} allows no request where the limit is {limit:g}"


def _holds(cap: Cap, rotation: Rotation, key: Credential) -> bool:
    """Whether a cap counts for a key: one for its tier goes before one for all."""
    if cap.tier is not None:
        return tier_fits(cap.tier, key)
    same = (other for other in rotation.caps if (other.model, other.group) == (cap.model, cap.group))
    return not any(other.tier is not None and tier_fits(other.tier, key) for other in same)


def _limit(policy: Policy, key: Credential) -> float | None:
    """That of the key's first window in requests."""
    windows = policy.windows(key, policy.rules(""))
    return next((window.limit for window in windows if window.unit == "requests"), None)


def _idle_groups(rotation: Rotation) -> Iterator[str]:
    groups = list(rotation.quota_groups.items())
    for place, (name, members) in enumerate(groups):
        for model in members:
            first = next((other for other, models in groups[:place] if listed(models, model)), None)
            if first is not None:
                yield f"quota_groups: {model} is in {first} and in {name}; the first counts"


def _shown(cap: Cap) -> str:
    """``the cap "80%" of big``."""
    return f'the cap "{cap.max}" of {cap.model or cap.group}'
