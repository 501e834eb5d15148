"""How a provider's wire differs from its protocol's: words of the codec's, values of the provider's declaration."""

from __future__ import annotations

from collections.abc import Mapping

from rotator.config.reader import At
from rotator.contracts import Profile, ProtocolAdapter, Provider
from rotator.errors import ConfigError, Problem


def check_dialects(provider: Provider, protocols: Mapping[str, ProtocolAdapter], at: At) -> None:
    """Raises ConfigError with every word of the provider's dialects that its protocols do not know."""
    problems: list[Problem] = []
    for profile in provider.profiles.values():
        protocol = protocols.get(profile.protocol)
        if not profile.dialect or protocol is None:
            continue
        place = _place(profile, provider, at)
        if not protocol.codecs:
            problems.append(Problem(place.where, place.key, f"{protocol.name} has no dialects"))
        for codec in protocol.codecs.values():
            try:
                codec.with_dialect(profile.dialect)
            except ConfigError as error:
                problems += (Problem(place.where, _below(place.key, one.key), one.reason) for one in error.problems)
    if problems:
        raise ConfigError(dict.fromkeys(problems))  # several codecs of a protocol know the same words


def _place(profile: Profile, provider: Provider, at: At) -> At:
    """A profile's dialect stands in it, that of the top-level protocol beside the protocol."""
    top = profile.name == next(iter(provider.profiles))
    return at.child("dialect") if top else at.child("profiles").child(profile.name).child("dialect")


def _below(key: str, inner: str) -> str:
    return f"{key}.{inner}" if inner else key
