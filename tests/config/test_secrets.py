"""Secrets are refused in files, wherever they stand, and no message repeats one."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.secrets import Sieve, is_secret, masked, names_secret, reveals_nothing

Refused = Callable[..., list[str]]

PLANTED = "planted-7f3e"
HOME = "secrets belong in the environment or .env"


def sieve(data: dict[object, object]) -> tuple[dict[str, object], list[str]]:
    walk = Sieve("f.yaml")
    return walk.mapping(data), [str(problem).removeprefix("f.yaml: ") for problem in walk.problems]


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "API-KEY", "apikey", "api_keys", "api_key_2", "x-api-key", "X-Goog-Api-Key", "token",
     "access_token", "accessToken", "auth-token", "X-Auth-Token", "refreshToken", "tokens", "access_tokens", "secret",
     "client_secret", "clientSecret", "secrets", "password", "Password", "passwd", "db_password", "passphrase",
     "authorization", "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "bearer", "private_key",
     "secretKey", "accessKey", "credential", "oauth_credentials", "Ocp-Apim-Subscription-Key"],
)
def test_keys_that_name_a_secret(key: str) -> None:
    kept, problems = sieve({"trace": {"deep": [{key: PLANTED, "other": 1}]}})
    assert kept == {"trace": {"deep": [{"other": 1}]}}
    assert problems == [f"trace.deep[0].{key}: {HOME}"]


@pytest.mark.parametrize(
    "key",
    ["max_tokens", "maxTokens", "token_limit", "token_count", "key", "cache_key", "prompt_cache_key", "session-id",
     "header", "prefix", "auth", "tier", "same_key", "authors", "monkey", "tokenizer", "secretary"],
)
def test_keys_that_name_none(key: str) -> None:
    assert sieve({"x": {key: "value"}}) == ({"x": {key: "value"}}, [])


def test_a_number_of_tokens_is_no_secret() -> None:
    assert not names_secret("tokens", 5) and names_secret("tokens", ["a"])
    assert names_secret("password", 1234)


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (("providers", "openai", "api_key"), ": set OPENAI_API_KEY"),
        (("providers", "my-host.2", "auth", "token"), ": set MY_HOST_2_API_KEY"),
        (("server", "client_api_key"), ": set PROXY_API_KEY"),
        (("token",), ""),
        (("trace", "secret"), ""),
    ],
)
def test_the_place_tells_which_variable_to_set(path: tuple[str, ...], advice: str) -> None:
    data: object = PLANTED
    for key in reversed(path):
        data = {key: data}
    assert isinstance(data, dict)
    assert sieve(data)[1] == [f"{'.'.join(path)}: {HOME}{advice}"]


# A vendor's prefix, to be followed by what nobody would take for a key.
PREFIXES = ["sk-", "sk-proj-", "sk-ant-", "AIza", "gsk_", "ghp_", "github_pat_", "xoxb-", "hf_", "xai-", "pplx-",
            "nvapi-", "ya29.", "Bearer ", "bearer  "]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_values_that_look_like_keys(prefix: str) -> None:
    value = f"{prefix}planted{'planted' * 2}"
    for text in (value, f"key {value}", f'"{value}"', f"key={value}"):
        assert sieve({"a": {"note": text, "b": [["x", text]]}}) == (
            {"a": {"b": [["x"]]}},
            [f"a.note: looks like a secret; {HOME}", f"a.b[0][1]: looks like a secret; {HOME}"],
        )


@pytest.mark.parametrize(
    "value",
    ["https://user:planted@host.example/v1", "https://planted@host.example", "socks5://a:b@127.0.0.1:1",
     "https://host.example/v1?key=planted", "https://host.example/?x=1&api-key=planted",
     "eyJ" + "planted" * 2 + "." + "planted" * 2, "-----BEGIN RSA PRIVATE " + "KEY-----\nplanted"],
)
def test_other_values_with_a_secret_in_them(value: str) -> None:
    assert is_secret(value)


@pytest.mark.parametrize(
    "value",
    ["https://sk-frankfurt.example.com/v1", "https://host.example/v1?alt=sse", "models/sk-something-long", "sk-",
     "gpt-4o-2024-08-06", "Bearer", "Bearer ", "task-sk-planted-planted", "x-api-key", "user@example.com",
     "openrouter/meta-llama/llama-3.1-405b-instruct:free", "claude-*", "80%", "Europe/Berlin"],
)
def test_values_that_are_none(value: str) -> None:
    assert not is_secret(value)


def test_facts_about_keys_are_allowed() -> None:
    facts = {"1": {"label": "team", "tier": "free", "priority": 2}, 2: {"label": "x"}, "0": {}}
    kept, problems = sieve({"providers": {"one": {"credentials": facts}}})
    assert problems == []
    assert kept == {"providers": {"one": {"credentials": {"1": facts["1"], "2": {"label": "x"}, "0": {}}}}}
    assert sieve({"providers": {"one": {"credentials": None}}})[1] == []


@pytest.mark.parametrize(
    "value", [PLANTED, [PLANTED], {"1": PLANTED}, {"1": {"key": PLANTED}}, {"one": {"label": "x"}}, {"1": None}]
)
def test_other_credentials_are_not(value: object) -> None:
    kept, problems = sieve({"providers": {"one": {"credentials": value}}})
    assert kept == {"providers": {"one": {}}}
    assert problems == [f"providers.one.credentials: takes only {{number: {{label, tier, priority}}}}; {HOME}"]


def test_a_slip_of_the_pen_in_facts_is_told_as_one() -> None:
    facts = {"1": {"lable": PLANTED, "tier": "free"}, 2: {"prioritty": 1}}
    kept, problems = sieve({"providers": {"one": {"credentials": facts}}})
    assert kept == {"providers": {"one": {"credentials": {"1": {"tier": "free"}, "2": {}}}}}
    assert problems == [
        "providers.one.credentials.1.lable: unknown key (did you mean label?)",
        "providers.one.credentials.2.prioritty: unknown key (did you mean priority?)",
    ]


def test_a_secret_in_a_fact() -> None:
    _, problems = sieve({"credentials": {"1": {"label": "sk-" + "planted" * 3}}})
    assert problems == [f"credentials.1.label: looks like a secret; {HOME}"]


def test_a_header_of_auth_is_allowed() -> None:
    data: dict[object, object] = {"providers": {"one": {"auth": {"header": "X-Api-Key", "prefix": "Token "}}}}
    assert sieve(data) == (data, [])


def test_names_of_models_are_no_keys() -> None:
    data: dict[object, object] = {"routes": {"my-token": "a/b"}}
    assert sieve(data) == (data, [])
    assert sieve({"routes": {"x": "sk-" + "planted" * 3}})[1] == [f"routes.x: looks like a secret; {HOME}"]


def test_a_secret_as_a_key_is_masked() -> None:
    secret = "sk-" + "planted" * 3
    kept, problems = sieve({"providers": {secret: {"api_key": "x"}, "one": {secret: 1}}, "routes": {secret: "a/b"}})
    like = f"looks like a secret; {HOME}"
    assert problems == [f"providers.***: {like}", f"providers.one.***: {like}: set ONE_API_KEY", f"routes.***: {like}"]
    assert kept == {"providers": {"one": {}}, "routes": {}}


def test_a_random_key_is_masked() -> None:
    assert sieve({"planted7" * 2: {"token": "y"}})[1] == [f"***.token: {HOME}"]


def test_what_is_no_json() -> None:
    kept, problems = sieve({"a": {1, 2}, "b": b"x", "c": {None: 1, 2.5: 1, True: 1, 3: "kept"}})
    assert kept == {"c": {"3": "kept"}}
    reason = "not a value that JSON has (put it in quotes)"
    assert problems == [f"a: {reason}", f"b: {reason}", *["c: a key must be text (put it in quotes)"] * 3]


def test_what_holds_itself() -> None:
    mapping: dict[object, object] = {}
    mapping["again"] = mapping
    listed: list[object] = []
    listed.append(listed)
    for data in (mapping, {"again": listed}):
        _, problems = sieve(data)
        assert len(problems) == 1 and problems[0].endswith("nested deeper than 64 levels")
        assert len(problems[0]) < 1000


@pytest.mark.parametrize("text", ["xml", "http", "two words", "", "-1", "a" * 40, "openai/gpt-5", "2026-01-01"])
def test_texts_that_may_be_repeated(text: str) -> None:
    assert reveals_nothing(text)


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=8), st.text("0123456789", min_size=8))
def test_random_texts_are_not_repeated(letters: str, digits: str) -> None:
    assert not reveals_nothing(letters + digits)
    assert masked(letters + digits) == "***"


def test_no_error_repeats_a_secret(refused: Refused) -> None:
    planted = [f"sk-planted{'0123456789abcdef'[:9]}{index}zz" for index in range(12)]
    file = f"""
providers:
  one: {{api_key: {planted[0]}, base_url: "https://u:{planted[1]}@host.example", {planted[2]}: 1}}
  two: {planted[3]}
  three: {{credentials: {{"1": {planted[4]}}}}}
server: {{port: {planted[5]}, log: {planted[6]}, {planted[7]}: x}}
timeouts: {{connect: [{planted[8]}]}}
routes: {{"{planted[9]}": a}}
"""
    lines = refused(
        {"ROTATOR_PORT": planted[10], "TIMEOUT_CONNECT": planted[11], "ROTATOR_LOG": planted[0]},
        dotenv=f"PROXY_API_KEY=changeme\nPROXY_API_KEY_1={planted[0][:7]}\nDRAIN_SECONDS={planted[1]}\n",
        file=file,
    )
    assert len(lines) == 17
    assert not any(text[3:] in line for text in planted for line in lines)
    assert "planted" not in "\n".join(lines) and "0123" not in "\n".join(lines)
