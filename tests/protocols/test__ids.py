"""Call ids on the wire.  Source: protocols.md 6.3, 9.4 (T-30)."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstreams import PROTOCOLS

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._ids")
CallIds, IdRule = MODULE.CallIds, MODULE.IdRule

MESSAGES = IdRule(re.compile(r"[a-zA-Z0-9_-]+"), 64, "toolu_")
CHAT = IdRule(re.compile(r"[!-~]+"), 40, "call_")
ANY = IdRule(re.compile(r".*", re.DOTALL), 40, "call_")
RULES = st.sampled_from((MESSAGES, CHAT, ANY))
IDS = st.text(max_size=80) | st.text("ab:.-_é\n", max_size=5) | st.just("\ud800")


def hashed(prefix: str, text: str) -> str:
    """The reference's formula: the prefix and 26 characters of base32 of sha256."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return prefix + base64.b32encode(digest).decode()[:26].lower()


@pytest.mark.parametrize(
    ("rule", "id"),
    [
        (MESSAGES, "toolu_01A-b"),
        (MESSAGES, "x"),
        (MESSAGES, "a" * 64),
        (CHAT, "functions.bash:0"),
        (CHAT, "a" * 40),
    ],
    ids=["usual", "short", "longest", "punctuation", "longest of chat"],
)
def test_an_id_that_fits_goes_out_as_it_is(rule: IdRule, id: str) -> None:
    assert rule.wire(id) == id


@pytest.mark.parametrize(
    ("rule", "id"),
    [
        (MESSAGES, ""),
        (ANY, ""),
        (MESSAGES, "functions.bash:0"),
        (MESSAGES, "call.1"),
        (MESSAGES, "aufruf_ü"),
        (MESSAGES, "a b"),
        (MESSAGES, "a\n"),
        (MESSAGES, "a" * 65),
        (CHAT, "a" * 41),
        (CHAT, "x" * 200),
        (MESSAGES, "\ud800"),
    ],
    ids=["empty", "empty, any", "colon", "dot", "letter", "blank", "newline", "65", "41", "200", "surrogate"],
)
@pytest.mark.pitfall("P-62", "P-65", "P-150")
def test_an_id_that_does_not_fit_is_hashed(rule: IdRule, id: str) -> None:
    assert rule.wire(id) == hashed(rule.prefix, f"{id}#0")


def test_the_formula_of_the_reference_stays() -> None:
    """Ids in a history must come out the same in each version: an upstream's prompt cache holds them."""
    assert MESSAGES.wire("a:b") == "toolu_fosbyy273py272bkbotehofqih"
    assert MESSAGES.wire("a", 1) == hashed("toolu_", "a#1")
    assert CHAT.wire("a", 2) == hashed("call_", "a#2")


@given(RULES, IDS, st.integers(0, 3))
def test_a_wire_id_fits_its_rule_and_comes_of_itself_again(rule: IdRule, id: str, occurrence: int) -> None:
    wire = rule.wire(id, occurrence)
    assert rule.fits(wire)
    assert wire == rule.wire(id, occurrence)
    assert rule.wire(wire) == wire


@given(RULES, st.lists(st.tuples(IDS, st.integers(0, 3)), unique=True, max_size=20))
@pytest.mark.pitfall("P-151")
def test_different_ids_and_occurrences_differ_on_the_wire(rule: IdRule, asked: list[tuple[str, int]]) -> None:
    assert len({rule.wire(*one) for one in asked}) == len(asked)


@pytest.mark.pitfall("P-64", "C70")
def test_results_go_where_their_calls_went() -> None:
    ids = CallIds(MESSAGES, unique=True)
    assert ids.call("call_1", (1, 0), "a", "{}") == "call_1"
    assert ids.call("call:2", (1, 1), "a", "{}") == hashed("toolu_", "call:2#0")
    assert ids.result("call:2") == hashed("toolu_", "call:2#0")
    assert ids.result("call_1") == "call_1"


def test_a_result_without_a_call_is_an_orphan() -> None:
    ids = CallIds(MESSAGES, unique=True)
    assert ids.result("call_1") is None
    assert ids.result("") is None
    ids.call("call_2", (0, 0), "a", "{}")
    assert ids.result("call_1") is None


def test_a_second_result_gets_the_id_of_its_call_again() -> None:
    ids = CallIds(MESSAGES, unique=True)
    ids.call("call_1", (0, 0), "a", "{}")
    assert [ids.result("call_1"), ids.result("call_1")] == ["call_1", "call_1"]


def test_an_id_comes_once_in_a_request_where_it_must() -> None:
    """Anthropic: `tool_use` ids must be unique."""
    ids = CallIds(MESSAGES, unique=True)
    told = []
    for turn in (1, 4, 7):
        told.append((ids.call("call_1", (turn, 0), "a", "{}"), ids.result("call_1")))
    assert told == [("call_1", "call_1"), *((hashed("toolu_", f"call_1#{n}"),) * 2 for n in (1, 2))]


