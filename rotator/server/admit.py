"""Who may come in: the client key in every carrier that SDKs use, and without one only this machine.

Sources: protocols.md 1.7 (carriers, first hit wins), faults.md 2 (rows 3, 9, 10, 28), design.md 6 (last lines).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from rotator.config.environment import ClientKey
from rotator.contracts import Caller
from rotator.errors import Refused
from rotator.neutral.error import ErrorKind, NeutralError, error_of

LOCAL: Final = Caller("local", "local")
_NAMES: Final = ("localhost",)
#: Of a Host or Origin header: a name has at most 253 characters.
LONGEST_NAME: Final = 300


def header_map(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as text, repeated ones joined.  Raises Refused where it is unclear where a request ends or goes."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name == "host":
            raise Refused(error_of(ErrorKind.BAD_REQUEST, "host: sent twice", param="host"))
        else:
            headers[name] = f"{headers[name]}, {value}"
    if "host" not in headers:
        raise Refused(error_of(ErrorKind.BAD_REQUEST, "host: missing", param="host"))
    if "transfer-encoding" in headers and "content-length" in headers:
        message = "content-length and transfer-encoding: only one of them may be sent"
        raise Refused(error_of(ErrorKind.BAD_REQUEST, message, param="transfer-encoding"))
    return headers


def given_key(headers: Mapping[str, str], query: str) -> bytes | None:
    """The client key that a request carries, as the bytes that were sent; None without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" and token else None
    for value in (headers.get("x-api-key"), bearer, headers.get("x-goog-api-key")):
        if value:
            return value.encode("latin-1")
    if "key=" in query:
        for name, text in parse_qsl(query, errors="surrogateescape"):
            if name == "key":
                return text.encode("utf-8", "surrogateescape")
    return headers["api-key"].encode("latin-1") if headers.get("api-key") else None


class Gate:
    """Knows the client keys by digest only."""

    def __init__(self, keys: Sequence[ClientKey]) -> None:
        self._callers: dict[bytes, Caller] = {}
        for key in keys:
            digest = sha256(key.secret.reveal().encode("utf-8", "surrogateescape")).digest()
            self._callers[digest] = Caller(digest.hex()[:16], key.label)

    def admit(self, headers: Mapping[str, str], query: str, client: str | None) -> Caller:
        """Who calls.  Raises Refused: 401 for a wrong key, 403 for one that is not of this machine."""
        if not self._callers:
            return self._local(headers, client)
        given = given_key(headers, query)
        if given is None:
            message = 'send the client key as "Authorization: Bearer KEY" or "x-api-key: KEY"; none was found'
            raise Refused(_unauthorised(message))
        digest = sha256(given).digest()
        for known, caller in self._callers.items():
            if compare_digest(digest, known):
                return caller
        raise Refused(_unauthorised("the client key is not known to this proxy"))

    def _local(self, headers: Mapping[str, str], client: str | None) -> Caller:
        """Without a key: loopback peer, loopback Host (no rebound name), no page of another origin."""
        host, origin = headers["host"], headers.get("origin")
        if len(host) > LONGEST_NAME or len(origin or "") > LONGEST_NAME:
            raise Refused(error_of(ErrorKind.BAD_REQUEST, "host or origin: too long", param="host"))
        problem = foreign(client, host, origin)
        if problem is not None:
            raise Refused(error_of(ErrorKind.PERMISSION, problem, should_retry=False))
        return LOCAL


@lru_cache(maxsize=1024)
def foreign(client: str | None, host: str, origin: str | None) -> str | None:
    """Why a request is not of this machine, None if it is."""
    if client is None or not is_loopback(client):
        return "without PROXY_API_KEY only this machine may ask"
    if not is_loopback(_host_of(host)):
        return "host: without PROXY_API_KEY only a loopback address or localhost may be asked"
    if origin is not None and not is_loopback(_origin_host(origin)):
        return "origin: without PROXY_API_KEY pages of other origins may not ask"
    return None


def _origin_host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _host_of(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 (mapped forms too) and ``localhost``."""
    if host.lower().rstrip(".") in _NAMES:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _unauthorised(message: str) -> NeutralError:
    return error_of(ErrorKind.AUTH, message, should_retry=False)
