"""The way to upstreams, against small servers that answer with whatever bytes a test gives them."""

import asyncio
import gzip
import random
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from rotator.errors import UpstreamFailed
from rotator.neutral.error import ErrorKind
from rotator.neutral.secret import Secret
from rotator.wire.transport import PIECES_A_TURN, Outgoing, Reply, Transport, TransportSettings
from tests.asking import HANG_SECONDS, until

End = Literal["keep", "close", "reset", "hang"]
HEADERS = {"authorization": "Bearer a-key-of-ours", "x-api-key": "a-key-of-ours", "content-type": "application/json",
           "accept-encoding": "identity", "accept": "*/*", "user-agent": "rotator/test"}


@dataclass
class Upstream:
    """Answers the n-th request with the n-th of ``answers`` (the last one again), then does what ``end`` says."""

    answers: list[bytes]
    end: End = "keep"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, found, rest = head.lower().partition(b"content-length: ")
                self.requests.append(head + await reader.readexactly(int(rest.split(b"\r\n")[0]) if found else 0))
                writer.write(self.answers[min(len(self.requests), len(self.answers)) - 1])
                await writer.drain()
                if self.end in ("close", "reset"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()
        if self.end == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        self.open.discard(writer)


@asynccontextmanager
async def upstream(*answers: bytes, end: End = "keep") -> AsyncIterator[Upstream]:
    one = Upstream(list(answers), end)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for writer in tuple(one.open):
            writer.close()
        await until(lambda: not one.open)
        await asyncio.sleep(0)  # what was closed last is closed now


@asynccontextmanager
async def transport(**settings: Any) -> AsyncIterator[Transport]:
    made = Transport(TransportSettings(**settings))
    made.start()
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield made
    finally:
        await made.aclose()


def post(url: str, body: bytes = b"{}", *, streaming: bool = False, path: str = "/v1/x") -> Outgoing:
    return Outgoing("POST", url + path, HEADERS, body, streaming)


def answer(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """An answer with content-length; underscores in header names are hyphens."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def read(reply: Reply, limit_bytes: int = 1 << 30) -> bytes:
    try:
        return await reply.read(limit_bytes)
    finally:
        reply.close()


async def failure(sent: Transport, url: str, *, streaming: bool = False) -> UpstreamFailed:
    """How a request that must fail fails, wherever it does."""
    with pytest.raises(UpstreamFailed) as failed:
        await read(await sent.send(post(url, streaming=streaming)))
    message = str(failed.value)
    assert url not in message and "127.0.0.1" not in message and "key-of-ours" not in message
    return failed.value


async def test_what_is_sent_is_what_was_given() -> None:
    """No header of aiohttp's own but Host and Content-Length; the path is not encoded again."""
    async with upstream(answer(b'{"a":1}')) as vendor, transport() as sent:
        reply = await sent.send(post(vendor.url, b'{"b":2}', path="/v1/models/a%2Fb:x?key=1&z=%20"))
        assert (reply.status, await read(reply)) == (200, b'{"a":1}')
        head, _, body = vendor.requests[0].partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        assert (first, body) == ("POST /v1/models/a%2Fb:x?key=1&z=%20 HTTP/1.1", b'{"b":2}')
        names = {line.split(":")[0].lower(): line.split(": ", 1)[1] for line in lines}
        assert {**HEADERS, "host": vendor.url[7:], "content-length": "7"} == names


async def test_a_large_body_goes_out_whole() -> None:
    """Without a warning: whoever runs the tests of theirs with warnings as errors sees it."""
    body = random.Random(1).randbytes(3_000_000)
    async with upstream(answer()) as vendor, transport() as sent:
        assert await read(await sent.send(post(vendor.url, body))) == b"{}"
        assert vendor.requests[0].endswith(body)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_no_redirect_is_followed(status: str) -> None:
    """Keys and bodies would go to whatever host the vendor names (faults.md 0 item 2)."""
    async with upstream(answer()) as elsewhere, transport() as sent:
        async with upstream(answer(b"gone", status, location=f"{elsewhere.url}/v1/x")) as vendor:
            reply = await sent.send(post(vendor.url))
            assert (reply.status, await read(reply)) == (int(status[:3]), b"gone")
        assert not elsewhere.requests


async def test_no_cookie_is_kept() -> None:
    """A cookie that was set for one key would go out with another (faults.md 0 item 2)."""
    async with upstream(answer(set_cookie="__cf_bm=1; Path=/")) as vendor, transport() as sent:
        for _ in range(3):
            reply = await sent.send(post(vendor.url))
            await read(reply)
        assert reply.header("set-cookie") == "__cf_bm=1; Path=/"
        assert b"cookie" not in b"".join(vendor.requests).lower()


async def test_headers_come_in_lower_case_and_repeated() -> None:
    data = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"
    async with upstream(data) as vendor, transport() as sent:
        reply = await sent.send(post(vendor.url))
        assert [value for name, value in reply.headers if name == "x-a"] == ["1", "2"]
        assert (reply.status, reply.header("retry-after"), reply.header("x-b")) == (429, "3", "")
        assert await read(reply) == b""


async def test_a_header_of_9000_bytes_passes() -> None:
    """Content-Security-Policy and the like; aiohttp's default is 8,190 (faults.md 1, row "legal oddities")."""
    async with upstream(answer(x_policy="p" * 9_000)) as vendor, transport() as sent:
        reply = await sent.send(post(vendor.url))
        assert reply.header("x-policy") == "p" * 9_000 and await read(reply) == b"{}"


async def test_a_header_without_end_is_a_failure() -> None:
    async with upstream(answer(x_policy="p" * 40_000)) as vendor, transport() as sent:
        failed = await failure(sent, vendor.url)
        assert (failed.error.code, failed.stage) == ("bad_http", "sent")


def zipped(data: bytes, coding: str) -> bytes:
    if coding in ("gzip", "x-gzip", "GZIP"):
        return gzip.compress(data, mtime=0)
    packer = zlib.compressobj(wbits=-15 if coding == "raw" else 15)
    return packer.compress(data) + packer.flush()


#: Around the 64 KiB in which the inflater works, of what compresses well and of what does not.
BODIES = [b"", b"x", *(b"\0" * size for size in (65_535, 65_536, 65_537, 65_536 + 258, 131_072, 300_001)),
          random.Random(2).randbytes(65_536), random.Random(3).randbytes(200_000)]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate", "raw"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{len(body)}-{body[:1].hex()}")
async def test_what_came_compressed_all_the_same_is_unpacked(coding: str, body: bytes) -> None:
    """``raw``: deflate without its zlib head, as some servers send it."""
    named = "deflate" if coding == "raw" else coding
    async with upstream(answer(zipped(body, coding), content_encoding=named)) as vendor, transport() as sent:
        assert await read(await sent.send(post(vendor.url))) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
async def test_what_came_compressed_in_the_smallest_pieces(coding: str) -> None:
    data = zipped(b"data: " + b"\0" * 70_000, coding)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding.replace('raw', 'deflate')}\r\n"
    whole = head.encode() + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with upstream(whole) as vendor, transport() as sent:
        assert await read(await sent.send(post(vendor.url, streaming=True))) == b"data: " + b"\0" * 70_000


