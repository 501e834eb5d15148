"""Firm names and defaults (design.md 2.3, 2.4 and 6)."""

import pytest

from rotator.config.sections import names, settings, variables

MIB = 1024 * 1024

DEFAULTS = {
    "server.host": "127.0.0.1",
    "server.port": 8000,
    "server.trust_env": False,
    "server.log": "text",
    "timeouts.connect": 30.0,
    "timeouts.read_streaming": 300.0,
    "timeouts.read_non_streaming": 600.0,
    "timeouts.stream_ttfb": None,
    "timeouts.stream_stall": None,
    "timeouts.stream_heartbeat": None,
    "timeouts.global": 600.0,
    "timeouts.drain": 30.0,
    "timeouts.header": 5.0,
    "timeouts.body": 60.0,
    "retry.same_key": 1,
    "retry.max_attempts": 6,
    "retry.max_targets": 4,
    "retry.small_cooldown_seconds": 10.0,
    "limits.request_body_bytes": 64 * MIB,
    "limits.response_body_bytes": 64 * MIB,
    "limits.error_body_bytes": 65536,
    "limits.event_bytes": 32 * MIB,
    "limits.hold_back_bytes": MIB,
    "limits.header_bytes": 65536,
    "sessions.trusted_fields": (),
}
VARIABLES = {
    "ROTATOR_HOST": "server.host",
    "ROTATOR_PORT": "server.port",
    "ROTATOR_LOG": "server.log",
    "TIMEOUT_CONNECT": "timeouts.connect",
    "TIMEOUT_READ_STREAMING": "timeouts.read_streaming",
    "TIMEOUT_READ_NON_STREAMING": "timeouts.read_non_streaming",
    "STREAM_TTFB_TIMEOUT_SECONDS": "timeouts.stream_ttfb",
    "STREAM_STALL_TIMEOUT_SECONDS": "timeouts.stream_stall",
    "STREAM_HEARTBEAT_SECONDS": "timeouts.stream_heartbeat",
    "STREAM_HEARTBEAT_INTERVAL_SECONDS": "timeouts.stream_heartbeat",
    "GLOBAL_TIMEOUT": "timeouts.global",
    "DRAIN_SECONDS": "timeouts.drain",
    "SMALL_COOLDOWN_RETRY_THRESHOLD": "retry.small_cooldown_seconds",
    "TRUSTED_SESSION_ID_FIELDS": "sessions.trusted_fields",
}


@pytest.mark.parametrize("key", DEFAULTS)
def test_defaults(key: str) -> None:
    held = {one.key: one.entry.default for one in settings()}[key]
    assert held == DEFAULTS[key] and type(held) is type(DEFAULTS[key])


@pytest.mark.parametrize("name", VARIABLES)
def test_variables(name: str) -> None:
    assert variables()[name].key == VARIABLES[name]


def test_variables_of_no_section() -> None:
    assert {one.form for one in names()} >= {
        "ROTATOR_CONFIG", "ROTATOR_STATE", "ROTATOR_PLUGINS", "ROTATOR_DEMO", "PROXY_API_KEY", "PROXY_API_KEY_<N>",
        "MODEL_ROUTE_<ALIAS>", "SSL_CERT_FILE",
    }
