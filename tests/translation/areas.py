"""Which area of the support table each row of the tables belongs to."""

from __future__ import annotations

from typing import Final

from .cells import Row

INSTRUCTIONS: Final = "instructions"
CONTENT: Final = "content"
TOOLS: Final = "tools"
CHOICE: Final = "tool choice"
SCHEMAS: Final = "schemas"
REASONING: Final = "reasoning"
OUTPUT: Final = "output and sampling"
STATE: Final = "caching and state"
HOSTED: Final = "hosted tools"
READING: Final = "reading of requests"
ANSWERS: Final = "answers"
STREAMS: Final = "streams"

#: In the order in which they are told.
AREAS: Final = (
    INSTRUCTIONS, CONTENT, TOOLS, CHOICE, SCHEMAS, REASONING, OUTPUT, STATE, HOSTED, READING, ANSWERS, STREAMS,
)
#: What carries the meaning of a request: converted or refused, never left out (design.md 2.2).
MEANING: Final = (INSTRUCTIONS, CONTENT, TOOLS, CHOICE, SCHEMAS)

#: Sections of one area; a row named below is of another.
SECTIONS: Final = {"2.4": REASONING, "2.5": OUTPUT, "2.6": STATE, "2.7": HOSTED, "2.8": READING}

#: Rows of the sections of several areas, and those that stand in a section of another area.
ROWS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("2.1", INSTRUCTIONS): (
        "Leading system prompt",
        "Developer prompt",
        "Mid-conversation system/developer",
        "System-only request",
        "`instructions` + previous_response_id",
        "Prompt template",
    ),
    ("2.1", CONTENT): (
        "User turn",
        "Assistant turn",
        "Tool turn",
        "Legacy function turn",
        "Alternation",
        "Last turn is assistant (prefill)",
        "Assistant phase",
        "Empty text",
    ),
    ("2.2", CONTENT): (
        "Text",
        "Image URL",
        "Image base64",
        "Image file id",
        "PDF/file base64",
        "File URL",
        "Text document",
        "search_result block",
        "Audio in",
        "Video in",
        "Refusal in history",
        "Unknown part type",
    ),
    # How closely to look and whether to cite are wishes about the answer: the reference's word is "warn-drop".
    ("2.2", OUTPUT): ("Image detail / resolution", "Citations config"),
    ("2.2", REASONING): ("Reasoning in history",),
    ("2.2", STATE): ("Cache breakpoint",),
    ("2.3", TOOLS): (
        "Function tool",
        "Missing description",
        "Custom (freeform) tool",
        "Namespaces",
        "Additional tools mid-input",
        "Duplicate tool names",
        "Tool call in history",
        "Empty arguments",
        "Call id",
        "Orphan call (no result)",
        "Orphan result",
        "Duplicate result for one id",
        "Same id reused in later turns",
        "Tool result text",
        "Tool result image/file",
        "Tool result error flag",
        "Result name",
        "Order of results",
        "Tool search",
    ),
    ("2.3", CHOICE): (
        "Tool choice auto/none/required",
        "Named tool",
        "Allowed subset",
        "Tool choice with no tools",
        "Forced choice + thinking",
        "Parallel calls off",
    ),
    ("2.3", SCHEMAS): ("No-parameter function", "strict"),
    # A vendor's own program or server makes the calls.
    ("2.3", HOSTED): ("MCP / connectors", "Programmatic calling"),
    ("2.5", SCHEMAS): ("JSON object", "JSON schema", "Schema + tools together"),
    ("2.5", HOSTED): ("Web search option",),
    ("2.5", REASONING): ("Budget interplay",),
}
_NAMED: Final = {(section, name): area for (section, area), names in ROWS.items() for name in names}


def area_of(row: Row) -> str:
    """The one area of a row.  Raises KeyError for a row that has none."""
    named = _NAMED.get((row.section, row.name))
    if named is not None:
        return named
    chapter = row.section.partition(".")[0]
    return {"3": ANSWERS, "4": STREAMS}[chapter] if chapter in "34" else SECTIONS[row.section]
