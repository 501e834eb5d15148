"""Credentials and dynamic providers from the environment.  Source: design.md 6, Credentials.

``<PROVIDER>_API_KEY``, ``<PROVIDER>_API_KEY_<N>`` and facts about each key, by an anchored pattern; names are matched
against the known providers, upper-cased with every character but letters and digits as ``_``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from rotator.config.environment import Variable
from rotator.config.reader import found as found_there
from rotator.config.sections import CLIENT_KEY, KEY_FORM
from rotator.config.suggest import nearest
from rotator.contracts import Credential, KeyFacts, Provider
from rotator.errors import Problem
from rotator.neutral.secret import Secret

DEFAULT_PRIORITY: Final = 10
#: Labels stand in headers, of which there is room for a few kB.
LABEL_CHARACTERS: Final = 100
#: What documentation writes where a key belongs.
_PLACEHOLDERS: Final = ("...", "sk-...", "your-api-key", "your_api_key", "<your-api-key>", "changeme")
_BASE: Final = re.compile(r"([A-Z0-9_]+)_API_BASE")
_PROXY: Final = re.compile(r"([A-Z0-9_]+)_PROXY_URL")


def token(provider: str) -> str:
    """How a provider's name stands in variables: ``my-llm`` -> ``MY_LLM``."""
    return re.sub(r"[^A-Z0-9]", "_", provider.upper())


@dataclass(frozen=True, slots=True)
class _Key:
    """One key as the variables state it, before labels are settled."""

    number: int
    name: str
    held: Variable


@dataclass(frozen=True, slots=True)
class ProviderVariables:
    """What the variables say of providers, by upper-cased token; ``unknown`` tokens have a key but no provider."""

    bases: Mapping[str, Variable]
    proxies: Mapping[str, Variable]
    keys: Mapping[str, tuple[_Key, ...]]
    facts: Mapping[tuple[str, int], Mapping[str, Variable]]


def sift(environment: Mapping[str, Variable]) -> ProviderVariables:
    """Sort the variables by provider token; blank values are no keys (the environment drops them)."""
    bases: dict[str, Variable] = {}
    proxies: dict[str, Variable] = {}
    keys: dict[str, list[_Key]] = {}
    facts: dict[tuple[str, int], dict[str, Variable]] = {}
    for name, held in sorted(environment.items()):
        if match := KEY_FORM.fullmatch(name):
            if match[1] + "_API_KEY" == CLIENT_KEY:
                continue
            number = int(match[2] or 0)
            if match[3]:
                facts.setdefault((match[1], number), {})[match[3]] = held
            else:
                keys.setdefault(match[1], []).append(_Key(number, name, held))
        elif match := _BASE.fullmatch(name):
            bases[match[1]] = held
        elif match := _PROXY.fullmatch(name):
            proxies[match[1]] = held
    ordered = {one: tuple(sorted(found, key=lambda key: (key.number, key.name))) for one, found in keys.items()}
    return ProviderVariables(bases, proxies, ordered, facts)


