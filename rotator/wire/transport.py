"""The way to upstreams: beside ``connector`` the only module that knows aiohttp.

Its defaults are wrong for this product (faults.md 0 item 2): here no redirect is followed, no cookie is kept, no
connection limit queues requests, no total timeout ends a long answer, nothing is decoded without a cap.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, Literal, NamedTuple

import aiohttp
from yarl import URL

from rotator.errors import UpstreamFailed
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.secret import Secret
from rotator.wire.connector import StaleConnection, connector

#: Kept connections are closed after this long without use; vendors and their balancers close theirs later.
KEEPALIVE_SECONDS: Final = 30.0
#: Response head: one header line, and all of them.  Source: faults.md 1, row "legal oddities".
HEADER_LINE_BYTES: Final = 16_384
#: Beyond this aiohttp warns of bytes that are written at once.
LARGE_BODY_BYTES: Final = 1_048_576
#: Pieces of unpacked data (64 KiB at most) after which others have their turn.
PIECES_A_TURN: Final = 16
#: What an upstream's connection raises when it breaks: ``mapped`` turns it into UpstreamFailed.
BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)

Stage = Literal["connect", "sent", "answered"]


class Outgoing(NamedTuple):
    """A request that is ready to be sent.  ``headers`` are complete; ``proxy`` may hold a password."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    streaming: bool
    proxy: Secret | None = None


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Seconds and bytes; ``certificates`` is a PEM file of authorities instead of the system's."""

    connect_seconds: float = 30.0
    read_streaming_seconds: float = 300.0
    read_seconds: float = 600.0
    decoded_limit_bytes: int = 64 * 1024 * 1024
    trust_env: bool = False
    certificates: str | None = None


def failed(kind: ErrorKind, message: str, stage: Stage, code: str) -> UpstreamFailed:
    """The road's own failure, as an error that a client may see: no address of ours, no certificate bytes."""
    return UpstreamFailed(error_of(kind, message, code=code), stage)


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    """Parsed once: names were validated, so nothing is re-encoded behind our back."""
    return URL(text, encoded=True)


class Transport:
    """One session for all providers.  Made inside the running loop by ``start``; ``aclose`` ends every connection."""

    def __init__(self, settings: TransportSettings) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def start(self) -> None:
        """Make the session, and one that never keeps a connection; nothing touches the network."""
        context: ssl.SSLContext | bool = True
        if self.settings.certificates:
            context = ssl.create_default_context(cafile=self.settings.certificates)
        self._session = self._made(context, keepalive_timeout=KEEPALIVE_SECONDS)
        self._fresh = self._made(context, force_close=True)

    def _made(self, context: ssl.SSLContext | bool, **keeping: Any) -> aiohttp.ClientSession:
        made = aiohttp.ClientSession(
            connector=connector(limit=0, ttl_dns_cache=60, ssl=context, enable_cleanup_closed=False, **keeping),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=self.settings.trust_env,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect_seconds),
            max_line_size=HEADER_LINE_BYTES,
            max_field_size=HEADER_LINE_BYTES,
        )
        made._retry_connection = False  # aiohttp's own, for GET: not on a fresh connection, and not for a fresh one
        return made

    async def aclose(self) -> None:
        sessions = self._session, self._fresh
        self._session = self._fresh = None  # what fails from now on is not sent again
        for session in sessions:
            if session is not None:
                await session.close()

    async def send(self, request: Outgoing) -> Reply:
        """The upstream's answer, its body still on the wire; the caller closes it.  Raises UpstreamFailed.

        The time until the answer begins is the caller's to limit; inside the body ``idle_seconds`` counts.
        A kept connection that turns out to be closed is no failure: the request goes out once more, on a fresh one.
        An informational status, 199 too, is no answer (RFC 9110 15.2): the one behind it is waited for.
        """
        session = self._session
        if session is None:
            raise failed(ErrorKind.OVERLOADED, "the proxy is shutting down", "connect", "shutting_down")
        reconnected = False
        try:
            try:
                response = await _asked(session, request)
            except StaleConnection:
                if (session := self._fresh) is None:
                    raise
                reconnected = True
                response = await _asked(session, request)
        except BROKEN as error:
            raise mapped(error) from error
        idle_seconds = self.idle_seconds(request.streaming)
        return Reply(response, self.settings.decoded_limit_bytes, idle_seconds, reconnected)

    def idle_seconds(self, streaming: bool) -> float:
        """How long an upstream may be silent, before its answer and inside it."""
        return self.settings.read_streaming_seconds if streaming else self.settings.read_seconds


