"""The language of the tables of malformed requests: a valid body, one edit, and what the vendor must name."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DROP = object()
STEP = re.compile(r"<(?P<tag>\w+)>|(?P<index>\d+)|(?P<key>[^.\[\]<>]+)")


@dataclass(frozen=True)
class Row:
    """One malformed request. `param` is the envelope's (chat only), `says` a part of the message."""

    id: str
    body: Any
    says: str = ""
    param: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """None takes a header away"""
    path: str = "/v1/messages"


@dataclass(frozen=True)
class Edit:
    """Set (or DROP) what is at `at`; `<tag>` steps only show in the vendor's path. `as_` overrides what it names."""

    at: str
    value: Any
    as_: str | None = None
    says: str = ""


def edited(body: Any, at: str, value: Any) -> Any:
    """A copy of `body` with one place changed."""
    steps = [int(m["index"]) if m["index"] else m["key"] for m in STEP.finditer(at) if not m["tag"]]
    result = copy.deepcopy(body)
    holder = result
    for step in steps[:-1]:
        holder = holder[step]
    last = str(steps[-1]) if isinstance(holder, dict) else steps[-1]
    if value is DROP:
        del holder[last]
    else:
        holder[last] = value
    return result


def shown(at: str) -> str:
    """The path as the Messages vendor writes it."""
    return re.sub(r"<(\w+)>", r"\1", at)


def chat_rows(name: str, body: Any, *edits: Edit | tuple[Any, ...]) -> Iterator[Row]:
    """Rows of one valid chat body; the vendor's `param` is the place of the edit."""
    for number, edit in enumerate(edits):
        edit = edit if isinstance(edit, Edit) else Edit(*edit)
        param = edit.at if edit.as_ is None else edit.as_
        row_id = f"{name}-{number}-{edit.at}"
        yield Row(row_id, edited(body, edit.at, edit.value), edit.says, param, path="/v1/chat/completions")


def messages_rows(name: str, body: Any, *edits: Edit | tuple[Any, ...], **more: Any) -> Iterator[Row]:
    """Rows of one valid Messages body; the message begins with the place of the edit, or is `as_`."""
    for number, edit in enumerate(edits):
        edit = edit if isinstance(edit, Edit) else Edit(*edit)
        says = f"{shown(edit.at)}: {edit.says}" if edit.as_ is None else edit.as_
        yield Row(f"{name}-{number}-{edit.at}", edited(body, edit.at, edit.value), says, **more)