async def test_a_bomb_is_capped() -> None:
    """128 MiB of zeros in 128 KiB: only as much as is allowed is ever unpacked (faults.md 2 row 20)."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(8)), packer.flush()])
    async with upstream(answer(bomb, content_encoding="gzip")) as vendor:
        async with transport(decoded_limit_bytes=1 << 20) as sent:
            reply = await sent.send(post(vendor.url))
            size = 0
            with pytest.raises(UpstreamFailed) as failed:
                while chunk := await reply.next():
                    assert len(chunk) <= 65_536
                    size += len(chunk)
            reply.close()
            assert size <= 1 << 20 and failed.value.error.code == "too_large"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_unpacking_lets_others_run_in_between(coding: str) -> None:
    """16 MiB in 16 KiB: all has arrived at once, and nothing is waited for (faults.md 2 row 20)."""
    body, turns = bytes(1 << 24), 0
    pieces = len(body) // 65_536
    async with upstream(answer(zipped(body, coding), content_encoding=coding)) as vendor, transport() as sent:
        reply = await sent.send(post(vendor.url))
        reading = asyncio.create_task(read(reply))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(await reading) == len(body)
    assert pieces // PIECES_A_TURN <= turns < pieces


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_the_cap_is_exact(over: int) -> None:
    body = b"\0" * (100_000 + over)
    async with upstream(answer(zipped(body, "gzip"), content_encoding="gzip")) as vendor:
        async with transport(decoded_limit_bytes=100_000) as sent:
            if over <= 0:
                assert await read(await sent.send(post(vendor.url))) == body
            else:
                assert (await failure(sent, vendor.url)).error.code == "too_large"


@pytest.mark.parametrize("cut", [1, 8, 9, 100])
async def test_a_cut_gzip_is_no_whole_answer(cut: int) -> None:
    """aiohttp takes it for one (faults.md 0 item 2)."""
    data = zipped(random.Random(4).randbytes(1_000), "gzip")[:-cut]
    async with upstream(answer(data, content_encoding="gzip")) as vendor, transport() as sent:
        failed = await failure(sent, vendor.url)
        assert (failed.error.code, failed.stage, failed.error.kind) == ("answer_broke", "sent", ErrorKind.BAD_GATEWAY)


@pytest.mark.parametrize("coding, code", [("gzip", "encoding"), ("deflate", "encoding"), ("br", "encoding"),
                                          ("zstd", "encoding"), ("gzip, gzip", "encoding"), ("x" * 300, "encoding")])
async def test_what_cannot_be_unpacked(coding: str, code: str) -> None:
    async with upstream(answer(b"this is not compressed", content_encoding=coding)) as vendor, transport() as sent:
        failed = await failure(sent, vendor.url)
        assert (failed.error.code, failed.stage) == (code, "sent") and len(failed.error.message) < 100


async def test_a_body_beyond_the_limit() -> None:
    async with upstream(answer(b"x" * 100_000), end="hang") as vendor, transport() as sent:
        with pytest.raises(UpstreamFailed) as failed:
            await read(await sent.send(post(vendor.url)), 99_999)
        assert failed.value.error.code == "too_large"
        reply = await sent.send(post(vendor.url))
        assert await reply.read(10, truncate=True) == b"x" * 10
        assert await read(await sent.send(post(vendor.url)), 100_000) == b"x" * 100_000


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with transport() as sent:
        failed = await failure(sent, url)
        assert (failed.error.code, failed.stage, failed.error.kind) == ("connect", "connect", ErrorKind.BAD_GATEWAY)
        assert failed.error.status == 502


async def test_the_other_side_speaks_no_tls() -> None:
    async with upstream(b"HTTP/1.1 400 Bad Request\r\n\r\n", end="close") as vendor, transport() as sent:
        async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(vendor.answers[0])
            writer.close()

        async with await asyncio.start_server(answer_at_once, "127.0.0.1", 0) as plain:
            failed = await failure(sent, f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}")
    assert failed.stage == "connect" and failed.error.kind is ErrorKind.BAD_GATEWAY


async def test_the_outgoing_proxy_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Secret(f"http://user:password-of-proxy@127.0.0.1:{listener.getsockname()[1]}")
    async with transport() as sent:
        request = post("http://192.0.2.1")._replace(proxy=proxy)
        with pytest.raises(UpstreamFailed) as failed:
            await sent.send(request)
    assert (failed.value.error.code, failed.value.stage) == ("proxy", "connect")
    assert "password" not in str(failed.value)


async def test_an_outgoing_proxy_is_asked() -> None:
    async with upstream(answer(b"by way of it")) as proxy, transport() as sent:
        reply = await sent.send(post("http://192.0.2.1")._replace(proxy=Secret(proxy.url)))
        assert await read(reply) == b"by way of it"
        assert proxy.requests[0].startswith(b"POST http://192.0.2.1/v1/x HTTP/1.1\r\n")


BROKEN = {
    "nothing": (b"", "close", "connection_broke"),
    "nothing, reset": (b"", "reset", "connection_broke"),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-le", "close", None),
    "garbage": (b"\x15\x03\x01\x00\x02\x02garbage\r\n\r\n", "close", "bad_http"),
    "another protocol": (b"SSH-2.0-server\r\n", "close", "bad_http"),
    "a status of letters": (b"HTTP/1.1 abc OK\r\n\r\n", "close", "bad_http"),
    "a body that ends early": (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", "close", "answer_broke"),
    "a chunk that ends early": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n12345", "close", "answer_broke"),
    "chunks without their end": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n", "close", "answer_broke"),
    "a bad chunk size": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n12\r\n0\r\n\r\n", "keep", None),
    "a reset in the body": (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", "reset", None),
    "an old body that ends early": (b"HTTP/1.0 200 OK\r\ncontent-length: 10\r\n\r\n12345", "close", "answer_broke"),
    "hints and no answer": (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", "close", "connection_broke"),
    "an informational end": (b"HTTP/1.1 199 Odd\r\ncontent-length: 2\r\n\r\n{}", "close", "connection_broke"),
    "a status of two digits": (b"HTTP/1.1 99 Odd\r\ncontent-length: 2\r\n\r\n{}", "keep", "bad_http"),
    "a status of four digits": (b"HTTP/1.1 1000 Odd\r\ncontent-length: 2\r\n\r\n{}", "keep", "bad_http"),
    "a status line without end": (b"HTTP/1.1 200 " + b"r" * 40_000, "keep", "bad_http"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * 100_000, "close", None),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\nx-a\r\ncontent-length: 2\r\n\r\n{}", "keep", "bad_http"),
    "two lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", "keep", "bad_http"),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "keep", "bad_http"),
    "no length": (b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}", "keep", "bad_http"),
    "more than the length": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{}", "keep", "bad_http"),
    **{f"chunk size {size!r}": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%b\r\n{}\r\n0\r\n\r\n" % size, "keep", "bad_http")
       for size in (b"zz", b"-2", b"0x2", b"", b"1", b"f" * 17)},
}


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("what", BROKEN)
async def test_what_breaks_is_told(what: str, streaming: bool) -> None:
    """As the road's failure after sending: another key may be tried, nothing of it reaches the client."""
    data, end, code = BROKEN[what]
    async with upstream(data, end=end) as vendor, transport() as sent:  # type: ignore[arg-type]
        failed = await failure(sent, vendor.url, streaming=streaming)
    assert failed.stage == "sent" and failed.error.kind is ErrorKind.BAD_GATEWAY
    assert failed.error.code in ({code} if code else {"connection_broke", "answer_broke", "bad_http"})


