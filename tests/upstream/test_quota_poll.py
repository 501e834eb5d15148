"""The ``quota`` key of a provider: what a declaration may say, what is read from a page, and how it is asked for."""

import json
import math
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rotator.config.reader import At
from rotator.contracts import Credential, Runtime
from rotator.errors import ConfigError, UpstreamFailed
from rotator.neutral.secret import Secret
from rotator.plugins import load
from rotator.quota import QuotaFact
from rotator.server.fetching import fetcher
from rotator.upstream.provider import HttpProvider
from rotator.upstream.quota_poll import QuotaPage, QuotaWindow
from rotator.upstream.retry_after import LONGEST_SECONDS
from rotator.wire.transport import Transport, TransportSettings
from tests.upstreams import Canned, canned

PROTOCOLS = load().registry.protocols
BASE = {"name": "alpha", "protocol": "chat", "base_url": "https://alpha.example/v1"}
KEY = Credential("id-1", "alpha", "alpha#1", Secret("planted-value"))
#: Fri, 15 Jan 2027 08:00:00 GMT
NOW = 1_800_000_000.0
WINDOW = {"name": "5h", "used": "$.used"}
PAGE = {"path": "/usage", "windows": [WINDOW]}


def problems(quota: Any, **declared: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        HttpProvider({**BASE, "quota": quota, **declared}, At("file.yaml"))
    return [str(problem) for problem in caught.value.problems]


def read(document: Any, *windows: dict[str, Any]) -> list[QuotaFact]:
    """What windows say of a document."""
    page = QuotaPage("/usage", tuple(QuotaWindow(**window) for window in windows))
    return list(page.facts(document, NOW))


def fact(document: Any, **window: Any) -> QuotaFact | None:
    found = read(document, {"name": "5h", **window})
    assert len(found) <= 1
    return found[0] if found else None


# Declarations.

REFUSED: dict[str, tuple[Any, list[str]]] = {
    "no path": ({"windows": [WINDOW]}, ["quota.path: missing"]),
    "no windows": ({"path": "/usage"}, ["quota.windows: missing"]),
    "an empty list": ({**PAGE, "windows": []}, ["quota.windows: expected at least one"]),
    "a misspelt key": ({**PAGE, "evry_seconds": 60}, ["quota.evry_seconds: unknown key (did you mean every_seconds?)"]),
    "too often": ({**PAGE, "every_seconds": 1}, ["quota.every_seconds: expected a number from 10 to 86400, found 1"]),
    "no slash": (
        {**PAGE, "path": "usage"},
        ['quota.path: expected one that begins with "/", below the base URL'],
    ),
    "another host": (
        {**PAGE, "path": "https://other.example/usage"},
        ['quota.path: expected one that begins with "/", below the base URL'],
    ),
    "upwards": ({**PAGE, "path": "/../usage"}, ['quota.path: expected one below the base URL, without ".."']),
    "upwards, hidden": ({**PAGE, "path": "/a/%2E%2e"}, ['quota.path: expected one below the base URL, without ".."']),
    "a line break": ({**PAGE, "path": "/a\nb"}, ["quota.path: contains spaces, control characters, # or \\"]),
    "a fragment": ({**PAGE, "path": "/a#b"}, ["quota.path: contains spaces, control characters, # or \\"]),
    "a backslash": ({**PAGE, "path": "/\\b"}, ["quota.path: contains spaces, control characters, # or \\"]),
    "letters": ({**PAGE, "path": "/\u00e4"}, ["quota.path: contains spaces, control characters, # or \\"]),
    "a header": ({**PAGE, "headers": {"a b": "c"}}, ["quota.headers.a b: not a valid header"]),
    "a header's value": ({**PAGE, "headers": {"a": "b\nc"}}, ["quota.headers.a: not a valid header"]),
}
REFUSED_WINDOWS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing in it": ({"name": "a"}, ": expected one of used, remaining, used_percent, used_fraction"),
    "only a limit": (
        {"name": "a", "limit": "$.limit"},
        ": expected one of used, remaining, used_percent, used_fraction",
    ),
    "no name": ({"used": "$.a"}, ".name: missing"),
    "an empty name": ({"name": "", "used": "$.a"}, ".name: expected a text"),
    "no query": (
        {"name": "a", "used": "five_hour.used"},
        ".used: no JSONPath query: expected '$', found 'f'",
    ),
    "an unfinished query": (
        {"name": "a", "remaining": "$.a["},
        ".remaining: no JSONPath query: unbalanced brackets",
    ),
    "a slow function": (
        {"name": "a", "used": "$.a", "resets_at": "$.b[?search(@.c, '(a|aa)+$')].d"},
        ".resets_at: no JSONPath query: function 'search' is not defined",
    ),
    "endless": ({"name": "a", "limit": "$" + ".a" * 300, "used": "$"}, ".limit: longer than 500 characters"),
    "a model's window without a model": (
        {**WINDOW, "applies_to": "model"}, ".model: missing (applies_to: model)",
    ),
    "a group's window without a model": (
        {**WINDOW, "applies_to": "group"}, ".model: missing (applies_to: group)",
    ),
    "a key's window with a model": (
        {**WINDOW, "applies_to": "credential", "model": "big"}, ".model: a window of the credential has none",
    ),
    "a unit": ({**WINDOW, "unit": "dollars"}, ".unit: expected requests or tokens, found 'dollars'"),
}


