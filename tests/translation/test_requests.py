"""Requests of every row, from client to upstream: what is built, what is lost, and that the vendor takes it."""

import copy
from typing import Any

import pytest

from rotator.errors import Refused as RequestRefused
from rotator.errors import UpstreamFailed

from . import normal
from .cells import Case, Found, Refused, found
from .codecs import agree, begin, laid, vendors_fault
from .matching import code_differences, differences
from .rows_requests import ROWS
from .words import BUILT, LEAST

CASES = list(found(ROWS, Case))
REFUSED = list(found(ROWS, Refused))


def ids(one: Found) -> str:
    return one.id


@pytest.mark.pitfall("C69")
@pytest.mark.parametrize("one", CASES, ids=ids)
def test_a_request_becomes_what_the_table_says(one: Found) -> None:
    case: Case = one.cell
    body = laid(LEAST[one.client], case.client)
    before = copy.deepcopy(body)
    trip = begin(one.client, one.upstream, body, case.dialect)
    wanted = normal.request(laid(BUILT[one.upstream], case.wire))
    problems = differences(wanted, normal.request(trip.wire)) + code_differences(case.losses, trip.codes)
    if case.names is not None:
        problems += differences(case.names, {own.name: own.kind for own in trip.built.names.values()})
    fault = vendors_fault(one.upstream, trip.wire, trip.built.headers)
    agree([*problems, *([f"the vendor says: {fault}"] if fault else [])], trip.wire)
    assert body == before, "the client's JSON was changed"


@pytest.mark.parametrize("one", REFUSED, ids=ids)
def test_what_has_no_place_is_refused_by_name(one: Found) -> None:
    body: Any = laid(LEAST[one.client], one.cell.client)
    with pytest.raises((RequestRefused, UpstreamFailed)) as caught:
        begin(one.client, one.upstream, body)
    error = caught.value.error
    assert (error.status, error.should_retry) == (400, False)
    assert (error.param or "").startswith(one.cell.param), error.message
