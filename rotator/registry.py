"""What plug-ins registered, by name: protocols, adapters, providers, strategies.  Frozen once it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType, MappingProxyType
from typing import Any, Final, Literal

from rotator.config.suggest import unknown
from rotator.contracts import Adapter, ProtocolAdapter, Provider
from rotator.errors import PluginError
from rotator.rotation import Strategy
from rotator.upstream.adapter import NeutralAdapter, WireAdapter

Kind = Literal["protocols", "adapters", "providers", "strategies"]
#: Those that have a folder; a module in any of them may register any.
KINDS: Final[tuple[Kind, ...]] = ("protocols", "adapters", "providers")
REGISTERED: Final[tuple[Kind, ...]] = (*KINDS, "strategies")
_ONE: Final[Mapping[Kind, str]] = {
    "protocols": "protocol", "adapters": "adapter", "providers": "provider", "strategies": "strategy"
}  # fmt: skip

_CONTRACTS: Final[Mapping[Kind, type]] = {
    "protocols": ProtocolAdapter,
    "adapters": Adapter,
    "providers": Provider,
    "strategies": Strategy,
}


def members(contract: type) -> tuple[str, ...]:
    """The public names that a contract asks for: annotated attributes and methods."""
    functions = [name for name, value in vars(contract).items() if type(value) is FunctionType]
    names = [*contract.__annotations__, *functions]
    return tuple(name for name in names if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Registration:
    """One thing that a module registered, and the file (or entry point) that it came from."""

    kind: Kind
    name: str
    thing: Any
    path: str


def one_of(kind: Kind) -> str:
    """The singular of a kind."""
    return _ONE[kind]


def checked(kind: Kind, thing: Any, path: str) -> Registration:
    """A registration whose thing offers what its kind's contract asks for.  Raises PluginError naming what lacks."""
    name = getattr(thing, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginError(path, f"{_shown(thing)} has no name")
    lacking = [member for member in members(_CONTRACTS[kind]) if not hasattr(thing, member)]
    if lacking:
        raise PluginError(path, f"{one_of(kind)} {name!r} lacks {', '.join(lacking)}")
    if kind == "adapters":
        _check_adapter(thing, path)
    return Registration(kind, name, thing, path)


def _check_adapter(thing: object, path: str) -> None:
    """Adapters are classes: one object serves one attempt."""
    if not isinstance(thing, type):
        raise PluginError(path, f"adapter {_shown(thing)} must be a class, not an object")
    adapter: Any = thing
    if issubclass(thing, WireAdapter | NeutralAdapter):
        known = [name for name in vars(WireAdapter) if name.startswith("on_")]
        for name in dir(thing):
            if name.startswith("on_") and name not in known:
                raise PluginError(path, f"adapter {adapter.name!r}: {unknown(f'stage {name}', name, known)}")
    if adapter.form not in ("wire", "neutral"):
        raise PluginError(path, f"adapter {adapter.name!r}: form must be 'wire' or 'neutral', not {adapter.form!r}")
    listed = adapter.protocols
    if not isinstance(listed, tuple | list | set | frozenset) or not all(isinstance(one, str) for one in listed):
        raise PluginError(path, f"adapter {adapter.name!r}: protocols must be a sequence of protocol names")


def _shown(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else type(thing).__name__


@dataclass(frozen=True, slots=True)
class Registry:
    """Name -> thing for each kind, with the file each came from; immutable."""

    protocols: Mapping[str, ProtocolAdapter]
    adapters: Mapping[str, type[Adapter]]
    providers: Mapping[str, Provider]
    strategies: Mapping[str, Strategy]
    paths: Mapping[tuple[Kind, str], str]

    @property
    def fallback(self) -> ProtocolAdapter:
        """The protocol in whose envelope requests are refused that none recognises.  Raises PluginError without one."""
        for protocol in self.protocols.values():
            if protocol.fallback:
                return protocol
        raise PluginError("protocols", "no protocol declares itself the fallback for unknown requests")


def freeze(registrations: Mapping[tuple[Kind, str], Registration]) -> Registry:
    """The registry of these registrations, each kind sorted by name."""

    def of(kind: Kind) -> Mapping[str, Any]:
        found = {name: entry.thing for (its, name), entry in sorted(registrations.items()) if its == kind}
        return MappingProxyType(found)

    paths = MappingProxyType({key: entry.path for key, entry in registrations.items()})
    return Registry(of("protocols"), of("adapters"), of("providers"), of("strategies"), paths)