@pytest.mark.parametrize(("quota", "told"), REFUSED.values(), ids=REFUSED)
def test_pages_that_cannot_be_asked(quota: Any, told: list[str]) -> None:
    assert problems(quota) == [f"file.yaml: {problem}" for problem in told]


@pytest.mark.parametrize(("window", "told"), REFUSED_WINDOWS.values(), ids=REFUSED_WINDOWS)
def test_windows_that_cannot_be_read(window: dict[str, Any], told: str) -> None:
    assert problems({"path": "/usage", "windows": [WINDOW, window]}) == [f"file.yaml: quota.windows[1]{told}"]


@given(st.text(max_size=60) | st.text("$.[]?@'\"*:,()!<>=&| a1", max_size=60).map("$".__add__))
def test_any_text_as_query_is_taken_or_refused(query: str) -> None:
    try:
        provider = HttpProvider({**BASE, "quota": {"path": "/u", "windows": [{"name": "a", "used": query}]}})
    except ConfigError:
        return
    assert provider.declaration.quota is not None
    provider.declaration.quota.facts({"a": [1, {"a": "1"}]}, NOW)


def test_how_often_it_is_asked() -> None:
    assert HttpProvider(BASE).quota_every_seconds is None
    declared = HttpProvider({**BASE, "quota": PAGE})
    assert declared.quota_every_seconds == 300
    changed = declared.configured({"quota": {"every_seconds": 60}}, "rotator.yaml")
    assert changed.quota_every_seconds == 60
    assert changed.configured({"quota": None}, "rotator.yaml").quota_every_seconds is None


