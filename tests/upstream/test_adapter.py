"""Adapters as declarations name them: what is made of them, what is refused and where, and one object per attempt."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.config.reader import At, setting
from rotator.contracts import Context, JsonFrame, Note
from rotator.errors import ConfigError
from rotator.plugins import load
from rotator.upstream.adapter import NeutralAdapter, WireAdapter, make_adapters
from rotator.upstream.provider import HttpProvider
from tests.proxy import make_world
from tests.upstreams import PROTOCOLS

BUILT_IN = dict(load().registry.adapters)


@dataclass(frozen=True)
class Wishes:
    """Options with a required one, one under another key, and a check of their own."""

    source: str = setting(key="from")
    times: int = setting(2, minimum=1)

    def __post_init__(self) -> None:
        if self.source == "nowhere":
            raise ValueError("from: leads nowhere")


class Wishing(WireAdapter):
    name = "wishing"
    protocols = ("chat",)
    Options = Wishes


class Plain(WireAdapter):
    """Keeps what it saw."""

    name = "plain"
    seen = 0

    def on_event(self, frame: JsonFrame) -> Iterable[JsonFrame]:
        self.seen += 1
        return (frame,)


class Unborn(WireAdapter):
    name = "unborn"

    def __init__(self, options: Any = None) -> None:
        raise LookupError("no such star")


class Neutral(NeutralAdapter):
    name = "thinker"


class Own:
    """Derives from nothing of ours."""

    name = "own"
    form = "wire"
    protocols = ("messages",)

    def __init__(self, options: Any) -> None:
        self.options = options

    def open(self, ctx: Context) -> "Own":
        return self


#: A protocol that cannot be translated.
MUTE: Any = type("Mute", (), {"name": "mute", "codecs": {}})()
KNOWN: dict[str, Any] = {one.name: one for one in (Wishing, Plain, Unborn, Neutral, Own)} | BUILT_IN


def made(*uses: Any, protocol: str = "chat", profiles: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The adapters of a provider that declares these."""
    declared = {"name": "x", "protocol": protocol, "base_url": "http://127.0.0.1:9/v1", "adapters": list(uses)}
    provider = HttpProvider(declared | ({"profiles": profiles} if profiles else {}))
    return make_adapters(provider, KNOWN, {**PROTOCOLS, "mute": MUTE}, At("rotator.yaml", "providers.x"))


