"""The strict reader: types, ranges, and every problem's exact text."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from rotator.config import At, read, setting
from rotator.config.reader import describe, parse
from rotator.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Door:
    width: float
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True, slots=True)
class House:
    name: str = setting(doc="What people call it.")
    floors: int = setting(1, minimum=1, maximum=5)
    area: float = setting(10.0, key="area_m2", minimum=0)
    heated: bool = False
    garden: str | None = None
    wait: float | None = setting(None, off=True, minimum=1)
    plan: Path = Path("plan.txt")
    tags: tuple[str, ...] = ()
    prices: Mapping[str, int] = setting({})
    door: Door = Door(1.0)
    doors: tuple[Door, ...] = ()
    sign: str | Door = "none"
    extra: Any = None

    def __post_init__(self) -> None:
        if self.name == "castle" and self.floors < 2:
            raise ValueError("a castle has more floors")


FILE = At("house.yaml", folder=Path("/base"))


def house(data: object) -> House:
    problems: list[Problem] = []
    made = read(House, data, FILE, problems)
    assert made is not None and not problems
    return made


def wrong(data: object) -> list[str]:
    problems: list[Problem] = []
    assert read(House, data, FILE, problems) is None
    return [str(problem) for problem in problems]


def test_defaults_stay() -> None:
    assert house({"name": "hut"}) == House("hut")


def test_every_type() -> None:
    made = house({
        "name": "hut", "floors": 2, "area_m2": 12, "heated": True, "garden": "rear", "wait": 2.5, "plan": "a/b.txt",
        "tags": ["x", "y"], "prices": {"sale": 3}, "door": {"width": 2, "colour": "blue"},
        "doors": [{"width": 1.5}, {"width": 3}], "sign": {"width": 0.1}, "extra": [{"deep": None}],
    })
    assert made == House(
        "hut", 2, 12.0, True, "rear", 2.5, Path("/base/a/b.txt"), ("x", "y"), {"sale": 3}, Door(2.0, "blue"),
        (Door(1.5), Door(3.0)), Door(0.1), [{"deep": None}],
    )
    assert type(made.area) is float


def test_what_is_read_is_frozen() -> None:
    made = house({"name": "hut", "prices": {"sale": 3}})
    with pytest.raises(TypeError):
        made.prices["sale"] = 4  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        made.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("data", ["off", "OFF", " off ", None, False])
def test_off(data: object) -> None:
    assert house({"name": "hut", "wait": data}).wait is None


def test_a_null_mapping_is_an_empty_one() -> None:
    made = house({"name": "hut", "prices": None, "garden": None})
    assert made == House("hut")
    assert wrong({"name": "hut", "door": None}) == ["house.yaml: door.width: missing"]


@pytest.mark.parametrize(("word", "heated"), [("yes", True), ("on", True), ("no", False), ("off", False)])
def test_words_for_truth(word: str, heated: bool) -> None:
    assert house({"name": "hut", "heated": word}).heated is heated


def test_an_absolute_path_stays() -> None:
    assert house({"name": "hut", "plan": "/etc/plan"}).plan == Path("/etc/plan")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"nam": "hut", "name": "x"}, "nam: unknown key (did you mean name?)"),
        ({"elephant": 1, "name": "x"}, "elephant: unknown key"),
        ({}, "name: missing"),
        ({"name": None}, "name: expected text, found nothing"),
        ({"name": 5}, "name: expected text, found 5"),
        ({"name": {}}, "name: expected text, found a mapping"),
        ({"name": "x", "floors": 0}, "floors: expected a whole number from 1 to 5, found 0"),
        ({"name": "x", "floors": 6}, "floors: expected a whole number from 1 to 5, found 6"),
        ({"name": "x", "floors": "2"}, "floors: expected a whole number from 1 to 5, found '2'"),
        ({"name": "x", "floors": 2.0}, "floors: expected a whole number from 1 to 5, found 2.0"),
        ({"name": "x", "floors": True}, "floors: expected a whole number from 1 to 5, found true"),
        ({"name": "x", "area_m2": -1}, "area_m2: expected a number of at least 0, found -1"),
        ({"name": "x", "area_m2": False}, "area_m2: expected a number of at least 0, found false"),
        ({"name": "x", "area_m2": float("inf")}, "area_m2: expected a number of at least 0, found inf"),
        ({"name": "x", "area_m2": float("nan")}, "area_m2: expected a number of at least 0, found nan"),
        ({"name": "x", "area_m2": "big"}, "area_m2: expected a number of at least 0, found 'big'"),
        ({"name": "x", "heated": "very"}, "heated: expected true or false, found 'very'"),
        ({"name": "x", "heated": 1}, "heated: expected true or false, found 1"),
        ({"name": "x", "garden": ["a"]}, "garden: expected text, found a list"),
        ({"name": "x", "wait": 0.5}, "wait: expected a number of at least 1 or off, found 0.5"),
        ({"name": "x", "wait": "on"}, "wait: expected a number of at least 1 or off, found 'on'"),
        ({"name": "x", "plan": ""}, "plan: expected a path, found ''"),
        ({"name": "x", "plan": "~nobody-of-that-name/x"}, "plan: expected a path, found '~nobody-of-that-name/x'"),
        ({"name": "x", "tags": "a,b"}, "tags: expected a list, found 'a,b'"),
        ({"name": "x", "tags": ["a", 2]}, "tags[1]: expected text, found 2"),
        ({"name": "x", "prices": [1]}, "prices: expected a mapping, found a list"),
        ({"name": "x", "prices": {"sale": "3"}}, "prices.sale: expected a whole number, found '3'"),
        ({"name": "x", "door": "wide"}, "door: expected a mapping, found 'wide'"),
        ({"name": "x", "door": {"width": 1, "colour": "pink"}}, "door.colour: expected red or blue, found 'pink'"),
        ({"name": "x", "doors": [{"width": 1}, {}]}, "doors[1].width: missing"),
        ({"name": "x", "sign": 3}, "sign: expected text, found 3"),
        ({"name": "x", "sign": {"width": "1"}}, "sign.width: expected a number, found '1'"),
        ({"name": "x", "sign": []}, "sign: expected text or a mapping, found a list"),
        ({"name": "castle"}, "a castle has more floors"),
        ("text", "expected a mapping, found 'text'"),
        ([], "expected a mapping, found a list"),
    ],
)
def test_problems(data: object, expected: str) -> None:
    assert wrong(data) == [f"house.yaml: {expected}"]


def test_all_problems_are_told_at_once() -> None:
    data = {"floors": 9, "tags": [1, 2], "door": {"colour": "pink"}, "prices": {"a": "b"}, "roof": 1}
    assert wrong(data) == [
        "house.yaml: floors: expected a whole number from 1 to 5, found 9",
        "house.yaml: tags[0]: expected text, found 1",
        "house.yaml: tags[1]: expected text, found 2",
        "house.yaml: door.colour: expected red or blue, found 'pink'",
        "house.yaml: door.width: missing",
        "house.yaml: prices.a: expected a whole number, found 'b'",
        "house.yaml: roof: unknown key",
        "house.yaml: name: missing",
    ]


@pytest.mark.parametrize("text", ["sk-" + "planted0" * 2, "A1" * 9, "x" * 41, "line\nbreak", "Bearer planted00"])
def test_a_text_that_may_be_a_secret_is_not_repeated(text: str) -> None:
    assert wrong({"name": "x", "floors": text}) == [
        "house.yaml: floors: expected a whole number from 1 to 5, found a text"
    ]


def test_a_key_that_is_a_secret_is_not_repeated() -> None:
    assert wrong({"name": "x", "sk-" + "planted0" * 2: 1}) == ["house.yaml: ***: unknown key"]


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "30", 30), (int, " +7 ", 7), (int, "-1", -1), (float, "2.5", 2.5), (float, "30", 30.0),
        (float, "1e3", 1000.0), (str, "a,b", "a,b"), (tuple[str, ...], "a, b,,c ", ("a", "b", "c")),
        (tuple[int, ...], "1,2", (1, 2)), (Path, "x", Path("/base/x")), (Literal["red", "blue"], "blue", "blue"),
        (Literal[1, 2], "2", 2), (int | None, "3", 3), (int | str, "x", "x"),
        *((bool, text, True) for text in ("true", "1", "yes", "on", "TRUE", " On ")),
        *((bool, text, False) for text in ("false", "0", "no", "off", "False")),
    ],
)
def test_text(hint: object, text: str, value: object) -> None:
    made = parse(hint, text, At("environment", "X", Path("/base"), text=True))
    assert made == value and type(made) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (int, "3.0", "a whole number"), (int, "1_000", "a whole number"), (int, "x", "a whole number"),
        (int, "9" * 30, "a whole number"), (float, "nan", "a number"), (float, "-inf", "a number"),
        (float, "1e999", "a number"), (float, "30s", "a number"), (bool, "y", "true or false"),
        (Literal["red", "blue"], "pink", "red or blue"), (Mapping[str, int], "a", "a mapping"),
    ],
)
def test_text_that_does_not_fit(hint: object, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^environment: X: expected {expected}, found '"):
        parse(hint, text, At("environment", "X", text=True))


def test_a_number_beyond_all_floats() -> None:
    with pytest.raises(ConfigError, match="expected a number, found a very large number"):
        parse(float, 10**400, At("x.yaml", "n"))


def test_the_range_may_be_open() -> None:
    @dataclass(frozen=True, slots=True)
    class Room:
        size: int = setting(1, maximum=3)

    problems: list[Problem] = []
    assert read(Room, {"size": 4}, At("r.yaml"), problems) is None
    assert str(problems[0]) == "r.yaml: size: expected a whole number of at most 3, found 4"


def test_the_range_of_a_mapping_is_that_of_its_values() -> None:
    @dataclass(frozen=True, slots=True)
    class Shop:
        prices: Mapping[str, float] = setting({}, minimum=0.5, maximum=1e6)

    problems: list[Problem] = []
    assert read(Shop, {"prices": {"a": 1, "b": 0, "c": 1e7}}, At("s.yaml"), problems) is None
    assert [str(problem) for problem in problems] == [
        "s.yaml: prices.b: expected a number from 0.5 to 1000000, found 0",
        "s.yaml: prices.c: expected a number from 0.5 to 1000000, found 10000000.0",
    ]


def test_anything_is_described() -> None:
    assert describe(Any) == "anything"
