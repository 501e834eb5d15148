"""What is found in a text by its shape or beside a name, in linear time (faults.md 0 item 5, and 5)."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from re import _constants, _parser
from typing import Any

import pytest

from rotator.neutral.redact import MARK, masked, merged
from rotator.trace import shapes
from tests.cli.running import ROOT, environment
from tests.trace import credentials
from tests.trace.credentials import RANDOM, VALUE

FRAMES = (
    "{}", "the key {} is wrong", '"{}"', "a={}&b", "'{}',", "({})", "\t{}\n", "line:\\n{}\\n", "\\u0022{}\\u0022",
    "%20{}%20", "\\\\n{}\\\\n", "\u00e4{}.", "/{}/", "key={}", "data: {}\n\n", "\ud83d{}",
)  # fmt: skip


def without(text: str) -> str:
    return masked(text, merged(shapes.find(text)))


@pytest.mark.incident(13)
@pytest.mark.parametrize("key", credentials.SHAPES)
def test_keys_are_known_by_their_shape(key: str) -> None:
    """Whole: their first letters would tell the vendor's service and tier."""
    for frame in FRAMES:
        if frame != "\u00e4{}.":
            assert without(frame.format(key)) == frame.format(MARK), frame
    assert without(f"{key}, {key}") == f"{MARK}, {MARK}"


@pytest.mark.parametrize("shape", shapes._KEYS, ids=lambda shape: shape.literal)
def test_every_shape_is_known_by_itself(shape: shapes.Shape) -> None:
    """Each has an example of its own, and where the beginning says enough, letters without a digit will do."""
    examples = [key for key in credentials.SHAPES if re.fullmatch(shape.pattern, key, re.ASCII)]
    assert examples
    letters = "abcdefghijklmnopqrstuvwxyz"
    if shape.check is None and re.fullmatch(shape.pattern, shape.literal + letters, re.ASCII):
        assert without(f"({shape.literal}{letters})") == f"({MARK})"
    else:
        assert without(f"({shape.literal}{letters})") == f"({shape.literal}{letters})"


@pytest.mark.parametrize("key", credentials.SHAPES)
def test_a_part_of_a_longer_word_is_none(key: str) -> None:
    for before in ("x", "9", "_", "-", "+"):
        assert without(f"{before}{key}") in (f"{before}{key}", f"{before}{MARK}")
        assert not key.startswith(("AIza", "hf_", "AKIA", "gsk_")) or without(f"{before}{key}") == f"{before}{key}"


def test_a_secret_beside_its_id_goes_with_it() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert without(f"AKIAIOSFODNN7EXAMPLE {secret} x") == f"{MARK} x"
    assert without(f"aws_secret_access_key = {secret}\n") == f"aws_secret_access_key = {MARK}\n"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("newline", ["\n", "\\n", "\r\n"])
def test_private_keys_in_pem(kind: str, newline: str) -> None:
    block = newline.join([f"-----BEGIN {kind}PRIVATE KEY-----", "DEK-Info: AES-128-CBC,00", "", f"MII{RANDOM}/+=="])
    for end in (f"{newline}-----END {kind}PRIVATE KEY-----", ""):
        found = without(f'{{"text":"{block}{end}","n":1}}')
        assert found == f'{{"text":"-----BEGIN {kind}{MARK}","n":1}}'
    pgp = f"-----BEGIN PGP PRIVATE KEY BLOCK-----{newline}{RANDOM}{newline}-----END PGP PRIVATE KEY BLOCK-----"
    assert RANDOM not in without(pgp)


def test_the_signature_of_a_signed_request() -> None:
    signature = "0a" * 32
    header = f"AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host;x-amz-date, Signature={signature}"
    assert without(f"sent {header}.") == f"sent {header.replace(signature, MARK)}."


@pytest.mark.incident(13)
@pytest.mark.parametrize("place", credentials.PLACES)
@pytest.mark.parametrize("value", [VALUE, RANDOM, "a1%2Fb~c.d+e-0123456789"])
def test_values_beside_a_name(place: str, value: str) -> None:
    text = place.replace("{}", value)
    found = without(text)
    assert value not in found and MARK in found
    assert all(value[start : start + 6] not in found for start in range(len(value) - 5))


