"""What counts as a protocol, an adapter, a provider; names given away; immutability."""

from typing import Any

import pytest

from rotator.contracts import Adapter, Context, ProtocolAdapter, Provider
from rotator.errors import PluginError
from rotator.plugins import load
from rotator.registry import KINDS, Kind, Registration, checked, freeze, members
from rotator.upstream.provider import HttpProvider

PATH = "mine/providers/x.py"
DECLARED = {"name": "x", "protocol": "chat", "base_url": "http://127.0.0.1:9/v1"}
CONTRACTS: dict[Kind, type] = {"protocols": ProtocolAdapter, "adapters": Adapter, "providers": Provider}


class Fine:
    """An adapter."""

    name = "fine"
    form = "wire"
    protocols = ("chat",)

    def open(self, ctx: Context) -> "Fine":
        return self


def things(kind: Kind) -> dict[str, Any]:
    """Something that is fine, as a mapping of its members."""
    registry = load().registry
    thing: Any = {"protocols": registry.protocols["chat"], "adapters": Fine, "providers": HttpProvider(DECLARED)}[kind]
    return {name: getattr(thing, name) for name in members(CONTRACTS[kind])}


def refused(kind: Kind, thing: Any) -> str:
    with pytest.raises(PluginError) as error:
        checked(kind, thing, PATH)
    assert error.value.path == PATH and str(error.value).startswith(f"{PATH}: ")
    return error.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_every_member_of_a_contract_is_asked_for(kind: Kind) -> None:
    whole = things(kind)
    assert "name" in whole and len(whole) >= 3
    made = type("Made", (), dict(whole))
    assert checked(kind, made if kind == "adapters" else made(), PATH).name == whole["name"]
    for member in whole:
        lacking = type("Made", (), {name: value for name, value in whole.items() if name != member})
        reason = refused(kind, lacking if kind == "adapters" else lacking())
        assert "no name" in reason if member == "name" else reason == f"{kind[:-1]} {whole['name']!r} lacks {member}"


def test_several_missing_members_are_told_together() -> None:
    half = type("Half", (), {"name": "half", "form": "wire"})
    assert refused("providers", half()).startswith("provider 'half' lacks profiles, default_profile, keyless, ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", None, 3, b"x"])
def test_a_name_is_a_text(kind: Kind, name: object) -> None:
    made = type("Made", (), {**things(kind), "name": name})
    assert refused(kind, made if kind == "adapters" else made()) == "Made has no name"


@pytest.mark.parametrize("form", ["Wire", "", None, "both", ["wire"]])
def test_a_form_is_one_of_two(form: object) -> None:
    assert "form must be 'wire' or 'neutral'" in refused("adapters", type("A", (Fine,), {"form": form}))


@pytest.mark.parametrize("protocols", ["chat", [1], ("chat", None), 3, None])
def test_protocols_are_names(protocols: object) -> None:
    """A bare text would be taken for its letters."""
    reason = refused("adapters", type("A", (Fine,), {"protocols": protocols}))
    assert reason == "adapter 'fine': protocols must be a sequence of protocol names"


@pytest.mark.parametrize("protocols", [(), ["chat"], ("chat", "messages"), frozenset({"chat"})])
def test_no_protocols_means_any(protocols: object) -> None:
    assert checked("adapters", type("A", (Fine,), {"protocols": protocols}), PATH).name == "fine"


def test_an_adapter_is_a_class() -> None:
    """One object serves one attempt; an object that may be called is none either."""
    assert refused("adapters", Fine()) == "adapter Fine must be a class, not an object"
    callable_object = type("Callable", (Fine,), {"__call__": lambda self: None})()
    assert refused("adapters", callable_object) == "adapter Callable must be a class, not an object"


def test_a_registry_is_sorted_and_does_not_change() -> None:
    entries = [Registration("adapters", name, Fine, f"{name}.py") for name in ("b", "a")]
    registry = freeze({(entry.kind, entry.name): entry for entry in entries})
    assert list(registry.adapters) == ["a", "b"] and registry.paths["adapters", "a"] == "a.py"
    assert not registry.providers and not registry.protocols
    with pytest.raises(TypeError):
        registry.adapters["c"] = Fine  # type: ignore[index]


def test_unknown_requests_need_a_protocol_to_be_refused_in() -> None:
    assert load().registry.fallback.name == "chat"
    with pytest.raises(PluginError, match="fallback"):
        _ = freeze({}).fallback
