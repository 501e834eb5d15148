"""What the trace writes holds no credential, and everything else as it was (faults.md 5)."""

import json
from base64 import b64encode
from enum import Enum
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.redact import MARK, Redactor
from rotator.neutral.secret import Secret
from rotator.trace.redaction import CUT, ITEMS, MARGIN_BYTES, TEXT_CHARACTERS, Redaction
from rotator.wire.jsontext import loads
from tests.trace import credentials
from tests.trace.credentials import RANDOM, VALUE

HELD = "pl4nted/va+lue-of-a-key=="
REDACTION = Redaction(Redactor([Secret(HELD), Secret("an0ther-0ne-that-is-held")]))
#: Texts that a redactor may stumble over, put together at random.
ODDS = (
    HELD, HELD[:9], quote(HELD, safe=""), HELD.replace("/", "\\/"), VALUE, *credentials.SHAPES[::6], MARK, "[", "]",
    " ", '"api_key": "', '\\"password\\": \\"', "'", '"', "\\", "\\n", "?key=", "&token=", "://a:b@", "Bearer ",
    "Cookie: a=", "authorization: ", "***", "sk-", "{", "}", ":", ",", "\n", "=", "-----BEGIN PRIVATE KEY-----",
    "\u0130", "x", "7",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(ODDS) | st.text(max_size=4), max_size=8).map("".join)
NAMES = st.sampled_from(["api_key", "password", "properties", "arguments", "token", "secrets", "a"]) | TEXTS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3).map(json.dumps)
    ),
    max_leaves=8,
)  # fmt: skip


@given(TEXTS)
def test_redacting_a_text_twice_changes_nothing(text: str) -> None:
    once = REDACTION.text(text)
    assert REDACTION.text(once) == once and HELD not in once


@given(JSON)
def test_redacting_json_twice_changes_nothing(value: Any) -> None:
    once = REDACTION.value(value)
    assert REDACTION.value(once) == once


@given(JSON, st.booleans())
def test_json_text_and_json_are_redacted_alike(value: Any, spaced: bool) -> None:
    """What is passed on byte for byte holds nothing that the parser's way would have found."""
    text = json.dumps(value, indent=1 if spaced else None, ensure_ascii=spaced)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    found = REDACTION.json_text(body)
    assert found is not None and "\n" not in found
    assert loads(found.encode()) == REDACTION.value(loads(body))


def encodings(secret: str) -> dict[str, str]:
    """Every form in which a held secret must be known."""
    return {
        "plain": secret,
        "percent": quote(secret, safe=""),
        "percent, small letters": quote(secret, safe="").lower().replace("pl4nted", "pl4nted"),
        "percent, every letter": "".join(f"%{byte:02X}" for byte in secret.encode()),
        "slashes": secret.replace("/", "\\/"),
        "escaped": "".join(f"\\u{ord(one):04x}" for one in secret),
        "base64": b64encode(secret.encode()).decode(),
        "Basic": b64encode(f"someone:{secret}".encode()).decode(),
        "Basic in a URL": quote(b64encode(f"us:{secret}".encode()).decode(), safe=""),
    }


@pytest.mark.incident(13)
@pytest.mark.parametrize("encoding", encodings(""))
@given(before=TEXTS, after=TEXTS, data=st.data())
def test_held_secrets_go_whatever_stands_around(encoding: str, before: str, after: str, data: st.DataObject) -> None:
    planted = encodings(HELD)[encoding]
    core = planted.rstrip("=")
    found = REDACTION.text(f"{before} {planted} {after}")
    assert core not in found
    value: Any = {"a": [f"{before} {planted} {after}"]}
    if data.draw(st.booleans()):
        value = {"arguments": json.dumps(value)}
    assert core not in json.dumps(REDACTION.value(value)) and core not in str(REDACTION.value(value))


# Names.


@pytest.mark.pitfall("C51")
@pytest.mark.parametrize("name", credentials.MEMBERS)
def test_named_members_at_any_place(name: str) -> None:
    planted: dict[str, Any] = {name: VALUE}
    for value, redacted in (
        (planted, {name: MARK}),
        ({"tools": [{"input": planted}]}, {"tools": [{"input": {name: MARK}}]}),
        ({"arguments": json.dumps(planted)}, {"arguments": json.dumps({name: MARK}, separators=(",", ":"))}),
        ({name: [VALUE, 123456, None, True]}, {name: [MARK, MARK, None, True]}),
        ({name: {"value": VALUE, "n": [{"x": VALUE}]}}, {name: {"value": MARK, "n": [{"x": MARK}]}}),
        ({name: 123456}, {name: MARK}),
        ({"properties": planted}, {"properties": {name: MARK}}),
        ({name: {"type": "bearer", "token": VALUE}}, {name: {"type": MARK, "token": MARK}}),
    ):
        assert REDACTION.value(value) == redacted
    assert REDACTION.value({name: f"Bearer {VALUE}"}) == {name: f"Bearer {MARK}"}


