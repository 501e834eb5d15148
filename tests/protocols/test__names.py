"""Tool names on the wire and back.  Source: protocols.md 6.4, 9.4 (T-31)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.codec import ToolName
from rotator.neutral.parts import Text, ToolCall
from rotator.neutral.request import Request, Tool, ToolPolicy, Turn
from tests.upstreams import PROTOCOLS

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._names")
ToolNames = MODULE.ToolNames

LIMIT = 64


def request(*tools: Tool, calls: Sequence[ToolCall] = (), chosen: Sequence[str] = ()) -> Request:
    turns = (Turn("user", (Text("hi"),)), Turn("assistant", (Text("so"), *calls)))
    return Request("responses", "m", turns, tools, ToolPolicy("allowed", tuple(chosen)))


def names(*declared: str, **more: Any) -> ToolNames:
    return ToolNames(request(*map(Tool, declared), **more), LIMIT)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


FITTING = ["read", "_", "A", "mcp__git__log", "a-b", "x9", "a" * 64]


@pytest.mark.parametrize("name", FITTING)
def test_a_name_that_fits_is_told_as_it_is(name: str) -> None:
    assert names(name).wire(name) == name
    assert names("other.one", name).wire(name) == name
    assert names(name).restore() == {}


CLEANED = [
    # the client's name, what is left of it before the hash
    ("a.b", "a_b"),
    ("a/b c", "a_b_c"),
    ("7zip", "_7zip"),
    ("-x", "_-x"),
    (".x", "_x"),
    ("wetter_ä", "wetter__"),
    ("日本", "__"),
    ("", "_"),
    ("a\n", "a_"),
    ("a\ud800", "a_"),
    ("a" * 65, "a" * 55),
    ("a" * 200, "a" * 55),
    ("." + "a" * 70, "_" + "a" * 54),
    ("7" * 64, "_" + "7" * 54),
]


@pytest.mark.parametrize(("name", "start"), CLEANED)
def test_any_other_name_is_cleaned_and_ends_in_its_hash(name: str, start: str) -> None:
    wire = f"{start}_{digest(name)}"
    assert len(wire) <= LIMIT
    assert names(name).wire(name) == wire
    assert names(name).restore() == {wire: ToolName(name)}


def test_the_limit_is_the_protocols() -> None:
    told = ToolNames(request(Tool("a" * 129), Tool("b" * 128)), 128)
    assert told.wire("a" * 129) == "a" * 119 + "_" + digest("a" * 129)
    assert told.wire("b" * 128) == "b" * 128


def test_names_that_are_equal_after_cleaning_stay_apart() -> None:
    told = names("a.b", "a/b", "a_b")
    wires = {name: told.wire(name) for name in ("a.b", "a/b", "a_b")}
    assert wires == {"a.b": f"a_b_{digest('a.b')}", "a/b": f"a_b_{digest('a/b')}", "a_b": "a_b"}
    assert told.restore() == {wires["a.b"]: ToolName("a.b"), wires["a/b"]: ToolName("a/b")}


def test_a_tool_that_has_the_wire_name_of_another_keeps_it() -> None:
    taken = f"a_b_{digest('a.b')}"
    told = names("a.b", taken)
    assert told.wire(taken) == taken
    assert told.wire("a.b") == f"a_b_{digest('a.b#1')}"
    assert told.restore() == {f"a_b_{digest('a.b#1')}": ToolName("a.b")}


@pytest.mark.pitfall("P-67")
def test_a_namespace_stands_before_its_tools() -> None:
    told = ToolNames(request(Tool("read", namespace="files"), Tool("read", namespace="mails"), Tool("read")), LIMIT)
    assert told.wire("read", "files") == "files__read"
    assert told.wire("read", "mails") == "mails__read"
    assert told.wire("read") == "read"
    assert told.restore() == {
        "files__read": ToolName("read", namespace="files"),
        "mails__read": ToolName("read", namespace="mails"),
    }


def test_a_tool_without_a_namespace_goes_before_one_that_reads_the_same() -> None:
    told = ToolNames(request(Tool("c", namespace="a__b"), Tool("b__c", namespace="a"), Tool("a__b__c")), LIMIT)
    assert told.wire("a__b__c") == "a__b__c"
    assert told.wire("b__c", "a") == "a__b__c_" + digest("a\x00b__c")
    assert told.wire("c", "a__b") == "a__b__c_" + digest("a__b\x00c")


def test_a_namespace_that_does_not_fit_is_cleaned_with_its_tool() -> None:
    told = ToolNames(request(Tool("read", namespace="my.files")), LIMIT)
    wire = "my_files__read_" + digest("my.files\x00read")
    assert told.wire("read", "my.files") == wire
    assert told.restore() == {wire: ToolName("read", namespace="my.files")}


@pytest.mark.parametrize(
    "more",
    [{"chosen": ["old.tool"]}, {"calls": [ToolCall("1", "old.tool")]}],
    ids=["in the tool choice", "in the history"],
)
def test_a_name_that_is_not_declared_is_mapped_and_restored_too(more: dict[str, Any]) -> None:
    told = names("read", **more)
    wire = f"old_tool_{digest('old.tool')}"
    assert told.wire("old.tool") == wire
    assert told.restore() == {wire: ToolName("old.tool")}


def test_a_name_that_is_nowhere_is_cleaned_all_the_same() -> None:
    told = names("read")
    assert told.wire("a.b") == f"a_b_{digest('a.b')}"
    assert told.wire("x", "ns") == "ns__x"
    assert told.wire("unknown") == "unknown"
    assert told.restore() == {}


def test_a_history_does_not_change_the_names_of_declared_tools() -> None:
    tools = (Tool("a.b"), Tool("read", namespace="files"))
    plain = ToolNames(request(*tools), LIMIT)
    calls = [ToolCall("1", plain.wire("a.b")), ToolCall("2", "files__read"), ToolCall("3", "a/b")]
    later = ToolNames(request(*tools, calls=calls), LIMIT)
    assert later.wire("a.b") == plain.wire("a.b")
    assert later.wire("read", "files") == "files__read"
    # A client that was told the wire name before means the same tool.
    assert later.wire("files__read") == "files__read"
    assert later.restore()["files__read"] == ToolName("read", namespace="files")
    assert later.restore()[plain.wire("a.b")] == ToolName("a.b")


def test_calls_in_a_namespace_that_is_not_declared_are_told_apart() -> None:
    calls = [ToolCall("1", "c", namespace="a__b"), ToolCall("2", "b__c", namespace="a"), ToolCall("3", "a__b__c")]
    told = names(calls=calls)
    wires = [told.wire("a__b__c"), told.wire("b__c", "a"), told.wire("c", "a__b")]
    assert wires == ["a__b__c", "a__b__c_" + digest("a\x00b__c"), "a__b__c_" + digest("a__b\x00c")]


def test_a_bare_name_means_the_one_tool_that_has_it_in_a_namespace() -> None:
    told = ToolNames(request(Tool("read", namespace="files"), chosen=["read"]), LIMIT)
    assert told.wire("read") == "files__read"
    assert told.restore() == {"files__read": ToolName("read", namespace="files")}


def test_a_bare_name_of_several_namespaces_or_of_none_stays_itself() -> None:
    both = (Tool("read", namespace="a"), Tool("read", namespace="b"))
    assert ToolNames(request(*both, chosen=["read"]), LIMIT).wire("read") == "read"
    assert ToolNames(request(Tool("read"), Tool("x", namespace="a"), chosen=["read"]), LIMIT).wire("read") == "read"


def test_a_call_in_another_namespace_is_not_the_declared_tool() -> None:
    told = ToolNames(request(Tool("read", namespace="a"), calls=[ToolCall("1", "read", namespace="b")]), LIMIT)
    assert told.wire("read", "b") == "b__read"


def test_hosted_tools_have_no_names_here() -> None:
    hosted = Tool("web.search", "hosted", namespace="x", data={"type": "web_search"})
    assert ToolNames(request(hosted), LIMIT).restore() == {}


@pytest.mark.parametrize(
    ("tool", "wire"),
    [
        (Tool("patch", "custom"), "patch"),
        (Tool("a.b", "custom"), f"a_b_{digest('a.b')}"),
        (Tool("patch", "custom", namespace="ns"), "ns__patch"),
    ],
    ids=["same name", "cleaned name", "namespace"],
)
def test_an_emulated_custom_tool_is_told_back_as_one(tool: Tool, wire: str) -> None:
    told = ToolNames(request(tool, Tool("read")), LIMIT)
    assert told.restore({tool.name}) == {wire: ToolName(tool.name, "custom", tool.namespace)}
    assert told.restore({"read", "other"}) == told.restore()


def test_a_custom_call_of_the_history_is_told_back_as_one() -> None:
    told = names(calls=[ToolCall("1", "patch", kind="custom")])
    assert told.restore({"patch"}) == {"patch": ToolName("patch", "custom")}
    assert told.restore() == {}


@pytest.mark.pitfall("P-67")
def test_only_the_custom_one_of_two_namespaces_is_told_back_as_custom() -> None:
    told = ToolNames(request(Tool("x", "custom", namespace="a"), Tool("x", namespace="b")), LIMIT)
    assert told.restore({"x"}) == {"a__x": ToolName("x", "custom", "a"), "b__x": ToolName("x", namespace="b")}


def test_what_others_than_the_assistant_hold_is_no_call() -> None:
    turns = (Turn("user", (ToolCall("1", "a.b"),)),)
    assert ToolNames(Request("chat", "m", turns), LIMIT).restore() == {}


NAMES = st.text("ab._-7/ ä", max_size=4) | st.text(max_size=80) | st.sampled_from(("a" * 64, "a" * 65, "a" * 66))
TOOLS = st.lists(st.builds(Tool, NAMES, namespace=st.text("a_.", max_size=3)), max_size=8)
CALLS = st.lists(st.builds(ToolCall, st.just("1"), NAMES, namespace=st.text("a_.", max_size=3)), max_size=4)


@pytest.mark.pitfall("C49")
@given(TOOLS, CALLS, st.lists(NAMES, max_size=3), st.randoms(use_true_random=False))
def test_any_names_fit_stay_apart_and_come_back(
    tools: list[Tool], calls: list[ToolCall], chosen: list[str], random: Any
) -> None:
    told = ToolNames(request(*tools, calls=calls, chosen=chosen), LIMIT)
    declared = {(tool.name, tool.namespace) for tool in tools}
    wires = {key: told.wire(*key) for key in declared}
    assert len(set(wires.values())) == len(declared)
    restored = told.restore()
    for (name, namespace), wire in wires.items():
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", wire)
        own = restored.get(wire, ToolName(wire))
        assert (own.name, own.namespace) == (name, namespace)
    used = {(call.name, call.namespace) for call in calls} | {(name, "") for name in chosen}
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", told.wire(*key)) for key in used)

    shuffled = tools[:]
    random.shuffle(shuffled)
    other = ToolNames(request(*shuffled), LIMIT)
    assert {key: other.wire(*key) for key in declared} == wires