def _asked(session: aiohttp.ClientSession, request: Outgoing) -> Awaitable[aiohttp.ClientResponse]:
    return session.request(
        request.method,
        _url(request.url),
        data=_payload(request.body),
        headers=request.headers,
        allow_redirects=False,
        proxy=request.proxy.reveal() if request.proxy else None,
    )


def _payload(body: bytes | None) -> bytes | BytesIO | None:
    """Large bodies in pieces, so that writing one does not hold up the loop."""
    return BytesIO(body) if body is not None and len(body) > LARGE_BODY_BYTES else body


def mapped(error: BaseException) -> UpstreamFailed:
    """aiohttp's errors as ours; the most specific first."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failed(ErrorKind.UPSTREAM_TIMEOUT, "upstream: no connection in time", "connect", "connect_timeout")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return failed(ErrorKind.UPSTREAM_TIMEOUT, "upstream: no answer in time", "sent", "read_timeout")
        case aiohttp.ClientConnectorDNSError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the host name has no address", "connect", "dns")
        case aiohttp.ClientSSLError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the TLS connection was not trusted", "connect", "tls")
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the outgoing proxy failed", "connect", "proxy")
        case aiohttp.ClientConnectorError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the connection was refused", "connect", "connect")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the connection broke", "sent", "connection_broke")
        case aiohttp.ClientPayloadError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the answer broke off", "sent", "answer_broke")
        case aiohttp.ClientResponseError():
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the answer is not HTTP", "sent", "bad_http")
        case _:
            return failed(ErrorKind.BAD_GATEWAY, "upstream: the connection failed", "sent", "connection_failed")


class Reply:
    """An answer whose body is still on the wire.  ``close`` is synchronous and may be called any number of times.

    ``reconnected``: it came at the second sending, because the first went out on a stale connection.
    """

    __slots__ = (
        "_decoder",
        "_idle_seconds",
        "_late",
        "_left",
        "_loop",
        "_response",
        "_time",
        "_timer",
        "_unpacked",
        "headers",
        "pull",
        "reconnected",
        "since",
        "status",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        decoded_limit_bytes: int,
        idle_seconds: float,
        reconnected: bool = False,
    ) -> None:
        """Raises UpstreamFailed for a body in an encoding that nobody asked for and that cannot be read."""
        self._response = response
        self._left = decoded_limit_bytes
        self._idle_seconds = idle_seconds
        self._late = False
        self._unpacked = 0
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self.since: float | None = None
        self.status = response.status
        self.reconnected = reconnected
        self.headers = [(name.lower(), value) for name, value in response.headers.items()]
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        self._decoder = None if coding in ("identity", "") else _Inflater(coding)
        self.pull: Callable[[], Awaitable[bytes]] = self._inflated if self._decoder else response.content.readany
        if self._decoder is not None and not self._decoder.known:
            response.close()
            raise failed(ErrorKind.BAD_GATEWAY, f"upstream: unknown encoding {coding[:40]!r}", "sent", "encoding")

    def header(self, name: str) -> str:
        """The first value of a header, "" without one."""
        return self._response.headers.get(name, "")

    @property
    def arrived(self) -> bool:
        """Whether the whole body came with the head: reading it waits for nobody."""
        return self._decoder is None and self._response.content.is_eof()

    @property
    def at_end(self) -> bool:
        """Whether the whole body has arrived and been read, so that the connection is free again."""
        return self._response.content.at_eof()

    async def next(self) -> bytes:
        """The next piece of the decoded body as it came; b"" at its end.  Raises UpstreamFailed."""
        self.waiting()
        try:
            return await self.pull()
        except BROKEN as error:
            raise self.failure(error) from error
        finally:
            self.since = None

    def waiting(self) -> None:
        """From now on the upstream is waited for, until ``since`` is None again.

        A relay that must be quick calls this, ``pull`` and, on BROKEN, ``failure`` instead of ``next``.
        """
        self.since = self._time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_seconds, self._look)

    def failure(self, error: BaseException) -> UpstreamFailed:
        """What ``pull`` raised, as ours."""
        return error if isinstance(error, UpstreamFailed) else mapped(TimeoutError() if self._late else error)

    def _look(self) -> None:
        """End a body whose next piece is late.  One timer per body, made anew only when it fires.

        Only time spent waiting for the upstream counts: while a slow client is served nothing is late.
        """
        now = self._loop.time()
        wait = self._idle_seconds if self.since is None else self.since + self._idle_seconds - now
        if wait <= 0:
            self._late = True
            self._response.close()
        else:
            self._timer = self._loop.call_later(wait, self._look)

    async def _inflated(self) -> bytes:
        """Unpacking goes on without waiting for anybody, so the loop gets its turn in between."""
        self._unpacked += 1
        if self._unpacked % PIECES_A_TURN == 0:
            await asyncio.sleep(0)
        return await self._unpack()

    async def _unpack(self) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        while True:
            data = decoder.more(self._left)
            if not data and not decoder.pending:
                chunk = await self._response.content.readany()
                if not chunk:
                    if last := decoder.rest(self._left):
                        self._left -= len(last)
                        return last
                    if not decoder.whole:  # aiohttp does not notice a cut gzip stream (faults.md 0 item 2)
                        raise failed(ErrorKind.BAD_GATEWAY, "upstream: the answer broke off", "sent", "answer_broke")
                    return b""
                decoder.push(chunk)
                continue
            self._left -= len(data)
            if data:
                return data
            raise failed(ErrorKind.BAD_GATEWAY, "upstream: the answer is too large", "sent", "too_large")

    async def read(self, limit_bytes: int, *, truncate: bool = False) -> bytes:
        """The whole body; beyond the limit it raises UpstreamFailed, or is cut there and the connection closed.

        With ``truncate`` it is cut where it breaks, too: an error whose text broke off is still that error.
        """
        content = self._response.content
        parts: list[bytes] = []
        if self._decoder is None and content.is_eof() and content.exception() is None:
            parts.append(content.read_nowait())  # the common answer has arrived with its head: no wait, no timer
        size = len(parts[0]) if parts else 0
        arrived = bool(parts)
        try:
            while size <= limit_bytes and (chunk := b"" if arrived and content.at_eof() else await self.next()):
                parts.append(chunk)
                size += len(chunk)
        except UpstreamFailed:
            if not truncate:
                raise
            self.close()
        if size > limit_bytes:
            self.close()
            if not truncate:
                raise failed(ErrorKind.BAD_GATEWAY, "upstream: the answer is too large", "sent", "too_large")
            return b"".join(parts)[:limit_bytes]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def drain(self, seconds: float) -> None:
        """Wait a little for the end of a finished answer, so that its connection can be used again."""
        try:
            async with asyncio.timeout(seconds):
                while await self.next():
                    pass
        except (UpstreamFailed, TimeoutError):
            pass  # the answer is whole already; only the connection is lost
        self.close()

    def close(self) -> None:
        """Give a finished connection back; drop one that still carries an answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._response.close()


