"""Providers from declarations: addresses, credential headers, what a declaration may say, and overlays."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.reader import At
from rotator.contracts import Credential, KeyFacts, Profile, Runtime
from rotator.errors import ConfigError, PluginError
from rotator.neutral.error import ErrorKind, NeutralError
from rotator.neutral.secret import Secret
from rotator.plugins import load
from rotator.upstream.provider import HttpProvider, merged

REGISTRY = load().registry
BASE = {"name": "alpha", "protocol": "chat", "base_url": "https://alpha.example/v1"}
KEY = Credential("id-1", "alpha", "alpha#1", Secret("planted-value"))


def provider(**declared: Any) -> HttpProvider:
    return HttpProvider({**BASE, **declared})


def problems(**declared: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        HttpProvider({**BASE, **declared}, At("file.yaml"))
    return [str(problem) for problem in caught.value.problems]


# Addresses.

JOINED = {
    ("https://api.example/v1", "/chat/completions"): "https://api.example/v1/chat/completions",
    ("https://api.example/v1/", "/chat/completions"): "https://api.example/v1/chat/completions",
    ("https://api.example", "/chat/completions"): "https://api.example/chat/completions",
    ("https://api.example/openai/v1", "/models"): "https://api.example/openai/v1/models",
    ("https://api.example", "/v1/messages"): "https://api.example/v1/messages",
    ("https://api.example/", "/v1/messages"): "https://api.example/v1/messages",
    ("https://api.example/v1", "/v1/messages"): "https://api.example/v1/messages",
    ("https://api.example/v1//", "/v1/messages"): "https://api.example/v1/messages",
    ("https://api.example/v1", "/v1/messages/count_tokens"): "https://api.example/v1/messages/count_tokens",
    ("https://api.example/anthropic", "/v1/messages"): "https://api.example/anthropic/v1/messages",
    ("https://api.example/anthropic/v1", "/v1/models"): "https://api.example/anthropic/v1/models",
    ("https://api.example/v2", "/v1/messages"): "https://api.example/v2/v1/messages",
    ("https://api.example/xv1", "/v1/messages"): "https://api.example/xv1/v1/messages",
    ("http://localhost:11434/v1", "/chat/completions"): "http://localhost:11434/v1/chat/completions",
    ("http://[::1]:8080/v1", "/models"): "http://[::1]:8080/v1/models",
}


@pytest.mark.parametrize(("parts", "address"), JOINED.items())
def test_base_and_path_with_both_conventions(parts: tuple[str, str], address: str) -> None:
    one = provider(base_url=parts[0])
    assert one.address(one.profiles["chat"], parts[1], "") == address
    assert one.address(one.profiles["chat"], parts[1], "a=b") == f"{address}?a=b"


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("https://api.example/chat", "/chat/completions"),
        ("https://api.example/messages", "/messages/count"),
        ("http://v1", "/v1/messages"),
        ("http://chat", "/chat/completions"),
    ],
)
def test_only_a_version_segment_is_not_doubled(base: str, path: str) -> None:
    """design.md 6: a base that already ends in the version; never a host's name or another segment."""
    one = provider(base_url=base)
    assert one.address(one.profiles["chat"], path, "") == base + path


@pytest.mark.parametrize("name", [name for name, one in REGISTRY.providers.items() if not one.stand_in])
def test_built_in_addresses_have_one_version(name: str) -> None:
    one = REGISTRY.providers[name]
    for profile in one.profiles.values():
        path = REGISTRY.protocols[profile.protocol].upstream_path("generate", "small", True)
        address = one.address(profile, path, "")
        assert address.startswith(profile.base_url) and address.count("/v1/") <= 1 and "//" not in address[8:]