WHOLE = {
    "an old one, to the end of its connection": (b"HTTP/1.0 200 OK\r\n\r\n{}", "close"),
    "an old one with a length": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", "hang"),
    "one to the end of its connection": (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "close"),
    "the last one of its connection": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", "hang"),
    "one with trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nx-a: 1\r\n\r\n", "hang"),
    "one without a reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}", "hang"),
    "one with bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}", "hang"),
    "one with hints before it": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3
        + b"HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "hang"),
}


@pytest.mark.parametrize("what", WHOLE)
async def test_what_is_odd_but_whole(what: str) -> None:
    """faults.md 1, row "legal oddities"."""
    data, end = WHOLE[what]
    async with upstream(data, end=end) as vendor, transport() as sent:  # type: ignore[arg-type]
        for _ in range(2):
            reply = await sent.send(post(vendor.url))
            assert (reply.status, await read(reply), reply.reconnected) == (200, b"{}", False)
        assert vendor.connections == (2 if "connection" in what or "old" in what else 1)


@pytest.mark.parametrize("data, end", [
    (b"content-length: 10\r\n\r\n12345", "close"), (b"content-length: 10\r\n\r\n12345", "reset"),
    (b"content-length: 10\r\n\r\n12345", "hang"),
])
async def test_an_error_whose_text_breaks_off_is_still_that_error(data: bytes, end: End) -> None:
    """Its status says what to do; the text is for people."""
    async with upstream(b"HTTP/1.1 429 Slow\r\nretry-after: 3\r\n" + data, end=end) as vendor:
        async with transport(read_seconds=0.02) as sent:
            reply = await sent.send(post(vendor.url))
            text = await reply.read(100, truncate=True)
            assert (reply.status, reply.header("retry-after")) == (429, "3") and b"12345".startswith(text)
            await until(lambda: not vendor.open)
            reply.close()


