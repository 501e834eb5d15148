"""What models of a known name refuse: every line breaks one thing in a body that is else valid (protocols.md 7.2)."""

from __future__ import annotations

from typing import Any

from .bodies_messages import PLAIN, WEATHER
from .demo import CHAT
from .rows import DROP, Edit, Row, chat_rows, messages_rows

HI = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "lookup"}}
CALL: list[dict[str, Any]] = [
    *HI,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}]},
]


def claude(name: str, **more: Any) -> dict[str, Any]:
    return {**PLAIN, "model": f"claude-{name}", "max_tokens": 9000, **more}


def gpt(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": HI, "max_completion_tokens": 64, **more}


BUDGET = {"type": "enabled", "budget_tokens": 1024}
ADAPTIVE, OFF = {"type": "adaptive"}, {"type": "disabled"}
ANY: dict[str, Any] = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
NEW = claude("opus-5", thinking=OFF, output_config={"effort": "low"}, temperature=1, top_p=1)
NEWEST = claude("opus-5-5-20261001", thinking=ADAPTIVE, tools=[WEATHER], output_config={"effort": "max"})
MIDDLE = claude("sonnet-4-6", thinking=ADAPTIVE, tools=[WEATHER], output_config={"effort": "max"})
OLD = claude("haiku-4-5", thinking=BUDGET)
REASONING = gpt("gpt-5", reasoning_effort="high", temperature=1, tools=[TOOL])
FREE = gpt("gpt-5.4", reasoning_effort="none", temperature=0.2, top_p=0.5, logprobs=True, tools=[TOOL])

MESSAGES_ROWS = [
    *messages_rows(
        "new-model",
        NEW,
        Edit("thinking", BUDGET, '"thinking.type.enabled" is not supported'),
        Edit("output_config.effort", "max", "output_config.effort: 'max' needs thinking"),
        Edit("temperature", 0.5, "`temperature` is deprecated"),
        Edit("top_p", 0.5, "`top_p` is deprecated"),
        Edit("top_k", 5, "`top_k` is deprecated"),
        Edit("messages", [*HI, {"role": "assistant", "content": "So"}], "This model does not support assistant"),
        Edit("max_tokens", 128_001, "max_tokens: 128001 > 128000"),
    ),
    *messages_rows(
        "newest-model",
        NEWEST,
        Edit("thinking", OFF, '"thinking.type.disabled" is not supported'),
        Edit("tool_choice", {"type": "any"}, "tool_choice: forcing a tool"),
    ),
    *messages_rows(
        "middle-model",
        MIDDLE,
        Edit("output_config.effort", "xhigh", "output_config.effort: 'xhigh' is not supported"),
        Edit("tool_choice", {"type": "tool", "name": "get_weather"}, "tool_choice: forcing a tool"),
    ),
    *messages_rows(
        "old-model",
        OLD,
        Edit("thinking", ADAPTIVE, '"thinking.type.adaptive" is not supported'),
        Edit("output_config", {"effort": "low"}, "output_config.effort: 'low' is not supported"),
        Edit("max_tokens", 64_001, "max_tokens: 64001 > 64000"),
    ),
    *messages_rows(
        "turn-under-way",
        claude("haiku-4-5", thinking=OFF, tools=[WEATHER], messages=CALL),
        Edit("thinking", BUDGET, "messages.1.content.0.type: Expected `thinking`"),
    ),
]
CHAT_ROWS = [
    *chat_rows(
        "reasoning-model",
        REASONING,
        Edit("reasoning_effort", "none", says="does not support 'none'"),
        Edit("reasoning_effort", "max", says="Supported values are: 'minimal', 'low', 'medium', 'high'."),
        Edit("temperature", 0.5, says="Unsupported parameter: 'temperature'"),
        Edit("logprobs", True, says="Unsupported parameter: 'logprobs'"),
        Edit("presence_penalty", 1, says="Unsupported parameter: 'presence_penalty'"),
    ),
    *chat_rows(
        "freer-model",
        FREE,
        Edit("reasoning_effort", "low", "temperature", says="Unsupported parameter: 'temperature'"),
        Edit("frequency_penalty", 1, says="Unsupported parameter: 'frequency_penalty'"),
    ),
    *chat_rows("limit", gpt("gpt-5", max_completion_tokens=None), Edit("max_tokens", 5, says="max_completion_tokens")),
    *chat_rows("tools", gpt("gpt-5.4", tools=[TOOL]), Edit("reasoning_effort", "low", says="Function tools with")),
    *chat_rows(
        "tools-always",
        gpt("gpt-5.6", reasoning_effort="none", tools=[TOOL]),
        Edit("reasoning_effort", DROP, says="Function tools with"),
    ),
    *chat_rows("chat-model", gpt("gpt-4o"), Edit("reasoning_effort", "low", says="Unsupported parameter")),
    *chat_rows("stop", gpt("o3"), Edit("stop", ["END"], says="Unsupported parameter: 'stop'")),
]
VALID = [
    *(
        Row(f"messages-{number}-{body['model']}", body)
        for number, body in enumerate((
            NEW,
            NEWEST,
            MIDDLE,
            OLD,
            claude("sonnet-4-6", **ANY),
            claude("opus-5", thinking=ADAPTIVE, **ANY),
            claude("opus-4-5", messages=[*HI, {"role": "assistant", "content": "So"}], temperature=0.5),
            claude("opus-4-6", thinking=BUDGET, tools=[WEATHER], messages=CALL),
        ))
    ),
    *(
        Row(f"chat-{number}-{body['model']}", body, path=CHAT)
        for number, body in enumerate((
            REASONING,
            FREE,
            gpt("gpt-5.4", tools=[TOOL]),
            gpt("gpt-4o", temperature=0.5, frequency_penalty=1),
            gpt("o1", stop=["END"]),
        ))
    ),
]