def test_the_library_is_loaded_where_quota_is_declared() -> None:
    program = (
        "import sys\nfrom rotator.plugins import load\nfrom rotator.upstream.provider import HttpProvider\nload()\n"
        "print('jsonpath_rfc9535' in sys.modules)\n"
        f"HttpProvider({ {**BASE, 'quota': PAGE}!r})\n"
        "print('jsonpath_rfc9535' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# Reading.

DOCUMENT = {
    "five_hour": {"used": 12, "limit": 50, "resets_at": "2027-01-15T09:00:00Z"},
    "limits": [
        {"type": "day", "used": "7"},
        {"type": "week", "used": 33.5, "left": 66.5, "percent": 33.5, "reset_ms": 1_800_000_060_000},
    ],
    "pro": {"remaining": 3, "total": 10, "reset_in": "2h30m"},
}


def test_a_page_as_vendors_have_them() -> None:
    assert read(
        DOCUMENT,
        {"name": "5h", "used": "$.five_hour.used", "limit": "$.five_hour.limit", "resets_at": "$.five_hour.resets_at"},
        {
            "name": "week",
            "unit": "tokens",
            "used_percent": '$.limits[?@.type=="week"].percent',
            "resets_at": "$['limits'][1].reset_ms",
        },
        {"name": "pro", "model": "big", "remaining": "$.pro.remaining", "limit": "$.pro.total",
         "resets_in": "$.pro.reset_in"},
        {"name": "pros", "model": "big", "applies_to": "group", "remaining": "$.pro.remaining"},
        {"name": "gone", "used": "$.month.used", "limit": "$.five_hour.limit"},
    ) == [
        QuotaFact("5h", 50, 12, None, 3_600, "requests", "credential", None, "poll"),
        QuotaFact("week", 100, 33.5, None, 60, "percent", "credential", None, "poll"),
        QuotaFact("pro", 10, None, 3, 9_000, "requests", "model", "big", "poll"),
        QuotaFact("pros", None, None, 3, None, "requests", "group", "big", "poll"),
    ]


SHARES: dict[str, tuple[dict[str, Any], dict[str, str], tuple[float | None, float | None] | None]] = {
    "percent": ({"p": 40}, {"used_percent": "$.p"}, (100, 40)),
    "percent of a limit": ({"p": 40, "limit": 50}, {"used_percent": "$.p", "limit": "$.limit"}, (50, 20)),
    "percent of an unknown limit": ({"p": 40}, {"used_percent": "$.p", "limit": "$.limit"}, (100, 40)),
    "percent of no limit": ({"p": 40, "limit": 0}, {"used_percent": "$.p", "limit": "$.limit"}, (100, 40)),
    "fraction": ({"p": 0.25}, {"used_fraction": "$.p"}, (100, 25)),
    "overdrawn": ({"p": 104}, {"used_percent": "$.p"}, (100, 100)),
    "overdrawn fraction": ({"p": 1.12}, {"used_fraction": "$.p"}, (100, 100)),
    "percent before fraction": ({"p": 40, "f": 1}, {"used_percent": "$.p", "used_fraction": "$.f"}, (100, 40)),
    "fraction for percent": ({"f": 0.5}, {"used_percent": "$.p", "used_fraction": "$.f"}, (100, 50)),
    "amounts before shares": ({"p": 40, "u": 3}, {"used_percent": "$.p", "used": "$.u"}, (None, 3)),
    "a share for an amount": ({"p": 40}, {"used_percent": "$.p", "used": "$.u"}, (100, 40)),
    "less than nothing": ({"p": -1}, {"used_percent": "$.p"}, None),
    "a text": ({"p": "40%"}, {"used_percent": "$.p"}, None),
}


@pytest.mark.parametrize(("document", "window", "told"), SHARES.values(), ids=SHARES)
def test_shares(document: Any, window: dict[str, str], told: tuple[float | None, float | None] | None) -> None:
    found = fact(document, **window)
    assert (None if found is None else (found.limit, found.used)) == told


NUMBERS: dict[str, tuple[Any, float | None]] = {
    "whole": (7, 7),
    "broken": (7.5, 7.5),
    "nothing": (0, 0),
    "in a text": ("7", 7),
    "with spaces": (" 7.5 ", 7.5),
    "below nothing": (-1, None),
    "truth": (True, None),
    "null": (None, None),
    "a word": ("plenty", None),
    "a list": ([7], None),
    "an object": ({"a": 7}, None),
    "not a number": (math.nan, None),
    "endless": (math.inf, None),
    "too much": (10**400, None),
    "too much in a text": ("9" * 400, None),
}


@pytest.mark.parametrize(("value", "number"), NUMBERS.values(), ids=NUMBERS)
def test_numbers(value: Any, number: float | None) -> None:
    found = fact({"u": value}, used="$.u", limit="$.l")
    assert (found.used if found else None) == number


RESETS: dict[str, tuple[dict[str, Any], float | None]] = {
    "unix seconds": ({"at": 1_800_000_060}, 60),
    "unix seconds in a text": ({"at": "1800000060.5"}, 60.5),
    "unix ms": ({"at": 1_800_000_060_500}, 60.5),
    "a date": ({"at": "2027-01-15T08:01:00.000Z"}, 60),
    "a date elsewhere": ({"at": " 2027-01-15T10:01:00+02:00 "}, 60),
    "past": ({"at": 1_700_000_000}, 0),
    "far": ({"at": 1_900_000_000}, LONGEST_SECONDS),
    "a date nowhere": ({"at": "2027-01-15T08:01:00"}, None),
    "a wait for a date": ({"at": 60}, None),
    "a word": ({"at": "monthly"}, None),
    "null": ({"at": None}, None),
    "seconds": ({"in": 90}, 90),
    "seconds in a text": ({"in": "90"}, 90),
    "a duration": ({"in": "1h30m"}, 5_400),
    "below nothing": ({"in": -90}, None),
    "much": ({"in": 10**9}, LONGEST_SECONDS),
    "both": ({"at": 1_800_000_060, "in": 90}, 60),
    "the other": ({"at": "soon", "in": 90}, 90),
    "neither": ({}, None),
}


@pytest.mark.parametrize(("document", "seconds"), RESETS.values(), ids=RESETS)
def test_resets(document: dict[str, Any], seconds: float | None) -> None:
    found = fact({**document, "u": 1}, used="$.u", resets_at="$.at", resets_in="$.in")
    assert found is not None and found.resets_in_seconds == seconds


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"left": 5, "limit": 10, "used": 5}, (10, 5, 5)),
        ({"left": 11, "limit": 10, "used": 5}, (10, 5, None)),
        ({"left": 11, "limit": 10}, None),
        ({"left": 0, "limit": 0}, None),
        ({"left": 0, "limit": 0, "used": 3}, (None, 3, None)),
        ({"left": -1, "limit": -1}, None),
        ({"used": 12, "limit": 10}, (10, 12, None)),
        ({"limit": 10}, None),
    ],
)
def test_amounts_that_do_not_fit(document: Any, told: tuple[float | None, ...] | None) -> None:
    found = fact(document, used="$.used", limit="$.limit", remaining="$.left")
    assert (found and (found.limit, found.used, found.remaining)) == told


