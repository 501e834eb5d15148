"""The fake vendor refuses what the vendors refuse, naming the field, and takes what real clients send."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from . import malformed_chat, malformed_messages, malformed_models
from .demo import (
    CHAT,
    KEY,
    MINTED,
    Call,
    ask,
    checks_chat,
    checks_messages,
    models,
    render_chat,
    render_messages,
    shapes,
)
from .rows import Row

LEAST_ROWS = 60
OPERATIONS = {CHAT: "chat", "/v1/messages": "messages", "/v1/messages/count_tokens": "count_tokens"}
TABLES = {
    "chat": [*malformed_chat.ROWS, *malformed_models.CHAT_ROWS],
    "messages": [*malformed_messages.ROWS, *malformed_models.MESSAGES_ROWS],
}
CHECKS = {"chat": checks_chat.CHECKS, "messages": checks_messages.CHECKS}
ALL_ROWS = [pytest.param(row, id=f"{name}-{row.id}") for name, rows in TABLES.items() for row in rows]
ALL_CHECKS = [pytest.param(name, check, id=f"{name}-{check.name}") for name in CHECKS for check in CHECKS[name]]
VALID = [
    *(Row(f"chat-{name}", body, path=CHAT) for name, body in malformed_chat.VALID.items()),
    *malformed_messages.VALID.values(),
]


def call_of(row: Row) -> Any:
    """The row as the validators get it."""
    headers = {"anthropic-version": "2023-06-01", **row.headers}
    sent = {name: value for name, value in headers.items() if value is not None}
    return Call(OPERATIONS[row.path], row.body, sent, KEY, b"demo vendor")


def is_named(row: Row, fault: Any) -> bool:
    """Whether a fault is the one that the row expects."""
    return fault is not None and fault.param == row.param and row.says in fault.message


@cache
def refused_first(name: str) -> dict[str, list[Row]]:
    """Rows by the check that refuses them."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in TABLES[name]:
        call = call_of(row)
        for check in CHECKS[name]:
            if next(iter(check.find(call)), None) is not None:
                found[check.name].append(row)
                break
    return found


@pytest.mark.parametrize("row", ALL_ROWS)
async def test_a_malformed_request_is_refused_by_name(vendor: Any, row: Row) -> None:
    answer = await ask(vendor, row.path, row.body, headers=row.headers)
    assert answer.status == 400, answer.body
    error = answer.json["error"]
    assert row.says in error["message"]
    assert error["type"] == "invalid_request_error"
    if row.path == CHAT:
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"] == row.param
        assert answer.headers["x-request-id"]
    else:
        assert answer.json["type"] == "error"
        assert answer.json["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_long_enough_and_each_row_stands_once(name: str) -> None:
    ids = [row.id for row in TABLES[name]]
    assert len(ids) >= LEAST_ROWS
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_has_a_name_of_its_own(name: str) -> None:
    names = [check.name for check in CHECKS[name]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "check"), ALL_CHECKS)
def test_without_a_check_some_malformed_request_passes_or_is_misnamed(name: str, check: Any) -> None:
    rest = [other for other in CHECKS[name] if other is not check]
    assert any(not is_named(row, shapes.first_fault(call_of(row), rest)) for row in refused_first(name)[check.name])


@pytest.mark.parametrize("row", VALID, ids=lambda row: row.id)
async def test_what_real_clients_send_is_taken(vendor: Any, row: Row) -> None:
    answer = await ask(vendor, row.path, row.body, headers=row.headers)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("row", malformed_models.VALID, ids=lambda row: row.id)
def test_what_a_known_model_takes_is_taken(row: Row) -> None:
    assert shapes.first_fault(call_of(row), CHECKS["chat" if row.path == CHAT else "messages"]) is None


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside JSON."""
    yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*at, key))


def replaced(value: Any, at: tuple[Any, ...], junk: Any) -> Any:
    """A copy with one place changed."""
    if not at:
        return junk
    result = copy.copy(value)
    result[at[0]] = replaced(value[at[0]], at[1:], junk)
    return result


@pytest.mark.parametrize("row", VALID, ids=lambda row: row.id)
def test_junk_anywhere_is_refused_or_answered_but_never_a_crash(row: Row) -> None:
    render = render_chat if row.path == CHAT else render_messages
    checks = CHECKS["chat" if row.path == CHAT else "messages"]
    refused = 0
    for at in places(row.body):
        for junk in (None, 5, "x", [], {}, [{}]):
            call = replace(call_of(row), body=replaced(row.body, at, junk))
            if shapes.first_fault(call, checks) is not None:
                refused += 1
                continue
            asked = render.read_ask(call)
            said = models.answer("parallel-tools", asked)
            assert render.whole(call, asked, said, MINTED)
            assert render.stream(call, asked, said, MINTED)
    assert refused > 0


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize("body", [b"", b"{", b'{"a":NaN}', b"\xff", b'{"a":"\\ud800"}'])
async def test_what_is_no_json_is_refused(vendor: Any, path: str, body: bytes) -> None:
    answer = await ask(vendor, path, body)
    assert answer.status == 400
    assert "JSON" in answer.json["error"]["message"]
