"""Log lines without secrets: the text of a record, what it was formatted from, and the traceback below it."""

import io
import logging
from collections.abc import Iterator

import pytest

from rotator.contain import contain
from rotator.neutral.redact import MARK, Redactor
from rotator.neutral.secret import Secret
from rotator.server.logs import LOGGER, SafeFormatter, redact_logs
from tests.upstreams import PROVIDERS, House

HELD = "pl4nted/va+lue=="
log = logging.getLogger(f"{LOGGER}.somewhere")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What our log says, formatted as the process does."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(SafeFormatter("%(levelname)s %(message)s"))
    logging.getLogger(LOGGER).addHandler(handler)
    yield out
    logging.getLogger(LOGGER).removeHandler(handler)


def refused(key: str) -> None:
    raise LookupError(f"no project for {key}")


def test_a_message_holds_no_secret(lines: io.StringIO) -> None:
    redact_logs(Redactor([Secret(HELD)]))
    log.warning("%s at %s: %r", "key", HELD, {"key": HELD})
    log.warning("as is: %s", "pl4nted")
    assert lines.getvalue() == f"WARNING key at {MARK}: {{'key': '{MARK}'}}\nWARNING as is: pl4nted\n"


def test_a_traceback_holds_no_secret(lines: io.StringIO) -> None:
    """Of the exception, of what it came from, and of the stack that was asked for."""
    redact_logs(Redactor([Secret(HELD)]))
    with contain("something"):
        try:
            refused(HELD)
        except LookupError as error:
            raise ValueError(f"a second time: {HELD}") from error
    log.warning("here", stack_info=True)
    said = lines.getvalue()
    assert HELD not in said and said.count(MARK) == 2
    assert f"LookupError: no project for {MARK}" in said and f"ValueError: a second time: {MARK}" in said
    assert "ERROR something failed and is skipped\nTraceback" in said and "Stack (most recent call last)" in said


def test_before_there_are_secrets_nothing_is_redacted_and_other_formatters_never_do(lines: io.StringIO) -> None:
    out = io.StringIO()
    foreign = logging.StreamHandler(out)
    foreign.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger(LOGGER).addHandler(foreign)
    try:
        for _ in range(2):
            log.warning(HELD)
            redact_logs(Redactor([Secret(HELD)]))
    finally:
        logging.getLogger(LOGGER).removeHandler(foreign)
    assert (lines.getvalue(), out.getvalue()) == (f"WARNING {HELD}\nWARNING {MARK}\n", f"{HELD}\n{HELD}\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_after_a_reload_the_new_keys_are_those(house: House, lines: io.StringIO) -> None:
    """And the clients' keys, which belong to no provider."""
    for generation in ("one", "two"):
        client = f"client-key-{generation}-abcdef"
        await house.furnish(PROXY_API_KEY=client)
        with contain("a plug-in"):
            for name in PROVIDERS.values():
                log.warning("%s has %s for %s", name, house.keys[name][0], client)
            refused(house.keys["vendor"][0])
        said = lines.getvalue()
        assert not [key for key in (client, house.keys["vendor"][0], house.keys["claudish"][0]) if key in said]
        assert f"claudish has {MARK} for {MARK}" in said and f"LookupError: no project for {MARK}" in said
        lines.truncate(lines.seek(0))


def test_keys_of_the_generation_before_are_redacted_too(lines: io.StringIO) -> None:
    """Its requests may still be under way; those of two generations ago are not kept."""
    for held in ("first-key-abcdef", "second-key-abcdef", "third-key-abcdef"):
        redactor = Redactor([Secret(held)])
        redact_logs(redactor)
        redact_logs(redactor)  # the same generation again is no other one
    log.warning("first-key-abcdef second-key-abcdef third-key-abcdef")
    assert lines.getvalue() == f"WARNING first-key-abcdef {MARK} {MARK}\n"
