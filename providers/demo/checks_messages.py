"""Everything that the Messages vendor checks, in its order, and its words for it (protocols.md 1.8)."""

from __future__ import annotations

from . import known_messages, rules_messages, turns_messages
from .calls import Fault
from .fields_messages import SHAPES
from .shapes import Check, Problem, checks_of, json_type

TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "dictionary",
}


def _choices(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _bound(problem: Problem) -> str:
    """Beyond a bound: of a number by its value, of anything else by its length."""
    want, low = problem.want, problem.breach == "low"
    found = json_type(problem.got)
    limit = (want.low if low else want.high) if want else None
    if found in ("integer", "number"):
        return f"Input should be {'greater' if low else 'less'} than or equal to {limit}"
    noun, unit = ("String", "character") if found == "string" else (TYPES[found].capitalize(), "item")
    return f"{noun} should have at {'least' if low else 'most'} {limit} {unit}{'' if limit == 1 else 's'}"


def in_words(problem: Problem) -> Fault:
    """The vendor's sentence, led by the path of the field."""
    at = rules_messages.dotted(problem.path)
    want = problem.want
    if problem.breach == "missing":
        return Fault(f"{at}: Field required")
    if problem.breach == "unknown" or want is None:
        return Fault(f"{at}: Extra inputs are not permitted")
    if problem.breach == "type":
        types = " or ".join(TYPES[name] for name in want.types if name != "null")
        return Fault(f"{at}: Input should be a valid {types}")
    if problem.breach == "value":
        if problem.path[-1] == "type" and len(want.values) > 1:
            holder = rules_messages.dotted(problem.path[:-1])
            expected = ", ".join(f"'{value}'" for value in sorted(want.values))
            text = f"Input tag '{problem.got}' found using 'type' does not match any of the expected tags: {expected}"
            return Fault(f"{holder}: {text}")
        return Fault(f"{at}: Input should be {_choices(want.values)}")
    if problem.breach == "pattern":
        return Fault(f"{at}: String should match pattern '{want.pattern}'")
    return Fault(f"{at}: {_bound(problem)}")


CHECKS: tuple[Check, ...] = (
    *(Check(rule.__name__, rule) for rule in rules_messages.HEADER_RULES),
    Check("body_is_an_object", rules_messages.body_is_an_object),
    *checks_of(SHAPES, in_words),
    *(Check(rule.__name__, rule) for rule in (*rules_messages.RULES, *turns_messages.RULES, *known_messages.RULES)),
)
