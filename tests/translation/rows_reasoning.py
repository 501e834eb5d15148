"""Requests: how much to think, and what it changes (protocols.md 2.3, 2.4 and 2.5, by the tables of section 7)."""

from __future__ import annotations

from typing import Any

from .cells import Case, NotHere, Row, nowhere, row
from .matching import ABSENT
from .rows_tools import a_history, c_history
from .words import A_TOOLS, C_TOOLS, GO, HI, Body, assistant, c_named, says, user

ON, OFF = {"type": "adaptive"}, {"type": "disabled"}
CLAMPED, WISH = ("reasoning.clamped",), ("reasoning.wish",)
#: OpenAI's own dialect.
NEW_NAME = {"max_tokens": "max_completion_tokens"}


def within(tokens: int) -> Body:
    return {"type": "enabled", "budget_tokens": tokens}


def at(effort: str, **more: Any) -> Body:
    """Adaptive thinking at a level."""
    return {"thinking": ON, "output_config": {"effort": effort}, **more}


def claude(model: str, client: Body, wire: Body, losses: tuple[str, ...] = ()) -> Case:
    """What a Chat client says to a model of Messages."""
    return Case({"model": model, **client}, {"model": model, **wire}, losses)


def gpt(model: str, client: Body, wire: Body, losses: tuple[str, ...] = (), **dialect: str) -> Case:
    """What a Messages client says to a model of OpenAI's."""
    told = {"model": model, "max_tokens": ABSENT, "max_completion_tokens": 64, **wire}
    return Case({"model": model, **client}, told, losses, dialect={**NEW_NAME, **dialect})


