"""Call ids as an upstream takes them.  Source: protocols.md 6.3.

All is computed from the request itself: a client that sends its history again gets the same ids, so that an upstream's
prompt cache stays warm (P-58), and nothing has to be remembered between requests.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from rotator.api import NotJson, dumps, loads

#: Characters of a hash in an id: 130 bits.
_HASH_LENGTH = 26


@dataclass(frozen=True, slots=True)
class IdRule:
    """What an id of a protocol looks like.  ``pattern`` must fit the whole id, ``limit`` counts characters.

    ``prefix`` begins the ids that are made here.
    """

    pattern: re.Pattern[str]
    limit: int
    prefix: str

    def fits(self, id: str) -> bool:
        """Whether an id may go out as it is."""
        return 0 < len(id) <= self.limit and self.pattern.fullmatch(id) is not None

    def wire(self, id: str, occurrence: int = 0) -> str:
        """The id on the wire: as it is if it fits and comes for the first time, else a hash of both."""
        if occurrence == 0 and self.fits(id):
            return id
        return self.prefix + _hash(f"{id}#{occurrence}")


class CallIds:
    """The ids of one request's calls and results, asked for in their order.

    Calls of one turn, or of turns that follow each other directly, are a round. Their wire ids differ; ``unique`` ids
    differ in the whole request (Messages), others may come back in a later round (Chat). An id that comes again is told
    apart by its occurrence, and its results go to the nearest round before them.
    """

    __slots__ = ("_last", "_occurrences", "_open", "_round", "_rule", "_turn", "_unique", "_used")

    def __init__(self, rule: IdRule, *, unique: bool) -> None:
        self._rule = rule
        self._unique = unique
        self._turn = -2
        self._used: set[str] = set()
        self._occurrences: dict[str, int] = {}
        self._last: dict[str, str] = {}  # id -> wire id of its last call
        self._round: dict[str, list[str]] = {}  # id -> wire ids of its calls in this round
        self._open: dict[str, tuple[str, str]] = {}  # wire id -> id and name, of this round's calls without a result

    def call(self, id: str, place: tuple[int, int], name: str, arguments: str) -> str:
        """The wire id of a call.  ``place``: its turn and part; together with the rest it makes up for an id of ""."""
        self._follow(place[0])
        wire = self._free(id, 0) if id else self._free(_made_of(place, name, arguments), 1)
        self._used.add(wire)
        self._open[wire] = (id, name)
        self._last[id] = wire
        self._round.setdefault(id, []).append(wire)
        return wire

    def result(self, id: str, name: str = "") -> str | None:
        """The wire id of the call that a result belongs to; None for an orphan.

        A result without an id belongs to the first open call of its ``name`` without one (P-58), else to the first open
        call without one, or else to the first open call. A second result for a call gets its id again.
        """
        if id:
            wire = next((one for one in self._round.get(id, ()) if one in self._open), self._last.get(id))
        else:
            nameless = [(one, its) for one, (own, its) in self._open.items() if not own]
            of_name = next((one for one, its in nameless if its == name), nameless[0][0] if nameless else None)
            wire = of_name or next(iter(self._open), None)
        if wire is not None:
            self._open.pop(wire, None)
        return wire

    def _follow(self, turn: int) -> None:
        """Begin a new round where other turns stand between this call and the one before it."""
        if turn > self._turn + 1:
            self._round = {}
            self._open = {}
            if not self._unique:
                self._used = set()
                self._occurrences = {}
        self._turn = turn

    def _free(self, id: str, first: int) -> str:
        """A wire id that is not in use; those of the first occurrence may be the id itself."""
        occurrence = self._occurrences.get(id, first)
        while (wire := self._rule.wire(id, occurrence)) in self._used:
            occurrence += 1
        self._occurrences[id] = occurrence + 1
        return wire


def _made_of(place: tuple[int, int], name: str, arguments: str) -> str:
    """What stands for the id of a call that has none; its hash goes out."""
    try:
        canonical = dumps(loads(arguments.encode("utf-8", "surrogatepass") or b"{}")).decode()
    except NotJson:
        canonical = arguments
    return f"gen_{place[0]}/{place[1]}/{name}/{canonical}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest[:20]).decode().lower()[:_HASH_LENGTH]
