"""Breakpoints of the prompt cache, as both vendors spell them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from rotator.neutral.parts import CacheMark
from tests.upstreams import PROTOCOLS

assert "chat" in PROTOCOLS  # loaded, so that their modules can be imported
MODULE: Any = import_module("rotator.plugins.protocols._cache")
cache_control, keep_last = MODULE.cache_control, MODULE.keep_last


@pytest.mark.parametrize(
    ("ttl", "told"),
    [(None, None), ("5m", "5m"), ("1h", "1h"), ("30m", None), ("12h", "1h"), ("24h", "1h"), ("soon", None)],
)
def test_how_long_an_entry_lives(ttl: str | None, told: str | None) -> None:
    more = {} if told is None else {"ttl": told}
    assert cache_control(CacheMark(ttl)) == {"type": "ephemeral", **more}


@pytest.mark.pitfall("C205")
def test_the_last_ones_are_kept() -> None:
    holders: list[dict[str, Any]] = [{"mark": place} if place % 2 else {"plain": place} for place in range(12)]
    assert keep_last(holders, "mark") == 2
    assert [holder.get("mark") for holder in holders] == [None] * 5 + [5, None, 7, None, 9, None, 11]
    assert keep_last(holders, "mark") == 0
    assert keep_last(holders, "mark", 3) == 1
