"""One line a request, whatever a client puts into it."""

import asyncio
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import pytest

from rotator.exchange.record import RequestRecord, Way
from rotator.neutral.usage import Usage
from rotator.server.lines import PENDING_LIMIT, RequestLines, json_line, printable, text_line, tokens
from tests.asking import HANG_SECONDS, ask, chat, parsed, request, until
from tests.cli.running import environment
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


def full(writing: int) -> bool:
    """Whether a pipe takes nothing more."""
    return not select.select([], [writing], [], 0)[1]


@contextmanager
def unread() -> Iterator[tuple[TextIO, TextIO]]:
    """Both ends of a pipe; what is in it is read when the block ends, so that no writer stays blocked."""
    reading, writing = os.pipe()
    with open(reading) as far, open(writing, "w") as out:
        try:
            yield far, out
        finally:
            os.set_blocking(reading, False)


async def test_a_terminal_that_nobody_reads_holds_nothing_up() -> None:
    with unread() as (far, out):
        lines = RequestLines(out, as_json=True)
        for number in range(2_000):
            lines.add(record(model=f"m{number}"), 1.0)
        await until(lambda: full(out.fileno()))  # the loop goes on
        for _ in range(5):
            lines.add(record(model="late"), 1.0)
        lines.flush()
        assert lines.dropped == 2_005  # as far as anybody could know then
        models = [json.loads(far.readline())["model"] for _ in range(2_000)]
        assert models == [f"m{number}" for number in range(2_000)]  # who reads again misses none of these
        lines.flush()
        assert json.loads(far.readline())["model"] == "late"


async def test_lines_beyond_the_limit_are_counted_while_nobody_reads() -> None:
    with unread() as (far, out):
        lines = RequestLines(out, as_json=True)
        for _ in range(2_000):
            lines.add(record(), 1.0)
        await until(lambda: full(out.fileno()))
        for _ in range(PENDING_LIMIT + 7):
            lines.add(record(), 1.0)
        assert lines.dropped == 7
        lines.flush()
        assert lines.dropped == PENDING_LIMIT + 7 + 2_000  # those in flight too
        for _ in range(2_000):
            far.readline()


async def test_a_batch_that_is_stuck_at_the_end_is_told() -> None:
    with unread() as (far, out):
        lines = RequestLines(out, as_json=True)
        for _ in range(2_000):
            lines.add(record(), 1.0)
        lines.flush()
        dropped = lines.dropped
        for _ in range(2_000):
            far.readline()
        assert dropped > 0


async def test_a_server_whose_output_nobody_reads_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rotator", "serve", "--port", "0"]
    env = environment({"ROTATOR_LOG": "json"})
    server = await asyncio.to_thread(
        subprocess.Popen, command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with server:
        assert server.stdout is not None and server.stderr is not None
        try:
            told = await asyncio.to_thread(server.stdout.readline)
            place = urlsplit(told.split()[-1].decode())
            body = json.dumps(chat("nowhere/" + "m" * 200)).encode()
            one = request("POST", "/v1/chat/completions", {"connection": "keep-alive"}, body)
            async with asyncio.timeout(HANG_SECONDS):
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
                for _ in range(600):
                    writer.write(one)
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 404")
                    await reader.readexactly(int(parsed(head).headers["content-length"]))
                writer.close()
            server.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(server.wait, HANG_SECONDS) == 0
            assert len(server.stdout.read()) > 60_000  # the pipe was full
            assert b"request lines could not be written" in server.stderr.read()
        finally:
            server.kill()
