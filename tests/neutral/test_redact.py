"""What leaves the process holds no secret, and ordinary texts stay as they are (faults.md 5; row 13 of 2)."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotator.neutral.error import ErrorKind, NeutralError
from rotator.neutral.redact import MARK, Redactor, merged
from rotator.neutral.secret import Secret

PLANTED = "pl4nted/va+lue=="
REDACTOR = Redactor([Secret(PLANTED), Secret("an0ther-0ne")])


def redactor(*secrets: str) -> Redactor:
    return Redactor(map(Secret, secrets))


#: What a key may be made of: printable ASCII without spaces.  ``redacted`` itself is the mark's word.
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=60).filter(
    lambda secret: secret not in MARK
)
AROUND = st.text(max_size=20)


# Planted secrets.


@given(st.lists(SECRETS, min_size=1, max_size=4), AROUND, AROUND, st.data())
def test_a_held_secret_never_survives(secrets: list[str], before: str, after: str, data: st.DataObject) -> None:
    planted = data.draw(st.sampled_from(secrets))
    found = redactor(*secrets).text(f"{before}{planted}{after}{planted}")
    assume(not any(secret in MARK or MARK in secret for secret in secrets))
    assert planted not in found and MARK in found


@pytest.mark.incident(13)
@pytest.mark.parametrize("percent", [lambda s: quote(s, safe=""), quote], ids=["all", "without slashes"])
@pytest.mark.parametrize("lower", [False, True], ids=["%2F", "%2f"])
def test_a_percent_encoded_secret_never_survives(percent: Callable[[str], str], lower: bool) -> None:
    """Encoders differ in the letters of the digits and in whether a slash is encoded."""
    encoded = percent(PLANTED)
    if lower:
        encoded = encoded.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")
    text = f"GET https://alpha.example/v1?key={encoded}&x=1 failed"
    assert REDACTOR.text(text) == f"GET https://alpha.example/v1?key={MARK}&x=1 failed"
    assert REDACTOR.holds(text)


@pytest.mark.incident(13)
@pytest.mark.parametrize(
    "encode",
    [
        lambda raw: b64encode(raw),
        lambda raw: b64encode(raw).rstrip(b"="),
        lambda raw: urlsafe_b64encode(raw),
        lambda raw: b64encode(b":" + raw),
        lambda raw: b64encode(b"user:" + raw),
        lambda raw: b64encode(b"users:" + raw),
    ],
    ids=["padded", "unpadded", "url-safe", "Basic without a name", "Basic with 4 letters", "Basic with 5 letters"],
)
def test_a_secret_in_base64_never_survives(encode: Callable[[bytes], bytes]) -> None:
    """faults.md 5, "base64 Basic": behind a name the secret begins at any of three places in a group."""
    secret = "pl4nted?>value-of-some-length"
    encoded = encode(secret.encode()).decode()
    found = redactor(secret).text(f"authorization: Basic {encoded} was refused")
    core = b64encode(secret.encode()).decode()[4:20]
    assert MARK in found and encoded not in found and core not in found


def escaped(secret: str) -> str:
    """As encoders write it that trust nothing."""
    return "".join(f"\\u{ord(character):04x}" for character in secret)


@pytest.mark.incident(13)
@pytest.mark.parametrize(
    "encode",
    [
        lambda secret: secret.replace("/", "\\/"),
        lambda secret: secret.replace("/", "\\\\\\/"),
        escaped,
        lambda secret: escaped(secret).upper().replace("\\U", "\\u"),
        lambda secret: escaped(secret).replace("\\", "\\\\"),
        lambda secret: secret.replace("=", "\\u003d").replace("+", "\\u002B"),
        lambda secret: quote(b64encode(b"me:" + secret.encode()).decode().rstrip("="), safe=""),
        lambda secret: b64encode(b"me:" + secret.encode()).decode().replace("/", "\\/").replace("=", ""),
    ],
    ids=["slashes", "slashes twice", "all", "upper", "all twice", "some", "Basic in a URL", "Basic in JSON"],
)
@pytest.mark.parametrize("secret", [PLANTED, "key>with?much~of/every+thing=="])
def test_a_secret_in_json_text_never_survives(encode: Callable[[str], str], secret: str) -> None:
    """faults.md 5 (1): ``\\u00XX``, ``\\/``, also where JSON text stands inside JSON text."""
    text = f'{{"message": "100% of \\"{encode(secret)}\\" was refused\\n"}}'
    found = redactor(secret, "an0ther-0ne").text(text)
    assert encode(secret) not in found and found.startswith('{"message": "100% of \\"') and MARK in found
    assert found.endswith(' was refused\\n"}') and redactor(secret).holds(text)


@pytest.mark.parametrize("secret", ['quo"ted-value', "back\\slashed\\n-value", "two\nlines-of-it", "ключ-от-квартиры"])
def test_secrets_that_json_and_urls_must_escape(secret: str) -> None:
    forms = [orjson.dumps(secret).decode()[1:-1], quote(secret, safe="")]
    forms += [orjson.dumps(form).decode()[1:-1] for form in forms]
    forms += [orjson.dumps(form).decode()[1:-1] for form in forms]
    for form in forms:
        assert redactor(secret).text(f"see {form}, it is wrong") == f"see {MARK}, it is wrong", form


def test_only_what_is_a_secret_goes() -> None:
    text = f"%41 \\u0041 \\/ \\n {quote(PLANTED, safe='')} %41\\u0041 {PLANTED}\\n{escaped(PLANTED)}\\/ %e4%b8%ad"
    kept = f"%41 \\u0041 \\/ \\n {MARK} %41\\u0041 {MARK}\\n{MARK}\\/ %e4%b8%ad"
    assert REDACTOR.text(text) == kept
    gone = [quote(PLANTED, safe=""), PLANTED, escaped(PLANTED)]
    assert [text[start:stop] for start, stop in REDACTOR.spans(text)] == gone


@given(st.text(st.sampled_from("ab%\\u0041/\"n") | st.characters(), max_size=60), st.booleans(), AROUND)
def test_spans_are_exact_whatever_stands_around(before: str, as_json: bool, after: str) -> None:
    encoded = escaped(PLANTED) if as_json else quote(PLANTED, safe="")
    text = f"{before} {encoded} {after}"
    start = len(before) + 1
    assert any(found == start and stop == start + len(encoded) for found, stop in REDACTOR.spans(text))


def test_a_form_that_overlaps_itself_goes_whole() -> None:
    assert redactor("abcabcabc").text("x abcabcabcabcabc y abcabcabcabc") == f"x {MARK} y {MARK}"


def test_spans_of_half_masked_keys_are_those_of_held_ones() -> None:
    """In a prompt, unlike in a vendor's error, stars may mean anything."""
    held = redactor("sk-pl4nted-value")
    text = "sk-pl4***alue, sk-*****, very***important***text, other-key***alue, risk***, sk***"
    assert [text[slice(*span)] for span in held.spans(text)] == ["sk-pl4***alue"]
    assert held.spans("sk-pl4nted***") == [(0, 13)]