def test_escaped_names_are_names() -> None:
    body = b'{"\\u0061pi_key":"%s","in":"{\\"pass\\\\u0077ord\\":\\"%s\\"}"}' % (VALUE.encode(), VALUE.encode())
    assert json.loads(REDACTION.json_text(body) or "") == {"api_key": MARK, "in": f'{{"password":"{MARK}"}}'}


@pytest.mark.parametrize("end", ["", '"', '"]', '", "n": ', "\ud83d"])
def test_arguments_that_are_no_whole_json(end: str) -> None:
    """A model that was cut off, or that writes nonsense."""
    text = f'{{"api_key": "{VALUE}{end}'
    found = REDACTION.value({"arguments": text})["arguments"]
    assert found.startswith(f'{{"api_key": "{MARK}') and VALUE not in found


def test_a_secret_may_be_a_key() -> None:
    """And two that become one are both kept."""
    key = credentials.SHAPES[0]
    assert REDACTION.value({HELD: 1, key: 2, "a": 3}) == {MARK: 1, f"{MARK}'": 2, "a": 3}


def test_a_member_that_comes_twice_hides_nothing() -> None:
    """A parser sees the last one only."""
    body = b'{"a":"%s","a":"x","b":"{\\"c\\":\\"%s\\",\\"c\\":1}"}' % (HELD.encode(), credentials.SHAPES[0].encode())
    found = REDACTION.json_text(body) or ""
    assert HELD not in found and credentials.SHAPES[0] not in found


@pytest.mark.parametrize("name", credentials.HARMLESS_MEMBERS)
def test_other_members_stay(name: str) -> None:
    value = {name: VALUE, "n": {name: 5, "l": [{name: [VALUE]}]}, "arguments": json.dumps({name: VALUE})}
    assert REDACTION.value(value) == value


@pytest.mark.parametrize("value", credentials.ORDINARY_JSON, ids=lambda value: next(iter(value)))
def test_ordinary_json_stays(value: Any) -> None:
    assert REDACTION.value(value) == value
    assert REDACTION.value({"arguments": json.dumps(value, indent=2)}) == {"arguments": json.dumps(value, indent=2)}


@pytest.mark.parametrize("text", credentials.ORDINARY)
def test_ordinary_texts_stay(text: str) -> None:
    assert REDACTION.text(text) == text and REDACTION.value([text, {text: text}]) == [text, {text: text}]


def test_json_without_credentials_stays_byte_for_byte() -> None:
    """Numbers as they were written, members that come twice, white space; but one line."""
    body = b'{"a": 1.0e5,"a":12345678901234567890123, "b" :"\\ud83d \\n", "c":\r\n\t[ 1.50 ]}'
    assert REDACTION.json_text(body) == body.decode().replace("\r\n\t", "   ")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"data: {}\n\n", b"[" * 300 + b"]" * 300, b"NaN", b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json(body: bytes) -> None:
    assert REDACTION.json_text(body) is None


def test_numbers_beside_a_credential_are_kept() -> None:
    body = b'{"api_key":"%s","n":12345678901234567890123,"s":"\\ud83d"}' % VALUE.encode()
    assert json.loads(REDACTION.json_text(body) or "") == {"api_key": MARK, "n": 12345678901234567890123, "s": "\ud83d"}


def test_absurd_depth_is_cut_and_holds_no_secret() -> None:
    value: Any = HELD
    for turn in range(5_000):
        value = {"a": value} if turn % 3 == 0 else [value] if turn % 3 == 1 else {"api_key": value}
    found = repr(REDACTION.value(value))
    assert HELD not in found and MARK in found
    text = json.dumps(VALUE)
    for _ in range(12):  # each level doubles the backslashes
        text = json.dumps(json.dumps({"api_key": json.loads(text)}))
    assert VALUE not in repr(REDACTION.value({"a": json.loads(text)}))


def test_what_is_remembered_is_bounded() -> None:
    redaction = Redaction(Redactor([]))
    assert all(redaction.text(f"name {number}") == f"name {number}" for number in range(10_000))
    assert redaction.text("x" * 1_000) == "x" * 1_000
    assert 0 < len(redaction._known) <= 4096 and max(map(len, redaction._known)) < 100


# Headers and facts.


@pytest.mark.parametrize("name", credentials.HEADERS)
def test_headers_that_carry_credentials(name: str) -> None:
    assert REDACTION.header(name, VALUE) == MARK
    assert REDACTION.header(name, f"Bearer {VALUE}") == f"Bearer {MARK}"
    assert REDACTION.header(name, "a=b; c=d") == MARK


