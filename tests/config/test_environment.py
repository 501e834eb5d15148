"""Variables: which are kept, checked, ignored or warned about; client keys."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.config import ClientKey, Settings, variable
from rotator.config.environment import Environment, Variable, client_keys, gather
from rotator.config.sources import EnvFile
from rotator.errors import Problem
from rotator.neutral.secret import Secret

Configure = Callable[..., Settings]
Refused = Callable[..., list[str]]

KEPT = [
    "OPENAI_API_KEY", "OPENAI_API_KEY_0", "OPENAI_API_KEY_12", "OPENAI_API_KEY_LABEL", "OPENAI_API_KEY_2_TIER",
    "OPENAI_API_KEY_2_PRIORITY", "MY_2ND_HOST_API_KEY", "OPENAI_API_BASE", "OPENAI_PROXY_URL", "ROTATOR_HOST",
    "ROTATOR_CONFIG", "ROTATOR_STATE", "ROTATOR_PLUGINS", "ROTATOR_DEMO", "MODEL_ROUTE_X", "TIMEOUT_CONNECT",
    "STREAM_HEARTBEAT_INTERVAL_SECONDS", "SSL_CERT_FILE", "PROXY_API_KEY", "PROXY_API_KEY_3",
]
IGNORED = [
    "OPENAI_API_KEYS", "OPENAI_API_KEY_", "OPENAI_API_KEY_01", "OPENAI_API_KEY_X", "OPENAI_API_KEY_LABEL_2",
    "openai_API_KEY", "_API_KEY", "PROXY_API_KEY_X", "PROXY_API_KEY_LABEL", "PROXY_API_KEY_01", "X_API_KEY_FILE",
]
FOREIGN = [
    "PATH", "HOME", "LANG", "TIMEOUT", "HOST", "PORT", "HTTPS_PROXY", "SSL_CERT_DIR", "STREAM_X", "PROXY", "SSL_CERT",
]


def gathered(environ: dict[str, str], env_file: EnvFile | None = None) -> tuple[Environment, list[str]]:
    problems: list[Problem] = []
    environment = gather(environ, env_file, problems)
    return environment, [str(problem) for problem in problems]


@pytest.mark.parametrize("name", KEPT)
def test_names_that_are_kept(name: str) -> None:
    environment, problems = gathered({name: "v"})
    assert environment == Environment({name: Variable(name, Secret("v"), "environment")}, (), ()) and not problems


@pytest.mark.parametrize("name", IGNORED)
def test_names_that_are_ignored_but_told(name: str) -> None:
    environment, problems = gathered({name: "v"})
    assert (environment.variables, environment.ignored, problems) == ({}, (name,), [])


@pytest.mark.parametrize("name", FOREIGN)
def test_names_that_are_none_of_our_business(name: str) -> None:
    assert gathered({name: "v"}) == (Environment({}, (), ()), [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TIMEOUT_CONNECTT", "unknown name (did you mean TIMEOUT_CONNECT?)"),
        ("TIMEOUT_CONNECT_OPENAI", "unknown name (did you mean TIMEOUT_CONNECT?)"),
        ("GLOBAL_TIMEOUT_SECONDS", "unknown name (did you mean GLOBAL_TIMEOUT?)"),
        ("ROTATOR_PROT", "unknown name (did you mean ROTATOR_PORT?)"),
        ("ROTATOR_PLUGIN", "unknown name (did you mean ROTATOR_PLUGINS?)"),
        ("ROTATOR_SOMETHING_ELSE", "unknown name"),
    ],
)
def test_names_that_are_ours_and_unknown(name: str, reason: str) -> None:
    assert gathered({name: "v"}) == (Environment({}, (), ()), [f"environment: {name}: {reason}"])
    assert gathered({}, EnvFile("x.env", {name: "v"}))[1] == [f"x.env: {name}: {reason}"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIMEOUT_CONECT", "TIMEOUT_CONNECT"), ("timeout_connect", "TIMEOUT_CONNECT"), ("ROTATR_PORT", "ROTATOR_PORT"),
        ("PROXY_APIKEY", "PROXY_API_KEY"), ("STREAM_TTFB_TIMEOUT", "STREAM_TTFB_TIMEOUT_SECONDS"),
        ("DRIAN_SECONDS", "DRAIN_SECONDS"), ("SSL_CERT_FIL", "SSL_CERT_FILE"), ("PROXY_API_KEYS", "PROXY_API_KEY"),
    ],
)
def test_near_misses_are_warned_about(name: str, meant: str) -> None:
    environment, problems = gathered({name: "v"})
    assert environment.warnings == (f"environment: {name} is not read; did you mean {meant}?",)
    assert (environment.variables, problems) == ({}, [])


def test_a_name_that_stands_twice(configure: Configure) -> None:
    settings = configure(dotenv="ONE_API_KEY=a\nOTHER=1\nOTHER=2\nONE_API_KEY=b\nONE_API_KEY=c\n")
    assert settings.warnings == (".env: ONE_API_KEY stands there more than once; the last one counts",)
    assert settings.environment["ONE_API_KEY"].value == Secret("c")


def test_the_environment_over_the_env_file(configure: Configure) -> None:
    settings = configure({"A_API_KEY": " a \n", "B_API_KEY": " "}, dotenv="A_API_KEY=x\nB_API_KEY=b\nC_API_KEY=\n")
    assert {name: (held.value.reveal(), held.origin) for name, held in settings.environment.items()} == {
        "A_API_KEY": ("a", "environment"),
        "B_API_KEY": ("b", ".env"),
    }


def test_what_kubernetes_sets_for_a_service_of_our_name(configure: Configure) -> None:
    address = "tcp://10.0.0.7:8000"
    links = {
        "ROTATOR_SERVICE_HOST": "10.0.0.7", "ROTATOR_SERVICE_PORT": "8000", "ROTATOR_SERVICE_PORT_HTTP": "8000",
        "ROTATOR_PORT": address, "ROTATOR_PORT_8000_TCP": address, "ROTATOR_PORT_8000_TCP_PROTO": "tcp",
        "ROTATOR_PORT_8000_TCP_PORT": "8000", "ROTATOR_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    settings = configure(links, dotenv="ROTATOR_PORT=9001\n")
    assert settings.ignored == tuple(sorted(links))
    assert settings.origin("server.port").source == "env file"


def test_a_family_of_another_part(own_sections: None) -> None:
    variable("KITCHEN_HEAT_<ROOM>", "How warm a room is.")
    environment, problems = gathered({"KITCHEN_HEAT_HALL": "3", "KITCHEN_HEATING": "3"})
    assert list(environment.variables) == ["KITCHEN_HEAT_HALL"] and not problems


def test_a_family_s_name_without_a_member(own_sections: None) -> None:
    variable("KITCHEN_HEAT_<ROOM>", "How warm a room is.")
    assert gathered({"KITCHEN_HEAT": "3"}) == (
        Environment({}, (), ()),
        ["environment: KITCHEN_HEAT: unknown name (did you mean KITCHEN_HEAT_<ROOM>?)"],
    )
    variable("KITCHEN_HEAT", "How warm all rooms are.")
    environment, problems = gathered({"KITCHEN_HEAT": "3"})
    assert list(environment.variables) == ["KITCHEN_HEAT"] and not problems


@pytest.mark.parametrize("name", ["KITCHN_HEAT_BACK_ROOM", "KITCHEN_HAET_BACK_ROOM", "kitchen_heat_back_room"])
def test_near_misses_of_a_family(own_sections: None, name: str) -> None:
    variable("KITCHEN_HEAT_<ROOM>", "How warm a room is.")
    variable("HALL_HEAT_<ROOM>", "A short one, which much else is near to.")
    environment, problems = gathered({name: "3", "HAL_HEAT_X": "3", "KITCHEN_SINK": "4"})
    assert environment.warnings == (f"environment: {name} is not read; did you mean KITCHEN_HEAT_BACK_ROOM?",)
    assert (environment.variables, problems) == ({}, [])


# --- client keys

GOOD = "q7-plain-words-here"


def keys(**environ: str) -> tuple[tuple[ClientKey, ...], list[str]]:
    problems: list[Problem] = []
    environment = gather(environ, None, problems)
    return client_keys(environment, problems), [str(problem) for problem in problems]


def test_client_keys_by_number() -> None:
    held, problems = keys(PROXY_API_KEY_10=f"{GOOD}-10", PROXY_API_KEY=GOOD, PROXY_API_KEY_2=f"{GOOD}-2")
    assert not problems
    assert [(key.label, key.secret.reveal()) for key in held] == [
        ("client#0", GOOD), ("client#2", f"{GOOD}-2"), ("client#10", f"{GOOD}-10"),
    ]


def test_blank_client_keys_are_none() -> None:
    assert keys(PROXY_API_KEY=" ", PROXY_API_KEY_1="") == ((), [])


def test_the_same_client_key_twice_is_one() -> None:
    held, problems = keys(PROXY_API_KEY_1=GOOD, PROXY_API_KEY_3=GOOD, PROXY_API_KEY_2="other-words-here")
    assert [key.label for key in held] == ["client#1", "client#2"] and not problems


def test_two_client_keys_of_one_number() -> None:
    assert keys(PROXY_API_KEY=GOOD, PROXY_API_KEY_0=GOOD) == ((ClientKey("client#0", Secret(GOOD)),), [])
    _, problems = keys(PROXY_API_KEY=GOOD, PROXY_API_KEY_0="other-words-here")
    assert problems == ["environment: PROXY_API_KEY_0: PROXY_API_KEY is client#0 already"]


@pytest.mark.incident(9)
@pytest.mark.parametrize(
    "key",
    ["your-api-key", "your-api-key-1", "YOUR_API_KEY_HERE", "<your-key>", "yourSecretToken", "sk-your-api-key",
     "enter_your_key_here", "changeme", "change-me", "CHANGE_ME_123", "VerysecretKey", "sk-1234", "sk-12345678", "test",
     "test1234", "test-key", "secret", "password123", "my-secret-key", "proxy-key", "example-key", "xxxxxxxx",
     "sk-xxx", "********", "00000000", "12345678", "abcdefgh", "0123456789", "dummy", "rotator", "placeholder", "none"],
)
def test_well_known_client_keys_are_refused(key: str) -> None:
    held, problems = keys(PROXY_API_KEY=key)
    assert (held, problems) == ((), ["environment: PROXY_API_KEY: is a well-known placeholder; choose a random key"])


@pytest.mark.parametrize("key", ["a7-xq", "7777771", "k"[:1] + "9f3-ab"])
def test_short_client_keys_are_refused(key: str) -> None:
    assert keys(PROXY_API_KEY_4=key) == ((), ["environment: PROXY_API_KEY_4: is shorter than 8 characters"])


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=24).filter(lambda text: len(set(text)) > 9))
def test_random_client_keys_are_taken(key: str) -> None:
    assert keys(PROXY_API_KEY=key) == ((ClientKey("client#0", Secret(key)),), [])


@pytest.mark.parametrize("key", ["!@#$%^&*(", "пароль-из-слов", "test-bench-of-mine-42"])
def test_unusual_client_keys_are_taken(key: str) -> None:
    assert keys(PROXY_API_KEY=key)[1] == []


def test_a_client_key_s_origin_is_told(refused: Refused, tmp_path: Path) -> None:
    assert refused(dotenv="PROXY_API_KEY=changeme") == [
        ".env: PROXY_API_KEY: is a well-known placeholder; choose a random key"
    ]