class _Inflater:
    """gzip or deflate, piece by piece and never more at once than is still allowed."""

    def __init__(self, coding: str) -> None:
        self.known = coding in ("gzip", "x-gzip", "deflate")
        self.whole = False
        self.pending = b""
        self._deflate = coding == "deflate"
        self._object = zlib.decompressobj(wbits=15 if self._deflate else 31)

    def push(self, chunk: bytes) -> None:
        self.pending += chunk

    def rest(self, limit_bytes: int) -> bytes:
        """At the end of the input: what zlib still holds back, piece by piece."""
        if limit_bytes <= 0 or self.whole:
            return b""
        data = self._object.decompress(b"", min(65_536, limit_bytes))
        self.whole = self._object.eof
        return data

    def more(self, limit_bytes: int) -> bytes:
        """Up to 64 KiB of what has been pushed, b"" if that yields nothing or nothing more is allowed."""
        if not self.pending or limit_bytes <= 0:
            return b""
        try:
            data = self._object.decompress(self.pending, min(65_536, limit_bytes))
        except zlib.error:
            if not self._deflate:
                raise failed(ErrorKind.BAD_GATEWAY, "upstream: corrupt gzip", "sent", "encoding") from None
            self._deflate = False  # some servers send raw deflate without the zlib head
            self._object = zlib.decompressobj(wbits=-15)
            return self.more(limit_bytes)
        self.pending = self._object.unconsumed_tail
        self.whole = self._object.eof
        return data
