"""Connections that had gone stale, and answers that came early, against servers that end them in every way.

Whatever of this fails after an update of aiohttp: what ``rotator/wire/connector.py`` leans on has changed.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from rotator.errors import UpstreamFailed
from rotator.neutral.secret import Secret
from rotator.wire.connector import StaleConnection, connector
from rotator.wire.transport import Outgoing, Reply, Transport, TransportSettings
from tests.asking import HANG_SECONDS, until
from tests.upstreams import FRAMES, PROVIDERS, WHOLE, House, dwelling, house

__all__ = ["dwelling", "house"]

HEADERS = {"authorization": "Bearer a-key-of-ours", "content-type": "application/json",
           "accept-encoding": "identity", "accept": "*/*", "user-agent": "rotator/test"}
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSAL = b'{"error":{"message":"too large","type":"invalid_request_error"}}'
EARLY = b"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: 64\r\n\r\n" + REFUSAL
#: Beyond LARGE_BODY_BYTES, and more than a socket takes at once.
LARGE = random.Random(5).randbytes(3_000_000)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an end."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


class Upstream:
    """Asks ``act`` at the first byte of every request what to do, by number of connection and of request on it.

    ``answer``: read and answer. ``answer, close``: then close. ``read, close``, ``read, reset``: read and answer
    nothing. ``reset``: read nothing. ``hang``: read and wait. Other bytes go out as they are before a close.
    """

    def __init__(self, act: Callable[[int, int], str | bytes]) -> None:
        self.act = act
        self.answer = ANSWER
        self.connections = 0
        self.seen: list[tuple[int, bytes]] = []
        self.open: dict[int, asyncio.StreamWriter] = {}
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open[number] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            for turn in itertools.count(1):
                first = await reader.readexactly(1)
                act = self.act(number, turn)
                if act == "reset":
                    reset(writer)
                    break
                head = first + await reader.readuntil(b"\r\n\r\n")
                _, found, rest = head.lower().partition(b"content-length: ")
                body = await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""
                self.seen.append((number, body))
                if act == "hang":
                    await reader.read()
                elif act == "read, reset":
                    reset(writer)
                elif act in ("answer", "answer, close"):
                    writer.write(self.answer)
                elif isinstance(act, bytes):
                    writer.write(act)
                if act != "answer":
                    break
        writer.close()
        del self.open[number]


@asynccontextmanager
async def upstream(act: Callable[[int, int], str | bytes]) -> AsyncIterator[Upstream]:
    one = Upstream(act)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for writer in tuple(one.open.values()):
            writer.close()
        await until(lambda: not one.open)
        await asyncio.sleep(0)


@asynccontextmanager
async def transport() -> AsyncIterator[Transport]:
    made = Transport(TransportSettings())
    made.start()
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield made
    finally:
        await made.aclose()


def post(url: str, body: bytes = b"{}") -> Outgoing:
    return Outgoing("POST", f"{url}/v1/x", HEADERS, body, False)


async def ask(sent: Transport, request: Outgoing) -> Reply:
    """Send and read to the end."""
    reply = await sent.send(request)
    try:
        assert await reply.read(1 << 20) in (b"{}", REFUSAL)
    finally:
        reply.close()
    return reply


def second(act: str | bytes) -> Callable[[int, int], str | bytes]:
    """The first connection is good for one request; what comes next on it is ``act``."""
    return lambda connection, turn: act if (connection, turn) == (1, 2) else "answer"


STALE = ["reset", "read, reset", "read, close"]


@pytest.mark.parametrize("body", [b'{"b":2}', LARGE, b""], ids=["small", "large", "empty"])
@pytest.mark.parametrize("how", STALE)
async def test_a_stale_connection_is_not_noticed(how: str, body: bytes) -> None:
    """faults.md 1, row "stale keep-alive": once more, on a fresh connection, every byte again."""
    async with upstream(second(how)) as vendor, transport() as sent:
        replies = [await ask(sent, post(vendor.url, one)) for one in (b"first", body, b"last")]
        assert [(one.status, one.reconnected) for one in replies] == [(200, False), (200, True), (200, False)]
        unseen = [] if how == "reset" else [(1, body)]
        assert vendor.seen == [(1, b"first"), *unseen, (2, body), (3, b"last")]


async def test_a_stale_connection_of_a_get() -> None:
    """aiohttp repeats a GET itself, on whatever connection it finds, also after a fresh one; here it does not."""
    async with upstream(second("read, close")) as vendor, transport() as sent:
        request = Outgoing("GET", f"{vendor.url}/v1/models", HEADERS, None, False)
        assert [(await ask(sent, request)).reconnected for _ in range(2)] == [False, True]
        assert vendor.seen == [(1, b""), (1, b""), (2, b"")]


async def test_a_stale_connection_to_the_outgoing_proxy() -> None:
    async with upstream(second("read, close")) as proxy, transport() as sent:
        for body, reconnected in ((b"first", False), (LARGE, True)):
            reply = await ask(sent, post("http://192.0.2.1", body)._replace(proxy=Secret(proxy.url)))
            assert reply.reconnected is reconnected
        assert proxy.seen == [(1, b"first"), (1, LARGE), (2, LARGE)]


async def test_a_connection_closed_in_the_very_moment() -> None:
    """Its end is on the way while the next request goes out."""
    async with upstream(second("read, close")) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        with vendor.open[1].get_extra_info("socket").dup() as twin:
            twin.shutdown(socket.SHUT_WR)
        assert (await ask(sent, post(vendor.url))).reconnected
        assert vendor.seen[-1] == (2, b"{}")


async def test_a_connection_known_to_be_closed_is_not_used() -> None:
    async with upstream(lambda connection, turn: "answer, close") as vendor, transport() as sent:
        for number in (1, 2):
            assert not (await ask(sent, post(vendor.url))).reconnected
            await until(lambda: not vendor.open)
            await asyncio.sleep(0.01)  # its end has arrived
            assert vendor.connections == number


async def test_a_connection_that_spoke_unasked_is_not_used() -> None:
    """Else the next request, maybe somebody else's, would be answered with what it said."""
    async with upstream(lambda connection, turn: "answer") as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        vendor.open[1].write(EARLY)
        await asyncio.sleep(0.01)  # it has arrived
        reply = await ask(sent, post(vendor.url))
        assert (reply.status, reply.reconnected) == (200, False)
        assert vendor.seen == [(1, b"{}"), (2, b"{}")]


