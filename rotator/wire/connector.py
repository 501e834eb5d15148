"""Connections to upstreams that know what aiohttp keeps to itself: whether a request died of a stale connection.

An upstream may close a kept connection in the very moment in which it is used again.  aiohttp's traces would tell a
kept connection from a fresh one, but they cost every request.  So a few methods stand in front of those of the class
that aiohttp makes its connections of.  They lean on names inside aiohttp; where one of these is gone, no connection
counts as kept, and no request is ever sent twice.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler as _Base
else:
    _Base = object

#: How a connection breaks that the other side has closed; None is what aiohttp says of one that is just closing.
_CLOSED_ERRNOS: Final = frozenset({None, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})
_PIECE_BYTES: Final = 65_536


class StaleConnection(aiohttp.ClientOSError):
    """A kept connection was closed before the first byte of an answer: the request can go out once more."""


class _Line(_Base):
    """What a connection remembers: whether it has served a request before, and whether this one is being answered."""

    kept = False
    heard = False

    def set_response_params(self, **params: Any) -> None:
        """Called before each request."""
        self.kept = self.heard
        self.heard = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Called with b"" too, after a pause."""
        if data:
            self.heard = True
        super().data_received(data)

    def is_connected(self) -> bool:
        """Asked of a kept connection: one that has spoken unasked would answer the next request with that."""
        return super().is_connected() and not getattr(self, "should_close", False)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Called with what the request is to fail with."""
        if self.kept and not self.heard and _closed(exc):
            exc = StaleConnection(*exc.args)
        super().set_exception(exc, *cause)
        body = getattr(self, "_payload", None)
        if not isinstance(exc, aiohttp.ClientError) and isinstance(body, aiohttp.StreamReader) and not body.is_eof():
            # Bad HTTP behind the head: aiohttp closes and forgets the body, whose reader would wait for ever.
            body.set_exception(aiohttp.ClientPayloadError("not HTTP"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """An upstream that answers and closes while a large body goes out makes writing fail first.

        The loop then drops the answer, which has arrived (faults.md 1, row "early answer").
        """
        if isinstance(exc, OSError) and (unread := _unread(self.transport)):
            self.data_received(unread)
        super().connection_lost(exc)


def _closed(error: BaseException) -> bool:
    """Whether the other side has ended the connection: no timeout, no TLS, no bad HTTP."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return True
    return type(error) is aiohttp.ClientOSError and error.errno in _CLOSED_ERRNOS


def _unread(transport: Any) -> bytes:
    """What has arrived on a broken connection and was never read; nothing over TLS, where it could not be decoded."""
    data = bytearray()
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return b""
    try:
        with transport.get_extra_info("socket").dup() as twin:  # both loops close their own only after this
            while piece := twin.recv(_PIECE_BYTES):
                data += piece
    except OSError:
        pass  # all is read, or the reset took it
    return bytes(data)


def connector(**settings: Any) -> aiohttp.TCPConnector:
    """A connector whose requests fail with StaleConnection where that is what happened."""
    made = aiohttp.TCPConnector(**settings)
    factory = getattr(made, "_factory", None)
    if isinstance(factory, partial) and isinstance(factory.func, type):
        made._factory = partial(type("Line", (_Line, factory.func), {}), *factory.args, **factory.keywords)
    return made