def unused(found: ProviderVariables, providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """Warnings for what belongs to no provider or no key: a misspelt name, or a variable that is missing."""
    known = {token(name): name for name in providers}
    warnings = []
    for one, keys in sorted(found.keys.items()):
        if one not in known:
            near = nearest(one.lower(), known.values())
            hint = f"did you mean {token(near)}_API_KEY?" if near else f"set {one}_API_BASE to make it one"
            warnings.append(f"{keys[0].held.origin}: {keys[0].name}: no provider {one.lower()!r}; {hint}")
    for kind, held in (("API_BASE", found.bases), ("PROXY_URL", found.proxies)):
        for one, variable in sorted(held.items()):
            if one not in known:
                near = nearest(one.lower(), known.values())
                hint = f"did you mean {token(near)}_{kind}?" if near else f"set {one}_API_KEY to make it one"
                warnings.append(f"{variable.origin}: {variable.name}: no provider {one.lower()!r}; {hint}")
    for name, provider in providers.items():
        numbers = {str(key.number) for key in found.keys.get(token(name), ())}
        warnings += [
            f"providers.{name}.credentials.{number}: there is no such key ({token(name)}_API_KEY_{number})"
            for number in provider.key_facts()
            if number not in numbers
        ]
    return tuple(warnings)


def credentials_of(
    provider: Provider,
    found: ProviderVariables,
    problems: list[Problem],
    tiers: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Credential, ...]:
    """A provider's credentials in the order of their numbers; the same secret twice is one under its first name.

    Facts from the environment win over those of the declaration; ``tiers`` are priorities by tier, for keys that state
    none.  A keyless provider has one credential, ``#0``.
    """
    one = token(provider.name)
    credentials: list[Credential] = []
    seen: set[Secret] = set()
    for key in found.keys.get(one, ()) if not provider.stand_in else ():
        if key.held.value in seen:
            continue
        if reason := _unsendable(key.held.value.reveal()):
            problems.append(Problem(key.held.origin, key.name, reason))
            continue
        seen.add(key.held.value)
        facts = _facts(provider, key.number, found.facts.get((one, key.number), {}), problems)
        if facts.priority is None and facts.tier is not None:
            facts = replace(facts, priority=tiers.get(facts.tier))
        credentials.append(_credential(provider.name, key.number, key.held.value, facts))
    numbers = {key.number for key in found.keys.get(one, ())}
    for (fact_token, number), stated in found.facts.items():
        if fact_token == one and not provider.stand_in and number not in numbers:
            held = next(iter(stated.values()))
            missing = f"{one}_API_KEY_{number}" if number else f"{one}_API_KEY"
            problems.append(Problem(held.origin, held.name, f"{missing} is not set"))
    own = provider.own_secrets() if not credentials else ()
    credentials += [_credential(provider.name, number, secret, KeyFacts()) for number, secret in enumerate(own, 1)]
    if provider.keyless and not credentials:
        credentials = [Credential(_identity(provider.name, None), provider.name, f"{provider.name}#0", None)]
    return _labelled(provider.name, credentials, problems)


def _unsendable(secret: str) -> str | None:
    """Why a key cannot stand in a header, without quoting it."""
    if secret.lower() in _PLACEHOLDERS:
        return "is a placeholder, not a key"
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return "a key holds printable ASCII without spaces only"
    return None


def _facts(provider: Provider, number: int, stated: Mapping[str, Variable], problems: list[Problem]) -> KeyFacts:
    declared = provider.key_facts().get(str(number), KeyFacts())
    priority = declared.priority
    if held := stated.get("PRIORITY"):
        text = held.value.reveal()
        if text.isascii() and text.isdigit() and 0 < len(text) < 7 and int(text) > 0:
            priority = int(text)
        else:
            reason = f"expected a whole number of at least 1, found {found_there(text)}"
            problems.append(Problem(held.origin, held.name, reason))
    label = stated["LABEL"].value.reveal() if "LABEL" in stated else declared.label
    tier = stated["TIER"].value.reveal() if "TIER" in stated else declared.tier
    return KeyFacts(label, tier, priority)


def _credential(provider: str, number: int, secret: Secret, facts: KeyFacts) -> Credential:
    label = facts.label or f"{provider}#{number}"
    identity = _identity(provider, secret)
    return Credential(identity, provider, label, secret, facts.tier, facts.priority or DEFAULT_PRIORITY)


def _identity(provider: str, secret: Secret | None) -> str:
    """A stable id that does not give the secret away: 16 hex digits of SHA-256 over provider and secret."""
    return sha256(f"{provider}\0{secret.reveal() if secret else ''}".encode()).hexdigest()[:16]


def _labelled(provider: str, credentials: list[Credential], problems: list[Problem]) -> tuple[Credential, ...]:
    """Labels are unique and printable; they stand in headers and logs."""
    taken: set[str] = set()
    for credential in credentials:
        if credential.label in taken:
            problems.append(Problem("credentials", provider, f"two keys are labelled {credential.label!r}"))
        if not credential.label.isprintable() or not credential.label.isascii() or "," in credential.label:
            reason = f"label {credential.label!r}: expected printable ASCII without commas"
            problems.append(Problem("credentials", provider, reason))
        if len(credential.label) > LABEL_CHARACTERS:
            reason = f"label {credential.label[:20]!r}...: expected at most {LABEL_CHARACTERS} characters"
            problems.append(Problem("credentials", provider, reason))
        taken.add(credential.label)
    return tuple(credentials)
