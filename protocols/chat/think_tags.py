"""Reasoning that stands in the text itself, between ``<think>`` and ``</think>``.

Servers of open models write it so where nothing parses their answers.  Source: conversion-pitfalls.md P137;
protocols.md 5.6 P-108. Text comes cut anywhere: what may become a tag waits, and white space that may stand before one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
_INK: Final = re.compile(r"\S")


def tagged(thoughts: str) -> str:
    """Thoughts as they stand before a text, in the form of the models' own templates."""
    return f"{OPEN}\n{thoughts}\n{CLOSE}\n\n"


def tags_of(reasoning_answer: str) -> ThinkTags | None:
    """What splits a text of such an answer, by the dialect's word; None where the text holds no reasoning."""
    return None if reasoning_answer == "fields" else ThinkTags(reasoning_answer == "think_open")


class Piece(NamedTuple):
    """Words of one kind, and where the first of them stands in the whole text."""

    thinking: bool
    words: str
    at: int


class ThinkTags:
    """Splits one candidate's text.  ``inside``: it begins with thoughts, with or without the opening tag.

    White space around thoughts, and before a text that follows them, belongs to the tags. What is never closed is
    thoughts to the end.
    """

    __slots__ = ("_begun", "_blank", "_held", "_joins", "_place", "_spoke", "_thinking", "_trims")

    def __init__(self, inside: bool = False) -> None:
        self._thinking = inside
        self._trims = inside  # white space that comes now belongs to a tag
        self._begun = False  # something else than white space came
        self._held = ""  # may become a tag
        self._blank: list[str] = []  # white space that what follows makes words, or not
        self._place = 0  # behind what was taken, without ``_held``
        self._spoke = False  # the last words were thoughts
        self._joins = False  # and were closed: more thoughts would go on with them

    def feed(self, text: str) -> list[Piece]:
        """The words that are certain now."""
        pieces: list[Piece] = []
        text, self._held = self._held + text, ""
        start = 0
        while start < len(text):
            start = self._step(text, start, pieces)
        return pieces

    def end(self) -> list[Piece]:
        """The words that waited for what did not come."""
        pieces: list[Piece] = []
        held, self._held = self._held, ""
        self._begun = self._begun or bool(held)
        if held or not self._thinking:
            self._say(held, pieces)
        return pieces

    def _step(self, text: str, start: int, pieces: list[Piece]) -> int:
        """Take white space, words and the tag behind them; where it goes on."""
        if self._trims or not self._begun:
            begun = _behind_blank(text, start)
            self._place += begun - start
            if begun > start and not self._trims:
                self._blank.append(text[start:begun])
            if begun == len(text):
                return begun
            if not self._begun and OPEN.startswith(text[begun : begun + len(OPEN)]):
                return self._first(text, begun)
            self._begun, self._trims = True, False
            start = begun
        tag = CLOSE if self._thinking else OPEN
        found = text.find(tag, start)
        if found >= 0:
            self._say(text[start:found], pieces)
            self._turn()
            return found + len(tag)
        whole = len(text) - _pending(tag, text[start:])
        self._held = text[whole:]
        self._say(text[start:whole], pieces)
        return len(text)

    def _first(self, text: str, at: int) -> int:
        """The text begins with the opening tag, or may do so."""
        if len(text) - at < len(OPEN):
            self._held = text[at:]
            return len(text)
        self._begun, self._thinking = True, False
        self._blank = []
        self._turn()
        return at + len(OPEN)

    def _turn(self) -> None:
        """A tag came."""
        self._place += len(CLOSE if self._thinking else OPEN)
        self._joins = self._spoke
        self._blank = []
        self._thinking = not self._thinking
        self._trims = True

    def _say(self, words: str, pieces: list[Piece]) -> None:
        """Words; white space at the end of thoughts waits."""
        said = words.rstrip() if self._thinking else words
        at = self._place
        self._place += len(words)
        if said or (self._blank and not self._thinking):
            blank, self._blank = "".join(self._blank), []
            between = "\n\n" if self._thinking and self._joins else ""
            pieces.append(Piece(self._thinking, between + blank + said, at - len(blank)))
            self._spoke, self._joins = self._thinking, False
        if len(said) < len(words):
            self._blank.append(words[len(said) :])


def _behind_blank(text: str, start: int) -> int:
    """Where the next character stands that is no white space."""
    found = _INK.search(text, start)
    return len(text) if found is None else found.start()


def _pending(tag: str, text: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
