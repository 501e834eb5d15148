"""A turn of Claude Code 2.1 as it is sent, shortened.  Source: clients.md 3, "Claude Code"."""

from __future__ import annotations

from typing import Any

from .bodies import MARK, assistant, result, system, text, use, user

USER_ID = (
    '{"device_id":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","account_uuid":"",'
    '"session_id":"6a1e0c1e-4f3a-4f6e-9a57-0b1d8e5f4a11"}'
)


def _schema(**properties: Any) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


BASH = _schema(command={"type": "string"}, timeout={"type": "number", "exclusiveMinimum": 0, "default": 120000})
EDIT = _schema(file_path={"type": "string", "maxLength": 4096, "pattern": "^/"}, new_string={"type": "string"})
ANYTHING = _schema(extra={"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {}})

CLAUDE_CODE: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 32000,
    "stream": True,
    "system": [
        text("x-anthropic-billing-header: cc_version=2.1.328.a1b; cc_entrypoint=sdk-cli;"),
        text("You are Claude Code, Anthropic's official CLI for Claude.", **MARK),
        text("You are an interactive agent that helps users with software engineering.", **MARK),
    ],
    "messages": [
        user(text("<system-reminder>\nToday is a day.\n</system-reminder>"), text("Fix the bug.")),
        system(text("The following skills are available.", **MARK), output_config={"effort": "medium"}),
        assistant(
            {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"},
            text("Let me look."),
            use("toolu_01A", {"command": "ls"}, "Bash"),
            use("toolu_01B", {"command": "git log"}, "Bash"),
        ),
        user(result("a.py", "toolu_01A", is_error=False), result("none", "toolu_01B", is_error=True), text("Hurry.")),
        assistant(use("toolu_01C", {"file_path": "/a.py", "new_string": ""}, "Edit")),
        user(result("done", "toolu_01C", is_error=False, **MARK)),
    ],
    "tools": [
        {"name": "Bash", "description": "Runs a command.", "input_schema": BASH},
        {"name": "Edit", "description": "Edits a file.", "input_schema": EDIT},
        {"name": "DeferredToolPlaceholder", "description": "Later.", "input_schema": ANYTHING, "defer_loading": True},
    ],
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": USER_ID},
}
