"""One entry is one line of JSON, whatever is in it, and no credential is."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.redact import MARK, Redactor
from rotator.neutral.secret import Secret
from rotator.trace.entry import PASSES, RESERVED, Direction, Entry, PassName, Side, fact_key
from rotator.trace.line import line, one_line
from rotator.trace.redaction import MARGIN_BYTES, Redaction
from tests.trace.credentials import VALUE
from tests.trace.test_redaction import HELD, TEXTS, encodings

REDACTOR = Redactor([Secret(HELD)])
REDACTION = Redaction(REDACTOR)
LIMIT = 4096
ODD = "\r\n\t\x00\x07\x1b[2J\x7f\x85\x9b\u2028\u2029\u202e\u2066\u200b\ufeff\ud83d\ude00\U0001f511"


def written(
    facts: dict[str, Any] | None = None, headers: Any = (), body: bytes | None = None, name: str = "client_request",
    redaction: Redaction = REDACTION,
) -> dict[str, Any]:  # fmt: skip
    """The line of an entry, read back."""
    size = len(body or b"")
    window = body if body is None else body[: LIMIT + redaction.margin_bytes]
    at, ms = 1_800_000_000.12345, 12.3456
    entry = Entry("req_1", 7, at, ms, name, 2, facts or {}, tuple(headers), window, size, REDACTOR)
    text = line(entry, redaction, LIMIT)
    assert text.endswith(b"}\n")
    assert len(text.decode("utf-8").splitlines()) == 1
    assert text[:-1].decode().isprintable() or not text[:-1].decode().isascii()
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_entry() -> None:
    found = written({"status": 200, "url": None}, [("Retry-After", "2")], b'{"a":1}', "upstream_response")
    assert found == {
        "v": 1, "request": "req_1", "seq": 7, "at": 1_800_000_000.123, "ms": 12.346, "pass": "upstream_response",
        "side": "upstream", "direction": "response", "attempt": 2, "status": 200, "url": None,
        "headers": {"retry-after": "2"}, "body": {"bytes": 7, "json": {"a": 1}},
    }  # fmt: skip
    assert list(found)[:9] == ["v", "request", "seq", "at", "ms", "pass", "side", "direction", "attempt"]
    assert list(found)[-2:] == ["headers", "body"]


def test_what_is_not_there_has_no_key() -> None:
    assert written().keys() == {"v", "request", "seq", "at", "ms", "pass", "side", "direction", "attempt"}
    assert written(body=b"")["body"] == {"bytes": 0, "text": ""}


@pytest.mark.parametrize("name", get_args(PassName))
def test_every_pass_has_a_side_and_a_direction(name: PassName) -> None:
    side, direction = PASSES[name]
    assert side in get_args(Side) and direction in get_args(Direction)
    found = written(name=name)
    assert (found["pass"], found["side"], found["direction"]) == (name, side, direction)
    assert len(PASSES) == len(get_args(PassName))


def test_a_pass_that_nobody_knows() -> None:
    assert written(name="tea\n")["pass"] == "tea\n" and written(name="tea")["side"] == "engine"


def test_no_fact_replaces_a_key_of_the_line() -> None:
    found = written({**dict.fromkeys(RESERVED, "mine"), "direction": "response", "ms": 5.5}, body=b"{}")
    assert (found["request"], found["seq"], found["ms"]) == ("req_1", 7, 12.346)
    assert found["body"] == {"bytes": 2, "json": {}}
    assert (found["took_ms"], found["request_"], found["direction"]) == (5.5, "mine", "response")
    assert {fact_key(name) for name in RESERVED} & RESERVED == set()
    assert fact_key("status") == "status"


def test_a_header_that_comes_twice_is_a_list() -> None:
    headers = [("A", "1"), ("b", "x"), ("a", "2"), ("a", "3"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")]
    assert written(headers=headers)["headers"] == {"a": ["1", "2", "3"], "b": "x", "set-cookie": [MARK, MARK]}


@pytest.mark.incident(26)
@pytest.mark.parametrize("control", [*ODD, ODD])
def test_no_client_forges_a_line(control: str) -> None:
    text = f"before{control}after"
    kept = json.loads(json.dumps(text))  # two halves of a pair are one character again
    found = written({"path": text, text: [text]}, [("x", text)], f"data: {text}".encode("utf-8", "replace"))
    assert found["path"] == kept and found[kept] == [kept] and found["headers"]["x"] == kept
    assert found["body"]["text"] == "data: " + text.encode("utf-8", "replace").decode()
    exact = json.dumps({text: text}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    assert written(body=exact)["body"]["json"] == {kept: kept}


def test_odd_characters_are_escaped() -> None:
    assert one_line('{"a":"\x7f\x9b\u2028\u202e\ufeff\u00e4\u4e2d"}'.encode()) == (
        '{"a":"\\u007f\\u009b\\u2028\\u202e\\ufeff\u00e4\u4e2d"}'.encode()
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.lists(st.tuples(st.text(), st.text(st.characters())), max_size=4)


@given(st.dictionaries(st.text(st.characters()), JSON, max_size=5), HEADERS, st.none() | st.binary(max_size=200))
def test_any_facts_and_bodies_are_one_line(facts: dict[str, Any], headers: Any, body: bytes | None) -> None:
    found = written(facts, headers, body)
    assert found["seq"] == 7 and ("body" in found) == (body is not None)


@given(JSON)
def test_json_bodies_come_back_as_they_were(value: Any) -> None:
    body = json.dumps(value).encode()
    found = written(body=body)["body"]
    if len(body) <= LIMIT and "json" in found and MARK not in json.dumps(found):
        assert found == {"bytes": len(body), "json": json.loads(body)}


PLACES = ("fact", "deep fact", "url", "query", "header", "key", "value", "arguments", "text", "event", "form", "cut")


@pytest.mark.incident(13)
@pytest.mark.parametrize("place", PLACES)
@given(encoding=st.sampled_from(list(encodings(""))), before=TEXTS, after=TEXTS)
def test_a_planted_secret_stands_in_no_line(place: str, encoding: str, before: str, after: str) -> None:
    planted = encodings(HELD)[encoding]
    text = f"{before} {planted} {after}"
    facts: dict[str, Any] = {"status": 200}
    headers = [("x-other", text)] if place == "header" else []
    body: bytes | None = None
    if place in ("fact", "deep fact"):
        facts["note"] = text if place == "fact" else [{text: [text]}]
    elif place in ("url", "query"):
        facts[place] = f"https://a.example/{planted}?x={planted}" if place == "url" else f"x={planted}&y={planted}"
    elif place in ("key", "value", "arguments"):
        value = {"key": {text: 1}, "value": [text], "arguments": {"a": json.dumps({"b": [text]})}}[place]
        body = json.dumps(value).encode()
    elif place == "cut":
        body = (before + "x" * (LIMIT - len(planted) // 2 - len(before)) + " " + planted + "y" * 999).encode()
    elif place != "header" and place != "fact":
        shown = {"event": f"data: {json.dumps({'a': text})}\n\n", "form": f"a={planted}&b=1"}.get(place, text)
        body = shown.encode("utf-8", "surrogatepass")
    found = json.dumps(written(facts, headers, body), ensure_ascii=False)
    core = planted.rstrip("=").replace("%3D", "").replace("%3d", "")
    for form in (core, json.dumps(core)[1:-1], json.dumps(json.dumps(core))[3:-3], HELD, json.dumps(HELD)[1:-1]):
        assert form not in found


def test_json_beyond_the_limit_is_text() -> None:
    body = json.dumps({"a": "x " * LIMIT, "b": 1}).encode()
    found = written(body=body)["body"]
    assert found == {"bytes": len(body), "text": body[:LIMIT].decode(), "cut": True}
    fits = json.dumps({"a": "x" * (LIMIT - 9)}).encode()
    assert len(fits) == LIMIT and "json" in written(body=fits)["body"]


def test_a_cut_falls_between_characters() -> None:
    for shift in range(5):
        body = ("x" * shift + "\U0001f511" * LIMIT).encode()
        kept = written(body=body)["body"]["text"]
        assert "\ufffd" not in kept and LIMIT - 4 < len(kept.encode()) <= LIMIT
    odd = b"\x80" * (LIMIT + 99)
    assert LIMIT - 3 <= written(body=odd)["body"]["text"].count("\ufffd") <= LIMIT


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert written(body=b"a\xff\xfe\xc3")["body"] == {"bytes": 4, "text": "a\ufffd\ufffd\ufffd"}


@pytest.mark.parametrize("start", range(LIMIT - 30, LIMIT + 2))
def test_no_part_of_a_secret_stands_before_a_cut(start: int) -> None:
    for planted in (HELD, f"sk-proj-{VALUE * 9}"):
        body = ("a " * (start // 2) + planted + " more" * MARGIN_BYTES).encode()
        kept = written(body=body)["body"]["text"]
        assert planted[:4] not in kept and kept.startswith("a " * (LIMIT // 2 - 99))


def test_without_enough_behind_it_the_cut_moves_back() -> None:
    """Who collected no more than the limit may have lost the end of a secret."""
    body = ("a " * LIMIT)[: LIMIT - 10].encode() + HELD[:10].encode()
    entry = Entry("r", 0, 0.0, 0.0, "upstream_stream", 1, {}, (), body, len(body) + 50, REDACTOR)
    found = json.loads(line(entry, REDACTION, LIMIT))["body"]
    assert found["cut"] and HELD[:4] not in found["text"]


def test_a_form_is_read_as_one() -> None:
    body = f"client_secret={VALUE}&grant_type=refresh_token&refresh_token={VALUE}&scope=a".encode()
    text = written(body=body)["body"]["text"]
    assert text == f"client_secret={MARK}&grant_type=refresh_token&refresh_token={MARK}&scope=a"


def test_a_secret_spelt_over_events_is_gone() -> None:
    events = "".join(f"data: {json.dumps({'delta': part})}\n\n" for part in ("is ", HELD[:9], HELD[9:], "."))
    found = written(body=events.encode())["body"]["text"]
    assert "".join(json.loads(one[6:])["delta"] for one in found.split("\n\n") if one) == f"is {MARK}."
    assert HELD[:9] not in found
