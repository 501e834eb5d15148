"""The public plug-in API: the only module of Rotator that a plug-in imports.

Everything here is re-exported from the lower floors; docs/plugins.md shows each in use.
"""

from __future__ import annotations

from rotator.config.reader import setting
from rotator.contracts import (
    Adapter,
    Call,
    Context,
    Credential,
    Envelope,
    Handling,
    HeaderPairs,
    JsonFrame,
    ListedModel,
    Meter,
    Operation,
    Profile,
    ProtocolAdapter,
    Provider,
    RefusedReply,
    Register,
    Route,
    Runtime,
    SessionHint,
    Signals,
    Verdict,
    WireRequest,
)
from rotator.errors import PluginError, Refused, UpstreamFailed
from rotator.hookspecs import AttemptSeen, hookimpl
from rotator.neutral.error import STATUS, ErrorKind, NeutralError, error_of, kind_of_status
from rotator.neutral.secret import Secret
from rotator.neutral.usage import Usage
from rotator.upstream.adapter import WireAdapter
from rotator.upstream.provider import Declaration, HttpProvider
from rotator.wire.jsontext import NotJson, dumps, loads
from rotator.wire.sse import Frame, frames, pieces, write_frame

__all__ = [
    "STATUS",
    "Adapter",
    "AttemptSeen",
    "Call",
    "Context",
    "Credential",
    "Declaration",
    "Envelope",
    "ErrorKind",
    "Frame",
    "Handling",
    "HeaderPairs",
    "HttpProvider",
    "JsonFrame",
    "ListedModel",
    "Meter",
    "NeutralError",
    "NotJson",
    "Operation",
    "PluginError",
    "Profile",
    "ProtocolAdapter",
    "Provider",
    "Refused",
    "RefusedReply",
    "Register",
    "Route",
    "Runtime",
    "Secret",
    "SessionHint",
    "Signals",
    "UpstreamFailed",
    "Usage",
    "Verdict",
    "WireAdapter",
    "WireRequest",
    "dumps",
    "error_of",
    "frames",
    "hookimpl",
    "kind_of_status",
    "loads",
    "pieces",
    "setting",
    "write_frame",
]