@pytest.mark.parametrize("name", credentials.HARMLESS_HEADERS)
def test_other_headers_stay(name: str) -> None:
    assert REDACTION.header(name, VALUE) == VALUE


def test_other_headers_hold_no_credential_either() -> None:
    assert REDACTION.header("location", f"https://a.example/?key={VALUE}&x=1") == f"https://a.example/?key={MARK}&x=1"
    assert REDACTION.header("x-other", HELD) == MARK


class Colour(Enum):
    RED = "red"


def test_facts() -> None:
    """Plain JSON of bounded size, whatever was given."""
    facts = {
        "url": f"https://a:{VALUE}@b.example/v1?key={VALUE}",
        "query": f"key={VALUE}&alt=sse",
        "credential": "demo#1",
        "token": "a",
        "usage": {"input_tokens": 1, "deep": ({"api_key": VALUE},)},
        "colour": Colour.RED,
        "secret": Secret(HELD),
        "odd": object(),
        "many": list(range(5_000)),
        "long": "x" * 50_000,
        1: {2: 3},
    }
    found = REDACTION.facts(facts)  # type: ignore[arg-type]
    assert found["url"] == f"https://{MARK}@b.example/v1?key={MARK}" and found["query"] == f"key={MARK}&alt=sse"
    assert found["usage"] == {"input_tokens": 1, "deep": [{"api_key": MARK}]}
    assert (found["credential"], found["token"], found["colour"]) == ("demo#1", "a", "red")
    assert (found["secret"], found["odd"], found["1"]) == ("<Secret>", "<object>", {"2": 3})
    assert len(found["many"]) == ITEMS and found["long"] == "x" * TEXT_CHARACTERS + CUT
    assert list(found) == list(map(str, facts))


def test_facts_that_hold_themselves() -> None:
    circle: dict[str, Any] = {}
    circle["a"] = [circle]
    assert len(repr(REDACTION.facts(circle))) < 1_000


# Cuts.

CROSSING = {
    "held": ("", HELD, ""),
    "percent-encoded": ("", quote(HELD, safe="").replace("pl4nted", "%70%6c4nted"), ""),
    "escaped": ("", "".join(f"\\u{ord(one):04x}" for one in HELD), ""),
    "shape": ("", f"sk-proj-{RANDOM}{RANDOM}", ""),
    "long shape": ("", f"eyJhbGciOiJIUzI1NiJ9.eyJ{RANDOM * 2000}.x", ""),
    "member": ('"api_key": "', VALUE, '"'),
    "member in JSON": ('\\"api_key\\": \\"', VALUE, '\\"'),
    "userinfo": ("https://", f"someone:{VALUE}", "@a.example"),
    "parameter": ("?key=", VALUE, "&"),
    "header": ("Authorization: Bearer ", VALUE, "\n"),
    "private key": ("-----BEGIN PRIVATE KEY-----", "\n" + "AbCd/+" * 300, "-----END PRIVATE KEY-----"),
}


@pytest.mark.parametrize("case", CROSSING)
def test_a_cut_in_a_credential_leaves_nothing_of_it(case: str) -> None:
    """Wherever it lies: what is shown is either marked whole or ends before it."""
    before, secret, after = CROSSING[case]
    before = f" {before}"
    start = TEXT_CHARACTERS - len(before)
    step = max(1, len(secret) // 60)
    for moved in [*range(-len(secret[:1500]), 3, step), 0, 1, 2]:
        filler = "\u00e4\u00e4 " * TEXT_CHARACTERS
        text = f"{filler[: start + moved]}{before}{secret}{after} and more" + " y" * MARGIN_BYTES
        found = REDACTION.short(text)
        kept = found.removesuffix(CUT).lstrip("\u00e4 ").replace("\u00e4", "")
        assert found.endswith(CUT) and f"{before}{MARK}{after} and".strip().startswith(kept.strip()), (moved, kept)
        assert len(found) <= TEXT_CHARACTERS + len(MARK) + len(CUT)


def test_a_short_text_is_not_cut() -> None:
    assert REDACTION.short("x" * TEXT_CHARACTERS) == "x" * TEXT_CHARACTERS
    assert REDACTION.short("x" * (TEXT_CHARACTERS + 1)) == "x" * TEXT_CHARACTERS + CUT


def test_the_margin_holds_the_longest_secret() -> None:
    long = "k" * 20_000
    redaction = Redaction(Redactor([Secret(long)]))
    assert redaction.margin_bytes >= 6 * len(long) > MARGIN_BYTES
    escaped = "".join(f"\\u{ord(one):04x}" for one in long)
    assert redaction.short("x" * (TEXT_CHARACTERS - 9) + " " + escaped) == "x" * (TEXT_CHARACTERS - 9) + " " + CUT