def test_the_longest_form_counts_every_escape() -> None:
    assert redactor().longest == 0
    assert redactor("pl4nted-value").longest >= len(escaped(b64encode(b"pl4nted-value").decode().rstrip("=")))


def test_a_secret_that_is_part_of_the_mark_cannot_be_marked() -> None:
    assert redactor("redacted").text("[redacted] redacted") == "[redacted] redacted"


def test_merging() -> None:
    assert merged([(4, 6), (0, 2), (5, 9), (2, 3), (6, 7)]) == [(0, 2), (2, 3), (4, 9)]
    assert merged([]) == []


LONGER = ("pl4nted-value", "pl4nted-value-and-more")


@pytest.mark.parametrize("secrets", [LONGER, LONGER[::-1]])
def test_a_secret_within_a_secret(secrets: tuple[str, ...]) -> None:
    found = redactor(*secrets).text(f"{LONGER[1]}, {LONGER[0]}")
    assert found == f"{MARK}, {MARK}"


@pytest.mark.parametrize(
    "masked",
    [
        "sk-pl4nt***alue",
        "pl4nt*******alue",
        "pl4n***",
        "pl4nted-va********",
        "sk-proj-" + "*" * 40 + "alue",
        "sk-proj-" + "*" * 128 + "alue",
        "sk-proj-" + "*" * 160 + "alue",
        "sk-proj-" + "*" * 2_000 + "alue",
    ],
    ids=lambda masked: f"{masked[:12]} {len(masked)}",
)
def test_a_half_masked_key_never_survives(masked: str) -> None:
    """Project keys come back with 160 stars between the first and the last letters."""
    found = REDACTOR.text(f"Incorrect API key provided: {masked}. You can find it in your account.")
    assert found.replace(f"{MARK}.", MARK) == f"Incorrect API key provided: {MARK} You can find it in your account."


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=10,
)
PLACES = st.lists(st.sampled_from(["key", "value", "list", "text", "json in a string"]), min_size=1, max_size=8)


