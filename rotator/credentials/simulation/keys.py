"""The keys of a simulation: those that there are, and those that are only spoken of.  No secret is needed for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from rotator.config.rotation import Rotation
from rotator.config.suggest import unknown
from rotator.contracts import Credential, KeyFacts, Provider
from rotator.credentials.discovery import DEFAULT_PRIORITY
from rotator.errors import ConfigError, Problem


def keys_of(
    providers: Mapping[str, Provider],
    held: Mapping[str, Sequence[Credential]],
    numbers: Mapping[str, Collection[str]],
    rotations: Mapping[str, Rotation],
) -> dict[str, tuple[Credential, ...]]:
    """By provider: ``held``, then a key for each number under ``credentials`` that is not in ``numbers`` (of ``held``).

    Providers without any are left out.
    """
    made = {}
    for name, provider in providers.items():
        declared = [(number, facts) for number, facts in provider.key_facts().items() if number not in numbers[name]]
        made[name] = (*held.get(name, ()), *_made(name, sorted(declared, key=_by_number), rotations[name].tiers))
    return {name: keys for name, keys in made.items() if keys}


def with_spoken(
    keys: Mapping[str, tuple[Credential, ...]],
    spoken: Mapping[str, int | Sequence[KeyFacts]],
    rotations: Mapping[str, Rotation],
    where: str,
) -> dict[str, tuple[Credential, ...]]:
    """``keys``, and those that a load (``where``) speaks of for providers without one; ``rotations`` names all of them.

    Raises ConfigError for a provider that there is none of, and for labels that are not unique.
    """
    problems: list[Problem] = []
    made = dict(keys)
    for name, said in spoken.items():
        if name not in rotations:
            problems.append(Problem(where, f"keys.{name}", unknown("provider", name, rotations)))
        elif name not in made:
            made[name] = tuple(_made(name, _spoken(said), rotations[name].tiers))
    owners: set[str] = set()
    for key in (key for ones in made.values() for key in ones):
        if key.label in owners:
            problems.append(Problem(where, "keys", f"two keys are labelled {key.label!r}"))
        owners.add(key.label)
    if problems:
        raise ConfigError(problems)
    return dict(sorted(made.items()))


def _by_number(one: tuple[str, KeyFacts]) -> tuple[int, str]:
    return int(one[0]) if one[0].isdecimal() else 0, one[0]


def _spoken(said: int | Sequence[KeyFacts]) -> Iterator[tuple[str, KeyFacts]]:
    every = [KeyFacts()] * said if isinstance(said, int) else said
    return ((str(number), facts) for number, facts in enumerate(every, 1))


def _made(
    provider: str, facts: Iterable[tuple[str, KeyFacts]], tiers: Mapping[str, int]
) -> Iterator[Credential]:
    for number, said in facts:
        label = said.label or f"{provider}#{number}"
        priority = said.priority or (tiers.get(said.tier) if said.tier is not None else None) or DEFAULT_PRIORITY
        identity = sha256(f"simulated\0{provider}\0{label}".encode()).hexdigest()[:16]
        yield Credential(identity, provider, label, None, said.tier, priority)
