"""Everything that the Chat Completions vendor checks, in its order, and its words for it (protocols.md 1.8)."""

from __future__ import annotations

from . import known_chat
from .calls import Fault
from .fields_chat import SHAPES
from .rules_chat import RULES, body_is_an_object, pointer
from .shapes import Check, Problem, checks_of, json_type

ARTICLES = {"integer": "an", "array": "an", "object": "an"}


def _a(name: str) -> str:
    return f"{ARTICLES.get(name, 'a')} {'decimal' if name == 'number' else name}" if name != "null" else "null"


def _words(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _bound(problem: Problem, at: str) -> Fault:
    """Beyond a bound: of a number by its value, of anything else by its length."""
    want, low = problem.want, problem.breach == "low"
    found = json_type(problem.got)
    limit = (want.low if low else want.high) if want else None
    if found in ("integer", "number"):
        name, sign = ("integer" if found == "integer" else "decimal"), (">=" if low else "<=")
        side = "below minimum" if low else "above maximum"
        text = f"{name} {side} value. Expected a value {sign} {limit}, but got {problem.got} instead."
        return Fault(f"Invalid '{at}': {text}", at, f"{name}_{'below_min' if low else 'above_max'}_value")
    if low:
        text = f"empty {found}. Expected {_a(found)} with minimum length {limit}, but got an empty {found} instead."
        return Fault(f"Invalid '{at}': {text}", at, f"empty_{found}")
    size = f"but got {_a(found)} with length {len(problem.got)} instead."
    text = f"{found} too long. Expected {_a(found)} with maximum length {limit}, {size}"
    return Fault(f"Invalid '{at}': {text}", at, f"{found}_above_max_length")


def in_words(problem: Problem) -> Fault:
    """The vendor's sentence, `param` and `code` for one problem."""
    at = pointer(problem.path)
    want = problem.want
    if problem.breach == "missing":
        return Fault(f"Missing required parameter: '{at}'.", at, "missing_required_parameter")
    if problem.breach == "unknown" or want is None:
        return Fault(f"Unknown parameter: '{at}'.", at, "unknown_parameter")
    if problem.breach == "type":
        types = [_a(name) for name in want.types if name != "null"]
        expected = types[0] if len(types) == 1 else f"one of {' or '.join(types)}"
        got = _a(json_type(problem.got))
        return Fault(f"Invalid type for '{at}': expected {expected}, but got {got} instead.", at, "invalid_type")
    if problem.breach == "value":
        supported = _words(want.values)
        return Fault(f"Invalid value: '{problem.got}'. Supported values are: {supported}.", at, "invalid_value")
    if problem.breach == "pattern":
        text = f"Expected a string that matches the pattern '{want.pattern}'."
        return Fault(f"Invalid '{at}': string does not match pattern. {text}", at, "invalid_value")
    return _bound(problem, at)


CHECKS: tuple[Check, ...] = (
    Check("body_is_an_object", body_is_an_object),
    *checks_of(SHAPES, in_words),
    *(Check(rule.__name__, rule) for rule in (*RULES, *known_chat.RULES)),
)
