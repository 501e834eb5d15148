"""Schemas of tools for Chat and Messages.  Source: protocols.md 6.0, 6.1.4, 9.4 (T-32)."""

from __future__ import annotations

import copy
import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.upstreams import PROTOCOLS

from .schema_corpus import CORPUS, KEYWORDS, MODERN, NAMES, SCHEMAS, TREE, TYPEBOX, UNION, check_tool

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._schemas")
tool_schema, lowered = MODULE.tool_schema, MODULE.lowered

EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


def told(schema: Any) -> dict[str, Any]:
    """The schema alone, where nothing is to be told about it."""
    made, changes = tool_schema(schema)
    assert changes == ()
    return made


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def text(value: Any) -> str:
    """Order and numbers too: 1, 1.0 and True are three things."""
    return json.dumps(value)


@pytest.mark.parametrize("schema", [None, {}], ids=["none", "empty"])
def test_a_function_without_parameters_takes_an_empty_object(schema: Any) -> None:
    assert tool_schema(schema) == (EMPTY, ())


@pytest.mark.parametrize(
    "schema",
    [
        KEYWORDS,
        TYPEBOX,
        CORPUS["pydantic"],
        CORPUS["pydantic loose"],
        {"properties": {"b": {}, "a": {"type": "integer", "default": 1.0}}, "required": ["a"], "type": "object"},
        of(a={"required": ["x"]}, b={"type": "object", "properties": {"x": {}}, "anyOf": [{"required": ["x"]}]}),
        of(a={"anyOf": [{"properties": {"x": {}}, "required": ["y"]}, {"type": "string"}, False]}),
        of(a={"type": ["array", "null"], "items": {"type": "string"}}, c={"enum": [None, {"type": "X"}]}),
        {**EMPTY, "if": {"required": ["a"]}, "then": {"required": ["b"]}, "dependentRequired": {"a": ["b"]}},
        {**of(a={}), "additionalProperties": {"type": "string"}, "required": ["a", "other"]},
        {**of(a={}), "patternProperties": {"^x": {}}, "required": ["x1"]},
        {**of(a={"$ref": "#"}, b={"$ref": "#/$defs/x"}), "$defs": {"x": {"$anchor": "n", "$ref": "#n"}}},
    ],
    ids=str,
)
@pytest.mark.pitfall("P-100", "P-102")
def test_what_is_legal_below_a_plain_root_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert text(told(schema)) == text(schema)


def test_all_of_draft_2020_12_stays_but_for_spelling() -> None:
    expected = copy.deepcopy(MODERN)
    expected["properties"]["pair"]["prefixItems"][1] = {}
    assert text(told(MODERN)) == text(expected)


ROOTS = [
    # a schema, what it becomes
    ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
    ({"type": "object"}, EMPTY),
    ({"type": ["object", "null"], "properties": {"a": {}}}, of(a={})),
    ({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, of(a={"type": "string"})),
    ({"type": "string", "properties": {"a": {}}}, of(a={})),
    ({"description": "d"}, {"type": "object", "description": "d", "properties": {}}),
    ({"type": "object", "properties": None, "required": None}, EMPTY),
    ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]},
     {**of(a={}, b={}), "required": ["a", "b"]}),
    ({"properties": {"a": {"minLength": 1}}, "allOf": [{"properties": {"a": {"maxLength": 3}}}]},
     of(a={"allOf": [{"minLength": 1}, {"maxLength": 3}]})),
    ({"allOf": [{"properties": {"a": {}}}, {"properties": {"a": {}}}]}, of(a={})),
    ({"allOf": [of(a={}), {"additionalProperties": False}]}, {**of(a={}), "additionalProperties": False}),
    ({"allOf": [of(a={}), {"minProperties": 1, "description": "x"}], "description": "d"},
     {"description": "d", **of(a={}), "minProperties": 1}),
    ({"$ref": "#/$defs/A", "$defs": {"A": of(a={}), "B": {}}, "title": "t"},
     {"$defs": {"A": of(a={}), "B": {}}, "title": "t", **of(a={})}),
    ({"$ref": "#/definitions/A~1%20~0", "definitions": {"A/ ~": of(a={})}},
     {"definitions": {"A/ ~": of(a={})}, **of(a={})}),
    ({"$ref": "#x", "$defs": {"A": {"$anchor": "x", **of(a={})}}},
     {"$defs": {"A": {"$anchor": "x", **of(a={})}}, **of(a={})}),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A", **of(a={})}}},
     {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A", **of(a={})}}, **of(a={})}),
    ({"$ref": "#/$defs/A", "$defs": {"A": {**of(a={}), "required": ["a"]}}, "properties": {"b": {}}, "required": ["b"]},
     {"$defs": {"A": {**of(a={}), "required": ["a"]}}, "properties": {"b": {}, "a": {}}, "required": ["b", "a"],
      "type": "object"}),
    ({"$ref": "#"}, EMPTY),
    (TREE, {"$defs": TREE["$defs"], **TREE["$defs"]["Node"]}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), ROOTS, ids=lambda value: json.dumps(value)[:60])