def test_an_id_may_come_back_in_a_later_round_where_that_is_legal() -> None:
    ids = CallIds(CHAT, unique=False)
    told = []
    for turn in (1, 3, 5):
        told.append((ids.call("call_1", (turn, 0), "a", "{}"), ids.result("call_1")))
    assert told == [("call_1", "call_1")] * 3


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("places", [((1, 0), (1, 1)), ((1, 0), (2, 0))], ids=["one turn", "turns in a row"])
def test_calls_of_one_round_never_share_an_id(unique: bool, places: tuple[tuple[int, int], ...]) -> None:
    ids = CallIds(CHAT, unique=unique)
    wires = [ids.call("0", place, "a", "{}") for place in places]
    assert wires == ["0", hashed("call_", "0#1")]
    assert [ids.result("0") for _ in range(3)] == [*wires, wires[-1]]


def test_a_result_belongs_to_the_nearest_round() -> None:
    ids = CallIds(MESSAGES, unique=True)
    ids.call("call_1", (1, 0), "a", "{}")  # the user went on before its result
    later = ids.call("call_1", (3, 0), "a", "{}")
    assert later == hashed("toolu_", "call_1#1")
    assert [ids.result("call_1"), ids.result("call_1")] == [later, later]


def test_a_result_may_come_after_a_later_round_began() -> None:
    ids = CallIds(MESSAGES, unique=True)
    ids.call("call_1", (1, 0), "a", "{}")
    ids.call("call_2", (3, 0), "a", "{}")
    assert [ids.result("call_1"), ids.result("call_2")] == ["call_1", "call_2"]


def test_an_id_that_is_the_hash_of_another_one_gives_way() -> None:
    ids = CallIds(MESSAGES, unique=True)
    wire = ids.call("a:b", (0, 0), "a", "{}")
    assert ids.call(wire, (0, 1), "a", "{}") == hashed("toolu_", f"{wire}#1")


@pytest.mark.pitfall("P-58", "C69")
def test_a_call_without_an_id_gets_one_from_where_and_what_it_is() -> None:
    def wire(place: tuple[int, int] = (1, 0), name: str = "read", arguments: str = '{"a":1}') -> str:
        return CallIds(MESSAGES, unique=True).call("", place, name, arguments)

    usual = wire()
    assert usual == hashed("toolu_", 'gen_1/0/read/{"a":1}#1')
    assert wire(arguments=' {"a" : 1} ') == usual
    assert wire(arguments="") == wire(arguments="{}")
    others = [wire((2, 0)), wire((1, 1)), wire(name="write"), wire(arguments='{"a":2}'), wire(arguments="{")]
    assert len({usual, *others}) == 6


def test_ids_made_for_a_rule_that_takes_anything_are_hashed_too() -> None:
    assert re.fullmatch(r"call_[a-z2-7]{26}", CallIds(ANY, unique=False).call("", (0, 0), "a", "")) is not None


@pytest.mark.pitfall("P-58", "C71")
@pytest.mark.parametrize("unique", [True, False])
def test_results_without_ids_follow_the_order_of_the_calls(unique: bool) -> None:
    ids = CallIds(MESSAGES, unique=unique)
    first = [ids.call("", (1, part), "a", "{}") for part in range(2)]
    assert [ids.result(""), ids.result(""), ids.result("")] == [*first, None]
    second = ids.call("", (3, 0), "a", "{}")
    assert second not in first
    assert [ids.result(""), ids.result("")] == [second, None]


def test_a_result_without_an_id_takes_a_call_without_one_first() -> None:
    ids = CallIds(MESSAGES, unique=True)
    named = ids.call("call_1", (1, 0), "a", "{}")
    bare = ids.call("", (1, 1), "a", "{}")
    also = ids.call("call_2", (1, 2), "a", "{}")
    assert [ids.result(""), ids.result("call_1"), ids.result("")] == [bare, named, also]


def test_a_result_without_an_id_never_answers_an_older_round() -> None:
    ids = CallIds(MESSAGES, unique=True)
    ids.call("", (1, 0), "a", "{}")
    later = ids.call("", (3, 0), "a", "{}")
    assert [ids.result(""), ids.result("")] == [later, None]


ROUNDS = st.lists(st.lists(IDS, min_size=1, max_size=3), max_size=5)


@given(RULES, st.booleans(), ROUNDS)
def test_any_conversation_keeps_the_rules(rule: IdRule, unique: bool, rounds: list[list[str]]) -> None:
    """Each result finds its call, ids of a round differ, all fit, and the longer history begins like the shorter."""

    def told(count: int) -> list[list[str]]:
        ids = CallIds(rule, unique=unique)
        all_wires = []
        for number, round_ in enumerate(rounds[:count]):
            wires = [ids.call(id, (2 * number, part), "a", "{}") for part, id in enumerate(round_)]
            assert [ids.result(id) for id in round_] == wires
            all_wires.append(wires)
        return all_wires

    whole = told(len(rounds))
    flat = [wire for wires in whole for wire in wires]
    assert all(map(rule.fits, flat))
    assert all(len(set(wires)) == len(wires) for wires in whole)
    assert not unique or len(set(flat)) == len(flat)
    assert told(len(rounds) - 1) == whole[: max(0, len(rounds) - 1)]
