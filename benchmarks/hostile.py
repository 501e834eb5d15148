"""``hostile``: how long an 8 MiB error body of a vendor holds up everybody else (faults.md 0 item 5).

The proxy is a process of its own with a full trace; here are the vendor, the client that provokes it, and the clients
that only ask for ``/health`` one after the other. Their longest waits are told beside those of a calm time.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import uvloop

from benchmarks.processes import Command, Cores, Server, free_port
from benchmarks.table import render

BODY_BYTES = 8 * 1024 * 1024
SECONDS = 2.0
GOAL_MS = 100.0
#: What makes a careless pattern slow: beginnings of keys, of masks, of escapes, of base64, of tokens in headers.
_BAITS = {
    "key beginnings": b"sk-ant-api03-" * 5,
    "mask": b"sk-a*" + b"*" * 40 + b"a.",
    "percent": b"%2541%41%" * 8,
    "json escapes": b"\\\\\\\\u0041\\\\/" * 6,
    "base64": b"QUFBQUFBQUFBQUFBQUFB" * 4,
    "bearer": b"authorization: bearer bearer key=key=key=" * 2,
    "pem": b"-----BEGIN PRIVATE KEY-----" * 3,
    "jwt": b"eyJhbGciOiJIUzI1NiJ9.eyJ" * 3,
    "one word": b"a" * 64,
    "deep": b"[{",
}


def _bodies() -> dict[str, bytes]:
    plain = {name: bait * (BODY_BYTES // len(bait)) for name, bait in _BAITS.items()}
    return {name: b'{"error":{"message":"' + body + b'"}}' if name != "deep" else body for name, body in plain.items()}


async def _vendor(body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        kind = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(kind + b"content-length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the proxy reads no more than it wants
    finally:
        writer.close()


async def _longest_ms(session: aiohttp.ClientSession, url: str, seconds: float) -> float:
    """The longest wait for ``/health``, asked again and again."""
    longest, ends = 0.0, time.perf_counter() + seconds
    while (begun := time.perf_counter()) < ends:
        async with session.get(f"{url}/health") as reply:
            await reply.read()
        longest = max(longest, time.perf_counter() - begun)
    return longest * 1_000


async def _provoke(session: aiohttp.ClientSession, url: str, seconds: float) -> int:
    """How often the body was called for; every answer must be the vendor's 400, in few bytes."""
    body = {"model": "hostile/m", "messages": [{"role": "user", "content": "hi"}]}
    times, ends = 0, time.perf_counter() + seconds
    while time.perf_counter() < ends:
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            if reply.status != 400 or len(await reply.read()) > 128 * 1024:
                return 0
        times += 1
    return times


async def _measure(url: str, seconds: float) -> tuple[float, int]:
    async with aiohttp.ClientSession() as session:
        longest, times = await asyncio.gather(_longest_ms(session, url, seconds), _provoke(session, url, seconds))
        return longest, times


async def _rows(seconds: float, folder: Path) -> list[list[str]]:
    current = b""
    vendor = await asyncio.start_server(lambda r, w: _vendor(current, r, w), "127.0.0.1", 0)
    base = f"http://127.0.0.1:{vendor.sockets[0].getsockname()[1]}/v1"
    (folder / "bench.env").write_text(f"HOSTILE_API_BASE={base}\nHOSTILE_API_KEY=sk-hostile-benchmark-key\n")
    port = free_port()
    flags = ("--port", str(port), "--env-file", str(folder / "bench.env"), "--state", str(folder), "--trace", "full")
    rows = []
    with Server(Command("rotator", ("rotator", "serve", *flags), port), folder, Cores.split()) as server:
        server.wait_ready()
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            calm = await _longest_ms(session, url, seconds)
        for name, current in _bodies().items():  # noqa: B007  (the vendor reads it)
            longest, times = await _measure(url, seconds)
            verdict = "met" if longest < GOAL_MS else "MISSED"
            rows.append([name, str(times), f"{calm:.1f}", f"{longest:.1f}", verdict if times else "WRONG ANSWERS"])
    vendor.close()
    return rows


def run(seconds: float) -> bool:
    """Print the table; whether all answers were right."""
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        rows = uvloop.run(_rows(seconds, Path(folder)))
    head = ["8 MiB error body of", "times", "longest ms, calm", "meanwhile", f"< {GOAL_MS:g} ms"]
    print(render(head, rows))
    return not any(row[-1].startswith("WRONG") for row in rows)
