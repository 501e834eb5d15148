"""The reference of all settings, made from the schema; docs/configuration.md holds exactly this text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any, get_args

from rotator.config.reader import Entry, describe, entries, found
from rotator.config.rotation import Rotation
from rotator.config.sections import Setting, names, sections, settings


def settings_table() -> str:
    """Markdown: a table for each section in the order of names, one of rotation, one of the variables of no section."""
    known = settings()
    parts = []
    for name, cls in sorted(sections().items()):
        head = f"### `{name}`\n\n{(cls.__doc__ or '').splitlines()[0]}\n"
        rows = (_row(one) for one in known if one.section == name)
        parts.append(f"{head}\n{_table('setting | environment | default | takes | meaning', rows)}")
    head = f"### `rotation`\n\n{(Rotation.__doc__ or '').splitlines()[0]} Also in `providers.<name>`.\n"
    keys = _nested(Rotation, "rotation")
    parts.append(f"{head}\n{_table('setting | default | takes | meaning', keys)}")
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


def _nested(cls: type[Any], above: str) -> Iterator[str]:
    """A row for each key, those of mappings and of lists' entries too."""
    for entry in entries(cls).values():
        key = f"{above}.{entry.key}"
        below = (get_args(entry.hint) or (entry.hint,))[0]
        yield " | ".join((f"`{key}`", _unless_said(entry), describe(entry.hint, entry.rule), entry.rule.doc))
        if isinstance(below, type) and is_dataclass(below):
            yield from _nested(below, key if below is entry.hint else f"{key}[]")


def _unless_said(entry: Entry) -> str:
    """The default of a key that may be left out in every way: None is no ``off`` there."""
    if entry.required:
        return "required"
    return "none" if entry.default is None else "" if is_dataclass(entry.default) else _default(entry.default)


def _default(value: object) -> str:
    if value is None:
        return "off"
    if value in ((), {}):
        return "none"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:g}" if isinstance(value, float) else found(value)