def test_the_root_becomes_a_plain_object_of_the_same_meaning(schema: Any, expected: Any) -> None:
    assert told(schema) == expected


CHANGED = [
    # a schema, what it becomes, what is told
    ({"type": "array", "items": {}, "title": "t"}, {**EMPTY, "title": "t"}, "the root is no object"),
    ({"type": "string"}, EMPTY, "the root is no object"),
    ({"type": ["string", "null"]}, EMPTY, "the root is no object"),
    (UNION,
     {**of(op={"anyOf": [{"const": "add"}, {"const": "drop"}]}, item={"type": "string"}, index={"type": "integer"}),
      "required": ["op"], "additionalProperties": False, "description": "Accepts: {op, item} | {op, index?}"},
     "anyOf was merged into one object"),
    ({"oneOf": [of(a={"type": "string"}), of(a={"type": "string"}, b={})], "description": "d"},
     {"description": "d\n\nAccepts: {a?} | {a?, b?}", **of(a={"type": "string"}, b={})},
     "oneOf was merged into one object"),
    ({**of(a={"minLength": 1}), "anyOf": [of(a={"maxLength": 1}), of(b={})]},
     {**of(a={"minLength": 1}, b={}), "description": "Accepts: {a?} | {b?}"}, "anyOf was merged into one object"),
    ({**of(a={}, b={}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
     {**of(a={}, b={}), "description": "Requires: {a} | {b}"}, "anyOf was merged into one object"),
    ({"anyOf": [of(a={}), {"type": "null"}, {"type": "object"}, True]},
     {**of(a={}), "description": "Accepts: {a?} | any object"}, "anyOf was merged into one object"),
    ({"anyOf": [{"$ref": "#/$defs/A"}, {"allOf": [{"$ref": "#/$defs/A"}, of(b={})]}],
      "$defs": {"A": {**of(a={}), "required": ["a"]}}},
     {"$defs": {"A": {**of(a={}), "required": ["a"]}}, **of(a={}, b={}), "required": ["a"],
      "description": "Accepts: {a} | {a, b?}"}, "anyOf was merged into one object"),
    ({"anyOf": [{"anyOf": [of(a={}), of(b={})]}, of(c={})]},
     {**of(a={}, b={}, c={}), "description": "Accepts: {a?} | {b?}\n\nAccepts: {a?, b?} | {c?}"},
     "anyOf was merged into one object"),
    ({**of(a={}), "not": {"required": ["a"]}}, {**of(a={}), "description": '{not: {"required":["a"]}}'},
     "not at the root was moved into the description"),
    ({**of(a={}), "enum": [{"a": 1}]}, {**of(a={}), "description": '{enum: [{"a":1}]}'},
     "enum at the root was moved into the description"),
    ({"allOf": [{"not": {"required": ["a"]}}]}, {**EMPTY, "description": '{not: {"required":["a"]}}'},
     "not at the root was moved into the description"),
    ({"$ref": "https://x.example/s", **of(a={})}, of(a={}), '$ref "https://x.example/s" points nowhere'),
    ({"$ref": "#/$defs/A"}, EMPTY, '$ref "#/$defs/A" points nowhere'),
    ({"$ref": "#/anyOf/9999999999", **of(a={})}, of(a={}), '$ref "#/anyOf/9999999999" points nowhere'),
    ({"$ref": 7}, EMPTY, "$ref 7 points nowhere"),
    ({"allOf": [{"if": {"required": ["a"]}, "then": {"required": ["b"]}},
                {"if": {"required": ["c"]}, "else": {"required": ["d"]}}]},
     {**EMPTY, "if": {"required": ["a"]}, "then": {"required": ["b"]}}, "if was said twice"),
    ({"minProperties": 1, "allOf": [{"minProperties": 2}]}, {**EMPTY, "minProperties": 1},
     "minProperties was said twice"),
    ({"a": {"type": "string", "required": True}, "b": {"$ref": "#/a"}, "description": "d"},
     {**of(a={"type": "string"}, b={"$ref": "#/properties/a"}), "description": "d", "required": ["a"]},
     "the root: a bare map of properties became an object"),
    ({**of(a={}), "required": ["a", "ghost"]}, {**of(a={}), "required": ["a"]}, "required ghost is no property"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected", "change"), CHANGED, ids=[str(row[2])[:50] for row in CHANGED])
def test_what_the_root_cannot_say_is_described_and_told(schema: Any, expected: Any, change: str) -> None:
    assert tool_schema(schema) == (expected, (change,))


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("schema", CORPUS.values(), ids=CORPUS)
def test_any_schema_becomes_one_that_vendors_take(schema: dict[str, Any]) -> None:
    before = text(schema)
    made, changes = tool_schema(schema)
    check_tool(made)
    assert text(schema) == before
    assert tool_schema(made) == (made, ())
    assert text(tool_schema(json.loads(before))) == text((made, changes))


def nested(levels: int, around: tuple[str, str], inner: str) -> Any:
    return json.loads(around[0] * levels + inner + around[1] * levels)


@pytest.mark.pitfall("C273")
@pytest.mark.parametrize(
    "schema",
    [
        of(a=nested(195, ('{"not":', "}"), "{}")),
        of(a=nested(195, ('{"type":["array","null"],"items":', "}"), "{}")),
        nested(98, ('{"type":"object","properties":{"a":', "}}"), "{}"),
        nested(98, ('{"properties":{},"allOf":[', "]}"), '{"type":"object"}'),
        nested(98, ('{"properties":{},"anyOf":[', "]}"), '{"type":"object"}'),
        nested(66, ('{"b":{"type":"string"},"a":{"type":"object","properties":', "}}"), '{"b":{"type":"string"}}'),
    ],
    ids=["not", "items", "properties", "allOf", "anyOf", "bare"],
)
def test_the_deepest_json_that_is_read_is_no_trouble(schema: Any) -> None:
    made, _ = tool_schema(schema)
    assert made["type"] == "object"
    assert tool_schema(schema)[0] == made


def test_unions_of_one_object_nested_too_deep_are_left_out_and_told() -> None:
    made, changes = tool_schema(nested(60, ('{"allOf":[{"title":"t"},', "]}"), '{"properties":{"a":{}}}'))
    assert (made, changes) == ({**EMPTY, "title": "t"}, ("too many schemas of one object inside each other",))


def test_definitions_that_multiply_are_not_multiplied() -> None:
    definitions: dict[str, Any] = {
        f"A{n}": {"anyOf": [{"$ref": f"#/$defs/A{n + 1}"}, {"$ref": f"#/$defs/A{n + 1}"}]} for n in range(40)
    }
    definitions["A40"] = of(**{f"p{n}": {} for n in range(100)})
    made, changes = tool_schema({"$ref": "#/$defs/A0", "$defs": definitions})
    check_tool(made)
    assert "too many references in one object" in changes
    assert len(text(made)) < 2 * len(text(definitions)) + 30_000


def test_what_is_told_is_short_whatever_the_schema() -> None:
    _, changes = tool_schema({**of(), "required": ["x" * 500, *map(str, range(50))]})
    assert len(changes) == 10
    assert changes[0] == f"required {'x' * 111}"


def test_alternatives_are_described_briefly_whatever_their_number() -> None:
    one = {"anyOf": [of(**{f"property_{n}": {}}) for n in range(200)]}
    made, _ = tool_schema({"allOf": [one] * 30})
    notes = made["description"].split("\n\n")
    assert len(notes) == 20
    assert {len(note) for note in notes} == {1_003}
    assert notes[0].startswith("Accepts: {property_0?} | {property_1?} | ")


VALUES = st.sampled_from((None, 1, "a", "x", [], {}, {"a": 1}, {"a": "a", "b": "x"}))


@settings(max_examples=60)
@given(SCHEMAS, st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=6))
def test_whatever_fitted_a_schema_fits_what_becomes_of_it(schema: dict[str, Any], values: list[Any]) -> None:
    """Where alternatives are closed: open ones are narrowed by the union of all properties, as 6.1.4 wants it."""
    before = copy.deepcopy(schema)
    made, changes = tool_schema(schema)
    assert schema == before
    check_tool(made)
    assert tool_schema(made) == (made, ())
    if not any("points nowhere" in change for change in changes):
        old, new = Draft202012Validator(schema), Draft202012Validator(made)
        assert not [value for value in values if old.is_valid(value) and not new.is_valid(value)]


# ---------------------------------------------------------------- the memory


def test_what_is_kept_is_no_part_of_the_clients_schema() -> None:
    """The memory outlives the request."""
    schema = {**of(a={"anyOf": [{"enum": ["x"]}]}), "allOf": [of(b={"default": {"c": []}})]}
    assert told(schema)["properties"] is told(copy.deepcopy(schema))["properties"]
    assert told(schema) == of(a={"anyOf": [{"enum": ["x"]}]}, b={"default": {"c": []}})
    assert schema == {**of(a={"anyOf": [{"enum": ["x"]}]}), "allOf": [of(b={"default": {"c": []}})]}


@pytest.mark.parametrize("schema", [of(a={}), {"allOf": [of(a={})]}, None], ids=["as it was", "changed", "none"])
def test_the_root_is_the_callers_own(schema: Any) -> None:
    """A builder may put a description beside it."""
    told(schema)["description"] = "mine"
    assert "description" not in told(schema)
    assert "description" not in (schema or {})


def test_a_schema_is_walked_once() -> None:
    made: list[Any] = []
    memory = MODULE._Memory(lambda schema: made.append(schema) or len(made))
    assert [memory.of(of(a={})), memory.of(of(b={})), memory.of(of(a={}))] == [1, 2, 1]
    assert [memory.of({"minimum": 1}), memory.of({"minimum": 1.0}), memory.of({"minimum": True})] == [3, 4, 5]


def test_the_least_recently_used_schemas_are_forgotten() -> None:
    made: list[Any] = []
    memory = MODULE._Memory(lambda schema: made.append(schema["n"]))
    for number in (*range(MODULE._ENTRIES), 0, MODULE._ENTRIES, 0, 1):
        memory.of({"n": number})
    assert made == [*range(MODULE._ENTRIES + 1), 1]


def test_large_schemas_are_forgotten_sooner() -> None:
    made: list[Any] = []
    memory = MODULE._Memory(lambda schema: made.append(schema["n"]))
    large = "x" * (MODULE._BYTES // 3)
    for number in (0, 1, 2, 1, 2, 0):
        memory.of({"n": number, "large": large})
    assert made == [0, 1, 2, 0]
    memory.of({"n": 9, "large": large * 4})
    memory.of({"n": 9, "large": large * 4})
    memory.of({"n": 9})
    assert made == [0, 1, 2, 0, 9, 9, 9]


# ---------------------------------------------------------------- Gemini's spelling


@pytest.mark.pitfall("C40")
def test_types_in_upper_case_are_lowered_where_they_are_types() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "enum": ["STRING"], "default": {"type": "STRING"}},
            "list": {"type": "ARRAY", "items": {"anyOf": [{"type": "NUMBER"}, {"type": "null"}]}},
            "map": {"additionalProperties": {"type": "INTEGER"}, "properties": {"a": True}},
        },
    }
    before = copy.deepcopy(schema)
    assert lowered(schema) == {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["STRING"], "default": {"type": "STRING"}},
            "list": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
            "map": {"additionalProperties": {"type": "integer"}, "properties": {"a": True}},
        },
    }
    assert schema == before


@pytest.mark.parametrize("name", [name for name in CORPUS if name != "gemini"])
def test_a_schema_without_such_types_is_the_same_object(name: str) -> None:
    assert lowered(CORPUS[name]) is CORPUS[name]