@pytest.mark.parametrize("streaming", [True, False])
async def test_silence_inside_an_answer(streaming: bool) -> None:
    quick = {"read_streaming_seconds": 0.02} if streaming else {"read_seconds": 0.02}
    async with upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", end="hang") as vendor:
        async with transport(**quick) as sent:
            failed = await failure(sent, vendor.url, streaming=streaming)
            assert (failed.error.code, failed.stage) == ("read_timeout", "sent")
            assert failed.error.kind is ErrorKind.UPSTREAM_TIMEOUT
            await vendor.closed.wait()


async def test_a_finished_answer_gives_its_connection_back() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    packed = answer(zipped(b"{}", "gzip"), content_encoding="gzip")
    async with upstream(answer(), chunked, packed, answer(b"no", "429 Slow"), answer()) as vendor:
        async with transport() as sent:
            for expected in (b"{}", b"{}", b"{}", b"no", b"{}"):
                assert await read(await sent.send(post(vendor.url))) == expected
            assert (vendor.connections, len(vendor.requests)) == (1, 5)


async def test_an_unfinished_answer_gives_none_back() -> None:
    async with upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345") as vendor, transport() as sent:
        reply = await sent.send(post(vendor.url))
        assert await reply.next() == b"12345" and not reply.at_end
        reply.close()
        reply.close()
        await vendor.closed.wait()
        vendor.answers.append(answer())
        assert await read(await sent.send(post(vendor.url))) == b"{}"
        assert vendor.connections == 2


