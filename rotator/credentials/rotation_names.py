"""Names of models as rotation writes them: a provider's own name in front is taken off, ``acme/big`` -> ``big``.

Clients write it there; whoever copies a name from a request means the same model.  Source: design.md 6, model names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.contracts import Provider


@dataclass(frozen=True, slots=True)
class ModelNames:
    """For one provider.  ``known`` are the names of all, ``foreign`` takes names that begin with that of another."""

    provider: Provider
    known: Collection[str]
    foreign: list[str]

    def of_all(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of all providers, without the models of others."""
        return self._changed(said, keep=False)

    def of_this(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of this provider: a name that begins with that of another may be a model of this one, too."""
        return self._changed(said, keep=True)

    def of_group(self, members: Iterable[str], keep: bool = True) -> tuple[str, ...]:
        """The members of a quota group."""
        owned = (self._own(member, keep) for member in members)
        return tuple(dict.fromkeys(name for name in owned if name is not None))

    def _changed(self, said: Mapping[str, Any], keep: bool) -> dict[str, Any]:
        """``said`` is good by itself; null in it stands for nothing."""
        changed = dict(said)
        for key in ("model_tiers", "usage_weights"):
            if said.get(key):
                changed[key] = self._table(said[key], keep)
        if said.get("quota_groups"):
            groups = said["quota_groups"].items()
            changed["quota_groups"] = {name: self.of_group(members, keep) for name, members in groups}
        if said.get("caps"):
            changed["caps"] = self._caps(said["caps"], keep)
        return changed

    def _table(self, table: Mapping[str, Any], keep: bool) -> dict[str, Any]:
        """Of ``acme/big`` and ``big`` the one with the provider counts."""
        kept: dict[str, Any] = {}
        for name, value in table.items():
            own = self._own(str(name), keep)
            if own is not None and (own not in kept or own != name):
                kept[own] = value
        return kept

    def _caps(self, caps: Iterable[Mapping[str, Any]], keep: bool) -> list[Mapping[str, Any]]:
        kept = []
        for cap in caps:
            model = cap.get("model")
            own = None if model is None else self._own(model, keep)
            if model is None or own is not None:
                kept.append(cap if model is None else {**cap, "model": own})
        return kept

    def _own(self, model: str, keep: bool) -> str | None:
        """The name at this provider; None for a model of another that is to be left out."""
        head, _, rest = model.partition("/")
        owner = head.lower()
        if not rest or owner not in self.known:
            return model
        listed = model in self.provider.listed
        if owner == self.provider.name:
            return model if listed else rest
        if keep and not listed:
            self.foreign.append(model)
        return model if keep else None