@pytest.mark.parametrize("document", [None, 1, "text", [], {}, [{"used": 1}], {"used": {"used": 1}}])
def test_pages_that_say_something_else(document: Any) -> None:
    assert fact(document, used="$.used", limit="$.used", resets_at="$.used") is None


def test_a_page_that_is_nested_deeply_says_nothing() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": deep}
    assert fact(deep, used="$..used") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from("abcdu"), inside, max_size=4),
    max_leaves=12,
)


@given(JSON, st.floats(0, 4e9))
def test_no_page_breaks_it(document: Any, now: float) -> None:
    window = QuotaWindow("w", used="$.a", limit="$.b", remaining="$.c", used_fraction="$.u", resets_at="$.d",
                         resets_in="$..u")
    for found in QuotaPage("/u", (window,)).facts(document, now):
        numbers = (found.limit, found.used, found.remaining, found.resets_in_seconds)
        assert all(one is None or (math.isfinite(one) and one >= 0) for one in numbers)


# Asking.


@asynccontextmanager
async def running() -> AsyncIterator[Runtime]:
    transport = Transport(TransportSettings())
    transport.start()
    try:
        yield Runtime(PROTOCOLS, fetcher(transport, {}))
    finally:
        await transport.aclose()


async def test_a_vendor_is_asked_below_its_base_with_the_key() -> None:
    body = json.dumps({"used": 12, "limit": 50, "at": NOW + 30}).encode()
    window = {**WINDOW, "limit": "$.limit", "resets_at": "$.at"}
    quota = {"path": "/v1/usage?unit=requests", "headers": {"X-Form": "short"}, "windows": [window]}
    async with canned(Canned((body,))) as vendor, running() as runtime:
        declared = {**BASE, "base_url": f"{vendor.url}/v1", "headers": {"X-Title": "rotator"}, "quota": quota}
        provider = HttpProvider(declared)
        provider.wall_clock = lambda: NOW
        assert await provider.quota(runtime, KEY) == (
            QuotaFact("5h", 50, 12, None, 30, "requests", "credential", None, "poll"),
        )
    (taken,) = vendor.taken
    assert taken.line == "GET /v1/usage?unit=requests HTTP/1.1"
    assert taken.headers["authorization"] == "Bearer planted-value"
    assert (taken.headers["x-form"], taken.headers["x-title"]) == ("short", "rotator")


