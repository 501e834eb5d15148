"""One line a request, whatever a client puts into it."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.exchange.record import RequestRecord, Way
from rotator.neutral.usage import Usage
from rotator.server.lines import PENDING_LIMIT, RequestLines, json_line, printable, text_line, tokens
from tests.asking import ask, chat
from tests.proxy import make_world, serving

CONTROLS = ["\r\n", "\n", "\x1b[2J", "\u2028", "\u2029", "\x85", "\x00", "\x7f", "\u202e", "\ud83d", "\x0b", "\x1c"]
WAY = Way("raw", "demo", "text", ())


def record(**fields: object) -> RequestRecord:
    plain = RequestRecord("req_1", 1_800_000_000.0, 5.0, "local", "POST", "/v1/messages", status=200)
    for name, value in fields.items():
        setattr(plain, name, value)
    return plain


@pytest.mark.incident(26)
@pytest.mark.parametrize("form", [text_line, json_line])
@pytest.mark.parametrize("field", ["model", "path", "method", "label", "note"])
def test_no_field_makes_a_second_line(form: Callable[[RequestRecord, float], str], field: str) -> None:
    shown = "" if field in ("path", "method") else "m"  # only a request without a model shows these
    for control in CONTROLS:
        fields: dict[str, object] = {"model": shown, "way": WAY, field: f"before{control}after"}
        line = form(record(**fields), 3.2)
        assert len(line.splitlines()) == 1
        assert line.isascii() and line.isprintable()
        assert "before" in line and "after" in line


def test_what_is_printable_stays() -> None:
    assert printable("claude-sonnet (x) \\n") == "claude-sonnet (x) \\n"
    assert printable("") == ""


def test_a_text_line_says_what_happened() -> None:
    usage = Usage(input_fresh=10, output_text=4, source="vendor")
    full = record(model="demo/text", way=WAY, label="demo#1", usage=usage, attempts=2, note="truncated")
    told = "local demo/text -> demo/demo#1 raw 200 10+4 tok 31 ms, 2 attempts, truncated"
    assert text_line(full, 31.4)[9:] == told
    assert text_line(record(), 0.2)[9:] == "local POST /v1/messages 200 - tok 0 ms"


def test_tokens_that_we_counted_ourselves_are_marked() -> None:
    assert tokens(record(usage=Usage(input_fresh=1, output_text=2, source="estimated"))) == "~1+2"


def test_a_json_line_holds_every_field() -> None:
    usage = Usage(input_fresh=10, output_text=4, source="vendor")
    line = json.loads(json_line(record(model="м\u2028", usage=usage, attempts=1), 31.44))
    assert line["model"] == "м\u2028" and line["ms"] == 31.4 and line["at"] == 1_800_000_000.0
    assert (line["tokens_in"], line["tokens_out"], line["usage"]) == (10, 4, "vendor")
    assert line["client"] == "local" and line["status"] == 200


async def test_a_terminal_that_fails_fails_no_request() -> None:
    out = io.StringIO()
    out.close()
    lines = RequestLines(out, as_json=False)
    lines.add(record(), 1.0)
    lines.flush()
    assert lines.dropped == 1


async def test_lines_that_wait_are_bounded() -> None:
    lines = RequestLines(out := io.StringIO(), as_json=False)
    for number in range(PENDING_LIMIT + 5):
        lines.add(record(model=f"m{number}"), 1.0)
    lines.flush()
    assert lines.dropped == 5
    printed = out.getvalue().splitlines()
    assert len(printed) == PENDING_LIMIT and " m5 " in printed[0]


@pytest.mark.incident(26)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_one_line_for_each_request(tmp_path: Path, form: str) -> None:
    """Through the server: models and paths from hostile clients."""
    world = make_world({"ROTATOR_LOG": form}, tmp_path)
    paths = ["/%0d%0aforged", "/%1b[2J", "/%E2%80%A8", "/a%00", "/%C2%85", "/ok"]
    async with serving(world) as proxy:
        for path in paths:
            await ask(proxy.url, "GET", path)
        for control in CONTROLS:
            await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat(f"demo/a{control}forged"))
        await ask(proxy.url, "POST", "/v1/chat/completions", {}, chat("demo/text"))
        proxy.core.lines.flush()
        printed = proxy.lines.getvalue()
    lines = printed.removesuffix("\n").split("\n")
    assert len(printed.splitlines()) == len(lines) == len(paths) + len(CONTROLS) + 1
    assert printed.replace("\n", "").isprintable()
    assert "local" in lines[-1] and "demo/text" in lines[-1]
    if form == "json":
        told = [json.loads(line) for line in lines]
        assert told[0]["path"] == "/\r\nforged"
        assert (told[-1]["provider"], told[-1]["status"], told[-1]["lane"]) == ("demo", 200, "raw")
