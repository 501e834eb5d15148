"""A vendor that fails on purpose: the faults of faults.md 1, by their names, as functions that write exact bytes."""

from __future__ import annotations

import asyncio
import gzip as gzip_format
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.wire import DELTA, JSON_TYPE, Fault, Wire, chunk, head, on_accept
from tests.upstreams import BEFORE_VISIBLE, FRAMES, UNTIL_FINISH


async def well(wire: Wire) -> None:
    """No fault: what was asked for, at once."""
    await wire.answer(wire.good, content_type=wire.kind)


def status(code: int, body: bytes | None = None, **headers: Any) -> Fault:
    """An error of the vendor's, whole; without a body its own envelope."""

    async def fault(wire: Wire) -> None:
        await wire.answer(envelope(wire.protocol) if body is None else body, code, **headers)

    return fault


def envelope(protocol: str, message: str = "No", **more: Any) -> bytes:
    """An error as the vendor of a protocol writes it, with a type that nobody knows."""
    error = {"type": "odd_error", "message": message, **more}
    return json.dumps({"type": "error", "error": error} if protocol == "messages" else {"error": error}).encode()


def sends(make: Callable[[str], Sequence[bytes]]) -> Fault:
    """A whole body in pieces, made for the protocol that was asked for."""

    async def fault(wire: Wire) -> None:
        await wire.pieces(make(wire.protocol))

    return fault


# No connection.


@on_accept
async def reset_on_accept(wire: Wire) -> None:
    wire.reset()


@on_accept
async def close_on_accept(wire: Wire) -> None:
    """Returning closes."""


# TLS that does not come about.


@on_accept
async def tls_plaintext(wire: Wire) -> None:
    wire.vendor.heard += await wire.reader.readexactly(1)
    await wire.answer(b"<html>garbage</html>", 400)


@on_accept
async def tls_midclose(wire: Wire) -> None:
    """Away in the middle of the handshake."""
    wire.vendor.heard += await wire.reader.readexactly(1)
    await wire.reader.read(4)


# Silent.


async def hang(wire: Wire) -> None:
    await wire.hang()


@on_accept
async def accept_hang(wire: Wire) -> None:
    await wire.hang()


