"""A client and an upstream of one protocol, translated by force: nothing is repaired, clamped, defaulted or lost."""

from dataclasses import replace

import pytest

from . import normal
from .cells import Case, Found, found
from .codecs import agree, begin, laid, parsed, vendors_fault
from .matching import differences
from .rows_requests import ROWS
from .words import LEAST

CASES = list(found(ROWS, Case))


@pytest.mark.parametrize("one", CASES, ids=[one.id for one in CASES])
def test_a_request_comes_back_as_it_was(one: Found) -> None:
    body = laid(LEAST[one.client], one.cell.client)
    trip = begin(one.client, one.client, body)
    own = body if one.cell.own is None else laid(LEAST[one.client], one.cell.own)
    problems = differences(normal.request(own), normal.request(trip.wire))
    fault = vendors_fault(one.client, trip.wire)
    refused = fault is not None and vendors_fault(one.client, body) is None
    problems += [f"lost {code}" for code in trip.codes] + ([f"the vendor says: {fault}"] if refused else [])
    agree(problems, trip.wire)


@pytest.mark.parametrize("one", CASES, ids=[one.id for one in CASES])
def test_parsing_what_was_built_gives_what_was_parsed(one: Found) -> None:
    """But that a Chat upstream is always asked for the usage of a stream (protocols.md 2.6)."""
    body = laid(LEAST[one.client], one.cell.client)
    request = parsed(one.client, body)
    again = parsed(one.client, begin(one.client, one.client, body).wire)
    assert again.usage_in_stream or not request.usage_in_stream
    assert replace(again, usage_in_stream=request.usage_in_stream) == request
