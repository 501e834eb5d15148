"""The one place where a failure of something optional is swallowed."""

import asyncio
import logging

import pytest

from rotator.contain import contain


def test_a_failure_is_logged_with_its_name_and_its_trace_and_life_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), contain("on_attempt of x"):
        raise ValueError("broken")
    (record,) = caplog.records
    assert record.getMessage() == "on_attempt of x failed and is skipped"
    assert record.exc_info is not None and isinstance(record.exc_info[1], ValueError)


def test_success_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    done = []
    with caplog.at_level(logging.DEBUG), contain("x"):
        done.append(1)
    assert done == [1] and not caplog.records


@pytest.mark.parametrize("signal", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_failure_passes(signal: type[BaseException]) -> None:
    with pytest.raises(signal), contain("x"):
        raise signal
