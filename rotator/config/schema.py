"""The sections that the engine itself has, and the variables that belong to no section.

Firm names and defaults: design.md 2.3, 2.4 and 6; sizes: faults.md 1 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rotator.config.reader import setting
from rotator.config.sections import section, variable

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY_SECONDS: Final = 86400
#: The variable with what an installation seals state with.
STATE_SECRET: Final = "ROTATOR_STATE_SECRET"
#: The shortest wait that makes sense; 0 would mean never.
MOMENT_SECONDS: Final = 0.001


@section("server")
@dataclass(frozen=True, slots=True)
class Server:
    """Where the server listens and how it logs."""

    host: str = setting("127.0.0.1", env="ROTATOR_HOST", flag="--host", doc="Address to listen on.")
    port: int = setting(
        8000, env="ROTATOR_PORT", flag="--port", minimum=0, maximum=65535, doc="Port to listen on; 0 takes a free one."
    )
    trust_env: bool = setting(
        False, doc="Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY count for calls to providers."
    )
    log: Literal["text", "json"] = setting("text", env="ROTATOR_LOG", doc="Form of the log lines.")


@section("timeouts")
@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long things may take, in seconds."""

    connect_seconds: float = setting(
        30.0,
        key="connect",
        env="TIMEOUT_CONNECT",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        doc="Until a connection to a provider stands.",
    )
    read_streaming_seconds: float = setting(
        300.0,
        key="read_streaming",
        env="TIMEOUT_READ_STREAMING",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        doc="Between two pieces of a stream.",
    )
    read_non_streaming_seconds: float = setting(
        600.0,
        key="read_non_streaming",
        env="TIMEOUT_READ_NON_STREAMING",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        doc="Between two pieces of an answer that is no stream; most of it passes before the first.",
    )
    stream_ttfb_seconds: float | None = setting(
        None,
        key="stream_ttfb",
        env="STREAM_TTFB_TIMEOUT_SECONDS",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        off=True,
        doc="Until the first visible output of a stream; then another key or target is tried.",
    )
    stream_stall_seconds: float | None = setting(
        None,
        key="stream_stall",
        env="STREAM_STALL_TIMEOUT_SECONDS",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        off=True,
        doc="Without output in a stream that had begun; the vendor's pings do not count.",
    )
    stream_heartbeat_seconds: float | None = setting(
        None,
        key="stream_heartbeat",
        env="STREAM_HEARTBEAT_SECONDS",
        aliases=("STREAM_HEARTBEAT_INTERVAL_SECONDS",),
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        off=True,
        doc="Of silence after which the client of a stream gets a blank line.",
    )
    global_seconds: float = setting(
        600.0,
        key="global",
        env="GLOBAL_TIMEOUT",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        doc="For all retries, rotation and failover of a request, until output begins.",
    )
    drain_seconds: float = setting(
        30.0,
        key="drain",
        env="DRAIN_SECONDS",
        minimum=0,
        maximum=DAY_SECONDS,
        doc="That open streams get to end after SIGTERM.",
    )
    header_seconds: float = setting(
        5.0, key="header", minimum=MOMENT_SECONDS, maximum=DAY_SECONDS, doc="For a client to send a request's head."
    )
    body_seconds: float = setting(
        60.0, key="body", minimum=MOMENT_SECONDS, maximum=DAY_SECONDS, doc="For a client to send a request's body."
    )
    write_seconds: float = setting(
        60.0,
        key="write",
        minimum=MOMENT_SECONDS,
        maximum=DAY_SECONDS,
        doc="In which a client that has an answer waiting takes nothing of it; then its connection is dropped.",
    )


@section("retry")
@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is tried before its client sees an error."""

    same_key: int = setting(1, minimum=0, maximum=100, doc="Further attempts with the same key after a fault.")
    max_attempts: int = setting(
        6, minimum=1, maximum=1000, doc="Attempts of a request; those that ended in a limit or a rejection are free."
    )
    max_targets: int = setting(4, minimum=1, maximum=1000, doc="Targets of a fallback group that a request may try.")
    small_cooldown_seconds: float = setting(
        10.0,
        env="SMALL_COOLDOWN_RETRY_THRESHOLD",
        minimum=0,
        maximum=DAY_SECONDS,
        doc="When every key is out: the longest end of a cooldown that a request waits for, once.",
    )
    commit: Literal["first_output", "first_byte"] = setting(
        "first_output",
        doc="What a stream has shown when no other key is tried any more; `first_byte` holds nothing back.",
    )


@section("limits")
@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in; what is larger is refused."""

    request_body_bytes: int = setting(64 * MIB, minimum=KIB, doc="A client's body.")
    response_body_bytes: int = setting(64 * MIB, minimum=KIB, doc="A whole answer, decoded.")
    error_body_bytes: int = setting(64 * KIB, minimum=KIB, doc="A provider's error body; the rest is not read.")
    event_bytes: int = setting(32 * MIB, minimum=KIB, doc="One event of a stream.")
    hold_back_bytes: int = setting(MIB, minimum=KIB, doc="Of a stream that is held back until output begins.")
    header_bytes: int = setting(64 * KIB, minimum=KIB, doc="The head of a client's request.")
    concurrent_requests: int = setting(
        4096, minimum=1, doc="Requests under way at a time; further ones are answered 503 at once."
    )
    concurrent_requests_per_client: int | None = setting(
        None, minimum=1, off=True, doc="The same for each client key."
    )


@section("sessions")
@dataclass(frozen=True, slots=True)
class Sessions:
    """How requests of one conversation are recognised."""

    trusted_fields: tuple[str, ...] = setting(
        (),
        env="TRUSTED_SESSION_ID_FIELDS",
        doc="Headers and body fields, beside the known ones, that hold a conversation's id (`user` for one).",
    )


@section("trace")
@dataclass(frozen=True, slots=True)
class Trace:
    """What is written down of each request, in files of one JSON object a line."""

    level: Literal["off", "meta", "bounds", "full"] = setting(
        "off",
        env="ROTATOR_TRACE",
        flag="--trace",
        doc="`meta`: what happened; `bounds`: also what came and went at both ends; `full`: also every step between.",
    )
    dir: Path | None = setting(
        None,
        env="ROTATOR_TRACE_DIR",
        flag="--trace-dir",
        off=True,
        doc="The folder; off means `trace` under the folder for state.",
    )
    body_bytes: int = setting(256 * KIB, minimum=KIB, doc="Of one body, or of one stream; the rest is left out.")
    file_bytes: int = setting(64 * MIB, minimum=64 * KIB, doc="Of one file; then the next one is begun.")
    total_bytes: int = setting(1024 * MIB, minimum=MIB, doc="Of all files; then the oldest ones are removed.")


variable("ROTATOR_CONFIG", "The configuration file, like `--config`.")
variable("ROTATOR_STATE", "The folder for state, like `--state`.")
variable(
    STATE_SECRET,
    "What reasoning state is sealed with; without one `secret.key` in the folder for state, made when first needed.",
)
variable("ROTATOR_PLUGINS", "Folders of plug-ins, separated as in `PATH`; after those of `--plugins`.")
variable("ROTATOR_DEMO", "`true` serves the built-in demo provider, like `--demo`.")
variable("PROXY_API_KEY", "The key that clients must send. Without one only this machine may ask.")
variable("PROXY_API_KEY_<N>", "Further client keys.")
variable("MODEL_ROUTE_<ALIAS>", "`provider/model` for a model name, upper-cased, every other character as `_`.")
variable("SSL_CERT_FILE", "Certificate authorities (PEM) for calls to providers, instead of the system's.")
