"""What stands on the terminal: aligned, as wide as it is, and without a character that could command it."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.trace.display import BODY_LINES, Timeline, printable, shortened, table, when
from rotator.trace.reader import Summary

NOON = datetime(2027, 1, 15, 12).timestamp()
ODD = "\r\x1b[2J\x07\x9b\u2028\u202e\ud83d\x00\u200b\t"


def summary(number: int = 0, **more: Any) -> Summary:
    plain: dict[str, Any] = {
        "model": "demo/text", "credential": "demo#1", "provider": "demo", "lane": "raw", "status": 200, "attempts": 1,
        "ms": 31.4, "begun": True, "ended": True,
    }  # fmt: skip
    return Summary(f"req_1a2b3c4d{number:08x}", NOON + number, **{**plain, **more})


def test_a_table() -> None:
    rows = [
        summary(),
        summary(1, status=429, attempts=6, ms=10_234.0, note="no key is free", lane="translate"),
        summary(2, ended=False, status=0, model="", method="GET", path="/v1/models", credential="", provider=""),
        summary(3, credential="team", status=0, note="client left"),
    ]
    assert list(table(rows, NOON, 200)) == [
        "WHEN      ID                    STATUS     MS  TRIES  LANE       MODEL           KEY        NOTE",
        "12:00:00  req_1a2b3c4d00000000     200     31      1  raw        demo/text       demo#1",
        "12:00:01  req_1a2b3c4d00000001     429  10234      6  translate  demo/text       demo#1     no key is free",
        "12:00:02  req_1a2b3c4d00000002     ...             1  raw        GET /v1/models",
        "12:00:03  req_1a2b3c4d00000003       -     31      1  raw        demo/text       demo team  client left",
    ]


@pytest.mark.parametrize("columns", [95, 100, 120])
def test_a_table_fits(columns: int) -> None:
    """Notes and models are shortened, ids never."""
    rows = [summary(1, model="vendor/" + "m" * 60, note="n" * 80, credential="label-" + "c" * 30)]
    lines = list(table(rows, NOON, columns))
    assert all(len(line) <= columns for line in lines) and "req_1a2b3c4d00000001" in lines[1]
    assert "\u2026" in lines[1] and "vendor/mm" in lines[1]
    assert all(len(line) < 120 for line in table(rows, NOON, 10))


def test_time_has_a_date_where_it_was_another_day() -> None:
    assert when(NOON, NOON + 3600) == "12:00:00" and when(NOON, NOON + 86400) == "2027-01-15 12:00:00"
    assert when(1e300, NOON) == "?" and when(float("-inf"), NOON) == "?"


def test_what_is_shortened_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef" and shortened("abcdef", 5) == "abcd\u2026"


@given(st.text(st.characters()))
def test_nothing_commands_the_terminal(text: str) -> None:
    assert printable(text).isprintable() and (printable(text) == text) == text.isprintable()


def test_letters_of_any_language_stay() -> None:
    kept = "\u00e4 \u4e2d\u6587 \U0001f511"
    assert printable(f"{kept} \x1b\u202e\ud83d") == f"{kept} \\x1b\\u202e\\ud83d"


def entry(name: str = "client_request", **more: Any) -> dict[str, Any]:
    plain = {"v": 1, "request": "r", "seq": 0, "at": 1.0, "ms": 1.25, "pass": name, "side": "client"}
    return {**plain, "direction": "request", "attempt": 0, **more}


def shown(*entries: dict[str, Any], columns: int = 120, whole: bool = False) -> list[str]:
    return list(Timeline(columns, whole=whole).lines(entries))


def test_a_pass() -> None:
    found = shown(
        entry(
            method="POST", path="/v1/x", query="", model="demo/text", streaming=True, bytes=7, usage=None, took_ms=1.5,
            headers={"a": "1", "b": ["2", "3"]}, body={"bytes": 7, "json": {"a": [1]}},
        )
    )  # fmt: skip
    assert found == [
        "      1.2 client_request           POST  /v1/x  model=demo/text  streaming=yes  bytes=7  took_ms=1.5",
        "            a: 1",
        "            b: 2",
        "            b: 3",
        "            (7 bytes)",
        "            {",
        '              "a": [',
        "                1",
        "              ]",
        "            }",
    ]


def test_what_is_further_from_the_client_stands_deeper() -> None:
    sides = ("client", "engine", "adapter", "upstream", "elsewhere")
    starts = [shown(entry(side=side))[0].index("client_request") for side in sides]
    assert starts == [10, 12, 14, 14, 12]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (entry("attempt", attempt=2, credential="demo#2", lane="raw"), "attempt 2"),
        (entry("attempt", attempt=2, credential="demo#2", lane="raw"), "demo#2  lane=raw"),
        (entry("stage", stage="rename", direction="response", changed=False), "rename  response  changed=no"),
        (entry("upstream_response", status=429), "429"),
        (entry("verdict", action="rotate", blame="credential", reason="limit", retry_after=2.0), "retry_after=2"),
        (entry("outcome", ended="complete", usage={"input_total": 1}), 'complete  usage={"input_total":1}'),
        (entry("end", status=200, note=""), "end                      200"),
        (entry("tea", strong=0, milk=False), "strong=0  milk=no"),
        (entry("tea", side=5, ms="x", attempt=None), "? "),
    ],
)
def test_what_matters_of_each_pass(given: dict[str, Any], text: str) -> None:
    [line] = shown(given)
    assert text in line and line == line.rstrip()


@pytest.mark.parametrize("columns", [20, 80, 100, 120])
def test_lines_fit(columns: int) -> None:
    facts = {f"fact{number}": "x" * 9 for number in range(20)}
    long = entry(**facts, headers={"h": "v" * 500}, body={"bytes": 1, "text": "y" * 500})
    lines = shown(long, columns=columns)
    assert max(map(len, lines)) <= max(40, columns) and len(lines) > 3
    assert any("v" * 500 in line for line in shown(long, columns=columns, whole=True))


def test_bodies_are_a_screenful() -> None:
    body = {"bytes": 99, "json": list(range(500))}
    lines = shown(entry(body=body))
    assert len(lines) == 2 + BODY_LINES + 1 and lines[-1].strip() == "... 462 more lines (--all shows them)"
    assert len(shown(entry(body=body), whole=True)) == 2 + 502
    headers = {f"h{number}": "x" for number in range(100)}
    assert shown(entry(headers=headers))[-1].strip() == "... 60 more lines (--all shows them)"


def test_a_body_that_was_cut_says_so() -> None:
    lines = shown(entry(body={"bytes": 5_000, "text": "data: a\n\ndata: b\n", "cut": True}))
    size, *kept = [line.strip() for line in lines[1:]]
    assert size == "(5000 bytes, only the beginning was kept)" and kept == ["data: a", "data: b"]
    whole = shown(entry(body={"bytes": 5_000, "text": "data: a\n\ndata: b\n"}), whole=True)
    assert [line.strip() for line in whole[2:]] == ["data: a", "", "data: b"]
    assert [line.strip() for line in shown(entry(body={"bytes": 0, "text": ""}))[1:]] == ["(0 bytes)"]


@pytest.mark.incident(26)
@pytest.mark.parametrize("whole", [True, False])
def test_no_client_commands_the_terminal(whole: bool) -> None:
    """Names, facts, headers, bodies: everything that somebody else wrote."""
    odd = entry(
        f"x{ODD}", side=ODD, path=ODD, **{ODD: ODD}, deep={ODD: [ODD]}, headers={ODD: ODD, "l": [ODD, 5]},
        body={"bytes": ODD, "json": {ODD: [ODD]}}, attempt=ODD,
    )  # fmt: skip
    text = entry("tea", body={"bytes": 1, "text": ODD + "\n" + ODD})
    for line in [*shown(odd, text, whole=whole), *table([summary(model=ODD, note=ODD, credential=ODD)], NOON, 100)]:
        assert line.isprintable(), ascii(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["pass", "side", "ms", "attempt", "headers", "body", "status", "x"])


@given(st.dictionaries(KEYS, JSON), JSON)
def test_any_entry_can_be_shown(entry: dict[str, Any], body: Any) -> None:
    """A trace may have been edited by hand."""
    for one in (entry, {**entry, "body": {"json": body}}, {**entry, "headers": {"a": body}}):
        assert all(line.isprintable() for line in shown(one))
        assert json.dumps(one) is not None
