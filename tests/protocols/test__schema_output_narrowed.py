"""Answer schemas that a dialect would narrow are asked for in words; what else must not be left out is refused."""

import copy
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.neutral.losses import Ledger, Loss
from tests.upstreams import PROTOCOLS

TEXT = {"type": "string"}
MAP = {"type": "object", "additionalProperties": TEXT}
TREE = {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/T"}}}}
WHOLE: dict[str, dict[str, Any]] = {
    "object": {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
    "closed and empty": {"type": "object", "additionalProperties": False},
    "list": {"type": "object", "properties": {"a": {"type": "array", "items": TEXT}}},
    "union": {"type": "object", "properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}},
    "used twice": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "object", "properties": {"c": TEXT}}},
    },
}
NARROWED: dict[str, dict[str, Any]] = {
    "any object": {"type": "object"},
    "map": {"type": "object", "properties": {"labels": MAP}, "required": ["labels"]},
    "any value": {"type": "object", "properties": {"a": {"description": "whatever"}}},
    "true": {"type": "object", "properties": {"a": True}},
    "patterns": {"type": "object", "properties": {"a": TEXT}, "patternProperties": {"^x": TEXT}},
    "in a list": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}},
    "contains itself": {"$ref": "#/$defs/T", "$defs": {"T": TREE}},
    "in a union": {"type": "object", "properties": {"a": {"anyOf": [TEXT, MAP]}}},
}
CODECS = {name: protocol.codecs["generate"] for name, protocol in PROTOCOLS.items()}


def translated(client: str, body: dict[str, Any]) -> tuple[dict[str, Any], list[Loss]]:
    """A client's request as the other protocol's vendor gets it; the client's own stays."""
    ledger, before = Ledger(), copy.deepcopy(body)
    request = CODECS[client].parse({"model": "m", **body}, "m", False, ledger)
    built = CODECS["messages" if client == "chat" else "chat"].build(request, ledger)
    assert body == before
    return built.body, ledger.losses


def asked(schema: dict[str, Any]) -> tuple[dict[str, Any], list[Loss]]:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return translated("chat", {"messages": [{"role": "user", "content": "hi"}], "response_format": wanted})


@pytest.mark.parametrize("schema", WHOLE.values(), ids=WHOLE)
def test_what_the_dialect_can_say_is_enforced(schema: dict[str, Any]) -> None:
    body, _ = asked(schema)
    assert body["output_config"]["format"]["type"] == "json_schema" and "system" not in body


@pytest.mark.parametrize("schema", NARROWED.values(), ids=NARROWED)
def test_what_it_would_narrow_is_asked_for_in_words(schema: dict[str, Any]) -> None:
    body, losses = asked(schema)
    assert "output_config" not in body
    assert "It must fit this JSON Schema" in body["system"]
    assert losses == [Loss("format.schema", "response_format")]


def test_many_references_are_looked_at_once() -> None:
    definitions: dict[str, Any] = {"d0": {"type": "object", "properties": {"a": TEXT}}}
    for place in range(1, 60):
        below = {"$ref": f"#/$defs/d{place - 1}"}
        definitions[f"d{place}"] = {"type": "object", "properties": {"a": below, "b": below}}
    body, _ = asked({"$ref": "#/$defs/d20", "$defs": {name: definitions[name] for name in list(definitions)[:21]}})
    assert "output_config" in body


@pytest.mark.parametrize("client", ["chat", "messages"])
def test_tools_of_one_name_have_a_limit(client: str) -> None:
    def tool(number: int) -> dict[str, Any]:
        described = {"name": "same", "description": str(number)}
        if client == "chat":
            return {"type": "function", "function": described}
        return {**described, "input_schema": {"type": "object"}}

    hi = [{"role": "user", "content": "hi"}]
    body, _ = translated(client, {"max_tokens": 5, "messages": hi, "tools": [tool(one) for one in range(20)]})
    assert len(body["tools"]) == 20
    with pytest.raises(Refused, match=r"tools\[20\]: more than 20 different tools are called same"):
        translated(client, {"max_tokens": 5, "messages": hi, "tools": [tool(one) for one in range(21)]})


KEPT: dict[str, tuple[dict[str, Any], str]] = {
    "a thread": ({"thread": {"type": "continue", "id": "t"}}, "thread: is kept by its own vendor only"),
    "an upload": (
        {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
        r"messages\[0\].content\[0\]",
    ),
}


@pytest.mark.parametrize("more", KEPT)
def test_what_the_vendor_keeps_is_not_left_out(more: str) -> None:
    said, told = KEPT[more]
    with pytest.raises(Refused, match=told):
        translated("messages", {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], **said})


BROKEN = {
    "file": {"type": "file", "file": {"file_data": "\u2028", "filename": "a.txt"}},
    "image": {"type": "image_url", "image_url": {"url": "data:;base64,\u00e9"}},
}


@pytest.mark.parametrize("part", BROKEN.values(), ids=BROKEN)
def test_data_that_is_no_base64_is_the_clients_mistake(part: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"messages\[0\]"):
        translated("chat", {"messages": [{"role": "user", "content": [part]}]})


def test_results_without_an_id_go_to_the_call_of_their_name() -> None:
    calls = [{"type": "function", "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    results = [{"role": "tool", "name": name, "content": f"of {name}"} for name in ("b", "a")]
    tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
    called_by = {"role": "assistant", "content": None, "tool_calls": calls}
    messages = [{"role": "user", "content": "hi"}, called_by, *results]
    body, _ = translated("chat", {"messages": messages, "tools": tools})
    _, called, answered = body["messages"]
    names = {block["id"]: block["name"] for block in called["content"]}
    told = {names[block["tool_use_id"]]: block["content"] for block in answered["content"]}
    assert told == {"a": "of a", "b": "of b"}
