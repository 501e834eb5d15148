"""The reference of all settings, made from the schema; docs/configuration.md holds exactly this text."""

from __future__ import annotations

from collections.abc import Iterable

from rotator.config.reader import describe, found
from rotator.config.sections import Setting, names, sections, settings


def settings_table() -> str:
    """Markdown: a table for each section in the order of names, then one of the variables that belong to none."""
    known = settings()
    parts = []
    for name, cls in sorted(sections().items()):
        head = f"### `{name}`\n\n{(cls.__doc__ or '').splitlines()[0]}\n"
        rows = (_row(one) for one in known if one.section == name)
        parts.append(f"{head}\n{_table('setting | environment | default | takes | meaning', rows)}")
    rows = (f"`{one.form}` | {one.doc}" for one in sorted(names(), key=lambda one: one.form))
    parts.append(f"### Environment only\n\n{_table('variable | meaning', rows)}")
    return "\n".join(parts)


def _table(head: str, rows: Iterable[str]) -> str:
    rule = " | ".join("---" for _ in head.split("|"))
    return "".join(f"| {line} |\n" for line in (head, rule, *rows))


def _row(one: Setting) -> str:
    entry = one.entry
    env = " or ".join(f"`{name}`" for name in entry.rule.env)
    doc = f"{entry.rule.doc} Also `{entry.rule.flag}`." if entry.rule.flag else entry.rule.doc
    return " | ".join((f"`{one.key}`", env, _default(entry.default), describe(entry.hint, entry.rule), doc))


def _default(value: object) -> str:
    if value is None:
        return "off"
    if value in ((), {}):
        return "none"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:g}" if isinstance(value, float) else found(value)