async def test_the_other_kept_ones_are_not_trusted_either() -> None:
    """A restart leaves them all stale.  The fresh one is closed after its answer."""
    async with upstream(lambda connection, turn: "answer" if turn == 1 else "reset") as vendor, transport() as sent:
        await asyncio.gather(*(ask(sent, post(vendor.url)) for _ in range(3)))
        assert (await ask(sent, post(vendor.url))).reconnected
        assert vendor.connections == 4 and vendor.seen[3:] == [(4, b"{}")]
        await until(lambda: len(vendor.open) == 2)


async def test_many_stale_connections_at_once() -> None:
    bodies = [b'{"n":%d}' % number for number in range(50)]
    async with upstream(lambda connection, turn: "answer" if turn == 1 else "read, reset") as vendor:
        async with transport() as sent:
            await asyncio.gather(*(ask(sent, post(vendor.url)) for _ in bodies))
            assert vendor.connections == 50
            replies = await asyncio.gather(*(ask(sent, post(vendor.url, body)) for body in bodies))
            assert all(reply.status == 200 and reply.reconnected for reply in replies)
            assert sorted(body for number, body in vendor.seen if number > 50) == sorted(bodies)
            assert vendor.connections == 100


@pytest.mark.parametrize("how", STALE)
async def test_it_is_tried_once(how: str) -> None:
    async with upstream(lambda connection, turn: "answer" if (connection, turn) == (1, 1) else how) as vendor:
        async with transport() as sent:
            await ask(sent, post(vendor.url))
            with pytest.raises(UpstreamFailed) as failed:
                await sent.send(post(vendor.url))
            assert (failed.value.error.code, failed.value.stage) == ("connection_broke", "sent")
            assert vendor.connections == 2
            await until(lambda: not vendor.open)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("how", STALE)