async def test_headers_of_the_page_do_not_replace_the_key() -> None:
    quota = {**PAGE, "headers": {"X-API-Key": "public", "anthropic-version": "1999-01-01"}}
    async with canned(Canned((b'{"used": 1}',))) as vendor, running() as runtime:
        declared = {**BASE, "protocol": "messages", "auth": "x-api-key", "base_url": vendor.url, "quota": quota}
        await HttpProvider(declared).quota(runtime, KEY)
    headers = vendor.taken[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("planted-value", "1999-01-01")


async def test_without_the_key_nobody_is_asked() -> None:
    async with running() as runtime:
        assert list(await HttpProvider(BASE).quota(runtime, KEY)) == []


REDIRECT = Canned((b"{}",), 302, {"location": "http://127.0.0.1:9/elsewhere"})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Canned((b"<html>planted-value</html>",), headers={"content-type": "text/html"}), "JSON"),
        (Canned((b'{"used": 1}',), 500), "HTTP 500"),
        (Canned((b'{"error": "planted-value"}',), 429, {"retry-after": "60"}), "HTTP 429"),
        (REDIRECT, "HTTP 302"),
        (Canned(raw=b"planted-value\r\n\r\n"), "not HTTP"),
    ],
    ids=["html", "500", "429", "redirect", "no http"],
)
async def test_answers_that_are_none(answer: Canned, message: str) -> None:
    async with canned(answer) as vendor, running() as runtime:
        provider = HttpProvider({**BASE, "base_url": vendor.url, "quota": PAGE})
        with pytest.raises(UpstreamFailed, match=message) as caught:
            await provider.quota(runtime, KEY)
    assert len(vendor.taken) == 1 and "planted" not in str(caught.value)


def test_answers_headers_are_read_by_a_provider() -> None:
    """So that a provider in Python may read others."""
    (found,) = HttpProvider(BASE).quota_facts({"x-ratelimit-remaining-requests": "3"}, NOW)
    assert found.remaining == 3


# The page of the documentation.

SHOWN = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTION = SHOWN.partition("## Quota of a vendor\n")[2].partition("\n## ")[0]


def test_the_declaration_that_is_shown() -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    page = HttpProvider({"name": "acme", **yaml.safe_load(shown)}).declaration.quota
    assert page is not None
    document = {
        "five_hour": {"used": 12, "limit": 50, "resets_at": NOW + 60},
        "limits": [{"type": "day"}, {"type": "week", "percent": 40, "seconds_left": 90}],
        "models": {"big": {"tokens_left": 3}},
    }
    assert list(page.facts(document, NOW)) == [
        QuotaFact("5h", 50, 12, None, 60, "requests", "credential", None, "poll"),
        QuotaFact("week", 100, 40, None, 90, "percent", "credential", None, "poll"),
        QuotaFact("big-model", None, None, 3, None, "tokens", "model", "big", "poll"),
    ]


async def test_the_code_that_is_shown() -> None:
    [shown] = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    made: dict[str, Any] = {}
    exec(shown, made)
    registered: list[HttpProvider] = []
    made["register_providers"](registered.append)
    [provider] = registered
    assert provider.quota_every_seconds == 600
    assert list(provider.quota_facts({"x-acme-left": "3"}, NOW)) == [QuotaFact("requests", remaining=3)]
    assert not provider.quota_facts({"x-acme-left": "none"}, NOW)

    async def fetch(asked: Any, url: str, headers: Any) -> Any:
        assert asked is provider and dict(headers)["authorization"] == "Bearer planted-value"
        return {"limit": 10, "used": 4}

    (found,) = await provider.quota(Runtime(PROTOCOLS, fetch), KEY)
    assert (found.limit, found.used, found.applies_to) == (10, 4, "credential")


@pytest.mark.parametrize("key", [field.name for field in fields(QuotaWindow)])
def test_every_key_of_a_window_is_told(key: str) -> None:
    assert re.search(rf"^\| .*`{key}`", SECTION, re.MULTILINE)
