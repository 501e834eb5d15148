"""Credentials from variables and declarations: every form of names, and what is refused (design.md 6, Credentials)."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.environment import gather
from rotator.config.sources import EnvFile
from rotator.contracts import Credential
from rotator.credentials.discovery import ProviderVariables, credentials_of, sift, token, unused
from rotator.errors import Problem
from rotator.neutral.secret import Secret
from rotator.upstream.provider import HttpProvider


def provider(name: str = "alpha", **declared: Any) -> HttpProvider:
    return HttpProvider({"name": name, "protocol": "chat", "base_url": f"https://{name}.example/v1", **declared})


def variables(environ: Mapping[str, str], dotenv: Mapping[str, str] | None = None) -> ProviderVariables:
    """What a start with these variables sees."""
    problems: list[Problem] = []
    file = EnvFile(".env", dotenv, ()) if dotenv is not None else None
    found = sift(gather(environ, file, problems).variables)
    assert problems == []
    return found


def keys(environ: Mapping[str, str], one: HttpProvider | None = None, **more: Any) -> tuple[Credential, ...]:
    problems: list[Problem] = []
    found = credentials_of(one or provider(), variables(environ, **more), problems)
    assert problems == []
    return found


def problems_of(environ: Mapping[str, str], one: HttpProvider | None = None) -> list[str]:
    problems: list[Problem] = []
    credentials_of(one or provider(), variables(environ), problems)
    return [str(problem) for problem in problems]


def shown(found: tuple[Credential, ...]) -> dict[str, str | None]:
    return {one.label: one.secret.reveal() if one.secret else None for one in found}


# Names of keys.


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"ALPHA_API_KEY": "one"}, {"alpha#0": "one"}),
        ({"ALPHA_API_KEY_0": "one"}, {"alpha#0": "one"}),
        ({"ALPHA_API_KEY_1": "one"}, {"alpha#1": "one"}),
        ({"ALPHA_API_KEY_7": "one", "ALPHA_API_KEY": "two"}, {"alpha#0": "two", "alpha#7": "one"}),
        ({"ALPHA_API_KEY_10": "ten", "ALPHA_API_KEY_9": "nine"}, {"alpha#9": "nine", "alpha#10": "ten"}),
        ({"ALPHA_API_KEY": " one \n"}, {"alpha#0": "one"}),
        ({"ALPHA_API_KEY": "", "ALPHA_API_KEY_1": "  ", "ALPHA_API_KEY_2": "two"}, {"alpha#2": "two"}),
        ({"alpha_api_key": "one", "Alpha_API_KEY": "two"}, {}),
        ({"BETA_API_KEY": "one", "MY_ALPHA_API_KEY": "two", "ALPHA_2_API_KEY": "three"}, {}),
        ({"ALPHA_API_KEYS": "one", "ALPHA_API_KEY1": "two", "XALPHA_API_KEY": "three"}, {}),
        ({"ALPHA_API_KEY_01": "one", "ALPHA_API_KEY_-1": "two", "ALPHA_API_KEY_1_": "three"}, {}),
    ],
)
def test_every_form_of_a_keys_name(environ: dict[str, str], expected: dict[str, str]) -> None:
    found = shown(keys(environ))
    assert found == expected
    assert list(found) == list(expected), "in the order of their numbers"


def test_the_environment_wins_over_the_env_file_and_a_blank_one_hides_nothing() -> None:
    dotenv = {"ALPHA_API_KEY": "file", "ALPHA_API_KEY_1": "file-one"}
    found = keys({"ALPHA_API_KEY": "environment", "ALPHA_API_KEY_1": " "}, dotenv=dotenv)
    assert shown(found) == {"alpha#0": "environment", "alpha#1": "file-one"}


def test_the_same_secret_twice_is_one_credential_under_its_first_name() -> None:
    found = keys({"ALPHA_API_KEY_3": "same", "ALPHA_API_KEY_1": "same", "ALPHA_API_KEY_2": "other"})
    assert shown(found) == {"alpha#1": "same", "alpha#2": "other"}


def test_the_same_secret_of_two_providers_is_two_credentials() -> None:
    environ = {"ALPHA_API_KEY": "same", "BETA_API_KEY": "same"}
    assert keys(environ)[0].id != keys(environ, provider("beta"))[0].id


@pytest.mark.parametrize(
    "name", ["X_API_KEY_BACKUP", "X_API_KEY_OLD_2", "X_API_KEY_1_BACKUP", "X_API_KEY_", "X_API_KEY_1_TIERS", "_API_KEY"]
)
def test_the_pattern_is_anchored(name: str) -> None:
    """A name that only contains _API_KEY invents no provider (engine.md 8.1)."""
    found = variables({name: "one", "X_API_BASE": "https://x.example/v1"})
    assert found.keys == {} and found.facts == {}


def test_the_clients_keys_are_no_providers_keys() -> None:
    found = variables({"PROXY_API_KEY": "for-clients-a", "PROXY_API_KEY_2": "for-clients-b", "X_PROXY_API_KEY": "key"})
    assert list(found.keys) == ["X_PROXY"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("alpha", "ALPHA"), ("my-llm", "MY_LLM"), ("my.llm-2_b", "MY_LLM_2_B"), ("9router", "9ROUTER")],
)
def test_a_providers_name_in_variables(name: str, expected: str) -> None:
    assert token(name) == expected
    assert shown(keys({f"{expected}_API_KEY_4": "one"}, provider(name))) == {f"{name}#4": "one"}


def test_a_name_within_a_name_is_another_provider() -> None:
    environ = {"MY_API_KEY": "mine", "MY_API_KEY_API_KEY": "odd", "MY_LLM_API_KEY": "llm"}
    assert shown(keys(environ, provider("my"))) == {"my#0": "mine"}
    assert shown(keys(environ, provider("my-api-key"))) == {"my-api-key#0": "odd"}
    assert shown(keys(environ, provider("my-llm"))) == {"my-llm#0": "llm"}


def test_bases_and_outgoing_proxies_by_token() -> None:
    found = variables({"MY_LLM_API_BASE": "https://my.example/v1", "MY_LLM_PROXY_URL": "http://proxy.example:3128"})
    assert found.bases["MY_LLM"].value.reveal() == "https://my.example/v1"
    assert found.proxies["MY_LLM"].value.reveal() == "http://proxy.example:3128"
    assert found.keys == {}


# Facts about a key.

FACTS = {"ALPHA_API_KEY": "zero", "ALPHA_API_KEY_2": "two"}


def test_facts_from_the_environment() -> None:
    zero, two = keys({
        **FACTS,
        "ALPHA_API_KEY_LABEL": "work",
        "ALPHA_API_KEY_TIER": "paid",
        "ALPHA_API_KEY_2_PRIORITY": "1",
    })
    assert (zero.label, zero.tier, zero.priority) == ("work", "paid", 10)
    assert (two.label, two.tier, two.priority) == ("alpha#2", None, 1)


def test_facts_from_the_declaration_and_the_environment_wins() -> None:
    declared = {"0": {"label": "home", "tier": "free"}, "2": {"label": "far", "tier": "x", "priority": 3}}
    one = provider(credentials=declared)
    zero, two = keys({**FACTS, "ALPHA_API_KEY_2_LABEL": "near", "ALPHA_API_KEY_2_PRIORITY": "5"}, one)
    assert (zero.label, zero.tier, zero.priority) == ("home", "free", 10)
    assert (two.label, two.tier, two.priority) == ("near", "x", 5)


@pytest.mark.parametrize("bad", ["0", "-1", "1.5", "high", "+1", "1_0", "٣", "9999999"])
def test_a_priority_is_a_whole_number_of_at_least_1(bad: str) -> None:
    (problem,) = problems_of({**FACTS, "ALPHA_API_KEY_2_PRIORITY": bad})
    assert problem == f"environment: ALPHA_API_KEY_2_PRIORITY: expected a whole number of at least 1, found {bad!r}"


@pytest.mark.parametrize(
    ("fact", "missing"), [("ALPHA_API_KEY_5_LABEL", "ALPHA_API_KEY_5"), ("ALPHA_API_KEY_TIER", "ALPHA_API_KEY")]
)
def test_facts_without_a_key_are_told(fact: str, missing: str) -> None:
    assert problems_of({"ALPHA_API_KEY_2": "two", fact: "x"}) == [f"environment: {fact}: {missing} is not set"]


def test_another_providers_facts_do_not_matter() -> None:
    assert problems_of({**FACTS, "BETA_API_KEY_5_LABEL": "x"}) == []


# Labels.


def test_labels_are_unique() -> None:
    (problem,) = problems_of({**FACTS, "ALPHA_API_KEY_LABEL": "same", "ALPHA_API_KEY_2_LABEL": "same"})
    assert "two keys are labelled 'same'" in problem
    (problem,) = problems_of({**FACTS, "ALPHA_API_KEY_LABEL": "alpha#2"})
    assert "two keys are labelled 'alpha#2'" in problem
    (problem,) = problems_of({"ALPHA_API_KEY": "one", "ALPHA_API_KEY_0": "two"})
    assert "two keys are labelled 'alpha#0'" in problem


@pytest.mark.parametrize("bad", ["a,b", "k\u00e4se", "a\tb", "a\nb", "a\u2028b", "\U0001f511"])
def test_labels_can_stand_in_headers(bad: str) -> None:
    (problem,) = problems_of({**FACTS, "ALPHA_API_KEY_LABEL": bad})
    assert "expected printable ASCII without commas" in problem


@pytest.mark.parametrize("good", ["work", "Anna's key", "me@example.org", "alpha#0", "a/b:c (2)"])
def test_ordinary_labels(good: str) -> None:
    assert keys({**FACTS, "ALPHA_API_KEY_LABEL": good})[0].label == good


# Keys that cannot be sent.


@pytest.mark.parametrize(
    "bad", ["two words", "line\nbreak", "tab\there", "null\0here", "schl\u00fcssel", "\udcff", "\u200bkey"]
)
def test_a_key_that_cannot_stand_in_a_header_is_told_without_being_shown(bad: str) -> None:
    (problem,) = problems_of({"ALPHA_API_KEY": "good-key", "ALPHA_API_KEY_2": bad})
    assert problem == "environment: ALPHA_API_KEY_2: a key holds printable ASCII without spaces only"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_any_printable_key_is_taken_as_it_is(secret: str) -> None:
    (one,) = keys({"ALPHA_API_KEY": secret})
    assert one.secret == Secret(secret)
    assert secret not in (one.id, one.label) and len(one.id) == 16
    assert one.id == keys({"ALPHA_API_KEY_3": secret})[0].id, "a stable id, whatever the key's name"


def test_no_credential_shows_its_secret() -> None:
    (one,) = keys({"ALPHA_API_KEY": "planted-value"})
    assert "planted-value" not in repr(one) and "planted-value" not in f"{one}"


# Providers without a key, and keys without a provider.


def test_a_keyless_provider_has_one_credential() -> None:
    (one,) = keys({}, provider(auth="none"))
    assert (one.label, one.secret, one.tier, one.priority) == ("alpha#0", None, None, 10)
    assert keys({}) == ()


def test_a_keyless_provider_with_a_key_uses_that() -> None:
    assert shown(keys({"ALPHA_API_KEY_2": "two"}, provider(auth="none"))) == {"alpha#2": "two"}


def test_keys_that_a_provider_brings_itself() -> None:
    class Bringing(HttpProvider):
        def own_secrets(self) -> tuple[Secret, ...]:
            return Secret("own-one"), Secret("own-two")

    own = Bringing({"name": "alpha", "protocol": "chat", "base_url": "https://alpha.example/v1"})
    assert shown(keys({}, own)) == {"alpha#1": "own-one", "alpha#2": "own-two"}
    assert shown(keys({"ALPHA_API_KEY": "zero"}, own))["alpha#0"] == "zero"


def test_a_key_without_a_provider_is_told_with_the_name_that_was_meant() -> None:
    environ = {"ALPAH_API_KEY": "one", "ALPAH_API_KEY_2": "two", "ZZZ_API_KEY_3": "three", "ALPHA_API_KEY": "four"}
    found = variables(environ)
    misspelt, foreign = unused(found, {"alpha": provider(), "my-llm": provider("my-llm")})
    assert misspelt == "environment: ALPAH_API_KEY: no provider 'alpah'; did you mean ALPHA_API_KEY?"
    assert foreign == "environment: ZZZ_API_KEY_3: no provider 'zzz'; set ZZZ_API_BASE to make it one"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ALPAH_API_BASE", "did you mean ALPHA_API_BASE?"),
        ("ALPAH_PROXY_URL", "did you mean ALPHA_PROXY_URL?"),
        ("ZZZ_API_BASE", "set ZZZ_API_KEY to make it one"),
    ],
)
def test_an_address_without_a_provider_is_told_too(name: str, hint: str) -> None:
    environ = {name: "http://127.0.0.1:9/v1", "ALPHA_API_BASE": "http://127.0.0.1:9/v1"}
    [told] = unused(variables(environ), {"alpha": provider()})
    assert told == f"environment: {name}: no provider {name.split('_')[0].lower()!r}; {hint}"


def test_facts_about_a_key_that_is_not_there_are_told() -> None:
    one = provider("my-llm", credentials={"2": {"label": "second"}, "3": {"tier": "big"}})
    [told] = unused(variables({"MY_LLM_API_KEY_2": "two"}), {"my-llm": one})
    assert told == "providers.my-llm.credentials.3: there is no such key (MY_LLM_API_KEY_3)"