async def test_a_fresh_connection_that_breaks_is_a_failure(how: str, method: str) -> None:
    """It says something about the upstream, and the attempts are the caller's to count."""
    async with upstream(lambda connection, turn: how) as vendor, transport() as sent:
        with pytest.raises(UpstreamFailed) as failed:
            await sent.send(post(vendor.url)._replace(method=method))
        assert (failed.value.error.code, vendor.connections) == ("connection_broke", 1)


@pytest.mark.parametrize("begun", [
    b"H", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"\r\n", b"garbage\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{}",
])
async def test_an_answer_that_had_begun_is_not_asked_for_again(begun: bytes) -> None:
    async with upstream(second(begun)) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        with pytest.raises(UpstreamFailed) as failed:
            await ask(sent, post(vendor.url))
        assert failed.value.error.code in ("connection_broke", "bad_http", "answer_broke")
        assert vendor.seen == [(1, b"{}"), (1, b"{}")]


async def test_silence_is_not_staleness() -> None:
    async with upstream(second("hang")) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await sent.send(post(vendor.url))
        await until(lambda: not vendor.open)
        assert vendor.connections == 1


async def test_a_cancelled_second_sending_leaves_nothing() -> None:
    acts = {(1, 1): "answer", (1, 2): "read, close", (2, 1): "hang"}
    async with upstream(lambda connection, turn: acts[connection, turn]) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        task = asyncio.create_task(sent.send(post(vendor.url, LARGE)))
        await until(lambda: (2, LARGE) in vendor.seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not vendor.open)
        assert vendor.connections == 2


async def test_at_the_end_of_its_life_nothing_is_sent_again() -> None:
    async with upstream(second("hang")) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        task = asyncio.create_task(sent.send(post(vendor.url)))
        await until(lambda: len(vendor.seen) == 2)
        await sent.aclose()
        with pytest.raises(UpstreamFailed):
            await task
        assert vendor.connections == 1


@pytest.mark.parametrize("error, stale", [
    (aiohttp.ServerDisconnectedError(), True),
    (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), True),
    (aiohttp.ClientOSError(errno.EPIPE, "broken pipe"), True),
    (aiohttp.ClientOSError(None, "cannot write to closing transport"), True),
    (aiohttp.ClientOSError(errno.ETIMEDOUT, "timed out"), False),
    (aiohttp.ClientOSError(errno.EHOSTUNREACH, "no route"), False),
    (aiohttp.ClientOSError(ssl.SSL_ERROR_SSL, "bad record"), False),
    (aiohttp.SocketTimeoutError("silent"), False),
    (aiohttp.ClientConnectionError("failed to send"), False),
    (aiohttp.http_exceptions.HttpProcessingError(message="garbage"), False),
], ids=lambda value: value if isinstance(value, bool) else str(value)[:20])
async def test_what_counts_as_stale(error: Exception, stale: bool) -> None:
    async with aiohttp.ClientSession(connector=connector()) as session:
        for kept, heard in itertools.product((True, False), repeat=2):
            line: Any = session.connector._factory()  # type: ignore[union-attr]
            line.kept, line.heard = kept, heard
            line.set_exception(error)
            assert isinstance(line.exception(), StaleConnection) == (stale and kept and not heard)


async def test_the_installed_aiohttp_has_what_this_leans_on() -> None:
    """Each name's loss turns the feature, or the guard against unasked answers, off."""
    async with aiohttp.ClientSession(connector=connector()) as session:
        assert session._retry_connection is True
        assert session.connector is not None
        line = session.connector._factory()
        assert type(line).__name__ == "Line" and isinstance(line, ResponseHandler)
        assert {"set_response_params", "set_exception", "is_connected", "should_close"} <= set(dir(ResponseHandler))