def problems(*uses: Any, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        made(*uses, **more)
    return [str(problem) for problem in error.value.problems]


def context(notes: list[Note] | None = None) -> Context:
    return Context("x", "chat", "m", "chat", "generate", "id", "session", "caller", notes if notes is not None else [])


def test_adapters_are_made_in_order() -> None:
    first, second, third = made("plain", {"wishing": {"from": "a", "times": 3}}, "plain")
    assert [type(one) for one in (first, second, third)] == [Plain, Wishing, Plain] and first is not third
    assert second.options == Wishes("a", 3)
    assert made() == ()


@pytest.mark.parametrize("options", [None, {}])
def test_an_adapter_without_options_takes_none(options: Any) -> None:
    assert made({"plain": options})[0].options is None


def test_options_left_out_are_the_defaults() -> None:
    assert made({"wishing": {"from": "a"}})[0].options == Wishes("a", 2)
    [adapter] = made("developer_role")
    assert adapter.options.to == "system"


PLACE = "rotator.yaml: providers.x.adapters[1]"

REFUSED: dict[str, tuple[Any, str]] = {
    "unknown": ("quiet", f"{PLACE}: unknown adapter 'quiet'"),
    "nearest": ("plian", f"{PLACE}: unknown adapter 'plian' (did you mean plain?)"),
    "nearest of ours": (
        {"rename_feild": {}}, f"{PLACE}: unknown adapter 'rename_feild' (did you mean rename_field?)"
    ),
    "option": (
        {"rename_field": {"from": "a", "to": "b", "form": "c"}},
        f"{PLACE}.rename_field.form: unknown key (did you mean from?)",
    ),
    "required": ("wishing", f"{PLACE}.wishing.from: missing"),
    "type": ({"wishing": {"from": 3}}, f"{PLACE}.wishing.from: expected text, found 3"),
    "range": (
        {"wishing": {"from": "a", "times": 0}},
        f"{PLACE}.wishing.times: expected a whole number of at least 1, found 0",
    ),
    "no mapping": ({"wishing": ["a"]}, f"{PLACE}.wishing: expected a mapping, found a list"),
    "takes none": ({"plain": {"from": "a"}}, f"{PLACE}.plain: takes no options"),
    "protocol": ("own", f"{PLACE}: adapter 'own' is for messages; x speaks chat"),
    "raises": ("unborn", f"{PLACE}.unborn: LookupError: no such star"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_serve_is_refused_at_its_place(what: str) -> None:
    use, told = REFUSED[what]
    assert problems("plain", use) == [told]


def test_a_check_of_the_options_own_is_told_under_their_adapter() -> None:
    [told] = problems("plain", {"wishing": {"from": "nowhere"}})
    assert told.startswith(f"{PLACE}.wishing") and told.endswith("from: leads nowhere")


def test_everything_wrong_is_told_at_once() -> None:
    told = problems("plian", {"wishing": {"form": "a", "times": 0}}, "thinker", "unborn", "plain")
    assert [one.partition(": ")[2].partition(": ")[0] for one in told] == [
        "providers.x.adapters[0]",
        "providers.x.adapters[1].wishing.form",
        "providers.x.adapters[1].wishing.times",
        "providers.x.adapters[1].wishing.from",
        "providers.x.adapters[3].unborn",
    ]


def test_a_neutral_adapter_needs_protocols_that_can_be_translated() -> None:
    [adapter] = made("thinker")
    assert type(adapter) is Neutral
    assert problems("plain", "thinker", protocol="mute") == [
        f"{PLACE}: adapter 'thinker' is neutral, and mute cannot be translated"
    ]


def test_one_profile_that_it_understands_is_enough() -> None:
    profiles = {"messages": {"protocol": "messages", "base_url": "http://127.0.0.1:9"}}
    [adapter] = made("own", profiles=profiles)
    assert type(adapter) is Own
    assert problems({"wishing": {"from": "a"}}, protocol="messages") == [
        "rotator.yaml: providers.x.adapters[0]: adapter 'wishing' is for chat; x speaks messages"
    ]


@pytest.mark.parametrize(
    ("adapters", "told"),
    [
        ("plain", "providers.x.adapters: expected a list, found 'plain'"),
        ([{}], "providers.x.adapters[0]: expected a name, or one name with its options"),
        ([""], "providers.x.adapters[0]: expected a name, or one name with its options"),
        (["a", {"b": {}, "c": {}}], "providers.x.adapters[1]: expected a name, or one name with its options"),
        ([3], "providers.x.adapters[0]: expected text, found 3"),
    ],
)
def test_a_use_is_a_name_or_one_name_with_options(adapters: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        HttpProvider(
            {"name": "x", "protocol": "chat", "base_url": "http://h/v1", "adapters": adapters},
            At("rotator.yaml", "providers.x"),
        )
    assert [str(problem) for problem in error.value.problems] == [f"rotator.yaml: {told}"]


@pytest.mark.parametrize("name", ["mine", "openai"])
def test_a_mistake_in_the_configuration_file_stops_the_start(tmp_path: Path, name: str) -> None:
    """For a provider of its own and for one that only gets adapters there, also without a key."""
    own = "{protocol: chat, base_url: 'http://127.0.0.1:9/v1', " if name == "mine" else "{"
    config = f"providers: {{{name}: {own}adapters: [developer_role, {{rename_field: {{form: a, to: b}}}}]}}}}"
    with pytest.raises(ConfigError) as error:
        make_world({}, tmp_path, config=config)
    place = f"rotator.yaml: providers.{name}.adapters[1].rename_field"
    assert [str(problem) for problem in error.value.problems] == [
        f"{place}.form: unknown key (did you mean from?)",
        f"{place}.from: missing",
    ]


def test_each_attempt_has_an_object_of_its_own() -> None:
    [adapter] = made("plain")
    notes: list[Note] = []
    one, other = adapter.open(context(notes)), adapter.open(context())
    list(one.on_event(JsonFrame(None, {})))
    list(one.on_event(JsonFrame(None, {})))
    list(other.on_event(JsonFrame(None, {})))
    assert (one.seen, other.seen, adapter.seen, adapter.open(context()).seen) == (2, 1, 0, 0)
    one.ctx.note(one.name, "looked", "a", "b")
    assert notes == [("plain", "looked", "a", "b")] and other.ctx.notes == []
    assert not hasattr(adapter, "ctx")


def test_an_opened_adapter_has_what_the_constructor_made() -> None:
    class Compiled(Wishing):
        def __init__(self, options: Any = None) -> None:
            super().__init__(options)
            self.letters = list(self.options.source)

    adapter = Compiled({"from": "ab"})
    opened = adapter.open(context())
    assert type(opened) is Compiled and opened.letters == adapter.letters and opened.options is adapter.options
    opened.letters.append("c")  # this attempt's own
    assert adapter.letters == ["a", "b"] and adapter.open(context()).letters == ["a", "b"]


def test_the_base_changes_nothing() -> None:
    adapter = WireAdapter().open(context())
    body, frame = {"a": [1]}, JsonFrame("e", {"a": 1})
    assert adapter.on_request(body) is body and adapter.on_response(body) is body
    assert list(adapter.on_event(frame)) == [frame] and list(adapter.on_end()) == []
    assert body == {"a": [1]} and frame == JsonFrame("e", {"a": 1})
