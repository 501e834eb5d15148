"""Which names say that a credential stands beside them (faults.md 5)."""

import pytest

from rotator.trace.names import is_plural, is_schema, is_secret_header, is_secret_member, is_secret_parameter
from tests.trace import credentials


@pytest.mark.parametrize("name", credentials.HEADERS)
def test_headers_that_carry_credentials(name: str) -> None:
    for form in (name, name.upper(), name.title(), name.replace("-", "_")):
        assert is_secret_header(form), form


@pytest.mark.parametrize("name", credentials.HARMLESS_HEADERS)
def test_headers_that_do_not(name: str) -> None:
    assert not is_secret_header(name) and not is_secret_header(name.title())


@pytest.mark.parametrize("name", credentials.MEMBERS)
def test_members_that_hold_credentials(name: str) -> None:
    """Case, ``-``, ``_`` and camel variants, with a number behind or the service's name in front."""
    snake, bare = name.replace("-", "_"), name.removesuffix("_2")
    for form in (name, name.replace("_", "-"), snake.upper(), f"my_{snake}", f"{bare}_2", f"{name}3"):
        assert is_secret_member(form), form


@pytest.mark.parametrize("name", credentials.HARMLESS_MEMBERS)
def test_members_that_do_not(name: str) -> None:
    for form in (name, name.upper(), f"my_{name}", f"{name}_2"):
        assert not is_secret_member(form), form


@pytest.mark.parametrize("name", ["apikey", "APIKEY", "accesstoken", "clientSecret", "DBPASSWORD", "x.api.key"])
def test_words_may_be_written_together(name: str) -> None:
    assert is_secret_member(name) and not is_secret_member(f"{name}ing")


def test_a_long_name_is_judged_by_its_end() -> None:
    assert is_secret_member("x" * 9_999 + "_api_key") and is_secret_header("x" * 9_999 + "-api-key")


def test_plurals_may_count_something() -> None:
    assert is_plural("api_keys") and is_plural("accessTokens") and is_plural("PASSWORDS")
    assert not is_plural("api_key") and not is_plural("password_2") and not is_plural("keys")


@pytest.mark.parametrize("name", credentials.PARAMETERS)
def test_parameters_that_are_credentials(name: str) -> None:
    assert is_secret_parameter(name)


@pytest.mark.parametrize("name", [*credentials.HARMLESS_PARAMETERS, "", "%", "%zz", "%6b"])
def test_parameters_that_are_not(name: str) -> None:
    assert not is_secret_parameter(name)


@pytest.mark.parametrize(
    ("value", "declares"),
    [
        ({}, True),
        ({"type": "string"}, True),
        ({"type": "STRING", "description": "The password.", "x-order": 1}, True),
        ({"type": ["string", "null"]}, True),
        ({"$ref": "#/$defs/Secret"}, True),
        ({"anyOf": [{"type": "string"}]}, True),
        ({"type": "bearer", "description": "a"}, False),
        ({"type": "oauth"}, False),
        ({"type": "string", "value": "a"}, False),
        ({"username": "a"}, False),
        ({1: 2}, False),
        ({"type": [["string"]]}, False),
    ],
)
def test_what_declares_a_field_holds_none(value: dict[object, object], declares: bool) -> None:
    assert is_schema(value) is declares