async def test_the_end_of_an_answer_is_waited_for_a_little() -> None:
    """A stream that has said [DONE] but not yet its last chunk: its connection lives on, if the end comes."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"
    async with transport() as sent:
        async with upstream(head + b"0\r\n\r\n") as vendor:
            for _ in range(2):
                reply = await sent.send(post(vendor.url, streaming=True))
                assert await reply.next() == b"{}"
                await reply.drain(HANG_SECONDS)
            assert vendor.connections == 1
        async with upstream(head) as vendor:
            reply = await sent.send(post(vendor.url, streaming=True))
            assert await reply.next() == b"{}"
            await reply.drain(0.01)
            await vendor.closed.wait()


async def test_many_at_once_do_not_wait_for_each_other() -> None:
    """aiohttp's own limit is 100 connections (faults.md 0 item 2)."""
    async with upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", end="hang") as vendor:
        async with transport() as sent:
            replies = await asyncio.gather(*(sent.send(post(vendor.url, streaming=True)) for _ in range(150)))
            assert vendor.connections == 150
            for reply in replies:
                reply.close()


async def test_before_and_after_its_life_nothing_is_sent() -> None:
    sent = Transport(TransportSettings())
    await sent.aclose()
    for _ in range(2):
        with pytest.raises(UpstreamFailed) as failed:
            await sent.send(post("http://127.0.0.1:9"))
        assert (failed.value.error.code, failed.value.stage) == ("shutting_down", "connect")
        sent.start()
        await sent.aclose()