REASONING: tuple[Row, ...] = (
    row(
        "2.3",
        "Forced choice + thinking",
        [
            Case(
                {"tools": C_TOOLS, "tool_choice": "required", "reasoning_effort": "high"},
                {"tools": A_TOOLS, "tool_choice": {"type": "any"}, **at("high")},
            ),
            *(
                claude(
                    model,
                    {"tools": C_TOOLS, "tool_choice": choice, **said},
                    {"tools": A_TOOLS, "tool_choice": {"type": "auto"}, **told},
                    ("tool_choice.degraded",),
                )
                for choice in ("required", c_named())
                for model, said, told in (
                    ("claude-opus-5-5", {}, {}),
                    ("claude-opus-4-6", {"enable_thinking": True}, {"thinking": ON}),
                    (
                        "claude-haiku-4-5",
                        {"thinking_budget": 2000, "max_tokens": 500},
                        {"thinking": within(2000), "max_tokens": 2500},
                    ),
                )
            ),
        ],
        Case(
            {"tools": A_TOOLS, "tool_choice": {"type": "any"}, "thinking": ON},
            {"tools": C_TOOLS, "tool_choice": "required"},
        ),
        pitfalls="C61@c_a",
    ),
    row(
        "2.4",
        "Effort",
        [
            Case({"reasoning_effort": "high"}, at("high")),
            Case({"reasoning_effort": "minimal"}, at("low"), CLAMPED),
            Case({"reasoning_effort": "ultra"}, {}, WISH),
            claude("claude-opus-4-7", {"reasoning_effort": "xhigh"}, at("xhigh")),
            claude("claude-opus-4-6", {"reasoning_effort": "xhigh"}, at("high"), CLAMPED),
            claude(
                "claude-sonnet-4-5",
                {"reasoning_effort": "medium", "max_tokens": 100},
                {"thinking": within(8192), "max_tokens": 8292},
            ),
            Case({"reasoning": {"effort": "high"}}, at("high")),
        ],
        [
            Case({"output_config": {"effort": "high"}}, {"reasoning_effort": "high"}),
            gpt("gpt-5", {"output_config": {"effort": "max"}}, {"reasoning_effort": "high"}, CLAMPED),
            gpt("gpt-4o", {"output_config": {"effort": "low"}}, {}, WISH),
            Case(
                {"output_config": {"effort": "high"}},
                {"reasoning_effort": "low"},
                CLAMPED,
                dialect={"models": {"m": {"efforts": ["low"]}}},
            ),
            Case({"output_config": {"effort": "high"}}, {}, WISH, dialect={"reasoning": "none"}),
            Case(
                says(HI, {"role": "system", "output_config": {"effort": "low"}}, GO, output_config={"effort": "max"}),
                {**says(HI, GO), "reasoning_effort": "low"},
            ),
        ],
        pitfalls="C114",
    ),
    row(
        "2.4",
        "Budget",
        [
            Case({"thinking": within(2048)}, at("medium"), CLAMPED),
            claude(
                "claude-haiku-4-5",
                {"thinking": within(2048), "max_tokens": 1000},
                {"thinking": within(2048), "max_tokens": 3048},
            ),
            claude(
                "claude-haiku-4-5",
                {"reasoning": {"max_tokens": 50}, "max_tokens": 1000},
                {"thinking": within(1024), "max_tokens": 2024},
                CLAMPED,
            ),
        ],
        Case(
            {"max_tokens": 4096, "thinking": within(2048)}, {"max_tokens": 4096, "reasoning_effort": "medium"}, CLAMPED
        ),
        pitfalls="P-116=reasoning.clamped C114",
    ),
    row(
        "2.4",
        "Adaptive",
        Case({"thinking": ON}, {"thinking": ON}),
        [
            Case({"thinking": ON}, {}),
            Case({"thinking": ON, "output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ],
        pitfalls="C114",
    ),
    row(
        "2.4",
        "Off",
        [
            Case({"reasoning_effort": "none"}, {"thinking": OFF}),
            Case({"enable_thinking": False}, {"thinking": OFF}),
            claude("claude-haiku-4-5", {"reasoning_effort": "none"}, {}),
            claude(
                "claude-haiku-4-5",
                {**c_history('{"q":"x"}'), "thinking_budget": 2000},
                a_history({"q": "x"}),
                ("reasoning.off",),
            ),
            claude("claude-opus-5-5", {"reasoning_effort": "none"}, {"output_config": {"effort": "low"}}, CLAMPED),
            claude("claude-sonnet-5-5", {"reasoning_effort": "none"}, {"thinking": {"type": "between_tools"}}, CLAMPED),
            claude(
                "claude-opus-5",
                {"reasoning_effort": "max", "thinking": OFF},
                {"thinking": OFF, "output_config": {"effort": "high"}},
                CLAMPED,
            ),
        ],
        [
            Case({"thinking": OFF}, {"reasoning_effort": "none"}),
            Case({"thinking": {"type": "between_tools"}}, {"reasoning_effort": "none"}, CLAMPED),
            gpt("gpt-5", {"thinking": OFF}, {"reasoning_effort": "minimal"}, CLAMPED),
            gpt(
                "gpt-5.4",
                {"tools": A_TOOLS, "output_config": {"effort": "high"}},
                {"tools": C_TOOLS, "reasoning_effort": "none"},
                ("reasoning.tools",),
                reasoning_with_tools="refused",
            ),
        ],
        pitfalls="C114",
    ),
    row(
        "2.4",
        "Show reasoning",
        [
            Case(
                {"reasoning": {"effort": "low", "exclude": True}},
                {"thinking": {**ON, "display": "omitted"}, "output_config": {"effort": "low"}},
            ),
            claude("claude-opus-4-8", {"reasoning": {"exclude": True}}, {}),
        ],
        Case({"thinking": {**ON, "display": "omitted"}}, {}),
        pitfalls="C113",
    ),
    row(
        "2.4",
        "Reasoning context",
        NotHere("Responses only"),
        Case({"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}, {}, ("field.foreign",)),
    ),
    nowhere("2.4", "Include encrypted", "Responses only"),
    row(
        "2.5",
        "Budget interplay",
        [
            claude(
                "claude-opus-4-1",
                {"max_tokens": 31_000, "thinking": within(9000)},
                {"max_tokens": 32_000, "thinking": within(1024)},
                CLAMPED,
            ),
            claude("claude-opus-4-1", {"reasoning_effort": "high"}, {"max_tokens": 32_000, "thinking": within(24_576)}),
            Case({"reasoning_effort": "high", "max_tokens": 100}, at("high", max_tokens=100), ("reasoning.tight",)),
        ],
        Case(
            {"max_tokens": 2048, "thinking": within(1024)}, {"max_tokens": 2048, "reasoning_effort": "low"}
        ),
    ),
)
#: What known models refuse beside it: cells of rows that stand in other tables.
MODEL_PREFILL = claude(
    "claude-opus-4-8",
    says(HI, assistant("Sure,")),
    says(HI, assistant("Sure,"), user("Continue.")),
    ("turn.prefill",),
)
MODEL_TEMPERATURE_C_A = [
    claude("claude-opus-4-8", {"temperature": 0.5}, {}, ("sampling.temperature",)),
    claude("claude-opus-4-8", {"temperature": 1}, {}),
    Case({"temperature": 0.5, "enable_thinking": True}, {"thinking": ON}, ("sampling.temperature",)),
]
MODEL_TEMPERATURE_A_C = [
    gpt("gpt-5", {"temperature": 0}, {}, ("sampling.temperature",)),
    gpt("gpt-5.1", {"temperature": 0, "thinking": OFF}, {"temperature": 0, "reasoning_effort": "none"}),
]
MODEL_LIMIT = claude("claude-haiku-4-5", {"max_tokens": 70_000}, {"max_tokens": 64_000}, ("max_tokens.clamped",))
MODEL_STOP = gpt("o3", {"stop_sequences": ["END"]}, {}, ("stop.refused",))
MODEL_ROLE = gpt(
    "gpt-5",
    {"system": "Be brief."},
    says({"role": "developer", "content": "Be brief."}, HI),
    instructions="by_model",
)
#: A client's leniencies (2.8): what compatible servers' clients write.
EXTENSIONS = [
    Case({"thinking": within(2048)}, at("medium"), CLAMPED),
    Case({"reasoning": {"effort": "high"}}, at("high")),
    Case({"chat_template_kwargs": {"enable_thinking": True}}, {"thinking": ON}),
    Case(
        {"extra_body": {"google": {"thinking_config": {"thinking_level": "LOW", "include_thoughts": True}}}},
        {"thinking": {**ON, "display": "summarized"}, "output_config": {"effort": "low"}},
    ),
    Case({"reasoning": "high"}, {}, ("field.foreign",)),
]
