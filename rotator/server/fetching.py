"""GET a JSON document from a vendor: the model lists, and what is left of quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rotator import __version__
from rotator.contracts import Fetch, HeaderPairs, Provider
from rotator.errors import UpstreamFailed
from rotator.neutral.error import ErrorKind, error_of
from rotator.neutral.secret import Secret
from rotator.wire.jsontext import NotJson, loads
from rotator.wire.transport import Outgoing, Transport

DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_HEADERS: Final = (
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", f"rotator/{__version__}"),
)


def fetcher(transport: Transport, proxies: Mapping[str, Secret]) -> Fetch:
    """A ``Fetch`` over the app's transport.  Its errors quote nothing of the vendor's answer but the status."""

    async def fetch(provider: Provider, url: str, headers: HeaderPairs) -> Any:
        merged = {**dict(_HEADERS), **dict(headers)}
        reply = await transport.send(Outgoing("GET", url, merged, None, False, proxies.get(provider.name)))
        try:
            body = await reply.read(DOCUMENT_BYTES)
        finally:
            reply.close()
        if reply.status != 200:
            message = f"upstream: HTTP {reply.status}"
            raise UpstreamFailed(error_of(ErrorKind.BAD_GATEWAY, message, code="fetch"), "answered")
        try:
            return loads(body)
        except NotJson as error:
            failure = error_of(ErrorKind.BAD_GATEWAY, "upstream: the answer is not JSON", code="not_json")
            raise UpstreamFailed(failure, "sent") from error

    return fetch
