"""Model names to targets: the grammar of design.md 6, the order of its rules, and hostile names."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.contracts import Target
from rotator.errors import Refused
from rotator.neutral.error import NeutralError
from rotator.routing.resolve import KNOWN_LIMIT, ModelRoute, Router
from rotator.upstream.provider import HttpProvider


def provider(name: str, protocol: str = "chat", **declared: Any) -> HttpProvider:
    return HttpProvider({"name": name, "protocol": protocol, "base_url": f"https://{name}.example/v1", **declared})


SECOND = {"messages": {"protocol": "messages", "base_url": "https://both.example/m"}}
SPECIAL = {"fast": {"protocol": "chat", "base_url": "https://two.example/fast"}}
PROVIDERS = {
    one.name: one
    for one in (
        provider("alpha", models=["small", "shared", "llama3:8b", "vendor/nested"]),
        provider("beta", "messages", models=["shared", "claude-5"]),
        provider("both", profiles=SECOND),
        provider("two", "messages", profiles=SPECIAL, default_profile="fast"),
        provider("my-llm"),
        provider("idle", models=["lonely"]),
    )
}
USABLE = tuple(name for name in PROVIDERS if name != "idle")


def router(*routes: ModelRoute) -> Router:
    return Router(PROVIDERS, USABLE, routes)


def resolve(model: str, protocol: str = "chat", *routes: ModelRoute) -> Target:
    (target,) = router(*routes).resolve(model, protocol)
    return target


def refusal(model: str, *routes: ModelRoute) -> NeutralError:
    with pytest.raises(Refused) as caught:
        router(*routes).resolve(model, "chat")
    error = caught.value.error
    assert error.param == "model" and error.should_retry is False
    return error


NAMES = {
    "alpha/small": Target("alpha", "chat", "small"),
    "alpha/unlisted-9": Target("alpha", "chat", "unlisted-9"),
    "Alpha/Small": Target("alpha", "chat", "Small"),
    "my-llm/x": Target("my-llm", "chat", "x"),
    "alpha/vendor/model:free": Target("alpha", "chat", "vendor/model:free"),
    "alpha/llama3:8b": Target("alpha", "chat", "llama3:8b"),
    "alpha/m@sha256:ab12": Target("alpha", "chat", "m@sha256:ab12"),
    "alpha/ft:base:org::id~1+x": Target("alpha", "chat", "ft:base:org::id~1+x"),
    "alpha:chat/small": Target("alpha", "chat", "small"),
    "both:messages/small": Target("both", "messages", "small"),
    "two:messages/a/b": Target("two", "messages", "a/b"),
    "small": Target("alpha", "chat", "small"),
    "llama3:8b": Target("alpha", "chat", "llama3:8b"),
    "vendor/nested": Target("alpha", "chat", "vendor/nested"),
    "claude-5": Target("beta", "messages", "claude-5"),
}


@pytest.mark.parametrize(("model", "target"), NAMES.items())
@pytest.mark.pitfall("P-124")
def test_names_that_lead_somewhere(model: str, target: Target) -> None:
    assert resolve(model) == target


@pytest.mark.parametrize(
    ("model", "protocol", "profile"),
    [
        ("both/x", "chat", "chat"),
        ("both/x", "messages", "messages"),
        ("both/x", "gemini", "chat"),
        ("both:chat/x", "messages", "chat"),
        ("two/x", "messages", "messages"),
        ("two/x", "chat", "fast"),
        ("two/x", "gemini", "fast"),
        ("beta/x", "chat", "messages"),
        ("shared-nowhere/x", "chat", None),
    ],
)
def test_the_explicit_profile_then_the_clients_then_the_default(model: str, protocol: str, profile: str | None) -> None:
    if profile is None:
        assert refusal(model).status == 404
    else:
        assert resolve(model, protocol).profile == profile


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nothing", ["write alpha/nothing or beta/nothing or both/nothing or my-llm/nothing"]),
        ("shared", ["several providers list it (alpha, beta)"]),
        ("lonely", ["write alpha/lonely"]),
        ("idle/lonely", ["provider 'idle' is not in use", "IDLE_API_KEY"]),
        ("alpah/small", ["no provider is named 'alpah'", "did you mean 'alpha'?"]),
        ("zzz/small", ["no provider is named 'zzz'"]),
        ("alpha:gemini/small", ["has no profile 'gemini' (it has: chat)"]),
        ("alpha:CHAT/small", ["has no profile 'CHAT'"]),
        ("/small", ["no provider is named ''"]),
        (":chat/small", ["no provider is named"]),
        ("gpt:free", ["write alpha/gpt:free"]),
    ],
)
def test_names_that_lead_nowhere(model: str, words: list[str]) -> None:
    error = refusal(model)
    assert (error.status, error.code) == (404, "model_not_found")
    assert repr(model) in error.message and all(word in error.message for word in words), error.message


HOSTILE = [
    "",
    " ",
    "alpha/ small",
    "alpha/small\n",
    "\nalpha/small",
    "alpha/sm\0all",
    "alpha/small\r\nx-evil: 1",
    "alpha/\x1b[31m",
    "alpha/..",
    "alpha/../admin",
    "../alpha/small",
    "alpha/a..b",
    "alpha/..%2Fadmin",
    "alpha/%2e%2e%2fadmin",
    "alpha/small?key=1",
    "alpha/small#top",
    "alpha/small&x=1",
    "alpha\\small",
    "alpha/sm\u00e4ll",
    "alpha/\u202esmall",
    "alpha/\ud800",
    "alpha/\u0663",
    "alpha/" + "x" * 251,
    "x" * 1_000_000,
    "alpha/small;rm",
    "alpha/$(id)",
    "alpha/'or'1",
]


@pytest.mark.incident(27)
@pytest.mark.parametrize("model", HOSTILE, ids=lambda model: ascii(model)[:40])
def test_hostile_names_are_no_names(model: str) -> None:
    error = refusal(model, ModelRoute("*", "alpha/small"))
    assert error.status == 400 and len(error.message) < 800
    assert error.message.isprintable()


def test_the_longest_name() -> None:
    assert resolve("alpha/" + "x" * 250).model == "x" * 250


SAFE = re.compile(r"[A-Za-z0-9._~:@/+-]+\Z")


@given(st.one_of(st.text(st.characters()), st.text("ab:/.%?#@~-_+ \n", max_size=12).map("alpha/".__add__)))
def test_what_goes_upstream_is_always_safe(model: str) -> None:
    try:
        target = resolve(model)
    except Refused as refused:
        assert refused.error.status in (400, 404) and refused.error.message.isprintable()
        return
    assert SAFE.match(target.model) and ".." not in target.model


# Routes.


def test_routes_come_before_everything_and_the_first_match_counts() -> None:
    routes = (
        ModelRoute("claude-*", "alpha/small"),
        ModelRoute("claude-opus", "beta/never"),
        ModelRoute("alpha/small", "both:messages/other"),
        ModelRoute("gpt-?", "beta/g"),
    )
    assert resolve("claude-opus", "chat", *routes) == Target("alpha", "chat", "small")
    assert resolve("claude-5", "chat", *routes) == Target("alpha", "chat", "small"), "also before a listed name"
    assert resolve("alpha/small", "chat", *routes) == Target("both", "messages", "other")
    assert resolve("gpt-5", "chat", *routes).provider == "beta"
    assert refusal("gpt-55", *routes).status == refusal("Claude-5", *routes).status == 404


def test_a_route_is_followed_once() -> None:
    routes = (ModelRoute("a", "alpha/b"), ModelRoute("alpha/b", "beta/c"))
    assert resolve("a", "chat", *routes) == Target("alpha", "chat", "b")


def test_a_route_takes_the_profile_of_the_clients_protocol() -> None:
    route = ModelRoute("talk", "both/x")
    assert resolve("talk", "messages", route).profile == "messages"
    assert resolve("talk", "chat", route).profile == "chat"


@pytest.mark.parametrize("model", ["gpt-5.1", "GPT_5_1", "gpt/5:1", "Gpt-5@1"])
def test_an_alias_is_the_name_upper_cased_with_every_other_character_as_an_underscore(model: str) -> None:
    assert resolve(model, "chat", ModelRoute("GPT_5_1", "alpha/small", alias=True)) == Target("alpha", "chat", "small")


@pytest.mark.parametrize("model", ["gpt-5.12", "xgpt-5.1", "gpt-51", "gpt--5.1"])
def test_an_alias_is_matched_whole(model: str) -> None:
    assert refusal(model, ModelRoute("GPT_5_1", "alpha/small", alias=True)).status == 404


def test_a_route_to_a_provider_without_a_key_tells_so() -> None:
    assert "IDLE_API_KEY" in refusal("talk", ModelRoute("talk", "idle/x")).message


def test_without_any_key() -> None:
    with pytest.raises(Refused, match="write provider/model"):
        Router(PROVIDERS, (), ()).resolve("small", "chat")


def test_what_is_remembered_is_right_and_bounded() -> None:
    one = router()
    for turn in range(KNOWN_LIMIT + 10):
        assert one.resolve(f"both/m{turn}", "chat") == (Target("both", "chat", f"m{turn}"),)
    for _ in range(2):
        assert one.resolve("both/x", "chat") != one.resolve("both/x", "messages")
        with pytest.raises(Refused):
            one.resolve("shared", "chat")
    assert len(one._known) <= KNOWN_LIMIT


def test_what_was_found_is_remembered_beside_other_names() -> None:
    one = router()
    found = one.resolve("both/a", "chat")
    assert one.resolve("both/b", "chat") != found
    assert one.resolve("both/a", "chat") is found


def test_the_missing_key_is_named_as_a_variable() -> None:
    with pytest.raises(Refused, match=r"\bMY_LLM_API_KEY\b"):
        Router(PROVIDERS, ("alpha",), ()).resolve("my-llm/x", "chat")


def test_names_that_vendors_list_lead_to_the_one_that_lists_them() -> None:
    one = router()
    with pytest.raises(Refused):
        one.resolve("new", "chat")
    one.learn({"beta": {"new", "shared"}, "both": ["newer"], "idle": ["unusable"], "nobody": ["x"]})
    assert one.resolve("new", "chat") == (Target("beta", "messages", "new"),)
    assert one.resolve("newer", "messages") == (Target("both", "messages", "newer"),)
    assert one.resolve("small", "chat") == (Target("alpha", "chat", "small"),)
    for name in ("unusable", "x"):
        with pytest.raises(Refused):
            one.resolve(name, "chat")


def test_a_name_that_two_list_must_name_its_provider() -> None:
    one = router()
    one.learn({"both": ["new"], "alpha": ["new"]})
    with pytest.raises(Refused, match=r"several providers list it \(alpha, both\)"):
        one.resolve("new", "chat")
    one.learn({"both": ["new"]})
    assert one.resolve("new", "chat") == (Target("both", "chat", "new"),)


def test_what_is_declared_leads_there_whatever_vendors_list() -> None:
    one = router()
    one.learn({"both": ["small", "claude-5", "shared"]})
    assert one.resolve("small", "chat") == (Target("alpha", "chat", "small"),)
    assert one.resolve("claude-5", "chat") == (Target("beta", "messages", "claude-5"),)
    with pytest.raises(Refused, match=r"several providers list it \(alpha, beta\)"):
        one.resolve("shared", "chat")


@pytest.mark.parametrize(
    ("model", "bare"),
    [("small", True), ("vendor/nested", True), ("alpha/small", False), ("BOTH:messages/x", False), ("alpha/", True)],
)
def test_what_counts_as_a_bare_name(model: str, bare: bool) -> None:
    assert router().is_bare(model) is bare
