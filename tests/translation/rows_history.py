"""Requests: reasoning of earlier turns and the state that proves it (protocols.md 2.4)."""

from __future__ import annotations

from .cells import Case, Elsewhere, Row, row
from .words import (
    GO,
    HI,
    a_redacted,
    a_thinking,
    assistant,
    says,
    text,
    user,
)

#: As Claude Code sends what another protocol's model thought (clients.md 1.8).
UNSIGNED = {"type": "thinking", "thinking": "Hm.", "signature": ""}
#: What takes two requests and the engine's envelopes between them.
TRIPS = "tests/translation/test_reasoning.py"

HISTORY: tuple[Row, ...] = (
    row(
        "2.4",
        "Reasoning text in history",
        [
            Case(
                says(HI, assistant("Hello.", reasoning_content="Hm."), GO, assistant("So.", reasoning="Hm."), GO),
                says(HI, assistant("Hello."), GO, assistant("So."), GO),
                ("reasoning.history",),
            ),
            Case(
                says(HI, assistant(reasoning_content="Hm."), GO),
                says(user(text("Hi"), text("Go on"))),
                ("reasoning.history",),
                own=says(HI, assistant("", reasoning_content="Hm."), GO),
            ),
        ],
        [
            Case(
                says(HI, assistant(a_thinking("Hm."), text("Hello.")), GO),
                says(HI, assistant("Hello."), GO),
                ("reasoning.history",),
            ),
            Case(says(HI, assistant(a_thinking("Hm.")), GO), says(HI, GO), ("reasoning.history",)),
            *(
                Case(
                    says(HI, assistant(UNSIGNED, text("Hello.")), GO, assistant(UNSIGNED), GO),
                    says(HI, told, GO, alone, GO),
                    dialect={"reasoning_history": dialect},
                )
                for dialect, told, alone in (
                    (
                        "reasoning_content",
                        assistant("Hello.", reasoning_content="Hm."),
                        assistant("", reasoning_content="Hm."),
                    ),
                    (
                        "think_tags",
                        assistant("<think>\nHm.\n</think>\n\nHello."),
                        assistant("<think>\nHm.\n</think>\n\n"),
                    ),
                )
            ),
            Case(
                says(HI, assistant(UNSIGNED, text("Hello.")), GO),
                says(HI, assistant("Hello."), GO),
                ("reasoning.history",),
                dialect={"reasoning_history": "reasoning_details"},
            ),
        ], pitfalls="P-93",
    ),
    row(
        "2.4",
        "Signature",
        [
            Elsewhere(f"{TRIPS}::test_a_chat_client_gives_a_messages_vendor_its_thoughts_back"),
            Elsewhere(f"{TRIPS}::test_what_was_not_sealed_here_is_taken_away"),
        ],
        [
            Case(
                says(HI, assistant(a_thinking(""), text("Hello.")), GO),
                says(HI, assistant("Hello."), GO),
                ("reasoning.history",),
            ),
            Case(
                says(HI, assistant(a_thinking("Hm."), text("Hello.")), GO),
                says(HI, assistant("Hello.", reasoning_content="Hm."), GO),
                ("reasoning.state",),
                dialect={"reasoning_history": "reasoning_content"},
            ),
        ],
    ),
    row(
        "2.4",
        "Redacted",
        Elsewhere(f"{TRIPS}::test_redacted_thoughts_come_back_too"),
        [
            Case(
                says(HI, assistant(a_redacted(), text("Hello.")), GO),
                says(HI, assistant("Hello."), GO),
                ("reasoning.history",),
            ),
            Case(
                says(HI, assistant(a_redacted(), text("Hello.")), GO),
                says(HI, assistant("Hello."), GO),
                ("reasoning.state",),
                dialect={"reasoning_history": "reasoning_details"},
            ),
        ], pitfalls="P-92",
    ),
)