def buried(secret: str, places: list[str], beside: Any) -> Any:
    """The secret somewhere in wire JSON."""
    value: Any = secret
    for place in places:
        if place == "key":
            value = {f"at {secret}": value, "beside": beside}
        elif place == "value":
            value = {"error": value, "beside": beside}
        elif place == "list":
            value = [beside, value]
        elif place == "text":
            value = {"message": f"the key {secret} is wrong", "inner": value}
        else:
            value = {"arguments": orjson.dumps(value).decode()}
    return value


@given(PLACES, JSON)
def test_no_place_in_json_is_safe_for_a_secret(places: list[str], beside: Any) -> None:
    value = buried("pl4nted-value", places, beside)
    found = redactor("pl4nted-value").json(value)
    assert "pl4nted-value" not in orjson.dumps(found).decode()
    assert redactor("pl4nted-value").json(found) == found


def test_absurd_depth_is_cut_and_holds_no_secret() -> None:
    value: Any = "pl4nted-value"
    for turn in range(5_000):
        value = {"a": value} if turn % 2 else [value]
    found = repr(redactor("pl4nted-value").json(value))
    assert "pl4nted-value" not in found and MARK in found and len(found) < 1_000


def test_every_text_of_a_vendor_in_an_error_is_redacted() -> None:
    texts = ("message", "code", "type", "param")
    said: dict[str, Any] = dict.fromkeys(texts, f"see {PLANTED}")
    body = {PLANTED: [f"x{PLANTED}"]}
    error = NeutralError(ErrorKind.AUTH, status=401, envelope=body, retry_after_seconds=7, should_retry=False, **said)
    found = REDACTOR.error(error)
    assert {getattr(found, name) for name in texts} == {f"see {MARK}"}
    assert found.envelope == {MARK: [f"x{MARK}"]}
    kept = {field.name for field in fields(error)} - {*texts, "envelope"}
    assert all(getattr(found, name) == getattr(error, name) for name in kept)


def test_an_error_without_words_stays() -> None:
    error = NeutralError(ErrorKind.SERVER, "No.", 500)
    assert REDACTOR.error(error) == error


def test_holding() -> None:
    assert REDACTOR.holds(f"x{PLANTED}x") and REDACTOR.holds(quote(PLANTED, safe=""))
    assert not REDACTOR.holds("nothing") and not REDACTOR.holds("")


class Unsearched(str):
    """A text in which nobody may look for anything."""

    def __contains__(self, part: object) -> bool:
        raise AssertionError(f"looked for {part!r}")


def test_what_is_shorter_than_any_secret_holds_none() -> None:
    """Nearly every header of an answer: it costs a look at its length."""
    held = redactor("pl4nted-value", "an0ther-0ne-that-is-longer")
    assert not held.holds(Unsearched("pl4nted-valu"))
    assert not redactor().holds("")
    with pytest.raises(AssertionError, match="looked for"):
        held.holds(Unsearched("pl4nted-value"))


@pytest.mark.parametrize("secret", ["secret", "pl4nted-value", "a/b+c==", "%41%42%43%44%45%46%47"])
def test_a_text_that_is_nothing_but_a_secret_holds_it(secret: str) -> None:
    """In whatever form: no encoding is shorter than what it says, but one that looks encoded may be."""
    held = redactor(secret, "an0ther-0ne-that-is-longer")
    base64 = b64encode(secret.encode()).decode().rstrip("=")
    # The last letter of Base64 says something of what follows, too.
    for form in (secret, quote(secret, safe=""), escaped(secret), base64 if len(secret) % 3 == 0 else base64[:-1]):
        assert held.holds(form), form
    if secret.startswith("%41"):
        assert held.holds("\\u0041BCDEFG")


@given(st.lists(SECRETS, min_size=1, max_size=4), st.data())
def test_whatever_the_secret_is_a_text_of_it_alone_holds_it(secrets: list[str], data: st.DataObject) -> None:
    secret = data.draw(st.sampled_from(secrets))
    assert redactor(*secrets).holds(secret)
    assert redactor(*secrets).holds(quote(secret, safe=""))


