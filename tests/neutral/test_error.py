"""Neutral errors: the status table of protocols.md 1.8 both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.neutral.error import STATUS, ErrorKind, NeutralError, error_of, kind_of_status

#: protocols.md 1.8, columns "neutral class" and "HTTP"; HTTP 405 is ours.
TABLE = {
    "bad_request": 400,
    "context_too_long": 400,
    "auth": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "method": 405,
    "timeout_client": 408,
    "conflict": 409,
    "too_large": 413,
    "unprocessable": 422,
    "rate_limited": 429,
    "quota_exhausted": 429,
    "cancelled": 499,
    "server": 500,
    "not_implemented": 501,
    "bad_gateway": 502,
    "overloaded": 503,
    "upstream_timeout": 504,
}
#: Told apart by words only: their status alone means the plain kind.
BY_WORDS = {"context_too_long": "bad_request", "quota_exhausted": "rate_limited"}


def test_every_kind_has_the_status_of_the_table() -> None:
    assert {kind.value: status for kind, status in STATUS.items()} == TABLE
    assert set(STATUS) == set(ErrorKind)


@pytest.mark.parametrize(("kind", "status"), TABLE.items())
def test_a_status_alone_means_its_kind(kind: str, status: int) -> None:
    assert kind_of_status(status) == BY_WORDS.get(kind, kind)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (529, ErrorKind.OVERLOADED),
        (418, ErrorKind.BAD_REQUEST),
        (451, ErrorKind.BAD_REQUEST),
        (498, ErrorKind.BAD_REQUEST),
        (505, ErrorKind.SERVER),
        (599, ErrorKind.SERVER),
        (999, ErrorKind.SERVER),
        (300, ErrorKind.BAD_GATEWAY),
        (302, ErrorKind.BAD_GATEWAY),
        (304, ErrorKind.BAD_GATEWAY),
        (399, ErrorKind.BAD_GATEWAY),
        (204, ErrorKind.BAD_GATEWAY),
        (100, ErrorKind.BAD_GATEWAY),
        (0, ErrorKind.BAD_GATEWAY),
    ],
)
def test_statuses_that_are_in_no_table(status: int, kind: ErrorKind) -> None:
    assert kind_of_status(status) is kind


@given(st.integers(-1, 1_000))
def test_every_status_has_a_kind_of_its_class(status: int) -> None:
    expected = STATUS[kind_of_status(status)]
    if 400 <= status < 500:
        assert 400 <= expected < 500
    else:
        assert expected >= 500


@pytest.mark.parametrize("kind", ErrorKind)
def test_an_error_of_our_own(kind: ErrorKind) -> None:
    error = error_of(kind, "No.", code="c", param="p", should_retry=False)
    assert error == NeutralError(kind, "No.", TABLE[kind.value], code="c", param="p", should_retry=False)
    assert error_of(kind, "No.").should_retry is None and error.envelope is None and error.protocol is None