async def hang_headers(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    await wire.hang()


async def slow_headers(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await wire.send(b"x-more: 1\r\n")
        await asyncio.sleep(0.005)


async def stall_body(wire: Wire) -> None:
    await wire.send(head(200, content_type=wire.kind, content_length=1_000) + wire.good[:40])
    await wire.hang()


# Broken HTTP.


async def close(wire: Wire) -> None:
    """Returning closes."""


async def reset(wire: Wire) -> None:
    wire.reset()


async def garbage(wire: Wire) -> None:
    await wire.send(b"\x15\x03\x01\x00\x02\x02<html>garbage</html>\r\n\r\n")


@on_accept
async def banner_garbage(wire: Wire) -> None:
    await wire.send(b"SSH-2.0-garbage\r\n")


async def bad_status(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 abc garbage\r\ncontent-length: 2\r\n\r\n{}")


async def huge_headers(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nx-garbage: " + b"y" * 100_000)
    await wire.hang()


async def bad_chunk(wire: Wire) -> None:
    await wire.open()
    await wire.send(b"zz\r\n" + wire.good)
    await wire.hang()


async def bad_second_chunk(wire: Wire) -> None:
    await wire.open()
    await wire.send(chunk(wire.good[:20]))
    await wire.alone()
    await wire.send(b"zz\r\n" + wire.good[20:])
    await wire.hang()


# Legal oddities.


async def http10(wire: Wire) -> None:
    await wire.send(b"HTTP/1.0 200 OK\r\ncontent-type: %b\r\n\r\n" % wire.kind.encode() + wire.good)


async def early_hints(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n")
    await well(wire)


async def close_delim(wire: Wire) -> None:
    await wire.send(head(200, content_type=wire.kind, connection="close") + wire.good)


async def gzip(wire: Wire) -> None:
    await wire.answer(gzip_format.compress(wire.good), content_type=wire.kind, content_encoding="gzip")


async def gzip_stream(wire: Wire) -> None:
    """Each piece can be read when it comes."""
    packer = zlib.compressobj(wbits=31)
    parts = FRAMES[wire.protocol] if wire.streaming else (wire.good[:9], wire.good[9:])
    packed = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    await wire.pieces([*packed, packer.flush()], content_encoding="gzip")


async def header_inject(wire: Wire) -> None:
    await wire.answer(wire.good, content_type=wire.kind, content_security_policy="p" * 9_000)


async def ct_none(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(wire.good) + wire.good)
    wire.kept = True


# Early answer.


async def early_413(wire: Wire) -> None:
    """The answer comes before the request's body is read; what follows is read away, as polite servers do."""
    await wire.send(head(413, content_type=JSON_TYPE, content_length=2, connection="close") + b"{}")
    await wire.hang()


async def early_413_deaf(wire: Wire) -> None:
    """The same, and nothing is read until the client has its answer."""
    await wire.send(head(413, content_type=JSON_TYPE, content_length=2) + b"{}")
    await wire.vendor.seen.wait()
    await wire.hang()


# Bad bodies.


async def trunc_cl(wire: Wire) -> None:
    await wire.send(head(200, content_type=wire.kind, content_length=1_000) + wire.good[:40])


async def trunc_cl_rst(wire: Wire) -> None:
    await trunc_cl(wire)
    wire.reset()


def body(data: bytes, **headers: Any) -> Fault:
    """These bytes, whatever was asked for."""

    async def fault(wire: Wire) -> None:
        await wire.answer(data, **{"content_type": wire.kind, **headers})

    return fault


async def gzip_corrupt(wire: Wire) -> None:
    data = bytearray(gzip_format.compress(wire.good, mtime=0))
    data[12:40] = bytes(byte ^ 0xFF for byte in data[12:40])
    await wire.answer(bytes(data), content_type=wire.kind, content_encoding="gzip")


async def gzip_trunc(wire: Wire) -> None:
    """Its length is right; only gzip itself knows that something is missing."""
    data = gzip_format.compress(wire.good, mtime=0)
    await wire.answer(data[:40], content_type=wire.kind, content_encoding="gzip")


async def trunc_500(wire: Wire) -> None:
    await wire.send(head(500, content_type=JSON_TYPE, content_length=1_000) + b'{"error":{"mess')


# A stream that dies when the client has begun to see it.


async def stall(wire: Wire) -> None:
    await wire.begin()
    await wire.hang()


async def cut(wire: Wire) -> None:
    await wire.begin()


async def rst(wire: Wire) -> None:
    await wire.begin()
    wire.reset()


async def cut_clean(wire: Wire) -> None:
    await wire.begin()
    await wire.send(chunk(b""))


async def mid_event(wire: Wire) -> None:
    await wire.begin()
    await wire.send(chunk(DELTA[wire.protocol][:60]))


async def mid_event_clean(wire: Wire) -> None:
    await mid_event(wire)
    await wire.send(chunk(b""))


async def no_finish(wire: Wire) -> None:
    """All that was to be said, and no word on why it ended."""
    await wire.begin()
    between = FRAMES[wire.protocol][BEFORE_VISIBLE[wire.protocol] + 1 : UNTIL_FINISH[wire.protocol] - 1]
    await wire.send(chunk(b"".join(between)) + chunk(b""))


async def ping_only(wire: Wire) -> None:
    await wire.begin()
    while True:
        await wire.send(chunk(b": ping\n\n"))
        await asyncio.sleep(0.005)


async def bad_chunk_later(wire: Wire) -> None:
    await wire.begin()
    await wire.send(b"zz\r\n" + DELTA[wire.protocol])
    await wire.hang()