BASES = {
    "": "base_url: expected http(s)://host/path",
    "api.example/v1": "base_url: expected http(s)://host/path",
    "ftp://api.example": "base_url: expected http(s)://host/path",
    "file:///etc/passwd": "base_url: expected http(s)://host/path",
    "https://": "base_url: expected http(s)://host/path",
    "https://user:pass@api.example": "base_url: a user name or password does not belong in it",
    "https://api.example/v1?key=1": "base_url: expected no query and no fragment",
    "https://api.example/v1?": "base_url: expected no query and no fragment",
    "https://api.example/#x": "base_url: expected no query and no fragment",
    "https://api.example:99999": "base_url: the port is no number from 0 to 65535",
    "https://api.example:http": "base_url: the port is no number from 0 to 65535",
    "https://api.example/a b": "base_url: contains spaces or control characters",
    "https://api.example/a\nb": "base_url: contains spaces or control characters",
}


@pytest.mark.parametrize(("base", "problem"), BASES.items())
def test_bases_that_cannot_be_used(base: str, problem: str) -> None:
    assert problems(base_url=base) == [f"file.yaml: {problem}"]
    (nested,) = problems(profiles={"other": {"protocol": "messages", "base_url": base}})
    assert nested == f"file.yaml: profiles.other.{problem}"


def test_a_base_with_a_password_is_refused_without_showing_it() -> None:
    assert "planted-value" not in "".join(problems(base_url="https://user:planted-value@api.example"))


@given(st.text(st.characters()))
def test_any_text_as_base_is_taken_or_refused(base: str) -> None:
    try:
        one = provider(base_url=base)
    except ConfigError:
        return
    assert one.profiles["chat"].base_url.lower().startswith(("http://", "https://"))


# Credentials.


@pytest.mark.parametrize(
    ("auth", "pair"),
    [
        ("bearer", ("authorization", "Bearer planted-value")),
        ("x-api-key", ("x-api-key", "planted-value")),
        ("x-goog-api-key", ("x-goog-api-key", "planted-value")),
        ({"header": "Api-Key"}, ("api-key", "planted-value")),
        ({"header": "X-Auth", "prefix": "Token "}, ("x-auth", "Token planted-value")),
    ],
)
def test_auth_schemes(auth: Any, pair: tuple[str, str]) -> None:
    one = provider(auth=auth)
    assert not one.keyless
    assert list(one.authorise(KEY)) == [pair]
    assert list(one.authorise(Credential("id-0", "alpha", "alpha#0", None))) == []


def test_bearer_is_the_default_and_none_sends_nothing() -> None:
    assert provider().authorise(KEY) == provider(auth="bearer").authorise(KEY)
    none = provider(auth="none")
    assert none.keyless and list(none.authorise(KEY)) == []


def test_constant_headers_come_first_so_that_the_credential_wins() -> None:
    one = provider(headers={"X-Title": "rotator", "Authorization": "Bearer of the file"})
    pairs = list(one.authorise(KEY))
    assert pairs[0] == ("x-title", "rotator")
    assert dict(pairs) == {"x-title": "rotator", "authorization": "Bearer planted-value"}