async def test_without_it_nothing_is_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an aiohttp that makes its connections in another way."""
    monkeypatch.setattr("aiohttp.connector.ResponseHandler", lambda *, loop: ResponseHandler(loop))
    async with upstream(second("read, close")) as vendor, transport() as sent:
        await ask(sent, post(vendor.url))
        with pytest.raises(UpstreamFailed) as failed:
            await sent.send(post(vendor.url))
        assert (failed.value.error.code, vendor.connections) == ("connection_broke", 1)
        assert not isinstance(failed.value.__cause__, StaleConnection)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("bad", [b"zz\r\n12\r\n0\r\n\r\n", b"-2\r\n{}\r\n", b"1\r\n22\r\n", b"\r\n"])
async def test_a_bad_chunk_that_comes_later_is_noticed_at_once(bad: bytes, keeps: bool) -> None:
    """aiohttp itself leaves the reader waiting, even if the upstream closes."""
    begun = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n")
        await begun.wait()
        writer.write(bad)
        if keeps:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, transport() as sent:
        reply = await sent.send(post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        assert await reply.next() == b"12345"
        begun.set()
        with pytest.raises(UpstreamFailed) as failed:
            while await reply.next():
                pass  # what was good of the bad chunk
        assert (failed.value.error.code, failed.value.stage) == ("answer_broke", "sent")
        reply.close()


@asynccontextmanager
async def rude(after_pieces: int) -> AsyncIterator[tuple[str, Callable[[], Any]]]:
    """A server that takes so many pieces of a request, one each turn of the loop, then answers 413 and closes.

    All in one go: what it sends arrives between two callbacks of the loop, and the reset on its heels.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        async def serve() -> None:
            taken, _ = await asyncio.get_running_loop().sock_accept(listener)
            with taken:
                for _ in range(after_pieces):
                    with suppress(BlockingIOError):
                        taken.recv(65_536)
                    await asyncio.sleep(0)
                taken.send(EARLY)

        yield f"http://127.0.0.1:{listener.getsockname()[1]}", serve


@pytest.mark.parametrize("after_pieces", range(1, 21))
async def test_an_early_answer_outlives_the_reset_behind_it(after_pieces: int) -> None:
    """Writing fails before the answer is read (faults.md 1, row "early answer")."""
    async with rude(after_pieces) as (url, serve), transport() as sent:
        served = asyncio.create_task(serve())
        reply = await ask(sent, post(url, LARGE))
        assert reply.status == 413
        await served


@pytest.mark.parametrize("how", ["answer", "close"])
async def test_an_early_answer_to_30_megabytes(how: str) -> None:
    """The rest of the body is not sent, the connection not used again."""
    taken: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EARLY)
        size = 0
        with suppress(ConnectionError):
            while how == "answer" and (piece := await reader.read(65_536)):
                size += len(piece)
        taken.append(size)
        writer.close()

    body = LARGE * 10
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, transport() as sent:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for number in (1, 2):
            reply = await ask(sent, post(url, body))
            assert (reply.status, reply.reconnected) == (413, False)
            await until(lambda expected=number: len(taken) == expected)
        assert max(taken) < len(body)


def answer(kind: str, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind.encode(), len(body), body)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROVIDERS)
async def test_through_the_proxy_nobody_sees_it(house: House, protocol: str, stream: bool) -> None:
    """One attempt, one key, and no other request pays for it."""
    async with upstream(second("read, close")) as vendor:
        await house.furnish(keys=2, base=vendor.url)
        body = b"".join(FRAMES[protocol]) if stream else WHOLE[protocol]
        vendor.answer = answer("text/event-stream" if stream else "application/json", body)
        for _ in range(2):
            told = await house.call(protocol, "any", stream=stream)
            assert (told.status, told.headers["x-rotator-attempts"], told.body) == (200, "1", body)
        numbers, bodies = zip(*vendor.seen, strict=True)
        assert numbers == (1, 1, 2) and len(set(bodies)) == 1
        assert house.reasons(protocol, "any") == [[], []]


@pytest.mark.asyncio(loop_scope="module")
async def test_through_the_proxy_an_early_answer_is_told(house: House) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EARLY)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await house.furnish(base=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        told = await house.call("chat", "any", user="u" * 30_000_000)
    assert (told.status, told.headers["x-rotator-attempts"]) == (413, "1")
    assert told.error["message"] == "too large"