@pytest.mark.parametrize("name", credentials.MEMBERS)
def test_members_in_any_text(name: str) -> None:
    """JSON, JSON in JSON twice over, and as Python prints it; what is cut off is masked to its end."""
    value = 'it "is" \\ a secret, isn\'t it'
    text = json.dumps({name: value, "kept": "kept"})
    for _ in range(4):
        found = without(text)
        assert "secret, isn" not in found and "kept" in found.partition(MARK)[2]
        cut = text[: text.index("secret,")]
        assert without(cut).endswith(MARK) and "it " not in without(cut)
        text = json.dumps({"text": text})
    assert without(json.dumps({name: -1234.5, "a": 1})) == f'{{"{name}": {MARK}, "a": 1}}'
    assert "secret, isn" not in without(repr({name: "a secret, isn"}))
    assert without(json.dumps({name: 1234, "a": 1})) == f'{{"{name}": {MARK}, "a": 1}}'


@pytest.mark.parametrize("name", credentials.HARMLESS_MEMBERS)
def test_harmless_members_stay_in_any_text(name: str) -> None:
    text = json.dumps({name: VALUE, "n": {name: 123456}})
    assert without(text) == text and without(json.dumps(text)) == json.dumps(text)


@pytest.mark.parametrize("name", credentials.PARAMETERS)
@pytest.mark.parametrize("before", ["?", "?x=1&", "?x=1&amp;", "%3Fx%3D1%26", "?x=1\\u0026"])
def test_parameters_in_a_url(name: str, before: str) -> None:
    equals = "%3D" if before.startswith("%") else "="
    text = f"see https://a.example/v1/x{before}{name}{equals}horse"
    assert without(f"{text} now") == f"{text.removesuffix('horse')}{MARK} now"


@pytest.mark.parametrize("name", credentials.HARMLESS_PARAMETERS)
def test_harmless_parameters_stay(name: str) -> None:
    text = f"https://a.example/v1?{name}=horse&x={name}"
    assert without(text) == text


@pytest.mark.parametrize("text", credentials.ORDINARY)
def test_ordinary_texts_stay(text: str) -> None:
    assert without(text) == text
    assert without(json.dumps({"content": text})) == json.dumps({"content": text})


@pytest.mark.parametrize("value", credentials.ORDINARY_JSON, ids=lambda value: next(iter(value)))
def test_ordinary_json_stays(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2), json.dumps(json.dumps(value))):
        assert without(text) == text


def test_basic_is_known_by_what_is_in_it() -> None:
    assert without(f"basic {credentials.BASIC}") == f"basic {MARK}"
    assert without("Basic authentication and basic understanding") == "Basic authentication and basic understanding"
    nothing = b64encode(b"\x00\x01:\x02" * 4).decode()
    assert without(f"basic {nothing}") == f"basic {nothing}"


def test_what_of_a_value_is_secret() -> None:
    assert shapes.secret_part("Bearer abc") == (7, 10)
    assert shapes.secret_part("abc") == (0, 3)
    assert shapes.secret_part("Bearer ") == (0, 7)
    for masked_value in ("", "***", "Bearer [redacted]", "Basic ****", "${KEY}", "<your key>", "{{key}}", "$KEY"):
        assert shapes.secret_part(masked_value) is None, masked_value


def test_lower_case_keeps_every_place() -> None:
    """Some capital letters have two characters in lower case."""
    text = f'\u0130\u0130 {{"API-KEY": "{VALUE}"}} \u0130'
    assert without(text) == f'\u0130\u0130 {{"API-KEY": "{MARK}"}} \u0130'


def test_what_only_a_parser_can_judge() -> None:
    assert shapes.holds_containers('{"api_keys": ["a"]}') and shapes.holds_containers('{"password":{"a":1}}')
    assert not shapes.holds_containers('{"keys": ["a"], "tokens": [], "password": "a"}')


# Linear work.


