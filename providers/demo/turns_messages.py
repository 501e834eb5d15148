"""Rules of a Messages request on what follows what: calls, results, signatures (protocols.md 2.1, 2.3, 2.4)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

from .calls import Call, Fault
from .fields_messages import SERVER_RESULTS
from .rules_messages import content_of
from .shapes import root
from .signing import assistant_blocks, sign


def _messages(call: Call) -> list[dict[str, Any]]:
    """All messages by index; what is no object stands as an empty one."""
    for _, body in root(call):
        found = body.get("messages")
        return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []
    return []


def _ids(blocks: list[dict[str, Any]], kind: str, name: str) -> list[str]:
    return [block[name] for block in blocks if block.get("type") == kind and isinstance(block.get(name), str)]


def _turns(call: Call) -> Iterator[tuple[int, list[str], list[dict[str, Any]]]]:
    """For each user message and each end of an assistant turn: index, calls of the turn before, blocks that follow.

    Neighbouring assistant messages are one turn, but its results stand in one single user message (2.1).
    """
    messages = _messages(call)
    open_calls: list[str] = []
    for index, message in enumerate([*messages, {}]):
        if message.get("role") == "assistant":
            open_calls += _ids(content_of(message), "tool_use", "id")
            continue
        follows = content_of(message) if message.get("role") == "user" else []
        yield index, open_calls, follows
        open_calls = []


def _leading_results(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results that come first; what stands behind other content answers nothing."""
    results = []
    for block in blocks:
        if block.get("type") != "tool_result":
            break
        results.append(block)
    return results


def calls_are_answered(call: Call) -> Iterator[Fault]:
    """2.1, 2.3: all results first in the next single user message"""
    for index, calls, blocks in _turns(call):
        answered = _ids(_leading_results(blocks), "tool_result", "tool_use_id")
        missing = [found for found in calls if found not in answered]
        if missing:
            text = "`tool_use` ids were found without `tool_result` blocks immediately after"
            need = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            yield Fault(f"messages.{index - 1}: {text}: {', '.join(missing)}. {need}")


def results_follow_their_call(call: Call) -> Iterator[Fault]:
    """2.3"""
    for index, calls, blocks in _turns(call):
        for position, block in enumerate(blocks):
            found = block.get("tool_use_id")
            if block.get("type") == "tool_result" and isinstance(found, str) and found not in calls:
                text = f"unexpected `tool_use_id` found in `tool_result` blocks: {found}"
                need = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                yield Fault(f"messages.{index}.content.{position}: {text}. {need}")


def one_result_for_each_call(call: Call) -> Iterator[Fault]:
    """2.3"""
    for index, _, blocks in _turns(call):
        found = _ids(blocks, "tool_result", "tool_use_id")
        for name in found:
            if found.count(name) > 1:
                text = f"each tool_use must have a single result. Found multiple `tool_result` blocks with id: {name}"
                yield Fault(f"messages.{index}.content: {text}")


def call_ids_are_unique(call: Call) -> Iterator[Fault]:
    """2.3, 6.3: in the whole request"""
    seen: set[str] = set()
    for index, message in enumerate(_messages(call)):
        for found in _ids(content_of(message), "tool_use", "id"):
            if found in seen:
                yield Fault(f"messages.{index}.content: `tool_use` ids must be unique")
            seen.add(found)


def server_results_follow_their_call(call: Call) -> Iterator[Fault]:
    """6.3: inside the same turn"""
    calls: set[str] = set()
    for (index, position), place, block in assistant_blocks(_messages(call)):
        if place.block == 0:
            calls.clear()
        if block.get("type") == "server_tool_use":
            calls.add(str(block.get("id")))
        found = block.get("tool_use_id")
        if block.get("type") in SERVER_RESULTS and isinstance(found, str) and found not in calls:
            text = f"unexpected `tool_use_id` found in `{block['type']}` blocks: {found}"
            yield Fault(f"messages.{index}.content.{position}: {text}")


def _unsigned(call: Call, kind: str, shown: str, proof: str) -> Iterator[tuple[int, int]]:
    """Blocks of a kind whose proof is not ours for this text, place, model and account."""
    for where_, place, block in assistant_blocks(_messages(call)):
        text, given = block.get(shown, ""), block.get(proof)
        if block.get("type") != kind or not isinstance(text, str) or not isinstance(given, str):
            continue
        bound_to = (str(call.body.get("model")), call.key)
        ours = sign(call.secret, kind=kind, text=text, place=place, bound_to=bound_to)
        if not hmac.compare_digest(ours.encode(), given.encode()):
            yield where_


def thinking_is_ours(call: Call) -> Iterator[Fault]:
    """2.4 R3, R11, R12"""
    for index, position in _unsigned(call, "thinking", "thinking", "signature"):
        yield Fault(f"messages.{index}.content.{position}: Invalid signature in thinking block")


def redacted_thinking_is_ours(call: Call) -> Iterator[Fault]:
    """2.4 R2, R12: its data is the signature of an empty text"""
    for index, position in _unsigned(call, "redacted_thinking", "", "data"):
        yield Fault(f"messages.{index}.content.{position}: Invalid data in redacted_thinking block")


RULES = (
    calls_are_answered,
    results_follow_their_call,
    one_result_for_each_call,
    call_ids_are_unique,
    server_results_follow_their_call,
    thinking_is_ours,
    redacted_thinking_is_ours,
)