# Declarations.

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"base_ulr": "x"}, "file.yaml: base_ulr: unknown key (did you mean base_url?)"),
    "unknown key, nothing near": ({"zzzzzz": 1}, "file.yaml: zzzzzz: unknown key"),
    "unknown profile key": (
        {"profiles": {"m": {"protocol": "messages", "base_url": "https://m.example", "path": "/x"}}},
        "file.yaml: profiles.m.path: unknown key",
    ),
    "profile without base": (
        {"profiles": {"m": {"protocol": "messages"}}}, "file.yaml: profiles.m.base_url: missing",
    ),
    "profile of the top level's name": (
        {"profiles": {"chat": {"protocol": "chat", "base_url": "https://m.example"}}},
        "file.yaml: profiles.chat: the top-level protocol already is the profile of this name",
    ),
    "unknown default": (
        {"default_profile": "gemini"}, "file.yaml: default_profile: no profile 'gemini' (there are: chat)",
    ),
    "auth": (
        {"auth": "basic"}, "file.yaml: auth: expected bearer or x-api-key or x-goog-api-key or none, found 'basic'",
    ),
    "auth header": ({"auth": {"header": "a b"}}, "file.yaml: auth.header: 'a b' is no header name"),
    "auth prefix": (
        {"auth": {"header": "a", "prefix": "a\r\nb"}}, "file.yaml: auth.prefix: contains control characters",
    ),
    "auth key": (
        {"auth": {"header": "a", "heeder": "b"}}, "file.yaml: auth.heeder: unknown key (did you mean header?)",
    ),
    "header name": ({"headers": {"a:b": "c"}}, "file.yaml: headers.a:b: not a valid header"),
    "header value": ({"headers": {"a": "c\r\nd: e"}}, "file.yaml: headers.a: not a valid header"),
    "header text": ({"headers": {"a": "k\u00e4se"}}, "file.yaml: headers.a: not a valid header"),
    "header number": ({"headers": {"a": 1}}, "file.yaml: headers.a: expected text, found 1"),
    "models": ({"models": "small"}, "file.yaml: models: expected a list, found 'small'"),
    "priority": (
        {"credentials": {"2": {"priority": 0}}},
        "file.yaml: credentials.2.priority: expected a whole number of at least 1",
    ),
    "name": ({"name": "Al pha"}, "file.yaml: name: 'Al pha' is no provider name (lower-case letters, digits, - _ .)"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_a_declaration_may_not_say(wrong: tuple[dict[str, Any], str]) -> None:
    assert problems(**wrong[0]) == [wrong[1]]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = problems(modles=[], auth={"header": 1}, headers=7)
    assert [line.split(": ")[1] for line in found] == ["modles", "auth.header", "headers"]
    with pytest.raises(ConfigError) as caught:
        HttpProvider({"name": "alpha"}, At("file.yaml"))
    assert [problem.key for problem in caught.value.problems] == ["protocol", "base_url"]
    assert {problem.reason for problem in caught.value.problems} == {"missing"}


@pytest.mark.parametrize("name", ["", "-a", ".", "..", "a/b", "a:b", "A", "a b", "\u00e4", "a\n"])
def test_names_that_no_provider_may_have(name: str) -> None:
    assert "is no provider name" in problems(name=name)[0]


def test_profiles_and_the_default() -> None:
    more = {"messages": {"protocol": "messages", "base_url": "https://alpha.example/anthropic/"}}
    one = provider(profiles=more)
    assert one.default_profile == "chat"
    assert dict(one.profiles) == {
        "chat": Profile("chat", "chat", "https://alpha.example/v1"),
        "messages": Profile("messages", "messages", "https://alpha.example/anthropic"),
    }
    assert provider(profiles=more, default_profile="messages").default_profile == "messages"


def test_facts_about_keys_and_listed_models() -> None:
    one = provider(credentials={"2": {"label": "work", "priority": 1}}, models=["small", "large"])
    assert one.key_facts() == {"2": KeyFacts("work", None, 1)}
    assert list(one.listed) == ["small", "large"] and list(one.own_secrets()) == []


# Overlays.


def test_an_overlay_replaces_lists_and_merges_mappings() -> None:
    base = provider(
        models=["a", "b"],
        headers={"X-One": "1", "X-Two": "2"},
        credentials={"1": {"label": "one", "tier": "paid"}},
        profiles={"messages": {"protocol": "messages", "base_url": "https://alpha.example/m"}},
    )
    overlay: dict[str, Any] = {
        "models": ["c"],
        "headers": {"X-Two": "zwei", "X-Three": "3"},
        "credentials": {"1": {"label": "eins"}, "2": {"priority": 2}},
        "profiles": {"messages": {"base_url": "https://other.example/m"}},
    }
    changed = base.configured(overlay, "rotator.yaml")
    assert list(changed.listed) == ["c"]
    assert dict(changed.authorise(KEY)) == {
        "x-one": "1", "x-two": "zwei", "x-three": "3", "authorization": "Bearer planted-value",
    }
    assert changed.key_facts() == {"1": KeyFacts("eins", "paid"), "2": KeyFacts(None, None, 2)}
    assert changed.profiles["messages"] == Profile("messages", "messages", "https://other.example/m")
    assert changed.profiles["chat"] == base.profiles["chat"]
    assert list(base.listed) == ["a", "b"] and base.key_facts() == {"1": KeyFacts("one", "paid")}, "a copy"


def test_overlays_lie_over_each_other() -> None:
    twice = provider().configured({"models": ["a"]}, "x").configured({"base_url": "https://b.example"}, "y")
    assert list(twice.listed) == ["a"] and twice.profiles["chat"].base_url == "https://b.example"


def test_an_auth_scheme_is_replaced_whole() -> None:
    custom = provider(auth={"header": "x-auth", "prefix": "Token "})
    assert dict(custom.configured({"auth": "x-api-key"}, "x").authorise(KEY)) == {"x-api-key": "planted-value"}
    assert custom.configured({"auth": "none"}, "x").keyless


def test_a_provider_keeps_its_class_and_its_name() -> None:
    class Special(HttpProvider):
        stand_in = True

    changed = Special(BASE).configured({"name": "alpha", "models": ["a"]}, "rotator.yaml")
    assert isinstance(changed, Special) and changed.stand_in
    with pytest.raises(ConfigError, match=r"^rotator.yaml: providers.alpha.name: a provider cannot be renamed$"):
        provider().configured({"name": "beta"}, "rotator.yaml")


def test_problems_of_an_overlay_are_told_where_it_stands() -> None:
    told = r"^rotator.yaml: providers.alpha.modles: unknown key \(did you mean models\?\)$"
    with pytest.raises(ConfigError, match=told):
        provider().configured({"modles": []}, "rotator.yaml")


LEAVES = st.one_of(st.integers(), st.lists(st.integers(), max_size=2))
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(MAPPINGS, MAPPINGS)
def test_merging(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    found = merged(base, overlay)
    assert found.keys() == base.keys() | overlay.keys()
    assert merged(found, overlay) == found and merged(base, {}) == base and merged({}, overlay) == overlay
    for key, value in overlay.items():
        if not isinstance(value, Mapping):
            assert found[key] == value
        elif not isinstance(base.get(key), Mapping):
            assert found[key] == value
        else:
            assert found[key] == merged(base[key], value)


# The rest of the contract.


async def test_models_are_asked_with_the_credential_and_the_protocols_headers() -> None:
    asked: list[tuple[str, str, dict[str, str]]] = []

    async def fetch(provider: Any, url: str, headers: Any) -> Any:
        asked.append((provider.name, url, dict(headers)))
        return {"data": [{"id": "small"}, {"id": "large"}, {"id": 7}, "odd"]}

    runtime = Runtime(REGISTRY.protocols, fetch)
    assert list(await provider(auth="x-api-key").models(runtime, KEY)) == ["small", "large"]
    assert asked == [("alpha", "https://alpha.example/v1/models", {"x-api-key": "planted-value"})]
    other = provider(protocol="messages", base_url="https://alpha.example", auth="x-api-key")
    await other.models(runtime, KEY)
    assert asked[1][1] == "https://alpha.example/v1/models" and "anthropic-version" in asked[1][2]


async def test_models_of_an_unknown_protocol() -> None:
    async def fetch(provider: Any, url: str, headers: Any) -> Any:
        raise AssertionError("nothing is to be asked")

    with pytest.raises(PluginError, match="alpha: no protocol named 'telepathy'"):
        await provider(protocol="telepathy").models(Runtime({}, fetch), KEY)


def test_dates_are_read_under_the_wall_clock() -> None:
    one = provider()
    one.wall_clock = lambda: 1_800_000_000.0
    error = NeutralError(ErrorKind.RATE_LIMITED, "No.", 429)
    verdict = one.classify(error, 429, {"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"})
    assert verdict.retry_after_seconds == 60
