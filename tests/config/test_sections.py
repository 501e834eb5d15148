"""Registering sections and variables."""

from dataclasses import dataclass

import pytest

from rotator.config import section, setting, variable
from rotator.config.sections import KEY_FORM, Name, names, sections, settings, variables

pytestmark = pytest.mark.usefixtures("own_sections")


@dataclass(frozen=True, slots=True)
class Kitchen:
    heat: int = setting(1, env="KITCHEN_HEAT", aliases=("KITCHEN_WARMTH",), key="warmth")


def test_a_section_is_known_with_all_it_has() -> None:
    assert section("kitchen")(Kitchen) is Kitchen
    assert sections()["kitchen"] is Kitchen
    assert [one.key for one in settings() if one.section == "kitchen"] == ["kitchen.warmth"]
    assert variables()["KITCHEN_HEAT"] == variables()["KITCHEN_WARMTH"]


def test_a_section_s_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two sections named server"):
        section("server")(Kitchen)


def test_a_variable_s_name_is_taken_once() -> None:
    section("kitchen")(Kitchen)
    with pytest.raises(ValueError, match=r"bath.warmth: KITCHEN_HEAT, KITCHEN_WARMTH is taken"):
        section("bath")(Kitchen)
    assert "bath" not in sections()


def test_a_section_needs_defaults() -> None:
    @dataclass(frozen=True, slots=True)
    class Bare:
        size: int

    with pytest.raises(ValueError, match=r"bare.size has no default"):
        section("bare")(Bare)


def test_variables_of_no_section() -> None:
    variable("KITCHEN_<ROOM>_HEAT", "Warmth.")
    assert names()[-1] == Name("KITCHEN_<ROOM>_HEAT", "Warmth.")
    assert (names()[-1].prefix, names()[-1].is_family) == ("KITCHEN_", True)
    with pytest.raises(ValueError, match="ROTATOR_STATE is registered twice"):
        variable("ROTATOR_STATE", "Again.")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ONE_API_KEY", ("ONE", None, None)),
        ("ONE_TWO_API_KEY_3", ("ONE_TWO", "3", None)),
        ("ONE_API_KEY_LABEL", ("ONE", None, "LABEL")),
        ("ONE_API_KEY_12_PRIORITY", ("ONE", "12", "PRIORITY")),
    ],
)
def test_the_form_of_keys(name: str, parts: tuple[str | None, ...]) -> None:
    match = KEY_FORM.fullmatch(name)
    assert match is not None and match.groups() == parts