#: The ways in which vendors hide the middle of a key, with its ends.
HIDDEN = [
    "****{tail}", "***{tail}", "...{tail}", "\u2026{tail}", "{head}***{tail}", "{head}...{tail}", "{head}\u2026{tail}",
    "{head}****", "{head}...", "{head}\u2026",
]  # fmt: skip
KEPT_SECRET = "sk-ab12cd-and-much-more-wxyz"


@pytest.mark.parametrize("form", HIDDEN, ids=ascii)
@pytest.mark.parametrize(("head", "tail"), [("sk-ab12", "wxyz"), ("sk-a", "-wxyz"), (KEPT_SECRET, KEPT_SECRET[2:])])
def test_a_half_hidden_key_goes_where_it_can_be_a_held_one(form: str, head: str, tail: str) -> None:
    """Its first letters and its last ones are those of a key of ours."""
    hidden = form.format(head=head, tail=tail)
    held = redactor(KEPT_SECRET, "an0ther-0ne")
    assert held.text(f"key {hidden} is wrong") == f"key {MARK} is wrong"
    assert (4, 4 + len(hidden)) in held.spans(f"key {hidden}")


@pytest.mark.parametrize("hidden", ["pl4nt....lue==", "pl4nt.....lue==", "pl4nt...lue==", "pl4nted/v\u2026+lue=="])
def test_neither_more_dots_nor_odd_letters_show_an_end(hidden: str) -> None:
    assert REDACTOR.text(f"key {hidden} is wrong") == f"key {MARK} is wrong"


OTHERS = [
    "****vvvv", "...vvvv", "\u2026vvvv", "sk-zz12...wxyz", "sk-zz12\u2026wxyz", "sk-ab12...vvvv", "sk-ab12\u2026vvvv",
    "sk-zz12...", "sk-zz12\u2026", "****xyz", "...xyz", "\u2026xyz", "sk-...", "sk-\u2026", "sk...z",
]  # fmt: skip


@pytest.mark.parametrize("hidden", OTHERS, ids=ascii)
def test_what_is_hidden_of_other_words_stays(hidden: str) -> None:
    """One end alone will not do where both are told, and three letters are nobody's."""
    held = redactor(KEPT_SECRET, "an0ther-0ne")
    assert held.spans(f"key {hidden}") == []
    assert held.text(f"key {hidden} is wrong") == f"key {hidden} is wrong"


def test_both_ends_must_be_those_of_one_key() -> None:
    held = redactor("sk-first-key-with-abcd", "sk-other-key-with-wxyz")
    assert held.spans("sk-first...wxyz sk-other\u2026abcd") == []
    assert len(held.spans("sk-first...abcd sk-other\u2026wxyz")) == 2


# What stays.


ORDINARY = [
    "",
    "pip install sk-learn, then hf_hub_download",
    "the bearer of this letter",
    "xai-org/grok-1",
    "max_tokens: 5, logprobs: [{'token': 'a'}]",
    "{'name': 'password', 'type': 'string'}",
    "req_0123456789abcdef",
    "a * b ** c",
    "**bold** and *italic*",
    "2 *** 3",
    "/* comment **/",
    "* * *",
    "***",
    "pl4nted",
    "wait... and see\u2026",
    "...",
    "1...9 and a\u2026z",
    "from ...one to \u2026one",
    "\u00e4\u00f6\u00fc \U0001f511 \ud800",
]


@pytest.mark.parametrize("text", ORDINARY, ids=ascii)
def test_ordinary_texts_stay(text: str) -> None:
    assert REDACTOR.text(text) == text
    assert REDACTOR.json({text: [text, 1, None, True, 1.5]}) == {text: [text, 1, None, True, 1.5]}


@given(st.text(st.characters()).filter(lambda text: "***" not in text))
def test_a_text_without_secrets_stays(text: str) -> None:
    assume(not REDACTOR.holds(text))
    assert REDACTOR.text(text) == text


def test_too_short_a_secret_would_match_in_ordinary_words() -> None:
    assert redactor("token", "a", "").text("a token") == "a token"
    assert redactor("tokens").text("a tokens") == f"a {MARK}"


@given(st.lists(SECRETS, max_size=3), st.text(st.sampled_from("abk-*._ []\u00e4") | st.characters(), max_size=80))
def test_redacting_twice_changes_nothing(secrets: list[str], text: str) -> None:
    assume(not any(secret in MARK or MARK in secret for secret in secrets))
    once = redactor(*secrets)
    found = once.text(text + "".join(secrets))
    assume(not any(secret in found for secret in secrets))  # a mark beside a text may spell a secret of punctuation
    assert once.text(found) == found