def patterns() -> Iterator[str]:
    """All that run on texts of others."""
    for value in vars(shapes).values():
        for one in [value] if isinstance(value, shapes.Shape) or not isinstance(value, tuple) else value:
            if isinstance(one, shapes.Shape):
                yield one.pattern
            elif isinstance(one, tuple):
                yield one[1]
    yield from (shapes._STRING_ENDS, shapes._COOKIE, shapes._BEARER, shapes._BASIC, shapes._PARAMETER)
    yield from (shapes._PARAMETER_VALUE, shapes._SCHEME_FIRST, shapes._HARMLESS)


def repeats(parsed: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every repeat in a parsed pattern: its kind, its most, and what is repeated."""
    for operation, argument in parsed:
        name = str(operation)
        if name.endswith("REPEAT"):
            yield name, argument[1], argument[2]
            yield from repeats(argument[2])
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from repeats(branch)
        elif name in ("SUBPATTERN", "ASSERT", "ASSERT_NOT"):
            yield from repeats(argument[-1])
        elif name == "ATOMIC_GROUP":
            yield from repeats(argument)


#: What each pattern begins with, where no other row brings it.
HEADS = (
    *(f'"{end}": "x", {end}={VALUE}' for end in shapes._ENDS),
    *(f"{name}: x" for name, _ in shapes._ASSIGNED),
    *(shape.literal for shape in shapes._KEYS),
)


def test_no_pattern_can_run_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeats without a bound gives nothing back, and nothing large is repeated within a repeat."""
    everything, used = set(patterns()), set()
    monkeypatch.setattr(shapes, "_compiled", lambda pattern: used.add(pattern) or re.compile(pattern, re.ASCII))
    for text in (*credentials.SHAPES, *credentials.PLACES, *credentials.ORDINARY, *HEADS, "Signature="):
        shapes.find(f"{text} {text}&key={VALUE}")
    assert used == everything and len(everything) > 55
    for pattern in everything:
        for kind, most, inner in repeats(_parser.parse(pattern)):
            if most == _constants.MAXREPEAT:
                assert kind == "POSSESSIVE_REPEAT", pattern
            if most > 1000:
                assert not [one for one in repeats(inner) if one[1] > 1], pattern


HOSTILE = r"""
from rotator.neutral.redact import Redactor
from rotator.neutral.secret import Secret
from rotator.trace.entry import Entry
from rotator.trace.line import line
from rotator.trace.redaction import Redaction
held = Redactor([Secret("sk-proj-" + "ab" * 40), Secret("a" * 64)])
redaction = Redaction(held)
units = [
    "a", "\\", '"', "'", "sk-", "://", ":/", "?&", "?key", "&key=", "%3", "%41", "eyJ", "eyJaaaaaaaa.", "\n",
    "\u0041", '"password":"', '\\"password\\":\\"', '"password":"\\"password\\":\\"', "PRIVATE KEY-----",
    "PRIVATE KEY-----a", "bearer ", "bearer a", "basic aaaaaaaa", "authorization:", "authorization: bearer ",
    "cookie: a=", "cookie:a", "a***", "***", "://a@", 'key"', 'key"        :', 'key":[', "Signature=", "1//0", "AKIA",
    "AKIAAAAAAAAAAAAA ", "rt_", "aaaaaaaa.", "{", "[", '{"a":', "\\" * 13 + '"', "data: {}\n",
    'data: {"d":"sk-"}\n', "\ud83d", "\u0130key",
]
for unit in units:
    body = (unit * (8 * 1024 * 1024 // len(unit))).encode("utf-8", "surrogatepass")
    line(Entry("r", 0, 0.0, 0.0, "end", 1, {}, (), body[: 300 * 1024], len(body), held), redaction, 256 * 1024)
    redaction.spans('{"api_key":"' + unit * (1024 * 1024 // len(unit)))
"""


def test_hostile_texts_take_no_longer_than_others() -> None:
    """8 MiB each are cut first; 1 MiB each is not: a quadratic pattern would need minutes for one, all need seconds."""
    command = [sys.executable, "-c", HOSTILE]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
