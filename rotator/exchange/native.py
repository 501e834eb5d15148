"""The native lane's answers: the upstream's frames are read, pass the stages, and are written anew.

The meter reads what the upstream said, before any adapter; what it lets pass is what the adapters see.
"""

from __future__ import annotations

from typing import Any

from rotator.contracts import JsonFrame, Meter
from rotator.errors import UpstreamFailed
from rotator.exchange.answer import Bounds, RawStream, Redact
from rotator.exchange.stages import Chain, written
from rotator.neutral.error import bad_event
from rotator.wire.jsontext import NotJson, read
from rotator.wire.sse import frames, pieces, write_frame
from rotator.wire.transport import Reply


class NativeStream(RawStream):
    """A stream whose frames pass an attempt's stages; everything else is as on the raw lane."""

    __slots__ = ("_chain",)

    def __init__(self, reply: Reply, meter: Meter, bounds: Bounds, redact: Redact, chain: Chain) -> None:
        super().__init__(reply, meter, bounds, redact)
        self._chain = chain

    def _read(self, block: bytes) -> bytes:
        """Frame by frame: metered as the upstream meant it, then shaped; the adapters' last frames before the end."""
        chain, signals = self._chain, self._meter.signals
        shown: list[bytes] = []
        try:
            for piece, _, _ in pieces(block):
                if chain.wraps:
                    piece = unwrapped(piece, chain)
                if not self._meter.feed(piece):
                    break
                if signals.ended:
                    shown.append(self._rest())
                shown += _shaped(piece, chain)
                if signals.ended:
                    break
        except UpstreamFailed as error:
            self._cause = error  # what came before it is still the client's
        return b"".join(shown)

    def _rest(self) -> bytes:
        """The adapters' last frames."""
        return b"".join(_written(frame, self._chain) for frame in self._chain.end())


def unwrapped(piece: bytes, chain: Chain) -> bytes:
    """A frame in the protocol's own form; what is no JSON object stays as it is."""
    whole = []
    for frame in frames(piece):
        data = _object(frame.data)
        text = frame.data if data is None else written(chain.unwrapped(data, event=True), "event", "provider")
        whole.append(write_frame(text, frame.event))
    return b"".join(whole) or piece


def _shaped(piece: bytes, chain: Chain) -> list[bytes]:
    """What a frame is to the client.  Comments, ``[DONE]`` and words that are no JSON pass as they are.

    Other fields without data do not: openai-python takes such a frame for an event (protocols.md 4.2).
    """
    for frame in frames(piece):
        data = _object(frame.data)
        if data is None and frame.data[:1] == b"{":
            raise UpstreamFailed(bad_event(), "answered")
        if data is None:
            return [write_frame(frame.data, frame.event)]
        return [_written(one, chain) for one in chain.event(JsonFrame(frame.event, data))]
    comments = [line for line in piece.splitlines() if line[:1] == b":"]
    return [b"\n".join((*comments, b"", b""))] if comments else []


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value, _ = read(data)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None


def _written(frame: JsonFrame, chain: Chain) -> bytes:
    return write_frame(written(frame.data, "event", chain.names), frame.event)
